"""What every component brought, in units of the target."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.analysis.treatments import at_reference
from mmm_jax.model.components import Params
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM

Contributions = dict[str, Array]


def contributions(model: MMM, params: Params, reference: Float[Array, " control"] | None = None) -> Contributions:
    """Contribution of each component per period, for one draw.

    With an additive likelihood they are the terms of the mean in units of the target, and sum to it exactly. With a
    log link, the contribution of a component is what would be lost without it, all others as they are; the intercept
    stands for the level without any other component, and `interaction` is what the components bring only together, so
    that the sum is the mean again.

    Args:
        model: the model over the rows in question.
        params: one draw.
        reference: what controls are told against, see `mmm_jax.analysis.treatments.at_reference`.

    Returns:
        `intercept`, `seasonality`, `trend` of shape (time,), `media` (channel, time), `controls` (control, time),
        `events` (event, time) and, with a log link, `interaction` (time,).
    """
    baseline = at_reference(model.baseline_parts(params), params, reference)
    parts = {"media": model.media_effects(params), **baseline}
    parts["intercept"] = jnp.broadcast_to(parts["intercept"], parts["seasonality"].shape)
    if model.likelihood.additive:
        return {name: model.target_scale * part for name, part in parts.items()}
    return _counterfactual(model, params, parts)


def outcome(model: MMM, params: Params, key: Array) -> dict[str, Array]:
    """One draw `y` of the target and its expected value `mean` per period, in units of the target."""
    mu = model.mean(params)
    drawn = model.target_scale * model.likelihood.distribution(mu, params, model.target_scale).sample(key)
    # A count divided by the scale and multiplied by it again is off by a rounding.
    return {"y": jnp.round(drawn) if model.likelihood.counts else drawn, "mean": model.expectation(mu, params)}


def geo_outcome(model: GeoMMM, params: Params, key: Array) -> dict[str, Array]:
    """`outcome` of every geo, shape (geo, time)."""
    return model.everywhere(outcome, params, jax.random.split(key, model.windows.shape[0]))


def channel_totals(model: MMM, params: Params, rows: Float[Array, " time"]) -> Float[Array, " channel"]:
    """Contribution of each channel summed over the rows whose weight in `rows` is 1."""
    return contributions(model, params)["media"] @ rows


def media_totals(model: MMM, params: Params, rows: Float[Array, " time"]) -> dict[str, Array]:
    """Contribution summed over the rows whose weight is 1: of all media together, `media` (), and by `channel`.

    With a log link, of all media: what would be lost without any of them.
    """
    by_channel = channel_totals(model, params, rows)
    if model.likelihood.additive:
        return {"media": by_channel.sum(), "channel": by_channel}
    mu = model.mean(params)
    without = model.expectation(mu - model.media_total(params), params)
    return {"media": (model.expectation(mu, params) - without) @ rows, "channel": by_channel}


def component_totals(
    model: MMM, params: Params, rows: Float[Array, " time"], reference: Float[Array, " control"] | None = None
) -> Contributions:
    """`contributions` summed over the rows whose weight in `rows` is 1."""
    return {name: part @ rows for name, part in contributions(model, params, reference).items()}


def _counterfactual(model: MMM, params: Params, parts: Contributions) -> Contributions:
    mu = _summed(parts)
    mean = model.expectation(mu, params)
    found = {name: mean - model.expectation(mu - part, params) for name, part in parts.items()}
    found["intercept"] = model.expectation(parts["intercept"], params)
    return {**found, "interaction": mean - _summed(found)}


def _summed(parts: Contributions) -> Float[Array, " time"]:
    return jnp.sum(jnp.stack([part.sum(axis=0) if part.ndim == 2 else part for part in parts.values()]), axis=0)
