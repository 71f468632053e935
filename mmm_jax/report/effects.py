"""Curves of a plan: from its own response where channels add up, from the model where they multiply."""

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mmm_jax.analysis.draws import over_draws
from mmm_jax.errors import PlanError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.report.curves import Curves
from mmm_jax.report.levels import Levels

KNOTS, KNOTS_OF_PERIODS = 36, 20
"""Levels per channel where responses add up, and where every period has curves of its own."""

MOST_VALUES = 340_000
"""Of all curves: they make up about 1.8 MB of the page."""

FEWEST_DRAWS = 100
"""Fewer draws give no interval to speak of: rather than that, the page grows."""

_ADDS_UP, _SAME, _SAME_AS_LARGEST = 1e-6, 1e-4, 1e-6
"""Differences that are rounding, relative to a number itself, or to the largest of its kind."""

_CHECKED = 12
"""Places between knots at which the curves are held against the model."""


def thinned(count: int, most: int) -> np.ndarray:
    """Indices of at most so many of `count` draws, evenly spread over the chains."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def adds_up(plan: Any, levels: Levels) -> bool:
    """Whether channels' responses add up, seen where channels would disturb each other most: at their highest levels."""
    found = plan.respond(levels.spend_at(levels.positions[:, -1]))
    apart = np.abs(flat(found["total"]) - by_channel(found["by_channel"]).sum(axis=1))
    return bool(apart.max() <= _ADDS_UP * np.abs(flat(found["total"])).max())


def added_curves(plan: Any, levels: Levels, draws: np.ndarray) -> Curves:
    """Responses of the chosen draws. One call to the plan gives a level of every channel, since they do not interact."""
    calls = (plan.respond(levels.spend_at(places))["by_channel"] for places in levels.positions.T)
    responses = np.stack([by_channel(found)[draws].T for found in calls], axis=-1)
    return Curves(levels.positions, responses[:, :, None].astype(np.float32))


def multiplied_curves(plan: Any, levels: Levels, draws: np.ndarray) -> Curves:
    """Effects of the chosen draws on the logarithm of the expected target, by period and geo; equal ones only once."""
    problem = plan.problem
    with precision_scope("float64"):
        models = list(problem.markets.models.values())
        laid_out = list(zip(models, problem.markets.draws(problem.reported[draws]), strict=True))
        baseline = [over_draws(expected_baseline, model, params) for model, params in laid_out]
        media = (_media(problem, levels.spend_at(places)) for places in levels.positions.T)
        effects = [[over_draws(period_effects, *one, cells) for one, cells in zip(laid_out, m, strict=True)] for m in media]
    # Periods of all geos one after the other: the expected target is a sum over both.
    joined = np.stack([np.concatenate(geos, axis=2) for geos in effects], axis=-1).astype(np.float32)
    return _merged(levels.positions, joined.swapaxes(0, 1), np.concatenate(baseline, axis=1))


def fitting(curves: Curves) -> np.ndarray:
    """Indices of as many draws as the page has room for."""
    per_draw = curves.effects.size // curves.num_draws
    return thinned(curves.num_draws, max(MOST_VALUES // per_draw, FEWEST_DRAWS))


def check_against(plan: Any, levels: Levels, curves: Curves, draws: np.ndarray) -> None:
    """At the plan itself, the curves must give the plan's response.

    Raises:
        PlanError: they do not.
    """
    expected = flat(plan.response)[draws]
    found = curves.at(levels.position(levels.plan)).total
    rounding = _SAME_AS_LARGEST * np.abs(expected).max()
    if (np.abs(found - expected) > _SAME * np.abs(expected) + rounding).any():
        raise PlanError(
            "The page's curves do not give the plan's response: channels that do not add up are known to multiply with a "
            "log link only."
        )


def interpolation_error(plan: Any, levels: Levels, curves: Curves, draws: np.ndarray) -> float:
    """Largest error of any draw's total, in units of the target, over places halfway between knots.

    All channels are there at once, so that their errors add up.
    """
    last = levels.positions.shape[1] - 2
    befores = np.unique(np.linspace(0, last, _CHECKED).round().astype(int))
    between = [levels.positions[:, knot : knot + 2].mean(axis=1) for knot in befores]
    exact = [flat(plan.respond(levels.spend_at(places))["total"])[draws] for places in between]
    return max(float(np.abs(curves.at(places).total - at).max()) for places, at in zip(between, exact, strict=True))


def expected_baseline(model: MMM, params: Params) -> Float[Array, " time"]:
    """Expected target without media, for one draw, in units of the target."""
    return model.expectation(model.baseline(params), params)


def period_effects(model: MMM, params: Params, planned: Float[Array, "channel time"]) -> Float[Array, "channel time"]:
    """Effects of carry-in and plan on the linear predictor, for one draw.

    Args:
        model: the model over the horizon; its history is the carry-in, and its own media are there whatever the plan.
        params: one draw.
        planned: spend per period, scaled as the model's media.
    """
    return model.media_effects(params, model.media.at[:, model.history :].add(planned))


def flat(values: Any) -> np.ndarray:
    """Values per draw, shape (chain * draw,)."""
    return values.transpose("chain", "draw").to_numpy().ravel()


def by_channel(values: Any) -> np.ndarray:
    """Values per draw and channel, shape (chain * draw, channel), summed over any other dimension."""
    summed = values.sum([dim for dim in values.dims if dim not in ("chain", "draw", "channel")])
    return summed.transpose("chain", "draw", "channel").to_numpy().reshape(-1, summed.sizes["channel"])


def _media(problem: Any, spend: xr.DataArray) -> np.ndarray:
    """Scaled media that the spend buys, shape (geo, channel, date)."""
    table = spend if "geo" in spend.dims else spend.expand_dims(geo=1)
    return np.asarray(problem.rates.media(table.transpose("geo", "channel", "date").to_numpy()))


def _merged(positions: np.ndarray, effects: np.ndarray, baseline: np.ndarray) -> Curves:
    """Periods with the same effects as one, with the sum of their baselines."""
    rows = np.moveaxis(effects, 2, 0).reshape(effects.shape[2], -1)
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    sums = np.zeros((len(baseline), len(first)))
    np.add.at(sums.T, group.ravel(), baseline.T)
    return Curves(positions, effects[:, :, first], sums.astype(np.float32))
