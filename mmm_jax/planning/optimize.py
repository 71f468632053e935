"""The verb `optimize_budget`: one level of spend per channel over a horizon, for the best expected response."""

from typing import Literal

import equinox as eqx
import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.labels import labelled
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning import solver
from mmm_jax.planning.allocation import AT_LOWER, AT_UPPER, INTERIOR, Allocation, Certificate
from mmm_jax.planning.constraints import Bounds, Budget, checked_budget
from mmm_jax.planning.horizon import Horizon, Profile, horizon_panel, spend_profile
from mmm_jax.planning.objectives import AbstractObjective, MeanResponse
from mmm_jax.planning.response import HorizonWindows, LevelResponse, horizon_windows, plan_response


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
        horizon: dates right after the training rows (or their number), or a panel of these rows.
        total: currency over the whole horizon, or per period.
        bounds: lowest and highest spend by channel, in the unit of `total`; from 0 to the total where not given.
        per: unit of `total` and `bounds`: the whole horizon, or the mean of a period.
        profile: how each channel's spend is spread over the dates; evenly by default.
        objective: what to maximise over the draws; the posterior mean of the response by default.
        num_starts: runs from different first plans: the centre, the least, and random ones.
        key: random key or seed of the random starts.
        carry_in: let the spend before the horizon work on into it.
        history: the rows right before the horizon, if they are not the training rows.

    Raises:
        PlanError: a statement of the problem that cannot be used; says which.
        InfeasibleError: bounds and total exclude each other; says by how much.
        PredictionError: the horizon does not continue the known rows.
    """
    if per not in ("horizon", "period"):
        raise PlanError(f"`per` must be 'horizon' or 'period', got {per!r}.")
    if num_starts < 1:
        raise PlanError(f"`num_starts` must be at least 1, got {num_starts}.")
    rows = horizon_panel(fit, horizon)
    budget = checked_budget(total, bounds, fit.panel.channels, len(rows) if per == "period" else 1.0)
    shape = spend_profile(profile, rows)
    with precision_scope("float64"):
        model = fit.model(rows, carry_in=carry_in, history=history)
        draws = {name: np.asarray(values, float) for name, values in fit.flat_draws().items()}
        # A share of 1 is the whole total: spread over the dates, and scaled as the model's media.
        per_share = shape * budget.total / len(rows) / fit.scales.channel[:, None]
        problem = _Problem(_lay_out(model, draws, horizon_windows(model, per_share)), objective or MeanResponse())
        lower, upper = budget.shares
        solutions = solver.maximise(problem, _starts(lower, upper, num_starts, as_key(key)), lower, upper)
        best = _best(solutions)
        spend = _spend(best, shape, budget, rows, fit)
        certificate = _certificate(problem, solutions, best, budget, fit)

    def respond(spend: xr.DataArray) -> xr.Dataset:
        return _respond(fit, model, draws, spend)

    found = respond(spend)
    low, high = (_by_channel(values, fit) for values in (budget.lower, budget.upper))
    return Allocation(spend, found["total"], found["channel"], certificate, low, high, respond)


class _Problem(eqx.Module):
    """Objective as a function of each channel's share of the total; in units of its value at even shares."""

    response: LevelResponse
    objective: AbstractObjective

    def __call__(self, shares: Float[Array, " channel"]) -> Float[Array, ""]:
        return self.objective(self.response(shares))


@eqx.filter_jit
def _lay_out(model: MMM, draws: Params, windows: HorizonWindows) -> LevelResponse:
    return LevelResponse.build(model, draws, windows)


def _starts(lower: np.ndarray, upper: np.ndarray, count: int, key: Array) -> np.ndarray:
    """First plans: the boxes' centre, their lower ends, then random points of the boxes; the solver projects them."""
    fixed = np.stack([(lower + upper) / 2, lower])
    random = jax.random.uniform(key, (count, len(lower)))
    return np.concatenate([fixed, lower + (upper - lower) * np.asarray(random)])[:count]


def _best(solutions: solver.Solution) -> solver.Solution:
    index = int(np.argmax(np.asarray(solutions.value)))
    return jax.tree.map(lambda values: np.asarray(values)[index], solutions)


def _spend(best: solver.Solution, shape: np.ndarray, budget: Budget, rows: Panel, fit: Fit) -> xr.DataArray:
    per_date = (best.point * budget.total / len(rows))[:, None] * shape
    coords = {"date": rows.dates.astype("datetime64[ns]"), "channel": list(fit.panel.channels)}
    return xr.DataArray(per_date.T, dims=("date", "channel"), coords=coords, name="spend")


def _certificate(
    problem: _Problem, solutions: solver.Solution, best: solver.Solution, budget: Budget, fit: Fit
) -> Certificate:
    lower, upper = budget.shares
    _, price = solver.kkt(best.point, best.gradient, lower, upper)
    values = np.asarray(solutions.value)
    outside = np.maximum(lower - best.point, best.point - upper).max()
    state = np.where(best.point <= lower, AT_LOWER, np.where(best.point >= upper, AT_UPPER, INTERIOR))
    return Certificate(
        outcome=best.outcome(),
        feasibility=float(max(abs(best.point.sum() - 1.0), outside, 0.0)),
        kkt_residual=float(best.residual),
        shadow_price=float(price) / budget.total,
        marginal_return=_by_channel(best.gradient / budget.total, fit),
        state=_by_channel(state, fit),
        iterations=int(best.iterations),
        start_values=tuple(values.tolist()),
        start_spread=float((values.max() - values.min()) / max(abs(values.max()), np.finfo(float).tiny)),
    )


def _respond(fit: Fit, model: MMM, draws: Params, spend: xr.DataArray) -> xr.Dataset:
    planned = spend.transpose("channel", "date").to_numpy() / fit.scales.channel[:, None]
    with precision_scope("float64"):
        found = over_draws(plan_response, model, draws, planned)
    coords = {"channel": list(fit.panel.channels)}
    return xr.Dataset(
        {
            "total": labelled(found["total"], (), coords, fit.num_chains),
            "channel": labelled(found["channel"], ("channel",), coords, fit.num_chains),
        }
    )


def _by_channel(values: np.ndarray, fit: Fit) -> xr.DataArray:
    return xr.DataArray(values, dims=("channel",), coords={"channel": list(fit.panel.channels)})
