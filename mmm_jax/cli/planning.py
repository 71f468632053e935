"""A plan's configuration as a problem, its solution, and the comparison with what would be done without it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.cli import pictures
from mmm_jax.cli.config import Config
from mmm_jax.cli.plan_checks import check_plan
from mmm_jax.cli.plan_schema import plan_schema
from mmm_jax.cli.plan_spend import read_reference, read_scenarios
from mmm_jax.cli.plan_statement import Stated, read_statement
from mmm_jax.cli.results import PROB
from mmm_jax.cli.screen import Screen
from mmm_jax.cli.validation import read_config
from mmm_jax.data.calendar import continues
from mmm_jax.errors import PlanError
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.planning.allocation import Allocation, Comparison
from mmm_jax.planning.frontier import Frontier, budget_frontier, goal_seek
from mmm_jax.planning.horizon import horizon_panel
from mmm_jax.planning.optimize import optimize_budget
from mmm_jax.planning.scenarios import bound_sensitivity, compare_plans


@dataclass(frozen=True)
class Problem:
    """What is asked for.

    Attributes:
        config: the file that it comes from.
        stated: what the planner is asked.
        reference: spend over (date, channel) to compare with.
        scenarios: the same, by name.
    """

    config: Config
    stated: Stated
    reference: xr.DataArray
    scenarios: dict[str, xr.DataArray]


@dataclass(frozen=True)
class Planned:
    """The plan beside its reference, and whatever else was asked for.

    Attributes:
        problem: what was asked for.
        plan: the plan.
        comparison: with the reference.
        frontier: plans for other totals.
        scenarios: the plan, the reference and other spend (pandas), one row each.
        sensitivity: what wider bounds would gain (pandas), one row each.
    """

    problem: Problem
    plan: Allocation
    comparison: Comparison
    frontier: Frontier | None = None
    scenarios: Any = None
    sensitivity: Any = None

    @property
    def reference(self) -> xr.DataArray:
        """Spend over (date, channel) that the plan is compared with."""
        return self.problem.reference

    @property
    def asked(self) -> dict[str, Any]:
        """The configuration's values."""
        return self.problem.config.values


def read_problem(path: Path, fit: AnyFit) -> Problem:
    """The planning problem that a configuration states.

    Raises:
        ConfigError: the file is wrong, names what the fit does not have, or dates that do not follow it.
    """
    config = read_config(path, plan_schema())
    dates = _dates(config, fit)
    check_plan(config, fit, dates)
    reference = read_reference(config, fit, dates)
    stated = read_statement(config, fit, dates, reference)
    return Problem(config, stated, reference, read_scenarios(config, fit, dates))


def solve(problem: Problem, fit: AnyFit, screen: Screen) -> Planned:
    """The best plan, and how it compares.

    Raises:
        ConfigError: constraints exclude each other; names one of them, and the others' places.
    """
    with screen.stage("plan", "Planning ..."):
        plan = _plan(problem, fit)
    with screen.stage("compare", "Comparing ..."):
        comparison = plan.compare(problem.reference)
        found = {"scenarios": _scenarios(problem, plan), "sensitivity": _sensitivity(problem, plan)}
    with screen.stage("frontier", "Planning other totals ..."):
        return Planned(problem, plan, comparison, frontier=_frontier(problem, plan, fit), **found)


def save_pictures(
    planned: Planned, folder: Path | None, screen: Screen, *, target: str, reference_name: str = "Reference"
) -> list[Path]:
    """Pictures of the plan, if a folder is given for them."""
    if folder is None:
        return []
    with screen.stage("plots", "Drawing ..."):
        found = planned.plan, planned.reference, planned.comparison
        beside = {"frontier": planned.frontier, "target": target, "reference_name": reference_name}
        return pictures.save_plan_pictures(*found, folder, **beside)


def save_files(planned: Planned, screen: Screen, *, csv: Path | None, page: Path | None, target: str) -> list[Path]:
    """The plan as a table with one row per number that is decided, and as a web page, if files are given for them."""
    if csv is not None:
        planned.plan.cells_to_frame().to_csv(csv, index=False)
    return ([] if csv is None else [csv]) + _save_page(planned, page, screen, target=target)


def _save_page(planned: Planned, path: Path | None, screen: Screen, *, target: str) -> list[Path]:
    if path is None:
        return []
    from mmm_jax.report.plan_page import write_plan_page

    beside = {"reference": planned.reference, "reference_name": "Reference"}
    with screen.stage("page", "Writing the page ..."):
        return [write_plan_page(planned.plan, path, target=target, overwrite=True, **beside)]


def _plan(problem: Problem, fit: AnyFit) -> Allocation:
    stated, goal = problem.stated, problem.config.values.get("goal")
    if goal is None:
        with stated.errors():
            return optimize_budget(fit, **stated.arguments)
    with stated.errors("goal"):
        return goal_seek(fit, **goal, **stated.arguments)


def _scenarios(problem: Problem, plan: Allocation) -> Any:
    if not problem.scenarios:
        return None
    return compare_plans(plan, {"reference": problem.reference, **problem.scenarios}, prob=PROB)


def _sensitivity(problem: Problem, plan: Allocation) -> Any:
    change = problem.config.values.get("sensitivity")
    if change is None:
        return None
    with problem.stated.errors("sensitivity"):
        return bound_sensitivity(plan, change=change)


def _frontier(problem: Problem, plan: Allocation, fit: AnyFit) -> Frontier | None:
    given = problem.config.values.get("frontier")
    if given is None:
        return None
    arguments = {name: value for name, value in problem.stated.arguments.items() if name != "total"}
    arguments["objective"] = plan.problem.statement.objective
    with problem.stated.errors("frontier"):
        return budget_frontier(fit, totals=_totals(given), **arguments)


def _totals(given: list[float] | dict[str, Any]) -> Sequence[float]:
    if isinstance(given, list):
        return given
    return np.linspace(given["from"], given["to"], given["steps"]).tolist()


def _dates(config: Config, fit: AnyFit) -> np.ndarray:
    # All geos are planned over the same dates.
    market = next(iter(fit.markets.values())) if isinstance(fit, GeoFit) else fit
    if not fit.spec.likelihood.additive and fit.panel.control_names:
        message = (
            "with a log link, a plan depends on the controls of its dates; plan in Python with mmm_jax.optimize_budget."
        )
        raise config.error(message, "horizon")
    with config.at("horizon", errors=PlanError):
        dates = horizon_panel(market, config.values["horizon"]).dates
    if not continues(fit.panel.dates, dates, fit.panel.frequency):
        message = f"the dates must begin right after the training rows, which end on {fit.panel.dates[-1]}; got {dates[0]}."
        raise config.error(message, "horizon")
    return dates
