"""How likely every row's outcome was, given one draw, and how far each channel could have moved it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM


def row_predictors(model: MMM, params: Params) -> dict[str, Array]:
    """What one draw says of every row, and how well that fits what was seen.

    Args:
        model: over rows whose target is known.
        params: one draw.

    Returns:
        `mu`, the linear predictor, `noise`, the deviation that an outcome tells it by, and `log_density` of the scaled
        target, shape (time,); `media`, every channel's effect on `mu`, shape (channel, time).
    """
    media = model.media_effects(params)
    mu = model.baseline(params) + media.sum(axis=0)
    noise = jnp.broadcast_to(model.likelihood.noise(mu, params, model.target_scale), mu.shape)
    return {"mu": mu, "noise": noise, "media": media, "log_density": _log_density(model, params, mu)}


def row_probabilities(model: MMM, params: Params, mu: Float[Array, " time"]) -> dict[str, Array]:
    """Probability of less than was seen (`below`) and of exactly that (`mass`) in every row, given its linear predictor."""
    likelihood, scale = model.likelihood, model.target_scale
    upto = jnp.asarray(likelihood.distribution(mu, params, scale).cdf(_target(model)))
    mass = jnp.exp(_log_density(model, params, mu)) / scale if likelihood.counts else jnp.zeros_like(upto)
    return {"below": upto - mass, "mass": mass}


def row_residuals(model: MMM, params: Params, mu: Float[Array, " time"]) -> Float[Array, " time"]:
    """How far an outcome would move its linear predictor, had nothing been known of that: score over information."""
    score = jax.grad(lambda mu: _log_density(model, params, mu).sum())(mu)
    return score * model.likelihood.noise(mu, params, model.target_scale) ** 2


def _log_density(model: MMM, params: Params, mu: Array) -> Array:
    return model.likelihood.log_density(_target(model), mu, params, model.target_scale)


def _target(model: MMM) -> Array:
    if model.target is None:
        raise ValueError("A model without a target cannot judge its rows.")
    return jnp.asarray(model.target)
