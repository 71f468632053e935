"""Maximising a smooth function over a box with a given sum: scaled projected gradient, many starts in one run.

jaxopt is no longer maintained; it is imported here and nowhere else, so that it can be replaced in one place.
"""

import math
import warnings
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmm_jax.kernels.numerics import safe_divide

with warnings.catch_warnings():
    # jaxopt announces on import that it is no longer maintained: known, and the reason why it stays behind this file.
    warnings.simplefilter("ignore", DeprecationWarning)
    from jaxopt import Bisection

MAX_ITERATIONS = 500
TOLERANCE = 1e-9
"""KKT residual, relative to the gradient's size, at which a run stops."""

_ARMIJO = 1e-4
_HALVINGS = 100
"""Of the bracket around the multiplier of a projection: more than the digits of a float64."""
_SMALLEST_STEP = 1e-9
_NOISE = 1e-10
"""Gain, relative to the value, that is too small to be trusted."""
_LONGEST_STEP = 10.0
"""Furthest that a variable is sent in one step, before the projection; the whole set is 1 wide."""
_FLAT = 1e-12
"""Least curvature that a variable is scaled by, relative to the largest slope."""

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
            "stalled": "No step improves the objective although its slope is not 0: it is not smooth there, or it is not "
            "finite, as extreme draws make it. Do not use the plan; check the posterior.",
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
        finite = math.isfinite(self.value) and math.isfinite(self.residual)
        if finite and self.residual <= TOLERANCE:
            return Outcome.CONVERGED
        return Outcome.STALLED if self.stalled or not finite else Outcome.ITERATION_LIMIT


@eqx.filter_jit
def maximise(
    objective: Objective, starts: Float[Array, "start n"], lower: Float[Array, " n"], upper: Float[Array, " n"]
) -> Solution:
    """Local maxima of the objective over `lower <= x <= upper`, `sum(x) = 1`, one run per start.

    Each step is the projection of a Newton-like step, scaled by the curvature of each variable: for a separable
    objective, such as one level per channel under an additive model, this is Newton's method and converges
    quadratically; for others it is a scaled projected gradient. Lengths are tried until one gains, rounding aside.

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
    """The feasible point nearest to `point`, by squared distance weighted with `metric`; exact, bounds included.

    It is `clip(point + multiplier / metric, lower, upper)` with the multiplier at which the sum is 1. jaxopt's bisection
    finds it, as within its own `projection_box_section`, whose tolerance of 1e-5 is too coarse for a certificate; the
    free variables then take up what rounding left over.
    """

    def at(multiplier: Array) -> Array:
        return jnp.clip(point + multiplier / metric, lower, upper)

    # jaxopt's annotations know numbers only; traced arrays are what it is made for.
    first: Any = jnp.min(metric * (lower - point))
    last: Any = jnp.max(metric * (upper - point))
    search = Bisection(
        optimality_fun=lambda multiplier: at(multiplier).sum() - 1.0,
        lower=first,
        upper=last,
        maxiter=_HALVINGS,
        tol=0.0,
        check_bracket=False,
    )
    found = at(search.run().params)
    weights = jnp.where((lower < found) & (found < upper), 1.0 / metric, 0.0)
    found = jnp.clip(found + (1.0 - found.sum()) * safe_divide(weights, weights.sum()), lower, upper)
    # Where a corner of the box is the whole set, but for rounding, there is no bracket to bisect.
    near = _rounding(point)
    found = jnp.where(lower.sum() >= 1.0 - near, lower, jnp.where(upper.sum() <= 1.0 + near, upper, found))
    return _snapped(found, lower, upper)


def kkt(
    point: Float[Array, " n"], gradient: Float[Array, " n"], lower: Float[Array, " n"], upper: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far a feasible point is from the conditions of a maximum, and the multiplier of the sum.

    At a maximum no variable below its upper bound has a larger slope than one above its lower bound.

    Returns:
        Residual: half of the largest such difference, relative to the largest slope of a variable that is not held by
        both bounds, NaN where a slope is not finite; and the largest slope of any variable that can still grow: what
        one more unit of the sum brings, 0 if none can.
    """
    can_grow, can_shrink = point < upper, point > lower
    best = jnp.max(jnp.where(can_grow, gradient, -jnp.inf))
    worst = jnp.min(jnp.where(can_shrink, gradient, jnp.inf))
    size = jnp.max(jnp.where(can_grow | can_shrink, jnp.abs(gradient), 0.0))
    residual = safe_divide(jnp.maximum(0.5 * (best - worst), 0.0), size)
    return jnp.where(jnp.isfinite(size), residual, jnp.nan), jnp.where(can_grow.any(), best, 0.0)


class _State(NamedTuple):
    solution: Solution
    curvature: Float[Array, " n"]
    size: Float[Array, ""]
    """Length of the next step to try; 1 is the whole of it."""


def _run(objective: Objective, start: Array, lower: Array, upper: Array) -> Solution:
    def going(state: _State) -> Array:
        at = state.solution
        return (at.residual > TOLERANCE) & ~at.stalled & (at.iterations < MAX_ITERATIONS)

    first = _evaluated(objective, project(start, lower, upper, jnp.ones_like(start)), lower, upper)
    return jax.lax.while_loop(going, lambda state: _try_step(objective, state, lower, upper), first).solution


def _evaluated(objective: Objective, point: Array, lower: Array, upper: Array) -> _State:
    probe = _probe((point > lower) & (point < upper), point.dtype)
    (value, gradient), (_, bend) = jax.jvp(jax.value_and_grad(objective), (point,), (probe,))
    residual, _ = kkt(point, gradient, lower, upper)
    solution = Solution(point, value, gradient, residual, jnp.zeros((), int), jnp.zeros((), bool))
    return _State(solution, bend / probe, jnp.ones_like(value))


def _probe(free: Array, dtype: jnp.dtype) -> Array:
    """A vector `p` for which `H @ p / p` is the diagonal of a Hessian: exactly where the objective is separable.

    Its signs alternate over the free variables: so it sees next to nothing of a coupling that is the same between all
    of them, such as a log link's, which does not bend the objective along the set. Held variables hardly count.
    """
    return (jnp.where(jnp.cumsum(free) % 2 == 1, 1.0, -1.0) * jnp.where(free, 1.0, 0.01)).astype(dtype)


def _try_step(objective: Objective, state: _State, lower: Array, upper: Array) -> _State:
    """The state after a step of the state's size if that gains enough, else where it was, with half the size.

    Shorter steps are projected anew, so that each ends exactly on the bounds that it reaches.
    """
    at = state.solution
    _, price = kkt(at.point, at.gradient, lower, upper)
    # Every way along the set sums to 0 but for rounding; the price would only magnify that.
    climb = at.gradient - price
    metric = _metric(state.curvature, climb)
    tried = _evaluated(objective, project(at.point + state.size * climb / metric, lower, upper, metric), lower, upper)
    way, gain = tried.solution.point - at.point, tried.solution.value - at.value
    # Close to the optimum the gain drowns in rounding; the slope does not (Hager and Zhang 2005, eq. 4.1).
    drowned = jnp.abs(gain) <= _NOISE * jnp.abs(at.value)
    climbs = (tried.solution.gradient - price) @ way >= (2 * _ARMIJO - 1) * climb @ way
    gains = (climb @ way > 0) & ((gain >= _ARMIJO * climb @ way) | (drowned & climbs))
    shorter = state._replace(size=0.5 * state.size)
    longer = tried._replace(size=jnp.minimum(2.0 * state.size, 1.0))
    after = jax.tree.map(lambda new, old: jnp.where(gains, new, old), longer, shorter)
    stalled = after.size < _SMALLEST_STEP
    return after._replace(solution=after.solution._replace(iterations=at.iterations + 1, stalled=stalled))


def _metric(curvature: Array, climb: Array) -> Array:
    """What a step is scaled by: the curvature where it is large enough for the step to stay within reach.

    The bound fades as a free variable's slope comes close to the price, so that the last steps are Newton's.
    """
    size = jnp.max(jnp.abs(climb))
    floor = jnp.where(size > 0, _FLAT * size, 1.0)
    return jnp.maximum(jnp.maximum(jnp.abs(curvature), jnp.abs(climb) / _LONGEST_STEP), floor)


def _snapped(point: Array, lower: Array, upper: Array) -> Array:
    """Variables that only rounding keeps off a bound, at it: whether they may move is read from this."""
    near = _rounding(point)
    return jnp.where(upper - point <= near, upper, jnp.where(point - lower <= near, lower, point))


def _rounding(point: Array) -> float:
    """What rounding may do to a sum of shares."""
    return 4 * point.shape[0] * float(jnp.finfo(point.dtype).eps)
