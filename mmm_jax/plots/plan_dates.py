"""A plan against what was done before, period by period."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.plots import multiples, style
from mmm_jax.plots.plan import check_same_cells

_BOUNDS = {"at upper bound": "^", "at lower bound": "v"}
"""States of a period that are marked, and how."""


def plot_plan_by_date(
    plan: Any,
    reference: xr.DataArray | None = None,
    *,
    reference_name: str = "Reference",
    currency: str = "currency",
) -> np.ndarray:
    """What is planned for each period, beside what was done before: all channels together, then each by itself.

    Args:
        plan: an `Allocation`: its `spend` in currency per period, dimensions (date, channel) or (date, channel, geo).
        reference: spend to compare with, in currency per period, the same dimensions, channels and number of dates; its
            first date is drawn at the plan's first one, and so on.
        reference_name: what the reference is, for the legend.
        currency: name of the currency.

    Returns:
        One axes for all channels, if there are several, and one per channel in the plan's order: date against spend of
        all geos in currency per period, each with its own scale. Where the dates of one market are decided apart, triangles
        mark those that stand at a bound.

    Raises:
        PlanError: the reference has other channels or another number of dates.
    """
    if reference is not None:
        check_same_cells(plan.spend, reference)
    planned, before = _panels(plan.spend), None if reference is None else _panels(reference)
    states, dates = _states(plan), plan.spend["date"].to_numpy()
    figure, axes = multiples.small_multiples(list(planned), share_y=False)
    for ax, (name, values) in zip(axes, planned.items(), strict=True):
        old = None if before is None else before[name]
        _draw(ax, dates, values, old, style.text(reference_name))
        _mark_bounds(ax, dates, values, states.get(name))
        _finish(ax, dates, spent=bool(np.any(values)) or (old is not None and bool(np.any(old))))
    y = style.spend_label(currency, style.period_of(dates))
    multiples.label_figure(figure, title="Planned spend by date", x="Date", y=y)
    multiples.figure_legend(figure, axes)
    return axes


def _panels(spend: xr.DataArray) -> dict[str, np.ndarray]:
    """Spend per date: of all channels, if there are several, and of each."""
    table = spend.sum([name for name in spend.dims if name not in ("date", "channel")]).transpose("channel", "date")
    by_channel = dict(zip(map(str, table["channel"].to_numpy()), table.to_numpy(), strict=True))
    return by_channel if len(by_channel) == 1 else {"All channels": table.to_numpy().sum(axis=0), **by_channel}


def _states(plan: Any) -> dict[str, np.ndarray]:
    """By channel, the state of each date, of plans whose dates are decided apart in one market."""
    state = getattr(getattr(plan, "certificate", None), "state", None)
    if state is None or set(state.dims) != {"date", "channel"}:
        return {}
    return {str(name): state.sel(channel=name).to_numpy() for name in state["channel"].to_numpy()}


def _edges(dates: np.ndarray) -> np.ndarray:
    """Where the periods begin, and where the last one ends."""
    step = dates[-1] - dates[-2] if len(dates) > 1 else np.timedelta64(1, "D")
    return np.append(dates, dates[-1] + step)


def _draw(ax: Axes, dates: np.ndarray, values: np.ndarray, before: np.ndarray | None, reference_name: str) -> None:
    edges = _edges(dates)
    ax.stairs(values, edges, fill=True, color=style.tint(style.BLUE, 0.35), label="Plan")
    ax.stairs(values, edges, baseline=None, color=style.BLUE, linewidth=1.2)
    if before is not None:
        ax.stairs(before, edges, baseline=None, color=style.DARK, linewidth=1.0, label=reference_name)


def _mark_bounds(ax: Axes, dates: np.ndarray, values: np.ndarray, state: np.ndarray | None) -> None:
    edges = _edges(dates)
    middle = edges[:-1] + np.diff(edges) // 2
    for word, marker in _BOUNDS.items():
        held = np.zeros(len(dates), bool) if state is None else state == word
        if held.any():
            looks = {"markersize": 3.0 if len(dates) <= 30 else 2.0, "color": style.VERMILION, "markeredgewidth": 0}
            ax.plot(middle[held], values[held], marker, label=style.sentence(word), clip_on=False, **looks)


def _finish(ax: Axes, dates: np.ndarray, *, spent: bool) -> None:
    style.date_axis(ax, ticks=(2, 5))
    if len(dates) == 1:
        ax.set_xticks(dates + np.timedelta64(12, "h"), [str(dates[0].astype("datetime64[D]"))])
    ax.margins(x=0.0, y=0.1)
    ax.set_ylim(bottom=0.0)
    if not spent:
        style.write_inside(ax, "no spend")
        ax.set_yticks([0.0])
