"""The model's log density as a sampler wants it: on a flat vector, with model and charts as data."""

from typing import NamedTuple

from jaxtyping import Array, Float

from mmm_jax.inference.transforms import AbstractChart, charts_of, constrain
from mmm_jax.model.mmm import MMM


class Target(NamedTuple):
    """What a density is evaluated with; a pytree.

    Attributes:
        model: the model with its data.
        charts: by parameter name.
    """

    model: MMM
    charts: dict[str, AbstractChart]


def target_of(model: MMM) -> Target:
    """The model with the charts that standardise its priors."""
    return Target(model, charts_of(model.priors))


def flat_log_density(flat: Float[Array, " flat"], target: Target) -> Float[Array, ""]:
    """Log density of the flat vector: the model's at the constrained parameters, plus the Jacobian's log determinant."""
    params, log_det = constrain(flat, target.charts)
    return target.model.log_density(params) + log_det
