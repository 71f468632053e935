"""The negative binomial distribution of counts, in numbers that hold in float32 however large the counts are."""

import math

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import betainc, gammaln
from jaxtyping import Array
from numpyro.distributions import constraints

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_SERIES_FROM = 10.0

_NORMAL_FROM = 1e4
"""Expected count from which a Poisson count is drawn as a rounded normal: its skewness is 0.01 there, and JAX's own draws
compare numbers that float32 no longer tells apart."""


class ScaledNegativeBinomial(dist.Distribution):
    """Counts in units of `scale`: `scale * y` is negative binomial with mean `m = scale * mean`.

    Its variance is `m + m**2 / concentration`. The density is per unit of `y`, as that of a continuous target is: the
    probability of the count times `scale`.

    Attributes:
        mean_count: expected count.
        concentration: how little the expectation itself scatters; without bound, the counts are Poisson.
        scale: counts per unit of `y`.
    """

    def __init__(self, mean: Array, concentration: Array, *, scale: Array) -> None:
        self.mean_count, self.concentration, self.scale = jnp.asarray(scale * mean), jnp.asarray(concentration), scale
        super().__init__(batch_shape=jnp.broadcast_shapes(self.mean_count.shape, self.concentration.shape))

    @property
    def support(self) -> constraints.Constraint:
        """Counts divided by the scale."""
        return constraints.nonnegative

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """Log density; the count is a whole number, which its quotient by the scale no longer is."""
        count = jnp.round(value * self.scale)
        return log_probability(count, self.mean_count, self.concentration) + jnp.log(self.scale)

    def cdf(self, value: Array) -> Array:
        """Probability of no more than the value; a regularised incomplete beta function, best in float64."""
        count = jnp.round(value * self.scale)
        share = self.concentration / (self.concentration + self.mean_count)
        return betainc(self.concentration, count + 1.0, share)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws: Poisson counts around a gamma-distributed expectation."""
        shape, (first, second) = sample_shape + self.batch_shape, jax.random.split(key)
        rate = jax.random.gamma(first, self.concentration, shape) / self.concentration * self.mean_count
        return _poisson(second, rate) / self.scale


def log_probability(count: Array, mean: Array, concentration: Array) -> Array:
    r"""Log probability of a count `k` with mean `m` and concentration `a`.

    `lgamma(k + a) - lgamma(a) - lgamma(k + 1)` loses every digit in float32 where counts are large. What is left of it after
    Stirling's formula is small, and the rest is a deviance, `a log((a + m) / (a + k)) + k log(k (a + m) / (m (a + k)))`.

    Reference:
        Loader (2000), Fast and accurate computation of binomial probabilities.
    """
    k, both = jnp.where(count > 0, count, 1.0), count + concentration
    below, above = concentration + k, concentration + mean
    first = _log_ratio(above, below, mean - k)
    second = _log_ratio(k * above, mean * below, concentration * (k - mean))
    deviance = concentration * first + k * second
    remainder = _beyond_stirling(both) - _beyond_stirling(concentration) - _beyond_stirling(k)
    some = remainder - deviance + 0.5 * (jnp.log(concentration) - jnp.log(both) - jnp.log(k)) - _LOG_SQRT_2PI
    return jnp.where(count > 0, some, -concentration * jnp.log1p(mean / concentration))


def _log_ratio(top: Array, bottom: Array, difference: Array) -> Array:
    """`log(top / bottom)`, from the difference of the two where they are close: its digits are then the result's."""
    near = jnp.abs(difference) < 0.5 * bottom
    close = jnp.log1p(jnp.where(near, difference / bottom, 0.0))
    return jnp.where(near, close, jnp.log(jnp.where(near, 1.0, top / bottom)))


def _beyond_stirling(x: Array) -> Array:
    """`lgamma(x) - (x - 1/2) log(x) + x - log(2 pi) / 2`: by its series where that is exact, and the difference is not."""
    large, small = jnp.maximum(x, _SERIES_FROM), jnp.minimum(x, _SERIES_FROM)
    square = 1.0 / large**2
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / large
    direct = gammaln(small) - (small - 0.5) * jnp.log(small) + small - _LOG_SQRT_2PI
    return jnp.where(x < _SERIES_FROM, direct, series)


def _poisson(key: Array, rate: Array) -> Array:
    first, second = jax.random.split(key)
    few = jax.random.poisson(first, jnp.minimum(rate, _NORMAL_FROM)).astype(rate.dtype)
    many = jnp.round(rate + jnp.sqrt(rate) * jax.random.normal(second, rate.shape, rate.dtype))
    return jnp.where(rate < _NORMAL_FROM, few, many)
