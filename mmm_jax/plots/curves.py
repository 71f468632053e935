"""How a channel's effect answers to its spend, one small picture per channel."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.fitting.labels import interval
from mmm_jax.plots import multiples, style
from mmm_jax.plots.geos import check_together

_LARGEST = "Largest observed spend"


def plot_response_curves(
    curves: xr.Dataset,
    *,
    prob: float = 0.9,
    share_y: bool = True,
    currency: str = "currency",
    target: str = "target",
) -> np.ndarray:
    """What each channel brings over the window, against what it costs over the window.

    Args:
        curves: `fit.response_curves()`: `response` in units of the target, `spend` in currency, both over the window.
        prob: probability of the central interval.
        share_y: one vertical axis for all channels, so that their heights compare.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        One axes per channel, in the order of the curves: spend against response, both summed over the window, the
        mean with its interval, a dashed line and a dot at the observed spend.
    """
    check_together(curves["response"], "Give `fit.response_curves(by_geo=False)`, or those of one geo with `.sel(geo=...)`.")
    names = [str(name) for name in curves["channel"].to_numpy()]
    figure, axes = multiples.small_multiples(names, share_y=share_y)
    table, steps = interval(curves["response"], prob), curves["multiplier"].to_numpy()
    for ax, name in zip(axes, names, strict=True):
        spend, band = curves["spend"].sel(channel=name).to_numpy(), table.sel(channel=name)
        if not spend.any():
            style.write_inside(ax, "no spend")
            ax.set_xticks([0.0])
            continue
        _draw_curve(ax, spend, band, prob)
        if steps.min() <= 1.0 <= steps.max():
            _mark_observed(ax, *(float(np.interp(1.0, steps, values)) for values in (spend, band["mean"])))
    _finish(axes, table)
    x, y = f"Spend over the window ({currency})", f"Contribution over the window ({target})"
    multiples.label_figure(figure, title="Response to more or less spend", x=x, y=y)
    multiples.figure_legend(figure, axes)
    return axes


def plot_saturation_curves(
    curves: xr.Dataset,
    *,
    prob: float = 0.9,
    share_y: bool = True,
    log_link: bool = False,
    currency: str = "currency",
    period: str = "period",
    target: str = "target",
) -> np.ndarray:
    """Effect of each channel per period, against its adstocked spend of that period.

    Args:
        curves: `fit.saturation_curves()`: `effect` in units of the target per period, `spend` and `observed` in currency
            per period, or in units of media, which the titles then name. Of a channel with frequency, they are frequencies.
        prob: probability of the central interval.
        share_y: one vertical axis for all channels, so that their heights compare.
        log_link: the likelihood has a log link, so that the effect is on the target's logarithm.
        currency: name of the currency.
        period: the word for one row of the panel, such as "week".
        target: name and unit of the target.

    Returns:
        One axes per channel, in the order of the curves: spend against effect, both per period, the mean with its
        interval. Beyond the dashed line at the largest observed spend, where the curve is the model's guess, the
        background is grey.
    """
    check_together(curves["effect"], "Curves of geos do not add up: give those of one with `.sel(geo=...)`.")
    names = [str(name) for name in curves["channel"].to_numpy()]
    figure, axes = multiples.small_multiples(names, share_y=share_y)
    table = interval(curves["effect"], prob)
    for ax, name in zip(axes, names, strict=True):
        spend, largest = curves["spend"].sel(channel=name).to_numpy(), float(curves["observed"].sel(channel=name))
        of_frequency = "axis" in curves.coords and curves["axis"].sel(channel=name).item() == "frequency"
        if "unit" in curves.coords:
            unit = style.text(str(curves["unit"].sel(channel=name).item()), 24)
            ax.set_title(f"{ax.get_title()}\n{unit}", fontsize=ax.title.get_fontsize())
        _draw_curve(ax, spend, table.sel(channel=name), prob)
        _mark_range(ax, largest, float(spend.max()), "Largest observed" if "axis" in curves.coords else _LARGEST)
        if of_frequency:
            ax.set_xlabel("frequency, at the largest reach", fontsize=style.SMALL)
    _finish(axes, table)
    effect = f"logarithm of {target}" if log_link else target
    amount = "media (units above" if "unit" in curves.coords else f"spend ({currency}"
    beside = ", or frequency (impressions per person)" if "axis" in curves.coords else ""
    x, y = f"Adstocked {amount} per {period}){beside}", f"Effect ({effect} per {period})"
    multiples.label_figure(figure, title="Saturation", x=x, y=y)
    multiples.figure_legend(figure, axes)
    return axes


def _draw_curve(ax: Axes, spend: np.ndarray, band: xr.Dataset, prob: float) -> None:
    shade = style.tint(style.BLUE, 0.3)
    label = f"{style.percent(prob)} interval"
    ax.fill_between(spend, band["lower"], band["upper"], color=shade, linewidth=0, label=label)
    ax.plot(spend, band["mean"], color=style.BLUE, linewidth=1.5, label="Mean")


def _mark_observed(ax: Axes, spend: float, response: float) -> None:
    ax.axvline(spend, color=style.DARK, linestyle="--", linewidth=0.9, label="Observed spend")
    ax.plot([spend], [response], "o", color=style.VERMILION, markersize=4.5)


def _mark_range(ax: Axes, largest: float, end: float, label: str) -> None:
    ax.axvline(largest, color=style.DARK, linestyle="--", linewidth=0.9, label=label)
    if end > largest:
        ax.axvspan(largest, end, color=style.LIGHT, alpha=0.5, linewidth=0, zorder=0, label="Never observed")


def _finish(axes: np.ndarray, table: xr.Dataset) -> None:
    for ax in axes:
        ax.margins(x=0.0)
        style.from_zero(ax, table["lower"].to_numpy())
