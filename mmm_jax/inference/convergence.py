"""R-hat, effective sample sizes and Monte Carlo errors: the one module that imports ArviZ, 0.23 or 1.x."""

import warnings
from collections.abc import Mapping

import numpy as np
import xarray as xr

Draws = Mapping[str, np.ndarray]
"""By parameter name, shape (chain, draw, ...)."""


def convergence_table(draws: Draws) -> xr.Dataset:
    """Rank-normalised split R-hat, bulk and tail effective sample size, and the mean's Monte Carlo standard error.

    Args:
        draws: shape (chain, draw, ...) by name; at least 4 draws per chain.

    Returns:
        Variables `r_hat`, `ess_bulk`, `ess_tail`, `mcse_mean` over the dimension `scalar`, one entry per scalar
        parameter, in the order of the names and, within a name, in C order. A parameter that never moves has NaN.

    Reference:
        Vehtari et al. (2021), Rank-normalization, folding, and localization: an improved R-hat.
    """
    az = _arviz()
    dataset = xr.Dataset({"values": (("chain", "draw", "scalar"), stacked(draws))})
    with warnings.catch_warnings():
        # Constant draws give 0 / 0 inside of ArviZ; the NaN that results is what the caller is told.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = {
            "r_hat": az.rhat(dataset),
            "ess_bulk": az.ess(dataset, method="bulk"),
            "ess_tail": az.ess(dataset, method="tail"),
            "mcse_mean": az.mcse(dataset, method="mean"),
        }
    return xr.Dataset({name: ("scalar", np.asarray(values["values"])) for name, values in found.items()})


def energy_bfmi(energy: np.ndarray) -> np.ndarray:
    """Energy Bayesian fraction of missing information per chain; below 0.3 the tails are explored too slowly.

    Args:
        energy: shape (chain, draw).

    Reference:
        Betancourt (2016), Diagnosing Suboptimal Cotangent Disintegrations in Hamiltonian Monte Carlo.
    """
    return np.mean(np.diff(energy, axis=1) ** 2, axis=1) / np.var(energy, axis=1)


def stacked(draws: Draws) -> np.ndarray:
    """All draws as (chain, draw, scalar), in float64."""
    arrays = [np.asarray(values, float) for values in draws.values()]
    return np.concatenate([values.reshape(*values.shape[:2], -1) for values in arrays], axis=2)


def _arviz():
    with warnings.catch_warnings():
        # ArviZ 0.23 announces its 1.0 on import; both are supported here.
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz
