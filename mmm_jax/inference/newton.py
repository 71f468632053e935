"""The mode of many posteriors by Newton's method, damped: for quick looks, where a lost mode is a lost fit.

Every iteration takes the Hessian anew and tries the steps of several dampings at once, from Newton's own to a short one
along the gradient; the best is taken. It needs some ten iterations where a quasi-Newton search needs hundreds, and cannot be
led astray by what it remembers of another region.
"""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from mmm_jax.inference.laplace import Laplace, laplace
from mmm_jax.inference.metric import DENSE_UP_TO
from mmm_jax.inference.programs import compiled, linear_algebra
from mmm_jax.inference.samples import LogDensity

_MAX_ITERATIONS = 100

_GOAL, _TOLERANCE = 1e-4, 0.05
"""Largest entry of the gradient at which the search ends, and at which it counts as arrived."""

_DIFFERENCE = 1e-3
"""Step of the central differences of the gradient that make the Hessian."""

_LEAST_CURVATURE, _LARGEST_CURVATURE = 0.25, 1e10
"""Eigenvalues of the Hessian are clipped here: the prior's own is 1, so that a much wider direction is doubtful."""

_DAMPINGS = (0.0, *(10.0**power for power in range(-1, 8)))
"""Added to the curvatures; the prior's own is 1."""


def newton(log_density: LogDensity, data: Any, active: np.ndarray) -> Laplace:
    """Mode and curvature of every fit, in float64; the same as `laplace` by another search.

    Args:
        log_density: `log_density(flat, data)`; a module-level function, so that its program is kept.
        data: pytree of arrays with the fits as first axis.
        active: 1 for the coordinates that move, 0 for padding, shape (fit, flat).

    Returns:
        The approximation. Flat vectors longer than `DENSE_UP_TO` have no dense Hessian: they are left to `laplace`.

    Reference:
        Nocedal and Wright (2006), Numerical Optimization, section 3.4.
    """
    if active.shape[1] > DENSE_UP_TO:
        return laplace(log_density, data, active)
    with jax.enable_x64(True):
        wide = jax.tree.map(_widened, data)
        moving = jnp.asarray(active, jnp.float64)
        program = compiled(_program(log_density), wide, moving)
        with linear_algebra:
            return Laplace(*jax.block_until_ready(program(wide, moving)))


@lru_cache(maxsize=16)
def _program(log_density: LogDensity) -> Any:
    return jax.jit(jax.vmap(partial(_one_fit, log_density)))


def _one_fit(log_density: LogDensity, data: Any, active: Array) -> tuple[Array, Array, Array, Array]:
    def loss(flat: Array) -> Array:
        # The padding's own density, such as its prior's, must not draw it away from 0.
        value = -log_density(flat * active, data)
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    slope = jax.grad(lambda flat: -log_density(flat * active, data))

    def unfinished(carry: tuple[Array, Array, Array, Array]) -> Array:
        _, gradient, improved, count = carry
        return improved & (jnp.max(jnp.abs(gradient)) > _GOAL) & (count < _MAX_ITERATIONS)

    def body(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        flat, gradient, _, count = carry
        moved, improved = _stepped(loss, slope, flat, gradient, active)
        return moved, slope(moved), improved, count + 1

    start = jnp.zeros_like(active)
    first = (start, slope(start), jnp.isfinite(loss(start)), jnp.zeros((), int))
    mode, gradient, _, count = jax.lax.while_loop(unfinished, body, first)
    values, vectors = _curvatures(slope, mode, active)
    clipped = jnp.clip(values, _LEAST_CURVATURE, _LARGEST_CURVATURE)
    # Eigenvectors of equal eigenvalues may mix padding with coordinates that move: taken apart again.
    covariance = (vectors / clipped) @ vectors.T * (active[:, None] * active) + jnp.diag(1.0 - active)
    factor = jnp.linalg.cholesky(covariance)
    finite = jnp.isfinite(loss(mode)) & jnp.isfinite(mode).all() & jnp.isfinite(factor).all()
    return mode, factor, (jnp.max(jnp.abs(gradient)) < _TOLERANCE) & finite, count


def _stepped(
    loss: Any, slope: Any, flat: Float[Array, " flat"], gradient: Float[Array, " flat"], active: Float[Array, " flat"]
) -> tuple[Float[Array, " flat"], Bool[Array, ""]]:
    """The best of the damped steps, and whether it is better than none."""
    values, vectors = _curvatures(slope, flat, active)
    # Where the density curves the wrong way, the step leads away from the saddle, not into it.
    curvatures = jnp.maximum(jnp.abs(values), _LEAST_CURVATURE) + jnp.asarray(_DAMPINGS)[:, None]
    steps = -(vectors.T @ gradient / curvatures) @ vectors.T
    losses = jax.vmap(loss)(flat + steps * active)
    best = jnp.argmin(losses)
    improved = losses[best] < loss(flat)
    return jnp.where(improved, flat + steps[best] * active, flat), improved


def _curvatures(slope: Any, flat: Float[Array, " flat"], active: Float[Array, " flat"]) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the Hessian of the loss; those of the padding are 1."""
    step = _DIFFERENCE * jnp.eye(flat.shape[0])
    gradients = jax.vmap(slope)
    hessian = (gradients(flat + step) - gradients(flat - step)) / (2.0 * _DIFFERENCE)
    symmetric = 0.5 * (hessian + hessian.T) * (active[:, None] * active) + jnp.diag(1.0 - active)
    return jnp.linalg.eigh(symmetric)


def _widened(values: Any) -> Array:
    array = jnp.asarray(values)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
