"""What brought the target about: components over time, in total, and each channel's share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.data.panel import Panel
from mmm_jax.plots import style
from mmm_jax.plots.data import observed_target
from mmm_jax.plots.rows import channel_summary, draw_rows


def plot_contributions(
    contributions: xr.Dataset,
    panel: Panel | None = None,
    *,
    max_channels: int = 7,
    ax: Axes | None = None,
    target: str | None = None,
) -> Axes:
    """What each component brought per period: the media stacked over the baseline, posterior means.

    What is positive stacks up from 0, what is negative stacks down from 0, and a line marks their sum, the expected
    target: where nothing is negative, it is the upper edge. The baseline is everything but media. With a log link,
    `interaction` is what the components bring only together.

    Args:
        contributions: `fit.contributions()`, in units of the target, dimensions (chain, draw, ..., date).
        panel: rows whose observed target is drawn over it.
        max_channels: channels drawn by themselves, the largest ones; the others are drawn as one. At most 7, the
            colours that can be told apart.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target; the panel's name for it by default, or "target".

    Returns:
        The axes: date against the target in its units per period.
    """
    ax, dates = style.axes_for(ax, size=(style.WIDTH, 4.6)), contributions["date"].to_numpy()
    bands = _bands(contributions, min(max_channels, len(style.COLOURS)))
    _draw_stack(ax, dates, bands)
    mean = np.sum([values for values, _ in bands.values()], axis=0)
    ax.plot(dates, mean, color=style.DARK, linewidth=1, label="Expected (their sum)")
    if panel is not None:
        ax.plot(panel.dates, observed_target(panel), color=style.BLACK, linewidth=0, marker=".", markersize=4, label="Observed")
    name = target or (panel.target_name if panel is not None else "target")
    style.date_axis(ax)
    style.compact_axis(ax, "y")
    ax.axhline(0.0, color=style.DARK, linewidth=0.8)
    y = f"{style.sentence(name)} per {style.period_of(dates)}"
    style.dress(ax, title="Contributions over time, posterior mean", x="Date", y=y)
    style.legend_below(ax, columns=3)
    return ax


def plot_waterfall(
    table: Any,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    max_components: int = 15,
    ax: Axes | None = None,
    target: str = "target",
) -> Axes:
    """How the components add up to the expected total of the target.

    Args:
        table: `fit.waterfall()`: one row per component with `mean`, `lower` and `upper`, in units of the target.
        groups: components to draw as one, by the name they get, such as `{"holidays": panel.control_names}`.
        max_components: rows before the total; the smallest ones beyond them are drawn as one.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target.

    Returns:
        The axes: one bar per component in the table's order and one for the total, lengths in units of the target.
        A line spans each component's interval; grouped components have none, since intervals do not add up.
    """
    names, mean, lower, upper = _merged(_columns(table), groups or {}, max_components)
    total, ends = float(mean.sum()), np.cumsum(mean)
    ax, starts = style.row_axes(ax, len(names) + 1), ends - mean
    colours = [style.BLUE if value >= 0 else style.VERMILION for value in mean]
    ax.barh(range(len(names)), mean, left=starts, color=colours, height=0.7)
    ax.barh([len(names)], [total], color=style.DARK, height=0.7)
    ax.hlines(range(len(names)), starts + lower, starts + upper, color=style.BLACK, linewidth=1.2)
    # A thin step from each bar's end to the next bar's start.
    ax.vlines(ends, np.arange(len(names)), np.arange(len(names)) + 1, color=style.GREY, linewidth=0.7)
    right = np.nanmax([np.maximum(starts, ends), starts + upper], axis=0)
    for place, (value, edge) in enumerate(zip([*mean, total], [*right, max(total, 0.0)], strict=True)):
        words = f"{style.compact(value)} ({style.percent(value / total)})" if total else style.compact(value)
        ax.annotate(words, (edge, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=style.SMALL)
    ax.margins(x=0.2)
    style.compact_axis(ax, "x")
    style.dress(ax, title="From the components to the total", x=f"{style.sentence(target)}, total over all periods", y="")
    style.name_rows(ax, [*names, "Expected total"])
    return ax


def plot_contribution_shares(shares: xr.DataArray, *, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Share of each channel in what all media brought, the largest at the top.

    Args:
        shares: `fit.contribution_shares()`, fractions, dimensions (chain, draw, channel).
        prob: probability of the central interval.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: one row per channel, the share in per cent with its mean and interval.
    """
    table = channel_summary(shares, prob)
    names = [str(name) for name in table["channel"].to_numpy()]
    ax = style.row_axes(ax, len(names))
    style.dress(ax, title="Who brought what the media brought", x="Share of media contribution (%)", y="Channel")
    draw_rows(ax, names, table, style.percent, f"{style.percent(prob)} interval")
    style.percent_axis(ax, "x")
    ax.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    return ax
