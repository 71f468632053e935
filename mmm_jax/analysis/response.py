"""Return on spend, and how the outcome answers to more or less of it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.model.components import Params
from mmm_jax.model.media import saturated
from mmm_jax.model.mmm import MMM


def outcome_change(
    model: MMM, params: Params, window: Float[Array, " history_time"], high: Float[Array, ""], low: Float[Array, ""]
) -> Float[Array, " channel"]:
    """Change of the total outcome when one channel's spend in the window goes from `low` times to `high` times itself.

    Each channel is changed alone. With an additive likelihood the sum runs over all rows and the `l_max - 1` periods
    after the last one, so that no effect of the window is lost. With a log link it runs over the model's rows only:
    what spend multiplies is not known beyond them.

    Args:
        model: the model over the rows in question.
        params: one draw.
        window: 1 for the rows of `model.media` whose spend changes, 0 for all others.
        high: factor on the spend.
        low: the factor that it is compared with.
    """
    if model.likelihood.additive:
        change = _effects(model, params, window, high) - _effects(model, params, window, low)
        return model.target_scale * change.sum(axis=1)
    mu, rows = model.mean(params), model.windows.shape[-1]
    observed = model.media_effects(params)

    def total(factor: Array) -> Array:
        return model.expectation(mu + _effects(model, params, window, factor)[:, :rows] - observed, params).sum(axis=1)

    return total(high) - total(low)


def response_curve(
    model: MMM, params: Params, window: Float[Array, " history_time"], multipliers: Float[Array, " multiplier"]
) -> Float[Array, "channel multiplier"]:
    """Contribution of each channel over the window when its spend there is multiplied, in units of the target.

    Args:
        model: the model over the rows in question.
        params: one draw.
        window: 1 for the rows of `model.media` that are changed and summed over.
        multipliers: factors on the spend, each applied to one channel at a time.
    """
    rows = window[model.history :]
    mu, observed = model.mean(params), model.media_effects(params)

    def at(multiplier: Array) -> Array:
        effects = _effects(model, params, window, multiplier)[:, : rows.shape[0]]
        if model.likelihood.additive:
            return model.target_scale * (effects @ rows)
        without = mu - observed
        return (model.expectation(without + effects, params) - model.expectation(without, params)) @ rows

    return jax.lax.map(at, multipliers).T


def saturation_curve(
    model: MMM, params: Params, spend: Float[Array, "channel grid"], scale: Float[Array, " channel"]
) -> Float[Array, "channel grid"]:
    """Effect of adstocked spend per period: in units of the target, or of the log target with a log link.

    Of a channel with frequency, it is the effect of one unit of scaled reach at a frequency.

    Args:
        model: the model.
        params: one draw.
        spend: adstocked spend in currency per period, or what else saturates.
        scale: what it is divided by.
    """
    effect = saturated(model.parts, params, spend / scale[:, None])
    return model.target_scale * effect if model.likelihood.additive else effect


def adstock_curve(model: MMM, params: Params) -> Float[Array, "channel lag"]:
    """Weight of spend by its age in periods."""
    return model.weights(params)


def _effects(model: MMM, params: Params, window: Array, factor: Array) -> Float[Array, "channel time_tail"]:
    """Media effects with the window's spend multiplied, over the model's rows and the `l_max - 1` periods after."""
    media = model.media * (1.0 + window * (factor - 1.0))
    return model.media_effects(params, jnp.pad(media, ((0, 0), (0, model.l_max - 1))))
