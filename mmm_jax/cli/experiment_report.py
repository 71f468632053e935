"""Experiments on the screen: which there are, and what the fit says of them beside what they measured."""

from typing import Any

from mmm_jax.cli.experiments import Experiments
from mmm_jax.cli.results import PROB
from mmm_jax.cli.screen import Screen, brief, span
from mmm_jax.cli.words import counted

_LOUD = 0.025
"""A PIT nearer to 0 or 1 than this is called a disagreement."""

_TITLES = {
    "learned": "Experiments that the fit has learned from",
    "held_out": "Held-out experiments: predicted, not learned from",
}


def say_experiments(screen: Screen, found: Experiments) -> None:
    """How many experiments are learned from, and how many are only predicted; nothing if there are none."""
    learned, held_out = (0 if part is None else len(part) for part in found)
    if learned or held_out:
        screen.say(f"{counted(learned, 'experiment')} to learn from{f', {held_out} held out' if held_out else ''}.")


def show_experiments(screen: Screen, name: str, table: Any, target: str, *, of: str = "") -> None:
    """One row per experiment: predicted with its interval, measured with its standard error, and the PIT.

    Args:
        screen: where to.
        name: `learned` or `held_out`.
        table: of `predict_experiments`.
        target: name of the target.
        of: name of the fit, where there are several.
    """
    records = table.to_dict("records")
    places = [_place(row) for row in records]
    # Dates only where they tell experiments apart: there is room for little.
    dated = len(set(places)) < len(places)
    rows = [
        [
            place,
            *([row["start"] or "first row"] if dated else []),
            brief(row["mean"]),
            span(row["lower"], row["upper"], brief),
            f"{brief(row['measured'])} +- {brief(row['se'])}",
            f"{row['pit']:.3f}",
        ]
        for place, row in zip(places, records, strict=True)
    ]
    columns = ["Experiment", *(["From"] if dated else []), "Predicted", f"{PROB:.0%} interval", "Measured", "PIT"]
    screen.table(f"{f'{of}: ' if of else ''}{_TITLES[name]} (lift in {target})", columns, rows)
    far = [row[0] for row, pit in zip(rows, table["pit"], strict=True) if not _LOUD <= pit <= 1 - _LOUD]
    if far:
        screen.say(f"A PIT near 0 or 1 says that fit and experiment disagree: {', '.join(far)}.", style="yellow")


def _place(row: dict[str, Any]) -> str:
    """The channel, and what is special about it."""
    where = f" in {row['geo']}" if row["geo"] else ""
    return row["channel"] + where + (" (cost)" if row["kind"] != "lift test" else "")
