"""What more and more budget brings: the best plans for growing totals."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.plots import multiples, style
from mmm_jax.plots.plan import spend_over

_CROSS = {"color": style.VERMILION, "markersize": 8.0, "markeredgewidth": 1.6}


def plot_frontier(
    frontier: Any,
    *,
    plan: Any | float | None = None,
    plan_name: str = "Plan",
    break_even: float | None = None,
    prob: float = 0.9,
    currency: str = "currency",
    target: str = "target",
) -> np.ndarray:
    """What the best plan of each total brings, and what one more unit of it would bring.

    Args:
        frontier: a `Frontier`, from `budget_frontier`.
        plan: to mark: an `Allocation` over the same horizon, which lies below the curve if its bounds are tighter; or a
            total in currency over the horizon.
        plan_name: what that is, for the legend.
        break_even: marginal return at which more budget stops to pay, marked if given: 1 over the margin, for a target in
            currency.
        prob: probability of the central interval.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        Two axes, one above the other, over the total spend in currency: the response in units of the target with its
        mean and interval; and the marginal return, in units of the target per currency, or of the objective where
        another than the mean was maximised. Hollow points are plans that spend more in a period than was ever observed,
        crosses plans that are not proven to be the best.
    """
    table, first = frontier.to_dataset(prob=prob), frontier.plans[0]
    size = (style.WIDTH, 6.0)
    figure, axes = plt.subplots(2, 1, figsize=size, sharex=True, height_ratios=(1.4, 1.0), layout="constrained")
    _draw_response(axes[0], table, prob)
    _draw_points(axes[1], table, "marginal_return", style.GREEN, "Marginal return")
    if break_even is not None:
        _mark_break_even(axes, table, break_even)
    if plan is not None:
        _mark_plan(axes, table, plan, plan_name)
    style.dress(axes[0], title="What more budget would bring", x="", y=f"Response ({target})")
    style.dress(axes[1], title="", x=f"Total {_lower(spend_over(first.spend, currency))}", y="")
    axes[1].set_ylabel(_marginal_label(first.value.name, currency, target), fontsize=style.LABEL)
    _finish(axes, table)
    multiples.figure_legend(figure, axes)
    return axes


def break_even_total(totals: np.ndarray, marginal: np.ndarray, break_even: float) -> float | None:
    """Total at which the marginal return first falls below a value, between two totals on the straight line.

    `None` where it is below that from the first total on, or nowhere.
    """
    above = marginal >= break_even
    falls = np.flatnonzero(above[:-1] & ~above[1:])
    if len(falls) == 0:
        return None
    pair = slice(falls[0], falls[0] + 2)
    return float(np.interp(-break_even, -marginal[pair], totals[pair]))


def _draw_response(ax: Axes, table: xr.Dataset, prob: float) -> None:
    totals, band = table["total"].to_numpy(), f"{style.percent(prob)} interval"
    shade = style.tint(style.BLUE, 0.3)
    if len(totals) > 1:
        ax.fill_between(totals, table["lower"], table["upper"], color=shade, linewidth=0, label=band)
    else:
        ax.vlines(totals, table["lower"], table["upper"], color=shade, linewidth=6, label=band)
    _draw_points(ax, table, "response", style.BLUE, "Mean response")


def _draw_points(ax: Axes, table: xr.Dataset, name: str, colour: str, label: str) -> None:
    totals, values = table["total"].to_numpy(), table[name].to_numpy()
    beyond, optimal = table["beyond_observed"].to_numpy(), table["optimal"].to_numpy()
    ax.plot(totals, values, color=colour, linewidth=1.6, marker="o", markersize=4.5, label=label)
    hollow = {"markerfacecolor": "white", "markeredgecolor": colour, "markersize": 4.5}
    looks = ((beyond, "o", hollow, "Beyond the observed spend"), (~optimal, "x", _CROSS, "Not proven to be the best"))
    for chosen, marker, look, words in looks:
        if chosen.any():
            ax.plot(totals[chosen], values[chosen], marker, linestyle="none", label=words, **look)


def _mark_break_even(axes: np.ndarray, table: xr.Dataset, break_even: float) -> None:
    at = break_even_total(table["total"].to_numpy(), table["marginal_return"].to_numpy(), break_even)
    missed = "reached before" if float(table["marginal_return"][0]) < break_even else "not reached"
    label = f"Break-even ({style.compact(break_even)}): {missed if at is None else style.compact(at)}"
    axes[1].axhline(break_even, color=style.DARK, linestyle="--", linewidth=1, label=label)
    for ax in axes if at is not None else ():
        ax.axvline(at, color=style.DARK, linestyle="--", linewidth=1)


def _mark_plan(axes: np.ndarray, table: xr.Dataset, plan: Any, name: str) -> None:
    total = float(getattr(plan, "total", plan))
    for ax, height in zip(axes, _heights(table, plan, total), strict=True):
        ax.axvline(total, color=style.VERMILION, linewidth=0.9)
        ax.plot([total], [height], "D", color=style.VERMILION, markersize=6, label=style.text(name), zorder=4)


def _heights(table: xr.Dataset, plan: Any, total: float) -> tuple[float, float]:
    """Response and marginal return of a plan itself, which has its own bounds, or at a total."""
    if not hasattr(plan, "response"):
        return _between(table, "response", total), _between(table, "marginal_return", total)
    # A plan whose total is not given has no price of it.
    return float(plan.response.mean()), plan.certificate.shadow_price or np.nan


def _between(table: xr.Dataset, name: str, total: float) -> float:
    """Height of the curve at a total, NaN outside of it, but for rounding."""
    totals = table["total"].to_numpy()
    inside = np.clip(total, totals[0], totals[-1])
    return float(np.interp(inside, totals, table[name])) if np.isclose(inside, total, rtol=1e-6) else float("nan")


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]


def _marginal_label(objective: str, currency: str, target: str) -> str:
    unit = target if objective == "MeanResponse" else objective
    return "Marginal return\n" + style.text(f"({unit} per {currency})", 30)


def _finish(axes: np.ndarray, table: xr.Dataset) -> None:
    for ax, name in zip(axes, ("lower", "marginal_return"), strict=True):
        style.compact_axis(ax, "x", "y", ticks=5)
        style.from_zero(ax, table[name].to_numpy())
    if table.sizes["total"] == 1:
        axes[0].set_xlim(0.0, 2.0 * float(table["total"][0]))
