"""Experiments against a fit."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from mmm_jax.plots import style


def plot_experiments(table: Any, *, prob: float = 0.9, ax: Axes | None = None, target: str = "target") -> Axes:
    """What the fit says of experiments beside what they measured, each in the standard errors of its measurement.

    A dot far outside of the grey band, with a PIT near 0 or 1, says that fit and experiment disagree; a bar much longer than
    the band, that the fit knows little of what the experiment measures.

    Args:
        table: `fit.predict_experiments(...)`: one row per experiment.
        prob: probability of the table's intervals, and of the band around the measurement.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target, in which lifts are written.

    Returns:
        The axes: one row per experiment in the table's order; distance of the prediction, mean and interval, from the
        measurement, in standard errors. Beside each in digits: predicted, measured, and the PIT.
    """
    rows = table.to_dict("records")
    ax, places = style.row_axes(ax, len(rows), each=0.42), np.arange(len(rows))
    mean, low, high = (
        ((table[name] - table["measured"]) / table["se"]).to_numpy(float) for name in ("mean", "lower", "upper")
    )
    half = float(stats.norm.ppf((1 + prob) / 2))
    x = f"Predicted minus measured (standard errors); in digits: {target}"
    style.dress(ax, title="Experiments: what the fit says and what was measured", x=x, y="Experiment")
    ax.axvspan(
        -half, half, color=style.LIGHT, alpha=0.6, linewidth=0, zorder=0, label=f"Measured, {style.percent(prob)} band"
    )
    ax.axvline(0.0, color=style.DARK, linewidth=0.9)
    label, shade = f"Predicted, {style.percent(prob)} interval", style.tint(style.BLUE, 0.45)
    ax.hlines(places, low, high, color=shade, linewidth=5, label=label)
    ax.plot(mean, places, "o", color=style.BLUE, markersize=5, label="Predicted mean")
    ax.set_xlim(min(-1.2 * half, float(low.min())), max(1.2 * half, float(high.max())))
    style.name_rows(ax, [_name(row) for row in rows], width=24)
    style.legend_below(ax)
    style.write_beside(ax, [_words(row) for row in rows], np.maximum(high, half), places)
    return ax


def _name(row: dict[str, Any]) -> str:
    where = f", {row['geo']}" if row["geo"] else ""
    when = f" {row['start']}" if row["start"] else ""
    return f"{row['channel']}{where}{when if row['kind'] == 'lift test' else ' (cost)'}"


def _words(row: dict[str, Any]) -> str:
    measured = f"{style.compact(row['measured'])} \u00b1 {style.compact(row['se'])}"
    return f"{style.compact(row['mean'])}, measured {measured}; PIT {style.decimals(row['pit'])}"
