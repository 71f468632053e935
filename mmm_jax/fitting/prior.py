"""The verb `sample_prior`: what the model expects before it has seen the target."""

import jax
import numpy as np
import xarray as xr

from mmm_jax.analysis.contributions import outcome
from mmm_jax.analysis.draws import over_draws, prior_draws
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.labels import draw_coords, labelled
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_model, coordinates
from mmm_jax.model.spec import ModelSpec


def sample_prior(
    panel: Panel,
    spec: ModelSpec,
    *,
    key: Key = 0,
    num_samples: int = 1000,
    scales: Scales | None = None,
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
        `/prior`: the parameters; `/prior_predictive`: `y` and `mean` in units of the target, (chain, draw, date) with one
        chain; `/observed_data`: the target.
    """
    chosen = scales or Scales.from_panel(panel, standardize_controls=spec.standardize_controls)
    with precision_scope(precision):
        model = build_model(spec, panel, chosen)
        key_parameters, key_target = jax.random.split(as_key(key))
        draws = prior_draws(model, jax.random.split(key_parameters, num_samples))
        target = over_draws(outcome, model, draws, each=jax.random.split(key_target, num_samples))
    coords = coordinates(spec, panel) | {"date": panel.dates.astype("datetime64[ns]")}
    prior = {name: labelled(np.asarray(draws[name]), dims, coords, 1) for name, dims in spec.parameter_dims.items()}
    predictive = {name: labelled(values, ("date",), coords, 1) for name, values in target.items()}
    observed = xr.Dataset({panel.target_name: (("date",), panel.target)}, {"date": coords["date"]})
    return xr.DataTree.from_dict(
        {
            "/prior": xr.Dataset(prior, draw_coords(next(iter(prior.values())).to_numpy())),
            "/prior_predictive": xr.Dataset(predictive),
            "/observed_data": observed,
        }
    )
