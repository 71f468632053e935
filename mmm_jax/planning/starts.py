"""First plans for the solver: where a search for the best of several local optima begins."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.fitting.keys import as_generator
from mmm_jax.planning.costs import in_currency
from mmm_jax.planning.decided import DecidedResponse
from mmm_jax.planning.problem import Problem
from mmm_jax.planning.quadratic import Polytope, project

FEW_STARTS, MANY_STARTS, STARTS_OF_LARGE = 4, 32, 12
"""By default: where curves are concave but the objective or a target is not; where curves are not; there, of large plans."""

_LARGE = 32
"""Numbers that a large plan has more of."""

_KINDS = ((False, 0.3), (True, 20.0), (False, 1.0), (True, 1.0))
"""Random starts: whether on some channels only, and how even (concentration of a Dirichlet distribution)."""

_LEVELS = 40
"""Steps of the total that the search over channels is made in."""


def default_starts(problem: Problem) -> int:
    """How many starts are worth their time; one where no local optima can differ."""
    if problem.concave():
        return 1
    if problem.concave_curves:
        return FEW_STARTS
    return MANY_STARTS if problem.decisions.count <= _LARGE else STARTS_OF_LARGE


def starts(problem: Problem, response: DecidedResponse, count: int) -> np.ndarray:
    """First points within the problem's polytope, (start, number), in the solver's unit.

    A point well inside; the usual mix of channels; the least spend; the best division among channels on a grid, where their
    effects were independent; then random ones, many of which spend much on few.

    Args:
        problem: the problem laid out.
        response: of some draws.
        count: how many.
    """
    polytope = problem.feasible.polytope
    first = [problem.feasible.inner]
    if count > 1:
        first += [_usual(problem), polytope.lower, _divided(problem, response)]
    rng = as_generator(problem.statement.key)
    groups, most = problem.decisions.channel_of, len(polytope.lower)
    random = [_random(rng, groups, kind=number % len(_KINDS)) * most for number in range(max(count - len(first), 0))]
    wanted = np.stack([*first, *random])[:count]
    if count == 1:
        return wanted
    return projected(wanted, polytope)


def projected(points: np.ndarray, polytope: Polytope) -> np.ndarray:
    """The nearest points of the polytope."""
    return np.asarray(_projected(jnp.asarray(points), jax.tree.map(jnp.asarray, polytope)))


@eqx.filter_jit
def _projected(points: Float[Array, "start n"], polytope: Polytope) -> Float[Array, "start n"]:
    return jax.vmap(lambda point: project(point, polytope))(points)


def _usual(problem: Problem) -> np.ndarray:
    """Spend in the proportions of the training rows."""
    decisions = problem.decisions
    spent = in_currency(problem.markets.usual(), problem.units_per_currency)
    usual = np.broadcast_to(spent[..., None], decisions.shares.shape)
    amounts = np.bincount(decisions.index.ravel(), usual.ravel(), minlength=decisions.count)
    return amounts / max(amounts.sum(), 1e-300) * problem.reference / problem.feasible.unit


def _random(rng: np.random.Generator, groups: np.ndarray, *, kind: int) -> np.ndarray:
    """Shares of the whole plan: uneven ones of all numbers, or of those of some channels only."""
    by_channel, concentration = _KINDS[kind]
    alive = np.ones(len(groups), bool)
    if by_channel:
        alive = np.isin(groups, rng.permutation(groups.max() + 1)[: rng.integers(1, groups.max() + 2)])
    shares = np.zeros(len(groups))
    shares[alive] = rng.dirichlet(np.full(alive.sum(), concentration))
    return shares


def _divided(problem: Problem, response: DecidedResponse) -> np.ndarray:
    """The best division of the total among channels in steps, by dynamic programming over their own mean responses."""
    decisions, unit = problem.decisions, problem.feasible.unit
    channel = decisions.index.shape[1]
    belongs = np.stack([decisions.gathered(_one(decisions.shares.shape, c)) for c in range(channel)])
    spread = belongs / belongs.sum(axis=1, keepdims=True)
    grid = np.linspace(0.0, problem.reference, _LEVELS + 1)
    plans = np.minimum(grid[None, :, None] * spread[:, None], problem.feasible.polytope.upper * unit)
    gains = np.asarray(_means(response, jnp.asarray(plans.reshape(-1, decisions.count)))).reshape(channel, -1)
    best, chosen = np.zeros(_LEVELS + 1), np.zeros((channel, _LEVELS + 1), int)
    for c in range(channel):
        table = np.full((_LEVELS + 1, _LEVELS + 1), -np.inf)
        for steps in range(_LEVELS + 1):
            table[steps:, steps] = best[: _LEVELS + 1 - steps] + gains[c, steps]
        chosen[c], best = table.argmax(axis=1), table.max(axis=1)
    left, amounts = _LEVELS, np.zeros(decisions.count)
    for c in reversed(range(channel)):
        amounts += plans[c, chosen[c, left]]
        left -= chosen[c, left]
    return amounts / unit


def _one(shape: tuple[int, ...], channel: int) -> np.ndarray:
    cells = np.zeros(shape)
    cells[:, channel] = 1.0
    return cells


@eqx.filter_jit
def _means(response: DecidedResponse, plans: Float[Array, "plan number"]) -> Float[Array, " plan"]:
    return jax.lax.map(lambda amounts: response(amounts).mean(), plans)
