"""The panel: a validated table of spend, controls and outcome, immutable, time as the last axis."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, overload

import numpy as np
import pandas as pd

from mmm_jax.data import checks
from mmm_jax.data.calendar import Frequency, day_of_year, infer_frequency
from mmm_jax.data.media import MediaColumns, check_media_vary, mean_cost, media_for
from mmm_jax.data.reach import frequency_under
from mmm_jax.data.treatments import Treatments, checked_treatments
from mmm_jax.errors import PanelError

if TYPE_CHECKING:
    from mmm_jax.data.geo_panel import GeoPanel


BY_TIME = ("spend", "controls", "target", "observed", "powers", "media", "average_frequency")
"""Arrays with time as the last axis, besides the dates."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Spend, controls and outcome of one market over regular dates.

    Built by `Panel.from_frame`, which checks the table. All arrays are read-only.

    Attributes:
        dates: `datetime64[D]`, shape (time,), regular and increasing.
        spend: shape (channel, time), in currency per period, at least 0.
        controls: shape (control, time), in the units of the table.
        target: shape (time,), in its own units, NaN in rows that are not there; `None` where the outcome is not known yet.
        channels: names of the channels.
        control_names: names of the controls.
        target_name: name of the target.
        frequency: step between the dates.
        observed: whether a row counts in the likelihood, shape (time,); `None` if all do. A row that does not, because it is
            held out or is not there, still has its place in the calendar.
        media: what the model sees of every channel, shape (channel, time), at least 0: its units, or its spend where it has
            none; `None` if all media are spend.
        units: by channel, the name of its units; "" where its media are spend. Empty if all are.
        organic: channels without spend, the last ones of `channels`; their spend is 0.
        treatments: controls whose effect is told against a reference level, see `mmm_jax.data.treatments`.
        average_frequency: impressions per person reached, shape (channel, time), at least 1 wherever there is reach, 0 for
            channels whose media are no reach; `None` if there are only such.
        frequency_columns: by channel, the name of the column of its average frequency; "" where it has none. Empty if no
            channel has one.
        powers: to which power a row's likelihood counts, shape (time,), over 0 and up to 1; `None` if all count in full.
    """

    dates: np.ndarray
    spend: np.ndarray
    controls: np.ndarray
    target: np.ndarray | None
    channels: tuple[str, ...]
    control_names: tuple[str, ...]
    target_name: str
    frequency: Frequency
    observed: np.ndarray | None = None
    media: np.ndarray | None = None
    units: tuple[str, ...] = ()
    organic: tuple[str, ...] = ()
    treatments: Treatments = ()
    average_frequency: np.ndarray | None = None
    frequency_columns: tuple[str, ...] = ()
    powers: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("dates", *BY_TIME):
            array = getattr(self, name)
            if array is not None:
                array.setflags(write=False)

    @overload
    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        date: str,
        target: str | None,
        channels: Sequence[str],
        controls: Sequence[str] = ...,
        media: Mapping[str, str] | None = ...,
        organic: Sequence[str] = ...,
        frequency: Mapping[str, str] | None = ...,
        treatments: Mapping[str, str | float] | None = ...,
        geo: None = ...,
    ) -> Self: ...

    @overload
    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        date: str,
        target: str | None,
        channels: Sequence[str],
        controls: Sequence[str] = ...,
        media: Mapping[str, str] | None = ...,
        organic: Sequence[str] = ...,
        frequency: Mapping[str, str] | None = ...,
        treatments: Mapping[str, str | float] | None = ...,
        geo: str,
        population: str | None = ...,
    ) -> "GeoPanel": ...

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        date: str,
        target: str | None,
        channels: Sequence[str],
        controls: Sequence[str] = (),
        media: Mapping[str, str] | None = None,
        organic: Sequence[str] = (),
        frequency: Mapping[str, str] | None = None,
        treatments: Mapping[str, str | float] | None = None,
        geo: str | None = None,
        population: str | None = None,
    ) -> "Self | GeoPanel":
        """Panel from a table with one row per period, or per geo and period; rows may come in any order.

        Args:
            frame: the table. It is not changed.
            date: column of dates.
            target: column of the outcome; `None` for a table of planned spend whose outcome is not known yet. Then
                channels may be constant or zero.
            channels: columns of spend, in currency per period.
            controls: columns of control variables.
            media: column of execution units (impressions, rating points, clicks) by channel, of those whose units are
                known. The model then sees the units, and returns are still told per unit of spend. A period may have
                units without spend or spend without units; a channel with one of them 0 in all rows is refused.
            organic: columns of media without spend, such as a newsletter: channels like the others, but without return on
                spend, and never moved by plans.
            frequency: column of the average frequency (impressions per person reached) by channel, of those whose media
                are people reached. Saturation then acts on the frequency, and the effect is proportional to the reach. At
                least 1 wherever there is reach.
            treatments: further controls, such as a price, by column: `"max"`, `"mean"` or `"min"` over the training rows
                (of the geo), or a number: the level that their contributions are told against.
            geo: column of the geos' names, for a table of several markets: the panel is then a `GeoPanel`.
            population: column of every geo's heads.

        Raises:
            PanelError: a rule of `mmm_jax.data.checks` is broken; the message names column, date and value.

        Example:
            >>> frame = pd.DataFrame({"week": ["2024-01-01", "2024-01-08"], "sales": [5.0, 7.0], "tv": [1.0, 2.0]})
            >>> Panel.from_frame(frame, date="week", target="sales", channels=["tv"]).frequency.value
            'weekly'
        """
        if geo is not None:
            from mmm_jax.data.geo_panel import GeoPanel

            columns = {"date": date, "target": target, "channels": channels, "controls": controls}
            kinds = {"media": media, "organic": organic, "frequency": frequency, "treatments": treatments}
            return GeoPanel.from_frame(frame, **columns, **kinds, geo=geo, population=population)
        panel = cls.of_rows(
            frame,
            date=date,
            target=target,
            channels=channels,
            controls=controls,
            media=media,
            organic=organic,
            frequency=frequency,
            treatments=treatments,
        )
        if panel.target is not None:
            checks.check_target_varies(panel.target, panel.dates, panel.target_name)
            check_media_vary(panel)
        return panel

    @classmethod
    def of_rows(
        cls,
        frame: pd.DataFrame,
        *,
        date: str,
        target: str | None,
        channels: Sequence[str],
        controls: Sequence[str],
        media: Mapping[str, str] | None,
        organic: Sequence[str],
        frequency: Mapping[str, str] | None,
        treatments: Mapping[str, str | float] | None,
    ) -> Self:
        """Panel of one market as `from_frame`, whose target and channels may be the same in every row.

        A channel may be silent in one geo, and still be learnt from the others.
        """
        checks.check_is_table(frame)
        columns, references = MediaColumns.build(channels, media, organic, frequency), checked_treatments(treatments)
        given, treated = checks.column_names(controls, "controls"), [name for name, _ in references]
        others = {**columns.roles, "treatment": treated}
        checks.check_roles(date, target, columns.paid, given, others)
        every = [*columns.paid, *given, *(name for names in others.values() for name in names)]
        checks.check_columns_exist(frame, [date, *([] if target is None else [target]), *every])
        dates = checks.parse_dates(frame.loc[:, date])
        order = np.argsort(dates, kind="stable")
        dates = dates[order]
        checks.check_unique_dates(dates)

        def numbers(column: str) -> np.ndarray:
            values = checks.to_numbers(frame[column].iloc[order], dates)
            checks.check_finite(values, dates, column)
            return values

        spend = columns.spend(numbers, dates)
        return cls(
            dates=dates,
            spend=spend,
            controls=_stacked([numbers(control) for control in (*given, *treated)], len(dates)),
            target=None if target is None else numbers(target),
            channels=columns.channels,
            control_names=(*given, *treated),
            target_name=target or "target",
            frequency=infer_frequency(dates),
            treatments=references,
            **columns.fields(numbers, dates, spend),
        )

    def __len__(self) -> int:
        """Number of periods."""
        return len(self.dates)

    def __repr__(self) -> str:
        """One line: what the panel holds."""
        return (
            f"Panel({len(self)} {self.frequency} rows, {self.dates[0]} to {self.dates[-1]}, "
            f"{len(self.channels)} channels, {len(self.control_names)} controls, target {self.target_name!r})"
        )

    @property
    def exposure(self) -> np.ndarray:
        """What the model sees of every channel, shape (channel, time): its units where it has them, else its spend."""
        return self.spend if self.media is None else self.media

    @property
    def day_of_year(self) -> np.ndarray:
        """Calendar day of the year of each row, 1 to 366."""
        return day_of_year(self.dates)

    def take(self, rows: slice) -> Self:
        """The panel of a run of rows. They are not checked again: a channel may be silent in a short window."""
        arrays = {name: getattr(self, name) for name in ("dates", *BY_TIME)}
        return replace(self, **{name: None if values is None else values[..., rows] for name, values in arrays.items()})

    @property
    def counted(self) -> np.ndarray:
        """Whether a row counts in the likelihood, shape (time,)."""
        return np.ones(len(self), bool) if self.observed is None else self.observed

    @property
    def weights(self) -> np.ndarray:
        """To which power the likelihood of a row counts, shape (time,): 0 if it does not, 1 unless it was discounted."""
        return self.counted * (np.ones(len(self)) if self.powers is None else self.powers)

    @property
    def present(self) -> np.ndarray:
        """Whether a row is there: held out or not, its outcome is known, shape (time,)."""
        return np.ones(len(self), bool) if self.target is None else np.isfinite(self.target)

    def hold_out(self, start: str | None = None, end: str | None = None) -> Self:
        """The panel whose rows from `start` to `end`, both included, do not count in the likelihood.

        Their spend still works on the rows around them, and their outcome stays for scores to be compared with.

        Args:
            start: first date held out; the first row by default.
            end: last date held out; the last row by default.

        Raises:
            PanelError: no row lies between the two, or none would be left.
        """
        first, last = (checks.day(value, known) for value, known in ((start, self.dates[0]), (end, self.dates[-1])))
        held = (self.dates >= first) & (self.dates <= last)
        if not held.any():
            raise PanelError(f"No row lies between {first} and {last}; there are {self.dates[0]} to {self.dates[-1]}.")
        counted = self.counted & ~held
        if not counted.any():
            raise PanelError(f"Holding out {first} to {last} leaves no row to fit.")
        return replace(self, observed=counted)

    def discount(self, power: float, *, until: str | np.datetime64) -> Self:
        """The panel whose rows up to a date, included, count in the likelihood to a power: a power prior on older rows.

        What they say of the parameters is believed as if there were `power` times as many of them. Their spend works on into
        later rows in full. Rows that were discounted before are so once more: the powers multiply.

        Args:
            power: from 0, as if they were held out, to 1, as all others.
            until: last date of the older rows.

        Raises:
            PanelError: the power is out of range, or no row is so old, or none would be left.

        Reference:
            Ibrahim and Chen (2000), Power Prior Distributions for Regression Models.
        """
        if not 0.0 <= power <= 1.0:
            raise PanelError(f"`power` must lie between 0 and 1, got {power!r}.")
        last = checks.day(until, self.dates[-1])
        old = self.dates <= last
        if not old.any():
            raise PanelError(f"No row lies up to {last}; there are {self.dates[0]} to {self.dates[-1]}.")
        if power == 0.0:
            return self.hold_out(end=str(last))
        powers = np.where(old, power, 1.0) * (1.0 if self.powers is None else self.powers)
        return replace(self, powers=None if (powers == 1.0).all() else powers)

    def split(self, last_training_date: str | np.datetime64) -> tuple[Self, Self]:
        """Training panel up to and including the date, and the panel of all rows after it.

        Raises:
            PanelError: the date cannot be read, or one of the two parts would be empty.
        """
        try:
            cut = np.datetime64(str(last_training_date), "D")
        except (ValueError, TypeError) as error:
            raise PanelError(f"The split date {last_training_date!r} cannot be read. Write it as 2024-01-31.") from error
        count = int(np.sum(self.dates <= cut))
        if count in (0, len(self)):
            raise PanelError(
                f"Splitting at {cut} leaves no rows on one side: the panel has {self.dates[0]} to {self.dates[-1]}."
            )
        return self.take(slice(None, count)), self.take(slice(count, None))

    def with_spend(self, spend: np.ndarray) -> Self:
        """The same panel with other spend, shape (channel, time); units follow at their cost in each period.

        Of a channel with reach and frequency, the reach follows, and the frequency stays; where nobody was reached before,
        it is the channel's mean.

        Raises:
            PanelError: another shape, spend on an organic channel, or on one whose units have no known cost.
        """
        if np.shape(spend) != self.spend.shape:
            raise PanelError(f"Spend must have the shape {self.spend.shape} (channel, time), got {np.shape(spend)}.")
        media = media_for(self, np.asarray(spend, float))
        return replace(self, spend=np.array(spend, float), media=media, average_frequency=frequency_under(self, media))

    def with_target(self, target: np.ndarray | None) -> Self:
        """The same panel with another outcome, shape (time,), in the rows that are there, or with none."""
        if target is None or self.target is None:
            return replace(self, target=target)
        return replace(self, target=np.where(self.present, target, np.nan))

    def to_frame(self) -> pd.DataFrame:
        """The panel as a table again, with the dates as index.

        Spend, units, organic media and frequency stand under their columns' names.
        """
        columns = dict(zip(self.channels, self.spend, strict=True))
        columns |= {unit: row for unit, row in zip(self.units, self.exposure, strict=bool(self.units)) if unit}
        if self.average_frequency is not None:
            columns |= {n: row for n, row in zip(self.frequency_columns, self.average_frequency, strict=True) if n}
        columns |= dict(zip(self.control_names, self.controls, strict=True))
        if self.target is not None:
            columns = {self.target_name: self.target, **columns}
        return pd.DataFrame(columns, index=pd.DatetimeIndex(self.dates, name="date"))

    def describe(self) -> pd.DataFrame:
        """First look at the channels.

        Returns:
            One row per channel: `total` spend and `mean` per period in currency, `spend_share`, `correlation` with the
            target (NaN without one), `zero_share` of periods without media, and the variance inflation factor `vif`
            among the channels: above about 5, the data alone hardly tell the channel from the others; these three are of
            units where the panel has them. Then there are `unit`, their name, and `cost_per_unit` (NaN if organic), too.
        """
        total = self.spend.sum(axis=1)
        units = {"unit": list(self.units), "cost_per_unit": mean_cost(self.spend, self.exposure)} if self.units else {}
        return pd.DataFrame(
            {
                "total": total,
                "mean": self.spend.mean(axis=1),
                "spend_share": total / total.sum() if total.sum() > 0 else np.nan,
                "correlation": _correlation_with(self.exposure, self.target),
                "zero_share": (self.exposure == 0).mean(axis=1),
                "vif": variance_inflation(self.exposure),
                **units,
            },
            index=pd.Index(self.channels, name="channel"),
        )

    def fingerprint(self) -> str:
        """SHA-256 of names and values: equal panels have equal fingerprints."""
        digest = hashlib.sha256(repr((self.channels, self.control_names, self.target_name, self.frequency.value)).encode())
        # A panel whose rows all count has the fingerprint that it had before there were others.
        masks = [] if self.counted.all() else [self.counted]
        for array in (self.dates.astype("int64"), self.spend, self.controls, self.target, *masks):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        if (self.weights != self.counted).any():
            digest.update(b"powers" + np.ascontiguousarray(self.weights).tobytes())
        # Nor has a panel whose media are spend another one than before there were others.
        if self.media is not None or self.treatments:
            digest.update(repr((self.units, self.organic, self.treatments)).encode())
            digest.update(b"none" if self.media is None else np.ascontiguousarray(self.media).tobytes())
        if self.average_frequency is not None:
            digest.update(repr(self.frequency_columns).encode())
            digest.update(np.ascontiguousarray(self.average_frequency).tobytes())
        return digest.hexdigest()


def variance_inflation(spend: np.ndarray) -> np.ndarray:
    """Variance inflation factor of each row given the others, `1 / (1 - R^2)`; infinite for collinear rows.

    Args:
        spend: shape (channel, time).
    """
    rows = _standardized(spend)
    factors = np.full(len(rows), np.nan)
    for index in np.flatnonzero(rows.any(axis=1)):
        others, residual = np.delete(rows, index, axis=0).T, rows[index]
        if others.shape[1]:
            residual = residual - others @ np.linalg.lstsq(others, residual, rcond=None)[0]
        unexplained = float(residual @ residual)
        factors[index] = 1 / unexplained if unexplained > 1e-12 else np.inf
    return factors


def _correlation_with(spend: np.ndarray, target: np.ndarray | None) -> np.ndarray:
    if target is None:
        return np.full(len(spend), np.nan)
    rows, outcome = _standardized(spend), _standardized(target)
    return np.where(rows.any(axis=1) & outcome.any(), rows @ outcome, np.nan)


def _standardized(values: np.ndarray) -> np.ndarray:
    """Centred, and of length 1 along the last axis; 0 where all values are equal, whatever rounding leaves of the mean."""
    varies = np.ptp(values, axis=-1, keepdims=True) > 0
    centred = np.where(varies, values - values.mean(axis=-1, keepdims=True), 0.0)
    return centred / np.where(varies, np.linalg.norm(centred, axis=-1, keepdims=True), 1.0)


def _stacked(rows: list[np.ndarray], width: int) -> np.ndarray:
    return np.stack(rows) if rows else np.empty((0, width))
