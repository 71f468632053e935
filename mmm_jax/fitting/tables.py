"""Tables of a fit for people, as pandas DataFrames."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray as xr

from mmm_jax.analysis.draws import prior_draws
from mmm_jax.fitting.labels import interval
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.convergence import Draws, convergence_table, stacked
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model, scalar_names

if TYPE_CHECKING:
    from mmm_jax.fitting.abstract import AbstractFit


def parameter_table(fit: "AbstractFit", prob: float) -> Any:
    """One row per scalar parameter: where it is, how sure, and how well it was sampled.

    The draws of an approximation have `pareto_k` and `importance_ess` in place of R-hat and effective sample sizes.
    """
    names = scalar_names(fit.spec, fit.panel)
    values = xr.DataArray(stacked(fit.draws), dims=("chain", "draw", "parameter"), coords={"parameter": names})
    found = interval(values, prob)
    quality = quality_of(fit.draws, fit.diagnostics, found["sd"])
    return xr.merge([found, quality.assign_coords(parameter=names)]).to_dataframe()


def quality_of(draws: Draws, diagnostics: Diagnostics | ApproximationDiagnostics, sd: xr.DataArray) -> xr.Dataset:
    """How well every scalar parameter was sampled, over the dimension `parameter`.

    Args:
        draws: by parameter name, shape (chain, draw, ...).
        diagnostics: of these draws.
        sd: posterior deviation by `parameter`.
    """
    if isinstance(diagnostics, ApproximationDiagnostics):
        return _quality(diagnostics, sd)
    return convergence_table(draws).rename_dims(scalar="parameter")


def _quality(diagnostics: ApproximationDiagnostics, sd: xr.DataArray) -> xr.Dataset:
    everywhere = {name: xr.full_like(sd, getattr(diagnostics, name)) for name in ("pareto_k", "importance_ess")}
    return xr.Dataset({**everywhere, "mcse_mean": sd / np.sqrt(diagnostics.importance_ess)})


def waterfall_table(totals: xr.Dataset, prob: float) -> Any:
    """One row per component: `mean` total contribution with its interval, and `share` of the expected target."""
    rows = [part.rename({dim: "component"}) for name in totals for part, dim in [_as_column(totals[name], str(name))]]
    draws = xr.concat(rows, "component", coords="minimal", compat="override")
    table = interval(draws, prob)
    table["share"] = table["mean"] / table["mean"].sum()
    return table.to_dataframe()[["mean", "sd", "lower", "median", "upper", "share"]]


def prior_to_posterior_table(fit: "AbstractFit", key: jax.Array, num_samples: int) -> Any:
    """One row per scalar parameter: prior and posterior mean and sd, and how far the data narrowed it down."""
    with precision_scope(fit.precision):
        prior = prior_draws(build_any_model(fit.spec, fit.panel, fit.scales), jax.random.split(key, num_samples))
    before = stacked({name: np.asarray(prior[name])[None] for name in fit.draws})[0]
    after = stacked(fit.draws).reshape(-1, before.shape[1])
    columns = {
        "prior_mean": before.mean(axis=0),
        "prior_sd": before.std(axis=0),
        "posterior_mean": after.mean(axis=0),
        "posterior_sd": after.std(axis=0),
        "contraction": 1 - after.var(axis=0) / before.var(axis=0),
    }
    coords = {"parameter": scalar_names(fit.spec, fit.panel)}
    return xr.Dataset({name: ("parameter", column) for name, column in columns.items()}, coords).to_dataframe()


def _as_column(part: xr.DataArray, name: str) -> tuple[xr.DataArray, str]:
    """The part with exactly one dimension besides chain and draw, and that dimension's name."""
    dims = [str(dim) for dim in part.dims if dim not in ("chain", "draw")]
    return (part, dims[0]) if dims else (part.expand_dims({"single": [name]}), "single")
