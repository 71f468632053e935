"""Saturation curves, each with its hand-written partial derivatives.

A curve is a pair: `f(x, *parameters)` and `f_partials(x, *parameters)`, which returns the value and a tuple of the
partial derivatives with respect to `x` and each parameter. The media block (`mmm_jax.kernels.media`) needs both, and
the shared work (a `tanh`, a power) is done once. All arguments broadcast against each other; `x` is adstocked, scaled
spend, at least 0.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from mmm_jax.kernels.numerics import safe_divide, safe_log, safe_power, tiny

Partials = tuple[Array, tuple[Array, ...]]


def logistic(x: Array, lam: Array, beta: Array) -> Array:
    """`beta (1 - exp(-lam x)) / (1 + exp(-lam x)) = beta tanh(lam x / 2)`: linear at first, `beta` at most."""
    return beta * jnp.tanh(0.5 * lam * x)


def logistic_partials(x: Array, lam: Array, beta: Array) -> Partials:
    """Value and derivatives of `logistic` by `x, lam, beta`."""
    curve = jnp.tanh(0.5 * lam * x)
    slope = 0.5 * beta * (1.0 - curve * curve)
    return beta * curve, (lam * slope, x * slope, curve)


def tanh(x: Array, b: Array, c: Array) -> Array:
    """Hyperbolic tangent of `x / (b c)`, times `b`: `b` at most, with slope `1 / c` at 0."""
    return b * jnp.tanh(safe_divide(x, b * c))


def tanh_partials(x: Array, b: Array, c: Array) -> Partials:
    """Value and derivatives of `tanh` by `x, b, c`."""
    argument = safe_divide(x, b * c)
    curve = jnp.tanh(argument)
    slope = safe_divide(1.0 - curve * curve, c)
    return b * curve, (slope, curve - argument * (1.0 - curve * curve), -b * argument * slope)


def michaelis_menten(x: Array, alpha: Array, lam: Array) -> Array:
    """`alpha x / (lam + x)`: `alpha` at most, half of it at `x = lam`."""
    return alpha * safe_divide(x, lam + x)


def michaelis_menten_partials(x: Array, alpha: Array, lam: Array) -> Partials:
    """Value and derivatives of `michaelis_menten` by `x, alpha, lam`."""
    share = safe_divide(x, lam + x)
    per_total = safe_divide(alpha, lam + x)
    return alpha * share, ((1.0 - share) * per_total, share, -share * per_total)


def hill(x: Array, slope: Array, kappa: Array, beta: Array) -> Array:
    """`beta x**slope / (kappa**slope + x**slope)`, 0 at `x <= 0`: S-shaped for slopes above 1."""
    return beta * _hill_share(x, slope, kappa)[0]


def hill_partials(x: Array, slope: Array, kappa: Array, beta: Array) -> Partials:
    """Value and derivatives of `hill` by `x, slope, kappa, beta`."""
    share, log_ratio = _hill_share(x, slope, kappa)
    bend = beta * share * (1.0 - share)
    by_x = jnp.where(x > 0, bend * safe_divide(slope, x), 0.0)
    by_slope = jnp.where(x > 0, bend * log_ratio, 0.0)
    # Within `safe_log` the derivative by kappa is 0 below the smallest normal number: the same here.
    by_kappa = jnp.where(kappa > tiny(kappa), -bend * safe_divide(slope, kappa), 0.0)
    return beta * share, (by_x, by_slope, by_kappa, share)


def root(x: Array, alpha: Array, beta: Array) -> Array:
    """`beta x**alpha`: never full, ever slower."""
    return beta * safe_power(x, alpha)


def root_partials(x: Array, alpha: Array, beta: Array) -> Partials:
    """Value and derivatives of `root` by `x, alpha, beta`."""
    power = safe_power(x, alpha)
    value = beta * power
    return value, (safe_divide(alpha * value, x), jnp.where(x > 0, value * safe_log(x), 0.0), power)


def linear(x: Array, beta: Array) -> Array:
    """`beta x`: no saturation."""
    return beta * x


def linear_partials(x: Array, beta: Array) -> Partials:
    """Value and derivatives of `linear` by `x, beta`."""
    return beta * x, (beta + jnp.zeros_like(x), x + jnp.zeros_like(beta))


def _hill_share(x: Array, slope: Array, kappa: Array) -> tuple[Array, Array]:
    """`x**s / (kappa**s + x**s)` as a logistic curve in log spend, which can neither overflow nor divide by 0."""
    log_ratio = safe_log(x) - safe_log(kappa)
    return jnp.where(x > 0, jax.nn.sigmoid(slope * log_ratio), 0.0), log_ratio
