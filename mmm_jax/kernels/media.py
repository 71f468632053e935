"""The media block with its hand-written derivative and its own batched form: `sum_c f_c(sum_l w_cl x_{c,t-l})`.

Reverse-mode autodiff keeps every intermediate of the carry-over and the curve; the block's own rule keeps the partial
derivatives that the curve hands out together with its value, and turns the backward pass into one contraction.

Many parameter vectors at once (chains, draws) are lanes. `vmap` on its own would put them first, and every contraction
then transposes what it reads; the block's batched form keeps them between channel and time, where forward and backward
pass are one matrix product per channel and time stays contiguous.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import carry_over
from mmm_jax.kernels.lanes import lane_batched

Curve = Callable[..., Array]
CurvePartials = Callable[..., tuple[Array, tuple[Array, ...]]]
Parameters = tuple[Float[Array, " channel"], ...]


def media_effects(
    curve: Curve,
    windows: Float[Array, "channel lag time"],
    weights: Float[Array, "channel lag"],
    parameters: Parameters,
) -> Float[Array, "channel time"]:
    """Effect of each channel in each period, carry-over first, then saturation, in units of the scaled target."""
    return curve(carry_over(windows, weights), *(parameter[..., None] for parameter in parameters))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def media_total(
    partials: CurvePartials,
    windows: Float[Array, "channel lag time"],
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
    return _forward(partials, windows, weights, parameters)[0]


def _forward(partials, windows, weights, parameters):
    run = _value_and_slopes(partials, len(parameters))
    total, *slopes = run(windows, weights[:, None], *(parameter[:, None] for parameter in parameters))
    return total[0], (windows, weights, slopes)


def _backward(partials, residuals, cotangent):
    windows, weights, slopes = residuals
    by_weight, *by_parameters = _pull_back(len(slopes))(windows, cotangent[None], *slopes)
    # The windows' own derivative is dead code, and compiled away, unless the spend is what is differentiated.
    by_windows = weights[:, :, None] * (cotangent * slopes[0][:, 0])[:, None, :]
    return by_windows, by_weight[:, 0], tuple(derivative[:, 0] for derivative in by_parameters)


media_total.defvjp(_forward, _backward)


@lru_cache(maxsize=32)
def _value_and_slopes(partials: CurvePartials, count: int) -> Callable[..., tuple[Array, ...]]:
    """The forward pass over lanes: total (lane, time), then the slope by spend and by each of the curve's parameters."""

    def kernel(windows: Array, weights: Array, *parameters: Array) -> tuple[Array, ...]:
        spend = jnp.einsum("cbl,clt->cbt", weights, windows)
        value, slopes = partials(spend, *(parameter[..., None] for parameter in parameters))
        return value.sum(axis=0), *(jnp.broadcast_to(slope, spend.shape) for slope in slopes)

    return lane_batched(kernel, (1,) * (1 + count), (0, *(1,) * (1 + count)))


@lru_cache(maxsize=32)
def _pull_back(count: int) -> Callable[..., tuple[Array, ...]]:
    """The backward pass over lanes: derivatives by the weights and by each of the curve's parameters."""

    def kernel(windows: Array, cotangent: Array, by_spend: Array, *slopes: Array) -> tuple[Array, ...]:
        by_weight = jnp.einsum("cbt,clt->cbl", cotangent * by_spend, windows)
        return by_weight, *((cotangent * slope).sum(axis=-1) for slope in slopes)

    return lane_batched(kernel, (0, *(1,) * count), (1,) * count)
