"""The proof of a plan: computed from its slopes alone, apart from the solver that found it."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.optimize import nnls

from mmm_jax.planning.feasibility import LinearSystem
from mmm_jax.planning.problem import Problem
from mmm_jax.planning.search import Found, reached_by
from mmm_jax.planning.solver import LEAST_SLOPE, TOLERANCE, Outcome
from mmm_jax.planning.targets import PlanRequirement

INTERIOR, AT_LOWER, AT_UPPER, LOCKED = "interior", "at lower bound", "at upper bound", "locked"

_BINDING = 1e-9
"""Distance, relative to the whole plan, at which a constraint counts as binding."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """Why the plan is an optimum.

    Attributes:
        outcome: why the solver ended; `outcome.advice` says what to do.
        feasibility: largest violation of a linear constraint, relative to the whole plan, or of a target, measured
            exactly, relative to the response, or as it is where it has no unit.
        kkt_residual: what of the marginal returns the prices of the binding constraints do not explain, relative to the
            largest marginal return, or to a thousandth of that of the first plan if none is larger; 0 at an optimum.
        shadow_price: what one more unit of total spend would bring, in units of the objective; 0 without a total.
        shadow_prices: what one more unit of every constraint's bound would bring, by its label: of its upper bound where
            that binds, less than 0 where a lower bound or a target binds, and 0 where nothing does. A constraint on many
            periods is counted as if all its bounds moved.
        marginal_return: of each number that is decided, in units of the objective per currency.
        state: `interior`, `at lower bound`, `at upper bound`, or `locked` where the two are equal, of each number.
        targets: what every target reached, exactly and in its own unit, by its label, over the draws that the plan was
            found on.
        iterations: of the best run.
        start_values: objective that each start arrived at.
        start_spread: difference between best and worst of these, relative to the best: above about 1e-6 there are
            several local optima, and the best of them was taken.
        concave: whether the problem is concave: then no other plan can be better by more than `smoothing_gap`.
        smoothing_gap: most that smoothing a kinked objective or target can have cost, in the objective's unit; NaN where no
            bound is known, as with kinked targets.
    """

    outcome: Outcome
    feasibility: float
    kkt_residual: float
    shadow_price: float
    shadow_prices: dict[str, float]
    marginal_return: xr.DataArray
    state: xr.DataArray
    targets: dict[str, float]
    iterations: int
    start_values: tuple[float, ...]
    start_spread: float
    concave: bool
    smoothing_gap: float

    @property
    def optimal(self) -> bool:
        """Whether the plan satisfies its constraints and the conditions of an optimum."""
        return self.outcome is Outcome.CONVERGED and self.feasibility < 1e-8

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; numbers that are unknown are `None`."""
        return {
            "optimal": self.optimal,
            "outcome": self.outcome.value,
            "advice": self.outcome.advice,
            "feasibility": self.feasibility,
            "kkt_residual": self.kkt_residual,
            "shadow_price": self.shadow_price,
            "shadow_prices": dict(self.shadow_prices),
            "marginal_return": _nested(self.marginal_return),
            "state": _nested(self.state),
            "targets": dict(self.targets),
            "iterations": self.iterations,
            "start_values": list(self.start_values),
            "start_spread": self.start_spread,
            "concave": self.concave,
            "smoothing_gap": self.smoothing_gap if np.isfinite(self.smoothing_gap) else None,
        }


def certify(problem: Problem, found: Found, slopes: Any) -> Certificate:
    """The certificate of a search's best plan.

    Args:
        problem: the problem laid out.
        found: what the search found.
        slopes: derivatives of the program at that point.
    """
    system, unit = problem.feasible.system, problem.feasible.unit
    scale = float(found.program.scale) / unit
    marginal = np.asarray(slopes.gradient) * scale
    targets = np.asarray(slopes.jacobian) * np.asarray(found.program.target_scales)[:, None] / unit
    met = np.asarray(slopes.met)
    prices, residual = _prices(system, found.amounts, marginal, targets, met, problem.reference, LEAST_SLOPE * scale)
    values, reached = np.asarray(found.start_values), _reached(found)
    return Certificate(
        outcome=_outcome(problem, found, residual),
        feasibility=_violation(system, found.amounts, problem.reference, found.missed),
        kkt_residual=residual,
        shadow_price=float(sum(prices.rows[system.total], start=0.0)),
        shadow_prices=_by_label(system, prices, problem.target_names, reached),
        marginal_return=problem.decisions.labelled(marginal),
        state=problem.decisions.labelled(_states(system, found.amounts, problem.reference)),
        targets={name: float(value) for name, (value, _) in zip(problem.target_names, reached, strict=True)},
        iterations=int(found.solution.iterations),
        start_values=found.start_values,
        start_spread=float((values.max() - values.min()) / max(abs(values.max()), np.finfo(float).tiny)),
        concave=found.concave,
        smoothing_gap=_smoothing_gap(found),
    )


@dataclass(frozen=True)
class _Prices:
    """Multipliers: more than 0 where an upper bound binds, less where a lower one does."""

    rows: np.ndarray
    boxes: np.ndarray
    targets: np.ndarray


def _prices(
    system: LinearSystem,
    amounts: np.ndarray,
    marginal: np.ndarray,
    targets: np.ndarray,
    met: np.ndarray,
    reference: float,
    least: float,
) -> tuple[_Prices, float]:
    """Multipliers that explain the marginal returns best, and what they leave unexplained."""
    count, close = len(amounts), _BINDING * reference
    size = np.abs(system.matrix).max(axis=1, initial=0.0)
    level, eye = system.matrix @ amounts, np.eye(count)
    high, low = level >= system.upper - close * size, level <= system.lower + close * size
    top, bottom = amounts >= system.box_upper - close, amounts <= system.box_lower + close
    binding = met <= TOLERANCE
    columns = np.concatenate([system.matrix[high], -system.matrix[low], eye[top], -eye[bottom], -targets[binding]]).T
    locked = system.box_upper - system.box_lower <= 1e-12 * reference
    largest = np.abs(marginal[~locked]).max(initial=0.0)
    if not np.isfinite(marginal).all():
        return _Prices(np.zeros(len(level)), np.zeros(count), np.zeros(len(met))), float("nan")
    if largest == 0:
        return _Prices(np.zeros(len(level)), np.zeros(count), np.zeros(len(met))), 0.0
    found = _nonnegative(columns, marginal)
    residual = float(np.abs((marginal - columns @ found)[~locked]).max() / max(largest, least))
    parts = np.split(found, np.cumsum([high.sum(), low.sum(), top.sum(), bottom.sum()]))
    rows, boxes, asked = np.zeros(len(level)), np.zeros(count), np.zeros(len(met))
    rows[high] += parts[0]
    rows[low] -= parts[1]
    boxes[top] += parts[2]
    boxes[bottom] -= parts[3]
    asked[binding] = parts[4]
    return _Prices(rows, boxes, asked), residual


def _nonnegative(columns: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    """Least squares with coefficients of at least 0, to the last digits on the columns that it uses."""
    if columns.shape[1] == 0:
        return np.zeros(0)
    size = np.linalg.norm(columns, axis=0)
    sized, goal = columns / size, marginal / np.abs(marginal).max()
    found, _ = nnls(sized, goal, maxiter=50 * columns.shape[1])
    used = found > 0
    exact = np.linalg.lstsq(sized[:, used], goal, rcond=None)[0]
    if (exact >= 0).all():
        found[used] = exact
    return found / size * np.abs(marginal).max()


def _violation(system: LinearSystem, amounts: np.ndarray, reference: float, unmet: float) -> float:
    level = system.matrix @ amounts
    size = np.maximum(np.abs(system.matrix).max(axis=1, initial=0.0), 1e-300)
    outside = np.concatenate(
        [
            (level - system.upper) / size,
            (system.lower - level) / size,
            amounts - system.box_upper,
            system.box_lower - amounts,
        ]
    )
    return float(max(outside.max(initial=0.0) / reference, unmet))


def _outcome(problem: Problem, found: Found, residual: float) -> Outcome:
    # The solver's own word does not count: the residual is the certificate's, and targets are measured exactly.
    # A run that missed the smooth version of a target which is met exactly has not come to its end.
    if found.missed <= TOLERANCE < found.solution.unmet:
        return Outcome.ITERATION_LIMIT
    solution = found.solution._replace(residual=np.asarray(residual), unmet=np.asarray(found.missed))
    far = problem.feasible.capped & (found.solution.point >= problem.feasible.polytope.upper)
    outcome = solution.outcome()
    return Outcome.UNBOUNDED if outcome is Outcome.CONVERGED and far.any() else outcome


def _states(system: LinearSystem, amounts: np.ndarray, reference: float) -> np.ndarray:
    close = 1e-12 * reference
    low, high = amounts <= system.box_lower + close, amounts >= system.box_upper - close
    at_bound = np.where(low, AT_LOWER, np.where(high, AT_UPPER, INTERIOR))
    return np.where(system.box_upper - system.box_lower <= close, LOCKED, at_bound)


def _by_label(system: LinearSystem, prices: _Prices, targets: list[str], reached: list[tuple[Any, Any]]) -> dict[str, float]:
    names = [*system.labels, *system.lower_labels, *system.upper_labels]
    table = {label: 0.0 for label in names if label}
    for label, price in zip(system.labels, prices.rows, strict=True):
        table[label] += float(price)
    for low, high, price in zip(system.lower_labels, system.upper_labels, prices.boxes, strict=True):
        label = high if price > 0 else low
        if label and price:
            table[label] += float(price)
    for name, price, (_, slope) in zip(targets, prices.targets, reached, strict=True):
        table[name] = -float(price * slope)
    return table


def _reached(found: Found) -> list[tuple[Any, Any]]:
    return reached_by(found.program, jnp.asarray(found.solution.point)) if found.program.requirements else []


def _smoothing_gap(found: Found) -> float:
    objective, temperatures = found.program.objective, found.program.temperatures
    if temperatures is None:
        return 0.0
    if any(isinstance(one, PlanRequirement) and one.measure.kinked for one in found.program.requirements):
        return float("nan")
    return float(objective.smoothing_gap(float(temperatures[-1])))


def _nested(values: xr.DataArray) -> Any:
    """Values by label: channel, then geo, then a list over the dates."""
    order = [name for name in ("channel", "geo", "date") if name in values.dims]
    values = values.transpose(*order)
    if order and order[0] != "date":
        name = order[0]
        return {str(key): _nested(values.sel({name: key}, drop=True)) for key in values[name].values}
    return values.values.tolist()
