"""A panel of geos: markets over the same dates with the same channels and controls, not every one with every row."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from mmm_jax.data import checks
from mmm_jax.data.calendar import Frequency, infer_frequency
from mmm_jax.data.media import MediaColumns, check_media_vary
from mmm_jax.data.panel import Panel
from mmm_jax.data.reach import mean_frequency
from mmm_jax.data.treatments import Treatments, checked_treatments
from mmm_jax.errors import PanelError


@dataclass(frozen=True, eq=False)
class GeoPanel:
    """One `Panel` per geo, with the same dates, channels and controls.

    Built by `Panel.from_frame(..., geo=...)`, which checks the table. Rows that a geo lacks have no spend, and do not count
    in its likelihood: `observed` of its panel says so.

    Attributes:
        geos: names.
        markets: by geo, in that order.
        population: heads of every geo, shape (geo,); `None` if not known.
    """

    geos: tuple[str, ...]
    markets: tuple[Panel, ...]
    population: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.population is not None:
            self.population.setflags(write=False)

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
        geo: str,
        population: str | None = None,
    ) -> Self:
        """Panel from a table with one row per geo and period, see `Panel.from_frame`.

        Args:
            frame: the table. It is not changed.
            date: column of dates.
            target: column of the outcome; `None` for a table of planned spend.
            channels: columns of spend, in currency per period.
            controls: columns of control variables.
            media: column of execution units by channel.
            organic: columns of media without spend.
            frequency: column of the average frequency by channel, of those whose media are people reached.
            treatments: further controls with the reference level of their contributions, of every geo's own rows.
            geo: column of the geos' names.
            population: column of heads, the same in all rows of a geo.

        Raises:
            PanelError: a rule of `mmm_jax.data.checks` is broken; the message names geo, column, date and value.
        """
        checks.check_is_table(frame)
        checks.check_columns_exist(frame, [geo, *([] if population is None else [population])])
        column: Any = frame[geo]
        names = checks.geo_names(column)
        geos = tuple(dict.fromkeys(names))
        parts = {name: frame.loc[names == name] for name in geos}
        heads = None if population is None else np.array([checks.heads_of(parts[n][population], n) for n in geos])
        dates = np.unique(checks.parse_dates(frame.loc[:, date]))
        infer_frequency(dates)
        columns = {"date": date, "target": target, "channels": channels, "controls": controls}
        columns |= {"media": media, "organic": organic, "frequency": frequency, "treatments": treatments}
        made = tuple(_named(name, lambda part=part: _on_calendar(part, dates, columns)) for name, part in parts.items())
        found = cls(geos, made, heads)
        if target is not None:
            check_media_vary(found)
        return found

    def __len__(self) -> int:
        """Number of periods."""
        return len(self.dates)

    def __repr__(self) -> str:
        """One line: what the panel holds."""
        first = self.markets[0]
        return (
            f"GeoPanel({len(self.geos)} geos, {len(self)} {first.frequency} rows, {self.dates[0]} to {self.dates[-1]}, "
            f"{len(self.channels)} channels, {len(self.control_names)} controls, target {self.target_name!r})"
        )

    def __getitem__(self, geo: str) -> Panel:
        """The panel of one geo.

        Raises:
            PanelError: there is no such geo.
        """
        if geo not in self.geos:
            raise PanelError(f"There is no geo {geo!r}; there are {', '.join(map(repr, self.geos))}.")
        return self.markets[self.geos.index(geo)]

    @property
    def dates(self) -> np.ndarray:
        """`datetime64[D]`, shape (time,), of all geos."""
        return self.markets[0].dates

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.markets[0].channels

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the controls."""
        return self.markets[0].control_names

    @property
    def target_name(self) -> str:
        """Name of the target."""
        return self.markets[0].target_name

    @property
    def frequency(self) -> Frequency:
        """Step between the dates."""
        return self.markets[0].frequency

    @property
    def spend(self) -> np.ndarray:
        """Shape (channel, geo, time), in currency per period."""
        return np.stack([market.spend for market in self.markets], axis=1)

    @property
    def exposure(self) -> np.ndarray:
        """What the model sees of every channel, shape (channel, geo, time): units where it has them, else spend."""
        return np.stack([market.exposure for market in self.markets], axis=1)

    @property
    def units(self) -> tuple[str, ...]:
        """By channel, the name of its units; "" where its media are spend. Empty if all are."""
        return self.markets[0].units

    @property
    def organic(self) -> tuple[str, ...]:
        """Channels without spend."""
        return self.markets[0].organic

    @property
    def average_frequency(self) -> np.ndarray | None:
        """Impressions per person reached, shape (channel, geo, time); `None` if no channel has a frequency."""
        found = [market.average_frequency for market in self.markets if market.average_frequency is not None]
        return np.stack(found, axis=1) if found else None

    @property
    def frequency_columns(self) -> tuple[str, ...]:
        """By channel, the name of the column of its average frequency; empty if no channel has one."""
        return self.markets[0].frequency_columns

    @property
    def treatments(self) -> Treatments:
        """Controls whose effect is told against a reference level."""
        return self.markets[0].treatments

    @property
    def target(self) -> np.ndarray | None:
        """Shape (geo, time); `None` where the outcome is not known."""
        found = [market.target for market in self.markets if market.target is not None]
        return np.stack(found) if len(found) == len(self.markets) else None

    @property
    def observed(self) -> np.ndarray:
        """Whether a row counts in the likelihood, shape (geo, time)."""
        return np.stack([market.counted for market in self.markets])

    @property
    def present(self) -> np.ndarray:
        """Whether the geo has the row at all, shape (geo, time)."""
        return np.stack([market.present for market in self.markets])

    def total(self) -> Panel:
        """The geos added up to one market; controls are the mean over the geos, weighted by heads where these are known.

        People reached add up, each of them in one geo; frequency is the mean over them.

        Raises:
            PanelError: some geo lacks rows, so that the sum means something else in every period.
        """
        if not self.observed.all():
            geo = self.geos[int(np.flatnonzero(~self.observed.all(axis=1))[0])]
            raise PanelError(
                f"Geo {geo!r} lacks rows, so that the geos cannot be added up. Leave it out, or take fewer dates."
            )
        return self.known_total()

    def known_total(self) -> Panel:
        """As `total`, but of geos that lack rows, what they have: for pictures and scores of sums that are made likewise."""
        first, target, heads = self.markets[0], self.target, self.population
        controls = np.stack([market.controls for market in self.markets])
        return replace(
            first,
            spend=self.spend.sum(axis=1),
            media=None if first.media is None else self.exposure.sum(axis=1),
            average_frequency=self._mean_frequency(),
            controls=controls.mean(axis=0) if heads is None else np.average(controls, axis=0, weights=heads),
            target=None if target is None else np.where(self.present, target, 0.0).sum(axis=0),
            observed=None,
            powers=None,
        )

    def _mean_frequency(self) -> np.ndarray | None:
        """Over all people reached, shape (channel, time); 0 where nobody is."""
        if self.average_frequency is None:
            return None
        return np.nan_to_num(mean_frequency(*(np.moveaxis(x, 1, 2) for x in (self.exposure, self.average_frequency))))

    def take(self, rows: slice) -> Self:
        """The panel of a run of rows."""
        return replace(self, markets=tuple(market.take(rows) for market in self.markets))

    def split(self, last_training_date: str | np.datetime64) -> tuple[Self, Self]:
        """Training panel up to and including the date, and the panel of all rows after it.

        Raises:
            PanelError: the date cannot be read, or one of the two parts would be empty.
        """
        parts = [market.split(last_training_date) for market in self.markets]
        return tuple(replace(self, markets=markets) for markets in zip(*parts, strict=True))  # pyright: ignore

    def hold_out(self, start: str | None = None, end: str | None = None, *, geos: Sequence[str] | None = None) -> Self:
        """The panel whose rows from `start` to `end` do not count in the likelihood, in some geos or in all.

        Raises:
            PanelError: an unknown geo, or no row is left or touched.
        """
        chosen = self.geos if geos is None else tuple(geos)
        held = {name: self[name].hold_out(start, end) for name in chosen}
        return replace(self, markets=tuple(held.get(n, m) for n, m in zip(self.geos, self.markets, strict=True)))

    def discount(self, power: float, *, until: str | np.datetime64) -> Self:
        """The panel whose rows up to a date count in the likelihood to a power, in all geos; see `Panel.discount`."""
        return replace(self, markets=tuple(market.discount(power, until=until) for market in self.markets))

    def with_target(self, target: np.ndarray | None) -> Self:
        """The same panel with another outcome, shape (geo, time), in the rows that are there, or with none."""
        own = [None] * len(self.markets) if target is None else list(target)
        return replace(self, markets=tuple(m.with_target(one) for m, one in zip(self.markets, own, strict=True)))

    def to_frame(self) -> pd.DataFrame:
        """The panel as a table again, with geo and date as index; rows that a geo lacks are missing."""
        parts = {n: m.to_frame().loc[m.present] for n, m in zip(self.geos, self.markets, strict=True)}
        return pd.concat(parts, names=["geo"])

    def fingerprint(self) -> str:
        """SHA-256 of names and values: equal panels have equal fingerprints."""
        heads = None if self.population is None else self.population.tolist()
        parts = [self.geos, heads, *(market.fingerprint() for market in self.markets)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


AnyPanel = Panel | GeoPanel
"""One market, or several."""


def _on_calendar(part: pd.DataFrame, dates: np.ndarray, columns: Mapping[str, Any]) -> Panel:
    """One geo's rows on all dates; those that it lacks have no media, and do not count."""
    date, target = columns["date"], columns["target"]
    own = checks.parse_dates(part.loc[:, date])
    numbers = [*([] if target is None else [target]), *_numeric(columns)]
    missing = np.setdiff1d(dates, own)
    lacking = pd.DataFrame({date: missing, **{name: 0.0 for name in numbers}})
    rows: Any = pd.concat([part.assign(**{date: own})[[date, *numbers]], lacking]) if len(missing) else part
    found = Panel.of_rows(rows, **columns)
    if not len(missing):
        return found
    lacks = np.isin(found.dates, missing)
    outcome = None if found.target is None else np.where(lacks, np.nan, found.target)
    return replace(found, target=outcome, observed=~lacks)


def _numeric(columns: Mapping[str, Any]) -> list[str]:
    """All columns of media and controls."""
    media = MediaColumns.build(*(columns[name] for name in ("channels", "media", "organic", "frequency")))
    treated = [name for name, _ in checked_treatments(columns["treatments"])]
    controls = checks.column_names(columns["controls"], "controls")
    return [*media.paid, *media.units.values(), *media.organic, *media.frequency.values(), *controls, *treated]


def _named(geo: str, made: Callable[[], Panel]) -> Panel:
    try:
        return made()
    except PanelError as error:
        raise PanelError(f"Geo {geo!r}: {error}") from error
