"""A found plan as people see it: spend and response with labels, and how sure the objective is."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from mmm_jax.planning.allocation import Allocation, Value
from mmm_jax.planning.certificate import Certificate
from mmm_jax.planning.extrapolation import extrapolation
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.problem import Problem
from mmm_jax.planning.search import Found

RESAMPLES = 100
"""Of the draws, for the Monte Carlo error of the objective."""


def reported(problem: Problem, found: Found, certificate: Certificate) -> Allocation:
    """The plan with labels. Call it in double precision."""
    spend = problem.decisions.spend(found.amounts)
    response = problem.respond(spend)
    bounds = _bounds(problem)
    return Allocation(
        spend=spend,
        response=response["total"],
        channel_response=response["by_channel"],
        certificate=certificate,
        lower=bounds["lower"],
        upper=bounds["upper"],
        value=_value(problem, found, np.ravel(response["total"].to_numpy())),
        extrapolation=extrapolation(problem, spend),
        problem=problem,
        amounts=found.amounts,
    )


def _bounds(problem: Problem) -> xr.Dataset:
    """Bounds of each channel's spend, the tightest: what its numbers' add up to, its `bounds`, and the whole plan."""
    system, decisions = problem.feasible.system, problem.decisions
    upper = np.where(np.isfinite(system.box_upper), system.box_upper, np.inf)
    table = xr.Dataset({"lower": decisions.labelled(system.box_lower), "upper": decisions.labelled(upper)})
    table = table.sum([name for name in table.dims if name != "channel"])
    factor = decisions.shares.shape[2] if problem.statement.per == "period" else 1.0
    low, high = table["lower"].to_numpy().copy(), table["upper"].to_numpy().copy()
    for channel, (least, most) in (problem.statement.bounds or {}).items():
        place = decisions.channels.index(channel)
        low[place], high[place] = max(low[place], factor * least), min(high[place], factor * most)
    coords = {"channel": list(decisions.channels)}
    most = problem.reference if problem.statement.total is not None else np.inf
    return xr.Dataset({"lower": ("channel", low), "upper": ("channel", np.minimum(high, most))}, coords=coords)


def _value(problem: Problem, found: Found, told: np.ndarray) -> Value:
    """The objective over the draws that tell the response, and over those that the plan was found on."""
    stated, spend = problem.statement.objective, float(found.amounts.sum())
    name = type(stated).__name__ if stated else "MeanResponse"
    objective = problem.over_draws(problem.objective, problem.reported)
    value, error = _measured(objective, told, spend)
    if np.array_equal(problem.draws, problem.reported):
        return Value(name, value, error, value, error, same_draws=True)
    point = jnp.asarray(found.amounts / problem.feasible.unit)
    made = np.asarray(_responses(found.program, point))
    return Value(name, value, error, *_measured(found.program.objective, made, spend), same_draws=False)


@eqx.filter_jit
def _responses(program: Any, point: Any) -> Any:
    return program.response(program.unit * point)


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
