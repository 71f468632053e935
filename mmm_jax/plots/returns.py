"""What a unit of spend brings."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from mmm_jax.plots import style
from mmm_jax.plots.geos import check_together
from mmm_jax.plots.names import write_names
from mmm_jax.plots.rows import plot_rows, summary


def plot_roas(
    roas: xr.DataArray,
    *,
    prob: float = 0.9,
    truth: Mapping[str, float] | None = None,
    break_even: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    currency: str = "currency",
    target: str = "target",
) -> Axes:
    """Return on spend of each channel, the largest at the top.

    Args:
        roas: `fit.roas()`, or its incremental or marginal kin: units of the target per unit of currency, dimensions
            (chain, draw, channel).
        prob: probability of the central interval.
        truth: known values by channel, marked where given.
        break_even: return at which spend pays for itself, marked if given: 1 over the margin, for a target in currency.
        ax: axes to draw on; a new figure by default.
        title: title of the picture; what `roas` says it is by default.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        The axes: one row per channel, the return with its mean and interval.
    """
    name = style.sentence(str(roas.attrs.get("long_name", "return on spend")))
    x = f"{name} ({target} per {currency})"
    if break_even is not None:
        ax = style.row_axes(ax, roas.sizes["channel"])
        label = f"Break-even ({style.compact(break_even)})"
        ax.axvline(break_even, color=style.DARK, linestyle="--", linewidth=1, label=label)
    return plot_rows(roas, prob=prob, ax=ax, title=title or f"{name} by channel", x=x, number=style.compact, marks=truth)


def plot_share_against_roas(
    shares: xr.DataArray,
    roas: xr.DataArray,
    *,
    prob: float = 0.9,
    ax: Axes | None = None,
    currency: str = "currency",
    target: str = "target",
) -> Axes:
    """How much each channel brought against how well its spend returned.

    Top right: large and efficient. Bottom right: efficient, but small. Top left: large, but dear. Long bars say that
    the data do not tell.

    Args:
        shares: `fit.contribution_shares()`, fractions, dimensions (chain, draw, channel).
        roas: `fit.roas()`, units of the target per unit of currency, dimensions (chain, draw, channel).
        prob: probability of the central intervals, both ways.
        ax: axes to draw on; a new figure by default.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        The axes: return against share of media contribution in per cent, one point per channel with spend.
    """
    for values in (roas, shares):
        check_together(values, "Give both with `by_geo=False`, or both of one geo with `.sel(geo=...)`.")
    across, up = summary(roas, prob), summary(shares, prob)
    known = np.flatnonzero(np.isfinite(across["mean"].to_numpy()))
    across = across.isel(channel=known)
    up = up.sel(channel=across["channel"])
    # Many names need room to stand beside their points.
    ax = style.axes_for(ax, size=(style.WIDTH, 4.6 + 0.08 * max(0, len(known) - 10)))
    _draw_crosses(ax, across, up, f"{style.percent(prob)} interval")
    style.percent_axis(ax, "y")
    style.compact_axis(ax, "x")
    x = f"{style.sentence(str(roas.attrs.get('long_name', 'return on spend')))} ({target} per {currency})"
    style.dress(ax, title="Contribution and return by channel", x=x, y="Share of media contribution (%)")
    style.legend_below(ax)
    names = [str(name) for name in across["channel"].to_numpy()]
    write_names(ax, names, across["mean"].to_numpy(), up["mean"].to_numpy(), _crosses(across, up))
    return ax


def _crosses(across: xr.Dataset, up: xr.Dataset) -> np.ndarray:
    """Ends of the intervals' lines, shape (2 * channel, end, xy)."""
    x, y = across["mean"].to_numpy(), up["mean"].to_numpy()
    flat = [[across["lower"], y], [across["upper"], y]]
    upright = [[x, up["lower"]], [x, up["upper"]]]
    return np.concatenate([np.moveaxis(np.array(ends), -1, 0) for ends in (flat, upright)])


def _draw_crosses(ax: Axes, across: xr.Dataset, up: xr.Dataset, label: str) -> None:
    lines = LineCollection(list(_crosses(across, up)), colors=style.tint(style.BLUE, 0.4), linewidths=1.2, label=label)
    ax.add_collection(lines)
    ax.autoscale_view()
    ax.plot(across["mean"], up["mean"], "o", color=style.BLUE, markersize=6, label="Mean")
    ax.set_xlim(left=min(0.0, float(across["lower"].min())))
    ax.set_ylim(bottom=min(0.0, float(up["lower"].min())))
