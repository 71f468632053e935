"""Tables of a fitted response model for people, as pandas DataFrames."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mmm_jax.fitting.labels import interval
from mmm_jax.fitting.tables import quality_of
from mmm_jax.inference.convergence import stacked
from mmm_jax.remarketing.density import COEFFICIENT
from mmm_jax.remarketing.sampling import scalar_names


def odds_table(model: Any, prob: float, units: Any) -> pd.DataFrame:
    """One row per column: odds ratios per unit and per standard deviation; see `ResponseModel.odds_ratios`."""
    known = dict(units) if units is not None else {}
    sizes = np.array([float(known.get(name, 1.0)) for name in model.columns_])
    beta = model.draws_[COEFFICIENT].reshape(-1, len(sizes)).astype(float) / model.scale_
    columns = {**_ratios("per_unit", beta / sizes, prob), **_ratios("per_sd", beta * model.deviation_, prob)}
    columns |= {"sd": model.deviation_ * sizes, "raises": (beta > 0).mean(axis=0)}
    return pd.DataFrame(columns, index=pd.Index(model.columns_, name="column"))


def parameter_table(model: Any, prob: float) -> pd.DataFrame:
    """One row per scalar parameter: where it is, how sure, and how well it was sampled."""
    labels = {"column": model.columns_, "segment": model.segments_.tolist()}
    coords = {"parameter": scalar_names(model.draws_, labels)}
    values = xr.DataArray(stacked(model.draws_), dims=("chain", "draw", "parameter"), coords=coords)
    found = interval(values, prob)
    quality = quality_of(model.draws_, model.diagnostics_, found["sd"])
    return xr.merge([found, quality.assign_coords(coords)]).to_dataframe()


def _ratios(name: str, log_ratios: np.ndarray, prob: float) -> dict[str, np.ndarray]:
    low, middle, high = np.exp(np.quantile(log_ratios, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=0))
    return {name: middle, f"{name}_lower": low, f"{name}_upper": high}
