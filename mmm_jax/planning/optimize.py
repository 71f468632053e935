"""The verb `optimize_budget`: one level of spend per channel over a horizon, for the best expected response."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.fitting.keys import Key, as_generator
from mmm_jax.fitting.labels import labelled
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning import solver
from mmm_jax.planning.allocation import AT_LOWER, AT_UPPER, INTERIOR, LOCKED, Allocation, Certificate
from mmm_jax.planning.constraints import Bounds, Budget, checked_budget
from mmm_jax.planning.horizon import Horizon, Profile, horizon_panel, spend_profile
from mmm_jax.planning.objectives import AbstractObjective, MeanResponse
from mmm_jax.planning.response import HorizonWindows, LevelResponse, horizon_windows, plan_response

_SAME_VALUE = 1e-9
"""Objectives that are closer than this, relatively, are of the same optimum."""


def optimize_budget(
    fit: Fit,
    *,
    horizon: Horizon,
    total: float,
    bounds: Bounds | None = None,
    per: Literal["horizon", "period"] = "horizon",
    profile: Profile = None,
    objective: AbstractObjective | None = None,
    num_starts: int = 6,
    key: Key = 0,
    carry_in: bool = True,
    history: Panel | None = None,
) -> Allocation:
    """The best level of spend per channel over a horizon, with its certificate. Computed in float64.

    Args:
        fit: the posterior.
        horizon: dates right after the known rows (or their number), or a panel of these rows.
        total: currency over the whole horizon, or per period.
        bounds: lowest and highest spend by channel, in the unit of `total`; equal ones lock it; none where not given.
        per: unit of `total` and `bounds`: the whole horizon, or the mean of a period.
        profile: how each channel's spend is spread over the dates; evenly by default.
        objective: what to maximise over the draws; the posterior mean of the response by default.
        num_starts: runs from different first plans: the centre, the least, and random ones.
        key: random key or seed of the random starts.
        carry_in: let the spend before the horizon work on into it.
        history: the last known rows, right before the horizon, if they are not the training rows.

    Raises:
        PlanError: a statement of the problem that cannot be used; says which.
        InfeasibleError: bounds and total exclude each other; says by how much.
        PredictionError: the horizon does not continue the known rows.
    """
    if per not in ("horizon", "period"):
        raise PlanError(f"`per` must be 'horizon' or 'period', got {per!r}.")
    if num_starts < 1:
        raise PlanError(f"`num_starts` must be at least 1, got {num_starts}.")
    rows = horizon_panel(fit, horizon, history)
    budget = checked_budget(total, bounds, fit.panel.channels, len(rows) if per == "period" else 1.0)
    shape = spend_profile(profile, rows)
    with precision_scope("float64"):
        model = fit.model(rows, carry_in=carry_in, history=history)
        draws = {name: jnp.asarray(values, float) for name, values in fit.flat_draws().items()}
        # A share of 1 is the whole total: spread over the dates, and scaled as the model's media.
        per_share = shape * budget.total / len(rows) / fit.scales.channel[:, None]
        problem = _Problem(_lay_out(model, draws, horizon_windows(model, per_share)), objective or MeanResponse())
        boxes = (_starts(budget, num_starts, key), *budget.shares)
        solutions = solver.maximise(problem, *map(jnp.asarray, boxes))
        best = _best(solutions)
        levels = _levels(best, budget)
        spend = _spend(levels, shape, rows, fit)
        certificate = _certificate(solutions, best, levels, budget, fit)

    def respond(spend: xr.DataArray) -> xr.Dataset:
        return _respond(fit, model, draws, spend)

    found = respond(spend)
    low, high = (_by_channel(values, fit) for values in (budget.lower, np.minimum(budget.upper, budget.total)))
    return Allocation(spend, found["total"], found["by_channel"], certificate, low, high, respond)


class _Problem(eqx.Module):
    """Objective as a function of each channel's share of the total."""

    response: LevelResponse
    objective: AbstractObjective

    def __call__(self, shares: Float[Array, " channel"]) -> Float[Array, ""]:
        return self.objective(self.response(shares))


@eqx.filter_jit
def _lay_out(model: MMM, draws: Params, windows: HorizonWindows) -> LevelResponse:
    return LevelResponse.build(model, draws, windows)


def _starts(budget: Budget, count: int, key: Key) -> np.ndarray:
    """First plans: the boxes' centre, their lower ends, then random points of the boxes; the solver projects them."""
    lower, upper = budget.shares
    fixed = np.stack([(lower + upper) / 2, lower])
    random = as_generator(key).uniform(size=(count, len(lower)))
    return np.concatenate([fixed, lower + (upper - lower) * random])[:count]


def _best(solutions: solver.Solution) -> solver.Solution:
    """The run that arrived highest; of those that differ by rounding alone, the one closest to the conditions."""
    ends = jax.tree.map(np.asarray, solutions)
    value = np.where(np.isfinite(ends.value), ends.value, -np.inf)
    highest = value >= value.max() - _SAME_VALUE * abs(value.max())
    index = np.argmin(np.where(highest & np.isfinite(ends.residual), ends.residual, np.inf))
    return jax.tree.map(lambda values: values[index], ends)


def _levels(best: solver.Solution, budget: Budget) -> np.ndarray:
    """Spend per channel in currency over the horizon; on a bound, the bound as it was given."""
    lower, upper = budget.shares
    inside = np.where(best.point >= upper, np.minimum(budget.upper, budget.total), best.point * budget.total)
    return np.where(best.point <= lower, budget.lower, inside)


def _spend(levels: np.ndarray, shape: np.ndarray, rows: Panel, fit: Fit) -> xr.DataArray:
    per_date = (levels / len(rows))[:, None] * shape
    coords = {"date": rows.dates.astype("datetime64[ns]"), "channel": list(fit.panel.channels)}
    return xr.DataArray(per_date.T, dims=("date", "channel"), coords=coords, name="spend")


def _certificate(
    solutions: solver.Solution, best: solver.Solution, levels: np.ndarray, budget: Budget, fit: Fit
) -> Certificate:
    # Without an upper bound, all of one more unit of the total may go to the channel that has everything already.
    marginal = np.asarray(best.gradient) / budget.total
    price = np.max(marginal, where=best.point < budget.upper / budget.total, initial=-np.inf)
    values = np.asarray(solutions.value)
    outside = np.maximum(budget.lower - levels, levels - budget.upper).max()
    return Certificate(
        outcome=best.outcome(),
        feasibility=float(max(abs(levels.sum() - budget.total), outside, 0.0) / budget.total),
        kkt_residual=float(best.residual),
        shadow_price=float(price) if np.isfinite(price) else 0.0,
        marginal_return=_by_channel(marginal, fit),
        state=_by_channel(_state(levels, budget), fit),
        iterations=int(best.iterations),
        start_values=tuple(values.tolist()),
        start_spread=float((values.max() - values.min()) / max(abs(values.max()), np.finfo(float).tiny)),
    )


def _state(levels: np.ndarray, budget: Budget) -> np.ndarray:
    at_bound = np.where(levels <= budget.lower, AT_LOWER, np.where(levels >= budget.upper, AT_UPPER, INTERIOR))
    return np.where(budget.lower == budget.upper, LOCKED, at_bound)


def _respond(fit: Fit, model: MMM, draws: Params, spend: xr.DataArray) -> xr.Dataset:
    planned = spend.transpose("channel", "date").to_numpy() / fit.scales.channel[:, None]
    with precision_scope("float64"):
        found = over_draws(plan_response, model, draws, planned)
    coords = {"channel": list(fit.panel.channels)}
    return xr.Dataset(
        {
            "total": labelled(found["total"], (), coords, fit.num_chains),
            "by_channel": labelled(found["channel"], ("channel",), coords, fit.num_chains),
        }
    )


def _by_channel(values: np.ndarray, fit: Fit) -> xr.DataArray:
    return xr.DataArray(values, dims=("channel",), coords={"channel": list(fit.panel.channels)})
