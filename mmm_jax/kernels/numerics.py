"""Numerics named after the problem they solve, and the local choice of precision."""

from contextlib import AbstractContextManager
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Precision = Literal["float32", "float64"]


def precision_scope(precision: Precision) -> AbstractContextManager[None]:
    """Context in which JAX computes in the given precision, without touching the global setting.

    Example:
        >>> with precision_scope("float64"):
        ...     print(jnp.zeros(1).dtype)
        float64
    """
    return jax.enable_x64(precision == "float64")


def tiny(x: Array) -> float:
    """Smallest normal number of the dtype of `x`."""
    return float(jnp.finfo(x.dtype).tiny)


def safe_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`log(max(x, tiny))`: finite at 0, with a gradient of 0 there instead of infinity."""
    return jnp.log(jnp.where(x > tiny(x), x, tiny(x)))


def safe_power(x: Float[Array, "*#shape"], exponent: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """`x**exponent` for positive exponents: 0, with zero gradients, where `x <= 0`.

    The derivative of `x**p` at 0 is infinite for `p < 1`; spend is often exactly 0.
    """
    positive = x > 0
    base = jnp.where(positive, x, 1.0)
    return jnp.where(positive, base**exponent, 0.0)


def safe_divide(numerator: Float[Array, "*#shape"], denominator: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """`numerator / denominator`, and 0 with zero gradients where the denominator is 0."""
    zero = denominator == 0
    return jnp.where(zero, 0.0, numerator / jnp.where(zero, 1.0, denominator))
