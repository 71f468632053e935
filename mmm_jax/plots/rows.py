"""Named rows with a point and its interval each, the body of several pictures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.fitting.labels import interval
from mmm_jax.plots import style


def channel_summary(draws: xr.DataArray, prob: float) -> xr.Dataset:
    """Mean and interval per channel, largest mean first; channels without a number (no spend) come last."""
    # Quantiles of nothing but NaN would warn; they are NaN here.
    table = interval(draws.fillna(0.0), prob).where(draws.notnull().all(("chain", "draw")))
    return table.isel(channel=np.argsort(-table["mean"].to_numpy(), kind="stable"))


def draw_rows(
    ax: Axes, names: Sequence[str], table: Mapping[str, np.ndarray], number: Callable[[float], str], label: str
) -> None:
    """A dot at `mean` and a bar from `lower` to `upper` per row, with the mean written beside it."""
    places = np.arange(len(names))
    mean, lower, upper = (np.asarray(table[name], float) for name in ("mean", "lower", "upper"))
    ax.hlines(places, lower, upper, color=style.tint(style.BLUE, 0.5), linewidth=5, label=label)
    ax.plot(mean, places, "o", color=style.BLUE, markersize=6, label="Mean")
    for place in places:
        known = np.isfinite(mean[place])
        words, at = (number(mean[place]), upper[place]) if known else ("no spend", 0.0)
        ax.annotate(
            words, (at, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=style.SMALL
        )
    style.name_rows(ax, names)
