"""Outcomes back into training: which of them the next fit may learn from, and how much they still count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import pandas as pd

from mmm_jax.data.checks import day
from mmm_jax.data.experiments import LiftTest, LiftTests
from mmm_jax.errors import LedgerError, PanelError
from mmm_jax.monitoring.decisions import Outcome
from mmm_jax.monitoring.proposals import read_window
from mmm_jax.monitoring.records import Record

HALF_LIFE = 52.0
"""Age in weeks at which a measurement counts half: what a channel brings wanders, so that its variance doubles."""


@dataclass(frozen=True)
class Request:
    """Which outcomes are asked for; see `Ledger.calibration`.

    Attributes:
        since: a measurement that ended earlier stays out.
        independent: only outcomes that were measured apart from sales.
        window: first and last date that the next fit trains on.
        as_of: the day from which age counts.
        half_life: in weeks.
        validation: those that are kept to check models with, rather than all others.
    """

    since: np.datetime64 | None
    independent: bool
    window: tuple[np.datetime64, np.datetime64] | None
    as_of: np.datetime64
    half_life: float
    validation: bool = False

    @classmethod
    def read(cls, since: Any, independent: bool, window: Sequence[Any] | None, as_of: Any, half_life: float) -> Self:
        """From what people hand in.

        Raises:
            LedgerError: a date that cannot be read, or a half-life that is not positive.
        """
        if not half_life > 0:
            raise LedgerError(f"`half_life` must be a positive number of weeks, got {half_life!r}.")
        trained = None if window is None else read_window(window, (), "The training window")
        last = _today() if trained is None else trained[1]
        return cls(None if since is None else _day(since, last), independent, trained, _day(as_of, last), half_life)

    @classmethod
    def for_validation(cls) -> Self:
        """All outcomes that are kept to check models with, as they were measured."""
        return cls(None, False, None, _today(), np.inf, validation=True)

    def age(self, outcome: Outcome) -> float:
        """Weeks since the measurement ended."""
        return max(float((self.as_of - outcome.end) / np.timedelta64(7, "D")), 0.0)

    def grown(self, outcome: Outcome) -> float:
        """The standard error today: `se * sqrt(1 + age / half_life)`."""
        return outcome.se * float(np.sqrt(1.0 + self.age(outcome) / self.half_life))


def lift_tests(records: Sequence[Record], request: Request) -> LiftTests:
    """The outcomes that may be used, as lift tests.

    Raises:
        LedgerError: one would count twice.
    """
    pairs = [(record, one) for record in records for one in record.decision.outcomes.values()]
    for record, outcome in pairs:
        if (words := _counted_twice(outcome, request)) and not _reason_out(record, outcome, request):
            raise LedgerError(words)
    return LiftTests([_lift_test(*pair, request) for pair in pairs if not _reason_out(*pair, request)])


def calibration_table(records: Sequence[Record], request: Request) -> pd.DataFrame:
    """Every outcome with whether it is used, and why not."""
    rows = []
    for record in records:
        for one in record.decision.outcomes.values():
            reason = _reason_out(record, one, request) or _counted_twice(one, request)
            numbers = (request.age(one), one.se, request.grown(one))
            rows.append((one.decision, one.number, record.about(one), *numbers, not reason, reason))
    columns = ["decision", "outcome", "channel", "age", "se", "se_used", "used", "reason"]
    return pd.DataFrame(rows, columns=columns).set_index(["decision", "outcome"])


def _counted_twice(outcome: Outcome, request: Request) -> str:
    """Why an outcome would count twice, if it would."""
    what = f"The outcome {outcome.number} of {outcome.decision!r} was read off sales ({outcome.method})"
    if outcome.independent or request.validation:
        return ""
    if request.window is None:
        return f"{what}: give `training_window=`, since in a fit to the same sales it would count twice."
    start, end = request.window
    if outcome.start <= end and outcome.end >= start:
        return (
            f"{what} from {outcome.start} to {outcome.end}, on which the next fit trains: it would count twice. Leave it "
            f"out by `independent=True`, or train on other dates."
        )
    return ""


def _reason_out(record: Record, outcome: Outcome, request: Request) -> str:
    """Why an outcome stays out, if it does."""
    return _not_asked_for(record, outcome, request) or _no_lift_test(record, outcome)


def _not_asked_for(record: Record, outcome: Outcome, request: Request) -> str:
    if outcome.validation != request.validation:
        return "kept for validation" if outcome.validation else "not kept for validation"
    if request.independent and not outcome.independent:
        return "read off sales, not measured apart from them"
    if request.since is not None and outcome.end < request.since:
        return f"it ended on {outcome.end}, before {request.since}"
    if outcome.independent and request.window is not None and not _within(record, outcome, request.window):
        return "its dates are not all in the training window"
    return ""


def _no_lift_test(record: Record, outcome: Outcome) -> str:
    channel = record.about(outcome)
    if channel is None:
        return "of several channels together: a lift test is of one"
    change = record.way_back().sel(channel=channel)
    if not bool((change != 0).any()):
        return f"the spend of {channel!r} was the baseline's"
    if "geo" in change.dims and int((change != 0).any("date").sum()) > 1:
        return "several geos were moved: a lift test names one, or moves all in proportion"
    if outcome.start > np.datetime64(record.decision.proposal["dates"][0]):
        return f"measured from {outcome.start} on only, after the spend began"
    return ""


def _within(record: Record, outcome: Outcome, window: tuple[np.datetime64, np.datetime64]) -> bool:
    dates = np.array([*record.decision.proposal["dates"], outcome.end], "datetime64[D]")
    return bool(dates.min() >= window[0] and dates.max() <= window[1])


def _lift_test(record: Record, outcome: Outcome, request: Request) -> LiftTest:
    channel, dates = record.about(outcome), record.decision.proposal["dates"]
    change, geo = record.way_back().sel(channel=channel), None
    if "geo" in change.dims:
        geo = str(change["geo"].values[int(np.argmax((change != 0).any("date").to_numpy()))])
        change = change.sel(geo=geo)
    return LiftTest(
        channel=str(channel),
        start=dates[0],
        end=dates[-1],
        delta_spend=[float(one) for one in change.to_numpy()],
        delta_outcome=-outcome.value,
        se=request.grown(outcome),
        geo=geo,
        outcome_end=outcome.end if outcome.end > np.datetime64(dates[-1]) else None,
        source=f"{outcome.decision}#{outcome.number}",
    )


def _day(value: Any, default: np.datetime64) -> np.datetime64:
    try:
        return day(value, default)
    except PanelError as error:
        raise LedgerError(str(error)) from error


def _today() -> np.datetime64:
    return np.datetime64(datetime.now(UTC).date(), "D")
