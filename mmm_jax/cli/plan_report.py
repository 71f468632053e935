"""A plan on the screen: what to spend, what that gains, why it is the best, and what binds."""

import math
from typing import Any

from mmm_jax.cli import geo_report, plan_tables
from mmm_jax.cli.plan_parts import described
from mmm_jax.cli.planning import Planned
from mmm_jax.cli.results import PROB
from mmm_jax.cli.screen import Screen, amount, percent
from mmm_jax.cli.words import counted
from mmm_jax.fitting.labels import interval
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.certificate import AT_LOWER, AT_UPPER, LOCKED, Certificate

LOCAL_OPTIMA = 1e-6
"""Relative spread of the starts' ends above which there are several local optima."""

_MOST_PEAKS = 8
"""Peaks that are told of a plan beyond what was observed."""

BEYOND = "*"
"""Marks what lies beyond what was observed."""


def say(screen: Screen, planned: Planned, reference_name: str = "Reference") -> None:
    """The plan by channel, what it gains, why it is the best, and the tables that were asked for."""
    _show_channels(screen, planned, reference_name)
    geo_report.show_spend(screen, planned.plan, planned.reference)
    _say_beyond(screen, planned.plan)
    _say_media(screen, planned.plan)
    screen.say()
    _say_goal(screen, planned)
    _say_gain(screen, planned, reference_name)
    _say_objective(screen, planned)
    _say_certificate(screen, planned)
    plan_tables.show_binding(screen, planned)
    plan_tables.show_scenarios(screen, planned, reference_name)
    plan_tables.show_frontier(screen, planned)
    plan_tables.show_sensitivity(screen, planned)


def _show_channels(screen: Screen, planned: Planned, reference_name: str) -> None:
    dates = planned.plan.spend["date"].values.astype("datetime64[D]")
    title = f"Plan of {amount(planned.plan.total)} over {counted(len(dates), 'period')} from {dates[0]} to {dates[-1]}"
    apart = _apart(planned.plan)
    state = f"{' and '.join(f'{name}s' for name in apart).capitalize()} at bound" if apart else "State"
    columns = ["Channel", reference_name, "Plan", "Change", state, "Marginal return"]
    screen.table(title, columns, [_row(planned, str(name)) for name in planned.plan.spend["channel"].values])


def _row(planned: Planned, name: str) -> list[str]:
    plan = planned.plan
    new, old = float(plan.channel_spend.sel(channel=name)), float(planned.reference.sel(channel=name).sum())
    change = percent(new / old - 1, sign=True) if old else "-"
    beyond = BEYOND if bool(plan.extrapolation["beyond"].sel(channel=name).any()) else ""
    marginal = float(plan.channel_marginal_return.sel(channel=name))
    return [name + beyond, amount(old), amount(new), change, _state(plan, name), amount(marginal)]


def _apart(plan: Allocation) -> list[str]:
    """What is decided apart besides the channels."""
    return [str(name) for name in plan.certificate.state.dims if name != "channel"]


def _state(plan: Allocation, name: str) -> str:
    state = plan.certificate.state.sel(channel=name)
    if not _apart(plan):
        return str(state.item()).removesuffix(" bound")
    kinds = {"low": AT_LOWER, "high": AT_UPPER, "locked": LOCKED}
    counts = {words: int((state == kind).sum()) for words, kind in kinds.items()}
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count) or "none"


def _say_beyond(screen: Screen, plan: Allocation) -> None:
    table: Any = plan.extrapolation.to_dataframe()
    rows = table[table["beyond"]].to_dict("index")
    if rows:
        pairs = {
            _place(name): [amount(row[which]) for which in ("planned_peak", "observed_peak")] for name, row in rows.items()
        }
        shown = list(pairs.items())[:_MOST_PEAKS]
        peaks = "; ".join(f"{name}: {planned} against {observed}" for name, (planned, observed) in shown)
        peaks += f"; and {len(pairs) - len(shown)} more" if len(pairs) > len(shown) else ""
        words = f"{BEYOND} More in a period than ever observed, where the response is the curve's guess ({peaks})."
        screen.say(f"\n{words}", style="yellow")


def _place(name: Any) -> str:
    """A channel, or a channel in a geo."""
    return " in ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _say_media(screen: Screen, plan: Allocation) -> None:
    """What a unit of media costs, and which channels no plan moves."""
    if plan.unit_costs:
        costs = "; ".join(f"{name}: {amount(cost)} per {unit}" for name, (cost, unit) in plan.unit_costs.items())
        screen.say(f"Cost of a unit of media: {costs}.")
    if plan.organic:
        screen.say(f"Organic, not planned: {', '.join(plan.organic)}.")


def _say_goal(screen: Screen, planned: Planned) -> None:
    if "goal" not in planned.asked:
        return
    goal = planned.asked["goal"]
    how = f"with a probability of {percent(goal['probability'])}" if "probability" in goal else "in expectation"
    screen.say(f"{amount(planned.plan.total)} is the least total that brings {amount(goal['outcome'])} {how}.", style="bold")


def _say_gain(screen: Screen, planned: Planned, reference_name: str) -> None:
    comparison, before = planned.comparison, float(planned.reference.sum())
    gain, plan = interval(comparison.relative_gain, PROB), planned.plan
    low, high = (percent(float(gain[end]), sign=True) for end in ("lower", "upper"))
    error = f" +- {amount(plan.value.error)}" if plan.value.name == "MeanResponse" else ""
    screen.say(
        f"Expected response {amount(float(comparison.plan_response.mean()))}{error}, "
        f"{percent(float(gain['mean']), sign=True)} against the {reference_name.lower()} "
        f"({PROB:.0%} interval {low} to {high})."
    )
    screen.say(f"Probability that the plan is better: {comparison.probability_better:.3f}.")
    if abs(before / plan.total - 1) > 1e-3:
        screen.notice(f"the reference spends {amount(before)}, not the plan's total: part of the gain is due to that.")


def _say_objective(screen: Screen, planned: Planned) -> None:
    """What was maximised, if it is not the mean; and what it is on the draws that the plan was found on, if on others."""
    value = planned.plan.value
    name = described(planned.asked["objective"]) if "objective" in planned.asked else value.name
    if value.name != "MeanResponse":
        screen.say(f"Maximised: {name}, {amount(value.value)} +- {amount(value.error)} (Monte Carlo error).")
    if not value.same_draws:
        what = "the mean response" if value.name == "MeanResponse" else "it"
        screen.say(f"Found on other draws, on which {what} is {amount(value.found_on)} +- {amount(value.found_error)}.")
    gap = planned.plan.certificate.smoothing_gap
    if math.isfinite(gap) and gap > 1e-4 * abs(value.value):
        screen.say(f"It is short of the best by {amount(gap)} at most, since quantiles are smoothed to be climbed.")


def _say_certificate(screen: Screen, planned: Planned) -> None:
    certificate = planned.plan.certificate
    if not certificate.optimal:
        screen.notice(f"NO OPTIMUM: {certificate.outcome}. {certificate.outcome.advice}")
        return
    residual = f"{certificate.kkt_residual:.0e}" if certificate.kkt_residual else "0"
    more = f" One more unit of spend would bring {amount(certificate.shadow_price)}." if _has_total(planned) else ""
    screen.say(f"Optimal: {_starts(certificate)}, and {_why(planned.plan)} (KKT residual {residual}).{more}", style="green")


def _has_total(planned: Planned) -> bool:
    return planned.plan.problem.statement.total is not None


def _starts(certificate: Certificate) -> str:
    starts, spread = len(certificate.start_values), certificate.start_spread
    if certificate.concave:
        best = "no other plan is better" if certificate.smoothing_gap == 0 else "but for smoothing, no other plan is better"
        return f"{best}, the problem is concave"
    if starts == 1:
        return "the one start that was made ended there"
    same = spread <= LOCAL_OPTIMA
    return f"all {starts} starts ended there" if same else f"the best of several that {starts} starts found"


def _why(plan: Allocation) -> str:
    if plan.problem.statement.constraints or _apart(plan):
        return "what binds explains all marginal returns"
    return "the marginal returns of the channels between their bounds agree"
