"""How far a plan leaves what was observed, where the response is what the curve guesses."""

import jax.numpy as jnp
import numpy as np
import xarray as xr

from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.decisions import Decisions
from mmm_jax.planning.problem import Problem

TOLERATED = 1.1
"""Planned peak over the observed one that is not flagged."""


def extrapolation(problem: Problem, spend: xr.DataArray) -> xr.Dataset:
    """Planned against observed peaks, by channel and, where there are several, geo.

    Returns:
        `planned_peak` and `observed_peak`: the largest amount of one period, in the units of the fitted table; `beyond`:
        whether the plan's is more than a tenth larger.
    """
    markets, decisions = problem.markets, problem.decisions
    cells = (spend if decisions.geographic else spend.expand_dims(geo=1)).transpose("geo", "channel", "date").to_numpy()
    with precision_scope("float64"):
        media = np.asarray(problem.rates.media(jnp.asarray(cells))) * markets.scales[..., None]
    planned, observed = media.max(axis=2), markets.peaks()
    return xr.Dataset(
        {
            "planned_peak": _by_channel(planned, decisions),
            "observed_peak": _by_channel(observed, decisions),
            "beyond": _by_channel(planned > TOLERATED * observed, decisions),
        }
    )


def _by_channel(values: np.ndarray, decisions: Decisions) -> xr.DataArray:
    table = xr.DataArray(
        values, dims=("geo", "channel"), coords={"geo": list(decisions.geos), "channel": list(decisions.channels)}
    )
    return table.transpose("channel", "geo") if decisions.geographic else table.isel(geo=0, drop=True)
