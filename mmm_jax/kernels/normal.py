"""Functions of the normal distribution that stand in the innermost loop, with the closed forms of their derivatives.

In float64 they are JAX's own. In float32 they are rational fits, to 1e-7 relative but for rounding, which need at most one
exponential and no logarithm, where JAX's have several of each in branches. The fits were made for this file, by reweighted
least squares against SciPy's functions; the tests hold them against those again.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import erfinv, ndtr, ndtri
from jax.scipy.special import log_ndtr as reference_log_ndtr
from jaxtyping import Array, Float

LOG_2 = math.log(2.0)
LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)

_TAIL_OVER = (0.797884576, 0.331121419, 0.0684378663, 0.00325651291, 2.07805046e-05)
_TAIL_UNDER = (1.0, 0.642714851, 0.186583393, 0.0233110244, 0.000711691033, 2.88883467e-06)
"""`(-log(2 ndtr(-a)) - a**2 / 2) / a` for `a >= 0`, fitted up to 40."""

_LOG1P = (1.00000006, 0.49998948, 0.33377987, 0.2420446, 0.27297554, -0.20956378, 1.25601485, -1.67713511, 1.42443979)
"""`-log(1 - x) / x` for `0 <= x <= 1 / 2`."""

_SIZE_OVER = (0.67448973, 0.45002513, 0.14826707, 0.02117119)
_SIZE_UNDER = (1.0, 1.21916574, 0.69576952, 0.21350719, 0.03055577)
"""`size - z` of the half-normal quantile for `z >= 0`."""

_SMALL_SIZE = (1.25331414, 0.32811879, 0.18027145, 0.12474897, 0.07277427, 0.13840958)
"""`size / ndtr(z)` in powers of `ndtr(z)**2` for `z < 0`."""


@jax.custom_jvp
def log_ndtr(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logarithm of the standard normal distribution function."""
    if x.dtype == jnp.float64:
        return reference_log_ndtr(x)
    rate = _log_half_tail(jnp.abs(x))
    tail = 0.5 * jnp.exp(-rate)
    return jnp.where(x < 0, -rate - LOG_2, -tail * _polynomial(_LOG1P, tail))


@log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    value = log_ndtr(x)
    log_slope = -0.5 * x * x - value
    if x.dtype != jnp.float64:
        # Far below 0 the squares would cancel.
        log_slope = jnp.where(x < 0, _excess(jnp.abs(x)) + LOG_2, log_slope)
    return value, dx * jnp.exp(log_slope - LOG_SQRT_2PI)


@jax.custom_jvp
def laplace_quantile(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The quantile of a standard Laplace variable at the probability `ndtr(z)`."""
    if z.dtype == jnp.float64:
        return -jnp.sign(z) * (LOG_2 + reference_log_ndtr(-jnp.abs(z)))
    return jnp.sign(z) * _log_half_tail(jnp.abs(z))


def laplace_log_derivative(z: Float[Array, "*shape"], quantile: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logarithm of the derivative of `laplace_quantile`, given its value."""
    return jnp.abs(quantile) - 0.5 * z * z + (LOG_2 - LOG_SQRT_2PI)


@laplace_quantile.defjvp
def _laplace_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Autodiff of the sign and the absolute value gives 0 at 0, where searches start.
    quantile = laplace_quantile(primals[0])
    return quantile, tangents[0] * jnp.exp(laplace_log_derivative(primals[0], quantile))


@jax.custom_jvp
def half_normal_quantile(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The quantile of a standard half-normal variable at the probability `ndtr(z)`."""
    below, above = jnp.minimum(z, 0.0), jnp.maximum(z, 0.0)
    if z.dtype == jnp.float64:
        # Two forms of the same quantile, each where it loses no digits: near 0, and in the tail.
        return jnp.where(z < 0, math.sqrt(2.0) * erfinv(ndtr(below)), -ndtri(0.5 * ndtr(-above)))
    probability = 0.5 * jnp.exp(-_log_half_tail(-below))
    small = probability * _polynomial(_SMALL_SIZE, probability * probability)
    large = above + _polynomial(_SIZE_OVER, above) / _polynomial(_SIZE_UNDER, above)
    return jnp.where(z < 0, small, large)


def half_normal_log_derivative(z: Float[Array, "*shape"], size: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logarithm of the derivative of `half_normal_quantile`, given its value."""
    return 0.5 * (size - z) * (size + z) - LOG_2


@half_normal_quantile.defjvp
def _half_normal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    size = half_normal_quantile(primals[0])
    return size, tangents[0] * jnp.exp(half_normal_log_derivative(primals[0], size))


def _log_half_tail(size: Array) -> Array:
    """`-log(2 ndtr(-size))` for a size of at least 0."""
    return 0.5 * size * size + _excess(size)


def _excess(size: Array) -> Array:
    """What `_log_half_tail` has above half the square."""
    return size * _polynomial(_TAIL_OVER, size) / _polynomial(_TAIL_UNDER, size)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value
