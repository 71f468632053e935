"""What planned spend brings, for one posterior draw or, laid out for speed, for all of them.

`R_s(x) = media(carry-in and x) - media(carry-in alone)` over the horizon and, with an additive likelihood, the
`l_max - 1` periods after it. With a log link it is the difference of the expected target over the horizon alone: what
the spend multiplies is not known beyond it.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import lagged
from mmm_jax.model.components import Params
from mmm_jax.model.likelihoods import AbstractLikelihood
from mmm_jax.model.mmm import MMM


def plan_response(
    model: MMM, params: Params, planned: Float[Array, "channel time"]
) -> dict[str, Float[Array, " channel"] | Float[Array, ""]]:
    """Response to a plan, for one draw: the reference that the fast path is tested against.

    Args:
        model: the model over the horizon; its history is the carry-in, its own spend is not used.
        params: one draw.
        planned: planned spend per period, scaled as the model's media.

    Returns:
        `total`, and `channel`: what each channel brings in addition to all others as they are planned; with an
        additive likelihood these add up to the total.
    """
    carry = jnp.pad(model.media[:, : model.history], ((0, 0), (0, planned.shape[1])))
    with_plan = carry.at[:, model.history :].set(planned)
    # Nothing planned brings nothing: not the rounding of the carry-in's effect, which would show in people's tables.
    spent = (planned != 0).any(axis=1)
    if model.likelihood.additive:
        change = model.target_scale * (_with_tail(model, params, with_plan) - _with_tail(model, params, carry))
        channel = jnp.where(spent, change.sum(axis=1), 0.0)
        return {"total": channel.sum(), "channel": channel}
    baseline = model.baseline(params)
    effects, before = model.media_effects(params, with_plan), model.media_effects(params, carry)
    mu = baseline + effects.sum(axis=0)
    mean = model.expectation(mu, params)
    total = (mean - model.expectation(baseline + before.sum(axis=0), params)).sum()
    channel = (mean - model.expectation(mu - effects + before, params)).sum(axis=1)
    return {"total": jnp.where(spent.any(), total, 0.0), "channel": jnp.where(spent, channel, 0.0)}


class HorizonWindows(NamedTuple):
    """Scaled spend of the periods of a horizon by lag: carry-in alone, one unit of level alone, and how often it occurs."""

    carry: Float[np.ndarray, "channel period lag"]
    plan: Float[np.ndarray, "channel period lag"]
    counts: Float[np.ndarray, " period"]


def horizon_windows(model: MMM, profile: np.ndarray) -> HorizonWindows:
    """Lay a horizon out for `LevelResponse`.

    Args:
        model: the model over the horizon; its history is the carry-in.
        profile: scaled spend per unit of level, shape (channel, time).
    """
    if not model.likelihood.additive:
        return HorizonWindows(*_windows(model, profile, 0), np.ones(profile.shape[1]))
    tail = model.adstock.l_max - 1
    return _distinct(HorizonWindows(*_windows(model, profile, tail), np.ones(profile.shape[1] + tail)))


class LevelResponse(eqx.Module):
    """Response of every draw to one level per channel times a fixed profile over the dates.

    Periods whose carry-in and profile look the same through the adstock window are computed once and counted: of a flat
    plan over 26 weeks with a window of 6, 11 of 31 remain.

    Attributes:
        carry: adstocked carry-in (scaled), shape (draw, channel, period), or by lag, (channel, period, lag), where
            saturation comes first.
        plan: adstocked profile of one unit of level, likewise.
        weights: adstock weights, shape (draw, channel, lag).
        arguments: parameters of the saturation curve, shape (draw, channel) each.
        counts: how many dates each period stands for, shape (period,).
        baseline: linear predictor without media, shape (draw, period); `None` with an additive likelihood.
        params: all draws, for the likelihood's own parameters; empty with an additive likelihood.
        offset: outcome of the carry-in alone, shape (draw,).
    """

    carry: Array
    plan: Array
    weights: Float[Array, "draw channel lag"]
    arguments: tuple[Float[Array, "draw channel"], ...]
    counts: Float[Array, " period"]
    baseline: Float[Array, "draw period"] | None
    params: Params
    likelihood: AbstractLikelihood
    target_scale: Float[Array, ""]
    offset: Float[Array, " draw"]
    curve: Callable[..., Array] = eqx.field(static=True)
    adstock_first: bool = eqx.field(static=True)

    @classmethod
    def build(cls, model: MMM, draws: Params, windows: "HorizonWindows") -> Self:
        """Adstock the windows with every draw's weights.

        Args:
            model: the model over the horizon; its history is the carry-in.
            draws: arrays with the draws as first axis.
            windows: from `horizon_windows` of the same model.
        """
        carry, plan, counts = map(jnp.asarray, windows)
        additive = model.likelihood.additive
        weights = jax.vmap(model.weights)(draws)
        if model.adstock_first:
            carry, plan = (jnp.einsum("ctl,scl->sct", windows, weights) for windows in (carry, plan))
        laid_out = cls(
            carry=carry,
            plan=plan,
            weights=weights,
            arguments=jax.vmap(model.saturation.arguments)(draws),
            counts=counts,
            baseline=None if additive else jax.vmap(model.baseline)(draws),
            params={} if additive else draws,
            likelihood=model.likelihood,
            target_scale=model.target_scale,
            offset=jnp.zeros(weights.shape[0]),
            curve=model.saturation.curve,
            adstock_first=model.adstock_first,
        )
        carry_alone = laid_out(jnp.zeros(weights.shape[1]))
        return eqx.tree_at(lambda response: response.offset, laid_out, carry_alone)

    def __call__(self, levels: Float[Array, " channel"]) -> Float[Array, " draw"]:
        """Total response of every draw, in units of the target."""
        effects = self._effects(levels).sum(axis=1)
        if self.baseline is not None:
            effects = jax.vmap(self.likelihood.expectation)(self.baseline + effects, self.params)
        return self.target_scale * (effects @ self.counts) - self.offset

    def _effects(self, levels: Float[Array, " channel"]) -> Float[Array, "draw channel period"]:
        if self.adstock_first:
            spend = self.carry + levels[:, None] * self.plan
            return self.curve(spend, *(argument[..., None] for argument in self.arguments))
        spend = (self.carry + levels[:, None, None] * self.plan)[None]
        saturated = self.curve(spend, *(argument[..., None, None] for argument in self.arguments))
        return jnp.einsum("sctl,scl->sct", saturated, self.weights)


def _with_tail(model: MMM, params: Params, media: Array) -> Float[Array, "channel time_tail"]:
    return model.media_effects(params, jnp.pad(media, ((0, 0), (0, model.adstock.l_max - 1))))


def _distinct(windows: "HorizonWindows") -> "HorizonWindows":
    """Every different period once, with its count."""
    both = np.concatenate([windows.carry, windows.plan], axis=2)
    rows = both.transpose(1, 0, 2).reshape(both.shape[1], -1)
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    return HorizonWindows(windows.carry[:, first], windows.plan[:, first], counts.astype(float))


def _windows(model: MMM, profile: np.ndarray, tail: int) -> tuple[np.ndarray, np.ndarray]:
    """Carry-in alone and profile alone, by lag, over the horizon and `tail` periods after it."""
    history, channels = model.history, profile.shape[0]
    carry = np.pad(np.asarray(model.media)[:, :history], ((0, 0), (0, profile.shape[1] + tail)))
    plan = np.pad(profile, ((0, 0), (history, tail)))
    windows = np.asarray(_lay_out(np.concatenate([carry, plan]), model.adstock.l_max))
    windows = windows.swapaxes(1, 2)[:, history:]
    return windows[:channels], windows[channels:]


_lay_out = jax.jit(lagged, static_argnums=1)
