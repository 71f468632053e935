"""What was predicted and what came of it, decision by decision; and where the model errs in one direction."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mmm_jax.monitoring.ledger import Ledger
from mmm_jax.plots import style


def plot_ledger(
    ledger: Ledger, *, prob: float = 0.9, tau: float = 0.5, most: int = 20, target: str | None = None
) -> np.ndarray:
    """Predictions beside outcomes, and by which factor each channel brings more than was predicted.

    Args:
        ledger: the ledger.
        prob: probability of the central intervals.
        tau: as in `Ledger.bias`.
        most: how many outcomes are shown, the latest ones.
        target: name and unit of the outcomes; the ledger's name for it by default.

    Returns:
        Two axes. The upper one has one row per outcome: the interval in which it was foreseen for what was delivered (the
        measurement's own error included), and what was measured. The lower one has one row per channel: the factor with
        its interval; left of 1, the model promises too much.
    """
    scores, bias = ledger.scores(prob=prob).iloc[-most:], ledger.bias(tau=tau, prob=prob)
    heights = [0.9 + 0.3 * max(len(table), 2) for table in (scores, bias)]
    looks = {"figsize": (style.WIDTH, sum(heights) + 1.9), "height_ratios": heights}
    _, (upper, lower) = plt.subplots(2, 1, layout="constrained", **looks)
    _draw_outcomes(upper, scores, prob, target or _target_of(ledger))
    _draw_bias(lower, bias, prob)
    return np.array([upper, lower])


def _draw_outcomes(ax: Axes, table: Any, prob: float, target: str) -> None:
    style.dress(ax, title="What was predicted and what was measured", x=f"Incremental outcome ({target})", y="Decision")
    if len(table) == 0:
        style.write_inside(ax, "No outcome has been recorded yet")
        ax.set(xticks=[], yticks=[])
        return
    places, inside = np.arange(len(table)), table["inside"].to_numpy(bool)
    shade = style.tint(style.BLUE, 0.45)
    label = f"{style.percent(prob)} interval of the prediction"
    ax.hlines(places, table["lower"], table["upper"], color=shade, linewidth=6, label=label)
    ax.plot(table["predicted"], places, "o", color=style.BLUE, markersize=5, label="Predicted mean")
    for chosen, colour, words in ((inside, style.BLACK, "Measured"), (~inside, style.VERMILION, "Measured, outside")):
        if chosen.any():
            ax.plot(table["measured"].to_numpy()[chosen], places[chosen], "D", color=colour, markersize=5, label=words)
    ax.axvline(0.0, color=style.DARK, linewidth=0.8)
    style.name_rows(ax, [_name(*row) for row in zip(table.index, table["channel"], strict=True)])
    style.compact_axis(ax, "x")
    style.legend_below(ax, widest=2)


def _draw_bias(ax: Axes, table: Any, prob: float) -> None:
    style.dress(ax, title="Bias by channel", x="Measured over predicted (factor)", y="Channel")
    if len(table) == 0:
        style.write_inside(ax, "No outcome has been recorded yet")
        ax.set(xticks=[], yticks=[])
        return
    places = np.arange(len(table))
    shade = style.tint(style.BLUE, 0.45)
    ax.hlines(places, table["lower"], table["upper"], color=shade, linewidth=5, label=f"{style.percent(prob)} interval")
    ax.plot(table["median"], places, "o", color=style.BLUE, markersize=5, label="Median")
    ax.axvline(1.0, color=style.DARK, linestyle="--", linewidth=1, label="As predicted")
    style.name_rows(ax, [str(name) for name in table.index])
    ax.set_xlim(left=0.0)
    style.legend_below(ax)
    columns = (table[name] for name in ("median", "lower", "upper"))
    words = [f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in zip(*columns, strict=True)]
    style.write_beside(ax, words, table["upper"].to_numpy(), places)


def _name(key: tuple[str, int], channel: str) -> str:
    return key[0] if channel == "total" else f"{key[0]}: {channel}"


def _target_of(ledger: Ledger) -> str:
    """What all decisions call their target; a plain word where they do not agree."""
    names = set(ledger.decisions()["target"].dropna())
    return str(names.pop()) if len(names) == 1 else "target"
