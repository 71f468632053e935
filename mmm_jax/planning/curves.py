"""What each channel of a plan would bring for more or less spend, all others as planned."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mmm_jax.analysis.draws import over_draws
from mmm_jax.errors import PlanError
from mmm_jax.fitting.labels import labelled
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.allocation import Allocation, Spend
from mmm_jax.planning.costs import in_currency
from mmm_jax.planning.extrapolation import extrapolation
from mmm_jax.planning.problem import Problem

MULTIPLIERS = (0.0, 0.01, 0.03, 0.06, *(step / 10 for step in range(1, 21)))
"""From nothing to twice the spend, closer where curves may bend most."""

_LEAST = 1e-6
"""Multiplier, relative to the largest one, that stands in for 0: at 0 itself a root is infinitely steep."""

_HARDLY = 1e-3
"""Spend relative to the usual one that is as good as none."""


def plan_curves(
    plan: Allocation, multipliers: Sequence[float] | np.ndarray = MULTIPLIERS, *, reference: Spend | None = None
) -> xr.Dataset:
    """Response of each channel when its spend in the plan is multiplied, all others as planned. Computed in float64.

    A channel keeps its shape over dates and geos. Where the plan gives it less than half of the reference's spend, or
    hardly any of what was usual, that is multiplied instead: else its curve would end before what was done until now.

    Args:
        plan: the plan.
        multipliers: of the spend, at least 0 and increasing; not all 0.
        reference: other spend that the curves are to show, such as today's, as `Allocation.compare` takes it.

    Returns:
        `response` in units of the target and `marginal_return`, what one more unit of currency would bring, over (chain,
        draw, channel, multiplier); `spend` in currency over the horizon, (channel, multiplier); by channel, in the same
        currency, `base`: what is multiplied, and `observed_limit`: beyond which some period has more than was ever
        observed, infinite where the curve ends before. The marginal return of a channel that never had spend is NaN, an
        organic one's as well.

    Raises:
        PlanError: multipliers or a reference that cannot be used.
    """
    grid, base = _checked(multipliers), _base(plan, reference)
    above_0 = np.maximum(grid, _LEAST * grid[-1])
    with precision_scope("float64"):
        found = _over_all(plan.problem, _cells(plan.spend), _cells(base), above_0)
    response, slope = (_named(part, plan, grid) for part in found)
    total, factor = _by_channel(base), xr.DataArray(grid, dims="multiplier", coords={"multiplier": grid})
    return xr.Dataset(
        {
            "response": response.where(factor > 0, 0.0),
            "marginal_return": slope / total.where(total > 0),
            "spend": total * factor,
            "base": total,
            "observed_limit": _observed_limit(plan.problem, base, total * factor),
        }
    )


def own_response(
    model: MMM, params: Params, planned: Float[Array, "channel time"], own: Float[Array, "channel time"]
) -> Float[Array, " channel"]:
    """What each channel brings in addition to the others as they are planned, for one draw, if it alone has other media.

    Args:
        model: the model over the horizon; its history is the carry-in, and its own media are there whatever the plan.
        params: one draw.
        planned: scaled media of the plan.
        own: each channel's own scaled media instead.
    """
    # Nothing brings nothing: not the rounding of what is there whatever the plan.
    spent = (own != 0).any(axis=1)
    before, with_own = (_effects(model, params, media) for media in (jnp.zeros_like(own), own))
    if model.likelihood.additive:
        return jnp.where(spent, model.target_scale * (with_own - before).sum(axis=1), 0.0)
    effects = _effects(model, params, planned)
    others = model.baseline(params) + effects.sum(axis=0) - effects
    change = model.expectation(others + with_own, params) - model.expectation(others + before, params)
    return jnp.where(spent, change.sum(axis=1), 0.0)


def _effects(model: MMM, params: Params, media: Float[Array, "channel time"]) -> Float[Array, "channel period"]:
    """Effects after the carry-in, over the horizon and, where they just add up, the periods after it."""
    tail = model.l_max - 1 if model.likelihood.additive else 0
    return model.media_effects(params, jnp.pad(model.media.at[:, model.history :].add(media), ((0, 0), (0, tail))))


def _over_all(problem: Problem, planned: np.ndarray, base: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Responses of all markets together and their slopes by the multiplier, (draw, multiplier, channel) each."""
    markets, rates = problem.markets, problem.rates

    def bought(multiplier: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda factor: rates.media(factor * base), (multiplier,), (jnp.ones(()),))

    media, slopes = (np.asarray(part) for part in jax.vmap(bought)(jnp.asarray(grid)))
    as_planned = np.asarray(rates.media(jnp.asarray(planned)))
    each = zip(markets.models.values(), markets.draws(problem.reported), as_planned, strict=True)
    found = [
        over_draws(_curves, model, draws, here, media[:, geo], slopes[:, geo])
        for geo, (model, draws, here) in enumerate(each)
    ]
    return tuple(np.sum(parts, axis=0) for parts in zip(*found, strict=True))  # pyright: ignore[reportReturnType]


def _curves(
    model: MMM,
    params: Params,
    planned: Float[Array, "channel time"],
    media: Float[Array, "multiplier channel time"],
    slopes: Float[Array, "multiplier channel time"],
) -> tuple[Float[Array, "multiplier channel"], Float[Array, "multiplier channel"]]:
    """Responses of one draw and their slopes by the multiplier."""

    def one(at: tuple[Array, Array]) -> tuple[Array, Array]:
        return jax.jvp(lambda own: own_response(model, params, planned, own), at[:1], at[1:])

    return jax.lax.map(one, (media, slopes))


def _named(values: Float[np.ndarray, "draw multiplier channel"], plan: Allocation, grid: np.ndarray) -> xr.DataArray:
    coords = {"multiplier": grid, "channel": plan.spend["channel"].to_numpy()}
    table = labelled(values, ("multiplier", "channel"), coords, plan.problem.reported_chains)
    return table.transpose("chain", "draw", "channel", "multiplier")


def _checked(multipliers: Sequence[float] | np.ndarray) -> np.ndarray:
    grid = np.asarray(multipliers, float)
    known = grid.ndim == 1 and len(grid) > 0 and np.isfinite(grid).all()
    if not (known and grid[0] >= 0 and grid[-1] > 0 and np.all(np.diff(grid) > 0)):
        raise PlanError(f"`multipliers` must be increasing numbers of at least 0, not all 0; got {multipliers!r}.")
    return grid


def _base(plan: Allocation, reference: Spend | None) -> xr.DataArray:
    """What is multiplied: currency per period, over the plan's dimensions."""
    totals = plan.channel_spend.to_numpy()
    if reference is not None:
        before = _by_channel(plan.aligned(reference)).to_numpy()
        totals = np.where(totals >= 0.5 * before, totals, before)
    usual = _usual(plan.problem)
    totals = np.where(totals > _HARDLY * usual, totals, usual)
    return plan.aligned(dict(zip(plan.spend["channel"].values.tolist(), totals.tolist(), strict=True)))


def _usual(problem: Problem) -> np.ndarray:
    """Usual spend over as many periods as are planned, at the first date's prices, in currency by channel."""
    usual = in_currency(problem.markets.usual(), problem.units_per_currency)
    return usual.sum(axis=0) * len(problem.markets.dates)


def _by_channel(spend: xr.DataArray) -> xr.DataArray:
    return spend.sum([name for name in spend.dims if name != "channel"])


def _cells(spend: xr.DataArray) -> np.ndarray:
    """Spend as (geo, channel, date)."""
    table = spend if "geo" in spend.dims else spend.expand_dims(geo=1)
    return table.transpose("geo", "channel", "date").to_numpy()


def _observed_limit(problem: Problem, base: xr.DataArray, spend: xr.DataArray) -> xr.DataArray:
    """Currency over the horizon at which the first period has as much as was ever observed, by channel."""
    peaks = xr.concat([extrapolation(problem, factor * base) for factor in spend["multiplier"].to_numpy()], "multiplier")
    reached = peaks["planned_peak"] / np.maximum(peaks["observed_peak"], 1e-300)
    reached = reached.max([name for name in reached.dims if name == "geo"]).transpose("channel", "multiplier").to_numpy()
    at = spend.transpose("channel", "multiplier").to_numpy()
    from_none = (np.pad(part, ((0, 0), (1, 0))) for part in (reached, at))
    limits = [np.interp(1.0, share, amount, right=np.inf) for share, amount in zip(*from_none, strict=True)]
    return xr.DataArray(limits, dims="channel", coords={"channel": spend["channel"]})
