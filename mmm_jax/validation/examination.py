"""What one fold says: predictions of its test rows, scores of test and training rows, return on spend.

Training rows are padded as they were for the fit, so that folds of nearly the same length share their programs.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from mmm_jax.analysis.contributions import channel_totals, outcome
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.scores import coverage, crps, mape, nrmse
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.keys import named_key
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
    """What a fold's fit says of one market, or of all geos together.

    Attributes:
        predicted: `y` and `mean` of the test rows in units of the target, (chain, draw, ahead), and `elpd` (ahead).
        scores: of the test rows, by name.
        training_scores: of the training rows.
        roas: return on spend over the training rows, (chain, draw, channel).
        by_geo: the same of every geo; empty for one market.
    """

    predicted: xr.Dataset
    scores: dict[str, float]
    training_scores: dict[str, float]
    roas: xr.DataArray
    by_geo: Mapping[str, "Examined"] = MappingProxyType({})


class _Drawn(NamedTuple):
    """Draws of a run of rows, in units of the target.

    Attributes:
        y: predictive, shape (draw, time).
        mean: expected value.
        log_density: of the scaled target that was observed.
        log_scale: logarithm of what that target was divided by, a number or one for each row, shape (time,).
        observed: shape (time,), NaN in rows that are not there.
    """

    y: np.ndarray
    mean: np.ndarray
    log_density: np.ndarray
    log_scale: np.ndarray
    observed: np.ndarray

    def added(self, other: "_Drawn") -> "_Drawn":
        """The sum of two markets, each as far as its rows are there; densities are those of both together."""
        return _Drawn(*(_known(ours) + _known(theirs) for ours, theirs in zip(self, other, strict=True)))


def examined(fit: Fit, test: Panel, key: jax.Array) -> Examined:
    """Predictions, scores and returns of a fold's fit.

    Args:
        fit: of the training rows.
        test: the rows right after them.
        key: random key; the predictions are those of `fit.predict(test, key=key)`.
    """
    ahead, behind, totals = _drawn(fit, test, key)
    return _told(ahead, behind, _returned(fit.panel.spend.sum(axis=1), totals), fit)


def examined_geos(fit: GeoFit, test: GeoPanel, key: jax.Array) -> Examined:
    """Predictions, scores and returns of all geos together, and of each.

    The sum's `elpd` is the log predictive density of what all geos had on a date, jointly.

    Args:
        fit: of the training rows.
        test: the rows right after them, of all geos.
        key: random key; the predictions are those of `fit.predict(test, key=key)`.
    """
    found: dict[str, Examined] = {}
    ahead = behind = totals = None
    # One after the other: the draws of all of them together may not fit.
    for geo, own in fit.markets.items():
        one_ahead, one_behind, brought = _drawn(own, test[geo], named_key(key, geo))
        found[geo] = _told(one_ahead, one_behind, _returned(own.panel.spend.sum(axis=1), brought), own)
        ahead = one_ahead if ahead is None else ahead.added(one_ahead)
        behind = one_behind if behind is None else behind.added(one_behind)
        totals = brought if totals is None else totals + brought
    if ahead is None or behind is None or totals is None:
        raise PanelError("The fit has no geo.")
    returns = _returned(fit.panel.spend.sum(axis=(1, 2)), totals)
    return _told(ahead, behind, returns, next(iter(fit.markets.values())))._replace(by_geo=found)


def _drawn(fit: Fit, test: Panel, key: jax.Array) -> tuple[_Drawn, _Drawn, np.ndarray]:
    """Draws of the test rows, of the training rows, and of every channel's total in these."""
    keys = jax.random.split(key, fit.num_chains * fit.draws["intercept"].shape[1])
    with precision_scope(fit.precision):
        ahead = over_draws(_ahead, fit.model(test), fit.flat_draws(), each=keys)
        behind = over_draws(_behind, *_padded(fit), each=keys)
    known = {name: values[:, : len(fit.panel)] for name, values in behind.items() if name != "totals"}
    return _there(ahead, test, fit), _there(known, fit.panel, fit), behind["totals"]


def _there(draws: dict[str, np.ndarray], panel: Panel, fit: Fit) -> _Drawn:
    """The draws of the rows that are there; NaN in others."""
    parts = [draws["y"], draws["mean"], draws["log_density"], np.log(fit.scales.target)]
    if not panel.present.all():
        parts = [np.where(panel.present, part, np.nan).astype(part.dtype) for part in parts]
    return _Drawn(*parts, np.asarray(panel.target))


def _known(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0.0, values).astype(values.dtype)


def _told(ahead: _Drawn, behind: _Drawn, returns: np.ndarray, fit: Fit) -> Examined:
    """What draws of test and training rows say; the fit names chains and channels."""
    predicted = xr.Dataset({name: labelled(getattr(ahead, name), ("ahead",), {}, fit.num_chains) for name in ("y", "mean")})
    predicted["elpd"] = ("ahead", _log_mean(ahead.log_density) - ahead.log_scale)
    return Examined(
        predicted.assign_coords(ahead=np.arange(1, len(ahead.observed) + 1)),
        _scored_there(ahead),
        _scored_there(behind),
        labelled(returns, ("channel",), {"channel": list(fit.panel.channels)}, fit.num_chains),
    )


def _scored_there(drawn: _Drawn) -> dict[str, float]:
    """Scores of the rows that are there; NaN if there are none."""
    rows = np.flatnonzero(np.isfinite(drawn.observed))
    if not len(rows):
        return dict.fromkeys(SCORES, np.nan)
    draws = {"y": drawn.y[:, rows], "mean": drawn.mean[:, rows], "log_density": drawn.log_density[:, rows]}
    return scored(drawn.observed[rows], draws, drawn.log_scale[rows] if np.ndim(drawn.log_scale) else drawn.log_scale)


def scored(observed: np.ndarray, draws: dict[str, np.ndarray], log_scale: np.ndarray) -> dict[str, float]:
    """Scores of a run of rows.

    Args:
        observed: target, shape (time,).
        draws: `y`, `mean` in units of the target and `log_density` of the scaled target, shape (draw, time).
        log_scale: logarithm of the target's units per unit of the scaled target, a number or shape (time,).

    Returns:
        `crps` and `bias` (of the expected value's posterior mean) in units of the target, `elpd` as the mean over rows of
        the log predictive density, per unit of the target; `mape` and `nrmse` of the expected value's posterior mean and
        the coverage of central intervals as fractions.
    """
    centre = draws["mean"].astype(float).mean(axis=0)
    covered = {f"coverage_{100 * prob:.0f}": coverage(observed, draws["y"], prob) for prob in PROBS}
    found = {
        "crps": crps(observed, draws["y"]).mean(),
        "elpd": _log_mean(draws["log_density"]).mean() - np.mean(log_scale),
        **covered,
        "mape": mape(observed, centre)[0],
        "nrmse": nrmse(observed, centre)[0],
        "bias": (centre - np.asarray(observed)).mean(),
    }
    return {name: float(found[name]) for name in SCORES}


def _ahead(model: MMM, params: Params, key: jax.Array) -> dict[str, Any]:
    return {**outcome(model, params, key), "log_density": model.log_likelihood(params)}


def _behind(model: MMM, params: Params, key: jax.Array) -> dict[str, Any]:
    # What spend leaves in the padded rows after it is not counted; rows that were discounted are rows.
    return {**_ahead(model, params, key), "totals": channel_totals(model, params, jnp.ceil(jnp.asarray(model.observed)))}


def _padded(fit: Fit) -> tuple[MMM, dict[str, np.ndarray]]:
    """The model over the training rows, padded in time only, and the draws."""
    sizes = bucket_of(fit.panel)._replace(channel=len(fit.panel.channels), control=len(fit.panel.control_names))
    return build_model(fit.spec, fit.panel, fit.scales, sizes=sizes), fit.flat_draws()


def _returned(spend: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Contributions over spend, (draw, channel); NaN without spend."""
    return np.divide(totals, spend, out=np.full(totals.shape, np.nan), where=spend > 0)


def _log_mean(values: np.ndarray) -> np.ndarray:
    """Logarithm of the mean of `exp(values)` over the draws, shape (time,)."""
    largest = np.maximum(values.max(axis=0).astype(float), np.finfo(float).min)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(values - largest).mean(axis=0))
