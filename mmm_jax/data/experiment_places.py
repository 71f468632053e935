"""Where experiments lie in a panel: from names and dates to rows, with the spend that they compare with."""

from typing import NamedTuple

import numpy as np

from mmm_jax.data.calendar import spans
from mmm_jax.data.experiments import CostPerTarget, Day, LiftTest, LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import ExperimentError

_ROUNDING = 1e-9
"""Of the observed spend: what a changed spend of 0 may miss it by."""


class Part(NamedTuple):
    """One market's part in an experiment.

    Attributes:
        geo: place of the market in the panel.
        other: the channel's spend that the observed one is compared with, shape (time,), in currency.
        rows: whether a row is in the outcome window, and there, shape (time,).
    """

    geo: int
    other: np.ndarray
    rows: np.ndarray


class Place(NamedTuple):
    """One experiment in the panel.

    Attributes:
        channel: place of the channel.
        parts: of its markets.
        spend: in the window, whose cost per target is known; 0 for a lift test.
    """

    channel: int
    parts: tuple[Part, ...]
    spend: float


def places_of(experiments: LiftTests, panel: AnyPanel) -> list[Place]:
    """The experiments in the panel, in the order of `experiments.rows`.

    Raises:
        ExperimentError: an unknown channel or geo, a window that is not made of training rows, changed spend that would be
            negative, or nothing spent where a cost is given; names row, channel, date and value.
    """
    rows = [*enumerate(experiments.tests), *enumerate(experiments.costs)]
    return [_place(_Row(row, one, panel)) for row, one in rows]


def windows_of(experiments: LiftTests, panel: AnyPanel) -> list[tuple[int | None, int | None]]:
    """First and last row of every experiment, its outcome's included, in the order of `experiments.rows`.

    `None` where the experiment leaves an end open, as a known cost may: it is then that of whatever rows are fitted.

    Raises:
        ExperimentError: as of `places_of`.
    """
    places_of(experiments, panel)
    rows = [*enumerate(experiments.tests), *enumerate(experiments.costs)]
    return [_Row(number, one, panel).ends() for number, one in rows]


class _Row:
    """An experiment, its number, and the panel it is looked for in."""

    def __init__(self, number: int, experiment: LiftTest | CostPerTarget, panel: AnyPanel) -> None:
        self.experiment, self.panel = experiment, panel
        window = f", {experiment.start} to {experiment.end}" if experiment.start or experiment.end else ""
        kind = "Lift test" if isinstance(experiment, LiftTest) else "Cost per target"
        self.what = f"{kind} in row {number} (channel {experiment.channel!r}{window})"

    def error(self, words: str) -> ExperimentError:
        return ExperimentError(f"{self.what}: {words}")

    def channel(self) -> int:
        name, known = self.experiment.channel, self.panel.channels
        if name not in known:
            raise self.error(f"the panel has no channel {name!r}; it has {', '.join(map(repr, known))}. Correct the name.")
        if name in self.panel.organic:
            raise self.error(f"{name!r} is organic: it has no spend that a test could have changed. Leave the test out.")
        return known.index(name)

    def markets(self) -> dict[int, Panel]:
        """Markets that the experiment ran in, by their place."""
        geo, panel = self.experiment.geo, self.panel
        if not isinstance(panel, GeoPanel):
            if geo is not None:
                raise self.error(f"it names the geo {geo!r}, but the panel is of one market. Leave the geo empty.")
            return {0: panel}
        if geo is None:
            return dict(enumerate(panel.markets))
        if geo not in panel.geos:
            raise self.error(f"the panel has no geo {geo!r}; it has {', '.join(map(repr, panel.geos))}. Correct the name.")
        return {panel.geos.index(geo): panel[geo]}

    def window(self, start: Day | None, end: Day | None) -> np.ndarray:
        """Whether a row lies between the two dates, shape (time,)."""
        dates = self.panel.dates
        first, after = spans(dates, self.panel.frequency, known=dates)
        begin = 0 if start is None else self._row_at(start, first, "start", "begins")
        stop = len(dates) - 1 if end is None else self._row_at(end, after - np.timedelta64(1, "D"), "end", "ends")
        place = np.arange(len(dates))
        return (place >= begin) & (place <= stop)

    def ends(self) -> tuple[int | None, int | None]:
        """First and last row, `None` where an end is open."""
        one = self.experiment
        later = one.outcome_end if isinstance(one, LiftTest) else None
        last = max((date for date in (one.end, later) if date is not None), default=None)
        rows = np.flatnonzero(self.window(one.start, last))
        return None if one.start is None else int(rows[0]), None if last is None else int(rows[-1])

    def _row_at(self, date: Day, edges: np.ndarray, name: str, verb: str) -> int:
        dates = self.panel.dates
        rows = np.flatnonzero((dates == date) | (edges == date))
        if len(rows):
            return int(rows[0])
        low, high = min(dates[0], edges[0]), max(dates[-1], edges[-1])
        if not low <= date <= high:
            raise self.error(
                f"its {name} is {date}, outside of the training rows from {dates[0]} to {dates[-1]}. Leave the experiment "
                "out, or give rows that cover it."
            )
        raise self.error(
            f"its window {verb} on {date}, within a {self.panel.frequency.period} of the panel; the rows around it are "
            f"dated {dates[dates < date][-1:]} and {dates[dates > date][:1]}. Windows cover whole "
            f"{self.panel.frequency.period}s: move the date to one of them."
        )


def _place(row: _Row) -> Place:
    channel, markets = row.channel(), row.markets()
    if isinstance(row.experiment, LiftTest):
        return Place(channel, _lift(row, row.experiment, channel, markets), 0.0)
    return _cost(row, row.experiment, channel, markets)


def _cost(row: _Row, cost: CostPerTarget, channel: int, markets: dict[int, Panel]) -> Place:
    window = row.window(cost.start, cost.end)
    parts = [Part(geo, np.zeros(len(window)), window & market.present) for geo, market in markets.items()]
    spend = sum(float(markets[part.geo].spend[channel] @ part.rows) for part in parts)
    if spend <= 0:
        raise row.error("nothing was spent in its window, so that its results have no cost. Leave it out.")
    return Place(channel, tuple(parts), spend)


def _lift(row: _Row, test: LiftTest, channel: int, markets: dict[int, Panel]) -> tuple[Part, ...]:
    changed = row.window(test.start, test.end)
    counted = changed if test.outcome_end is None else row.window(test.start, test.outcome_end)
    there = {geo: market for geo, market in markets.items() if market.present[changed].all()}
    if not there:
        raise row.error("no market has all rows of its window. Leave it out, or take fewer dates.")
    changes = _by_date(row, test, changed)
    parts = []
    for geo, share in _shares(there, channel, changed).items():
        other = _changed_spend(row, there[geo], channel, share * changes, geo)
        parts.append(Part(geo, other, counted & there[geo].present))
    return tuple(parts)


def _by_date(row: _Row, test: LiftTest, window: np.ndarray) -> np.ndarray:
    """Change of the spend in every row, shape (time,)."""
    count, changes = int(window.sum()), np.atleast_1d(test.delta_spend)
    if len(changes) not in (1, count):
        raise row.error(f"`delta_spend` has {len(changes)} values, its window {count} rows. Give one, or one for each.")
    found = np.zeros(len(window))
    found[window] = changes
    return found


def _shares(markets: dict[int, Panel], channel: int, window: np.ndarray) -> dict[int, float]:
    """Of the change of spend, each market's part: that of its spend in the window; the same where nothing was spent."""
    spend = np.array([market.spend[channel] @ window for market in markets.values()])
    shares = spend / spend.sum() if spend.sum() > 0 else np.full(len(spend), 1 / len(spend))
    return dict(zip(markets, shares.tolist(), strict=True))


def _changed_spend(row: _Row, market: Panel, channel: int, changes: np.ndarray, geo: int) -> np.ndarray:
    before = market.spend[channel]
    after = before + changes
    bad = np.flatnonzero(after < -_ROUNDING * (before + np.abs(changes)))
    if len(bad):
        where = f" in geo {row.panel.geos[geo]!r}" if isinstance(row.panel, GeoPanel) else ""
        raise row.error(
            f"on {row.panel.dates[bad[0]]}{where}, the change of {changes[bad[0]]:g} would leave negative spend: the panel "
            f"has {before[bad[0]]:g}. Give one `delta_spend` for each row or geo, or, if the panel holds the test already, "
            "the way back (see LiftTest)."
        )
    return np.maximum(after, 0.0)
