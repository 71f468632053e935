"""Experiments: what was measured of a channel by changing its spend, or is known of what its results cost."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd

from mmm_jax.data.checks import check_is_table, day
from mmm_jax.errors import ExperimentError, PanelError

Day = str | np.datetime64
"""A date, as text such as 2024-01-31 or as NumPy's; kept as `datetime64[D]`."""


@dataclass(frozen=True, kw_only=True)
class LiftTest:
    """A test that changed a channel's spend in some periods, and what the outcome changed by.

    The model's answer is the expected outcome with the changed spend minus that with the panel's spend, through adstock and
    saturation, summed over the outcome window. So `delta_spend` is relative to the spend *in the panel*. Where the test is
    part of the panel already, such as a region that went dark, state the way back: the spend that was missing, and the
    outcome that was lost, both with the opposite sign.

    Windows cover whole periods: they begin with a row's first day, and end on a row's date or its last day.

    Attributes:
        channel: whose spend is changed.
        start: first date of the changed spend, and of the outcome window.
        end: last date of the changed spend.
        delta_spend: change per period, in currency, in all geos of the test together; one number, or one for each period.
            The changed spend must not be negative.
        delta_outcome: measured change of the outcome, in units of the target, in total over the outcome window.
        se: standard error of `delta_outcome`, positive.
        geo: where the test ran; `None` for everywhere, with `delta_spend` split in proportion to the geos' spend in the
            window, or equally where there was none.
        outcome_end: last date of the outcome window, if effects were measured longer or shorter than the spend.
        nu: degrees of freedom of the measurement's Student-t error; `math.inf` for a normal one. With few of them, a test
            that the panel contradicts by many standard errors counts as an outlier, and is set aside; a normal error holds
            on to it.
        source: where the measurement is recorded, such as a decision of a ledger; nothing is computed from it.

    Raises:
        ExperimentError: a date that cannot be read, a window that ends before it starts, or a number out of range.

    Example:
        >>> LiftTest(channel="TV", start="2024-03-03", end="2024-03-24", delta_spend=5e3, delta_outcome=3.1e4, se=8e3).nu
        4.0
    """

    channel: str
    start: Day
    end: Day
    delta_spend: float | Sequence[float]
    delta_outcome: float
    se: float
    geo: str | None = None
    outcome_end: Day | None = None
    nu: float = 4.0
    source: str | None = None

    def __post_init__(self) -> None:
        what = f"Lift test of channel {self.channel!r} from {self.start}"
        _checked_names(self, what)
        for name in ("start", "end"):
            _replace(self, name, lambda value, name=name: _day(value, name, what))
        _replace(self, "outcome_end", lambda value: None if value is None else _day(value, "outcome_end", what))
        for name in ("end", "outcome_end"):
            _check_order(self.start, getattr(self, name), name, what)
        _replace(self, "delta_spend", lambda value: _changes(value, what))
        for name, positive in {"delta_outcome": False, "se": True}.items():
            _replace(self, name, lambda value, name=name, positive=positive: _number(value, name, what, positive=positive))
        if self.nu != np.inf:
            _replace(self, "nu", lambda value: _number(value, "nu", what, positive=True))


@dataclass(frozen=True, kw_only=True)
class CostPerTarget:
    """What a channel's results are known to cost: its spend in a window over its contribution there, with a normal error.

    Attributes:
        channel: whose results.
        cost: currency per unit of the target, positive.
        sigma: standard deviation of that knowledge, in the same units, positive.
        start: first date of the window; the first training row by default.
        end: last date of the window; the last training row by default.
        geo: where; `None` for all geos together.

    Raises:
        ExperimentError: a date that cannot be read, a window that ends before it starts, or a number out of range.
    """

    channel: str
    cost: float
    sigma: float
    start: Day | None = None
    end: Day | None = None
    geo: str | None = None

    def __post_init__(self) -> None:
        what = f"Cost per target of channel {self.channel!r}"
        _checked_names(self, what)
        for name in ("start", "end"):
            _replace(self, name, lambda value, name=name: None if value is None else _day(value, name, what))
        _check_order(self.start, self.end, "end", what)
        for name in ("cost", "sigma"):
            _replace(self, name, lambda value, name=name: _number(value, name, what, positive=True))


@dataclass(frozen=True, repr=False)
class LiftTests:
    """Experiments that a fit learns from, or is checked against; immutable.

    Attributes:
        tests: lift tests.
        costs: known costs per target.

    Example:
        >>> LiftTests(costs=[CostPerTarget(channel="TV", cost=12.0, sigma=3.0)])
        LiftTests(0 lift tests, 1 costs per target)
    """

    tests: Sequence[LiftTest] = ()
    costs: Sequence[CostPerTarget] = ()

    def __post_init__(self) -> None:
        for name, kind in {"tests": LiftTest, "costs": CostPerTarget}.items():
            _replace(self, name, tuple)
            for row, found in enumerate(getattr(self, name)):
                if not isinstance(found, kind):
                    raise ExperimentError(f"Entry {row} of `{name}` must be a {kind.__name__}, got {found!r}.")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, costs: Sequence[CostPerTarget] = ()) -> Self:
        """Lift tests from a table with one row per test.

        Args:
            frame: columns `channel, start, end, delta_spend, delta_outcome, se`, and where they are needed `geo`,
                `outcome_end`, `nu` and `source`, in which empty cells stand for the default. Others are not read.
            costs: known costs per target.

        Raises:
            ExperimentError: a column is missing, or a row breaks a rule of `LiftTest`; names row, channel and value. Rows
                are counted from 0.
        """
        try:
            check_is_table(frame)
        except PanelError as error:
            raise ExperimentError(str(error)) from error
        missing = [item.name for item in fields(LiftTest) if item.default is MISSING and item.name not in frame.columns]
        if missing:
            raise ExperimentError(
                f"The table of experiments lacks the column {missing[0]!r}; it has {', '.join(map(repr, frame.columns))}. "
                "Rename the column that means it, or add it."
            )
        return cls([_test_of(row, cells) for row, cells in enumerate(frame.to_dict("records"))], costs)

    def __len__(self) -> int:
        """Number of experiments of both kinds."""
        return len(self.tests) + len(self.costs)

    def __repr__(self) -> str:
        """One line: how many of each kind."""
        return f"LiftTests({len(self.tests)} lift tests, {len(self.costs)} costs per target)"

    @property
    def rows(self) -> tuple[LiftTest | CostPerTarget, ...]:
        """All experiments, in the order in which results name them."""
        return (*self.tests, *self.costs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `from_dict` restores equal experiments."""
        return {"tests": [_plain(test) for test in self.tests], "costs": [_plain(cost) for cost in self.costs]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        tests = [LiftTest(**{**test, "nu": float(test.get("nu", 4.0))}) for test in values["tests"]]
        return cls(tests, [CostPerTarget(**cost) for cost in values["costs"]])

    def fingerprint(self) -> str:
        """SHA-256 of the content: equal experiments have equal fingerprints."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _test_of(row: int, cells: Mapping[Any, Any]) -> LiftTest:
    given = {item.name: cells[item.name] for item in fields(LiftTest) if item.name in cells}
    optional = {item.name for item in fields(LiftTest) if item.default is not MISSING}
    kept = {name: value for name, value in given.items() if not (name in optional and _is_empty(value))}
    kept |= {name: str(kept[name]) for name in ("geo", "source") if name in kept}
    try:
        return LiftTest(**kept)
    except ExperimentError as error:
        raise ExperimentError(f"Row {row}: {error}") from error


def _is_empty(value: Any) -> bool:
    return bool(np.ndim(value) == 0 and pd.isna(value))


def _plain(experiment: LiftTest | CostPerTarget) -> dict[str, Any]:
    """Fields that differ from their defaults, as JSON has them; it has no infinity."""
    found = {item.name: getattr(experiment, item.name) for item in fields(experiment)}
    kept = {item.name: found[item.name] for item in fields(experiment) if found[item.name] != item.default}
    return {name: str(v) if isinstance(v, np.datetime64) or v == np.inf else v for name, v in kept.items()}


def _replace(value: Any, name: str, by: Callable[[Any], Any]) -> None:
    """Set a field of a frozen value while it is made."""
    object.__setattr__(value, name, by(getattr(value, name)))


def _checked_names(experiment: LiftTest | CostPerTarget, what: str) -> None:
    if not isinstance(experiment.channel, str):
        raise ExperimentError(f"{what}: the channel must be a name, got {experiment.channel!r}.")
    if not isinstance(experiment.geo, str | None):
        raise ExperimentError(f"{what}: the geo must be a name or None, got {experiment.geo!r}.")
    source = getattr(experiment, "source", None)
    if not isinstance(source, str | None):
        raise ExperimentError(f"{what}: the source must be text or None, got {source!r}.")


def _day(value: Any, name: str, what: str) -> np.datetime64:
    missing = np.datetime64("NaT", "D")
    try:
        found = missing if _is_empty(value) else day(value, missing)
    except PanelError as error:
        raise ExperimentError(f"{what}, `{name}`: {error}") from error
    if np.isnat(found):
        raise ExperimentError(f"{what}: the date `{name}` is missing. Write it as 2024-01-31.")
    return found


def _check_order(start: Any, end: Any, name: str, what: str) -> None:
    if start is not None and end is not None and end < start:
        raise ExperimentError(f"{what}: `{name}` is {end}, before the start {start}. Swap the two, or correct one.")


def _changes(value: Any, what: str) -> float | tuple[float, ...]:
    if np.ndim(value) == 0:
        return _number(value, "delta_spend", what)
    return tuple(_number(one, "delta_spend", what) for one in value)


def _number(value: Any, name: str, what: str, *, positive: bool = False) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found) or (positive and found <= 0):
        kind = "a positive number" if positive else "a number"
        raise ExperimentError(f"{what}: `{name}` must be {kind}, got {value!r}. Correct it, or leave the experiment out.")
    return found
