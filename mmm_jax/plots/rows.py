"""Channels in rows, each with its mean and interval."""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.errors import PanelError
from mmm_jax.fitting.labels import interval
from mmm_jax.plots import style


def summary(draws: xr.DataArray, prob: float) -> xr.Dataset:
    """Mean and interval per channel; NaN where the draws are, as for the return of a channel without spend."""
    # Quantiles of nothing but NaN would warn.
    return interval(draws.fillna(0.0), prob).where(draws.notnull().all(("chain", "draw")))


def plot_rows(
    draws: xr.DataArray,
    *,
    prob: float,
    ax: Axes | None,
    title: str,
    x: str,
    number: Callable[[float], str],
    marks: Mapping[str, float] | None = None,
) -> Axes:
    """One row per channel, the largest mean at the top: a dot at the mean, a bar over the interval, both in digits.

    Args:
        draws: dimensions (chain, draw, channel); a channel that has NaN instead had no spend.
        prob: probability of the central interval.
        ax: axes to draw on; a new figure if `None`.
        title: title of the picture.
        x: label of the horizontal axis, with its unit.
        number: how a mean is written.
        marks: known values by channel, drawn as diamonds.
    """
    if "geo" in draws.dims:
        raise PanelError(
            f"This picture is of one market, but the values are of {draws.sizes['geo']} geos. Give them with "
            "`by_geo=False`, or of one geo with `.sel(geo=...)`; `plot_geo_roas` and `plot_geo_contributions` show all geos."
        )
    table = summary(draws, prob)
    table = table.isel(channel=np.argsort(-table["mean"].to_numpy(), kind="stable"))
    names = [str(name) for name in table["channel"].to_numpy()]
    ax = style.row_axes(ax, len(names))
    style.dress(ax, title=title, x=x, y="Channel")
    mean, lower, upper = (table[name].to_numpy() for name in ("mean", "lower", "upper"))
    places = np.arange(len(names))
    shade = style.tint(style.BLUE, 0.45)
    ax.hlines(places, lower, upper, color=shade, linewidth=5, label=f"{style.percent(prob)} interval")
    ax.plot(mean, places, "o", color=style.BLUE, markersize=5, label="Mean")
    known = np.array([(marks or {}).get(name, np.nan) for name in names], float)
    marked = np.isfinite(known)
    if marked.any():
        ax.plot(known[marked], places[marked], "D", color=style.VERMILION, markersize=5, label="True value")
    ax.axvline(0.0, color=style.DARK, linewidth=0.8)
    style.name_rows(ax, names)
    style.legend_below(ax)
    ax.set_xlim(left=float(np.fmin.reduce([0.0, *lower, *known])))
    words = [_words(*row, number) for row in zip(mean, lower, upper, strict=True)]
    style.write_beside(ax, words, np.nan_to_num(np.fmax(upper, known)), places)
    return ax


def _words(mean: float, lower: float, upper: float, number: Callable[[float], str]) -> str:
    return f"{number(mean)} ({number(lower)} to {number(upper)})" if np.isfinite(mean) else "no spend"
