"""Experiments against a fit: what its draws say of them, beside what was measured."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy import stats

from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.experiments import LiftTest, LiftTests
from mmm_jax.errors import ExperimentError
from mmm_jax.fitting.labels import interval
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.model.components import Params
from mmm_jax.model.experiment_rows import measurements
from mmm_jax.model.mmm import AbstractMMM

if TYPE_CHECKING:
    from mmm_jax.fitting.abstract import AbstractFit


def prediction_table(fit: "AbstractFit", experiments: LiftTests, prob: float) -> Any:
    """See `AbstractFit.predict_experiments`."""
    if not experiments:
        raise ExperimentError("There is no experiment to predict: `experiments` is empty.")
    with precision_scope(fit.precision):
        model = build_any_model(fit.spec, fit.panel, fit.scales, experiments=experiments)
        draws = over_draws(_predicted, model, fit.flat_draws()).astype(float)
    shaped = draws.reshape(fit.num_chains, -1, draws.shape[1])
    found = interval(xr.DataArray(shaped, dims=("chain", "draw", "experiment")), prob)
    measured = measurements(experiments)
    columns = {"measured": measured["measured"], "se": measured["error"], "pit": pit(draws, **measured)}
    table = xr.Dataset({name: ("experiment", values) for name, values in {**_labels(experiments), **columns}.items()})
    return table.merge(found).to_dataframe()[[*_labels(experiments), *found, *columns]]


def pit(draws: np.ndarray, measured: np.ndarray, error: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """Probability that the draws, each with the measurement's own error around it, give to less than was measured.

    Args:
        draws: of what the model expects, shape (draw, row).
        measured: shape (row,).
        error: standard error of the measurement.
        nu: degrees of freedom of that error, infinite for a normal one.

    Returns:
        Shape (row,). Where model and standard errors are right, uniform from 0 to 1.
    """
    z = (measured - draws) / error
    finite = np.where(np.isinf(nu), 1.0, nu)
    return np.where(np.isinf(nu), stats.norm.cdf(z), stats.t.cdf(z, finite)).mean(axis=0)


def _predicted(model: AbstractMMM, params: Params) -> Any:
    return model.predicted_experiments(params)


def _labels(experiments: LiftTests) -> dict[str, list[Any]]:
    rows = experiments.rows
    kinds = ["lift test" if isinstance(row, LiftTest) else "cost per target" for row in rows]
    text = {name: [_text(getattr(row, name)) for row in rows] for name in ("channel", "geo", "start", "end")}
    return {"kind": kinds, **text}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
