"""Dual averaging of the step size, of every lane on its own."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_SHRINKAGE, _OFFSET, _DECAY = 0.2, 10.0, 0.75


class StepSize(NamedTuple):
    """Step sizes and their dual averages, shape (fit, lane) each.

    Attributes:
        value: in use now.
        log_average: of the iterates.
        error: running mean of `target - acceptance`.
        count: updates so far.
        center: logarithm of the step size that the iterates are pulled to.
    """

    value: Float[Array, "fit lane"]
    log_average: Float[Array, "fit lane"]
    error: Float[Array, "fit lane"]
    count: Float[Array, "fit lane"]
    center: Float[Array, "fit lane"]


def initial_step_size(value: Float[Array, "fit lane"], boldness: float) -> StepSize:
    """Averages that start anew from `value`, pulled towards `boldness` times it."""
    zeros = jnp.zeros_like(value)
    return StepSize(value, jnp.log(value), zeros, zeros, jnp.log(boldness * value))


def adapted(
    step: StepSize, acceptance: Float[Array, "fit lane"], update: Bool[Array, "fit lane"], target: Float[Array, ""]
) -> StepSize:
    """Step sizes after a trajectory, in the lanes where `update` holds.

    Reference:
        Hoffman and Gelman (2014), The No-U-Turn Sampler, section 3.2.
    """
    count = step.count + 1.0
    share = 1.0 / (count + _OFFSET)
    error = (1.0 - share) * step.error + share * (target - acceptance)
    log_value = step.center - jnp.sqrt(count) / _SHRINKAGE * error
    weight = count**-_DECAY
    log_average = weight * log_value + (1.0 - weight) * step.log_average
    new = StepSize(jnp.exp(log_value), log_average, error, count, step.center)
    return StepSize(*(jnp.where(update, after, before) for after, before in zip(new, step, strict=True)))


def averaged(step: StepSize, where: Bool[Array, "fit lane"]) -> StepSize:
    """The averages put in use."""
    return step._replace(value=jnp.where(where, jnp.exp(step.log_average), step.value))
