"""The model's log density as a sampler wants it: on a flat vector, with the model itself as data."""

from jaxtyping import Array, Float

from mmm_jax.inference.transforms import constrain
from mmm_jax.model.mmm import MMM


def flat_log_density(flat: Float[Array, " flat"], model: MMM) -> Float[Array, ""]:
    """Log density of the unconstrained parameters: the model's, plus the log determinant of the Jacobian."""
    params, log_det = constrain(flat, model.priors)
    return model.log_density(params) + log_det
