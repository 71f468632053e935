"""The ledger: every decision with what was predicted, what was done and what came of it, in a chain that shows changes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmm_jax.errors import LedgerError
from mmm_jax.monitoring import proposals, tables
from mmm_jax.monitoring.bias import channel_bias
from mmm_jax.monitoring.calibration import HALF_LIFE, Request, calibration_table, lift_tests
from mmm_jax.monitoring.chain import Kind, Verification
from mmm_jax.monitoring.decisions import Decision, found_decision
from mmm_jax.monitoring.one_sided import one_sided_errors
from mmm_jax.monitoring.predictions import Answering
from mmm_jax.monitoring.records import Measurement, Record
from mmm_jax.monitoring.scores import score_outcomes
from mmm_jax.monitoring.spend import GivenSpend
from mmm_jax.monitoring.variance import variance_table
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.prices import Price

if TYPE_CHECKING:
    from mmm_jax.data.experiments import LiftTests
    from mmm_jax.monitoring.events import Arrays, Payload

Day = str | np.datetime64 | date


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Decisions and their outcomes, in events that are only ever added.

    A decision is proposed, approved, delivered and measured; what was wrong is restated, what came to nothing is voided.
    Many processes may write to one ledger.

    Args:
        url: path of an SQLite file, or `postgresql+psycopg://user:password@host/name` (with the extra `postgres`).
        create: make an SQLite file that is not there yet.
        clock_tolerance: seconds by which this machine's clock may be behind that of whoever wrote last.
        clock: the time now, with its zone.

    Raises:
        LedgerError: the database cannot be reached.

    Example:
        >>> import tempfile
        >>> import xarray as xr
        >>> ledger = Ledger(Path(tempfile.mkdtemp()) / "decisions.db")
        >>> at = {"date": ["2024-01-07", "2024-01-14"], "channel": ["TV"]}
        >>> spend = xr.DataArray([[10.0], [10.0]], dims=list(at), coords=at)
        >>> draws = xr.DataArray([[30.0], [50.0]], dims=["draw", "channel"], coords={"channel": ["TV"]})
        >>> name = ledger.propose(spend, name="more TV", draws=draws, model="by hand")
        >>> ledger.approve(name)
        >>> ledger.deliver(name, spend={"TV": 10.0}, draws=draws / 2, model="by hand")
        >>> number = ledger.outcome(name, 18.0, 4.0, method="geo test", independent=True)
        >>> ledger.variance(name).loc["total", ["difference", "execution", "model"]].tolist()
        [-22.0, -20.0, -2.0]
    """

    def __init__(
        self,
        url: str | Path,
        *,
        create: bool = True,
        clock_tolerance: float = 60.0,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        # Here, so that `import mmm_jax` does not load SQLAlchemy.
        from mmm_jax.monitoring.database import Database
        from mmm_jax.monitoring.events import EventStore

        self.database = Database(url, create=create)
        self._store = EventStore(self.database, tolerance=clock_tolerance, clock=clock)

    def __repr__(self) -> str:
        """The place, without its password."""
        return f"Ledger({self.database.shown!r})"

    def propose(
        self,
        plan: Allocation | GivenSpend,
        *,
        name: str,
        baseline: GivenSpend | None = None,
        fit: Answering | None = None,
        draws: Any = None,
        model: str | None = None,
        currency: str | None = None,
        target: str | None = None,
        prices: Mapping[str, Price] | None = None,
        carry_in: bool = True,
        note: str = "",
    ) -> str:
        """Write down a plan, and what it is predicted to bring more than the baseline.

        Args:
            plan: of `optimize_budget`; or spend by date and channel, an array or a table (see `fit` and `draws`).
            name: of the decision, unique in the ledger.
            baseline: what would be spent otherwise, by channel over the horizon or by date; nothing at all by default.
            fit: predicts spend that is no plan of `optimize_budget`; may be left for the approval.
            draws: or else the prediction itself: incremental outcome by draw and channel, in units of the target.
            model: which version of which model `draws` come from.
            currency: of all spend.
            target: unit of the outcome; the fit's name for it by default.
            prices: of channels whose media the fit has in units; a plan knows its own.
            carry_in: let the spend before the horizon work on into it; a plan knows whether it does.
            note: anything worth knowing.

        Returns:
            The name.

        Raises:
            LedgerError: the name is taken, or something cannot be read; nothing was written.
        """
        given = (draws, model)
        proposal = proposals.read_proposal(plan, baseline=baseline, fit=fit, given=given, prices=prices, carry_in=carry_in)
        payload, arrays = proposals.proposal_payload(proposal, target, currency, note)

        def written(events: list) -> "tuple[Payload, Arrays]":
            if events:
                raise LedgerError(f"The ledger has a decision {name!r} already. Give this one another name.")
            return payload, arrays

        self._store.append(proposals.check_name(name), "proposed", written)
        return name

    def approve(
        self,
        decision: str,
        *,
        fit: Answering | None = None,
        draws: Any = None,
        model: str | None = None,
        by: str = "",
        note: str = "",
    ) -> None:
        """Approve a proposal: plan, baseline and the prediction's draws are kept as what was known on that day.

        Args:
            decision: its name.
            fit: the fit that the proposal was made with; needed where it holds no prediction.
            draws: or else the prediction itself, with `model`.
            model: which version `draws` come from.
            by: who approves.
            note: anything worth knowing.

        Raises:
            LedgerError: it is not proposed, nothing predicts it, or the proposal comes from another model version.
        """
        record = self.record(decision)
        record.decision.check_may("approved")
        payload, arrays = proposals.approval_payload(record, fit, (draws, model))
        self._append(decision, "approved", {**payload, "by": by, "note": note}, arrays)

    def deliver(
        self,
        decision: str,
        *,
        spend: GivenSpend,
        fit: Answering | None = None,
        draws: Any = None,
        model: str | None = None,
        currency: str | None = None,
        note: str = "",
    ) -> None:
        """Write down what was spent in truth, and what that is predicted to bring by the model that approved.

        Args:
            decision: its name.
            spend: over the plan's dates and channels; or by channel, spread over the dates as the plan is.
            fit: the fit of the approval.
            draws: or else the prediction itself, its draws in the order of the approval's.
            model: which version `draws` come from.
            currency: of the spend, to be checked.
            note: anything worth knowing.

        Raises:
            LedgerError: it is not approved, the spend does not match the plan's channels, dates or currency, or the fit is
                another one.
        """
        record = self.record(decision)
        record.decision.check_may("delivered")
        proposals.check_same_unit(record.decision, "currency", currency)
        payload, arrays = proposals.delivery_payload(record, spend, fit, (draws, model))
        self._append(decision, "delivered", {**payload, "note": note}, arrays)

    def outcome(
        self,
        decision: str,
        value: float,
        se: float,
        *,
        method: str,
        independent: bool,
        channel: str | None = None,
        window: Sequence[Day] | None = None,
        validation: bool = False,
        unit: str | None = None,
        note: str = "",
    ) -> int:
        """Write down what the delivered spend brought more than the baseline.

        Args:
            decision: its name.
            value: within the window, in units of the target.
            se: its standard error.
            method: how it was measured, such as "geo test".
            independent: measured apart from the sales that models train on. An outcome that was read off these sales must
                not enter a fit to them: it would count twice.
            channel: of which channel it is; `None` for all together.
            window: first and last date that the measurement looked at; those of the plan by default. Predictions hold all
                that comes of the spend, so that it should reach as far as the effects do.
            validation: keep it to check models with: no fit will learn from it.
            unit: of the value, to be checked.
            note: anything worth knowing.

        Returns:
            Its number, by which `restate` and `void` find it.

        Raises:
            LedgerError: nothing was delivered yet, or a number, channel, unit or window that cannot be.
        """
        given = {"value": value, "se": se, "method": method, "independent": independent, "channel": channel}
        given |= {"window": window, "validation": validation, "unit": unit, "note": note}

        def payload(found: Decision) -> "Payload":
            return proposals.outcome_payload(found, **given)

        return self._append(decision, "outcome", payload)

    def restate(
        self,
        decision: str,
        *,
        reason: str,
        value: float | None = None,
        se: float | None = None,
        outcome: int | None = None,
        spend: GivenSpend | None = None,
        fit: Answering | None = None,
        draws: Any = None,
        model: str | None = None,
    ) -> None:
        """Correct an outcome, by `value` and `se`, or what was delivered, by `spend`; what was said before stays readable.

        Args:
            decision: its name.
            reason: why.
            value: the right one; as before by default.
            se: likewise.
            outcome: number of the outcome that was wrong; needed where there are several.
            spend: what was delivered in truth.
            fit: as in `deliver`.
            draws: as in `deliver`.
            model: as in `deliver`.

        Raises:
            LedgerError: there is nothing to correct, or the correction cannot be read.
        """
        told = {"reason": reason}
        if spend is not None:
            if (value, se, outcome) != (None, None, None):
                raise LedgerError("Restate what was delivered and an outcome one after the other.")
            record = self.record(decision)
            record.decision.check_may("restated")
            payload, arrays = proposals.delivery_payload(record, spend, fit, (draws, model))
            self._append(decision, "restated", {**payload, **told, "outcome": None}, arrays)
            return
        if value is None and se is None:
            raise LedgerError(
                "Nothing is restated: give `value=` or `se=` of an outcome, or the `spend=` that was delivered."
            )

        def corrected(found: Decision) -> "Payload":
            before = found.outcome(outcome)
            numbers = (before.value if value is None else value, before.se if se is None else se)
            read = proposals.read_value(*numbers, f"The outcome of {decision!r}")
            return {**read, **told, "outcome": before.number}

        self._append(decision, "restated", corrected)

    def void(self, decision: str, *, reason: str, outcome: int | None = None) -> None:
        """Declare a decision void, or one of its outcomes: it stays readable, and counts for nothing.

        Args:
            decision: its name.
            reason: why.
            outcome: number of the outcome; the whole decision by default.

        Raises:
            LedgerError: it is void already, or has no such outcome.
        """

        def payload(found: Decision) -> "Payload":
            number = None if outcome is None else found.outcome(outcome).number
            return {"reason": reason, "outcome": number}

        self._append(decision, "voided", payload)

    def verify(self, *, head: str | None = None) -> Verification:
        """Recompute all hashes: was any event changed, removed or moved, and is every array what was written?

        Args:
            head: `Verification.head` of an earlier time, noted elsewhere. Whoever can write to the database can make up a
                whole new chain; this one cannot then be among it.

        Returns:
            True or false, with the first event that is not as it was and what happened to it.
        """
        return self._store.verify(head)

    def decisions(self) -> pd.DataFrame:
        """One row per decision: its state, dates, spend, prediction and latest outcome."""
        return tables.decision_table(self._folded())

    def history(self, decision: str) -> pd.DataFrame:
        """One row per event of a decision: number, kind, time (UTC), and what was written.

        Raises:
            LedgerError: there is no such decision.
        """
        return tables.history_table(self._decision(decision).events)

    def variance(self, decision: str) -> pd.DataFrame:
        """Outcome minus prediction, in two parts that add up to it: other spend than planned, and the model's error.

        `O - E[D_plan] = (E[D_delivered] - E[D_plan]) + (O - E[D_delivered])`, for the total and each channel.

        Returns:
            One row per outcome, and per part without one: `planned`, `delivered`, `measured`, `difference`, `execution`
            with `execution_sd` over the draws, `model` with `model_sd` (of the prediction and the measurement together).
            What needs an outcome is NaN without one.

        Raises:
            LedgerError: there is no such decision, or nothing was delivered yet.
        """
        return variance_table(self.record(decision))

    def scores(self, *, prob: float = 0.9) -> pd.DataFrame:
        """How well each outcome was foreseen for what was delivered, the measurement's own error included.

        Args:
            prob: probability of the interval.

        Returns:
            One row per outcome: `pit`, the interval `lower`, `upper`, whether the outcome is `inside`, `crps`. The mean of
            `inside` is the coverage.
        """
        return score_outcomes(self.measurements(), prob)

    def bias(self, *, tau: float = 0.5, prob: float = 0.9, model: str | None = None, key: int = 0) -> pd.DataFrame:
        """By which factor each channel brings more than was predicted; below 1, the model promises too much.

        `O_d ~ Normal(sum_c kappa_c D_dc, se_d^2)` with `log kappa_c ~ Normal(0, tau^2)` and the posterior mean `D_dc` of
        what the channel's delivered spend should have brought.

        Args:
            tau: prior standard deviation of the factor's logarithm.
            prob: probability of the intervals.
            model: only of decisions that this version predicted; all by default.
            key: seed of the draws.

        Returns:
            One row per channel of the decisions that were measured: `mean`, `sd`, `lower`, `median`, `upper` of the factor,
            `below_one` (the probability that it is), and the number of `outcomes` that hold the channel.

        Raises:
            LedgerError: `tau` or `prob` out of range.
        """
        found = [one for one in self.measurements() if model in (None, one.model)]
        return channel_bias(found, tau=tau, prob=prob, key=key)

    def one_sided_errors(self, alpha: float = 0.05, *, tau: float = 0.5) -> pd.DataFrame:
        """Channels whose outcomes err in one direction; see `mmm_jax.monitoring.one_sided.one_sided_errors`.

        Args:
            alpha: false discovery rate over the channels.
            tau: standard deviation of the factor's logarithm where a channel is wrong.
        """
        return one_sided_errors(self.measurements(), alpha=alpha, tau=tau)

    def calibration(
        self,
        since: Day | None = None,
        independent: bool = True,
        *,
        training_window: Sequence[Day] | None = None,
        as_of: Day | None = None,
        half_life: float = HALF_LIFE,
    ) -> "LiftTests":
        """Outcomes as experiments for the next `fit(..., experiments=)`, each with its `source` in this ledger.

        The delivered spend is taken to be part of the panel, so that a row says what is lost by the way back to the
        baseline. Errors grow with age as `se * sqrt(1 + age / half_life)`: what is `half_life` old counts half.

        Args:
            since: first date on which a measurement may have ended.
            independent: only outcomes that were measured apart from sales.
            training_window: first and last date that the next fit trains on. Outcomes of other dates stay out; one that was
                read off the sales of these dates is refused.
            as_of: the day from which age counts; the window's last one by default, else today.
            half_life: in weeks; `math.inf` for errors that do not grow.

        Returns:
            Lift tests. `calibration_table` says for every outcome of the ledger whether it is among them, or why not.

        Raises:
            LedgerError: an outcome would count twice: it was read off sales, and the window is not known or holds them.
        """
        request = Request.read(since, independent, training_window, as_of, half_life)
        return lift_tests(self.records(), request)

    def calibration_table(
        self,
        since: Day | None = None,
        independent: bool = True,
        *,
        training_window: Sequence[Day] | None = None,
        as_of: Day | None = None,
        half_life: float = HALF_LIFE,
    ) -> pd.DataFrame:
        """Every outcome: whether `calibration` uses it (`used`, `reason`), its `age` in weeks, `se` and `se_used`."""
        request = Request.read(since, independent, training_window, as_of, half_life)
        return calibration_table(self.records(), request)

    def validation(self) -> "LiftTests":
        """Outcomes that were kept to check models with, for `fit.predict_experiments`; their errors do not grow."""
        return lift_tests(self.records(), Request.for_validation())

    def record(self, decision: str) -> Record:
        """A decision with its arrays.

        Raises:
            LedgerError: there is no such decision.
        """
        return self._record(self._decision(decision))

    def records(self) -> list[Record]:
        """All decisions with their arrays, without those that were voided."""
        return [self._record(one) for one in self._folded() if one.state != "voided"]

    def measurements(self) -> list[Measurement]:
        """All outcomes that count, each with its prediction, in the order in which they were written."""
        measured = [self._record(one) for one in self._folded() if one.outcomes]
        found = [one for record in measured for one in record.measurements()]
        return sorted(found, key=lambda one: one.outcome.number)

    def _decision(self, name: str) -> Decision:
        return found_decision(name, self._store.events(name))

    def _folded(self) -> list[Decision]:
        return tables.by_decision(self._store.events())

    def _record(self, decision: Decision) -> Record:
        events = {event.sequence: event for event in (decision.events[0], decision.predicted, decision.delivered) if event}
        return Record.build(decision, {number: self._store.arrays(event) for number, event in events.items()})

    def _append(
        self, name: str, kind: Kind, payload: "Payload | Callable[[Decision], Payload]", arrays: "Arrays | None" = None
    ) -> int:
        """Write an event of a decision that may have it; whatever forbids it raises, and nothing is written."""

        def written(events: list) -> "tuple[Payload, Arrays]":
            found = found_decision(name, events)
            found.check_may(kind)
            return (payload(found) if callable(payload) else payload), arrays or {}

        return self._store.append(name, kind, written)
