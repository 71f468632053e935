"""A plan on its curves: what each channel brings, and what one more unit of spend would bring, near the plan."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.fitting.labels import interval
from mmm_jax.plots import multiples, style
from mmm_jax.plots.plan import by_channel, check_same_cells, spend_over

_STEEPEST = 3.0
"""Height of the axes of marginal returns over the largest one at the plan: a root begins infinitely steep."""


def plot_plan_curves(
    curves: xr.Dataset,
    plan: Any,
    reference: xr.DataArray | None = None,
    *,
    reference_name: str = "Reference",
    break_even: float | None = None,
    prob: float = 0.9,
    share_y: bool = False,
    currency: str = "currency",
    target: str = "target",
) -> np.ndarray:
    """Where the plan stands on each channel's curve, all other channels as planned.

    Of the plan with the best mean, channels between their bounds have the same marginal return; what has a higher one is
    held down by a constraint, and what has a lower one is held up by one.

    Args:
        curves: `plan_curves(plan)`: `response` in units of the target, `marginal_return` in units of the target per
            currency, `spend` and `observed_limit` in currency over the horizon.
        plan: the `Allocation`.
        reference: spend to compare with, in currency per period, the plan's dimensions, channels and number of dates. It
            is marked on the curve: what it would bring if it were spread over the dates as the plan is.
        reference_name: what the reference is, for the legend.
        break_even: marginal return at which spend pays for itself, marked if given.
        prob: probability of the central intervals.
        share_y: one vertical axis for the responses of all channels, so that their heights compare. Those of the marginal
            returns always do.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        Two axes per channel, shape (channel, 2), in the order of the curves: spend against response, and spend against
        marginal return, each with its mean and interval. Grey is the spend at which some period has more than was ever
        observed.

    Raises:
        PlanError: the reference has other channels or another number of dates.
    """
    if reference is not None:
        check_same_cells(plan.spend, reference)
    names = [str(name) for name in curves["channel"].to_numpy()]
    figure, axes = multiples.paired_multiples(names, share_upper=share_y)
    # Channels without any spend have no marginal return, and are not drawn.
    tables = tuple(interval(curves[name].fillna(0.0), prob) for name in ("response", "marginal_return"))
    marks = _marks(plan.spend, reference, reference_name)
    _limit_marginal(axes, curves, tables[1], by_channel(plan.spend))
    for pair, name in zip(axes, names, strict=True):
        _draw_channel(pair, curves.sel(channel=name), [table.sel(channel=name) for table in tables], marks, prob)
        if break_even is not None:
            label = f"Break-even ({style.compact(break_even)})"
            pair[1].axhline(break_even, color=style.DARK, linestyle="--", linewidth=0.9, label=label)
    for ax in axes[:, 0]:
        style.from_zero(ax, tables[0]["lower"].to_numpy())
    y = f"Response ({target})\nand below it, marginal return ({target} per {currency})"
    multiples.label_figure(figure, title="The plan on each channel's curve", x=spend_over(plan.spend, currency), y=y)
    multiples.figure_legend(figure, axes.ravel())
    return axes


class _Mark(NamedTuple):
    """Spend that is marked on the curves, in currency over the horizon, (channel,)."""

    name: str
    spend: xr.DataArray
    look: dict[str, Any]


def _marks(planned: xr.DataArray, reference: xr.DataArray | None, reference_name: str) -> list[_Mark]:
    """The plan last, so that it lies above."""
    looks = {"marker": "D", "color": style.VERMILION}, {"marker": "s", "color": style.DARK}
    found = [_Mark("Plan", by_channel(planned), looks[0])]
    if reference is not None:
        found.insert(0, _Mark(style.text(reference_name), by_channel(reference), looks[1]))
    return found


def _draw_channel(
    pair: np.ndarray, curves: xr.Dataset, tables: Sequence[xr.Dataset], marks: Sequence[_Mark], prob: float
) -> None:
    spend = curves["spend"].to_numpy()
    if not spend.any():
        style.write_inside(pair[0], "no spend")
        pair[1].set_xticks([0.0])
        return
    looks = ((style.BLUE, "Mean response"), (style.GREEN, "Mean marginal return"))
    amounts = [float(mark.spend.sel(channel=curves["channel"])) for mark in marks]
    for ax, table, (colour, label) in zip(pair, tables, looks, strict=True):
        _draw_curve(ax, spend, table, colour, label, prob)
        for mark, amount in zip(marks, amounts, strict=True):
            _draw_mark(ax, mark, amount, spend, table)
        _limit_spend(ax, float(curves["observed_limit"]), 1.03 * max(spend[-1], *amounts))


def _draw_curve(ax: Axes, spend: np.ndarray, table: xr.Dataset, colour: str, label: str, prob: float) -> None:
    band = f"{style.percent(prob)} interval"
    ax.fill_between(spend, table["lower"], table["upper"], color=style.tint(colour, 0.3), linewidth=0, label=band)
    ax.plot(spend, table["mean"], color=colour, linewidth=1.5, label=label)


def _draw_mark(ax: Axes, mark: _Mark, amount: float, spend: np.ndarray, table: xr.Dataset) -> None:
    """A line at the spend, and a point where the curve reaches that far, on the axes' edges or within them."""
    ax.axvline(amount, color=mark.look["color"], linewidth=0.7)
    height = float(np.interp(amount, spend, table["mean"], left=np.nan, right=np.nan))
    shown = ax.get_autoscaley_on() or height <= ax.get_ylim()[1]
    look = {"markersize": 4.5, "zorder": 3, "clip_on": False, **mark.look}
    ax.plot([amount], [height if shown else np.nan], linestyle="none", label=mark.name, **look)


def _limit_spend(ax: Axes, limit: float, end: float) -> None:
    """From 0 to the end, with what was never observed in grey."""
    if limit < end:
        ax.axvspan(limit, end, color=style.LIGHT, alpha=0.5, linewidth=0, zorder=0, label="Never observed")
    ax.set_xlim(0.0, end)


def _limit_marginal(axes: np.ndarray, curves: xr.Dataset, table: xr.Dataset, planned: xr.DataArray) -> None:
    """Marginal returns from 0, unless some are negative, and not as high as they may be at no spend."""
    names = curves["channel"].to_numpy()
    highest = max(_height(curves["spend"].sel(channel=name), table.sel(channel=name), planned) for name in names)
    for ax in axes[:, 1]:
        ax.set_ylim(min(0.0, float(table["lower"].min())), 1.08 * highest if highest > 0 else 1.0)


def _height(spend: xr.DataArray, table: xr.Dataset, planned: xr.DataArray) -> float:
    """Highest marginal return that a channel's axes should show."""
    least = max(float(planned.sel(channel=spend["channel"])), 0.05 * float(spend[-1]))
    return float(min(table["upper"].max(), _STEEPEST * np.interp(least, spend, table["upper"])))
