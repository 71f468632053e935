"""Response to spend by channel and date, with its Jacobian by hand and its curvature as bands: plans with own dates.

Spend of one date works on the `l_max` dates from then on. So the second derivatives of the effects couple a channel's dates
within that window only, and are one matrix product per lag, instead of one backward pass per date.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import lagged
from mmm_jax.model.components import Params
from mmm_jax.model.media import MediaPart, joined
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.outcome import Bends, Expansion, Link, bends
from mmm_jax.planning.reach import ReachCells


class CellSlopes(NamedTuple):
    """How responses move with the media of a part's channels.

    Attributes:
        jacobian: derivatives by the media of each cell, (draw, channel, date).
        slope: of the curve, by period where adstock comes first, else by date.
        bend: second derivatives, likewise; by date, of the responses rather than of the curve.
    """

    jacobian: Float[Array, "draw channel date"]
    slope: Array
    bend: Array


class CellPart(eqx.Module):
    """What spend of the channels of one of the model's parts does, by date.

    Attributes:
        weights: adstock weights, shape (draw, channel, lag).
        arguments: parameters of the saturation curve, shape (draw, channel) each.
    """

    weights: Float[Array, "draw channel lag"]
    arguments: tuple[Float[Array, "draw channel"], ...]
    part: MediaPart

    @classmethod
    def build(cls, part: MediaPart, draws: Params, channels: int) -> Self:
        """Every draw's weights and arguments, of a model with so many channels."""
        weights = jax.vmap(lambda params: part.all_weights(params, channels))(draws)
        return cls(weights, jax.vmap(part.arguments)(draws), part)

    def effects(self, padded: Float[Array, "all period"], before: int, dates: int) -> tuple[Array, Bends]:
        """Effects (draw, channel, period), and the curve where spend meets it.

        Args:
            padded: scaled media of all channels before, over and after the horizon.
            before: periods before it.
            dates: periods of it.
        """
        padded, arguments = self.part.own(padded), tuple(argument[..., None] for argument in self.arguments)
        curve, lags = self.part.saturation.curve, self.weights.shape[2]
        if self.part.adstock_first:
            windows = lagged(padded, lags)[..., before:]
            found = bends(lambda x: curve(x, *arguments), jnp.einsum("clt,scl->sct", windows, self.weights))
            return found.value, found
        saturated = curve(jnp.broadcast_to(padded, (len(self.weights), *padded.shape)), *arguments)
        effects = jnp.einsum("sclt,scl->sct", lagged(saturated, lags)[..., before:], self.weights)
        media = padded[:, before : before + dates]
        planned = jnp.broadcast_to(media, (len(self.weights), *media.shape))
        return effects, bends(lambda x: curve(x, *arguments), planned)

    def expanded(self, curve: Bends, by_effect: Float[Array, "#draw period"], dates: int, active: Array) -> CellSlopes:
        """How the responses move with the channels' media, given how they move with the effects."""
        active = self.part.own(active)[:, None]
        if self.part.adstock_first:
            jacobian = self._onto_dates(by_effect[:, None] * curve.slope, dates) * active
            return CellSlopes(jacobian, curve.slope, curve.bend)
        shape = (*self.weights.shape[:2], by_effect.shape[1])
        later = self._onto_dates(jnp.broadcast_to(by_effect[:, None], shape), dates) * active
        return CellSlopes(later * curve.slope, curve.slope, curve.bend * later)

    def own_curvature(self, at: CellSlopes, weights: Array, by_effect: Array, dates: int) -> Array:
        """What each channel's own effects bend by its dates, (channel, date, date)."""
        if self.part.adstock_first:
            return self._banded(weights[:, None, None] * by_effect[:, None] * at.bend, dates)
        return jax.vmap(jnp.diag)(jnp.einsum("s,sct->ct", weights, at.bend))

    def by_lag(self, slope: Array, periods: int, dates: int, lags: int) -> Float[Array, "draw channel period lag"]:
        """Change of each period's effect with the media of so many periods before."""
        if self.part.adstock_first:
            found = self.weights[:, :, None, :] * slope[..., None]
        else:
            shifted = lagged(jnp.pad(slope, ((0, 0), (0, 0), (0, periods - dates))), self.weights.shape[2])
            found = self.weights[:, :, None, :] * shifted.swapaxes(2, 3)
        more = lags - found.shape[3]
        return jnp.pad(found, ((0, 0), (0, 0), (0, 0), (0, more))) if more else found

    def _onto_dates(self, by_period: Float[Array, "draw channel period"], dates: int) -> Float[Array, "draw channel date"]:
        """What spend of a date does over the periods that it works on: the carry-over, turned around."""
        lags = self.weights.shape[2]
        padded = jnp.pad(by_period, ((0, 0), (0, 0), (0, max(dates + lags - 1 - by_period.shape[2], 0))))
        shifted = jnp.stack([padded[:, :, lag : lag + dates] for lag in range(lags)], axis=2)
        return jnp.einsum("scl,sclt->sct", self.weights, shifted)

    def _banded(self, by_period: Float[Array, "draw channel period"], dates: int) -> Float[Array, "channel date date"]:
        """`sum over draws and periods of by_period[t] w[t - i] w[t - j]` for the dates i and j."""
        products = jnp.einsum("sct,sclm->ctlm", by_period, self.weights[:, :, :, None] * self.weights[:, :, None, :])
        lags = self.weights.shape[2]
        rows, columns = _places(by_period.shape[2], dates, lags)
        found = jnp.zeros((len(products), dates + lags, dates + lags)).at[:, rows, columns].add(products)
        return found[:, :dates, :dates]


class CellResponse(eqx.Module):
    """Response of every draw to scaled media by channel and date.

    Attributes:
        history: scaled media before the horizon, shape (channel, history).
        held: scaled media over it that are there whatever the plan, shape (channel, date).
        active: 1 for channels whose plan counts, else 0, shape (channel,).
        tail: dates after the horizon on which its spend still counts.
        lags: length of the longest adstock window.
        reach: channels with frequency, whose effect is linear in their media, whatever their part; `None` without any.
    """

    parts: tuple[CellPart, ...]
    history: Float[Array, "channel history"]
    held: Float[Array, "channel date"]
    active: Float[Array, " channel"]
    link: Link
    reach: ReachCells | None
    tail: int = eqx.field(static=True)
    lags: int = eqx.field(static=True)

    @classmethod
    def build(cls, model: MMM, draws: Params) -> Self:
        """Lay the model over the horizon out.

        Args:
            model: the model over the horizon; its history is the carry-in, and its own media are held.
            draws: arrays with the draws as first axis.
        """
        dates, channels = model.media.shape[1] - model.history, model.media.shape[0]
        tail = model.l_max - 1 if model.likelihood.additive else 0
        laid_out = cls(
            parts=tuple(CellPart.build(part, draws, channels) for part in model.parts),
            history=model.media[:, : model.history],
            held=model.media[:, model.history :],
            active=jnp.ones(channels),
            link=Link.build(model, draws, jnp.ones(dates + tail)),
            reach=ReachCells.build(model, draws),
            tail=tail,
            lags=model.l_max,
        )
        carried = laid_out.link.after(laid_out._effects(jnp.zeros((channels, dates)))[0])
        return eqx.tree_at(lambda response: response.link, laid_out, carried)

    def only(self, channels: Float[Array, " channel"]) -> Self:
        """The response to the spend of some channels alone, given as ones among zeros."""
        return eqx.tree_at(lambda response: response.active, self, self.active * channels)

    def __call__(self, media: Float[Array, "channel date"]) -> Float[Array, " draw"]:
        """Total response of every draw, in units of the target."""
        return self.link.responses(self._effects(media * self.active[:, None])[0])

    def expand(self, media: Float[Array, "channel date"]) -> Expansion:
        """Responses and their derivatives by the media of each cell, (draw, channel, date)."""
        effects, curves = self._effects(media * self.active[:, None])
        responses, by_effect, bend = self.link.derivatives(effects)
        each = zip(self.parts, curves, strict=True)
        found = tuple(part.expanded(curve, by_effect, media.shape[1], self.active) for part, curve in each)
        jacobian = self._joined([one.jacobian for one in found])
        if self.reach is not None:
            by_media = self.reach.jacobian(by_effect, media.shape[1])
            jacobian = jacobian.at[:, self.reach.places].set(by_media * self.active[self.reach.places, None])
        return Expansion(responses, jacobian, (found, by_effect, bend))

    def curvature(self, at: Expansion, weights: Float[Array, " draw"]) -> Float[Array, "channel date channel date"]:
        """Second derivatives of the weighted sum of the responses by the media of each cell."""
        slopes, by_effect, bend = at.inner
        channels, dates = at.jacobian.shape[1:]
        alike = jnp.arange(channels)
        found = jnp.zeros((channels, dates, channels, dates))
        each = zip(self.parts, slopes, strict=True)
        own = self._joined([part.own_curvature(one, weights, by_effect, dates) for part, one in each], axis=0)
        if self.reach is not None:
            own = own.at[self.reach.places].set(0.0)
        # Indexed twice by channel, the pairs come first.
        found = found.at[alike, :, alike, :].add(own * self.active[:, None, None])
        return found if bend is None else found + self._crossed(weights[:, None] * bend, slopes, dates)

    def _effects(self, media: Array) -> tuple[Array, tuple[Bends, ...]]:
        """Effects (draw, channel, period), and of every part the curve where spend meets it."""
        before, dates = self.history.shape[1], media.shape[1]
        padded = jnp.concatenate([self.history, jnp.pad(media + self.held, ((0, 0), (0, self.tail)))], axis=1)
        effects, curves = zip(*(part.effects(padded, before, dates) for part in self.parts), strict=True)
        every = self._joined(effects)
        if self.reach is not None:
            every = every.at[:, self.reach.places].set(self.reach.effects(padded))
        return every, curves

    def _crossed(self, bend: Float[Array, "draw period"], slopes: Sequence[CellSlopes], dates: int) -> Array:
        """What the link's own curvature adds: it couples the dates of all channels that work on one period."""
        periods, channels = bend.shape[1], len(self.active)
        each = zip(self.parts, slopes, strict=True)
        by_lag = self._joined([part.by_lag(one.slope, periods, dates, self.lags) for part, one in each])
        if self.reach is not None:
            by_lag = by_lag.at[:, self.reach.places].set(self.reach.by_lag(periods, dates))
        by_lag = by_lag * self.active[:, None, None]
        pairs = jnp.einsum("st,sctl,sdtm->tcldm", bend, by_lag, by_lag, optimize="optimal")
        rows, columns = _places(periods, dates, self.lags)
        found = jnp.zeros((channels, dates + self.lags, channels, dates + self.lags))
        # Indexed by dates on both sides of a channel, the pairs of dates come first.
        found = found.at[:, rows, :, columns].add(pairs.transpose(0, 2, 4, 1, 3))
        return found[:, :dates, :, :dates]

    def _joined(self, values: Sequence[Array], axis: int = 1) -> Array:
        return joined([part.part for part in self.parts], values, axis)


def _places(periods: int, dates: int, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Dates whose spend works on each period after each pair of lags, (period, lag, lag) each.

    Dates outside of the horizon land behind it, to be cut off.
    """
    spent = np.arange(periods)[:, None] - np.arange(lags)
    spent = np.where((spent >= 0) & (spent < dates), spent, dates + lags - 1)
    shape = (periods, lags, lags)
    return np.broadcast_to(spent[:, :, None], shape), np.broadcast_to(spent[:, None, :], shape)
