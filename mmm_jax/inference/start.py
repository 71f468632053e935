"""Where chains start."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.errors import SamplingError
from mmm_jax.inference.samples import LogDensity

_RADIUS = 2.0
_ATTEMPTS = 100


def starting_points(
    log_density: LogDensity, data: object, size: int, num_chains: int, key: Array
) -> Float[Array, "chain flat"]:
    """Points from a uniform box around 0 at which density and gradient are finite.

    The point of a chain depends on its own key only, not on the number of chains.

    Raises:
        SamplingError: no such point was found for a chain.
    """
    search = jax.jit(_first_finite, static_argnums=(0, 2))
    points, found = jax.vmap(lambda chain: search(log_density, data, size, jax.random.fold_in(key, chain)))(
        jnp.arange(num_chains)
    )
    if not np.asarray(found).all():
        raise SamplingError(
            f"No starting point with a finite density was found in {_ATTEMPTS} tries. The priors and the data "
            "contradict each other: check the priors' scales against the scaled target, and sample the prior first."
        )
    return points


def _first_finite(log_density: LogDensity, data: object, size: int, key: Array) -> tuple[Array, Array]:
    value_and_grad = jax.value_and_grad(log_density)

    def attempt(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        count, _, _ = carry
        point = jax.random.uniform(jax.random.fold_in(key, count), (size,), minval=-_RADIUS, maxval=_RADIUS)
        value, gradient = value_and_grad(point, data)
        return count + 1, point, jnp.isfinite(value) & jnp.isfinite(gradient).all()

    start = (jnp.zeros((), int), jnp.zeros(size), jnp.zeros((), bool))
    _, point, found = jax.lax.while_loop(lambda carry: ~carry[2] & (carry[0] < _ATTEMPTS), attempt, start)
    return point, found
