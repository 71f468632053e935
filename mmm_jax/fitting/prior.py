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
from mmm_jax.fitting.prior_media import check_probability, media_shares, warn_of_excess
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
    max_excess_probability: float = 0.2,
) -> xr.DataTree:
    """Draws of the parameters and of the target from the prior.

    Args:
        panel: training rows; the target gives the scale, and is not conditioned on.
        spec: the choices.
        key: random key or seed.
        num_samples: number of draws.
        scales: an earlier fit's scales.
        precision: of all numbers.
        max_excess_probability: how likely, at most, the prior may make it that media bring more than the whole observed
            outcome, before it warns. The tail of a prior may reach there, since the data cut it off; but where a fifth of
            it does, it is the prior that says how much media bring at the cost of the baseline. The package's own wide
            default priors do, of any panel, and it says so. With 1 it never warns.

    Returns:
        `/prior`: the parameters; `/prior_predictive`: `y` and `mean` in units of the target, (chain, draw, date[, geo]) with
        one chain; `/prior_media`: the share of media in the observed outcome, all together with its quantiles, by channel
        and by geo, see `mmm_jax.fitting.prior_media.media_shares`; `/observed_data`: the target.

    Raises:
        SpecError: a probability that is none.

    Warns:
        PriorWarning: the prior says that media bring more than the whole outcome; names the channels and what to do.
    """
    check_probability(max_excess_probability)
    chosen = scales or scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    with precision_scope(precision):
        model = build_any_model(spec, panel, chosen)
        key_parameters, key_target = jax.random.split(as_key(key))
        draws = prior_draws(model, jax.random.split(key_parameters, num_samples))
        of = geo_outcome if isinstance(model, GeoMMM) else outcome
        target = over_draws(of, model, draws, each=jax.random.split(key_target, num_samples))
        shares = media_shares(model, draws, spec, panel)
    warn_of_excess(shares, spec, max_excess_probability)
    coords = coordinates(spec, panel) | {"date": panel.dates.astype("datetime64[ns]")}
    dims_of, rows = parameter_dims(spec, panel), ("geo", "date") if "geo" in coords else ("date",)
    prior = {name: labelled(np.asarray(draws[name]), dims, coords, 1) for name, dims in dims_of.items()}
    predictive = {name: labelled(values, rows, coords, 1).transpose(..., *rows[::-1]) for name, values in target.items()}
    observed = xr.Dataset({panel.target_name: (rows, panel.target)}, {dim: coords[dim] for dim in rows})
    return xr.DataTree.from_dict(
        {
            "/prior": xr.Dataset(prior, draw_coords(next(iter(prior.values())).to_numpy())),
            "/prior_predictive": xr.Dataset(predictive),
            "/prior_media": shares,
            "/observed_data": observed,
        }
    )
