"""Plans for many totals: what each more unit of budget brings, and the least budget that reaches a goal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.fitting.labels import interval
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.constraints import Total
from mmm_jax.planning.feasibility import total_range
from mmm_jax.planning.markets import Fits
from mmm_jax.planning.objectives import MeanResponse, Quantile
from mmm_jax.planning.optimize import allocated, solved
from mmm_jax.planning.problem import Problem, Statement, lay_out, restated
from mmm_jax.planning.scope import planning_scope
from mmm_jax.planning.search import Found, search

_DOUBLINGS = 20
_GOAL = 1e-9
"""Precision of the least budget, relative to it."""


@dataclass(frozen=True, eq=False)
class Frontier:
    """The best plans for growing totals.

    Attributes:
        plans: from the least total to the largest.
    """

    plans: tuple[Allocation, ...]

    @property
    def totals(self) -> np.ndarray:
        """Currency over the horizon, (total,)."""
        return np.array([plan.problem.reference for plan in self.plans])

    def to_dataset(self, *, prob: float = 0.9) -> xr.Dataset:
        """Response and its interval, marginal return, return on spend and spend by channel.

        Returns:
            Over `total` in currency: `response`, `lower`, `upper` in units of the target; `value` of the objective;
            `marginal_return`: what one more unit of total would bring; `roas`; `spend` (total, channel).
        """
        tables = [interval(plan.response, prob) for plan in self.plans]
        found = {
            "response": [float(table["mean"]) for table in tables],
            "lower": [float(table["lower"]) for table in tables],
            "upper": [float(table["upper"]) for table in tables],
            "value": [plan.value.value for plan in self.plans],
            "marginal_return": [plan.certificate.shadow_price for plan in self.plans],
            "roas": [float(table["mean"]) / plan.total for table, plan in zip(tables, self.plans, strict=True)],
            "optimal": [plan.certificate.optimal for plan in self.plans],
            "beyond_observed": [bool(plan.extrapolation["beyond"].any()) for plan in self.plans],
        }
        spend = np.stack([plan.channel_spend.values for plan in self.plans])
        columns = {name: ("total", values) for name, values in found.items()}
        coords = {"total": self.totals, "channel": self.plans[0].channel_spend["channel"].values}
        return xr.Dataset({**columns, "spend": (("total", "channel"), spend)}, coords=coords, attrs={"prob": prob})

    def to_frame(self, *, prob: float = 0.9) -> Any:
        """One row per total (pandas), with the spend of every channel as columns `spend <channel>`."""
        table = self.to_dataset(prob=prob)
        frame = table.drop_vars(["spend", "channel"]).to_dataframe()
        for channel in table["channel"].values:
            frame[f"spend {channel}"] = table["spend"].sel(channel=channel).values
        return frame


def budget_frontier(fit: Fits, *, totals: Sequence[float], **statement: Any) -> Frontier:
    """The best plans for several totals, each begun at the one before.

    Args:
        fit: the posterior, or one per geo.
        totals: totals in the unit of `per`; they are planned from the least to the largest.
        statement: all other arguments of `optimize_budget`, such as `horizon` and `bounds`.

    Raises:
        PlanError: as `optimize_budget`, or totals that are not positive numbers.
        InfeasibleError: a total that the other constraints exclude.
    """
    if len(totals) == 0:
        raise PlanError("`totals` must hold at least one total.")
    ordered = sorted({float(total) for total in totals})
    with planning_scope():
        problem = lay_out(fit, Statement(total=ordered[0], **statement))
        return Frontier(tuple(_continued(problem, ordered)))


def _continued(problem: Problem, totals: Sequence[float]) -> list[Allocation]:
    plans: list[Allocation] = []
    for total in totals:
        at = restated(problem, total=total)
        warm = plans[-1].amounts * (at.reference / plans[-1].total) if plans else None
        plans.append(solved(at, warm))
    return plans


def goal_seek(fit: Fits, *, outcome: float, probability: float | None = None, **statement: Any) -> Allocation:
    """The cheapest plan that reaches an outcome: in expectation, or with a probability.

    Args:
        fit: the posterior, or one per geo.
        outcome: least response over the horizon, in units of the target.
        probability: with which it must be reached, such as 0.8; in expectation where not given.
        statement: all other arguments of `optimize_budget` but `total` and `objective`.

    Returns:
        The best plan of the least total for which it reaches the outcome.

    Raises:
        InfeasibleError: no total reaches it; says what can be reached.
        PlanError: as `optimize_budget`, or an outcome or probability that cannot be used.
    """
    if not (np.isfinite(outcome) and outcome > 0):
        raise PlanError(f"`outcome` must be a positive number, got {outcome!r}.")
    for taken in ("total", "objective"):
        if taken in statement:
            raise PlanError(f"`goal_seek` chooses `{taken}` itself; leave it out.")
    objective = MeanResponse() if probability is None else Quantile(1.0 - probability)
    with planning_scope():
        return _GoalSeek(lay_out(fit, Statement(objective=objective, **statement), free=True), outcome).run()


class _GoalSeek:
    """The search for the total; keeps the last plan, at which the next one begins."""

    def __init__(self, problem: Problem, outcome: float) -> None:
        self._problem, self._outcome = problem, outcome
        self._last: tuple[Problem, Found] | None = None

    def run(self) -> Allocation:
        low, high = self._bracket()
        total = float(brentq(self._excess, low, high, xtol=_GOAL * high, rtol=_GOAL))  # pyright: ignore
        # The root may lie a rounding short of the goal.
        for _ in range(5):
            if self._excess(total) >= 0:
                break
            total *= 1 + 4 * _GOAL
        assert self._last is not None
        return allocated(*self._last)

    def _bracket(self) -> tuple[float, float]:
        """A total that falls short, and one that does not."""
        problem = self._problem
        least, most = total_range(problem.feasible.system)
        least = max(least, 1e-9 * problem.reference)
        total = float(np.clip(problem.reference, least, most))
        step = 2.0 if self._excess(total) < 0 else 0.5
        for _ in range(_DOUBLINGS):
            following = float(np.clip(total * step, least, most))
            if (self._excess(following) < 0) != (step > 1):
                return min(total, following), max(total, following)
            if following in (least, most):
                break
            total = following
        if step < 1:
            return least * (1 - 1e-12), total
        reached = self._excess(most if np.isfinite(most) else total) + self._outcome
        raise InfeasibleError(
            f"No total reaches a response of {self._outcome:,.4g}: within the bounds at most {reached:,.4g} is reached. "
            "Widen the bounds, or lower the goal or its probability."
        )

    def _excess(self, total: float) -> float:
        problem = restated(self._problem, total=Total(total))
        warm = None
        if self._last is not None:
            amounts = self._last[1].amounts
            warm = amounts * (total / max(amounts.sum(), 1e-300))
        found = search(problem, warm)
        self._last = (problem, found)
        return max(found.start_values) - self._outcome
