"""Response to spend by channel and date, with its Jacobian by hand and its curvature as bands: plans with own dates.

Spend of one date works on the `l_max` dates from then on. So the second derivatives of the effects couple a channel's dates
within that window only, and are one matrix product per lag, instead of one backward pass per date.
"""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import lagged
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.outcome import Bends, Curve, Expansion, Link, bends


class CellResponse(eqx.Module):
    """Response of every draw to scaled media by channel and date.

    Attributes:
        history: scaled media before the horizon, shape (channel, history).
        held: scaled media over it that are there whatever the plan, shape (channel, date).
        weights: adstock weights, shape (draw, channel, lag).
        arguments: parameters of the saturation curve, shape (draw, channel) each.
        active: 1 for channels whose plan counts, else 0, shape (channel,).
        tail: dates after the horizon on which its spend still counts.
    """

    history: Float[Array, "channel history"]
    held: Float[Array, "channel date"]
    weights: Float[Array, "draw channel lag"]
    arguments: tuple[Float[Array, "draw channel"], ...]
    active: Float[Array, " channel"]
    link: Link
    curve: Curve = eqx.field(static=True)
    adstock_first: bool = eqx.field(static=True)
    tail: int = eqx.field(static=True)

    @classmethod
    def build(cls, model: MMM, draws: Params) -> Self:
        """Lay the model over the horizon out.

        Args:
            model: the model over the horizon; its history is the carry-in, and its own media are held.
            draws: arrays with the draws as first axis.
        """
        dates, channels = model.media.shape[1] - model.history, model.media.shape[0]
        tail = model.adstock.l_max - 1 if model.likelihood.additive else 0
        laid_out = cls(
            history=model.media[:, : model.history],
            held=model.media[:, model.history :],
            weights=jax.vmap(model.weights)(draws),
            arguments=jax.vmap(model.saturation.arguments)(draws),
            active=jnp.ones(channels),
            link=Link.build(model, draws, jnp.ones(dates + tail)),
            curve=model.saturation.curve,
            adstock_first=model.adstock_first,
            tail=tail,
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
        effects, curve = self._effects(media * self.active[:, None])
        responses, by_effect, bend = self.link.derivatives(effects)
        dates, active = media.shape[1], self.active[:, None]
        if self.adstock_first:
            jacobian = self._onto_dates(by_effect[:, None] * curve.slope, dates) * active
            return Expansion(responses, jacobian, (curve.slope, curve.bend, by_effect, bend))
        later = self._onto_dates(jnp.broadcast_to(by_effect[:, None], effects.shape), dates) * active
        return Expansion(responses, later * curve.slope, (curve.slope, curve.bend * later, by_effect, bend))

    def curvature(self, at: Expansion, weights: Float[Array, " draw"]) -> Float[Array, "channel date channel date"]:
        """Second derivatives of the weighted sum of the responses by the media of each cell."""
        slope, second, by_effect, bend = at.inner
        channels, dates = at.jacobian.shape[1:]
        alike = jnp.arange(channels)
        found = jnp.zeros((channels, dates, channels, dates))
        if self.adstock_first:
            own = self._banded(weights[:, None, None] * by_effect[:, None] * second, dates)
        else:
            own = jax.vmap(jnp.diag)(jnp.einsum("s,sct->ct", weights, second))
        # Indexed twice by channel, the pairs come first.
        found = found.at[alike, :, alike, :].add(own * self.active[:, None, None])
        return found if bend is None else found + self._crossed(weights[:, None] * bend, slope, dates)

    def _effects(self, media: Array) -> tuple[Array, Bends]:
        """Effects (draw, channel, period), and the curve where spend meets it."""
        arguments = tuple(argument[..., None] for argument in self.arguments)
        media = media + self.held
        padded = jnp.concatenate([self.history, jnp.pad(media, ((0, 0), (0, self.tail)))], axis=1)
        lags, before = self.weights.shape[2], self.history.shape[1]
        if self.adstock_first:
            windows = lagged(padded, lags)[..., before:]
            curve = bends(lambda x: self.curve(x, *arguments), jnp.einsum("clt,scl->sct", windows, self.weights))
            return curve.value, curve
        saturated = self.curve(jnp.broadcast_to(padded, (len(self.weights), *padded.shape)), *arguments)
        effects = jnp.einsum("sclt,scl->sct", lagged(saturated, lags)[..., before:], self.weights)
        planned = jnp.broadcast_to(media, (len(self.weights), *media.shape))
        return effects, bends(lambda x: self.curve(x, *arguments), planned)

    def _onto_dates(self, by_period: Float[Array, "draw channel period"], dates: int) -> Float[Array, "draw channel date"]:
        """What spend of a date does over the periods that it works on: the carry-over, turned around."""
        lags = self.weights.shape[2]
        padded = jnp.pad(by_period, ((0, 0), (0, 0), (0, dates + lags - 1 - by_period.shape[2])))
        shifted = jnp.stack([padded[:, :, lag : lag + dates] for lag in range(lags)], axis=2)
        return jnp.einsum("scl,sclt->sct", self.weights, shifted)

    def _banded(self, by_period: Float[Array, "draw channel period"], dates: int) -> Float[Array, "channel date date"]:
        """`sum over draws and periods of by_period[t] w[t - i] w[t - j]` for the dates i and j."""
        products = jnp.einsum("sct,sclm->ctlm", by_period, self.weights[:, :, :, None] * self.weights[:, :, None, :])
        size = dates + self.weights.shape[2]
        rows, columns = self._places(by_period.shape[2], dates)
        found = jnp.zeros((len(products), size, size)).at[:, rows, columns].add(products)
        return found[:, :dates, :dates]

    def _crossed(self, bend: Float[Array, "draw period"], slope: Array, dates: int) -> Array:
        """What the link's own curvature adds: it couples the dates of all channels that work on one period."""
        lags, periods = self.weights.shape[2], bend.shape[1]
        channels = slope.shape[1]
        if self.adstock_first:
            by_lag = self.weights[:, :, None, :] * slope[..., None]
        else:
            shifted = lagged(jnp.pad(slope, ((0, 0), (0, 0), (0, periods - dates))), lags)
            by_lag = self.weights[:, :, None, :] * shifted.swapaxes(2, 3)
        by_lag = by_lag * self.active[:, None, None]
        pairs = jnp.einsum("st,sctl,sdtm->tcldm", bend, by_lag, by_lag, optimize="optimal")
        rows, columns = self._places(periods, dates)
        found = jnp.zeros((channels, dates + lags, channels, dates + lags))
        # Indexed by dates on both sides of a channel, the pairs of dates come first.
        found = found.at[:, rows, :, columns].add(pairs.transpose(0, 2, 4, 1, 3))
        return found[:, :dates, :, :dates]

    def _places(self, periods: int, dates: int) -> tuple[np.ndarray, np.ndarray]:
        """Dates whose spend works on each period after each pair of lags, (period, lag, lag) each.

        Dates outside of the horizon land behind it, to be cut off.
        """
        lags = self.weights.shape[2]
        spent = np.arange(periods)[:, None] - np.arange(lags)
        spent = np.where((spent >= 0) & (spent < dates), spent, dates + lags - 1)
        shape = (periods, lags, lags)
        return np.broadcast_to(spent[:, :, None], shape), np.broadcast_to(spent[:, None, :], shape)
