"""What the data taught about the parameters."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mmm_jax.plots import style


def plot_prior_posterior(table: Any, *, ax: Axes | None = None) -> Axes:
    """Where the posterior lies in the prior: all parameters on one scale.

    A bar as wide as the grey one says that the data taught nothing about the parameter; a dot far outside of it, that
    data and prior disagree.

    Args:
        table: `fit.prior_to_posterior()`, or some of its rows, such as `table.filter(like="saturation", axis=0)`.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: one row per parameter in the table's order, posterior mean and standard deviation in prior standard
        deviations from the prior mean.
    """
    names = [str(name) for name in table.index]
    mean, sd, prior_mean, prior_sd = (
        table[name].to_numpy(float) for name in ("posterior_mean", "posterior_sd", "prior_mean", "prior_sd")
    )
    ax, places = style.row_axes(ax, len(names), each=0.2), np.arange(len(names))
    centre, half = (mean - prior_mean) / prior_sd, sd / prior_sd
    ax.axvspan(-1.0, 1.0, color=style.LIGHT, alpha=0.6, linewidth=0, zorder=0, label="Prior mean \u00b1 sd")
    spans, shade = "Posterior mean \u00b1 sd", style.tint(style.BLUE, 0.45)
    ax.hlines(places, centre - half, centre + half, color=shade, linewidth=4, label=spans)
    ax.plot(centre, places, "o", color=style.BLUE, markersize=4, label="Posterior mean")
    x = "Distance from the prior mean (prior standard deviations)"
    style.dress(ax, title="From prior to posterior", x=x, y="Parameter")
    style.name_rows(ax, names, width=60)
    style.legend_below(ax)
    return ax
