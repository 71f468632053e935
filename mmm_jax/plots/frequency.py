"""What impressions return by how often the same person sees them, one small picture per channel."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from mmm_jax.fitting.labels import interval
from mmm_jax.plots import multiples, style


def plot_optimal_frequency(
    found: xr.Dataset,
    *,
    prob: float = 0.9,
    share_y: bool = False,
    currency: str = "currency",
    target: str = "target",
) -> np.ndarray:
    """Return on spend over the average frequency, with the same impressions at the same cost.

    Args:
        found: `fit.optimal_frequency()`, of one market or of all geos together.
        prob: probability of the central interval of the return.
        share_y: one vertical axis for all channels.
        currency: name of the currency.
        target: name and unit of the target.

    Returns:
        One axes per channel with frequency: frequency against return, the mean with its interval; a solid line at the
        optimum with the interval of the draws' own optima as a bar below, and a dashed line at the current frequency.

    Raises:
        ValueError: results by geo: choose one by `found.sel(geo=...)`.
    """
    if "geo" in found.dims:
        raise ValueError("The results are by geo: choose one, `found.sel(geo=...)`, or ask for `by_geo=False`.")
    names = [str(name) for name in found["channel"].to_numpy()]
    figure, axes = multiples.small_multiples(names, share_y=share_y)
    for ax, name in zip(axes, names, strict=True):
        one = found.sel(channel=name)
        if not (np.isfinite(one["roas"]).all() and np.isfinite(one["optimal_frequency"])):
            style.write_inside(ax, "no spend, no return")
            ax.set_xticks([])
            ax.set_yticks([])
            continue
        band = interval(one["roas"], prob)
        _draw(ax, one, band, prob)
        style.from_zero(ax, band["lower"].to_numpy())
    x, y = "Average frequency (impressions per person reached and period)", f"Return on spend\n({target} per {currency})"
    multiples.label_figure(figure, title="Return by frequency, impressions as they were", x=x, y=y)
    multiples.figure_legend(figure, axes, widest=3)
    return axes


def _draw(ax: Axes, one: xr.Dataset, band: xr.Dataset, prob: float) -> None:
    frequency = one["frequency"].to_numpy()
    shade = style.tint(style.BLUE, 0.3)
    label = f"{style.percent(prob)} interval of the return"
    ax.fill_between(frequency, band["lower"], band["upper"], color=shade, linewidth=0, label=label)
    ax.plot(frequency, band["mean"], color=style.BLUE, linewidth=1.5, label="Mean return")
    best, now = float(one["optimal_frequency"]), float(one["current_frequency"])
    ax.axvline(best, color=style.VERMILION, linewidth=1.2, label="Optimal frequency")
    ends = [float(one["lower"]), float(one["upper"])]
    label = f"{style.percent(float(one.attrs['prob']))} interval of the optimum"
    bar = {"color": style.VERMILION, "linewidth": 5.0, "solid_capstyle": "butt", "alpha": 0.7}
    ax.plot(ends, [0.015, 0.015], transform=ax.get_xaxis_transform(), label=label, **bar)
    ax.axvline(now, color=style.DARK, linestyle="--", linewidth=0.9, label="Current frequency")
    ax.set_xlim(frequency.min(), max(frequency.max(), frequency.min() + 1e-3))
