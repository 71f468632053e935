r"""Experiments as likelihood: the whole model's answer to a change of spend, against what was measured.

A row is an experiment. Its answer is a sum over blocks: a few periods of one market's outcome window each, so that short
and long windows of few and many markets are arrays of one shape. A block holds the channel's spend laid out by lag, as it
was observed and as the experiment would have it; all that is needed besides are the channel's own parameters.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmm_jax.model.components import AbstractSaturation
from mmm_jax.model.media import MediaPart, Parts

_LEAST_SHARE = 1e-6
"""Of the contribution that a known cost implies: with less, the cost counts as a million times as high, not as infinite."""


class Answer(NamedTuple):
    """What a model says of media in every geo, at one draw of its parameters.

    Attributes:
        weights: of the adstock, shape (geo, channel, lag).
        arguments: of every part of the model, the saturation's parameters in the order of its signature, each of shape
            (geo, channel); for channels of other parts, any that it admits.
        expected: what an effect of 1 is worth: the scale of the target, shape (geo,); with a log link the expected target,
            shape (geo, time).
        strength: how much stronger than usual media work on each date, shape (geo, time); `None` where they always do alike.
    """

    weights: Float[Array, "geo channel lag"]
    arguments: tuple[tuple[Float[Array, "geo channel"], ...], ...]
    expected: Float[Array, "geo *time"]
    strength: Float[Array, "geo time"] | None = None


class ExperimentRows(eqx.Module):
    """Experiments as arrays; built by `mmm_jax.model.experiment_rows.experiment_rows`.

    Attributes:
        observed: the channel's scaled spend by lag, shape (block, lag, step).
        other: the same with the changed spend, or with none.
        counted: 1 where the other spend's effect over the observed one's is added up, -1 where the observed one's over the
            other's is, 0 for padding, shape (block, step).
        time: row of the panel of every step, shape (block, step).
        channel: of every block, shape (block,).
        geo: of every block; 0 in a model of one market.
        blocks: 1 for the blocks of a row, shape (row, block).
        measured: change of the outcome, in units of the target, or cost per target, shape (row,).
        error: its standard error.
        nu: degrees of freedom of its error, infinite for a normal one.
        log_scale: logarithm of the error density's constant.
        spend: whose cost per target was measured, in currency; 0 for lift tests.
        real: 1 for rows, 0 for padding.
        frequency: scaled average frequency of the channel, by lag, with the other spend and as observed, shape (kind, block,
            lag, step), at which its media are people reached; 0 for channels without one. `None` if no channel has one.
        by_reach: 1 for blocks of channels with frequency, else 0, shape (block,).
    """

    observed: Float[Array, "block lag step"]
    other: Float[Array, "block lag step"]
    counted: Float[Array, "block step"]
    time: Int[Array, "block step"]
    channel: Int[Array, " block"]
    geo: Int[Array, " block"]
    blocks: Float[Array, "row block"]
    measured: Float[Array, " row"]
    error: Float[Array, " row"]
    nu: Float[Array, " row"]
    log_scale: Float[Array, " row"]
    spend: Float[Array, " row"]
    real: Float[Array, " row"]
    frequency: Float[Array, "kind block lag step"] | None = None
    by_reach: Float[Array, " block"] | None = None

    def predicted(self, answer: Answer, parts: Parts) -> Float[Array, " row"]:
        """Change of the expected outcome, or cost per target, of every experiment, in the units of `measured`.

        Args:
            answer: of the model.
            parts: its parts.
        """
        effects = self._effects(answer, parts)
        shift = effects[0] - effects[1]
        if answer.strength is not None:
            shift *= answer.strength[self.geo[:, None], self.time]
        change = self.counted * self._worth(answer.expected, shift)
        total = (self.blocks * change.sum(axis=1)).sum(axis=1)
        is_cost = self.spend > 0
        # The share of the contribution that the measured cost implies: it stays finite where the contribution is 0.
        share = total * self.measured / jnp.where(is_cost, self.spend, 1.0)
        return jnp.where(is_cost, self.measured / jnp.maximum(share, _LEAST_SHARE), total)

    def log_density(self, predicted: Float[Array, " row"]) -> Float[Array, ""]:
        """Log density of all measurements given what the model predicts."""
        z = (self.measured - predicted) / self.error
        is_normal = jnp.isinf(self.nu)
        nu = jnp.where(is_normal, 1.0, self.nu)
        kernel = jnp.where(is_normal, -0.5 * z * z, -0.5 * (nu + 1.0) * jnp.log1p(z * z / nu))
        return jnp.sum(jnp.where(self.real > 0, kernel + self.log_scale, 0.0))

    def _effects(self, answer: Answer, parts: Parts) -> Float[Array, "kind block step"]:
        """Effects of the other and the observed spend on the linear predictor: of every part, the blocks of its channels."""
        weights = self._of_blocks(answer.weights)
        arguments = [[self._of_blocks(one) for one in of_part] for of_part in answer.arguments]
        windows, found = jnp.stack([self.other, self.observed]), None
        for part, own in zip(parts, arguments, strict=True):
            effects = self._of_part(part, windows, weights, own)
            found = effects if found is None else jnp.where(self._is_of(part)[:, None], effects, found)
        if found is None:
            raise ValueError("A model has at least one part.")
        return found

    def _of_part(self, part: MediaPart, windows: Array, weights: Array, own: list[Array]) -> Float[Array, "kind block step"]:
        """Effects as if every block's channel were the part's."""
        effects = _effects(part.saturation, windows, weights, own, part.adstock_first)
        if self.frequency is None or self.by_reach is None:
            return effects
        of_reach = _of_reach(part.saturation, windows, self.frequency, weights, own)
        return jnp.where(self.by_reach[:, None] > 0, of_reach, effects)

    def _is_of(self, part: MediaPart) -> Bool[Array, " block"]:
        return (self.channel[:, None] == jnp.asarray(part.channels)).any(axis=1)

    def _of_blocks(self, values: Float[Array, "geo channel *rest"]) -> Float[Array, "block *rest"]:
        """Every block's own channel in its own geo.

        By a product rather than by indices, whose derivative is a sum in no fixed order on accelerators.
        """
        geos, channels = values.shape[:2]
        chosen = jax.nn.one_hot(self.geo * channels + self.channel, geos * channels, dtype=values.dtype)
        flat = values.reshape(geos * channels, *values.shape[2:])
        return jnp.einsum("bk,k...->b...", chosen, flat, precision=jax.lax.Precision.HIGHEST)

    def _worth(self, expected: Float[Array, "geo *time"], shift: Float[Array, "block step"]) -> Float[Array, "block step"]:
        """Change of the expected target when the linear predictor shifts."""
        if expected.ndim == 1:
            return expected[self.geo][:, None] * shift
        return expected[self.geo[:, None], self.time] * jnp.expm1(shift)


def _effects(
    saturation: AbstractSaturation,
    windows: Float[Array, "kind block lag step"],
    weights: Float[Array, "block lag"],
    arguments: list[Float[Array, " block"]],
    adstock_first: bool,
) -> Float[Array, "kind block step"]:
    """Effects of spend on the linear predictor."""
    if adstock_first:
        carried = jnp.einsum("kbls,bl->kbs", windows, weights)
        return saturation.curve(carried, *(one[:, None] for one in arguments))
    saturated = saturation.curve(windows, *(one[:, None, None] for one in arguments))
    return jnp.einsum("kbls,bl->kbs", saturated, weights)


def _of_reach(
    saturation: AbstractSaturation,
    reach: Float[Array, "kind block lag step"],
    frequency: Float[Array, "kind block lag step"],
    weights: Float[Array, "block lag"],
    arguments: list[Float[Array, " block"]],
) -> Float[Array, "kind block step"]:
    """Effects of reach at a frequency on the linear predictor: saturation acts on the frequency alone."""
    responses = saturation.curve(frequency, *(one[:, None, None] for one in arguments))
    return jnp.einsum("kbls,bl->kbs", reach * responses, weights)
