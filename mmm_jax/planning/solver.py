"""Maximising a smooth function over a box with a given sum: scaled projected gradient, many starts in one run.

jaxopt is no longer maintained; it is imported here and nowhere else, so that it can be replaced in one place.
"""

import warnings
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

with warnings.catch_warnings():
    # jaxopt announces on import that it is no longer maintained: known, and the reason why it stays behind this file.
    warnings.simplefilter("ignore", DeprecationWarning)
    from jaxopt.projection import projection_box_section

MAX_ITERATIONS = 200
TOLERANCE = 1e-9
"""KKT residual, relative to the gradient's size, at which a run stops."""

_ARMIJO = 1e-4
_SMALLEST_STEP = 1e-9
_CURVATURE_FLOOR = 1e-3
"""Least curvature that a variable is scaled by, relative to the largest."""

Objective = Callable[[Float[Array, " n"]], Float[Array, ""]]


class Outcome(StrEnum):
    """Why a run ended."""

    CONVERGED = "converged"
    STALLED = "stalled"
    ITERATION_LIMIT = "iteration limit"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return {
            "converged": "The conditions of an optimum hold to the tolerance.",
            "stalled": "No step improves the objective although its slope is not 0: it is not smooth there, or the draws "
            "hold extreme values. Do not use the plan; check the posterior.",
            "iteration limit": "The optimum was not reached in time. Raise `num_starts`, or narrow the bounds.",
        }[self.value]


class Solution(NamedTuple):
    """End of a run; of several runs when the leading axis is `start`."""

    point: Float[Array, " n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]
    stalled: Bool[Array, ""]

    def outcome(self) -> Outcome:
        """Why this run ended."""
        if self.residual <= TOLERANCE:
            return Outcome.CONVERGED
        return Outcome.STALLED if self.stalled else Outcome.ITERATION_LIMIT


@eqx.filter_jit
def maximise(
    objective: Objective, starts: Float[Array, "start n"], lower: Float[Array, " n"], upper: Float[Array, " n"]
) -> Solution:
    """Local maxima of the objective over `lower <= x <= upper`, `sum(x) = 1`, one run per start.

    Each step goes along the projection of a Newton-like step, scaled by the curvature of each variable: for a
    separable objective, such as one level per channel under an additive model, this is Newton's method and converges
    quadratically; for others it is a scaled projected gradient with a line search. A step never loses.

    Args:
        objective: smooth function of the shares; a pytree, so that new numbers do not compile anew.
        starts: first points, which need not be feasible.
        lower: lower bounds with a sum of at most 1.
        upper: upper bounds with a sum of at least 1.
    """
    return jax.lax.map(lambda start: _run(objective, start, lower, upper), starts)


def project(
    point: Float[Array, " n"], lower: Float[Array, " n"], upper: Float[Array, " n"], metric: Float[Array, " n"]
) -> Float[Array, " n"]:
    """The feasible point nearest to `point`, by squared distance weighted with `metric`; exact in its sum.

    jaxopt's bisection finds which bounds are active; the free variables then follow in closed form.
    """
    root = jnp.sqrt(metric)
    target, low, high, weights = root * point, root * lower, root * upper, 1.0 / root
    # Bisection cannot bracket a box that is a single point in the section.
    found = jnp.clip(projection_box_section(target, (low, high, weights, 1.0)), low, high)
    for _ in range(2):
        found = _closed_form(target, found, low, high, weights)
    return jnp.clip(found / root, lower, upper)


def kkt(
    point: Float[Array, " n"], gradient: Float[Array, " n"], lower: Float[Array, " n"], upper: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far a feasible point is from the conditions of a maximum, and the multiplier of the sum.

    At a maximum no variable below its upper bound has a larger slope than one above its lower bound.

    Returns:
        Residual: half of the largest such difference, relative to the largest slope; and the largest slope of any
        variable that can still grow: what one more unit of the sum brings.
    """
    can_grow, can_shrink = point < upper, point > lower
    best = jnp.max(jnp.where(can_grow, gradient, -jnp.inf))
    worst = jnp.min(jnp.where(can_shrink, gradient, jnp.inf))
    size = jnp.maximum(jnp.max(jnp.abs(gradient)), jnp.finfo(gradient.dtype).tiny)
    return jnp.maximum(0.5 * (best - worst), 0.0) / size, jnp.where(jnp.isfinite(best), best, 0.0)


class _State(NamedTuple):
    solution: Solution
    curvature: Float[Array, " n"]


def _run(objective: Objective, start: Array, lower: Array, upper: Array) -> Solution:
    def going(state: _State) -> Array:
        at = state.solution
        return (at.residual > TOLERANCE) & ~at.stalled & (at.iterations < MAX_ITERATIONS)

    def step(state: _State) -> _State:
        at = state.solution
        target = project(at.point + at.gradient / state.curvature, lower, upper, state.curvature)
        return _line_search(objective, state, target, lower, upper)

    first = project(start, lower, upper, jnp.ones_like(start))
    return jax.lax.while_loop(going, step, _evaluated(objective, first, lower, upper, jnp.zeros((), int))).solution


def _evaluated(objective: Objective, point: Array, lower: Array, upper: Array, iterations: Array) -> _State:
    # The Hessian's row sums: its diagonal where the objective is separable.
    (value, gradient), (_, curvature) = jax.jvp(jax.value_and_grad(objective), (point,), (jnp.ones_like(point),))
    residual, _ = kkt(point, gradient, lower, upper)
    solution = Solution(point, value, gradient, residual, iterations, jnp.zeros((), bool))
    return _State(solution, _positive(curvature, gradient))


def _line_search(objective: Objective, state: _State, target: Array, lower: Array, upper: Array) -> _State:
    """The state after the largest of the steps 1, 1/2, 1/4, ... that gains enough; stalled where it was if none does.

    The full step, nearly always taken, is evaluated once, with the derivatives that the next iteration needs; it takes
    the projection itself, so that bounds are met exactly.
    """
    at = state.solution
    slope = at.gradient @ (target - at.point)
    # Close to the optimum the gain drowns in rounding: allow for it, so that the last steps are taken.
    slack = 8 * jnp.finfo(at.value.dtype).eps * jnp.abs(at.value)

    def gains_too_little(carry: tuple[_State, Array]) -> Array:
        tried, size = carry
        return ~(tried.solution.value - at.value >= _ARMIJO * size * slope - slack) & (size > _SMALLEST_STEP)

    def shorter(carry: tuple[_State, Array]) -> tuple[_State, Array]:
        size = 0.5 * carry[1]
        return _evaluated(objective, at.point + size * (target - at.point), lower, upper, at.iterations + 1), size

    full = _evaluated(objective, target, lower, upper, at.iterations + 1)
    tried, size = jax.lax.while_loop(gains_too_little, shorter, (full, jnp.ones(())))
    moved = (size > _SMALLEST_STEP) & (slope > 0)
    stuck = state._replace(solution=at._replace(stalled=jnp.ones((), bool)))
    return jax.tree.map(lambda new, old: jnp.where(moved, new, old), tried, stuck)


def _positive(curvature: Array, gradient: Array) -> Array:
    size = jnp.abs(curvature)
    # A linear objective has no curvature: its slopes then set the scale, so that a step crosses the whole set.
    scale = jnp.where(size.max() > 0, size.max(), jnp.abs(gradient).max() + 1.0)
    return jnp.maximum(size, _CURVATURE_FLOOR * scale)


def _closed_form(target: Array, found: Array, low: Array, high: Array, weights: Array) -> Array:
    """Solve the sum for its multiplier with the active bounds held, and clip again."""
    free = (found > low) & (found < high)
    held = jnp.sum(jnp.where(free, 0.0, weights * found))
    power = jnp.sum(jnp.where(free, weights**2, 0.0))
    short = 1.0 - held - jnp.sum(jnp.where(free, weights * target, 0.0))
    multiplier = jnp.where(power > 0, short / jnp.where(power > 0, power, 1.0), 0.0)
    return jnp.where(free, jnp.clip(target + multiplier * weights, low, high), found)
