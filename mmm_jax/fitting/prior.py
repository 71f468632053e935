"""The verb `sample_prior`: what the model expects before it has seen the target."""

import jax
import numpy as np
import xarray as xr

from mmm_jax.analysis.contributions import geo_outcome, outcome
from mmm_jax.analysis.draws import over_draws, prior_draws
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales, scales_of
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.labels import draw_coords, labelled
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_any_model, coordinates
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.spec import ModelSpec


def sample_prior(
    panel: AnyPanel,
    spec: ModelSpec,
    *,
    key: Key = 0,
    num_samples: int = 1000,
    scales: AnyScales | None = None,
    precision: Precision = "float32",
) -> xr.DataTree:
    """Draws of the parameters and of the target from the prior.

    Args:
        panel: training rows; the target gives the scale, and is not conditioned on.
        spec: the choices.
        key: random key or seed.
        num_samples: number of draws.
        scales: an earlier fit's scales.
        precision: of all numbers.

    Returns:
        `/prior`: the parameters; `/prior_predictive`: `y` and `mean` in units of the target, (chain, draw, date[, geo]) with
        one chain; `/observed_data`: the target.
    """
    chosen = scales or scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    with precision_scope(precision):
        model = build_any_model(spec, panel, chosen)
        key_parameters, key_target = jax.random.split(as_key(key))
        draws = prior_draws(model, jax.random.split(key_parameters, num_samples))
        of = geo_outcome if isinstance(model, GeoMMM) else outcome
        target = over_draws(of, model, draws, each=jax.random.split(key_target, num_samples))
    coords = coordinates(spec, panel) | {"date": panel.dates.astype("datetime64[ns]")}
    dims_of, rows = parameter_dims(spec, panel), ("geo", "date") if "geo" in coords else ("date",)
    prior = {name: labelled(np.asarray(draws[name]), dims, coords, 1) for name, dims in dims_of.items()}
    predictive = {name: labelled(values, rows, coords, 1).transpose(..., *rows[::-1]) for name, values in target.items()}
    observed = xr.Dataset({panel.target_name: (rows, panel.target)}, {dim: coords[dim] for dim in rows})
    return xr.DataTree.from_dict(
        {
            "/prior": xr.Dataset(prior, draw_coords(next(iter(prior.values())).to_numpy())),
            "/prior_predictive": xr.Dataset(predictive),
            "/observed_data": observed,
        }
    )
