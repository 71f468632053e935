"""Tables beside a plan on the screen: what binds, scenarios, other totals, wider bounds."""

from typing import Any

from mmm_jax.cli.planning import Planned
from mmm_jax.cli.results import PROB
from mmm_jax.cli.screen import Screen, amount, compact, percent, span
from mmm_jax.cli.words import counted

INTERVAL = f"{PROB:.0%} interval"

MOST = 12
"""Rows that a table of constraints has at most."""

_NOTHING = 1e-9
"""Gain relative to the objective, and price relative to the largest, that are rounding."""


def show_binding(screen: Screen, planned: Planned) -> None:
    """Constraints that something would be gained by moving, if there are any but the total; and what targets reached."""
    certificate = planned.plan.certificate
    tiny = _NOTHING * max(map(abs, certificate.shadow_prices.values()), default=0.0)
    prices = {label: price for label, price in certificate.shadow_prices.items() if abs(price) > tiny}
    largest = sorted(prices.items(), key=lambda item: -abs(item[1]))
    if certificate.optimal and (len(prices) > 1 or (prices and not certificate.shadow_price)):
        rows = [[label, amount(price)] for label, price in largest[:MOST]]
        screen.table("What binds, and what one more unit of its bound would bring", ["Constraint", "Brings"], rows)
        _say_rest(screen, len(prices) - MOST)
    for label, reached in planned.plan.certificate.targets.items():
        screen.say(f"Reached: {label}: {amount(reached)}.")


def show_scenarios(screen: Screen, planned: Planned, reference_name: str) -> None:
    """The plan, the reference and the scenarios, side by side."""
    if planned.scenarios is None:
        return
    found = planned.scenarios.to_dict("index")
    names = {**{name: name for name in found}, "plan": "Plan", "reference": reference_name}
    rows = [_scenario_row(names[name], row, compared=name != "plan") for name, row in found.items()]
    columns = ["Scenario", "Spend", "Response", "Gain", INTERVAL, "P(better)"]
    screen.table("Scenarios, and what they gain against the plan", columns, rows)
    _explain_stars(screen, rows)


def show_frontier(screen: Screen, planned: Planned) -> None:
    """The best plans for other totals."""
    if planned.frontier is None:
        return
    rows = [_total_row(total, row) for total, row in planned.frontier.to_frame(prob=PROB).to_dict("index").items()]
    columns = ["Total", "Response", INTERVAL, "Per unit", "Next unit brings"]
    screen.table("The best plans for other totals", columns, rows)
    _explain_stars(screen, rows)


def show_sensitivity(screen: Screen, planned: Planned) -> None:
    """What wider bounds would gain, the largest gains first."""
    if planned.sensitivity is None:
        return
    tiny = _NOTHING * abs(planned.plan.value.value)
    found = sorted(planned.sensitivity.to_dict("index").items(), key=lambda item: -item[1]["gain"])
    rows = [[label, compact(row["gain"] if abs(row["gain"]) > tiny else 0.0), amount(row["spend"])] for label, row in found]
    title = f"One bound at a time wider by {percent(planned.asked['sensitivity'])}"
    screen.table(title, ["Constraint", "Gains", "Spend"], rows[:MOST])
    _say_rest(screen, len(rows) - MOST)


def _scenario_row(name: str, row: dict[str, Any], *, compared: bool) -> list[str]:
    star = "*" if row["beyond_observed"] else ""
    spent = [name + star, amount(row["spend"]), compact(row["response"])]
    if not compared:
        return [*spent, "-", "-", "-"]
    gained = span(row["difference_lower"], row["difference_upper"], compact)
    return [*spent, compact(row["difference"]), gained, f"{row['probability_better']:.3f}"]


def _total_row(total: Any, row: dict[str, Any]) -> list[str]:
    signs = ("*" if row["beyond_observed"] else "") + ("" if row["optimal"] else "!")
    numbers = [amount(row[name]) for name in ("roas", "marginal_return")]
    return [amount(float(total)) + signs, compact(row["response"]), span(row["lower"], row["upper"], compact), *numbers]


def _explain_stars(screen: Screen, rows: list[list[str]]) -> None:
    if any("*" in row[0] for row in rows):
        screen.say("* more in a period than ever observed", style="yellow")
    if any(row[0].endswith("!") for row in rows):
        screen.say("! no optimum", style="yellow")


def _say_rest(screen: Screen, rest: int) -> None:
    if rest > 0:
        screen.say(f"and {counted(rest, 'smaller one')}; the JSON file has them all.")
