"""How the components add up to the total."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from mmm_jax.plots import style

_OWN = {name: style.sentence(name) for name in ("intercept", "seasonality", "trend", "interaction")}
"""How the model's own components are written; all others keep the user's names."""


class Steps(NamedTuple):
    """Components with their mean and interval, in units of the target; NaN where there is no interval."""

    names: list[str]
    values: np.ndarray
    """Mean, lower and upper end, shape (3, component)."""


def plot_waterfall(
    table: Any,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    max_components: int = 15,
    prob: float = 0.9,
    ax: Axes | None = None,
    target: str = "target",
) -> Axes:
    """How the components add up to the expected total of the target.

    Args:
        table: `fit.waterfall()`: one row per component with `mean`, `lower` and `upper`, in units of the target.
        groups: components to draw as one, by the name they get, such as `{"holidays": panel.control_names}`.
        max_components: rows above the total; the smallest components beyond them are drawn as one.
        prob: probability of the table's intervals, for the legend.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target.

    Returns:
        The axes: one bar per component in the table's order and one for the total, lengths in units of the target.
        A line spans each component's interval; components drawn as one have none, since intervals do not add up.
    """
    steps = _shortened(_grouped(_steps(table), groups or {}), max_components)
    ax = style.row_axes(ax, len(steps.names) + 1)
    x = f"{style.sentence(target)}, sum over all periods"
    style.dress(ax, title="From the components to the total", x=x, y="Component")
    _draw_bars(ax, steps, f"{style.percent(prob)} interval")
    style.compact_axis(ax, "x")
    style.name_rows(ax, [*(_OWN.get(name, name) for name in steps.names), "Expected total"])
    style.legend_below(ax)
    _write_amounts(ax, steps)
    return ax


def _steps(table: Any) -> Steps:
    return Steps([str(name) for name in table.index], table[["mean", "lower", "upper"]].to_numpy(float).T)


def _grouped(steps: Steps, groups: Mapping[str, Sequence[str]]) -> Steps:
    """The steps with each group's members drawn as one, where the first of them stood."""
    for group, members in groups.items():
        inside = np.isin(steps.names, list(members))
        if inside.any():
            steps = _joined(steps, inside, group)
    return steps


def _shortened(steps: Steps, max_components: int) -> Steps:
    """The steps with the smallest of them drawn as one, if there are too many."""
    sizes = np.abs(steps.values[0])
    if len(sizes) <= max_components:
        return steps
    inside = np.zeros(len(sizes), bool)
    inside[np.argsort(-sizes, kind="stable")[max(max_components - 1, 0) :]] = True
    last = _joined(steps, inside, f"{inside.sum()} smaller components")
    # Whatever stands for the rest is read last.
    place = int(np.flatnonzero(inside)[0])
    order = [*(i for i in range(len(last.names)) if i != place), place]
    return Steps([last.names[i] for i in order], last.values[:, order])


def _joined(steps: Steps, inside: np.ndarray, name: str) -> Steps:
    place, kept = int(np.flatnonzero(inside)[0]), ~inside
    kept[place] = True
    values = steps.values.copy()
    values[:, place] = (values[0, inside].sum(), np.nan, np.nan)
    names = [name if i == place else old for i, old in enumerate(steps.names) if kept[i]]
    return Steps(names, values[:, kept])


def _draw_bars(ax: Axes, steps: Steps, label: str) -> None:
    mean, lower, upper = steps.values
    places, ends = np.arange(len(mean)), np.cumsum(mean)
    starts = ends - mean
    for sign, colour, name in ((1, style.BLUE, "Adds"), (-1, style.VERMILION, "Takes away")):
        which = np.sign(mean) == sign
        if which.any():
            ax.barh(places[which], mean[which], left=starts[which], color=colour, height=0.7, label=name)
    ax.barh([len(mean)], [mean.sum()], color=style.DARK, height=0.7)
    ax.hlines(places, starts + lower, starts + upper, color=style.BLACK, linewidth=1.2, label=label)
    # From each bar's end to the next bar's start.
    ax.vlines(ends, places, places + 1, color=style.GREY, linewidth=0.7)
    ax.axvline(0.0, color=style.DARK, linewidth=0.8)
    ax.margins(x=0.0)


def _write_amounts(ax: Axes, steps: Steps) -> None:
    mean, _, upper = steps.values
    total, starts = float(mean.sum()), np.cumsum(mean) - mean
    values = [*mean, total]
    words = [style.compact(value) + (f" ({style.percent(value / total)})" if total else "") for value in values]
    edges = starts + np.fmax(np.maximum(mean, 0.0), upper)
    style.write_beside(ax, words, [*edges, max(total, 0.0)], range(len(values)))
