"""The mode of many posteriors by Newton's method, damped: for quick looks, where a lost mode is a lost fit.

Every iteration takes the Hessian anew and tries the steps of several dampings at once, from Newton's own to a short one
along the gradient; the best is taken. It needs some ten iterations where a quasi-Newton search needs hundreds, and cannot be
led astray by what it remembers of another region.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

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


class _Search(NamedTuple):
    """A point, slope and curvature of the loss there, and whether it is the last one."""

    flat: Float[Array, " flat"]
    gradient: Float[Array, " flat"]
    values: Float[Array, " flat"]
    vectors: Float[Array, "flat flat_"]
    finished: Bool[Array, ""]
    count: Int[Array, ""]


def _one_fit(log_density: LogDensity, data: Any, active: Array) -> tuple[Array, Array, Array, Array]:
    def loss(flat: Array) -> Array:
        # The padding's own density, such as its prior's, must not draw it away from 0.
        return -log_density(flat * active, data)

    nothing = jnp.zeros_like(active)
    square = jnp.diag(nothing)
    start = _Search(nothing, nothing, nothing, square, jnp.zeros((), bool), jnp.zeros((), int))
    end = jax.lax.while_loop(lambda search: ~search.finished, lambda search: _advanced(loss, search, active), start)
    clipped = jnp.clip(end.values, _LEAST_CURVATURE, _LARGEST_CURVATURE)
    # Eigenvectors of equal eigenvalues may mix padding with coordinates that move: taken apart again.
    covariance = (end.vectors / clipped) @ end.vectors.T * (active[:, None] * active) + jnp.diag(1.0 - active)
    factor = jnp.linalg.cholesky(covariance)
    finite = jnp.isfinite(end.flat).all() & jnp.isfinite(factor).all() & jnp.isfinite(end.gradient).all()
    # The gradient vanishes at a saddle as well.
    peak = (jnp.max(jnp.abs(end.gradient)) < _TOLERANCE) & (jnp.min(end.values) > 0)
    return end.flat, factor, peak & finite, end.count


def _advanced(loss: Any, search: _Search, active: Float[Array, " flat"]) -> _Search:
    """One step, the best of the damped ones; the last one stays where it is, to know the curvature there."""
    flat = search.flat
    gradient, values, vectors = _local(loss, flat, active)
    # Where the density curves the wrong way, the step leads away from the saddle, not into it.
    curvatures = jnp.maximum(jnp.abs(values), _LEAST_CURVATURE) + jnp.asarray(_DAMPINGS)[:, None]
    steps = -(vectors.T @ gradient / curvatures) @ vectors.T * active
    losses = jax.vmap(loss)(jnp.concatenate([flat[None], flat + steps]))
    losses = jnp.where(jnp.isfinite(losses), losses, jnp.inf)
    best = jnp.argmin(losses[1:])
    better = losses[1 + best] < losses[0]
    onwards = better & (jnp.max(jnp.abs(gradient)) > _GOAL) & (search.count < _MAX_ITERATIONS)
    moved = jnp.where(onwards, flat + steps[best], flat)
    return _Search(moved, gradient, values, vectors, ~onwards, search.count + 1)


def _local(loss: Any, flat: Float[Array, " flat"], active: Float[Array, " flat"]) -> tuple[Array, Array, Array]:
    """Gradient of the loss, eigenvalues and eigenvectors of its Hessian; the padding's eigenvalues are 1."""
    step = _DIFFERENCE * jnp.eye(flat.shape[0])
    # All points at once, as lanes: one program for the gradient, not three.
    gradients = jax.vmap(jax.grad(loss))(jnp.concatenate([flat[None], flat + step, flat - step]))
    gradient, ahead, behind = jnp.split(gradients, [1, 1 + len(flat)])
    hessian = (ahead - behind) / (2.0 * _DIFFERENCE)
    symmetric = 0.5 * (hessian + hessian.T) * (active[:, None] * active) + jnp.diag(1.0 - active)
    return gradient[0], *jnp.linalg.eigh(symmetric)


def _widened(values: Any) -> Array:
    array = jnp.asarray(values)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
