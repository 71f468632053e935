"""A found plan as people see it: spend and response with labels, and how sure the objective is."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mmm_jax.planning.allocation import Allocation, Value
from mmm_jax.planning.certificate import Certificate
from mmm_jax.planning.decided import DecidedResponse
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.problem import Problem
from mmm_jax.planning.search import Found

RESAMPLES = 100
"""Of the draws, for the Monte Carlo error of the objective."""


def reported(problem: Problem, found: Found, certificate: Certificate) -> Allocation:
    """The plan with labels. Call it in double precision."""
    return Allocation(
        spend=problem.decisions.spend(found.amounts),
        certificate=certificate,
        value=_value(problem, found),
        problem=problem,
        amounts=found.amounts,
    )


def _value(problem: Problem, found: Found) -> Value:
    """The objective over the draws that tell the response, and over those that the plan was found on."""
    stated, spend = problem.statement.objective, float(found.amounts.sum())
    name, amounts = type(stated).__name__ if stated else "MeanResponse", jnp.asarray(found.amounts)
    made = _measured(found.program.objective, _responses(found.program.response, amounts), spend)
    if np.array_equal(problem.draws, problem.reported):
        return Value(name, *made, *made, same_draws=True)
    told = np.ravel(problem.respond(problem.decisions.spend(found.amounts))["total"].to_numpy())
    objective = problem.over_draws(problem.objective, problem.reported)
    return Value(name, *_measured(objective, told, spend), *made, same_draws=False)


@eqx.filter_jit
def _response(response: DecidedResponse, amounts: Any) -> Any:
    return response(amounts)


def _responses(response: DecidedResponse, amounts: Any) -> np.ndarray:
    return np.asarray(_response(response, amounts))


def _measured(objective: AbstractObjective, responses: np.ndarray, spend: float) -> tuple[float, float]:
    """The objective and the standard deviation that it has over resampled draws.

    Draws are taken as independent: of a chain with much autocorrelation the error is larger, by the root of draws over
    effective draws.
    """
    count, cost = len(responses), jnp.asarray(spend)
    value = float(_over(objective, jnp.asarray(responses)[None], cost)[0])
    if objective.linear:
        apart = _over(objective, jnp.asarray(responses)[:, None], cost)
        return value, float(np.std(apart) / np.sqrt(count))
    rows = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    held = jax.tree.map(lambda leaf: leaf[rows] if leaf.shape == (count,) else leaf, objective)
    axes = jax.tree.map(lambda leaf: 0 if leaf.ndim == 2 else None, held)
    return value, float(np.std(_over(held, jnp.asarray(responses[rows]), cost, axes)))


def _over(objective: AbstractObjective, responses: Any, spend: Any, axes: Any = None) -> np.ndarray:
    return np.asarray(_over_rows(objective, responses, spend, axes))


@eqx.filter_jit
def _over_rows(objective: AbstractObjective, responses: Any, spend: Any, axes: Any) -> Any:
    return jax.vmap(lambda held, row: held(row, spend, None), in_axes=(axes, 0))(objective, responses)
