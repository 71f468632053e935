"""What the page says of media that are no spend: what their units cost, and which are organic."""

from typing import Any

from mmm_jax.report.html import Html, tag
from mmm_jax.report.words import Words, number


def media_notes(plan: Any, words: Words) -> list[Html]:
    """A paragraph on the units' cost and one on organic channels, where there are any.

    Args:
        plan: an `Allocation`.
        words: what things are called.
    """
    notes = []
    if plan.unit_costs:
        costs = "; ".join(f"{name}: {number(cost)} {words.currency} per {u}" for name, (cost, u) in plan.unit_costs.items())
        notes.append(f"Planned money buys media by the unit, at this cost, mean over the dates: {costs}.")
    if plan.organic:
        held = "are held as the planned dates give them, or at their usual level"
        notes.append(f"Organic, without spend: {', '.join(plan.organic)}. Their media {held}; no plan moves them.")
    return [tag("p", note, class_="note") for note in notes]
