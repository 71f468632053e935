"""The normal distribution cut off from below, in numbers that hold in its far tail."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array
from numpyro.distributions.truncated import LeftTruncatedDistribution

from mmm_jax.kernels.normal import log_ndtr

_TAIL = 3.0
"""Deviations above which a bound counts as lying in the tail."""

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


class LeftTruncatedNormal(LeftTruncatedDistribution):
    """NumPyro's left-truncated normal, with a density and draws that stay finite however far the bound lies in the tail."""

    def __init__(self, loc: Array, scale: Array, *, low: float) -> None:
        super().__init__(dist.Normal(loc, scale), low=low)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """Log density; `log_ndtr` stays finite where the logarithm of a difference of probabilities does not."""
        loc, scale, low = self._arrays()
        return self.base_dist.log_prob(value) - log_ndtr((loc - low) / scale)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws by inversion of the upper tail's logarithm."""
        loc, scale, low = self._arrays()
        shape, dtype = sample_shape + self.batch_shape, jnp.result_type(float)
        uniform = jax.random.uniform(key, shape, dtype, minval=float(jnp.finfo(dtype).tiny))
        return jnp.maximum(loc + scale * tail_quantile((low - loc) / scale, uniform), low)

    def _arrays(self) -> tuple[Array, Array, Array]:
        normal: Any = self.base_dist
        return jnp.asarray(normal.loc), jnp.asarray(normal.scale), jnp.asarray(self.low)


def tail_quantile(bound: Array, share: Array) -> Array:
    """The `z` above `bound` with `P(Z > z) = share * P(Z > bound)` for a standard normal `Z`, share in (0, 1].

    Near the centre by the quantile function; in the tail, where probabilities underflow, by Newton's method on the
    logarithm of the tail, from the tail's own asymptotic form.
    """
    near = -ndtri(share * ndtr(-jnp.minimum(bound, _TAIL)))
    log_tail = log_ndtr(-bound) + jnp.log(share)
    far = jnp.sqrt(jnp.maximum(bound, _TAIL) ** 2 - 2.0 * jnp.log(share))
    for _ in range(2):
        value = log_ndtr(-far)
        slope = -jnp.exp(-0.5 * far**2 - _LOG_SQRT_2PI - value)
        far = far - (value - log_tail) / slope
    return jnp.where(bound < _TAIL, near, far)
