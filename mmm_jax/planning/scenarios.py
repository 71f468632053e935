"""Plans side by side, and how much a plan would gain if its bounds were wider."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.fitting.labels import interval
from mmm_jax.planning.allocation import Allocation, Spend
from mmm_jax.planning.constraints import AbstractConstraint, Box, Group, Ratio, Step, Total
from mmm_jax.planning.extrapolation import extrapolation
from mmm_jax.planning.optimize import solved
from mmm_jax.planning.problem import Problem, Statement, restated
from mmm_jax.planning.scope import planning_scope


def compare_plans(plan: Allocation, others: Mapping[str, Allocation | Spend], *, prob: float = 0.9) -> Any:
    """The plan and other ones over the same horizon, one row each (pandas).

    Args:
        plan: the first row, which all others are compared with.
        others: by name: plans, or spend as `Allocation.compare` takes it.
        prob: probability of the intervals.

    Returns:
        `spend`; `response` with `lower`, `upper`; `roas`; `difference` from the first plan with `difference_lower`,
        `difference_upper`; `probability_better` than the first; `beyond_observed`: channels that spend more in a period
        than was ever observed.

    Raises:
        PlanError: spend that does not match the plan's channels or dates.
    """
    rows = {"plan": plan.spend} | {name: _spend(plan, other) for name, other in others.items()}
    if len(rows) != 1 + len(others):
        raise PlanError("The name 'plan' is the first plan's own: give the other another name.")
    found = [_row(plan, spend, prob) for spend in rows.values()]
    columns = {name: ("scenario", [row[name] for row in found]) for name in found[0]}
    return xr.Dataset(columns, coords={"scenario": list(rows)}).to_dataframe()


def _spend(plan: Allocation, other: Allocation | Spend) -> xr.DataArray:
    return plan.aligned(other.spend if isinstance(other, Allocation) else other)


def _row(plan: Allocation, spend: xr.DataArray, prob: float) -> dict[str, Any]:
    response = plan.respond(spend)["total"]
    difference = response - plan.response
    told, gained = interval(response, prob), interval(difference, prob)
    beyond = extrapolation(plan.problem, spend)["beyond"]
    total = float(spend.sum())
    return {
        "spend": total,
        "response": float(told["mean"]),
        "lower": float(told["lower"]),
        "upper": float(told["upper"]),
        "roas": float(told["mean"]) / total if total > 0 else np.nan,
        "difference": float(gained["mean"]),
        "difference_lower": float(gained["lower"]),
        "difference_upper": float(gained["upper"]),
        "probability_better": float((difference > 0).mean()),
        "beyond_observed": int(beyond.sum()),
    }


def bound_sensitivity(plan: Allocation, *, change: float = 0.1) -> Any:
    """What each bound costs: the plan solved anew with one of them wider at a time, one row each (pandas).

    Args:
        plan: the plan.
        change: by which share a bound is widened: upper ones up, lower ones down; a total is raised.

    Returns:
        By the constraint's label: `shadow_price`; `gain`: of the objective with the wider bound; `spend`: the new plan's.
    """
    if not (np.isfinite(change) and change > 0):
        raise PlanError(f"`change` must be positive, got {change!r}.")
    rows: dict[str, dict[str, float]] = {}
    with planning_scope():
        for label, statement in _widened(plan.problem, change):
            try:
                wider = solved(restated(plan.problem, **statement), plan.amounts)
            except InfeasibleError:
                continue
            rows[label] = {
                "shadow_price": plan.certificate.shadow_prices.get(label, np.nan),
                "gain": wider.value.value - plan.value.value,
                "spend": wider.total,
            }
    names = ("shadow_price", "gain", "spend")
    columns = {name: ("constraint", [row[name] for row in rows.values()]) for name in names}
    return xr.Dataset(columns, coords={"constraint": list(rows)}).to_dataframe()


def _widened(problem: Problem, change: float) -> list[tuple[str, dict[str, Any]]]:
    """Every bound of the statement, and the statement's part in which it is wider."""
    statement = problem.statement
    found = [*_wider_total(statement, problem, change)]
    for channel, (low, high) in (statement.bounds or {}).items():
        wider = {**(statement.bounds or {}), channel: (low * (1 - change), high * (1 + change))}
        found.append((f"the bounds of {channel!r}", {"bounds": wider}))
    for place, constraint in enumerate(statement.constraints):
        if isinstance(constraint, AbstractConstraint) and (wider := _wider(constraint, change)) is not None:
            others = list(statement.constraints)
            label = constraint.rows(problem.decisions, problem.markets.last()).label
            others[place] = replace(wider, label=label)  # pyright: ignore[reportArgumentType]
            found.append((label, {"constraints": tuple(others)}))
    return found


def _wider_total(statement: Statement, problem: Problem, change: float) -> list[tuple[str, dict[str, Any]]]:
    total = statement.total
    if total is None:
        return []
    factor = len(problem.markets.dates) if statement.per == "period" and not isinstance(total, Total) else 1.0
    given = total if isinstance(total, Total) else Total(float(total) * factor)
    label = given.rows(problem.decisions, problem.markets.last()).label
    return [(label, {"total": replace(given, amount=given.amount * (1 + change), label=label)})]


def _wider(constraint: AbstractConstraint, change: float) -> AbstractConstraint | None:
    if isinstance(constraint, (Box, Group, Ratio)):
        return replace(constraint, lower=constraint.lower * (1 - change), upper=constraint.upper * (1 + change))
    if isinstance(constraint, Step):
        return replace(constraint, up=constraint.up * (1 + change), down=constraint.down * (1 + change))
    return None
