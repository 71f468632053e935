"""Response to one level per channel times a fixed profile over the dates: the fast path of plans without own dates."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmm_jax.kernels.adstock import lagged
from mmm_jax.model.components import Params
from mmm_jax.model.media import MediaPart, joined
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.outcome import Expansion, Link, bends
from mmm_jax.planning.reach import ReachLevels


class HorizonWindows(NamedTuple):
    """Scaled spend of the periods of a horizon by lag: carry-in alone, one unit of level alone, and how often it occurs.

    Where some channel has a frequency, `periods` says which periods these are.
    """

    carry: Float[np.ndarray, "channel period lag"]
    plan: Float[np.ndarray, "channel period lag"]
    counts: Float[np.ndarray, " period"]
    periods: Int[np.ndarray, " period"] | None = None


def horizon_windows(model: MMM, profile: np.ndarray, *, distinct: bool = True) -> HorizonWindows:
    """Lay a horizon out for `LevelResponse`.

    Args:
        model: the model over the horizon; its history is the carry-in, and its own media are there whatever the plan.
        profile: scaled spend per unit of level, shape (channel, time).
        distinct: keep periods that look the same once, where their number is all that counts.
    """
    tail = model.l_max - 1 if model.likelihood.additive else 0
    count = profile.shape[1] + tail
    periods = None if model.frequency is None else np.arange(count)
    every = HorizonWindows(*_windows(model, profile, tail), np.ones(count), periods)
    return _distinct(every, _frequencies(model, tail)) if distinct and model.likelihood.additive else every


class LevelPart(eqx.Module):
    """Effects of the channels of one of the model's parts, by level.

    Attributes:
        carry: adstocked carry-in (scaled), shape (draw, channel, period), or by lag, (channel, period, lag), where
            saturation comes first.
        plan: adstocked profile of one unit of level, likewise.
        weights: adstock weights, shape (draw, channel, lag).
        arguments: parameters of the saturation curve, shape (draw, channel) each.
    """

    carry: Array
    plan: Array
    weights: Float[Array, "draw channel lag"]
    arguments: tuple[Float[Array, "draw channel"], ...]
    part: MediaPart

    @classmethod
    def build(cls, part: MediaPart, draws: Params, windows: HorizonWindows) -> Self:
        """Adstock the windows of the part's channels with every draw's weights."""
        lags, channels = part.adstock.l_max, windows.plan.shape[0]
        carry, plan = (part.own(jnp.asarray(one))[..., :lags] for one in (windows.carry, windows.plan))
        weights = jax.vmap(lambda params: part.all_weights(params, channels))(draws)
        if part.adstock_first:
            carry, plan = (jnp.einsum("ctl,scl->sct", windows, weights) for windows in (carry, plan))
        return cls(carry, plan, weights, jax.vmap(part.arguments)(draws), part)

    def only(self, channels: Float[Array, " channel"]) -> Self:
        """The same where only some of all channels are planned, given as ones among zeros."""
        own = self.part.own(channels)
        mask = own[:, None] if self.part.adstock_first else own[:, None, None]
        return eqx.tree_at(lambda part: part.plan, self, self.plan * mask)

    def effects(self, levels: Float[Array, " channel"]) -> Float[Array, "draw part_channel period"]:
        """Effects at the levels of all channels."""
        values = self.part.saturation.curve(*self._curve_arguments(levels))
        return values if self.part.adstock_first else jnp.einsum("sctl,scl->sct", values, self.weights)

    def derivatives(self, levels: Array) -> tuple[Array, Array, Array]:
        """Effects and their first and second derivatives by the channel's own level, (draw, part_channel, period) each."""
        spend, *arguments = self._curve_arguments(levels)
        found = bends(lambda x: self.part.saturation.curve(x, *arguments), spend)
        if self.part.adstock_first:
            return found.value, found.slope * self.plan, found.bend * self.plan**2
        parts = (found.value, found.slope * self.plan, found.bend * self.plan**2)
        effects, slopes, second = (jnp.einsum("sctl,scl->sct", part, self.weights) for part in parts)
        return effects, slopes, second

    def _curve_arguments(self, levels: Array) -> tuple[Array, ...]:
        levels = self.part.own(levels)
        if self.part.adstock_first:
            return self.carry + levels[:, None] * self.plan, *(argument[..., None] for argument in self.arguments)
        spend = self.carry + levels[:, None, None] * self.plan
        arguments = tuple(argument[..., None, None] for argument in self.arguments)
        return jnp.broadcast_to(spend, (len(self.weights), *spend.shape)), *arguments


class LevelResponse(eqx.Module):
    """Response of every draw to one level per channel.

    Periods whose carry-in and profile look the same through the adstock window are computed once and counted: of a flat
    plan over 26 weeks with a window of 6, 11 of 31 remain.

    Attributes:
        reach: channels with frequency, whose effect is linear in the level, whatever their part; `None` without any.
    """

    parts: tuple[LevelPart, ...]
    link: Link
    reach: ReachLevels | None

    @classmethod
    def build(cls, model: MMM, draws: Params, windows: HorizonWindows) -> Self:
        """Adstock the windows with every draw's weights.

        Args:
            model: the model over the horizon, as for the windows.
            draws: arrays with the draws as first axis.
            windows: from `horizon_windows` of the same model.
        """
        parts = tuple(LevelPart.build(part, draws, windows) for part in model.parts)
        reach = None if windows.periods is None else ReachLevels.build(model, draws, *windows[:2], windows.periods)
        laid_out = cls(parts, Link.build(model, draws, jnp.asarray(windows.counts)), reach)
        carried = laid_out.link.after(laid_out._effects(jnp.zeros(model.media.shape[0])))
        return eqx.tree_at(lambda response: response.link, laid_out, carried)

    def only(self, channels: Float[Array, " channel"]) -> Self:
        """The response to the spend of some channels alone, given as ones among zeros."""
        alone = tuple(part.only(channels) for part in self.parts)
        reach = None if self.reach is None else self.reach.only(channels)
        return type(self)(alone, self.link, reach)

    def __call__(self, levels: Float[Array, " channel"]) -> Float[Array, " draw"]:
        """Total response of every draw, in units of the target."""
        return self.link.responses(self._effects(levels))

    def expand(self, levels: Float[Array, " channel"]) -> Expansion:
        """Responses and their derivatives by the levels, (draw, channel)."""
        each = zip(*(part.derivatives(levels) for part in self.parts), strict=True)
        effects, slopes, second = (self._joined(values) for values in each)
        if self.reach is not None:
            effects, slopes, second = self.reach.put(effects, slopes, second, levels)
        responses, by_effect, bend = self.link.derivatives(effects)
        return Expansion(responses, jnp.einsum("st,sct->sc", by_effect, slopes), (slopes, second, by_effect, bend))

    def curvature(self, at: Expansion, weights: Float[Array, " draw"]) -> Float[Array, "channel channel"]:
        """Second derivatives of the weighted sum of the responses by the levels."""
        slopes, second, by_effect, bend = at.inner
        weighted = weights[:, None] * by_effect
        found = jnp.diag(jnp.einsum("st,sct->c", jnp.broadcast_to(weighted, (len(weights), weighted.shape[1])), second))
        if bend is None:
            return found
        return found + jnp.einsum("st,sct,sdt->cd", weights[:, None] * bend, slopes, slopes, optimize="optimal")

    def _effects(self, levels: Array) -> Float[Array, "draw channel period"]:
        effects = self._joined([part.effects(levels) for part in self.parts])
        return effects if self.reach is None else self.reach.put(effects, effects, effects, levels)[0]

    def _joined(self, values: Sequence[Array]) -> Float[Array, "draw channel period"]:
        return joined([part.part for part in self.parts], values, axis=1)


def _distinct(windows: HorizonWindows, frequencies: Float[np.ndarray, "own period lag"]) -> HorizonWindows:
    """Every different period once, with its count."""
    parts = (np.concatenate([windows.carry, windows.plan], axis=2), frequencies)
    rows = np.concatenate([part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in parts], axis=1)
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    periods = None if windows.periods is None else windows.periods[first]
    return HorizonWindows(windows.carry[:, first], windows.plan[:, first], counts.astype(float), periods)


def _frequencies(model: MMM, tail: int) -> Float[np.ndarray, "own period lag"]:
    """Average frequency by lag over the horizon and the periods after it."""
    if model.frequency is None:
        return np.zeros((0, model.windows.shape[-1] + tail, 0))
    longer = np.pad(np.asarray(model.frequency.scaled), ((0, 0), (0, tail)))
    return np.asarray(_lay_out(longer, model.l_max)).swapaxes(1, 2)[:, model.history :]


def _windows(model: MMM, profile: np.ndarray, tail: int) -> tuple[np.ndarray, np.ndarray]:
    """Carry-in alone and profile alone, by lag, over the horizon and `tail` periods after it."""
    history, channels = model.history, profile.shape[0]
    carry = np.pad(np.asarray(model.media), ((0, 0), (0, tail)))
    plan = np.pad(profile, ((0, 0), (history, tail)))
    windows = np.asarray(_lay_out(np.concatenate([carry, plan]), model.l_max))
    windows = windows.swapaxes(1, 2)[:, history:]
    return windows[:channels], windows[channels:]


_lay_out = jax.jit(lagged, static_argnums=1)
