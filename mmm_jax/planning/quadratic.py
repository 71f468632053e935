"""Convex quadratic programmes, solved to the last digits: an interior-point method, then the active set it found.

The steps of `mmm_jax.planning.solver` are such programmes. Nothing here depends on posterior draws: a programme of a
few hundred variables costs milliseconds, evaluating the draws costs more.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve
from jaxtyping import Array, Bool, Float, Int

MAX_ITERATIONS = 60
_GAP = 1e-13
"""Mean complementarity, relative to the largest slope, at which the interior iteration ends."""
_INFEASIBLE = 1e-11
_ROUNDS = 6
"""Corrections of the active set before the interior solution is kept."""
_SLACK = 1e-9
"""Violation, or wrong sign of a multiplier, that an active set is forgiven."""
_REGULAR = 1e-11
_STAY_BACK = 0.995


class Polytope(NamedTuple):
    """`lower <= x <= upper`, `rows @ x <= limits`, `equalities @ x == values`; variables that are not free keep their value.

    Rows of zeros with a positive limit hold no matter what: they pad a set to a shape that is compiled already.
    """

    lower: Float[Array, " n"]
    upper: Float[Array, " n"]
    rows: Float[Array, "m n"]
    limits: Float[Array, " m"]
    equalities: Float[Array, "p n"]
    values: Float[Array, " p"]
    free: Bool[Array, " n"]

    def moved(self, point: Float[Array, " n"]) -> "Polytope":
        """The same set for the way from a point."""
        return self._replace(
            lower=self.lower - point,
            upper=self.upper - point,
            limits=self.limits - self.rows @ point,
            values=self.values - self.equalities @ point,
        )


class Quadratic(NamedTuple):
    """Solution of `min 0.5 d' H d - slope' d` over a polytope, with the multipliers of its conditions.

    Stationarity: `slope - H d = rows' row_price + equalities' equality_price + upper_price - lower_price`.
    """

    step: Float[Array, " n"]
    row_price: Float[Array, " m"]
    equality_price: Float[Array, " p"]
    at_lower: Bool[Array, " n"]
    at_upper: Bool[Array, " n"]


class _Interior(NamedTuple):
    step: Array
    slack: Array
    row_price: Array
    equality_price: Array
    lower_price: Array
    upper_price: Array
    iterations: Int[Array, ""]
    gap: Float[Array, ""]
    infeasible: Float[Array, ""]


def solve_quadratic(hessian: Float[Array, "n n"], slope: Float[Array, " n"], polytope: Polytope) -> Quadratic:
    """The minimiser of `0.5 d' H d - slope' d` over a polytope that has an interior, but for its equalities.

    Args:
        hessian: symmetric, positive definite.
        slope: of the objective to be gained.
        polytope: bounds of fixed variables do not count: they stay at 0.
    """
    steepest = jnp.max(jnp.abs(jnp.where(polytope.free, slope, 0.0)), initial=0.0)
    size = jnp.where(steepest > 0, steepest, jnp.max(jnp.abs(jnp.diag(hessian)), initial=0.0))
    hessian, slope = _without_fixed(hessian / size, slope / size, polytope.free)
    polytope = polytope._replace(
        rows=jnp.where(polytope.free, polytope.rows, 0.0), equalities=jnp.where(polytope.free, polytope.equalities, 0.0)
    )
    inside = _interior(hessian, slope, polytope)
    found = _with_active_set(hessian, slope, polytope, inside)
    return found._replace(row_price=found.row_price * size, equality_price=found.equality_price * size)


def project(point: Float[Array, " n"], polytope: Polytope) -> Float[Array, " n"]:
    """The point of the polytope that is nearest to the given one."""
    way = solve_quadratic(jnp.eye(point.shape[0]), jnp.zeros_like(point), _shifted(point, polytope))
    return _landed(point, way, polytope)


def _shifted(point: Array, polytope: Polytope) -> Polytope:
    """The set for the way from a point that may lie outside of it."""
    return polytope.moved(jnp.where(polytope.free, point, polytope.lower))


def _landed(point: Array, way: Quadratic, polytope: Polytope) -> Array:
    reached = jnp.where(way.at_upper, polytope.upper, jnp.where(way.at_lower, polytope.lower, point + way.step))
    return jnp.where(polytope.free, jnp.clip(reached, polytope.lower, polytope.upper), polytope.lower)


def landing(point: Float[Array, " n"], way: Quadratic, polytope: Polytope) -> Float[Array, " n"]:
    """Where the whole way from a feasible point leads: on the bounds that it reaches, exactly."""
    return _landed(point, way, polytope)


def _without_fixed(hessian: Array, slope: Array, free: Array) -> tuple[Array, Array]:
    both = free[:, None] & free[None, :]
    return jnp.where(both, hessian, jnp.eye(len(free))), jnp.where(free, slope, 0.0)


def _interior(hessian: Array, slope: Array, polytope: Polytope) -> _Interior:
    """Mehrotra's predictor-corrector method; the box is kept throughout, rows and equalities are approached.

    Reference:
        Nocedal and Wright (2006), Numerical Optimization, algorithm 16.4.
    """

    def going(at: _Interior) -> Array:
        open_ = (at.gap > _GAP) | (at.infeasible > _INFEASIBLE)
        return open_ & (at.iterations < MAX_ITERATIONS) & jnp.isfinite(at.gap)

    return jax.lax.while_loop(going, lambda at: _interior_step(hessian, slope, polytope, at), _first(slope, polytope))


def _first(slope: Array, polytope: Polytope) -> _Interior:
    width = polytope.upper - polytope.lower
    margin = jnp.minimum(0.1 * width, 0.1)
    step = jnp.where(polytope.free, jnp.clip(0.0, polytope.lower + margin, polytope.upper - margin), 0.0)
    slack = jnp.maximum(polytope.limits - polytope.rows @ step, 0.1)
    ones = jnp.ones_like(step)
    count = jnp.zeros((), int)
    far = jnp.full((), jnp.inf, slope.dtype)
    return _Interior(
        step, slack, jnp.ones_like(slack), jnp.zeros_like(polytope.values), ones, ones, count, jnp.ones_like(far), far
    )


def _box_slacks(step: Array, polytope: Polytope) -> tuple[Array, Array]:
    """Distances to the bounds; 1 for fixed variables, which then count for nothing."""
    below = jnp.where(polytope.free, step - polytope.lower, 1.0)
    above = jnp.where(polytope.free, polytope.upper - step, 1.0)
    return below, above


def _interior_step(hessian: Array, slope: Array, polytope: Polytope, at: _Interior) -> _Interior:
    rows, equalities = polytope.rows, polytope.equalities
    below, above = _box_slacks(at.step, polytope)
    dual = hessian @ at.step - slope + rows.T @ at.row_price + equalities.T @ at.equality_price
    dual = jnp.where(polytope.free, dual - at.lower_price + at.upper_price, 0.0)
    primal = rows @ at.step + at.slack - polytope.limits
    unequal = equalities @ at.step - polytope.values
    weight = at.row_price / at.slack
    normal = hessian + jnp.diag(at.lower_price / below + at.upper_price / above) + (rows.T * weight) @ rows
    factor = cho_factor(normal)
    spread = cho_solve(factor, equalities.T)
    coupling = cho_factor(equalities @ spread + _tiny_ridge(equalities @ spread))

    def direction(row_gap: Array, lower_gap: Array, upper_gap: Array) -> tuple[Array, ...]:
        right = -dual - rows.T @ ((at.row_price * primal - row_gap) / at.slack) - lower_gap / below + upper_gap / above
        alone = cho_solve(factor, jnp.where(polytope.free, right, 0.0))
        by_equality = cho_solve(coupling, equalities @ alone + unequal)
        step = alone - spread @ by_equality
        slack = -primal - rows @ step
        row = (-row_gap - at.row_price * slack) / at.slack
        return (
            step,
            slack,
            row,
            by_equality,
            (-lower_gap - at.lower_price * step) / below,
            (-upper_gap + at.upper_price * step) / above,
        )

    gaps = (at.slack * at.row_price, below * at.lower_price, above * at.upper_price)
    count = gaps[0].shape[0] + 2 * gaps[1].shape[0]
    mean = sum(gap.sum() for gap in gaps) / count
    first = direction(*gaps)
    reach = _reach(at, below, above, first)
    step, slack, row, _, low, up = first
    after = (
        ((at.slack + reach * slack) * (at.row_price + reach * row)).sum()
        + ((below + reach * step) * (at.lower_price + reach * low)).sum()
        + ((above - reach * step) * (at.upper_price + reach * up)).sum()
    ) / count
    centre = mean * (after / mean) ** 3
    second = direction(gaps[0] + slack * row - centre, gaps[1] + step * low - centre, gaps[2] - step * up - centre)
    length = jnp.minimum(_STAY_BACK * _reach(at, below, above, second), 1.0)
    step, slack, row, equal, low, up = second
    moved = at._replace(
        step=at.step + length * step,
        slack=at.slack + length * slack,
        row_price=at.row_price + length * row,
        equality_price=at.equality_price + length * equal,
        lower_price=jnp.where(polytope.free, at.lower_price + length * low, 1e-30),
        upper_price=jnp.where(polytope.free, at.upper_price + length * up, 1e-30),
        iterations=at.iterations + 1,
    )
    return _measured(hessian, slope, polytope, moved, at)


def _measured(hessian: Array, slope: Array, polytope: Polytope, moved: _Interior, at: _Interior) -> _Interior:
    """The new state with its gap; the old one, marked as the last, where rounding broke the step."""
    below, above = _box_slacks(moved.step, polytope)
    count = len(moved.slack) + 2 * len(moved.step)
    gap = (moved.slack * moved.row_price).sum() + (below * moved.lower_price + above * moved.upper_price).sum()
    off = jnp.concatenate(
        [polytope.rows @ moved.step + moved.slack - polytope.limits, polytope.equalities @ moved.step - polytope.values]
    )
    found = moved._replace(gap=gap / count, infeasible=jnp.max(jnp.abs(off), initial=0.0))
    sound = jnp.isfinite(found.gap) & jnp.isfinite(found.step).all()
    kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), found, at)
    return kept._replace(iterations=jnp.where(sound, kept.iterations, MAX_ITERATIONS))


def _reach(at: _Interior, below: Array, above: Array, way: tuple[Array, ...]) -> Array:
    step, slack, row, _, low, up = way
    positive = jnp.concatenate([at.slack, at.row_price, below, above, at.lower_price, at.upper_price])
    change = jnp.concatenate([slack, row, step, -step, low, up])
    ratio = jnp.where(change < 0, -positive / jnp.where(change < 0, change, -1.0), jnp.inf)
    return jnp.minimum(jnp.min(ratio), 1.0)


def _tiny_ridge(matrix: Array) -> Array:
    """What keeps the factor of rows that depend on each other finite."""
    size = jnp.maximum(jnp.max(jnp.abs(jnp.diag(matrix)), initial=0.0), jnp.finfo(matrix.dtype).tiny)
    return 1e-14 * size * jnp.eye(matrix.shape[0])


class _Active(NamedTuple):
    lower: Array
    upper: Array
    rows: Array
    found: Quadratic
    valid: Bool[Array, ""]
    rounds: Int[Array, ""]


def _with_active_set(hessian: Array, slope: Array, polytope: Polytope, inside: _Interior) -> Quadratic:
    """The exact solution for the constraints that the interior solution leans on, corrected until it is one.

    Where no set of constraints proves right, as in degenerate programmes, the interior solution stands.
    """
    below, above = _box_slacks(inside.step, polytope)
    lower = polytope.free & (inside.lower_price > below)
    upper = polytope.free & (inside.upper_price > above) & ~lower
    rows = inside.row_price > inside.slack
    nowhere = jnp.zeros_like(lower)
    kept = Quadratic(inside.step, inside.row_price, inside.equality_price, nowhere, nowhere)
    first = _Active(lower, upper, rows, kept, jnp.zeros((), bool), jnp.zeros((), int))

    def going(at: _Active) -> Array:
        return ~at.valid & (at.rounds < _ROUNDS)

    at = jax.lax.while_loop(going, lambda at: _corrected(hessian, slope, polytope, at), first)
    return jax.tree.map(lambda exact, near: jnp.where(at.valid, exact, near), at.found, kept)


def _corrected(hessian: Array, slope: Array, polytope: Polytope, at: _Active) -> _Active:
    found = _on_active_set(hessian, slope, polytope, at)
    step = found.step
    spare = polytope.limits - polytope.rows @ step
    pull = slope - hessian @ step - polytope.rows.T @ found.row_price - polytope.equalities.T @ found.equality_price
    lower = polytope.free & ((at.lower & (pull <= _SLACK)) | (step < polytope.lower - _SLACK))
    upper = polytope.free & ~lower & ((at.upper & (pull >= -_SLACK)) | (step > polytope.upper + _SLACK))
    rows = (at.rows & (found.row_price >= -_SLACK)) | (spare < -_SLACK)
    same = (lower == at.lower).all() & (upper == at.upper).all() & (rows == at.rows).all()
    unequal = jnp.max(jnp.abs(polytope.equalities @ step - polytope.values), initial=0.0)
    over = jnp.max(-spare, initial=0.0)
    valid = same & jnp.isfinite(step).all() & (unequal < _SLACK) & (over <= _SLACK)
    return _Active(lower, upper, rows, found, valid, at.rounds + 1)


def _on_active_set(hessian: Array, slope: Array, polytope: Polytope, at: _Active) -> Quadratic:
    """Stationary point on the constraints held; two refinements take the ridge out of it again."""
    held = at.lower | at.upper
    place = jnp.where(at.upper, polytope.upper, jnp.where(at.lower, polytope.lower, 0.0))
    rows = jnp.where(at.rows[:, None], polytope.rows, 0.0)
    sides = jnp.concatenate([rows, polytope.equalities])
    values = jnp.concatenate([jnp.where(at.rows, polytope.limits, 0.0), polytope.values]) - sides @ place
    both = ~held[:, None] & ~held[None, :]
    curve = jnp.where(both, hessian, jnp.eye(len(slope)))
    pull = jnp.where(held, 0.0, slope - hessian @ place)
    sides = jnp.where(held, 0.0, sides)
    idle = jnp.concatenate([~at.rows, jnp.zeros(len(polytope.values), bool)])
    plain = jnp.block([[curve, sides.T], [sides, -jnp.diag(idle.astype(slope.dtype))]])
    ridge = jnp.concatenate([jnp.zeros(len(slope)), jnp.full(len(values), _REGULAR)])
    factor = lu_factor(plain - jnp.diag(ridge))
    right = jnp.concatenate([pull, values])
    solution = lu_solve(factor, right)
    for _ in range(3):
        solution = solution + lu_solve(factor, right - plain @ solution)
    count, row_count = len(slope), len(at.rows)
    prices = solution[count:]
    step = jnp.where(held, place, solution[:count])
    return Quadratic(step, jnp.where(at.rows, prices[:row_count], 0.0), prices[row_count:], at.lower, at.upper)
