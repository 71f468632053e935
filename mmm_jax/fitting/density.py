"""The model's log density as a sampler wants it: on a flat vector, with model and charts as data.

The data pin down the mean over time of all that brings sales, much more sharply than the intercept and the media effects
that it is made of. In coordinates of those, the posterior is a thin bent sheet, through which a sampler takes small steps.
So the flat vector holds that mean, the level, in the intercept's place: a shear, whose Jacobian is 1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.inference.transforms import AbstractChart, charts_of, constrain, split, standardized
from mmm_jax.model.build import build_model
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.model.padding import active_coordinates, bucket_of
from mmm_jax.model.spec import ModelSpec


class Target(NamedTuple):
    """What a density is evaluated with; a pytree.

    Attributes:
        model: the model with its data.
        charts: by parameter name.
        leveling: how much the intercept's coordinate falls per unit of media effect in every row, shape (time,).
    """

    model: MMM
    charts: dict[str, AbstractChart]
    leveling: Float[Array, " time"]


def target_of(model: MMM) -> Target:
    """The model with the charts that standardise its priors."""
    charts = charts_of(model.priors)
    return Target(model, charts, _leveling(model, charts["intercept"]))


def padded_target(spec: ModelSpec, panel: Panel, scales: Scales) -> tuple[Target, np.ndarray]:
    """The target of a panel padded to its bucket, and which coordinates of the flat vector are real.

    Raises:
        PanelError: the panel has no target, is shorter than the adstock window, or leaves the likelihood's support.
        SpecError: a prior's shape does not fit.
    """
    target = target_of(build_model(spec, panel, scales, sizes=bucket_of(panel)))
    shapes = {name: chart.shape for name, chart in target.charts.items()}
    return target, active_coordinates(spec, shapes, panel)


def flat_log_density(flat: Float[Array, " flat"], target: Target) -> Float[Array, ""]:
    """Log density of the flat vector: the model's at the constrained parameters, and the Jacobian's log determinant."""
    model, charts = target.model, target.charts
    params, media, log_prior = _placed(flat, target, lambda z: standardized(z, model.priors, charts))
    return log_prior + model.log_likelihood(params, media).sum()


def constrained(flat: Float[Array, " flat"], target: Target) -> Params:
    """The parameters of a flat vector."""
    return _placed(flat, target, lambda z: constrain(z, target.charts))[0]


def _placed(
    flat: Float[Array, " flat"], target: Target, rule: Callable[[Mapping[str, Array]], tuple[Params, Array]]
) -> tuple[Params, Float[Array, " time"], Float[Array, ""]]:
    """Parameters, their summed media effects, and the sum of what the rule adds up."""
    z = split(flat, target.charts)
    level = z.pop("intercept")
    params, added = rule(z)
    media = target.model.media_total(params)
    intercept, more = rule({"intercept": level - target.leveling @ media})
    return params | intercept, media, added + more


def _leveling(model: MMM, intercept: AbstractChart) -> Float[Array, " time"]:
    """The mean over the observed rows, in the intercept's own coordinate, times the data's share in what is known of it.

    Where rows are few and noisy, the prior pins the intercept down, and not the data the level. Between the two, the share
    of the data's precision in both is that of the exact answer for a linear model; the target's whole variance stands for
    the noise, which is not known yet.
    """
    target = jnp.zeros(model.windows.shape[-1]) if model.target is None else jnp.asarray(model.target)
    # A count of 0 has no logarithm; half a count stands for it.
    outcome = target if model.likelihood.additive else jnp.log(jnp.where(target > 0, target, 0.5 / model.target_scale))
    observed = jnp.ones_like(target) if model.observed is None else model.observed
    rows = observed.sum()
    variance = (observed * (outcome - observed @ outcome / rows) ** 2).sum() / rows
    slope = jnp.exp(intercept(jnp.zeros(()))[1])
    return observed / rows / slope / (1.0 + variance / (rows * slope**2))


def padding_log_density(target: Target, active: np.ndarray) -> float:
    """What the padded coordinates, which stay at 0, add to the log density of a flat vector: no part of any evidence.

    Args:
        target: of one fit, padded.
        active: 1 for the coordinates that are real, 0 for padding, shape (flat,).
    """
    return float(_padding_log_density(target.model, target.charts, active))


@jax.jit
def _padding_log_density(model: MMM, charts: Mapping[str, AbstractChart], active: Array) -> Array:
    priors, densities = model.priors, []
    for name in sorted(charts):
        params, log_derivative = charts[name](jnp.zeros(charts[name].shape))
        densities.append(jnp.ravel(priors[name].log_prob(params) + log_derivative))
    return jnp.sum(jnp.concatenate(densities) * (1.0 - active))
