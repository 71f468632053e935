"""What media the model sees: spend itself, execution units of a channel with spend, or organic media without spend.

Units may be people reached, whose average frequency then stands beside them, see `mmm_jax.data.reach`.

Rules of the units, on purpose no stricter than invoices are: single periods may have units without spend (a bonus) or spend
without units (a fee, an invoice in another week). Over all rows a channel must have both, or it has no cost per unit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from mmm_jax.data import checks
from mmm_jax.data.reach import check_frequency, checked_frequency, frequency_of, frequency_varies
from mmm_jax.errors import PanelError

if TYPE_CHECKING:
    from mmm_jax.data.geo_panel import GeoPanel
    from mmm_jax.data.panel import Panel

CURRENCY = "currency"
"""What the media of a channel are counted in that has no units of its own."""


@dataclass(frozen=True)
class MediaColumns:
    """Columns of a table's media.

    Attributes:
        paid: channels with spend, whose columns have their names.
        units: column of units by channel, of those that have them.
        organic: channels without spend, whose columns have their names.
        frequency: column of the average frequency by channel, of those whose media are people reached.
    """

    paid: tuple[str, ...]
    units: dict[str, str]
    organic: tuple[str, ...]
    frequency: dict[str, str]

    @classmethod
    def build(
        cls,
        channels: Iterable[str],
        media: Mapping[str, str] | None,
        organic: Iterable[str],
        frequency: Mapping[str, str] | None,
    ) -> Self:
        """The columns, checked.

        Raises:
            PanelError: units of an unknown or an organic channel, frequency of an unknown one or of one without units, or
                no mapping of channel to column.
        """
        paid, free = checks.column_names(channels, "channels"), checks.column_names(organic, "organic")
        if not isinstance(media, Mapping | None):
            raise PanelError(f"`media` must map channels to their columns of units, got {type(media).__name__}.")
        for name in media or {}:
            if name in free:
                raise PanelError(f"`media` names {name!r}, which is organic: its own column holds its media already.")
            if name not in paid:
                raise PanelError(f"`media` names the channel {name!r}; the channels are {', '.join(map(repr, paid))}.")
        return cls(paid, dict(media or {}), free, checked_frequency(frequency, media or {}, paid, free))

    @property
    def channels(self) -> tuple[str, ...]:
        """All channels: those with spend, then the organic ones."""
        return (*self.paid, *self.organic)

    @property
    def roles(self) -> dict[str, list[str]]:
        """Columns besides spend by what they are, for the check that every column has one role."""
        media = {f"media of {name!r}": [column] for name, column in self.units.items()}
        frequency = {f"frequency of {name!r}": [column] for name, column in self.frequency.items()}
        return media | frequency | {"organic": list(self.organic)}

    def spend(self, numbers: Callable[[str], np.ndarray], dates: np.ndarray) -> np.ndarray:
        """Currency of all channels, shape (channel, time); 0 for organic ones."""
        rows = [numbers(name) for name in self.paid]
        for name, row in zip(self.paid, rows, strict=True):
            checks.check_spend_not_negative(row, dates, name)
        return np.stack([*rows, *(np.zeros(len(dates)) for _ in self.organic)])

    def fields(self, numbers: Callable[[str], np.ndarray], dates: np.ndarray, spend: np.ndarray) -> dict:
        """What a panel keeps of it beside the spend; nothing where all media are spend."""
        if not self.units and not self.organic:
            return {}
        columns = self.units | {name: name for name in self.organic}
        rows = [numbers(columns[n]) if n in columns else row for n, row in zip(self.channels, spend, strict=True)]
        for name, row in zip(self.channels, rows, strict=True):
            if name in columns:
                checks.check_media_not_negative(row, dates, name, columns[name])
        found = {"media": np.stack(rows), "units": tuple(columns.get(n, "") for n in self.channels), "organic": self.organic}
        return found | self._frequency_fields(numbers, dates, found["media"])

    def _frequency_fields(self, numbers: Callable[[str], np.ndarray], dates: np.ndarray, media: np.ndarray) -> dict:
        if not self.frequency:
            return {}
        rows = [numbers(self.frequency[n]) if n in self.frequency else np.zeros(len(dates)) for n in self.channels]
        for name, row, reach in zip(self.channels, rows, media, strict=True):
            if name in self.frequency:
                check_frequency(row, reach, dates, name, self.frequency[name])
        columns = tuple(self.frequency.get(name, "") for name in self.channels)
        return {"average_frequency": np.stack(rows), "frequency_columns": columns}


def check_media_vary(panel: "Panel | GeoPanel") -> None:
    """A channel's media are not the same in every row, and units that have spend have some in all.

    Raises:
        PanelError: a channel breaks that; names it.
    """
    units = panel.units or ("",) * len(panel.channels)
    for place, (name, column) in enumerate(zip(panel.channels, units, strict=True)):
        spend, media = panel.spend[place], panel.exposure[place]
        if not column:
            checks.check_channel_varies(spend.ravel(), panel.dates, name)
            continue
        if not frequency_varies(panel, place):
            checks.check_media_vary(media.ravel(), panel.dates, name, column)
        if name not in panel.organic:
            checks.check_units_are_paid(float(spend.sum()), panel.dates, name, column)


def check_same_kinds(new: "Panel", fitted: "Panel", error: type[Exception]) -> None:
    """Raise the error unless both panels, of the same channels, take each one's media as the same kind."""
    for name in fitted.channels:
        ours, theirs = kind_of(new, name), kind_of(fitted, name)
        if ours != theirs:
            raise error(
                f"The fit takes the media of {name!r} as {theirs}, the new panel has them as {ours}. "
                "Give `media=`, `organic=` and `frequency=` to `Panel.from_frame` as for the fit."
            )


def kind_of(panel: "Panel", channel: str) -> str:
    """In words: `organic media`, `units beside spend` or `spend`; the first two may be `with frequency`."""
    beside = " with frequency" if frequency_of(panel, channel) else ""
    if channel in panel.organic:
        return f"organic media{beside}"
    return f"units beside spend{beside}" if unit_of(panel, channel) != CURRENCY else "spend"


def unit_of(panel: "Panel | GeoPanel", channel: str) -> str:
    """What a channel's media are counted in: the name of its column of units, or `currency`."""
    return (panel.units[panel.channels.index(channel)] if panel.units else "") or CURRENCY


def mean_cost(spend: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Currency per unit over the last axis, `sum of spend / sum of units`; NaN where either is 0.

    Args:
        spend: shape (..., time).
        units: shape (..., time).
    """
    paid, bought = spend.sum(axis=-1), units.sum(axis=-1)
    known = (paid > 0) & (bought > 0)
    return np.where(known, paid / np.where(known, bought, 1.0), np.nan)


def media_for(panel: "Panel", spend: np.ndarray) -> np.ndarray | None:
    """Media under other spend: every period's units follow at the period's own cost per unit.

    Where a period had no spend, its units stay, and new spend buys more at the channel's mean cost.

    Args:
        panel: spend and media as they are.
        spend: other spend, shape (channel, time).

    Raises:
        PanelError: spend on an organic channel, or on one whose cost per unit is not known.
    """
    if panel.media is None:
        return None
    _check_none_on_organic(panel, spend)
    cost = mean_cost(panel.spend, panel.media)[:, None]
    anew = (panel.spend == 0) & (spend > 0)
    unknown = np.flatnonzero((anew & ~np.isfinite(cost)).any(axis=1))
    if len(unknown):
        name = panel.channels[unknown[0]]
        raise PanelError(f"Channel {name!r} has no cost per unit in these rows, so that new spend buys nothing known.")
    ratio = np.where(panel.spend > 0, spend / np.where(panel.spend > 0, panel.spend, 1.0), 1.0)
    return panel.media * ratio + np.where(anew, spend / np.where(anew, cost, 1.0), 0.0)


def _check_none_on_organic(panel: "Panel", spend: np.ndarray) -> None:
    for name in panel.organic:
        if np.any(spend[panel.channels.index(name)]):
            raise PanelError(f"Channel {name!r} is organic: it has no spend. Leave its row at 0.")
