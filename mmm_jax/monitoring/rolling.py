"""The plain scores of the last rows, beside those that the model had in training."""

import jax
import numpy as np
import xarray as xr

from mmm_jax.analysis.scores import crps
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.panel import Panel
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.keys import Key, as_key, named_key
from mmm_jax.fitting.posterior import Fit
from mmm_jax.monitoring.new_rows import markets_of


def rolling_scores(
    fit: Fit | GeoFit, panel: AnyPanel, *, window: int, prob: float, key: Key
) -> tuple[xr.Dataset, dict[str, float]]:
    """Scores over the last rows up to each new one, by the posterior as it was fitted.

    Args:
        fit: the model.
        panel: rows right after training.
        window: how many of the last rows; fewer at first.
        prob: probability of the intervals whose coverage is told.
        key: random key or seed of the predictive draws.

    Returns:
        By `date`: `crps` in units of the target, `coverage` and `crps_ratio`, the CRPS over training's; summed over geos.
        And `crps` and `coverage` over the training rows.
    """
    new = [np.stack(_row_scores(one, rows, prob, _key(key, geo, "new"))) for geo, one, rows in markets_of(fit, panel)]
    old = [_row_scores(one, None, prob, _key(key, geo, "old")) for geo, one, _ in markets_of(fit, panel)]
    training = {
        "crps": float(np.sum([np.nanmean(score) for score, _ in old])),
        "coverage": float(np.nanmean(np.concatenate([inside for _, inside in old]))),
    }
    score = np.sum([_rolled(score, window) for score, _ in new], axis=0)
    inside = _rolled(_known_mean(np.stack([inside for _, inside in new])), window)
    columns = {"crps": score, "coverage": inside, "crps_ratio": score / training["crps"]}
    return xr.Dataset({name: ("date", values) for name, values in columns.items()}, {"date": panel.dates}), training


def _known_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(values.shape[1:], np.nan), where=count > 0)


def _key(key: Key, geo: str | None, what: str) -> jax.Array:
    return named_key(as_key(key), f"{what} rows of {geo}")


def _row_scores(fit: Fit, rows: Panel | None, prob: float, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """CRPS of every row, and whether its interval held it; NaN in rows that were not observed."""
    panel = fit.panel if rows is None else rows
    drawn = fit.predict(rows, key=key)["y"].to_numpy()
    flat, seen = drawn.reshape(-1, drawn.shape[-1]), panel.counted
    low, high = np.quantile(flat, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    score, inside = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    happened = np.asarray(panel.target, float)[seen]
    score[seen] = crps(happened, flat[:, seen])
    inside[seen] = (happened >= low[seen]) & (happened <= high[seen])
    return score, inside


def _rolled(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last values up to each, of those that are known."""
    known = np.isfinite(values)
    sums, counts = np.cumsum(np.where(known, values, 0.0)), np.cumsum(known)
    before = np.maximum(np.arange(len(values)) - window, -1)
    past = np.where(before >= 0, sums[before], 0.0), np.where(before >= 0, counts[before], 0)
    count = counts - past[1]
    return np.divide(sums - past[0], count, out=np.full(len(values), np.nan), where=count > 0)
