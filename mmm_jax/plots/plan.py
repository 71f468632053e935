"""A plan against what was done before, and what it is expected to gain."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.errors import PlanError
from mmm_jax.plots import style


def plot_plan(
    plan: Any,
    reference: xr.DataArray,
    *,
    reference_name: str = "Reference",
    ax: Axes | None = None,
    currency: str = "currency",
) -> Axes:
    """Planned and reference spend per channel, with the change and the channels that stand at a bound.

    Args:
        plan: an `Allocation`: its `spend` in currency per period, dimensions (date, channel) or (date, channel, geo).
        reference: the spend to compare with, in currency per period, the same dimensions, channels and number of dates.
        reference_name: what the reference is, for the legend.
        ax: axes to draw on; a new figure by default.
        currency: name of the currency.

    Returns:
        The axes: two bars per channel in the plan's order, spend in currency over all dates of the plan.

    Raises:
        PlanError: the reference has other channels or another number of dates.
    """
    check_same_cells(plan.spend, reference)
    planned = by_channel(plan.spend)
    before = by_channel(reference).sel(channel=planned["channel"])
    names = [str(name) for name in planned["channel"].to_numpy()]
    ax, states = style.row_axes(ax, len(names), each=0.42 if len(names) <= 12 else 0.3), _states(plan)
    x = spend_over(plan.spend, currency)
    style.dress(ax, title="Planned spend by channel", x=x, y="Channel")
    _draw_pairs(ax, planned.to_numpy(), before.to_numpy(), reference_name)
    style.name_rows(ax, names)
    pairs = list(zip(planned.to_numpy(), before.to_numpy(), strict=True))
    changes = [_change(*pair) + states.get(name, "") for pair, name in zip(pairs, names, strict=True)]
    words = [f"{style.compact(new)} ({change})" for (new, _), change in zip(pairs, changes, strict=True)]
    style.write_beside(ax, words, [max(pair) for pair in pairs], range(len(pairs)))
    return ax


def plot_improvement(
    comparison: Any,
    *,
    prob: float = 0.9,
    ax: Axes | None = None,
    title: str | None = None,
    target: str = "target",
) -> Axes:
    """How much more a plan brings than another, over all draws.

    Args:
        comparison: `plan.compare(...)`: `difference` in units of the target, dimensions (chain, draw), and
            `probability_better`.
        prob: probability of the central interval.
        ax: axes to draw on; a new figure by default.
        title: title of the picture; says how probable a gain is by default.
        target: name and unit of the target.

    Returns:
        The axes: gain in units of the target against how probable it is, with the mean, the interval and zero marked.
    """
    gain, ax = np.asarray(comparison.difference, float).ravel(), style.axes_for(ax, size=(style.WIDTH, 3.6))
    low, high = np.quantile(gain, [(1 - prob) / 2, (1 + prob) / 2])
    _draw_shares(ax, gain)
    band = f"{style.percent(prob)} interval: {style.compact(low)} to {style.compact(high)}"
    ax.axvspan(low, high, color=style.LIGHT, alpha=0.6, zorder=0, linewidth=0, label=band)
    ax.axvline(gain.mean(), color=style.BLUE, linewidth=2, label=f"Mean: {style.compact(gain.mean())}")
    ax.axvline(0.0, color=style.BLACK, linestyle="--", linewidth=1, label="No gain")
    style.compact_axis(ax, "x")
    style.percent_axis(ax, "y")
    words = f"The plan is better with a probability of {style.percent(float(comparison.probability_better))}"
    style.dress(ax, title=title or words, x=f"Gain over the horizon ({target})", y="Share of draws (%)")
    style.legend_below(ax)
    return ax


def _draw_pairs(ax: Axes, planned: np.ndarray, before: np.ndarray, reference_name: str) -> None:
    places = np.arange(len(planned))
    ax.barh(places - 0.19, planned, height=0.36, color=style.BLUE, label="Plan")
    ax.barh(places + 0.19, before, height=0.36, color=style.GREY, label=style.text(reference_name))
    ax.set_xlim(left=0.0)
    style.compact_axis(ax, "x")
    style.legend_below(ax)


def _draw_shares(ax: Axes, gain: np.ndarray) -> None:
    sides = ((gain >= 0, style.SKY, "Gain"), (gain < 0, style.ORANGE, "Loss"))
    # One edge of the bins at zero, so that no bin is part gain and part loss.
    width = max(np.ptp(gain), 1e-9 * max(1.0, float(np.abs(gain).max()))) / 40
    edges = width * np.arange(np.floor(gain.min() / width), np.ceil(gain.max() / width) + 2)
    for side, colour, name in sides:
        if side.any():
            ax.hist(gain[side], edges, weights=np.full(side.sum(), 1 / len(gain)), color=colour, label=name)


def _change(new: float, old: float) -> str:
    if old == 0 and new > 0:
        return "new"
    change = new / old - 1 if old else 0.0
    return "unchanged" if abs(change) < 0.005 else f"{change:+.0%}".replace("-", "\N{MINUS SIGN}")


def _states(plan: Any) -> dict[str, str]:
    """By channel, the words for a bound that it stands at, or how many of its numbers do."""
    state = getattr(plan, "channel_state", None)
    if state is None:
        return {}
    pairs = zip(state["channel"].to_numpy(), state.to_numpy(), strict=True)
    return {str(channel): f", {word}" for channel, word in pairs if word != "interior"}


def spend_over(spend: xr.DataArray, currency: str) -> str:
    """Label of an axis of spend over all dates of a plan."""
    return f"{style.spend_label(currency)} over {style.length_of(spend['date'].to_numpy())}"


def by_channel(spend: xr.DataArray) -> xr.DataArray:
    """Spend of each channel over all dates and geos, (channel,)."""
    return spend.sum([name for name in spend.dims if name != "channel"])


def check_same_cells(spend: xr.DataArray, reference: xr.DataArray) -> None:
    """Refuse a reference that a plan's spend does not compare with.

    Raises:
        PlanError: other channels, or another number of dates.
    """
    ours, theirs = set(spend["channel"].to_numpy()), set(reference["channel"].to_numpy())
    if ours != theirs:
        raise PlanError(f"The reference must have the plan's channels; these differ: {', '.join(sorted(ours ^ theirs))}.")
    if spend.sizes["date"] != reference.sizes["date"]:
        raise PlanError(
            f"The plan has {spend.sizes['date']} dates and the reference {reference.sizes['date']}, so that their totals do "
            "not compare. Give a reference of the same length."
        )
