"""What planned spend brings, for one posterior draw: the reference that the fast paths are tested against.

`R_s(x) = media(carry-in and x) - media(carry-in alone)` over the horizon and, with an additive likelihood, the
`l_max - 1` periods after it. With a log link it is the difference of the expected target over the horizon alone: what
the spend multiplies is not known beyond it.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM


def plan_response(
    model: MMM, params: Params, planned: Float[Array, "channel time"]
) -> dict[str, Float[Array, " channel"] | Float[Array, ""]]:
    """Response to a plan, for one draw.

    Args:
        model: the model over the horizon; its history is the carry-in, and its own media are there whatever the plan.
        params: one draw.
        planned: planned spend per period, scaled as the model's media.

    Returns:
        `total`, and `channel`: what each channel brings in addition to all others as they are planned; with an
        additive likelihood these add up to the total.
    """
    carry = model.media
    with_plan = carry.at[:, model.history :].add(planned)
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


def _with_tail(model: MMM, params: Params, media: Array) -> Float[Array, "channel time_tail"]:
    return model.media_effects(params, jnp.pad(media, ((0, 0), (0, model.l_max - 1))))
