"""What a plan's spend must respect, as small objects: sums, boxes, ratios, steps.

Amounts are currency. Every constraint has a label, by which conflicts and shadow prices are reported.
"""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.planning.decisions import Decisions

Names = str | Sequence[str] | None
"""A name, several, or all."""

Dates = tuple[Any, Any] | None
"""First and last date, such as `("2024-01-07", "2024-03-31")`; all where not given."""

Bounds = Mapping[str, tuple[float, float]]
"""Lowest and highest spend by channel."""


class Rows(NamedTuple):
    """`lower <= coefficients @ spend <= upper` for the spend of all cells.

    Attributes:
        coefficients: shape (row, geo, channel, date).
        lower, upper: currency, shape (row,); infinite where there is none.
        label: of the constraint.
        total: whether it is the plan's total, which has a price even where it concerns one number only.
    """

    coefficients: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    label: str
    total: bool = False


class AbstractConstraint(abc.ABC):
    """A linear constraint on the spend of the cells."""

    @abc.abstractmethod
    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """Its rows.

        Args:
            decisions: the cells.
            before: spend of the last known period, (geo, channel).

        Raises:
            PlanError: it names what does not exist, or cannot be expressed in what is decided.
        """


@dataclass(frozen=True)
class Total(AbstractConstraint):
    """Spend of all channels, geos and dates together.

    Attributes:
        amount: currency, positive.
        at_most: whether less may be spent.
        per: over the horizon, or in every single period.
    """

    amount: float
    at_most: bool = False
    per: Literal["horizon", "period"] = "horizon"
    label: str = ""

    def __post_init__(self) -> None:
        check_amount(self, "total", self.amount)
        if self.per not in ("horizon", "period"):
            raise PlanError(f"`per` must be 'horizon' or 'period', got {self.per!r}.")

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """One row, or one per date."""
        cells = decisions.selected(None)
        coefficients = _each_date(cells) if self.per == "period" else cells[None]
        upper = np.full(len(coefficients), float(self.amount))
        each = " in every period" if self.per == "period" else ""
        word = "at most " if self.at_most else ""
        label = self.label or f"the total of {word}{self.amount:,.2f}{each}"
        lower = np.full_like(upper, -np.inf) if self.at_most else upper
        return Rows(coefficients, lower, upper, label, total=True)


@dataclass(frozen=True)
class Box(AbstractConstraint):
    """Lowest and highest spend of every single cell (date and geo) of channels.

    Attributes:
        channels, dates, geos: which cells; all where not given.
        lower, upper: currency per period.
    """

    channels: Names = None
    lower: float = 0.0
    upper: float = np.inf
    dates: Dates = None
    geos: Names = None
    label: str = ""

    def __post_init__(self) -> None:
        _check_range(self, self.lower, self.upper, "`lower` and `upper` of a Box")

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """One row per cell."""
        chosen = decisions.selected(self.channels, self.dates, self.geos)
        places = np.argwhere(chosen)
        coefficients = np.zeros((len(places), *chosen.shape))
        coefficients[(np.arange(len(places)), *places.T)] = 1.0
        low, high = (np.full(len(places), float(bound)) for bound in (self.lower, self.upper))
        label = self.label or f"every period of {named(self.channels)} {_range(self.lower, self.upper)}{_when(self.dates)}"
        return Rows(coefficients, low, high, label)


@dataclass(frozen=True)
class Group(AbstractConstraint):
    """Lowest and highest spend of channels together.

    Attributes:
        channels, dates, geos: which cells are summed; all where not given.
        lower, upper: currency.
        per: of the sum over the dates, or of every single period.
    """

    channels: Names
    lower: float = 0.0
    upper: float = np.inf
    dates: Dates = None
    geos: Names = None
    per: Literal["horizon", "period"] = "horizon"
    label: str = ""

    def __post_init__(self) -> None:
        _check_range(self, self.lower, self.upper, "`lower` and `upper` of a Group")

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """One row, or one per date."""
        chosen = decisions.selected(self.channels, self.dates, self.geos)
        coefficients = _each_date(chosen) if self.per == "period" else chosen[None]
        low, high = (np.full(len(coefficients), float(bound)) for bound in (self.lower, self.upper))
        each = " in every period" if self.per == "period" else ""
        label = self.label or f"{named(self.channels)} together {_range(self.lower, self.upper)}{each}{_when(self.dates)}"
        return Rows(coefficients, low, high, label)


@dataclass(frozen=True)
class Ratio(AbstractConstraint):
    """Spend of channels relative to that of others, or to the whole plan's.

    Attributes:
        channels: whose spend.
        of: relative to whose; to all channels' where not given.
        lower, upper: dimensionless, such as 0.4 for at least 40 %.
        dates, geos: which cells count; all where not given.
    """

    channels: Names
    of: Names = None
    lower: float = 0.0
    upper: float = np.inf
    dates: Dates = None
    geos: Names = None
    label: str = ""

    def __post_init__(self) -> None:
        _check_range(self, self.lower, self.upper, "`lower` and `upper` of a Ratio")

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """One row per bound: `part - bound * whole`."""
        part, whole = (decisions.selected(names, self.dates, self.geos) for names in (self.channels, self.of))
        signs = [(1.0, self.lower)] if self.lower > 0 else []
        signs += [(-1.0, self.upper)] if np.isfinite(self.upper) else []
        if not signs:
            raise PlanError(f"A Ratio of {named(self.channels)} needs `lower` or `upper`.")
        rows = np.stack([sign * (part - bound * whole) for sign, bound in signs])
        against = "all spend" if self.of is None else named(self.of)
        label = self.label or f"{named(self.channels)} {_range(self.lower, self.upper)} of {against}"
        return Rows(rows, np.zeros(len(rows)), np.full(len(rows), np.inf), label)


@dataclass(frozen=True)
class Step(AbstractConstraint):
    """Most that a channel's spend may change from one period to the next.

    Attributes:
        channels, geos: each of which is held; all where not given.
        up, down: currency, or a share of the period before where `relative`; no limit where not given.
        relative: whether `up` and `down` are shares.
        from_before: whether the first period is held to the last known one as well.
    """

    channels: Names = None
    up: float = np.inf
    down: float = np.inf
    relative: bool = False
    from_before: bool = False
    geos: Names = None
    label: str = ""

    def __post_init__(self) -> None:
        check_amount(self, "up", self.up, least=0.0, finite=False)
        check_amount(self, "down", self.down, least=0.0, finite=False)

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """Up to two rows per channel, geo and step."""
        chosen = decisions.selected(self.channels, None, self.geos)
        found = [self._of(geo, channel, decisions, before) for geo, channel in np.argwhere(chosen.any(axis=2))]
        coefficients, upper = (np.concatenate(parts) for parts in zip(*found, strict=True))
        label = self.label or f"steps of {named(self.channels)} of at most {self._words()}"
        if not len(upper):
            raise PlanError(f"There are no {label}: the horizon has 1 date. Set `from_before`, or leave them out.")
        return Rows(coefficients, np.full(len(upper), -np.inf), upper, label)

    def _of(self, geo: int, channel: int, decisions: Decisions, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = decisions.shares.shape
        change, known = np.eye(shape[2]), np.eye(shape[2], k=-1)
        constant = np.zeros(shape[2])
        constant[0] = before[geo, channel]
        kept = slice(None) if self.from_before else slice(1, None)
        rows, limits = [], []
        for sign, limit in ((1.0, self.up), (-1.0, self.down)):
            if np.isfinite(limit):
                factor = 1 + sign * limit if self.relative else 1.0
                rows.append(sign * (change - factor * known)[kept])
                limits.append(sign * factor * constant[kept] + (0.0 if self.relative else limit))
        if not rows:
            raise PlanError("A Step needs `up` or `down`.")
        table = np.zeros((sum(map(len, rows)), *shape))
        table[:, geo, channel] = np.concatenate(rows)
        return table, np.concatenate(limits)

    def _words(self) -> str:
        unit = "%" if self.relative else ""
        factor = 100 if self.relative else 1
        parts = [f"{in_words(factor * self.up)}{unit} up"] if np.isfinite(self.up) else []
        parts += [f"{in_words(factor * self.down)}{unit} down"] if np.isfinite(self.down) else []
        return " and ".join(parts)


@dataclass(frozen=True)
class SameAcrossGeos(AbstractConstraint):
    """Equal spend of a channel in all geos, or in proportion to given weights, in every period.

    Attributes:
        channels: each of which; all where not given.
        weights: by geo, such as its population; equal where not given.
    """

    channels: Names = None
    weights: Mapping[str, float] | None = None
    label: str = ""

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """One row per channel, date and geo but the first."""
        if not decisions.geographic:
            raise PlanError("`SameAcrossGeos` needs a plan of several geos.")
        chosen, weights = decisions.selected(self.channels)[0], self._weights(decisions.geos)
        places = np.argwhere(chosen)
        rows = np.zeros((len(places) * (len(weights) - 1), *decisions.shares.shape))
        for number, (channel, date) in enumerate(places):
            for geo in range(1, len(weights)):
                row = rows[number * (len(weights) - 1) + geo - 1]
                row[geo, channel, date], row[0, channel, date] = 1 / weights[geo], -1 / weights[0]
        zero = np.zeros(len(rows))
        return Rows(rows, zero, zero, self.label or f"the same spend on {named(self.channels)} in all geos")

    def _weights(self, geos: Sequence[str]) -> np.ndarray:
        if self.weights is None:
            return np.ones(len(geos))
        if set(self.weights) != set(geos):
            raise PlanError(f"`weights` of SameAcrossGeos must name each of {', '.join(geos)}.")
        found = np.array([float(self.weights[geo]) for geo in geos])
        if not (np.isfinite(found) & (found > 0)).all():
            raise PlanError("`weights` of SameAcrossGeos must be positive.")
        return found


class BoundsRows(NamedTuple):
    """`bounds` of a plan: of each channel's spend over all dates and geos."""

    channel: str
    low: float
    high: float

    def rows(self, decisions: Decisions, before: np.ndarray) -> Rows:
        """One row."""
        cells = decisions.selected(self.channel)[None]
        return Rows(cells, np.array([self.low]), np.array([self.high]), f"the bounds of {self.channel!r}")


def checked_bounds(bounds: Bounds | None, channels: Sequence[str], factor: float) -> list[BoundsRows]:
    """The boxes of the channels' totals, as constraints.

    Args:
        bounds: lowest and highest spend by channel; channels that are not named may have anything.
        channels: all channels of the fit.
        factor: horizon's currency per unit of `bounds`.

    Raises:
        PlanError: unknown channel, or a bound that is not a usable number.
        InfeasibleError: a lower bound above its upper one.
    """
    given = dict(bounds or {})
    unknown = sorted(set(given) - set(channels))
    if unknown:
        raise PlanError(f"`bounds` names the channel {unknown[0]!r}; the fit has {', '.join(channels)}.")
    boxes = {channel: _checked_box(channel, box) for channel, box in given.items()}
    return [BoundsRows(channel, low * factor, high * factor) for channel, (low, high) in boxes.items()]


def _checked_box(channel: str, box: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in box)
    except (TypeError, ValueError) as error:
        raise PlanError(f"The bounds of {channel!r} must be two numbers (lowest, highest), got {box!r}.") from error
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise PlanError(f"The bounds of {channel!r} must be finite and at least 0, got ({low}, {high}).")
    if low > high:
        raise InfeasibleError(f"The lower bound of {channel!r}, {low:,.2f}, is above its upper bound, {high:,.2f}.")
    return low, high


def checked_total(total: float) -> float:
    """A positive number.

    Raises:
        PlanError: it is not.
    """
    try:
        amount = float(total)
    except (TypeError, ValueError) as error:
        raise PlanError(f"`total` must be a positive number, got {total!r}.") from error
    if not (np.isfinite(amount) and amount > 0):
        raise PlanError(f"`total` must be a positive number, got {amount:g}.")
    return amount


def check_amount(what: object, name: str, value: float, *, least: float = 1e-300, finite: bool = True) -> None:
    """Raise a `PlanError` unless an object's amount is a number of at least `least`, and finite where it must be."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not np.isnan(value)
    if not number or value < least or (finite and not np.isfinite(value)):
        words = "positive" if least > 0 else "a number" if least < 0 else "at least 0"
        raise PlanError(f"`{name}` of {type(what).__name__} must be {words}, got {value!r}.")


def _check_range(what: object, lower: float, upper: float, words: str) -> None:
    try:
        sound = 0 <= lower <= upper and np.isfinite(lower)
    except TypeError:
        sound = False
    if not sound:
        if isinstance(lower, (int, float)) and isinstance(upper, (int, float)) and lower > upper:
            raise InfeasibleError(f"{words} exclude each other: {lower:,.4g} is above {upper:,.4g}.")
        raise PlanError(f"{words} must be numbers of at least 0, got ({lower!r}, {upper!r}).")


def _each_date(chosen: np.ndarray) -> np.ndarray:
    """One row per date that has chosen cells."""
    dates = np.flatnonzero(chosen.any(axis=(0, 1)))
    rows = np.zeros((len(dates), *chosen.shape))
    rows[np.arange(len(dates)), :, :, dates] = chosen.transpose(2, 0, 1)[dates]
    return rows


def named(names: Names) -> str:
    """The words for channels."""
    if names is None:
        return "all channels"
    return repr(names) if isinstance(names, str) else " + ".join(map(repr, names))


def in_words(number: float) -> str:
    """A number of a label: whole from 1,000 on, else with four digits."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:,.4g}"


def _range(lower: float, upper: float) -> str:
    if not np.isfinite(upper):
        return f"at least {in_words(lower)}"
    return f"at most {in_words(upper)}" if lower == 0 else f"from {in_words(lower)} to {in_words(upper)}"


def _when(dates: Dates) -> str:
    return "" if dates is None else f" from {dates[0]} to {dates[1]}"
