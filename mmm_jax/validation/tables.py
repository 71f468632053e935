"""Tables of a cross-validation: by fold, by period ahead, by parameter, and of several models side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.analysis.scores import crps
from mmm_jax.data.panel import Panel
from mmm_jax.fitting.labels import interval
from mmm_jax.validation.examination import PROBS
from mmm_jax.validation.folds import Fold
from mmm_jax.validation.naive import SEASON, last_value_crps, seasonal_crps


def fold_coords(folds: Sequence[Fold]) -> dict[str, Any]:
    """Names of the folds."""
    return {"fold": [fold.name for fold in folds]}


def interval_or_nan(draws: xr.DataArray, prob: float) -> xr.Dataset:
    """Mean, sd, median and interval; NaN where the draws are."""
    # Quantiles of nothing but NaN would warn.
    return interval(draws.fillna(0.0), prob).where(draws.notnull().all(("chain", "draw")))


def fold_table(folds: Sequence[Fold], status: Mapping[str, str], measured: xr.DataArray) -> Any:
    """One row per fold: status, number of training rows, scores of the test and of the training rows."""
    test, training = (measured.sel(rows=rows, drop=True).to_dataset("score") for rows in ("test", "training"))
    words = {"status": list(status.values()), "training_rows": [len(fold.train) for fold in folds]}
    first = xr.Dataset({name: ("fold", values) for name, values in words.items()}, fold_coords(folds))
    renamed = training.rename({name: f"training_{name}" for name in training})
    return xr.merge([first, test, renamed]).to_dataframe()


def geo_table(parts: Mapping[str, tuple[xr.DataArray, xr.Dataset, Panel]], folds: Sequence[Fold]) -> Any:
    """One row per geo: mean scores over the folds of test and training rows, and skill over naive references.

    Args:
        parts: by geo, its scores (score, rows, fold), predictions and rows.
        folds: the folds.
    """
    rows = []
    for measured, predictions, panel in parts.values():
        means = measured.mean("fold")
        row = {str(name): float(means.sel(score=name, rows="test")) for name in means["score"].values}
        row |= {f"training_{name}": float(means.sel(score=name, rows="training")) for name in means["score"].values}
        crps_by_row = by_row(predictions)["crps"]
        rows.append(row | {f"{name}_skill": _skill(crps_by_row, ref) for name, ref in naive_crps(panel, folds).items()})
    columns = {name: ("geo", [row[name] for row in rows]) for name in rows[0]}
    return xr.Dataset(columns, {"geo": list(parts)}).to_dataframe()


def _skill(model: xr.DataArray, reference: xr.DataArray) -> float:
    """1 minus the ratio of mean CRPS, over folds and periods where both are known; NaN if there are none."""
    both = model.notnull() & reference.notnull()
    return float(1 - model.where(both).mean() / reference.where(both).mean()) if bool(both.any()) else float("nan")


def horizon_table(predictions: xr.Dataset, panel: Panel, folds: Sequence[Fold]) -> Any:
    """One row per period ahead: mean scores over the folds that have any, beside those of naive references."""
    observed = predictions["observed"]
    scores = by_row(predictions)
    centre = predictions["mean"].mean(("chain", "draw"))
    known = scores["crps"].notnull()
    columns = {
        "folds": known.sum("fold"),
        **{name: values.mean("fold") for name, values in scores.items()},
        # With `where`, since an observation of 0 has no percentage error.
        "mape": (abs(centre - observed) / abs(observed).where(observed != 0)).mean("fold"),
        "bias": (centre - observed).mean("fold"),
    }
    for name, reference in naive_crps(panel, folds).items():
        columns[f"{name}_crps"] = reference.mean("fold")
        shared = scores["crps"].where(reference.notnull()).mean("fold") / reference.where(known).mean("fold")
        columns[f"{name}_skill"] = 1 - shared
    return xr.Dataset(columns).to_dataframe()


def by_row(predictions: xr.Dataset) -> dict[str, xr.DataArray]:
    """CRPS, log predictive density and coverage (0 or 1) of every fold and period ahead; NaN where a fold failed."""
    observed = predictions["observed"]
    draws = predictions["y"].transpose("chain", "draw", "fold", "ahead")
    failed = draws.isnull().any(("chain", "draw"))
    flat = crps(observed.fillna(0.0).to_numpy().ravel(), draws.fillna(0.0).to_numpy().reshape(*draws.shape[:2], -1))
    found = {"crps": observed.copy(data=flat.reshape(observed.shape)), "elpd": predictions["elpd"]}
    for prob in PROBS:
        band = interval_or_nan(draws, prob)
        found[f"coverage_{100 * prob:.0f}"] = ((observed >= band["lower"]) & (observed <= band["upper"])).astype(float)
    return {name: values.where(~failed) for name, values in found.items()}


def naive_crps(panel: Panel, folds: Sequence[Fold]) -> dict[str, xr.DataArray]:
    """CRPS of repeating the last value, and the same period of the year before, (fold, ahead)."""
    target, season, horizon = np.asarray(panel.target), SEASON[panel.frequency], len(folds[0].test)
    coords = {**fold_coords(folds), "ahead": np.arange(1, horizon + 1)}
    found = {
        "last": [last_value_crps(target, fold.test.start, horizon) for fold in folds],
        "seasonal": [seasonal_crps(target, fold.test.start, horizon, season) for fold in folds],
    }
    return {name: xr.DataArray(np.stack(values), coords, ("fold", "ahead")) for name, values in found.items()}


def stability_table(found: xr.Dataset) -> Any:
    """One row per parameter: how far the folds' posteriors lie from each other.

    Args:
        found: `mean`, `sd`, `lower` and `upper`, (fold, parameter); NaN for folds that failed.
    """
    known = found.dropna("fold", how="all", subset=["mean"])
    mean, sd = known["mean"], known["sd"].mean("fold")
    low, high = known["lower"].to_numpy(), known["upper"].to_numpy()
    overlaps = (low[1:] <= high[:-1]) & (low[:-1] <= high[1:])
    # A parameter may be unknown to some folds, such as the effect of a holiday that is yet to come.
    both = xr.DataArray(np.where(np.isnan(low[1:] + low[:-1]), np.nan, overlaps), dims=("pair", "parameter"))
    share = both.mean("pair").to_numpy()
    columns = {
        "mean": mean.mean("fold"),
        "sd": sd,
        # Of a single fold, no spread is known.
        "spread": (mean.std("fold", ddof=1) if len(mean) > 1 else mean.isel(fold=0) * np.nan) / sd,
        "drift": (mean.isel(fold=-1) - mean.isel(fold=0)) / sd,
        "overlap": ("parameter", share),
    }
    return xr.Dataset(columns).reset_coords(drop=True).to_dataframe()
