r"""Between the flat vector that a sampler moves in and the constrained parameters that a model speaks of.

Every parameter is sampled as `z` with `theta = T(z)`, where the chart `T` is chosen by the prior such that the prior of
`z` is (nearly) standard normal: exactly where the quantile function is a closed form, by a smooth bijection with about
the same location, spread and tails elsewhere. Weakly identified parameters then have no exponential tails and no units,
and one step size suits all of them. The Jacobian is exact in every case, so that the posterior is the same.

Charts are made once per fit, from priors whose batch shape is the parameter's shape. Names are taken in sorted order,
since a dictionary comes out of a JAX transformation in that order.
"""

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import digamma, logit, ndtr, ndtri, polygamma
from jaxtyping import Array, Float

from mmm_jax.inference.half_student import HalfStudentT
from mmm_jax.kernels.normal import (
    LOG_SQRT_2PI,
    half_normal_log_derivative,
    half_normal_quantile,
    laplace_log_derivative,
    laplace_quantile,
    log_ndtr,
)


class AbstractChart(eqx.Module):
    """A bijection from the real line to the support of a prior, for every entry of one parameter."""

    @abc.abstractmethod
    def __call__(self, z: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """`theta = T(z)`, and `log |d theta / d z|`; both finite in float32 for `|z| <= 8`."""

    @abc.abstractmethod
    def inverse(self, theta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The `z` of a `theta` inside of the support."""

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether the prior of `z` is the standard normal itself: its density then needs no `theta`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return jax.tree.leaves(self)[0].shape


Charts = Mapping[str, AbstractChart]

Coordinates = Mapping[str, Array]
"""By name of the parameter, the real values that its chart takes."""


def flat_size(charts: Charts) -> int:
    """Length of the flat vector."""
    return sum(math.prod(chart.shape) for chart in charts.values())


def split(flat: Float[Array, " flat"], charts: Charts) -> dict[str, Array]:
    """The flat vector's part of every parameter, in that parameter's shape."""
    # `split` is differentiated into one concatenation, slices into a sum of padded vectors.
    names = sorted(charts)
    parts = jax.lax.split(flat, [math.prod(charts[name].shape) for name in names])
    return {name: part.reshape(charts[name].shape) for name, part in zip(names, parts, strict=True)}


def constrain(z: Coordinates, charts: Charts) -> tuple[dict[str, Array], Float[Array, ""]]:
    """Constrained parameters, and the log absolute determinant of the Jacobian of this map.

    Args:
        z: real values by name, in the parameters' shapes; all of them, or some.
        charts: by name of the parameter.
    """
    params, log_det = {}, jnp.zeros(())
    for name, values in z.items():
        params[name], log_derivative = charts[name](values)
        log_det += log_derivative.sum()
    return params, log_det


def standardized(
    z: Coordinates, priors: Mapping[str, dist.Distribution], charts: Charts
) -> tuple[dict[str, Array], Float[Array, ""]]:
    """Constrained parameters, and the log density of `z` under the priors, Jacobian included.

    The same as `constrain` with the priors' own densities; where a chart is exact, the standard normal's takes their place.
    """
    params, log_prior = {}, jnp.zeros(())
    for name, values in z.items():
        chart = charts[name]
        params[name], log_derivative = chart(values)
        density = _log_phi(values) if chart.exact else jnp.asarray(priors[name].log_prob(params[name])) + log_derivative
        log_prior += density.sum()
    return params, log_prior


def unconstrain(params: Mapping[str, Array], charts: Charts) -> Float[Array, " flat"]:
    """The flat vector of constrained parameters: the inverse of `constrain`."""
    return jnp.concatenate([jnp.ravel(charts[name].inverse(jnp.asarray(params[name]))) for name in sorted(charts)])


def charts_of(priors: Mapping[str, dist.Distribution]) -> dict[str, AbstractChart]:
    """The chart of every prior.

    Raises:
        TypeError: a family without a chart.
    """
    return {name: chart_of(prior) for name, prior in priors.items()}


def chart_of(prior: dist.Distribution) -> AbstractChart:
    """The chart that standardises a prior.

    Raises:
        TypeError: a family without a chart.
    """
    family = type(prior)
    if family not in CHARTS:
        known = ", ".join(known.__name__ for known in CHARTS)
        raise TypeError(f"No standardising chart for {family.__name__}; there are charts for {known}.")
    return CHARTS[family](prior)


class LocationScale(AbstractChart):
    """`loc + scale z`: the normal prior exactly; heavier tails stay heavier."""

    loc: Array
    scale: Array
    standardizes: bool = eqx.field(static=True, default=False)

    @property
    def exact(self) -> bool:
        return self.standardizes

    def __call__(self, z: Array) -> tuple[Array, Array]:
        return self.loc + self.scale * z, jnp.log(self.scale) + jnp.zeros_like(z)

    def inverse(self, theta: Array) -> Array:
        return (theta - self.loc) / self.scale


class LogLocationScale(AbstractChart):
    """`exp(loc + scale z)`: the log-normal prior exactly, other positive priors by the moments of their logarithm."""

    loc: Array
    scale: Array
    standardizes: bool = eqx.field(static=True, default=False)

    @property
    def exact(self) -> bool:
        return self.standardizes

    def __call__(self, z: Array) -> tuple[Array, Array]:
        log_theta = self.loc + self.scale * z
        return jnp.exp(log_theta), jnp.log(self.scale) + log_theta

    def inverse(self, theta: Array) -> Array:
        return (jnp.log(theta) - self.loc) / self.scale


class LogitLocationScale(AbstractChart):
    """`sigmoid(loc + scale z)`: beta priors by the moments of their log odds."""

    loc: Array
    scale: Array

    @property
    def exact(self) -> bool:
        return False

    def __call__(self, z: Array) -> tuple[Array, Array]:
        odds = self.loc + self.scale * z
        return jax.nn.sigmoid(odds), jnp.log(self.scale) + jax.nn.log_sigmoid(odds) + jax.nn.log_sigmoid(-odds)

    def inverse(self, theta: Array) -> Array:
        return (logit(theta) - self.loc) / self.scale


class LaplaceQuantile(AbstractChart):
    """The Laplace prior exactly."""

    loc: Array
    scale: Array

    @property
    def exact(self) -> bool:
        return True

    def __call__(self, z: Array) -> tuple[Array, Array]:
        standard = laplace_quantile(z)
        return self.loc + self.scale * standard, jnp.log(self.scale) + laplace_log_derivative(z, standard)

    def inverse(self, theta: Array) -> Array:
        size = jnp.abs(theta - self.loc) / self.scale
        return -jnp.sign(theta - self.loc) * ndtri(0.5 * jnp.exp(-size))


class HalfNormalQuantile(AbstractChart):
    """The half-normal prior exactly."""

    scale: Array

    @property
    def exact(self) -> bool:
        return True

    def __call__(self, z: Array) -> tuple[Array, Array]:
        size = half_normal_quantile(z)
        return self.scale * size, jnp.log(self.scale) + half_normal_log_derivative(z, size)

    def inverse(self, theta: Array) -> Array:
        size = theta / self.scale
        return jnp.where(size < 1.0, ndtri(jax.lax.erf(size / math.sqrt(2.0))), -ndtri(2.0 * ndtr(-size)))


class ExponentialQuantile(AbstractChart):
    """The exponential prior exactly."""

    rate: Array

    @property
    def exact(self) -> bool:
        return True

    def __call__(self, z: Array) -> tuple[Array, Array]:
        log_tail = log_ndtr(-z)
        return -log_tail / self.rate, _log_phi(z) - log_tail - jnp.log(self.rate)

    def inverse(self, theta: Array) -> Array:
        return -ndtri(jnp.exp(-self.rate * theta))


class UniformQuantile(AbstractChart):
    """The uniform prior exactly."""

    low: Array
    high: Array

    @property
    def exact(self) -> bool:
        return True

    def __call__(self, z: Array) -> tuple[Array, Array]:
        width = self.high - self.low
        return self.low + width * ndtr(z), jnp.log(width) + _log_phi(z)

    def inverse(self, theta: Array) -> Array:
        return ndtri((theta - self.low) / (self.high - self.low))


class BetaOneQuantile(AbstractChart):
    """`Beta(1, b)`, the usual prior of retention, exactly."""

    b: Array

    @property
    def exact(self) -> bool:
        return True

    def __call__(self, z: Array) -> tuple[Array, Array]:
        log_tail = log_ndtr(-z)
        return -jnp.expm1(log_tail / self.b), _log_phi(z) - jnp.log(self.b) + (1.0 / self.b - 1.0) * log_tail

    def inverse(self, theta: Array) -> Array:
        return -ndtri(jnp.exp(self.b * jnp.log1p(-theta)))


def _log_phi(z: Array) -> Array:
    return -0.5 * z * z - LOG_SQRT_2PI


def _beta(prior: Any) -> AbstractChart:
    a, b = prior.concentration1, prior.concentration0
    if np.all(np.asarray(a) == 1.0):
        return BetaOneQuantile(b)
    return LogitLocationScale(digamma(a) - digamma(b), jnp.sqrt(polygamma(1, a) + polygamma(1, b)))


def _gamma(prior: Any) -> AbstractChart:
    return LogLocationScale(digamma(prior.concentration) - jnp.log(prior.rate), jnp.sqrt(polygamma(1, prior.concentration)))


def _inverse_gamma(prior: Any) -> AbstractChart:
    return LogLocationScale(jnp.log(prior.rate) - digamma(prior.concentration), jnp.sqrt(polygamma(1, prior.concentration)))


def _half_student(prior: Any) -> AbstractChart:
    # The square over that of the scale has an F distribution with 1 and `df` degrees of freedom.
    half = 0.5 * prior.df
    middle = 0.5 * (digamma(0.5) - math.log(0.5) - digamma(half) + jnp.log(half))
    return LogLocationScale(jnp.log(prior.scale) + middle, 0.5 * jnp.sqrt(polygamma(1, 0.5) + polygamma(1, half)))


def _half_cauchy(prior: Any) -> AbstractChart:
    # The logarithm of a half-Cauchy variable is symmetric around that of its scale, with the variance (pi / 2)**2.
    return LogLocationScale(jnp.log(prior.scale), jnp.full_like(prior.scale, 0.5 * math.pi))


CHARTS: dict[type[dist.Distribution], Callable[..., AbstractChart]] = {
    dist.Beta: _beta,
    # The quartiles of a Cauchy variable lie one scale from its centre, those of a normal one 0.6745 deviations.
    dist.Cauchy: lambda prior: LocationScale(prior.loc, prior.scale / 0.6745),
    dist.Exponential: lambda prior: ExponentialQuantile(prior.rate),
    dist.Gamma: _gamma,
    dist.HalfCauchy: _half_cauchy,
    dist.HalfNormal: lambda prior: HalfNormalQuantile(prior.scale),
    HalfStudentT: _half_student,
    dist.InverseGamma: _inverse_gamma,
    dist.Laplace: lambda prior: LaplaceQuantile(prior.loc, prior.scale),
    dist.LogNormal: lambda prior: LogLocationScale(prior.loc, prior.scale, standardizes=True),
    dist.Normal: lambda prior: LocationScale(prior.loc, prior.scale, standardizes=True),
    dist.StudentT: lambda prior: LocationScale(prior.loc, prior.scale),
    dist.Uniform: lambda prior: UniformQuantile(prior.low, prior.high),
}
"""How the chart of each family is made."""
