"""What the page says of the plan itself: in short, channel by channel, and why to believe it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmm_jax.planning.certificate import INTERIOR
from mmm_jax.report.effects import by_channel, flat
from mmm_jax.report.html import Html, tag, together
from mmm_jax.report.levels import Levels
from mmm_jax.report.media import media_notes
from mmm_jax.report.words import (
    INTERVAL,
    Words,
    chance,
    change,
    dates_of,
    length_of,
    number,
    share,
    signed,
    signed_share,
    span,
)

BEYOND = "beyond what was observed"

ROUNDING = 1e-12
"""Relative sizes below this are of the arithmetic, not of the plan."""

MOST_LIMITS = 6
"""Limits whose prices are told."""

MANY_OPTIMA = 1e-6
"""Relative difference of the starts' ends above which they are different optima."""


def headline(plan: Any, comparison: Any, words: Words) -> Html:
    """The plan in a few numbers.

    Args:
        plan: an `Allocation`.
        comparison: of the plan with the reference; `None` without one.
        words: what things are called.
    """
    response = flat(plan.response)
    cards = [
        _card("Spend", number(plan.total), words.currency, length_of(plan.spend), _dates(plan)),
        _card("Expected response", number(response.mean()), words.target, f"{INTERVAL}: {span(response)}"),
    ]
    if comparison is not None:
        cards.append(_gain(comparison, words))
    return tag("section", *cards, _verdict(plan.certificate), class_="cards", aria_label="The plan in short")


def channel_table(plan: Any, levels: Levels, words: Words, *, adds_up: bool) -> Html:
    """One row per channel, and one for all of them where that makes sense."""
    body = [_channel_row(plan, levels, index) for index in range(len(levels.channels))]
    rows = [*body, _total_row(plan, levels, adds_up=adds_up)]
    head = _headings(words, with_reference=levels.reference is not None)
    header = tag("tr", *(tag("th", name, scope="col", class_=_align(name, head)) for name in head))
    lines = [tag("tr", *map(_cell, head, row)) for row in rows]
    table = tag("table", tag("thead", header), tag("tbody", *lines[:-1]), tag("tfoot", lines[-1]))
    notes = [_notes(words, adds_up=adds_up), *media_notes(plan, words)]
    return tag("section", tag("h2", "Channel by channel"), table, *notes)


def certificate(found: Any, words: Words) -> Html:
    """Why the plan is, or is not, the best one, in sentences."""
    facts = [
        ("The plan keeps its rules.", _feasibility(found)),
        ("Shifting spend does not help.", _conditions(found)),
        _price(found, words),
        *_limits(found, words),
        *_targets(found),
        _starts(found),
    ]
    if not found.optimal:
        # Headings that claim what has not been shown would mislead.
        facts = [("The rules.", facts[0][1]), ("Shifts of spend.", facts[1][1]), *facts[2:]]
    items = [tag("li", tag("strong", head), " ", text) for head, text in facts]
    title = "Why this plan" if found.optimal else "Why this plan is not proven"
    return tag("section", tag("h2", title), tag("p", found.outcome.advice), tag("ul", *items))


def _card(title: str, value: str, unit: str, *lines: str, kind: str = "") -> Html:
    big = tag("p", value, " ", tag("span", unit, class_="unit"), class_="big")
    return tag("div", tag("h2", title), big, *(tag("p", line) for line in lines), class_=f"card {kind}".strip())


def _gain(comparison: Any, words: Words) -> Html:
    gain, other = flat(comparison.difference), float(comparison.other_response.mean())
    relative = f" ({signed_share(gain.mean() / other)})" if other != 0 else ""
    lines = f"{INTERVAL}: {span(gain)}", f"Better with a probability of {chance(comparison.probability_better)}"
    return _card(f"Gain over {words.reference}", signed(gain.mean()) + relative, words.target, *lines)


def _dates(plan: Any) -> Html:
    first, last = dates_of(plan.spend)
    # A date is never broken at its hyphens.
    return together(tag("span", first, class_="whole"), " to ", tag("span", last, class_="whole"))


def _verdict(found: Any) -> Html:
    if found.optimal:
        return _card("Proof", "Optimal", "", "All conditions of an optimum hold within the plan's bounds.", kind="good")
    return _card("Proof", "Not proven optimal", "", found.outcome.advice, kind="bad")


def _headings(words: Words, *, with_reference: bool) -> list[str]:
    before = [f"{words.reference} ({words.currency})", "Change"] if with_reference else []
    spend = ["Channel", f"Plan ({words.currency})", *before, "State"]
    return [
        *spend,
        f"Return on one more unit ({words.target} per {words.currency})",
        f"Expected response ({words.target})",
        INTERVAL,
    ]


def _align(name: str, head: Sequence[str]) -> str | None:
    return "text" if name in (head[0], "State") else None


def _cell(name: str, content: str) -> Html:
    if name == "Channel":
        return tag("th", content, scope="row", class_="text")
    # On narrow screens rows become blocks, in which every cell names its column.
    return tag("td", content, data_name=name, class_="text" if name == "State" else None)


def _channel_row(plan: Any, levels: Levels, index: int) -> list[str]:
    name, new = levels.channels[index], levels.plan[index]
    before = [] if levels.reference is None else [levels.reference[index]]
    if name in plan.organic:
        return [name, *["-"] * (1 + 2 * len(before)), "organic, not planned", *["-"] * 3]
    state = [_words_of(str(plan.channel_state.sel(channel=name).item()))]
    state += [BEYOND] if new > levels.observed[index] * (1 + 1e-9) else []
    marginal = float(plan.channel_marginal_return.sel(channel=name))
    response = by_channel(plan.channel_response)[:, index]
    spend = [number(new), *(number(old) for old in before), *(change(new, old) for old in before)]
    return [name, *spend, ", ".join(state), number(marginal), number(response.mean()), span(response)]


def _words_of(state: str) -> str:
    return "between its bounds" if state == INTERIOR else state


def _total_row(plan: Any, levels: Levels, *, adds_up: bool) -> list[str]:
    response = flat(plan.response)
    before = [] if levels.reference is None else [float(levels.reference.sum())]
    spend = [number(plan.total), *(number(old) for old in before), *(change(plan.total, old) for old in before)]
    name = "All channels" if adds_up else "All channels together"
    return [name, *spend, "", number(plan.certificate.shadow_price), number(response.mean()), span(response)]


def _notes(words: Words, *, adds_up: bool) -> Html:
    first = f"Response is what the planned spend brings, in {words.target}, on top of what would come without it."
    if adds_up:
        return tag("p", first, class_="note")
    second = " Channels multiply: each row says what the channel adds to all others, so that rows do not add up."
    return tag("p", first, second, class_="note")


def _feasibility(found: Any) -> str:
    return f"The largest violation of a limit, relative to the total, or of a target, is {_tiny(found.feasibility)}."


def _conditions(found: Any) -> str:
    return (
        "At an optimum, no shift of spend that the bounds allow brings more. How far the plan is from that, relative to the "
        f"largest return, is {_tiny(found.kkt_residual)}: the KKT residual."
    )


def _price(found: Any, words: Words) -> tuple[str, str]:
    if found.shadow_price == 0 and found.optimal:
        return "The total is not what holds the plan back.", "More budget alone would change nothing."
    worth = "This is the shadow price of the total: what raising the budget by one unit is worth, or cutting it costs."
    return f"One more unit of spend would bring {number(found.shadow_price)} {words.target}.", worth


def _limits(found: Any, words: Words) -> list[tuple[str, str]]:
    """The dearest limits other than the total: what holds the plan back."""
    prices = {label: price for label, price in found.shadow_prices.items() if price and price != found.shadow_price}
    if not prices:
        return []
    dearest = sorted(prices, key=lambda label: -abs(prices[label]))
    shown = [f"{label}: {number(prices[label])}" for label in dearest[:MOST_LIMITS]]
    more = [] if len(dearest) <= MOST_LIMITS else [f"and {len(dearest) - MOST_LIMITS} with less"]
    text = (
        f"What one unit more of each would bring, in {words.target}, below 0 where less would: {'; '.join([*shown, *more])}."
    )
    return [("Other limits cost something, too.", text)]


def _targets(found: Any) -> list[tuple[str, str]]:
    reached = [f"{label}: {number(value)}" for label, value in found.targets.items()]
    return [("What the targets reached.", f"{'; '.join(reached)}.")] if reached else []


def _starts(found: Any) -> tuple[str, str]:
    count = len(found.start_values)
    if found.concave and found.optimal and np.isfinite(found.smoothing_gap):
        by = f" by more than {number(found.smoothing_gap)}" if found.smoothing_gap else ""
        text = "More spend never brings more per unit, in any draw: a plan that meets these conditions is the best of all"
        how = "." if found.smoothing_gap == 0 else ", but for what it costs that quantiles are smoothed to be climbed."
        return f"No other plan can be better{by}.", f"{text}{how}"
    if count == 1:
        return "One start.", "The search began from one plan only; more starts would show whether there are other optima."
    spread = (
        f"The relative difference of what {count} searches from different first plans found is {_tiny(found.start_spread)}"
    )
    if found.start_spread > MANY_OPTIMA:
        return "There are several local optima.", f"{spread}; the best plan was taken. There may be others."
    return "All starts agree.", f"{spread}."


def _tiny(value: float) -> str:
    """A relative size, which is 0, rounding, or far below what percentages show."""
    if value < ROUNDING:
        return "0" if value == 0 else f"{value:.0e} (rounding)"
    return f"{value:.0e}" if value < 1e-3 else share(value)
