"""Fits of many geos: all of them together for the pictures of one market, and pictures with a place for each."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError
from mmm_jax.fitting.geo_totals import summed_over_geos
from mmm_jax.fitting.labels import interval
from mmm_jax.plots import multiples, style
from mmm_jax.plots.rows import summary

_BASELINE, _OTHERS = "#B8B8B8", "#7A7A7A"
_MOST_COLUMNS = 4


def together(panel: AnyPanel) -> Panel:
    """The panel, or all its geos added up, each as far as it has rows."""
    return panel.known_total() if isinstance(panel, GeoPanel) else panel


def predicted_together(predicted: xr.Dataset, panel: AnyPanel) -> xr.Dataset:
    """Draws of the market, or of the sum of the geos."""
    return summed_over_geos(predicted, panel) if isinstance(panel, GeoPanel) else predicted


def check_together(values: xr.DataArray, advice: str) -> None:
    """Raise a `PanelError` where values by geo are given to a picture of one market.

    Args:
        values: what is drawn.
        advice: what to give or to call instead.
    """
    if "geo" in values.dims:
        raise PanelError(f"This picture is of one market, but the values are of {values.sizes['geo']} geos. {advice}")


def plot_geo_predictive(
    predicted: xr.Dataset, panel: GeoPanel, *, prob: float = 0.9, share_y: bool = False, target: str | None = None
) -> np.ndarray:
    """The predictive distribution of every geo over time, with what happened there.

    Args:
        predicted: `fit.predict(...)` of a fit of geos: `y` in units of the target, dimensions (chain, draw, date, geo).
        panel: the same rows.
        prob: probability of the central interval.
        share_y: one vertical axis for all geos, so that their heights compare.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        One axes per geo, in the panel's order: date against the target per period; the line is the median of the draws.
        Rows that a geo lacks are left out.
    """
    figure, axes = multiples.small_multiples(list(panel.geos), share_y=share_y)
    bands = interval(predicted["y"], prob)
    for ax, geo in zip(axes, panel.geos, strict=True):
        _draw_over_time(ax, panel[geo], bands.sel(geo=geo), prob)
    name = target or panel.target_name
    title, y = "Predictive distribution and what happened, by geo", f"{style.sentence(name)} per {panel.frequency.period}"
    multiples.label_figure(figure, title=title, x="Date", y=y)
    multiples.figure_legend(figure, axes)
    return axes


def plot_geo_contributions(totals: xr.Dataset, *, max_channels: int = 7, ax: Axes | None = None) -> Axes:
    """What brought about the target in every geo: shares of the expected total, posterior means.

    Args:
        totals: `fit.contribution_totals()` of a fit of geos, in units of the target, dimensions (chain, draw, ..., geo).
        max_channels: channels drawn by themselves, the largest ones of all geos; the others are drawn as one. At most 7,
            the colours that can be told apart.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: one bar per geo in the order of the fit; baseline and channels in per cent of the geo's expected total.
        What takes away lies to the left of 0.
    """
    if "geo" not in totals["media"].dims:
        raise PanelError("This picture has a bar for each geo: give `fit.contribution_totals()` of a fit of geos.")
    means = totals.mean(("chain", "draw"), dtype=float)
    geos = [str(geo) for geo in means["geo"].values]
    parts = _parts(means, min(max_channels, len(style.COLOURS)))
    whole = np.sum([values for values, _ in parts.values()], axis=0)
    ax = style.row_axes(ax, len(geos))
    style.dress(ax, title="Contributions by geo, posterior mean", x="Share of the geo's expected total (%)", y="Geo")
    _stack(ax, {name: (values / whole, colour) for name, (values, colour) in parts.items()})
    style.percent_axis(ax, "x")
    style.name_rows(ax, geos)
    style.legend_below(ax, widest=5)
    return ax


def plot_geo_roas(
    roas: xr.DataArray,
    *,
    prob: float = 0.9,
    together: xr.DataArray | None = None,
    title: str | None = None,
    currency: str = "currency",
    target: str = "target",
) -> np.ndarray:
    """Return on spend of each channel in every geo.

    Args:
        roas: `fit.roas()` of a fit of geos, or its incremental or marginal kin: units of the target per unit of currency,
            dimensions (chain, draw, channel, geo).
        prob: probability of the central interval.
        together: the same of all geos, `fit.roas(by_geo=False)`: its mean is a dashed line.
        title: title of the picture; what `roas` says it is by default.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        One axes per channel that has spend: one row per geo, the return with its mean and interval.
    """
    if "geo" not in roas.dims:
        raise PanelError("This picture has a row for each geo: give `fit.roas()` of a fit of geos, or call `plot_roas`.")
    table = summary(roas, prob)
    known = table["mean"].notnull().any("geo")
    names = [str(name) for name in table["channel"].values[known.values]]
    geos = [str(geo) for geo in table["geo"].values]
    figure, axes = _row_multiples(names, geos)
    for ax, name in zip(axes, names, strict=True):
        all_geos = None if together is None else float(together.sel(channel=name).mean())
        _draw_rows(ax, table.sel(channel=name), all_geos, style.percent(prob))
    kind = style.sentence(str(roas.attrs.get("long_name", "return on spend")))
    x = f"{kind} ({target} per {currency})"
    multiples.label_figure(figure, title=title or f"{kind} by geo", x=x, y="Geo")
    multiples.figure_legend(figure, axes)
    return axes


def _draw_over_time(ax: Axes, market: Panel, band: xr.Dataset, prob: float) -> None:
    there = market.present
    low, median, high = (np.where(there, band[name].to_numpy(), np.nan) for name in ("lower", "median", "upper"))
    label, shade = f"{style.percent(prob)} interval", style.tint(style.BLUE, 0.35)
    ax.fill_between(market.dates, low, high, color=shade, linewidth=0, label=label)
    ax.plot(market.dates, median, color=style.BLUE, linewidth=0.9, label="Median")
    if market.target is not None:
        looks = {"color": style.BLACK, "linewidth": 0.5, "marker": ".", "markersize": 1.5}
        ax.plot(market.dates, market.target, label="Observed", **looks)
    style.from_zero(ax, low[there], np.asarray(market.target)[there] if market.target is not None else low[there])
    style.date_axis(ax, ticks=(2, 5))


def _parts(means: xr.Dataset, max_channels: int) -> dict[str, tuple[np.ndarray, str]]:
    """Baseline and channels by geo, with their colours; the largest channels first."""
    media = means["media"].transpose("channel", "geo")
    order = np.argsort(-np.abs(media.sum("geo").to_numpy()), kind="stable")
    rest = [means[name] for name in means if name != "media"]
    baseline = np.sum([part.sum([dim for dim in part.dims if dim != "geo"]).to_numpy() for part in rest], axis=0)
    found: dict[str, tuple[np.ndarray, str]] = {"Baseline": (baseline, _BASELINE)}
    for colour, place in zip(style.COLOURS, order[:max_channels], strict=False):
        found[str(media["channel"].values[place])] = (media.to_numpy()[place], colour)
    if len(order) > max_channels:
        others = order[max_channels:]
        found[f"{len(others)} other channels"] = (media.to_numpy()[others].sum(axis=0), _OTHERS)
    return found


def _stack(ax: Axes, parts: dict[str, tuple[np.ndarray, str]]) -> None:
    some = next(iter(parts.values()))[0]
    right, left, places = np.zeros(len(some)), np.zeros(len(some)), np.arange(len(some))
    for name, (values, colour) in parts.items():
        start = np.where(values >= 0, right, left)
        looks = {"color": colour, "edgecolor": "white", "linewidth": 0.4, "height": 0.75}
        ax.barh(places, values, left=start, label=style.text(name, 22), **looks)
        right, left = right + np.maximum(values, 0.0), left + np.minimum(values, 0.0)
    ax.set_xlim(min(0.0, float(left.min())), float(right.max()))
    ax.axvline(0.0, color=style.DARK, linewidth=0.8)


def _row_multiples(names: list[str], geos: list[str]) -> tuple[Any, np.ndarray]:
    """One axes per name with the same named rows, which the first of each line shows."""
    columns = min(_MOST_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    height = 1.3 + lines * max(1.2, 0.45 + 0.2 * len(geos))
    figure, grid = style.plt.subplots(lines, columns, figsize=(style.WIDTH, height), layout="constrained", squeeze=False)
    for unused in grid.flat[len(names) :]:
        unused.remove()
    for place, (ax, name) in enumerate(zip(grid.flat, names, strict=False)):
        style.plain(ax)
        style.name_rows(ax, geos, width=16)
        ax.tick_params(labelleft=place % columns == 0)
        ax.set_title(style.text(name, int(style.WIDTH / columns / 0.085)), fontsize=style.SMALL + 0.5)
    return figure, grid.ravel()[: len(names)]


def _draw_rows(ax: Axes, table: xr.Dataset, all_geos: float | None, percent: str) -> None:
    places = np.arange(table.sizes["geo"])
    shade, label = style.tint(style.BLUE, 0.45), f"{percent} interval"
    ax.hlines(places, table["lower"], table["upper"], color=shade, linewidth=3.5, label=label)
    ax.plot(table["mean"], places, "o", color=style.BLUE, markersize=3.5, label="Mean")
    if all_geos is not None:
        ax.axvline(all_geos, color=style.DARK, linestyle="--", linewidth=0.9, label="All geos together")
    ax.set_xlim(left=min(0.0, float(table["lower"].min())))
    style.compact_axis(ax, "x", ticks=4)
