"""Response of every draw to the numbers that are decided: from numbers to spend, to media, to all markets' responses."""

from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmm_jax.planning.cells import CellResponse
from mmm_jax.planning.levels import LevelResponse
from mmm_jax.planning.outcome import Expansion, bends
from mmm_jax.planning.prices import Rates


class DecidedResponse(eqx.Module):
    """Total response of all markets.

    Attributes:
        markets: responses of the markets, with the geo as first axis of every array: to levels where plans have no own
            dates and no price rises, else to cells.
        rates: what currency buys; of cells only, since levels come in scaled media per currency already.
        index: number that each level (geo, channel) or cell (geo, channel, date) belongs to.
        shares: share of its number that each of them gets.
        count: how many numbers there are.
        identity: whether every cell has its own number, in their order.
    """

    markets: LevelResponse | CellResponse
    rates: Rates | None
    index: Int[Array, "geo channel *date"]
    shares: Float[Array, "geo channel *date"]
    count: int = eqx.field(static=True)
    identity: bool = eqx.field(static=True)

    def only(self, channels: Float[Array, " channel"]) -> Self:
        """The response to the spend of some channels alone, given as ones among zeros."""
        alone = self._each(lambda market, mask: market.only(mask), jnp.broadcast_to(channels, self.index.shape[:2]))
        return eqx.tree_at(lambda response: response.markets, self, alone)

    def __call__(self, amounts: Float[Array, " number"]) -> Float[Array, " draw"]:
        """Response of every draw, in units of the target, to currency by number."""
        media = self._media(self._spend(amounts))
        return self._each(lambda market, planned: market(planned), media).sum(axis=0)

    def expand(self, amounts: Float[Array, " number"]) -> Expansion:
        """Responses and their derivatives by the numbers, (draw, number)."""
        spend = self._spend(amounts)
        bought = bends(self._media, spend)
        found = self._each(lambda market, planned: market.expand(planned), bought.value)
        per_number = found.jacobian * (bought.slope * self.shares)[:, None]
        second = None if self.rates is None else bought.bend * self.shares**2
        inner = (found, bought.slope * self.shares, second)
        return Expansion(found.responses.sum(axis=0), self._gathered(per_number), inner)  # pyright: ignore

    def curvature(self, at: Expansion, weights: Float[Array, " draw"]) -> Float[Array, "number number"]:
        """Second derivatives of the weighted sum of the responses by the numbers."""
        found, slopes, second = at.inner
        blocks = self._each(lambda market, one: market.curvature(one, weights), found)
        places = self.index.reshape(len(self.index), -1)
        slopes = slopes.reshape(places.shape)
        blocks = blocks.reshape(*places.shape, places.shape[1]) * slopes[:, :, None] * slopes[:, None, :]
        if second is not None:
            by_media = jnp.einsum("s,gs...->g...", weights, found.jacobian) * second
            blocks = blocks + jax.vmap(jnp.diag)(by_media.reshape(places.shape))
        if self.identity and len(places) == 1:
            return blocks[0]
        found = jnp.zeros((self.count, self.count))
        return found.at[places[:, :, None], places[:, None, :]].add(blocks)

    def _each(self, function: Callable[..., Any], argument: Any) -> Any:
        """The function of each market and its part of the argument; a market alone is not worth a mapped program."""
        if len(self.index) > 1:
            return eqx.filter_vmap(function)(self.markets, argument)
        alone, part = jax.tree.map(lambda leaf: leaf[0], (self.markets, argument))
        return jax.tree.map(lambda leaf: leaf[None], function(alone, part))

    def _spend(self, amounts: Array) -> Array:
        if self.identity:
            return self.shares * amounts.reshape(self.shares.shape)
        return self.shares * amounts[self.index]

    def _media(self, spend: Array) -> Array:
        return spend if self.rates is None else self.rates.media(spend)

    def _gathered(self, per_cell: Float[Array, "geo draw channel *date"]) -> Float[Array, "draw number"]:
        by_draw = jnp.moveaxis(per_cell, 0, 1).reshape(per_cell.shape[1], -1)
        if self.identity:
            return by_draw
        return jnp.zeros((len(by_draw), self.count)).at[:, self.index.ravel()].add(by_draw)
