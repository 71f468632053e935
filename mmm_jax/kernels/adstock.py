r"""Adstock: how spend keeps working after it was spent, `a_t = sum_l w_l x_{t-l}`.

Weights come from the `*_weights` functions, whose parameters may have any shape; the lag is added as last axis.
`lagged` lays the spend out once as `[..., lag, time]`; the carry-over is then a contraction over lags.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmm_jax.kernels.numerics import safe_divide, tiny

# exp(60) is far inside of float32's range and its product with any sensible slope still is.
_LARGEST_EXPONENT = 60.0


def geometric_weights(alpha: Float[Array, "*shape"], l_max: int, *, normalize: bool = True) -> Float[Array, "*shape lag"]:
    r"""Weights of spend `l` periods ago, `alpha**l`.

    Args:
        alpha: retention per period, dimensionless, in [0, 1]. The prior's support guarantees it; it is not checked.
        l_max: length of the window in periods, at least 1.
        normalize: divide by the sum, so that one unit of spend has one unit of effect in all.

    Reference:
        Jin et al. (2017), Bayesian Methods for Media Mix Modeling with Carryover and Shape Effects, eq. 1.
    """
    # An integer power has the right derivative at alpha = 0, where `alpha**lag` in floats gives NaN.
    weights = jnp.stack([lax.integer_pow(alpha, lag) for lag in range(l_max)], axis=-1)
    return _normalized(weights) if normalize else weights


def delayed_weights(
    alpha: Float[Array, "*shape"], theta: Float[Array, "*shape"], l_max: int, *, normalize: bool = True
) -> Float[Array, "*shape lag"]:
    r"""Weights that peak `theta` periods after the spend, `alpha**((l - theta)**2)`.

    Args:
        alpha: retention, dimensionless, in [0, 1].
        theta: delay of the peak in periods, at least 0.
        l_max: length of the window in periods, at least 1.
        normalize: divide by the sum.

    Reference:
        Jin et al. (2017), eq. 2.
    """
    lags, delay = jnp.arange(l_max, dtype=alpha.dtype), theta[..., None]
    log_alpha = jnp.log(jnp.maximum(alpha, tiny(alpha)))[..., None]
    if not normalize:
        return jnp.exp((lags - delay) ** 2 * log_alpha)
    # Measured from the lag nearest to the delay: far from the window all weights underflow, their ratios do not.
    peak = jnp.clip(jnp.round(delay), 0, l_max - 1)
    return jax.nn.softmax((lags - peak) * (lags + peak - 2 * delay) * log_alpha, axis=-1)


def binomial_weights(alpha: Float[Array, "*shape"], l_max: int, *, normalize: bool = True) -> Float[Array, "*shape lag"]:
    r"""Weights that reach zero at the end of the window, `(1 - l / (l_max + 1))**(1 / alpha - 1)`.

    Args:
        alpha: retention, dimensionless, in [0, 1]; 0.5 falls linearly.
        l_max: length of the window in periods, at least 1.
        normalize: divide by the sum.
    """
    log_base = jnp.log1p(-jnp.arange(l_max, dtype=alpha.dtype) / (l_max + 1))
    # Below 1e-6 every weight but the first has underflown: the limit, without the pole of 1 / alpha.
    exponent = 1.0 / jnp.maximum(alpha, 1e-6)[..., None] - 1.0
    weights = jnp.exp(exponent * log_base)
    return _normalized(weights) if normalize else weights


def weibull_pdf_weights(
    lam: Float[Array, "*shape"], k: Float[Array, "*shape"], l_max: int, *, normalize: bool = True
) -> Float[Array, "*shape lag"]:
    r"""Weibull density at `l + 1`, rescaled so that its smallest weight is 0 and its largest 1.

    Args:
        lam: scale in periods, positive.
        k: shape, dimensionless, positive.
        l_max: length of the window in periods, at least 1; a window of 1 is the identity.
        normalize: divide by the sum.
    """
    lags, shape = jnp.arange(2, l_max + 1, dtype=lam.dtype), k[..., None]
    power = shape * jnp.log(lags)
    # Measured from the first lag, `(l**k - 1) / lam**k` stays exact where the density itself underflows.
    hazard = _bounded_exp(power + jnp.log(-jnp.expm1(-power)) - shape * jnp.log(lam)[..., None])
    later = (shape - 1.0) * jnp.log(lags) - hazard
    log_density = jnp.concatenate([jnp.zeros((*later.shape[:-1], 1), lam.dtype), later], axis=-1)
    high, low = log_density.max(axis=-1, keepdims=True), log_density.min(axis=-1, keepdims=True)
    # `(density - low) / (high - low)` without the cancellation of an almost flat density; a flat one keeps weights of 1.
    rescaled = jnp.exp(log_density - high) * safe_divide(jnp.expm1(low - log_density), jnp.expm1(low - high))
    weights = jnp.where(high > low, rescaled, 1.0)
    return _normalized(weights) if normalize else weights


def weibull_cdf_weights(
    lam: Float[Array, "*shape"], k: Float[Array, "*shape"], l_max: int, *, normalize: bool = True
) -> Float[Array, "*shape lag"]:
    r"""Cumulative product of Weibull survival, `cumprod([1, 1 - cdf(1), ..., 1 - cdf(l_max - 1)])`.

    Args:
        lam: scale in periods, positive.
        k: shape, dimensionless, positive.
        l_max: length of the window in periods, at least 1.
        normalize: divide by the sum.
    """
    log_ratio = jnp.log(jnp.arange(1, l_max, dtype=lam.dtype)) - jnp.log(lam)[..., None]
    hazard = jnp.cumsum(_bounded_exp(k[..., None] * log_ratio), axis=-1)
    first = jnp.zeros((*hazard.shape[:-1], 1), lam.dtype)
    weights = jnp.exp(-jnp.concatenate([first, hazard], axis=-1))
    return _normalized(weights) if normalize else weights


def identity_weights(shape: tuple[int, ...], dtype: jnp.dtype) -> Float[Array, "*shape lag"]:
    """Weight 1 for the same period, and a window of 1: no carry-over."""
    return jnp.ones((*shape, 1), dtype)


def lagged(media: Float[Array, "*shape time"], l_max: int, *, lead: int = 0) -> Float[Array, "*shape lag time"]:
    """Spend laid out as `x[t + lead - l]`, with zeros before the first and after the last period.

    Args:
        media: spend, scaled or in currency.
        l_max: length of the window in periods, at least 1.
        lead: periods by which the effect runs ahead of the spend: 0 is causal; `l_max - 1` is a window that lies
            wholly before the spend, `(l_max - 1) // 2` one that is centred on it.
    """
    time = media.shape[-1]
    pads = [(0, 0)] * (media.ndim - 1) + [(l_max - 1, lead)]
    padded = jnp.pad(media, pads)
    starts = [l_max - 1 + lead - lag for lag in range(l_max)]
    return jnp.stack([padded[..., start : start + time] for start in starts], axis=-2)


def carry_over(windows: Float[Array, "*shape lag time"], weights: Float[Array, "*shape lag"]) -> Float[Array, "*shape time"]:
    """`a_t = sum_l w_l x_{t-l}` on spend that `lagged` has laid out."""
    return jnp.einsum("...lt,...l->...t", windows, weights)


def adstock(
    media: Float[Array, "*shape time"], weights: Float[Array, "*shape lag"], *, lead: int = 0
) -> Float[Array, "*shape time"]:
    """Adstocked spend, `lagged` and `carry_over` in one.

    Example:
        >>> adstock(jnp.array([8.0, 0.0, 0.0, 0.0]), geometric_weights(jnp.array(0.5), 3, normalize=False))
        Array([8., 4., 2., 0.], dtype=float32)
    """
    return carry_over(lagged(media, weights.shape[-1], lead=lead), weights)


def _normalized(weights: Float[Array, "*shape lag"]) -> Float[Array, "*shape lag"]:
    return safe_divide(weights, weights.sum(axis=-1, keepdims=True))


def _bounded_exp(x: Array) -> Array:
    return jnp.exp(jnp.minimum(x, _LARGEST_EXPONENT))
