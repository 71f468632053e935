"""What brought the target about, period by period, and each channel's share in it."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.plots import style
from mmm_jax.plots.data import observed_target
from mmm_jax.plots.geos import together
from mmm_jax.plots.rows import plot_rows

_BASELINE, _OTHERS, _TOGETHER = "#B8B8B8", "#7A7A7A", "#E8E8E8"

Bands = dict[str, tuple[np.ndarray, str]]
"""Values per period and colour, by name."""


def plot_contributions(
    contributions: xr.Dataset,
    panel: AnyPanel | None = None,
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
        contributions: `fit.contributions()`, in units of the target, dimensions (chain, draw, ..., date); geos are added up.
        panel: rows whose observed target is drawn over it.
        max_channels: channels drawn by themselves, the largest ones; the others are drawn as one. At most 7, the
            colours that can be told apart.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target; the panel's name for it by default, or "target".

    Returns:
        The axes: date against the target in its units per period.
    """
    contributions = contributions.sum("geo") if "geo" in contributions.dims else contributions
    panel = None if panel is None else together(panel)
    ax, dates = style.axes_for(ax, size=(style.WIDTH, 4.6)), contributions["date"].to_numpy()
    bands = _bands(contributions, min(max_channels, len(style.COLOURS)))
    _draw_stack(ax, dates, bands)
    expected = np.sum([values for values, _ in bands.values()], axis=0)
    ax.plot(dates, expected, color=style.BLACK, linewidth=0.9, label="Expected (the sum)")
    if panel is not None:
        ax.plot(panel.dates, observed_target(panel), "k.", markersize=3.5, label="Observed")
    style.from_zero(ax, *(values for values, _ in bands.values()))
    style.date_axis(ax)
    style.compact_axis(ax, "y")
    name = target or (panel.target_name if panel is not None else "target")
    y = f"{style.sentence(name)} per {style.period_of(dates)}"
    style.dress(ax, title="Contributions over time, posterior mean", x="Date", y=y)
    style.legend_below(ax, widest=3)
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
    title, x = "Who brought what the media brought", "Share of media contribution (%)"
    ax = plot_rows(shares, prob=prob, ax=ax, title=title, x=x, number=style.percent)
    style.percent_axis(ax, "x")
    return ax


def _bands(contributions: xr.Dataset, max_channels: int) -> Bands:
    means = contributions.mean(("chain", "draw"), dtype=float)
    media = means["media"].transpose("channel", "date")
    totals = media.sum("date").to_numpy()
    order = np.argsort(-np.abs(totals), kind="stable")
    bands = {"Baseline": (_baseline(means), _BASELINE)}
    for colour, index in zip(style.COLOURS, order[:max_channels], strict=False):
        bands[str(media["channel"].to_numpy()[index])] = (media.to_numpy()[index], colour)
    if len(order) > max_channels:
        others = order[max_channels:]
        bands[f"{len(others)} other channels"] = (media.to_numpy()[others].sum(axis=0), _OTHERS)
    if "interaction" in means:
        bands["Interaction"] = (means["interaction"].to_numpy(), _TOGETHER)
    return bands


def _baseline(means: xr.Dataset) -> np.ndarray:
    parts = [means[name] for name in means if name not in ("media", "interaction")]
    summed = [part.sum([dim for dim in part.dims if dim != "date"]).to_numpy() for part in parts]
    return np.sum(summed, axis=0)


def _draw_stack(ax: Axes, dates: np.ndarray, bands: Bands) -> None:
    top, bottom = np.zeros(len(dates)), np.zeros(len(dates))
    for name, (values, colour) in bands.items():
        hatch = "////" if name == "Interaction" else None
        look = {"facecolor": colour, "edgecolor": style.GREY if hatch else "none", "linewidth": 0.0, "hatch": hatch}
        above, below = top + np.maximum(values, 0.0), bottom + np.minimum(values, 0.0)
        ax.fill_between(dates, top, above, label=style.text(name, 22), **look)
        ax.fill_between(dates, bottom, below, **look)
        top, bottom = above, below
    ax.axhline(0.0, color=style.DARK, linewidth=0.8)
