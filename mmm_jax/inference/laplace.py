"""Where a posterior peaks and how it curves there: the start of everything else.

The mode is searched in float64, by a context that leaves no setting behind: in float32 the search runs out of digits. Up to
some hundred parameters, or more where most of them do not matter to each other, by Newton's method, whose Hessian is wanted
anyway; above, by L-BFGS, with the Hessian's diagonal.
"""

from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from mmm_jax.inference.coloring import Coloring, uncolored
from mmm_jax.inference.metric import AbstractWhitening, DenseWhitening, identity_whitening, is_dense
from mmm_jax.inference.newton import POINTS, Peak, newton
from mmm_jax.inference.programs import compiled, requested, speed_options
from mmm_jax.inference.samples import LogDensity

_MAX_ITERATIONS = 1000
_GRADIENT_TOLERANCE = 0.05
"""Largest entry of the gradient, in standardised coordinates, at which the search has arrived."""

_LEAST_CURVATURE, _LARGEST_CURVATURE = 0.25, 1e10
"""Eigenvalues of the Hessian are clipped here: the prior's own is 1, so that a much wider direction is doubtful."""

_DIFFERENCE = 1e-3
"""Step of the differences; their error is far below what a metric needs, and their noise small."""

_SADDLE = 1e-3
"""Negative curvature that is no rounding; the prior's own is 1."""

_GRID = 2.0**-10
"""In deviations; the approximation is rounded to it."""


class Laplace(NamedTuple):
    """Normal approximation of the posterior of every fit, in float64.

    Attributes:
        mode: shape (fit, flat).
        factor: lower triangular, of the inverse of the clipped Hessian, shape (fit, flat, flat); where that is too large
            (see `metric.is_dense`), its diagonal alone, shape (fit, flat).
        arrived: whether the search ended where the gradient vanishes and all numbers are finite, shape (fit,).
        iterations: of the search, shape (fit,).
    """

    mode: Float[np.ndarray, "fit flat"]
    factor: Float[np.ndarray, "fit *flat"]
    arrived: Bool[np.ndarray, " fit"]
    iterations: Int[np.ndarray, " fit"]


def laplace(log_density: LogDensity, data: Any, active: np.ndarray, coloring: Coloring | None = None) -> Laplace:
    """Mode and curvature of every fit.

    Args:
        log_density: `log_density(flat, data)`.
        data: pytree of arrays with the fits as first axis.
        active: 1 for the coordinates that move, 0 for padding, shape (fit, flat).
        coloring: which coordinates do not matter to each other; by default, all may.
    """
    colored = coloring or uncolored(active.shape[1])
    with jax.enable_x64(True):
        wide, moving = _widened(data), jnp.asarray(active, jnp.float64)
        if not is_dense(colored):
            return Laplace(*map(np.asarray, compiled(_search(log_density), wide, moving)(wide, moving)))
        program = _requested(log_density, wide, moving).result()

        def evaluate(points: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, slopes = program(jnp.asarray(points), jnp.asarray(wanted), wide, moving)
            return np.asarray(values), np.asarray(slopes)

        peak = newton(evaluate, np.zeros(active.shape), colored)
    return Laplace(peak.mode, _factors(peak.hessian, active), _arrived(peak), peak.iterations)


def prepared(log_density: LogDensity, data: Any, active: np.ndarray, coloring: Coloring) -> "list[Future[Any]]":
    """The programs of `laplace`, asked for; the arguments are the same."""
    with jax.enable_x64(True):
        if not is_dense(coloring):
            return []
        return [_requested(log_density, jax.eval_shape(_widened, data), jnp.asarray(active, jnp.float64))]


def _requested(log_density: LogDensity, data: Any, active: Any) -> "Future[Any]":
    points = jax.ShapeDtypeStruct((active.shape[0], POINTS, active.shape[1]), jnp.float64)
    wanted = jax.ShapeDtypeStruct(active.shape[:1], bool)
    return requested(_gradients(log_density), points, wanted, data, active)


def _arrived(peak: Peak) -> np.ndarray:
    finite = np.isfinite(peak.log_density) & np.isfinite(peak.hessian).all(axis=(1, 2))
    curvature = np.linalg.eigvalsh(np.where(finite[:, None, None], peak.hessian, 0.0))
    # A saddle is flat as well; the padding's curvature is 0.
    return finite & (np.abs(peak.gradient).max(axis=1) < _GRADIENT_TOLERANCE) & (curvature[:, 0] > -_SADDLE)


@lru_cache(maxsize=16)
def _gradients(log_density: LogDensity) -> Any:
    """Log densities and gradients of several points of every fit that they are wanted of."""

    def of_fit(points: Array, data: Any, active: Array) -> tuple[Array, Array]:
        # The padding's own density, such as its prior's, must not draw it away from 0.
        moving = lambda flat, data: log_density(flat * active, data)  # noqa: E731
        return jax.vmap(jax.value_and_grad(moving), (0, None))(points, data)

    def unless_done(arguments: tuple[Array, Array, Any, Array]) -> tuple[Array, Array]:
        points, wanted, *others = arguments
        nothing = jnp.zeros(points.shape[:1], points.dtype), jnp.zeros_like(points)
        return jax.lax.cond(wanted, of_fit, lambda *_: nothing, points, *others)

    def gradients(points: Array, wanted: Array, data: Any, active: Array) -> tuple[Array, Array]:
        if jax.default_backend() == "cpu":
            # One fit after the other: together they would only push each other out of the cache, and some are done early.
            return jax.lax.map(unless_done, (points, wanted, data, active))
        return jax.vmap(of_fit)(points, data, active)

    return jax.jit(gradients, compiler_options=speed_options())


def _factors(hessian: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Lower triangular factors of the inverses of the clipped Hessians, the identity in the padding."""
    moving, still = active[:, :, None] * active[:, None], np.eye(active.shape[1]) * (1.0 - active[:, None])
    usable = np.isfinite(hessian).all(axis=(1, 2), keepdims=True)
    values, vectors = np.linalg.eigh(np.where(usable, hessian, 0.0) * moving + still)
    clipped = np.clip(values, _LEAST_CURVATURE, _LARGEST_CURVATURE)
    # Eigenvectors of equal eigenvalues may mix padding with coordinates that move: taken apart again.
    covariance = (vectors / clipped[:, None]) @ vectors.swapaxes(1, 2) * moving + still
    return np.linalg.cholesky(covariance)


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
    scale = spread
    if factor.ndim == 3:
        # A diagonal entry, which may be far smaller than its row, has a grid of its own: it must not become 0.
        diagonal = np.abs(np.diagonal(factor, axis1=1, axis2=2))
        scale = np.where(np.eye(factor.shape[-1], dtype=bool), diagonal[:, None], spread[..., None])
    with np.errstate(all="ignore"):
        place, grid = (_GRID * 2.0 ** np.round(np.log2(values)) for values in (spread, scale))
        return np.round(mode / place) * place, np.round(factor / grid) * grid


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
def _search(log_density: LogDensity) -> Any:
    return jax.jit(jax.vmap(partial(_one_fit, log_density)))


def _one_fit(log_density: LogDensity, data: Any, active: Array) -> tuple[Array, Array, Array, Array]:
    def moving(flat: Array, data: Any) -> Array:
        return log_density(flat * active, data)

    mode, iterations = find_mode(moving, data, jnp.zeros_like(active))
    factor = jnp.where(active > 0, _diagonal(moving, mode, data), 1.0)
    steep = jnp.max(jnp.abs(jax.grad(moving)(mode, data)))
    finite = jnp.isfinite(moving(mode, data)) & jnp.isfinite(mode).all() & jnp.isfinite(factor).all()
    return mode, factor, (steep < _GRADIENT_TOLERANCE) & finite, iterations


def _diagonal(log_density: LogDensity, mode: Float[Array, " flat"], data: Any) -> Float[Array, " flat"]:
    """Standard deviations by the Hessian's diagonal, one coordinate after the other."""

    def curvature(index: Array) -> Array:
        step = _DIFFERENCE * jax.nn.one_hot(index, mode.shape[0])
        ahead, behind = (jax.grad(log_density)(point, data)[index] for point in (mode + step, mode - step))
        return -(ahead - behind) / (2.0 * _DIFFERENCE)

    curvatures = jax.lax.map(curvature, jnp.arange(mode.shape[0]))
    return 1.0 / jnp.sqrt(jnp.clip(curvatures, _LEAST_CURVATURE, _LARGEST_CURVATURE))


def _widened(data: Any) -> Any:
    def wide(values: Any) -> Array:
        array = jnp.asarray(values)
        return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(wide, data)
