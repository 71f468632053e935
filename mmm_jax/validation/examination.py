"""What one fold says: predictions of its test rows, scores of test and training rows, return on spend.

Training rows are padded as they were for the fit, so that folds of nearly the same length share their programs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from mmm_jax.analysis.contributions import channel_totals, outcome
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.scores import coverage, crps, mape, nrmse
from mmm_jax.data.panel import Panel
from mmm_jax.fitting.labels import labelled
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.model.padding import bucket_of

PROBS = (0.5, 0.9)
"""Probabilities of the intervals whose coverage is reported."""

SCORES = ("crps", "elpd", "coverage_50", "coverage_90", "mape", "nrmse", "bias")


class Examined(NamedTuple):
    """What a fold's fit says.

    Attributes:
        predicted: `y` and `mean` of the test rows in units of the target, (chain, draw, ahead), and `elpd` (ahead).
        scores: of the test rows, by name.
        training_scores: of the training rows.
        roas: return on spend over the training rows, (chain, draw, channel).
    """

    predicted: xr.Dataset
    scores: dict[str, float]
    training_scores: dict[str, float]
    roas: xr.DataArray


def examined(fit: Fit, test: Panel, key: jax.Array) -> Examined:
    """Predictions, scores and returns of a fold's fit.

    Args:
        fit: of the training rows.
        test: the rows right after them.
        key: random key; the predictions are those of `fit.predict(test, key=key)`.
    """
    keys = jax.random.split(key, fit.num_chains * fit.draws["intercept"].shape[1])
    with precision_scope(fit.precision):
        ahead = over_draws(_ahead, fit.model(test), fit.flat_draws(), each=keys)
        behind = over_draws(_behind, *_padded(fit), each=keys)
    known = {name: values[:, : len(fit.panel)] for name, values in behind.items() if name != "totals"}
    predicted = xr.Dataset({name: labelled(ahead[name], ("ahead",), {}, fit.num_chains) for name in ("y", "mean")})
    predicted["elpd"] = ("ahead", _log_mean(ahead["log_density"]) - np.log(fit.scales.target))
    return Examined(
        predicted.assign_coords(ahead=np.arange(1, len(test) + 1)),
        scored(test.target, ahead, fit.scales.target),
        scored(fit.panel.target, known, fit.scales.target),
        _roas(fit, behind["totals"]),
    )


def scored(observed: np.ndarray | None, draws: dict[str, np.ndarray], scale: float) -> dict[str, float]:
    """Scores of a run of rows.

    Args:
        observed: target, shape (time,).
        draws: `y`, `mean` in units of the target and `log_density` of the scaled target, shape (draw, time).
        scale: units of the target per unit of the scaled target.

    Returns:
        `crps` and `bias` (of the expected value's posterior mean) in units of the target, `elpd` as the mean over rows of
        the log predictive density, per unit of the target; `mape` and `nrmse` of the expected value's posterior mean and
        the coverage of central intervals as fractions.
    """
    centre = draws["mean"].astype(float).mean(axis=0)
    covered = {f"coverage_{100 * prob:.0f}": coverage(observed, draws["y"], prob) for prob in PROBS}
    found = {
        "crps": crps(observed, draws["y"]).mean(),
        "elpd": _log_mean(draws["log_density"]).mean() - np.log(scale),
        **covered,
        "mape": mape(observed, centre)[0],
        "nrmse": nrmse(observed, centre)[0],
        "bias": (centre - np.asarray(observed)).mean(),
    }
    return {name: float(found[name]) for name in SCORES}


def _ahead(model: MMM, params: Params, key: jax.Array) -> dict[str, Any]:
    return {**outcome(model, params, key), "log_density": model.log_likelihood(params)}


def _behind(model: MMM, params: Params, key: jax.Array) -> dict[str, Any]:
    # What spend leaves in the padded rows after it is not counted.
    return {**_ahead(model, params, key), "totals": channel_totals(model, params, jnp.asarray(model.observed))}


def _padded(fit: Fit) -> tuple[MMM, dict[str, np.ndarray]]:
    """The model over the training rows, padded in time only, and the draws."""
    sizes = bucket_of(fit.panel)._replace(channel=len(fit.panel.channels), control=len(fit.panel.control_names))
    return build_model(fit.spec, fit.panel, fit.scales, sizes=sizes), fit.flat_draws()


def _roas(fit: Fit, totals: np.ndarray) -> xr.DataArray:
    spend = fit.panel.spend.sum(axis=1)
    returns = np.divide(totals, spend, out=np.full(totals.shape, np.nan), where=spend > 0)
    return labelled(returns, ("channel",), {"channel": list(fit.panel.channels)}, fit.num_chains)


def _log_mean(values: np.ndarray) -> np.ndarray:
    """Logarithm of the mean of `exp(values)` over the draws, shape (time,)."""
    largest = np.maximum(values.max(axis=0).astype(float), np.finfo(float).min)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(values - largest).mean(axis=0))
