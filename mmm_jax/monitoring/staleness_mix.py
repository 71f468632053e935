"""The first sign of staleness: money goes to other channels than in the rows that the model learned from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from mmm_jax.data.calendar import Frequency
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError
from mmm_jax.monitoring.staleness_reasons import Reason, exceeds, listed

Window = Literal["same season", "all rows"]

_WORDS = {"same season": "the same time of the year in training", "all rows": "all training rows"}
_MONTH, _DAY = np.timedelta64(1, "M"), np.timedelta64(1, "D")
_APART = {Frequency.DAILY: 0, Frequency.WEEKLY: 3, Frequency.MONTHLY: 3}
"""Days by which a row may lie off the date of the same day in another year and still be the same one of the year."""


@dataclass(frozen=True)
class Mix:
    """Shares of spend, recent ones against those of training; of geos, of all of them together.

    Attributes:
        distance: half the sum of the absolute differences of the shares, between 0 and 1: the part of the budget that has
            moved to other channels.
        threshold: beyond, the model is stale.
        window: what recent rows are compared with: training rows of the `same season`, that is the same weeks (days,
            months) of the year, where training has all of them; else `all rows` of training.
        recent: share by channel, of all channels that either side has.
        training: likewise.
        first: first recent date, such as 2024-01-31.
        last: last recent date.
        new: channels with recent spend that the fit does not know, the largest first.
        dropped: channels with spend in what is compared and none in the recent rows, or that these do not have at all, the
            largest first.
    """

    distance: float
    threshold: float
    window: Window
    recent: Mapping[str, float]
    training: Mapping[str, float]
    first: str
    last: str
    new: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def stale(self) -> bool:
        """Whether the distance is beyond the threshold."""
        return exceeds(self.distance, self.threshold)

    @property
    def changes(self) -> dict[str, float]:
        """By how much every channel's share has grown, the largest change first."""
        grown = {name: share - self.training[name] for name, share in self.recent.items()}
        return dict(sorted(grown.items(), key=lambda item: -abs(item[1])))

    def reasons(self) -> list[Reason]:
        """That the mix has shifted, and which new channels it has shifted to."""
        if not self.stale:
            return []
        name, change = next(iter(self.changes.items()))
        found = (
            f"{self.distance:.1%} of the budget has moved to other channels since {_WORDS[self.window]} "
            f"(threshold {self.threshold:.1%}); {name} most, by {100 * change:+.1f} points"
        )
        gone = f", and leave {listed(self.dropped)} out if nothing will be spent there any more" if self.dropped else ""
        reasons = [Reason("mix", None, found, "refit", f"Refit the model with the recent rows{gone}.")]
        return [*reasons, *map(self._unknown, self.new)]

    def _unknown(self, channel: str) -> Reason:
        found = f"{channel} is new: {self.recent[channel]:.1%} of recent spend, of which the model knows nothing"
        advice = f"Add {channel} to the panel. Its first rows say little: run an experiment on {channel}."
        return Reason("mix", channel, found, "run an experiment", advice)

    def lines(self) -> list[str]:
        """In words, new and dropped channels included where the mix is not beyond its threshold."""
        words = f"{self.distance:.1%} of the budget moved since {_WORDS[self.window]}, threshold {self.threshold:.1%}"
        shares = [(name, self.recent[name], "new") for name in self.new]
        shares += [(name, self.training[name], "dropped") for name in self.dropped]
        told = [
            f"{name} is {what} ({share:.1%} of {'recent' if what == 'new' else 'training'} spend)"
            for name, share, what in shares
        ]
        return [f"Mix, {self.first} to {self.last}: {words}.", *([f"  {'; '.join(told)}."] if told else [])]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "new": list(self.new), "dropped": list(self.dropped), "stale": self.stale}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        kept = {name: value for name, value in values.items() if name != "stale"}
        return cls(**{**kept, "new": tuple(kept["new"]), "dropped": tuple(kept["dropped"])})


def compare_mix(training: AnyPanel, recent: AnyPanel, threshold: float) -> Mix:
    """The mix of recent rows against that of training, see `Mix`.

    Raises:
        MonitoringError: there is no spend in training or in the recent rows.
    """
    before, now = _together(training), _together(recent)
    spent = dict(zip(now.channels, now.spend.sum(axis=1).tolist(), strict=True))
    usual, window = _usual(before, now)
    if not sum(usual.values()):
        raise MonitoringError("The training rows have no spend at all, so that there is no mix to compare with.")
    if not sum(spent.values()):
        raise MonitoringError(
            f"The recent rows, {now.dates[0]} to {now.dates[-1]}, have no spend at all, and so no mix. Give more rows."
        )
    names = [*before.channels, *(name for name in now.channels if name not in before.channels)]
    names = [name for name in names if usual.get(name) or spent.get(name) or name not in before.organic + now.organic]
    shares, before_shares = ({name: one.get(name, 0.0) / sum(one.values()) for name in names} for one in (spent, usual))
    new = [name for name in now.channels if name not in before.channels and spent[name]]
    return Mix(
        distance=0.5 * sum(abs(shares[name] - before_shares[name]) for name in names),
        threshold=threshold,
        window=window,
        recent=shares,
        training=before_shares,
        first=str(now.dates[0]),
        last=str(now.dates[-1]),
        new=tuple(sorted(new, key=lambda name: -spent[name])),
        dropped=tuple(sorted(_dropped(before, now, usual, spent), key=lambda name: -usual[name])),
    )


def _dropped(training: Panel, recent: Panel, usual: Mapping[str, float], spent: Mapping[str, float]) -> list[str]:
    """Channels that are gone; not those that are there and rest in this season."""
    paid = [name for name in training.channels if name not in training.organic]
    return [name for name in paid if name not in recent.channels or (usual[name] and not spent[name])]


def season_weights(training: np.ndarray, recent: np.ndarray, frequency: Frequency) -> np.ndarray | None:
    """How much each training row counts in what recent rows are compared with, shape (time,).

    Every recent row counts once, spread evenly over the training rows of the same time of the year; `None` where some
    recent row has no such row.

    Args:
        training: dates, `datetime64[D]`.
        recent: later dates, likewise.
        frequency: of both.
    """
    same = np.zeros((len(recent), len(training)))
    years = int((recent[-1] - training[0]) / np.timedelta64(365, "D")) + 1
    for back in range(1, years + 1):
        distance = np.abs((training - _years_before(recent, back)[:, None]).astype(int))
        nearest = distance.argmin(axis=1)
        found = np.flatnonzero(distance[np.arange(len(recent)), nearest] <= _APART[frequency])
        same[found, nearest[found]] = 1.0
    count = same.sum(axis=1, keepdims=True)
    return (same / count).sum(axis=0) if count.all() else None


def _usual(training: Panel, recent: Panel) -> tuple[dict[str, float], Window]:
    """Spend by channel that recent spend is compared with, up to a factor."""
    weights = season_weights(training.dates, recent.dates, training.frequency)
    season = None if weights is None else training.spend @ weights
    found, window = (
        (training.spend.sum(axis=1), "all rows") if season is None or not season.any() else (season, "same season")
    )
    return dict(zip(training.channels, found.tolist(), strict=True)), window


def _years_before(dates: np.ndarray, years: int) -> np.ndarray:
    """The same days of an earlier year; the 28th for the 29th of February."""
    months = dates.astype("datetime64[M]")
    first, following = ((months + _MONTH * (shift - 12 * years)).astype("datetime64[D]") for shift in (0, 1))
    return np.minimum(first + (dates - months.astype("datetime64[D]")), following - _DAY)


def _together(panel: AnyPanel) -> Panel:
    return panel.known_total() if isinstance(panel, GeoPanel) else panel
