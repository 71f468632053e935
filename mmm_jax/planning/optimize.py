"""The verb `optimize_budget`: the best plan over a horizon under real constraints, with its certificate."""

from collections.abc import Mapping, Sequence
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.fitting.keys import Key
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.certificate import certify
from mmm_jax.planning.constraints import AbstractConstraint, Bounds, Total
from mmm_jax.planning.feasibility import FLOOR
from mmm_jax.planning.horizon import Horizon, Profile
from mmm_jax.planning.markets import Fits, Known
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.prices import Price
from mmm_jax.planning.problem import Locked, Problem, Statement, lay_out
from mmm_jax.planning.reporting import reported
from mmm_jax.planning.scope import planning_scope
from mmm_jax.planning.search import Found, search
from mmm_jax.planning.solver import Derivatives
from mmm_jax.planning.targets import AbstractTarget


def optimize_budget(
    fit: Fits,
    *,
    horizon: Horizon | GeoPanel | Mapping[str, Panel],
    total: float | Total | None = None,
    bounds: Bounds | None = None,
    per: Literal["horizon", "period"] = "horizon",
    by: str | Sequence[str] = ("channel",),
    profile: Profile = None,
    locked: Locked | None = None,
    prices: Mapping[str, Price] | None = None,
    constraints: Sequence[AbstractConstraint | AbstractTarget] = (),
    objective: AbstractObjective | None = None,
    num_starts: int | None = None,
    key: Key = 0,
    carry_in: bool = True,
    history: Known | None = None,
    max_draws: int | None = None,
    split_draws: bool = False,
    extrapolate: bool = True,
) -> Allocation:
    """The best plan over a horizon, with its certificate. Computed in float64.

    Args:
        fit: the posterior; or one fit per geo, by its name, which are then planned together.
        horizon: dates right after the known rows (or their number), or a panel of these rows, or one such panel per geo.
        total: currency over the whole horizon, or per period; or a `Total`; none if the objective or constraints do
            without.
        bounds: lowest and highest spend by channel over all dates and geos, in the unit of `total`; equal ones lock it;
            none where not given. For bounds of single periods see `Box`.
        per: unit of `total`, `bounds` and `locked`: the whole horizon, or the mean of a period.
        by: what is decided apart: some of `channel`, `date` and `geo`.
        profile: how each channel's level is spread over the dates, where they are not decided apart; evenly by default.
        locked: given spend of channels that are not decided: over the horizon, or by date in currency.
        prices: cost of a unit by channel, where the fitted table holds units instead of currency.
        constraints: further ones, such as `Group`, `Ratio`, `Step`, `TargetRoas`; amounts are over the horizon.
        objective: what to maximise over the draws; the posterior mean of the response by default.
        num_starts: runs from different first plans; by default 1 where the problem is concave, else 4 to 32.
        key: random key or seed of the random starts.
        carry_in: let the spend before the horizon work on into it.
        history: the last known rows, right before the horizon, if they are not the training rows; or such rows per geo.
        max_draws: use that many draws at most to find the plan; its response is still told by all.
        split_draws: find the plan on every other draw and tell its response by the others, so that it is not flattered by
            having been the best on them.
        extrapolate: allow plans that spend more in a period than was ever observed; they are flagged either way.

    Raises:
        PlanError: a statement of the problem that cannot be used; says which.
        InfeasibleError: constraints that exclude each other; names them.
        PredictionError: the horizon does not continue the known rows.
    """
    statement = Statement(
        horizon=horizon,
        total=total,
        bounds=bounds,
        per=per,
        by=by,
        profile=profile,
        locked=locked,
        prices=prices,
        constraints=tuple(constraints),
        objective=objective,
        num_starts=num_starts,
        key=key,
        carry_in=carry_in,
        history=history,
        max_draws=max_draws,
        split_draws=split_draws,
        extrapolate=extrapolate,
    )
    with planning_scope():
        return solved(lay_out(fit, statement))


def solved(problem: Problem, warm: np.ndarray | None = None) -> Allocation:
    """The best plan of a problem that is laid out. Call it in double precision.

    Args:
        problem: the problem.
        warm: amounts to begin with, currency by number.
    """
    return allocated(problem, search(problem, warm))


def allocated(problem: Problem, found: Found) -> Allocation:
    """What a search found, as people see it. Call it in double precision.

    Raises:
        PlanError: the plan spends beyond what was observed, and the problem does not allow that.
    """
    certificate = certify(problem, found, _slopes(problem, found))
    plan = reported(problem, found, certificate)
    if not problem.statement.extrapolate and bool(plan.extrapolation["beyond"].any()):
        raise PlanError(_refusal(plan.extrapolation))
    return plan


@eqx.filter_jit
def _derivatives(program, point, prices) -> Derivatives:
    return program.derivatives(point, prices)


def _slopes(problem: Problem, found: Found) -> Derivatives:
    last = found.program.temperatures
    program = found.program if last is None else found.program.cooled(jnp.asarray(len(last) - 1))
    feasible = problem.feasible
    held = np.maximum(found.amounts / feasible.unit, FLOOR * problem.reference / feasible.unit)
    point = np.where(feasible.polytope.free, found.solution.point, held)
    return _derivatives(program, jnp.asarray(point), jnp.asarray(found.solution.prices))


def _refusal(beyond) -> str:
    table = beyond.to_dataframe()
    rows = table[table["beyond"]]
    first = rows.iloc[0]
    name = rows.index[0] if not isinstance(rows.index[0], tuple) else " in ".join(map(str, rows.index[0]))
    return (
        f"The plan spends more in a period than was ever observed on {len(rows)} channels; the first is {name!r}: "
        f"{first['planned_peak']:,.2f} against {first['observed_peak']:,.2f}. Its response there is a guess of the curve. "
        f"Bound it, by `Box` or `bounds`, or allow it by `extrapolate=True`."
    )
