"""Channels with reach and frequency in a plan: money buys reach, at the frequency that the channel has.

Their effect is linear in what is bought, so that all a response must know of them is what a unit of reach does on each date.
"""

from collections.abc import Iterable
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmm_jax.data.panel import Panel
from mmm_jax.data.reach import mean_frequency
from mmm_jax.kernels.adstock import lagged
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.recent import lately


def usual_frequency(panels: Iterable[Panel]) -> np.ndarray | None:
    """Average frequency that planned money buys reach at, shape (geo, channel); `None` where no channel has one.

    Impressions over people reached in the last 52 weeks of training (in all rows if there are fewer); where nobody was
    reached, in all rows, then in all geos. 0 for channels without frequency.

    Args:
        panels: the training rows of every geo.
    """
    markets = list(panels)
    if not markets[0].frequency_columns:
        return None
    own = np.stack([_own(panel) for panel in markets])
    joined = (np.concatenate([part(one) for one in markets], axis=1) for part in (_reach, _frequency))
    return np.where(np.isfinite(own), own, np.nan_to_num(mean_frequency(*joined)))


def planned_frequency(rows: Panel, training: Panel, channels: Iterable[str], usual: np.ndarray | None) -> np.ndarray | None:
    """Average frequency of the planned rows: theirs, if they have one above 0, or else the usual one; (channel, time).

    Args:
        rows: the planned rows. They may lack any frequency.
        training: the rows that were fitted.
        channels: the order of the result.
        usual: in the training rows' order of channels; by default that of these rows alone.
    """
    if not training.frequency_columns:
        return None
    mean = np.asarray(usual_frequency([training]))[0] if usual is None else usual
    given = dict(zip(rows.channels, _frequency(rows), strict=True))
    expected = dict(zip(training.channels, mean, strict=True))
    known = [(given.get(name, np.zeros(len(rows))), expected[name]) for name in channels]
    return np.stack([np.where(row > 0, row, one) for row, one in known])


class ReachLevels(eqx.Module):
    """Adstocked effect of the channels with frequency: carry-in alone, and of one unit of level.

    Attributes:
        carry: shape (draw, own, period).
        plan: likewise, per unit of level.
        channels: places of these channels among all.
    """

    carry: Float[Array, "draw own period"]
    plan: Float[Array, "draw own period"]
    channels: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def build(
        cls,
        model: MMM,
        draws: Params,
        carry: Float[np.ndarray, "channel period lag"],
        plan: Float[np.ndarray, "channel period lag"],
        periods: Int[np.ndarray, " period"],
    ) -> Self | None:
        """Carry-in and plan times what a unit of reach does; `None` where no channel has a frequency.

        Args:
            model: the model over the horizon.
            draws: arrays with the draws as first axis.
            carry: scaled reach of the carry-in.
            plan: scaled reach per unit of level.
            periods: which periods after the history these are.
        """
        responses = responses_of(model, draws)
        if model.frequency is None or responses is None:
            return None
        own, weights = model.frequency.places, jax.vmap(model.weights)(draws)
        responses = lagged(responses, model.l_max)[..., model.history :][..., periods]
        carried, planned = (
            jnp.einsum("ctl,sclt,scl->sct", windows[own], responses, weights[:, own]) for windows in (carry, plan)
        )
        return cls(carried, planned, model.frequency.channels)

    def only(self, channels: Float[Array, " channel"]) -> Self:
        """The same with the plan of some channels alone, given as ones among zeros."""
        return eqx.tree_at(lambda reach: reach.plan, self, self.plan * channels[np.array(self.channels), None])

    def put(self, values: Array, slope: Array, bend: Array, levels: Float[Array, " channel"]) -> tuple[Array, Array, Array]:
        """Effects and their derivatives by the levels, (draw, channel, period) each, with those of these channels."""
        own = np.array(self.channels)
        effects = self.carry + levels[own, None] * self.plan
        return values.at[:, own].set(effects), slope.at[:, own].set(self.plan), bend.at[:, own].set(0.0)


class ReachCells(eqx.Module):
    """What reach of the channels with frequency does, by date.

    Attributes:
        responses: effect of a unit of scaled reach before carry-over, over history, horizon and the dates on which these
            still count, shape (draw, own, history + period).
        weights: of the adstock, shape (draw, own, lag).
        before: dates of the history.
        channels: places of these channels among all.
    """

    responses: Float[Array, "draw own history_period"]
    weights: Float[Array, "draw own lag"]
    before: int = eqx.field(static=True)
    channels: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def build(cls, model: MMM, draws: Params) -> Self | None:
        """Of every draw; `None` where no channel has a frequency."""
        responses = responses_of(model, draws)
        if model.frequency is None or responses is None:
            return None
        weights = jax.vmap(model.weights)(draws)[:, model.frequency.places]
        return cls(responses, weights, model.history, model.frequency.channels)

    @property
    def places(self) -> np.ndarray:
        """`channels` as an index."""
        return np.array(self.channels)

    def effects(self, padded: Float[Array, "channel history_period"]) -> Float[Array, "draw own period"]:
        """Effects of the scaled media of all channels, carry-in and dates after the horizon included."""
        windows = lagged(padded[self.places] * self.responses, self.weights.shape[2])[..., self.before :]
        return jnp.einsum("sclt,scl->sct", windows, self.weights)

    def jacobian(self, by_effect: Float[Array, "#draw period"], dates: int) -> Float[Array, "draw own date"]:
        """How responses move with the media of each date, given how they move with the effects."""
        lags = self.weights.shape[2]
        padded = jnp.pad(by_effect, ((0, 0), (0, max(dates + lags - 1 - by_effect.shape[1], 0))))
        later = jnp.stack([padded[:, lag : lag + dates] for lag in range(lags)], axis=1)
        later = jnp.broadcast_to(later, (len(self.weights), *later.shape[1:]))
        return jnp.einsum("scl,slt->sct", self.weights, later) * self._over(dates)

    def by_lag(self, periods: int, dates: int) -> Float[Array, "draw own period lag"]:
        """Change of each period's effect with the media of so many periods before."""
        longer = ((0, 0), (0, 0), (0, periods - dates))
        shifted = lagged(jnp.pad(self._over(dates), longer), self.weights.shape[2])
        return self.weights[:, :, None, :] * shifted.swapaxes(2, 3)

    def _over(self, dates: int) -> Float[Array, "draw own date"]:
        """The responses over the horizon."""
        return self.responses[..., self.before : self.before + dates]


def responses_of(model: MMM, draws: Params) -> Float[Array, "draw own history_time_tail"] | None:
    """What a unit of scaled reach does before carry-over, over the model's rows and the dates on which these still count.

    `None` where no channel has a frequency.
    """
    if model.frequency is None:
        return None
    tail = model.l_max - 1 if model.likelihood.additive else 0
    return jnp.pad(jax.vmap(model.reach_responses)(draws), ((0, 0), (0, 0), (0, tail)))


def _own(panel: Panel) -> np.ndarray:
    late = lately(panel)
    found = mean_frequency(_reach(panel)[:, late], _frequency(panel)[:, late])
    return np.where(np.isfinite(found), found, mean_frequency(_reach(panel), _frequency(panel)))


def _reach(panel: Panel) -> np.ndarray:
    return panel.exposure


def _frequency(panel: Panel) -> np.ndarray:
    return np.zeros(panel.spend.shape) if panel.average_frequency is None else panel.average_frequency
