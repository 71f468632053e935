"""Where a posterior peaks and how it curves there: the start of everything else.

The mode is searched in float64, by a context that leaves no setting behind: in float32 the line search runs out of digits.
The Hessian is the central difference of the exact gradient, which in float64 is good to six digits, needs no program of
its own, and takes all its directions as lanes.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from mmm_jax.inference.metric import DENSE_UP_TO, AbstractWhitening, DenseWhitening, identity_whitening
from mmm_jax.inference.programs import compiled, linear_algebra
from mmm_jax.inference.samples import LogDensity

_MAX_ITERATIONS = 1000
_GRADIENT_TOLERANCE = 0.05
"""Largest entry of the gradient, in standardised coordinates, at which the search has arrived."""

_LEAST_CURVATURE, _LARGEST_CURVATURE = 0.25, 1e10
"""Eigenvalues of the Hessian are clipped here: the prior's own is 1, so that a much wider direction is doubtful."""

_DIFFERENCE = 1e-3
"""Step of the differences; their error is far below what a metric needs, and their noise small."""

_GRID = 2.0**-10
"""In deviations; the approximation is rounded to it."""


class Laplace(NamedTuple):
    """Normal approximation of the posterior of every fit, in float64.

    Attributes:
        mode: shape (fit, flat).
        factor: lower triangular, of the inverse of the clipped Hessian, shape (fit, flat, flat); above `DENSE_UP_TO`
            parameters its diagonal alone, shape (fit, flat).
        arrived: whether the search ended where the gradient vanishes and all numbers are finite, shape (fit,).
        iterations: of the search, shape (fit,).
    """

    mode: Float[Array, "fit flat"]
    factor: Float[Array, "fit *flat"]
    arrived: Bool[Array, " fit"]
    iterations: Int[Array, " fit"]


def laplace(log_density: LogDensity, data: Any, active: np.ndarray) -> Laplace:
    """Mode and curvature of every fit.

    Args:
        log_density: `log_density(flat, data)`.
        data: pytree of arrays with the fits as first axis.
        active: 1 for the coordinates that move, 0 for padding, shape (fit, flat).
    """
    with jax.enable_x64(True):
        wide = jax.tree.map(_widened, data)
        moving = jnp.asarray(active, jnp.float64)
        program = compiled(_program(log_density), wide, moving)
        with linear_algebra:
            return Laplace(*jax.block_until_ready(program(wide, moving)))


def whitening_of(found: Laplace, dtype: Any) -> AbstractWhitening:
    """The approximation as coordinates for the sampler; the identity for fits whose search did not arrive."""
    arrived = np.asarray(found.arrived)[:, None]
    mode, factor = _coarse(np.asarray(found.mode), np.asarray(found.factor))
    center = jnp.asarray(np.where(arrived, mode, 0.0), dtype)
    if factor.ndim == 3:
        return DenseWhitening(center, jnp.asarray(np.where(arrived[..., None], factor, np.eye(mode.shape[1])), dtype))
    scale = jnp.asarray(np.where(arrived, factor, 1.0), dtype)
    return eqx.tree_at(lambda whitening: whitening.scale, identity_whitening(center), scale)


def _coarse(mode: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mode and factor rounded to a grid of a thousandth of a deviation.

    The last digits depend on how many fits were searched together; the draws must not.
    """
    spread = np.sqrt((factor**2).sum(axis=-1)) if factor.ndim == 3 else factor
    with np.errstate(all="ignore"):
        grid = _GRID * 2.0 ** np.round(np.log2(spread))
        rounded = np.round(factor / (grid[..., None] if factor.ndim == 3 else grid))
        return np.round(mode / grid) * grid, rounded * (grid[..., None] if factor.ndim == 3 else grid)


def find_mode(
    log_density: LogDensity, data: Any, start: Float[Array, " flat"]
) -> tuple[Float[Array, " flat"], Int[Array, ""]]:
    """The mode of one fit by L-BFGS, and the iterations that it took."""

    def loss(flat: Array) -> Array:
        value = -log_density(flat, data)
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    # Backtracking takes as many steps here as the zoom search, and compiles faster.
    search = optax.scale_by_backtracking_linesearch(max_backtracking_steps=20, store_grad=True)
    solver = optax.lbfgs(memory_size=20, linesearch=search)
    value_and_grad = optax.value_and_grad_from_state(loss)

    def unfinished(carry: tuple[Array, Any, Array]) -> Array:
        _, state, count = carry
        steep = jnp.max(jnp.abs(optax.tree.get(state, "grad"))) > 0.2 * _GRADIENT_TOLERANCE
        return (count == 0) | (steep & (count < _MAX_ITERATIONS))

    def body(carry: tuple[Array, Any, Array]) -> tuple[Array, Any, Array]:
        flat, state, count = carry
        value, gradient = value_and_grad(flat, state=state)
        updates, state = solver.update(gradient, state, flat, value=value, grad=gradient, value_fn=loss)
        moved: Any = optax.apply_updates(flat, updates)
        return moved, state, count + 1

    flat, _, count = jax.lax.while_loop(unfinished, body, (start, solver.init(start), jnp.zeros((), int)))
    return flat, count


@lru_cache(maxsize=16)
def _program(log_density: LogDensity) -> Any:
    return jax.jit(jax.vmap(partial(_one_fit, log_density)))


def _one_fit(log_density: LogDensity, data: Any, active: Array) -> tuple[Array, Array, Array, Array]:
    def moving(flat: Array, data: Any) -> Array:
        # The padding's own density, such as its prior's, must not draw it away from 0.
        return log_density(flat * active, data)

    mode, iterations = find_mode(moving, data, jnp.zeros_like(active))
    slope = jax.grad(moving)
    gradients = jax.vmap(slope, (0, None))
    if mode.shape[0] <= DENSE_UP_TO:
        step = _DIFFERENCE * jnp.eye(mode.shape[0])
        hessian = -(gradients(mode + step, data) - gradients(mode - step, data)) / (2.0 * _DIFFERENCE)
        factor = _factor(hessian, active)
    else:
        factor = jnp.where(active > 0, _diagonal(moving, mode, data), 1.0)
    steep = jnp.max(jnp.abs(slope(mode, data)))
    finite = jnp.isfinite(moving(mode, data)) & jnp.isfinite(mode).all() & jnp.isfinite(factor).all()
    arrived = (steep < _GRADIENT_TOLERANCE) & finite
    return mode, factor, arrived, iterations


def _factor(hessian: Float[Array, "flat flat_"], active: Array) -> Float[Array, "flat flat_"]:
    """Lower triangular factor of the inverse of the clipped Hessian, the identity in the padding."""
    moving = active[:, None] * active
    symmetric = 0.5 * (hessian + hessian.T) * moving + jnp.diag(1.0 - active)
    values, vectors = jnp.linalg.eigh(symmetric)
    clipped = jnp.clip(values, _LEAST_CURVATURE, _LARGEST_CURVATURE)
    # Eigenvectors of equal eigenvalues may mix padding with coordinates that move: taken apart again.
    covariance = (vectors / clipped) @ vectors.T * moving + jnp.diag(1.0 - active)
    return jnp.linalg.cholesky(covariance)


def _diagonal(log_density: LogDensity, mode: Float[Array, " flat"], data: Any) -> Float[Array, " flat"]:
    """Standard deviations by the Hessian's diagonal, one coordinate after the other."""

    def curvature(index: Array) -> Array:
        step = _DIFFERENCE * jax.nn.one_hot(index, mode.shape[0])
        ahead, behind = (jax.grad(log_density)(point, data)[index] for point in (mode + step, mode - step))
        return -(ahead - behind) / (2.0 * _DIFFERENCE)

    curvatures = jax.lax.map(curvature, jnp.arange(mode.shape[0]))
    return 1.0 / jnp.sqrt(jnp.clip(curvatures, _LEAST_CURVATURE, _LARGEST_CURVATURE))


def _widened(values: Any) -> Array:
    array = jnp.asarray(values)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
