"""The media block with its hand-written derivative: `sum_c f_c(sum_l w_cl x_{c,t-l})`.

Reverse-mode autodiff keeps every intermediate of the carry-over and the curve; the block's own rule keeps the partial
derivatives that the curve hands out together with its value, and turns the backward pass into one contraction.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import carry_over

Curve = Callable[..., Array]
CurvePartials = Callable[..., tuple[Array, tuple[Array, ...]]]
Parameters = tuple[Float[Array, " channel"], ...]


def media_effects(
    curve: Curve,
    windows: Float[Array, "channel time lag"],
    weights: Float[Array, "channel lag"],
    parameters: Parameters,
) -> Float[Array, "channel time"]:
    """Effect of each channel in each period, carry-over first, then saturation, in units of the scaled target."""
    return curve(carry_over(windows, weights), *_as_columns(parameters))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def media_total(
    partials: CurvePartials,
    windows: Float[Array, "channel time lag"],
    weights: Float[Array, "channel lag"],
    parameters: Parameters,
) -> Float[Array, " time"]:
    """Summed effect of all channels: `media_effects(...).sum(axis=0)` with a hand-written reverse-mode rule.

    Args:
        partials: value and partial derivatives of the curve, one of `mmm_jax.kernels.saturation.*_partials`.
        windows: scaled spend as `lagged` lays it out.
        weights: adstock weights.
        parameters: the curve's parameters in the order of its signature, one value per channel each.
    """
    value, _ = partials(carry_over(windows, weights), *_as_columns(parameters))
    return value.sum(axis=0)


def _forward(partials, windows, weights, parameters):
    value, slopes = partials(carry_over(windows, weights), *_as_columns(parameters))
    return value.sum(axis=0), (windows, weights, slopes)


def _backward(partials, residuals, cotangent):
    windows, weights, (by_spend, *by_parameters) = residuals
    flow = cotangent * by_spend
    # The windows' own derivative is dead code, and compiled away, unless the spend is what is differentiated.
    return (
        flow[..., None] * weights[:, None, :],
        jnp.einsum("ctl,ct->cl", windows, flow),
        tuple(slope @ cotangent for slope in by_parameters),
    )


media_total.defvjp(_forward, _backward)


def _as_columns(parameters: Parameters) -> tuple[Float[Array, "channel 1"], ...]:
    return tuple(parameter[..., None] for parameter in parameters)
