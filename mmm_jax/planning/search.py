"""From a problem to its best plan: all starts on a few draws, the best of them on all draws; one problem or many at once."""

from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mmm_jax.fitting.keys import as_generator
from mmm_jax.planning.moves import MOST_MOVES, moves
from mmm_jax.planning.problem import Problem
from mmm_jax.planning.program import STAGES, PlanProgram
from mmm_jax.planning.quadratic import Polytope
from mmm_jax.planning.solver import TOLERANCE, Solution, maximise
from mmm_jax.planning.starts import default_starts, projected, starts
from mmm_jax.planning.targets import PlanRequirement

EXPLORED = 256
"""Draws that the starts are run on, where there are more than twice as many."""

_CORRECTIONS = 6
"""Times that the level of a kinked target is moved, since the solver sees its smooth version."""
_TO_SPARE = 1e-7
"""What a kinked target that binds may have to spare, relative to its magnitude."""
_ROUNDS = 12
"""Of changes to the best plan, where local optima may differ; they end earlier after so many without a better one."""
_PATIENCE = 3
_BETTER = 1e-8
"""Relative gain that calls for another round."""
_RUNNERS_UP = 8
"""Best ends on a few draws that are measured on all of them."""
_FINALISTS = 2
"""Best ends on a few draws that are run on all draws."""
_SAME_VALUE = 1e-9
"""Objectives that are closer than this, relatively, are of the same optimum."""


@dataclass(frozen=True, eq=False)
class Found:
    """The best plan of a search.

    Attributes:
        program: over all draws that the plan is made from, with the levels of kinked targets as the run saw them.
        solution: the best run.
        amounts: currency by number; on a bound, the bound as it was given.
        missed: most that a target is missed by, exactly and relative to its magnitude.
        start_values: exact objective that each start arrived at.
        concave: whether no other plan can be better.
    """

    program: PlanProgram
    solution: Solution
    amounts: np.ndarray
    missed: float
    start_values: tuple[float, ...]
    concave: bool


@dataclass(frozen=True, eq=False)
class Prepared:
    """A problem ready to be run.

    Attributes:
        program: over all draws that the plan is made from.
        explored: over a few of them, or the same.
        polytope: as JAX arrays.
        begin: first points, (start, number).
        stages: of annealing.
        concave: whether one start is enough.
    """

    problem: Problem
    program: PlanProgram
    explored: PlanProgram
    polytope: Polytope
    begin: np.ndarray
    stages: int
    concave: bool

    @property
    def last_stages(self) -> int:
        """The stage that runs on all draws begin with."""
        return max(0, self.stages - 3)


def search(problem: Problem, warm: np.ndarray | None = None) -> Found:
    """The best plan. Call it in double precision.

    Args:
        problem: the problem laid out.
        warm: amounts to begin with, currency by number: instead of the starts where the problem is concave or `num_starts`
            is 1, else beside them.
    """
    at = prepare(problem, warm)
    ends = _run(at.explored, at.begin, at.polytope, stages=at.stages)
    values = exact_values(at.program, ends.point)
    if not problem.concave_curves and len(at.begin) > 1:
        ends = _improved(problem, at.explored, ends, at.polytope, at.stages)
    if at.explored is not at.program:
        ends = _finished(at, ends)
    return concluded(at, ends, values)


def prepare(problem: Problem, warm: np.ndarray | None = None) -> Prepared:
    """Programs and starts of a problem; see `search`."""
    concave = problem.concave()
    count = problem.statement.num_starts or default_starts(problem)
    few = _thinned(problem.draws)
    explored = program_of(problem, few)
    program = explored if few is problem.draws else _over(explored, problem, problem.draws)
    begin = _first(problem, explored, count, warm)
    polytope = jax.tree.map(jnp.asarray, problem.feasible.polytope)
    stages = 1 if program.temperatures is None else len(STAGES)
    return Prepared(problem, program, explored, polytope, begin, stages, concave)


def concluded(at: Prepared, ends: Solution, values: np.ndarray) -> Found:
    """The best of the ends, with kinked targets met exactly.

    Args:
        at: the problem.
        ends: of runs on all draws.
        values: exact objective of every start's end.
    """
    program, best = _corrected(at, _best(ends))
    amounts = _amounts(at.problem, np.asarray(best.point))
    missed = missed_by(at.program, best.point)
    return Found(program, best, amounts, missed, _values(values, program, best), at.concave)


def _first(problem: Problem, explored: PlanProgram, count: int, warm: np.ndarray | None) -> np.ndarray:
    """Where the runs begin, (start, number)."""
    polytope = problem.feasible.polytope
    given = [] if warm is None else [projected(warm[None] / problem.feasible.unit, polytope)]
    made = [] if given and count == 1 else [starts(problem, explored.response, count)]
    return np.concatenate([*made, *given])


def _improved(problem: Problem, program: PlanProgram, ends: Solution, polytope: Polytope, stages: int) -> Solution:
    """Ends of further rounds, each begun at promising changes of the best plan so far, until none is better."""
    rng, count = as_generator(problem.statement.key), len(ends.value)
    groups = problem.decisions.channel_of
    waited = 0
    for _ in range(_ROUNDS):
        best = _best(ends)
        free = np.asarray(problem.feasible.polytope.free)
        tried, kinds = moves(rng, np.asarray(best.point), free, groups)
        begin = projected(_promising(program, tried, kinds, count), problem.feasible.polytope)
        further = _run(program, begin, polytope, stages=stages)
        ends = jax.tree.map(lambda one, other: np.concatenate([one, other]), ends, further)
        waited = 0 if _best(further).value > best.value + _BETTER * abs(best.value) else waited + 1
        if waited == _PATIENCE:
            break
    return ends


def _promising(program: PlanProgram, tried: np.ndarray, kinds: np.ndarray, count: int) -> np.ndarray:
    """Those that look best as they are, of every kind in turn: their ends may be better than they look."""
    values = exact_values(program, np.resize(tried, (MOST_MOVES, tried.shape[1])))[: len(tried)]
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf))
    turn = np.zeros(len(order), int)
    for kind in np.unique(kinds):
        turn[kinds[order] == kind] = np.arange((kinds == kind).sum())
    chosen = order[np.argsort(turn, kind="stable")]
    return np.resize(tried[chosen], (count, tried.shape[1]))


def _finished(at: Prepared, ends: Solution) -> Solution:
    """The best ends on a few draws, run on all of them."""
    order = _ranked(np.asarray(ends.value), ends)[:_RUNNERS_UP]
    if len(order) > 1:
        order = order[np.argsort(-np.nan_to_num(exact_values(at.program, ends.point[order]), nan=-np.inf))]
    finalists, prices = order[:_FINALISTS], _known_prices(ends.prices[order[0]], ends.unmet[order[0]])
    return _run(at.program, ends.point[finalists], at.polytope, stages=at.stages, first=at.last_stages, prices=prices)


def program_of(problem: Problem, draws: np.ndarray) -> PlanProgram:
    """The solver's view of the problem over some draws."""
    response = problem.response(draws)
    requirements = problem.requirements(response, draws)
    objective = problem.over_draws(problem.objective, draws)
    kinked = objective.kinked or any(isinstance(r, PlanRequirement) and r.measure.kinked for r in requirements)
    one, scales = jnp.ones(()), jnp.ones(len(requirements))
    warm = jnp.asarray(STAGES) if kinked else None
    program = PlanProgram(response, objective, requirements, jnp.asarray(problem.feasible.unit), one, scales, warm)
    return _sized(program, jnp.asarray(problem.feasible.inner))


@eqx.filter_jit
def _sized(program: PlanProgram, point: Any) -> PlanProgram:
    """The program in units in which slopes are of the order of 1."""
    responses = program.response(program.unit * point)
    spread = jnp.maximum(responses.std(), 1e-9 * jnp.abs(responses).mean())
    temperatures = None if program.temperatures is None else program.temperatures * spread
    size = jnp.maximum(jnp.abs(responses.mean()), jnp.finfo(responses.dtype).tiny)
    scales = jnp.asarray([requirement.magnitude(size) for requirement in program.requirements]).reshape(-1)
    warm = replace(program, temperatures=temperatures, target_scales=scales)
    warm = warm.cooled(jnp.zeros((), int))

    def value(point: Any) -> Any:
        return warm.value(point)[0]

    slope = jnp.max(jnp.abs(jax.grad(value)(point)))
    scale = jnp.where(jnp.isfinite(slope) & (slope > 0), slope, 1.0)
    return replace(program, temperatures=temperatures, target_scales=scales, scale=scale)


def _thinned(draws: np.ndarray) -> np.ndarray:
    if len(draws) <= 2 * EXPLORED:
        return draws
    return draws[np.linspace(0, len(draws) - 1, EXPLORED).round().astype(int)]


def _over(program: PlanProgram, problem: Problem, draws: np.ndarray) -> PlanProgram:
    """The program over other draws, in the same units."""
    response = problem.response(draws)
    objective = problem.over_draws(problem.objective, draws)
    return replace(program, response=response, objective=objective, requirements=problem.requirements(response, draws))


def _run(
    program: PlanProgram, begin: Any, polytope: Polytope, *, stages: int, first: int = 0, prices: Any = None
) -> Solution:
    prices = jnp.zeros(len(program.requirements)) if prices is None else jnp.asarray(prices)
    found = maximise(program, jnp.asarray(begin), polytope, prices, stages=stages, first=first)
    return jax.tree.map(np.asarray, found)


@eqx.filter_jit
def _exact(program: PlanProgram, points: Any) -> Any:
    def value(point: Any) -> Any:
        responses, spend = program.response(program.unit * point), program.unit * point.sum()
        return program.objective(responses, spend, None)

    return jax.lax.map(value, points)


def exact_values(program: PlanProgram, points: Any) -> np.ndarray:
    """The exact objective at every point."""
    return np.asarray(_exact(program, jnp.asarray(points)))


def _ranked(values: np.ndarray, ends: Solution) -> np.ndarray:
    """Runs from the best to the worst: those that meet the targets first."""
    met = np.where(np.isfinite(ends.unmet) & (ends.unmet <= 1e-6), 0.0, ends.unmet)
    known = np.where(np.isfinite(values), values, -np.inf)
    return np.lexsort((-known, np.where(np.isfinite(met), met, np.inf)))


def _best(ends: Solution) -> Solution:
    """The run that arrived highest; of those that differ by rounding alone, the one closest to the conditions."""
    met = np.where(np.isfinite(ends.unmet), ends.unmet, np.inf)
    allowed = met <= max(TOLERANCE, met.min(initial=np.inf))
    value = np.where(allowed & np.isfinite(ends.value), ends.value, -np.inf)
    highest = value >= value.max() - _SAME_VALUE * abs(value.max())
    index = np.argmin(np.where(highest & np.isfinite(ends.residual), ends.residual, np.inf))
    return jax.tree.map(lambda values: values[index], ends)


def _corrected(at: Prepared, best: Solution) -> tuple[PlanProgram, Solution]:
    """The run in which kinked targets are met exactly, with nothing to spare where they bind.

    The solver sees their smooth version, which asks for more than the exact one, or for less: its level is moved by what is
    missed or left over. Of the runs, the best one that meets all targets exactly is taken.
    """
    program, kinked = at.program, np.array([_is_kinked(requirement) for requirement in at.program.requirements], bool)
    if not kinked.any():
        return program, best
    tried = [(program, best)]
    for _ in range(_CORRECTIONS):
        spare, smooth = _met_exactly(at.program, best.point), _met_smoothly(program, best.point)
        missed, binds = spare < -TOLERANCE, smooth <= TOLERANCE
        moved = np.where(kinked & (missed | (binds & (spare > _TO_SPARE))), -spare, 0.0)
        if not moved.any():
            break
        program = _raised(program, np.where(moved > 0, 1.01, 1.0) * moved * np.asarray(program.target_scales))
        prices = _known_prices(best.prices, best.unmet)
        ends = _run(program, best.point[None], at.polytope, stages=at.stages, first=at.stages - 1, prices=prices)
        best = jax.tree.map(lambda leaf: leaf[0], ends)
        tried.append((program, best))
    return tried[_ranked_exactly(at.program, [run for _, run in tried])]


def _is_kinked(requirement: Any) -> bool:
    return isinstance(requirement, PlanRequirement) and requirement.measure.kinked


def _ranked_exactly(program: PlanProgram, runs: list[Solution]) -> int:
    """The run with the best exact value among those that meet the targets exactly, or that miss them least."""
    missed = np.array([missed_by(program, run.point) for run in runs])
    # A run that has not come to its end at its own level proves nothing, even if its plan is good.
    arrived = np.array([run.unmet <= TOLERANCE and run.residual <= TOLERANCE for run in runs])
    # One by one: another number of points would be another program.
    values = np.array([exact_values(program, run.point[None])[0] for run in runs])
    met = np.where(missed <= TOLERANCE, 0.0, missed)
    return int(np.lexsort((-np.nan_to_num(values, nan=-np.inf), ~arrived, met))[0])


def _known_prices(prices: Any, unmet: Any) -> Any:
    """Prices to begin the next run with; those of a run that missed its targets are the penalty and mean nothing."""
    return np.where(unmet <= TOLERANCE, prices, 0.0)


def missed_by(program: PlanProgram, point: Any) -> float:
    """Most that a target is missed by, exactly and relative to its magnitude."""
    missed = -_met_exactly(program, point)
    return float(np.where(np.isfinite(missed), missed, np.inf).max(initial=0.0))


def _met_exactly(program: PlanProgram, point: Any) -> np.ndarray:
    """What every target has to spare, exactly and relative to its magnitude, (requirement,)."""
    return _met_smoothly(replace(program, temperatures=None, temperature=None), point)


def _met_smoothly(program: PlanProgram, point: Any) -> np.ndarray:
    """The same as the last stage sees it."""
    if not program.requirements:
        return np.zeros(0)
    last = program if program.temperatures is None else program.cooled(jnp.asarray(len(program.temperatures) - 1))
    return np.asarray(_met(last, jnp.asarray(point)))


@eqx.filter_jit
def _met(program: PlanProgram, point: Any) -> Any:
    return program.value(point)[1]


@eqx.filter_jit
def reached_by(program: PlanProgram, point: Any) -> list[tuple[Any, Any]]:
    """What every target reached, exactly and in its own unit, and how much more of it one more such unit asks for."""
    amounts = program.unit * point
    responses = program.response(amounts)
    return [(one.reached(amounts, responses), one.bound_slope(amounts, responses)) for one in program.requirements]


def _raised(program: PlanProgram, gaps: Any) -> PlanProgram:
    """The program that asks more of kinked targets, each in its own unit."""

    def raised(requirement: Any, gap: Any) -> Any:
        if not isinstance(requirement, PlanRequirement):
            return requirement
        return replace(requirement, level=requirement.level + gap)

    return replace(program, requirements=tuple(map(raised, program.requirements, gaps)))


def _amounts(problem: Problem, point: np.ndarray) -> np.ndarray:
    """Currency by number; on a bound, the bound as it was given."""
    polytope, system, unit = problem.feasible.polytope, problem.feasible.system, problem.feasible.unit
    amounts = point * unit
    top = (
        (point >= polytope.upper) & np.isfinite(system.box_upper) & (polytope.upper * unit >= system.box_upper * (1 - 1e-12))
    )
    amounts = np.where(top, system.box_upper, amounts)
    bottom = (point <= polytope.lower) & (polytope.lower * unit <= system.box_lower + 2e-12 * problem.reference)
    return np.where(bottom, system.box_lower, amounts)


def _values(values: np.ndarray, program: PlanProgram, best: Solution) -> tuple[float, ...]:
    """Values of the starts; that of the best one after the last steps."""
    found = values.copy()
    final = exact_values(program, best.point[None])[0]
    if np.isfinite(final):
        place = int(np.argmax(np.where(np.isfinite(found), found, -np.inf)))
        found[place] = final
    return tuple(found.tolist())
