"""Between the flat vector that a sampler moves in and the constrained parameters that a model speaks of.

Every parameter is known by its prior alone, whose batch shape is the parameter's shape; names are taken in sorted
order, since a dictionary comes out of a JAX transformation in that order.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

Priors = Mapping[str, dist.Distribution]


def flat_size(priors: Priors) -> int:
    """Length of the flat vector."""
    return sum(_size(prior) for prior in priors.values())


def constrain(flat: Float[Array, " flat"], priors: Priors) -> tuple[dict[str, Array], Float[Array, ""]]:
    """Constrained parameters, and the log absolute determinant of the Jacobian of this map.

    Args:
        flat: any real vector of length `flat_size(priors)`.
        priors: by name; their supports choose the bijections (exp for positive, logistic for intervals).
    """
    params, log_det, start = {}, jnp.zeros((), flat.dtype), 0
    for name in sorted(priors):
        prior, stop = priors[name], start + _size(priors[name])
        free = flat[start:stop].reshape(prior.batch_shape)
        bijection = dist.biject_to(prior.support)
        params[name] = bijection(free)
        log_det += bijection.log_abs_det_jacobian(free, params[name]).sum()
        start = stop
    return params, log_det


def unconstrain(params: Mapping[str, Array], priors: Priors) -> Float[Array, " flat"]:
    """The flat vector of constrained parameters: the inverse of `constrain`."""
    free = [dist.biject_to(priors[name].support)._inverse(jnp.asarray(params[name])) for name in sorted(priors)]
    return jnp.concatenate([jnp.ravel(values) for values in free])


def _size(prior: dist.Distribution) -> int:
    size = 1
    for length in prior.batch_shape:
        size *= length
    return size
