"""Several models on the same folds, side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.errors import PanelError
from mmm_jax.validation.cross_validation import CrossValidation

_BETTER = {"crps": -1.0, "elpd": 1.0}
"""Sign of a better score."""


def compare_models(validations: Mapping[str, CrossValidation], *, geo: str | None = None) -> Any:
    """Which model foresees best: mean scores, and their differences to the best model fold by fold.

    Args:
        validations: by the models' names, all on the same rows and folds. They may differ in the experiments that they
            know: that is how to see whether these help.
        geo: compare on one geo; on the sum of all by default.

    Returns:
        Table with one row per model (pandas), the lowest CRPS first: `crps` (units of the target) and `elpd` (mean log
        predictive density per row), means over the folds that no model failed; `folds`, how many these are; and for both
        scores `_difference`, the mean over folds of the model's score minus the best model's, with its standard error
        `_se`. Folds share training rows, so that the standard error is rather too small.

    Raises:
        PanelError: the rows or the folds differ, or no fold is common to all.
    """
    _check_same(validations)
    joined = xr.concat([one.of(geo).measured.sel(rows="test", drop=True) for one in validations.values()], "model")
    known = joined.sel(score=list(_BETTER)).assign_coords(model=list(validations))
    shared = known.dropna("fold")
    if shared.sizes["fold"] == 0:
        raise PanelError("There is no fold that all models were fitted to; see `status` of each.")
    columns: dict[str, Any] = {"folds": ("model", np.full(len(validations), shared.sizes["fold"]))}
    for score, sign in _BETTER.items():
        values = shared.sel(score=score, drop=True)
        best = values.isel(model=int(np.argmax(sign * values.mean("fold").to_numpy())), drop=True)
        gaps = values - best
        count = shared.sizes["fold"]
        error = gaps.std("fold", ddof=1) / np.sqrt(count) if count > 1 else gaps.isel(fold=0, drop=True) * np.nan
        columns |= {score: values.mean("fold"), f"{score}_difference": gaps.mean("fold"), f"{score}_se": error}
    return xr.Dataset(columns).sortby("crps").to_dataframe()


def _check_same(validations: Mapping[str, CrossValidation]) -> None:
    if len(validations) < 2:
        raise PanelError(f"A comparison needs at least two models, got {len(validations)}.")
    (first, one), *others = validations.items()
    for name, other in others:
        if other.panel.fingerprint() != one.panel.fingerprint() or other.folds != one.folds:
            raise PanelError(
                f"The models {first!r} and {name!r} were validated on different rows or folds. Give `cross_validate` the "
                "same panel, initial, horizon, step and window for all."
            )
