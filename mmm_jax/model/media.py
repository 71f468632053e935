"""From parameters and media to effects, part by part: a part is the channels that share adstock, saturation and their order.

A model without groups is one part that has all channels, and what happens then is what would without any parts.
"""

from collections.abc import Sequence
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import carry_over, lagged
from mmm_jax.kernels.media import media_effects, media_total
from mmm_jax.kernels.places import Places, taken
from mmm_jax.model.components import AbstractAdstock, AbstractSaturation, Params
from mmm_jax.model.groups import Choice, channel_choices, home_of
from mmm_jax.model.spec import ModelSpec


class MediaPart(eqx.Module):
    """Channels that share adstock, saturation and their order; made by `media_parts`.

    Attributes:
        channels: places among the model's channels; `None` for all of them.
        held: of every parameter, places of the channels among those that have it.
    """

    adstock: AbstractAdstock
    saturation: AbstractSaturation
    adstock_first: bool = eqx.field(static=True)
    channels: Places | None = eqx.field(static=True, default=None)
    held: tuple[tuple[str, Places], ...] = eqx.field(static=True, default=())

    @classmethod
    def of(cls, choice: Choice, chosen: Sequence[Choice]) -> Self:
        """The part of a choice.

        Args:
            choice: one of those below.
            chosen: of every channel.
        """
        if all(other == choice for other in chosen):
            return cls(*choice)
        own = tuple(place for place, other in enumerate(chosen) if other == choice)
        holders = {name: [p for p, other in enumerate(chosen) if name in other.parameters] for name in choice.parameters}
        held = tuple((name, tuple(places.index(place) for place in own)) for name, places in holders.items())
        return cls(*choice, own, held)

    def own(self, values: Array, axis: int = 0) -> Array:
        """Of values of all channels, those of the part's."""
        return taken(values, self.channels, axis)

    def weights(self, params: Params) -> Float[Array, "#part_channel part_lag"]:
        """Adstock weights over the part's own window."""
        return self.adstock.weights(self._params(params))

    def arguments(self, params: Params) -> tuple[Float[Array, " part_channel"], ...]:
        """The curve's parameters of one draw, in the order of its signature."""
        return self.saturation.arguments(self._params(params))

    def effects(
        self, params: Params, media: Array, windows: Array | None, history: int
    ) -> Float[Array, "part_channel time"]:
        """Effect of each of the part's channels, see `MMM.media_effects`.

        Args:
            params: one draw.
            media: scaled spend of all channels, shape (channel, history + time).
            windows: the same laid out by lag, shape (channel, lag, time), if it is known already.
            history: rows of carry-in.
        """
        weights, arguments = self.all_weights(params, media.shape[0]), self.arguments(params)
        if self.adstock_first:
            return media_effects(self.saturation.curve, self._laid_out(media, windows, history), weights, arguments)
        saturated = self.saturation.curve(self.own(media), *(argument[:, None] for argument in arguments))
        return carry_over(lagged(saturated, self.adstock.l_max)[..., history:], weights)

    def total(self, params: Params, media: Array, windows: Array | None, history: int) -> Float[Array, " time"]:
        """Summed effect of the part's channels; arguments as for `effects`."""
        if not self.adstock_first:
            return self.effects(params, media, windows, history).sum(axis=0)
        weights, arguments = self.all_weights(params, media.shape[0]), self.arguments(params)
        total: Any = media_total(self.saturation.partials, self._laid_out(media, windows, history), weights, arguments)
        return total

    def all_weights(self, params: Params, channels: int) -> Float[Array, "part_channel part_lag"]:
        """The weights of each of the part's channels, of `channels` in all."""
        count = channels if self.channels is None else len(self.channels)
        return jnp.broadcast_to(self.weights(params), (count, self.adstock.l_max))

    def _laid_out(self, media: Array, windows: Array | None, history: int) -> Float[Array, "part_channel part_lag time"]:
        if windows is None:
            return lagged(self.own(media), self.adstock.l_max)[..., history:]
        own = self.own(windows)
        return own if own.shape[1] == self.adstock.l_max else own[:, : self.adstock.l_max]

    def _params(self, params: Params) -> Params:
        return params if self.channels is None else {name: taken(params[name], places) for name, places in self.held}


Parts = tuple[MediaPart, ...]


def media_parts(spec: ModelSpec, channels: Sequence[str], padding: int = 0) -> Parts:
    """The parts of a model.

    Args:
        spec: the choices.
        channels: of the panel.
        padding: channels without spend that come after them: of those in no group, see `home_of`.

    Raises:
        SpecError: a group names a channel that the panel does not have.
    """
    chosen = channel_choices(spec, channels)
    chosen += [home_of(spec, chosen)] * padding
    different = [choice for place, choice in enumerate(chosen) if choice not in chosen[:place]]
    return tuple(MediaPart.of(choice, chosen) for choice in different)


def joined(parts: Sequence[MediaPart], of_parts: Sequence[Array], axis: int = 0) -> Array:
    """Values of the parts' channels, as values of all channels in their order."""
    if len(parts) == 1:
        return of_parts[0]
    order = [place for part in parts for place in part.channels or ()]
    return taken(jnp.concatenate(of_parts, axis=axis), tuple(order.index(place) for place in range(len(order))), axis)


def joined_weights(parts: Parts, params: Params, channels: int, l_max: int) -> Float[Array, "channel lag"]:
    """Adstock weights of every channel: 0 beyond the window of its own."""
    each = [part.all_weights(params, channels) for part in parts]
    return joined(parts, [_padded(weights, l_max - weights.shape[1]) for weights in each])


def _padded(weights: Array, more: int) -> Array:
    return jnp.pad(weights, ((0, 0), (0, more))) if more else weights


def saturated(parts: Parts, params: Params, spend: Float[Array, "channel *grid"]) -> Float[Array, "channel *grid"]:
    """The saturation curve of every channel at its own spend, for one draw."""

    def of(part: MediaPart) -> Array:
        arguments = (argument[:, None] for argument in part.arguments(params))
        return part.saturation.curve(part.own(spend), *arguments)

    return joined(parts, [of(part) for part in parts])


def effect_places(parts: Parts) -> dict[str, Places | None]:
    """The channels that each effect parameter is of, by its name; `None` for all."""
    if len(parts) == 1:
        return {f"saturation_{parts[0].saturation.effect}": None}
    found: dict[str, list[int]] = {}
    for part in parts:
        found.setdefault(f"saturation_{part.saturation.effect}", []).extend(part.channels or ())
    return {name: tuple(sorted(places)) for name, places in found.items()}


def filled(part: MediaPart, values: Float[Array, " part_channel"], channels: int) -> Float[Array, " channel"]:
    """Values of a part's channels as values of all: any that the part could have, where a channel is not its own."""
    if part.channels is None:
        return values
    places = [part.channels.index(place) if place in part.channels else 0 for place in range(channels)]
    return taken(values, tuple(places))
