"""What the verbs of the ledger write: payloads and arrays, checked before anything is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.data.checks import day
from mmm_jax.errors import LedgerError, PanelError
from mmm_jax.monitoring.decisions import Decision
from mmm_jax.monitoring.predictions import (
    Answering,
    Prediction,
    Predictor,
    check_answers,
    prices_from_dict,
    prices_to_dict,
    read_draws,
)
from mmm_jax.monitoring.records import Record
from mmm_jax.monitoring.spend import GivenSpend, by_channel, labels_of, like, read_spend
from mmm_jax.monitoring.versions import fingerprint, markets_of
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.prices import Price

LONGEST_NAME = 200


@dataclass(frozen=True, eq=False)
class Proposal:
    """A plan before it is written down.

    Attributes:
        spend: over (date, channel[, geo]).
        baseline: what it is compared with.
        source: what can be asked what it brings.
        carry_in: whether spend before the plan works on into it.
        prices: of channels whose media the fit has in units.
        given: draws that were handed in instead, and the model that they come from.
    """

    spend: xr.DataArray
    baseline: xr.DataArray
    source: Answering | None
    carry_in: bool
    prices: Mapping[str, Price]
    given: tuple[Prediction, str] | None = field(default=None)

    def predicted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What the plan is predicted to bring, for the payload and as arrays; nothing known of it without a source."""
        if self.given is not None:
            prediction, model = self.given
            return {"model": model, "drawn_by": "hand", "predicted": prediction.summary()}, prediction.arrays()
        if self.source is None:
            return {"model": None}, {}
        dates = np.asarray(self.spend["date"].values, "datetime64[D]")
        predictor = Predictor.build(self.source, dates, carry_in=self.carry_in, prices=self.prices)
        prediction = predictor.incremental(self.spend, self.baseline)
        return {"model": predictor.model, "drawn_by": "fit", "predicted": prediction.summary()}, prediction.arrays()


def read_proposal(
    plan: Allocation | GivenSpend,
    *,
    baseline: GivenSpend | None,
    fit: Answering | None,
    given: tuple[Any, str | None],
    prices: Mapping[str, Price] | None,
    carry_in: bool,
) -> Proposal:
    """The plan as it will be written down.

    Raises:
        LedgerError: a plan, baseline or draws that cannot be read, or a plan and a fit of different models.
    """
    table = plan.spend if isinstance(plan, Allocation) else plan
    spend = read_spend(table, "The plan")
    compared = like(spend, baseline, "The baseline")
    draws = _given_draws(*given, list(map(str, spend["channel"].values)), fit)
    if isinstance(plan, Allocation):
        stated = plan.problem.statement
        _check_planned_with(plan, fit)
        return Proposal(spend, compared, fit or plan, stated.carry_in, stated.prices or {}, draws)
    if fit is not None:
        check_answers(fit)
    return Proposal(spend, compared, fit, carry_in, prices or {}, draws)


def proposal_payload(proposal: Proposal, target: str | None, currency: str | None, note: str) -> tuple[dict, dict]:
    """The payload of a proposal and its arrays."""
    told, arrays = proposal.predicted()
    payload = {
        **labels_of(proposal.spend),
        "spend_by_channel": by_channel(proposal.spend),
        "baseline_by_channel": by_channel(proposal.baseline),
        "currency": currency,
        "target": target or _target_of(proposal.source),
        "carry_in": proposal.carry_in,
        "prices": prices_to_dict(proposal.prices),
        "note": note,
        **told,
    }
    return payload, {"spend": proposal.spend.to_numpy(), "baseline": proposal.baseline.to_numpy(), **arrays}


def approval_payload(record: Record, fit: Answering | None, given: tuple[Any, str | None]) -> tuple[dict, dict]:
    """The payload of an approval and its arrays: what was proposed, predicted anew where a fit is given.

    Raises:
        LedgerError: nothing is known of what the plan brings, or the proposal was made by another model.
    """
    decision, kept = record.decision, {"spend": record.plan.to_numpy(), "baseline": record.baseline.to_numpy()}
    before = decision.predicted
    if fit is None and given[0] is None:
        if before is None or record.planned is None:
            raise LedgerError(
                f"Nobody has said what {decision.name!r} should bring: approve it with `fit=`, or `draws=` and `model=`."
            )
        told = {name: before.content[name] for name in ("model", "drawn_by", "predicted")}
        return told, {**kept, **record.planned.arrays()}
    told, arrays = as_proposed(record, fit, given).predicted()
    if before is not None:
        _check_model(decision, told["model"], before.content["model"], "proposed")
    return told, {**kept, **arrays}


def delivery_payload(
    record: Record, spend: GivenSpend, fit: Answering | None, given: tuple[Any, str | None]
) -> tuple[dict, dict]:
    """The payload of what was delivered and its arrays.

    Raises:
        LedgerError: spend that does not match the plan's, another model than the one that approved, or one that does not
            repeat what was approved.
    """
    decision, name = record.decision, record.decision.name
    spent = like(record.plan, spend, f"The delivered spend of {name!r}")
    draws = _given_draws(*given, decision.channels, fit)
    if draws is None and fit is None:
        raise LedgerError(
            f"Give `fit=`, the fit that {name!r} was approved with, so that what was delivered can be predicted, too; or "
            f"`draws=` and `model=`."
        )
    prediction, model = draws or _delivered(record, spent, fit)
    _check_model(decision, model, record.model, "approved")
    if record.planned is not None and len(prediction.total) != len(record.planned.total):
        raise LedgerError(
            f"{name!r} was approved with {len(record.planned.total)} draws, delivered with {len(prediction.total)}: they "
            f"must be the same draws, in the same order."
        )
    payload = {"spend_by_channel": by_channel(spent), "model": model, "predicted": prediction.summary()}
    return payload, {"spend": spent.to_numpy(), **prediction.arrays()}


def outcome_payload(decision: Decision, **given: Any) -> dict[str, Any]:
    """The payload of an outcome.

    Raises:
        LedgerError: a number, channel, unit or window that cannot be, or an outcome that is there already.
    """
    what, channel = f"The outcome of {decision.name!r}", given["channel"]
    if channel is not None and channel not in decision.channels:
        raise LedgerError(f"{what} is of the channel {channel!r}; the plan has {', '.join(decision.channels)}.")
    check_same_unit(decision, "target", given["unit"])
    start, end = read_window(given["window"], decision.proposal["dates"], what)
    for name in ("independent", "validation"):
        if not isinstance(given[name], bool):
            raise LedgerError(f"{what}: `{name}` must be True or False, got {given[name]!r}.")
    if not isinstance(given["method"], str) or not given["method"].strip():
        raise LedgerError(f"{what}: `method` says in words how it was measured, got {given['method']!r}.")
    values = {**read_value(given["value"], given["se"], what), "method": given["method"], "channel": channel}
    _check_new(decision, given["method"], channel, (start, end))
    flags = {name: given[name] for name in ("independent", "validation")}
    return {**values, **flags, "start": str(start), "end": str(end), "note": given["note"]}


def read_value(value: Any, se: Any, what: str) -> dict[str, float]:
    """An outcome's numbers.

    Raises:
        LedgerError: one is not finite, or the standard error not positive.
    """
    found = {}
    for name, given, positive in (("value", value, False), ("se", se, True)):
        try:
            found[name] = float(given)
        except (TypeError, ValueError):
            found[name] = np.nan
        if not np.isfinite(found[name]) or (positive and found[name] <= 0):
            kind = "a positive number" if positive else "a finite number"
            raise LedgerError(f"{what}: `{name}` must be {kind}, got {given!r}. Nothing was recorded.")
    return found


def read_window(window: Sequence[Any] | None, dates: Sequence[str], what: str) -> tuple[np.datetime64, np.datetime64]:
    """First and last date; of the plan by default."""
    given = (dates[0], dates[-1]) if window is None else window
    try:
        start, end = (day(one, np.datetime64("NaT", "D")) for one in given)
    except (PanelError, TypeError, ValueError) as error:
        raise LedgerError(f"{what}: the window must be (first date, last date), got {window!r}: {error}") from error
    if np.isnat(start) or np.isnat(end) or end < start:
        raise LedgerError(f"{what}: the window must begin before it ends, got {start} to {end}.")
    return start, end


def check_same_unit(decision: Decision, name: str, given: str | None) -> None:
    """Raise a `LedgerError` if a currency or target is named that is not the proposal's."""
    known = decision.proposal[name]
    if given is not None and given != known:
        told = "no" if known is None else repr(known)
        raise LedgerError(f"{decision.name!r} was proposed with the {name} {told}, not {given!r}. Convert it first.")


def check_name(name: Any) -> str:
    """The name of a decision, if it can be one."""
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise LedgerError(f"A decision's name must be a line of 1 to {LONGEST_NAME} printable characters, got {name!r}.")
    return name


def as_proposed(record: Record, fit: Answering | None, given: tuple[Any, str | None]) -> Proposal:
    """The proposal again, to be asked what it brings."""
    stated, channels = record.decision.proposal, record.decision.channels
    if fit is not None:
        check_answers(fit)
    draws = _given_draws(*given, channels, fit)
    return Proposal(record.plan, record.baseline, fit, stated["carry_in"], prices_from_dict(stated["prices"]), draws)


def _check_planned_with(plan: Allocation, fit: Answering | None) -> None:
    if fit is None:
        return
    check_answers(fit)
    fits = fit.problem.markets.fits if isinstance(fit, Allocation) else fit
    versions = [fingerprint(one) for one in (plan.problem.markets.fits, fits)]
    if versions[0] != versions[1]:
        raise LedgerError(
            f"The plan was made with the model version {versions[0][:12]}, `fit` is {versions[1][:12]}. Leave `fit` out: a "
            f"plan knows its own."
        )


def _given_draws(draws: Any, model: str | None, channels: list[str], fit: Any) -> tuple[Prediction, str] | None:
    if draws is None:
        return None
    if fit is not None:
        raise LedgerError("Give `fit=` or `draws=`, not both.")
    if not isinstance(model, str) or not model.strip():
        raise LedgerError(f"With `draws=`, say by `model=` which version of a model they come from; got {model!r}.")
    return read_draws(draws, channels, "The draws"), model


def _delivered(record: Record, spent: xr.DataArray, fit: Any) -> tuple[Prediction, str]:
    """What was delivered by the fit that approved, once it has proven to be the same one."""
    proposal, name = as_proposed(record, fit, (None, None)), record.decision.name
    dates = np.asarray(record.plan["date"].values, "datetime64[D]")
    predictor = Predictor.build(fit, dates, carry_in=proposal.carry_in, prices=proposal.prices)
    _check_model(record.decision, predictor.model, record.model, "approved")
    again = predictor.incremental(record.plan, record.baseline)
    if record.planned is None or not _close(again.total, record.planned.total):
        raise LedgerError(
            f"The fit does not repeat what {name!r} was approved with: history, horizon or prices differ. Hand in the plan "
            f"of optimize_budget instead of the fit, made with the same ones."
        )
    return predictor.incremental(spent, record.baseline), predictor.model


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-6 * float(np.abs(other).max()))


def _check_model(decision: Decision, model: str, expected: str, done: str) -> None:
    if model != expected:
        raise LedgerError(
            f"{decision.name!r} was {done} with the model version {expected[:12]}, this one is {model[:12]}. Use the fit of "
            f"then, or propose a decision of its own with the new one."
        )


def _check_new(decision: Decision, method: str, channel: str | None, window: tuple[Any, Any]) -> None:
    for one in decision.outcomes.values():
        if (one.method, one.channel, (one.start, one.end)) == (method, channel, window):
            raise LedgerError(
                f"{decision.name!r} has an outcome of {channel or 'all channels'} by {method!r} over these dates already, "
                f"number {one.number}. If it was wrong, restate it."
            )


def _target_of(source: Answering | None) -> str | None:
    if source is None:
        return None
    fits = source.problem.markets.fits if isinstance(source, Allocation) else markets_of(source)
    return next(iter(fits.values())).panel.target_name
