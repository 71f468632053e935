"""Maximising a smooth function over a polytope, under a few smooth requirements: sequential quadratic programming.

Each step maximises a quadratic model, made from exact second derivatives, over the whole polytope and the linearised
requirements. So every iterate satisfies all linear constraints, bounds are reached exactly, and close to an optimum the
steps are Newton's on the constraints that bind there: few evaluations of the posterior draws, and multipliers to the last
digits. One program serves all problems of one structure.
"""

import abc
import math
from enum import StrEnum
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmm_jax.planning.quadratic import Polytope, landing, solve_quadratic

MAX_ITERATIONS = 100
TOLERANCE = 1e-9
"""KKT residual, relative to the gradient's size, at which a run has converged."""

LEAST_SLOPE = 1e-3
"""Slope that residuals are relative to at least, where programs are scaled to slopes of 1: at a free maximum all are 0."""

_AIM = 1e-10
"""Residual whose step is the last one: it makes the residual far smaller still."""
_ARMIJO = 1e-4
_SHORTEST = 1e-9
_NOISE = 1e-13
"""Gain, relative to the value, that is too small to be trusted."""
_FLAT = 1e-9
"""Least curvature, relative to the largest slope."""
_LARGE = 32
"""Numbers beyond which runs go one after another."""
_TIGHT = 1e-10
"""Distance at which a constraint counts as binding."""
_PATIENCE = 6
"""Steps without a smaller residual, within the noise, after which a run ends."""
_REACH = 10.0
"""Furthest that a number moves in the first step; numbers are of mean size 1."""
_DEAREST = 1e6
"""Most that a unit of a missed requirement costs, in slopes of the objective."""
_ELASTIC = 1e4
"""Furthest that the linearised requirements may be missed in one step."""


class Derivatives(NamedTuple):
    """A program around a point, scaled so that slopes are of the order of 1 at the first one.

    Attributes:
        value: of the objective.
        gradient: of the objective.
        met: of the requirements, which ask for at least 0, (requirement,).
        jacobian: of the requirements, (requirement, n).
        hessian: of objective and requirements, each requirement times its price, (n, n).
    """

    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    met: Float[Array, " requirement"]
    jacobian: Float[Array, "requirement n"]
    hessian: Float[Array, "n n"]


class AbstractProgram(eqx.Module):
    """An objective to maximise and requirements that must not be negative; a pytree, so that new numbers do not compile."""

    @abc.abstractmethod
    def value(self, point: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, " requirement"]]:
        """Objective and requirements."""

    @abc.abstractmethod
    def derivatives(self, point: Float[Array, " n"], prices: Float[Array, " requirement"]) -> Derivatives:
        """The same with their derivatives; `prices` weigh the requirements' second derivatives."""

    @abc.abstractmethod
    def cooled(self, stage: Int[Array, ""]) -> "AbstractProgram":
        """The program of a stage of annealing, 0 the warmest; itself where there is one stage only."""


class Outcome(StrEnum):
    """Why a run ended."""

    CONVERGED = "converged"
    STALLED = "stalled"
    ITERATION_LIMIT = "iteration limit"
    UNMET = "requirement not met"
    UNBOUNDED = "unbounded"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return {
            "converged": "The conditions of an optimum hold to the tolerance.",
            "stalled": "No step improves the objective although its slope is not 0: it is not smooth there, or it is not "
            "finite, as extreme draws make it. Do not use the plan; check the posterior.",
            "iteration limit": "The optimum was not reached in time. Raise `num_starts`, or narrow the bounds.",
            "requirement not met": "No start led to a plan that meets the targets on the response: they ask for more than "
            "the constraints allow. Lower them, or widen the bounds; the plan shown comes closest.",
            "unbounded": "The objective still grows where a channel spends a thousand times the usual. Give a total, or "
            "upper bounds.",
        }[self.value]


class Solution(NamedTuple):
    """End of a run; of several runs when the leading axis is `start`.

    Attributes:
        point: where it ended; it satisfies the polytope.
        value: of the objective there.
        unmet: largest violation of a requirement.
        prices: multipliers of the requirements.
        residual: KKT residual relative to the gradient's size, or to `LEAST_SLOPE`.
        iterations: steps in all stages.
        stalled: whether no step gained.
    """

    point: Float[Array, " n"]
    value: Float[Array, ""]
    unmet: Float[Array, ""]
    prices: Float[Array, " requirement"]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]
    stalled: Bool[Array, ""]

    def outcome(self) -> Outcome:
        """Why this run ended."""
        finite = math.isfinite(self.value) and math.isfinite(self.residual)
        if finite and self.unmet > TOLERANCE:
            return Outcome.UNMET
        if finite and self.residual <= TOLERANCE:
            return Outcome.CONVERGED
        return Outcome.STALLED if self.stalled or not finite else Outcome.ITERATION_LIMIT


@eqx.filter_jit
def maximise(
    program: AbstractProgram,
    starts: Float[Array, "start n"],
    polytope: Polytope,
    prices: Array,
    *,
    stages: int,
    first: int = 0,
) -> Solution:
    """Local maxima of the program over the polytope, one run per start, all at once.

    Args:
        program: objective and requirements.
        starts: first points, within the polytope.
        polytope: the linear constraints.
        prices: first guess of the requirements' multipliers, (requirement,).
        stages: of annealing in all.
        first: the stage to begin with.
    """
    return _maximised(program, starts, polytope, prices, stages, first)


@eqx.filter_jit
def maximise_each(
    programs: AbstractProgram, starts: Array, polytopes: Polytope, prices: Array, *, stages: int, first: int = 0
) -> Solution:
    """The same for several programs of one structure at once: every array has the program as first axis."""

    def one(program: AbstractProgram, starts: Array, polytope: Polytope, prices: Array) -> Solution:
        return _maximised(program, starts, polytope, prices, stages, first)

    return eqx.filter_vmap(one)(programs, starts, polytopes, prices)


def _maximised(
    program: AbstractProgram, starts: Array, polytope: Polytope, prices: Array, stages: int, first: int
) -> Solution:
    def run(start: Array) -> Solution:
        at = _begun(start, prices)

        def next_stage(at: _State, stage: Array) -> tuple[_State, None]:
            return _climbed(program.cooled(stage), at, polytope), None

        return jax.lax.scan(next_stage, at, jnp.arange(first, stages))[0].solution

    # Side by side, all branches are taken and all runs are as long as the longest: of large programs that costs more than
    # one after another.
    if starts.shape[0] == 1:
        return jax.tree.map(lambda leaf: leaf[None], run(starts[0]))
    return jax.lax.map(run, starts) if starts.shape[1] > _LARGE else jax.vmap(run)(starts)


class _State(NamedTuple):
    solution: Solution
    penalty: Float[Array, ""]
    reach: Float[Array, ""]
    """Furthest that one number may move in the next step."""
    best: Float[Array, ""]
    """Smallest residual so far, and for how many steps it has not fallen."""
    waited: Int[Array, ""]
    done: Bool[Array, ""]


def _begun(start: Array, prices: Array) -> _State:
    far, no = jnp.full((), jnp.inf, start.dtype), jnp.zeros((), bool)
    solution = Solution(start, -far, far, prices, far, jnp.zeros((), int), no)
    return _State(solution, jnp.zeros_like(far), jnp.full_like(far, _REACH), far, jnp.zeros((), int), no)


def _climbed(program: AbstractProgram, at: _State, polytope: Polytope) -> _State:
    """One stage: steps until the residual is as small as it gets."""
    began, before = at.solution.iterations, at.solution
    no = jnp.zeros((), bool)
    # What a warmer stage could not meet, a colder one may: prices of the attempt mean nothing then.
    known = jnp.isinf(before.unmet) | (before.unmet <= TOLERANCE)
    fresh = at._replace(
        solution=before._replace(stalled=no, prices=jnp.where(known, before.prices, 0.0)),
        penalty=jnp.where(known, 2.0 * jnp.max(jnp.abs(before.prices), initial=0.0), 0.0),
        reach=jnp.where(known, at.reach, _REACH),
        best=jnp.full_like(at.best, jnp.inf),
        waited=jnp.zeros((), int),
        done=no,
    )

    def going(state: _State) -> Array:
        return ~state.done & (state.solution.iterations - began < MAX_ITERATIONS)

    return jax.lax.while_loop(going, lambda state: _stepped(program, state, polytope), fresh)


def _stepped(program: AbstractProgram, state: _State, polytope: Polytope) -> _State:
    at = state.solution
    found = program.derivatives(at.point, at.prices)
    size = jnp.max(jnp.abs(jnp.where(polytope.free, found.gradient, 0.0)), initial=0.0)
    model = _positive(-found.hessian, at.point, polytope, size)
    penalty = jnp.maximum(state.penalty, jnp.where(size > 0, size, 1.0) * 10.0)
    all_ways = polytope.moved(at.point)
    near = all_ways._replace(lower=jnp.maximum(all_ways.lower, -state.reach), upper=jnp.minimum(all_ways.upper, state.reach))
    way = _elastic_step(found, model, near, penalty)
    # Where the reach ends is no bound.
    way = way._replace(
        at_lower=way.at_lower & (all_ways.lower >= -state.reach), at_upper=way.at_upper & (all_ways.upper <= state.reach)
    )
    prices = way.row_price[-len(found.met) :] if len(found.met) else at.prices
    target = landing(at.point, way, polytope)
    step = target - at.point
    # Where requirements cannot be met, their prices are the penalty itself, which would grow without end.
    penalty = jnp.clip(2.0 * jnp.max(jnp.abs(prices), initial=0.0), penalty, jnp.maximum(penalty, _DEAREST * size))
    promised = found.gradient @ step - 0.5 * step @ model @ step
    promised += penalty * (_shortfall(found.met) - _shortfall(found.met + found.jacobian @ step))
    # Small slopes alone prove nothing where the model is flat: what the step promises must be small as well.
    bent = jnp.max(jnp.abs(model @ step), initial=0.0)
    residual = jnp.maximum(bent, jnp.abs(promised)) / jnp.maximum(size, LEAST_SLOPE)
    point, value, met, part = _searched(program, at.point, step, target, found, penalty, promised)
    gained = part > 0
    waited = jnp.where(residual < 0.5 * state.best, 0, state.waited + 1)
    known = jnp.isfinite(residual) & jnp.isfinite(found.value)
    settled = (residual <= _AIM) & (_missed(found.met) <= _AIM)
    # Nothing can be gained any more: what remains is rounding, or a program that is not smooth.
    stuck = ~gained | ((waited >= _PATIENCE) & (residual <= TOLERANCE))
    done = settled | stuck | ~known
    moved = at._replace(
        point=jnp.where(gained, point, at.point),
        value=jnp.where(gained, value, found.value),
        unmet=jnp.where(gained, _missed(met), _missed(found.met)),
        prices=jnp.where(known, prices, at.prices),
        residual=jnp.where(known, residual, jnp.nan),
        iterations=at.iterations + 1,
        stalled=done & ~(residual <= TOLERANCE),
    )
    longest = jnp.max(jnp.abs(step), initial=0.0)
    reach = jnp.where(part == 1.0, jnp.maximum(state.reach, 4.0 * longest), jnp.maximum(2.0 * part * longest, _SHORTEST))
    return _State(moved, penalty, reach, jnp.minimum(state.best, residual), waited, done)


def _elastic_step(found: Derivatives, model: Array, polytope: Polytope, penalty: Array):
    """The step of the quadratic model; requirements that cannot be met at once are missed by as little as pays."""
    count = len(found.met)
    if not count:
        return solve_quadratic(model, found.gradient, polytope)
    ridge = jnp.max(jnp.abs(jnp.diag(model))) * 1e-8
    hessian = jax.scipy.linalg.block_diag(model, ridge * jnp.eye(count))
    slope = jnp.concatenate([found.gradient, jnp.full(count, -1.0) * penalty])
    number = len(found.gradient)
    wide = polytope._replace(
        lower=jnp.concatenate([polytope.lower, jnp.zeros(count)]),
        upper=jnp.concatenate([polytope.upper, jnp.full(count, _ELASTIC)]),
        rows=jnp.concatenate(
            [
                jnp.pad(polytope.rows, ((0, 0), (0, count))),
                jnp.concatenate([-found.jacobian, -jnp.eye(count)], axis=1),
            ]
        ),
        limits=jnp.concatenate([polytope.limits, found.met]),
        equalities=jnp.pad(polytope.equalities, ((0, 0), (0, count))),
        free=jnp.concatenate([polytope.free, jnp.ones(count, bool)]),
    )
    way = solve_quadratic(hessian, slope, wide)
    return way._replace(step=way.step[:number], at_lower=way.at_lower[:number], at_upper=way.at_upper[:number])


def _searched(program, point, step, target, found, penalty, promised):
    """The longest of the halved steps that gains enough: point, value, requirements, and which part it is, 0 for none."""
    before = found.value - penalty * _shortfall(found.met)

    def tried(size: Array) -> tuple[Array, Array, Array, Array]:
        reached = jnp.where(size == 1.0, target, point + size * step)
        value, met = program.value(reached)
        gain = value - penalty * _shortfall(met) - before
        drowned = jnp.abs(gain) <= _NOISE * jnp.abs(before)
        return reached, value, met, (gain >= _ARMIJO * size * promised) | (drowned & (size == 1.0))

    def going(carry: tuple[Array, ...]) -> Array:
        size, *_, enough = carry
        return ~enough & (size > _SHORTEST)

    def halved(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        size = 0.5 * carry[0]
        return size, *tried(size)

    none = (point, found.value, found.met, jnp.zeros((), bool))
    two = jnp.full((), 2.0, point.dtype)
    size, reached, value, met, enough = jax.lax.while_loop(going, halved, (two, *none))
    return reached, value, met, jnp.where(enough & jnp.isfinite(value), size, 0.0)


def _positive(matrix: Array, point: Array, polytope: Polytope, size: Array) -> Array:
    """A positive definite matrix that is the given one where steps are free to go, or has its absolute eigenvalues.

    Across the equalities no step is taken, and across constraints that bind few are: curvature may be added there. So an
    objective that bends upwards along the total only, as a probability does, keeps its exact curvature elsewhere, and the
    last steps are Newton's.
    """
    free, count = polytope.free, len(polytope.free)
    floor = jnp.where(size > 0, _FLAT * size, 1.0)
    matrix = jnp.where(free[:, None] & free[None, :], matrix, 0.0) + floor * jnp.eye(count)
    much = 10.0 * jnp.max(jnp.abs(matrix), initial=0.0)
    across = jnp.where(free, polytope.equalities, 0.0)
    along_total = matrix + much * across.T @ across
    tight = jnp.where((polytope.rows @ point >= polytope.limits - _TIGHT)[:, None] & free, polytope.rows, 0.0)
    at_bound = (point <= polytope.lower + _TIGHT) | (point >= polytope.upper - _TIGHT)
    inside = along_total + much * (tight.T @ tight + jnp.diag(at_bound.astype(point.dtype)))

    def bent(matrix: Array) -> Array:
        values, vectors = jnp.linalg.eigh(matrix)
        return (vectors * jnp.maximum(jnp.abs(values), floor)) @ vectors.T

    candidates = jnp.stack([matrix, along_total, inside])
    sound = jax.vmap(_is_positive)(candidates)
    return jax.lax.cond(sound.any(), lambda: candidates[jnp.argmax(sound)], lambda: bent(matrix))


def _is_positive(matrix: Array) -> Array:
    return jnp.isfinite(jax.scipy.linalg.cholesky(matrix, lower=True)).all()


def _shortfall(met: Array) -> Array:
    return jnp.maximum(-met, 0.0).sum()


def _missed(met: Array) -> Array:
    return jnp.max(jnp.maximum(-met, 0.0), initial=0.0)
