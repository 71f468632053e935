"""Likelihoods of the scaled target given the linear predictor `mu`."""

import abc
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from mmm_jax.errors import PanelError
from mmm_jax.model.components import Params
from mmm_jax.model.priors import gamma_from_moments
from mmm_jax.model.truncated import LeftTruncatedNormal

_LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))


class AbstractLikelihood(eqx.Module):
    """How the observed target scatters around what the model expects.

    `additive` says whether the expected target is `mu` itself, so that the components add up to it.
    """

    additive: ClassVar[bool]

    @abc.abstractmethod
    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter of the likelihood, by its full name."""

    @abc.abstractmethod
    def distribution(self, mu: Float[Array, " time"], params: Params) -> dist.Distribution:
        """Distribution of the scaled target."""

    @abc.abstractmethod
    def log_density(self, target: Float[Array, " time"], mu: Float[Array, " time"], params: Params) -> Float[Array, " time"]:
        """Log density of the scaled target per period."""

    @abc.abstractmethod
    def expectation(self, mu: Float[Array, "*shape"], params: Params) -> Float[Array, "*shape"]:
        """Expected scaled target that contributions, ROAS and plans are measured on."""

    @abc.abstractmethod
    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        """Raise a `PanelError` that names the first value which the likelihood excludes."""


class Normal(AbstractLikelihood):
    """Normal scatter with standard deviation `y_sigma`."""

    additive: ClassVar = True

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"y_sigma": dist.HalfNormal(2.0)}

    def distribution(self, mu: Array, params: Params) -> dist.Distribution:
        return dist.Normal(mu, params["y_sigma"])

    def log_density(self, target: Array, mu: Array, params: Params) -> Array:
        return _normal_log_density(target, mu, params["y_sigma"])

    def expectation(self, mu: Array, params: Params) -> Array:
        return mu

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        return None


class TruncatedNormal(AbstractLikelihood):
    """Normal scatter cut off below `lower`: a target that cannot be negative.

    `mu` is the location of the untruncated normal. Contributions are measured on `mu`, as is usual in the field; the
    mean of the truncated distribution lies above it where `mu` is within a few `y_sigma` of `lower`.

    Attributes:
        lower: the bound in units of the scaled target; 0 is 0 in any units.
    """

    lower: float = eqx.field(static=True, default=0.0, converter=float)
    additive: ClassVar = True

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"y_sigma": dist.HalfNormal(2.0)}

    def distribution(self, mu: Array, params: Params) -> dist.Distribution:
        return LeftTruncatedNormal(mu, params["y_sigma"], low=self.lower)

    def log_density(self, target: Array, mu: Array, params: Params) -> Array:
        return jnp.asarray(self.distribution(mu, params).log_prob(target))

    def expectation(self, mu: Array, params: Params) -> Array:
        return mu

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        _check_above(target, dates, name, self.lower * scale, strict=False, likelihood="TruncatedNormal")


class StudentT(AbstractLikelihood):
    """Student-t scatter with `nu` degrees of freedom: outlying periods pull less."""

    additive: ClassVar = True

    def default_priors(self) -> dict[str, dist.Distribution]:
        # Mean 20, heavy towards few degrees of freedom: Juarez and Steel (2010), Model-based clustering.
        return {"y_sigma": dist.HalfNormal(2.0), "y_nu": dist.Gamma(2.0, 0.1)}

    def distribution(self, mu: Array, params: Params) -> dist.Distribution:
        return dist.StudentT(params["y_nu"], mu, params["y_sigma"])

    def log_density(self, target: Array, mu: Array, params: Params) -> Array:
        return jnp.asarray(self.distribution(mu, params).log_prob(target))

    def expectation(self, mu: Array, params: Params) -> Array:
        return mu

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        return None


class LogNormal(AbstractLikelihood):
    """Log-normal scatter around `exp(mu)`: components multiply, and the expected target is `exp(mu + y_sigma**2 / 2)`."""

    additive: ClassVar = False

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"y_sigma": gamma_from_moments(0.5, 0.5)}

    def distribution(self, mu: Array, params: Params) -> dist.Distribution:
        return dist.LogNormal(mu, params["y_sigma"])

    def log_density(self, target: Array, mu: Array, params: Params) -> Array:
        log_target = jnp.log(target)
        return _normal_log_density(log_target, mu, params["y_sigma"]) - log_target

    def expectation(self, mu: Array, params: Params) -> Array:
        return jnp.exp(mu + 0.5 * params["y_sigma"] ** 2)

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        _check_above(target, dates, name, 0.0, strict=True, likelihood="LogNormal")


LIKELIHOODS: tuple[type[AbstractLikelihood], ...] = (Normal, TruncatedNormal, StudentT, LogNormal)


def _normal_log_density(target: Array, mu: Array, sigma: Array) -> Array:
    return -0.5 * ((target - mu) / sigma) ** 2 - jnp.log(sigma) - _LOG_SQRT_2PI


def _check_above(target: np.ndarray, dates: np.ndarray, name: str, lower: float, *, strict: bool, likelihood: str) -> None:
    bad = np.flatnonzero(target <= lower if strict else target < lower)
    if len(bad):
        relation = "above" if strict else "at least"
        raise PanelError(
            f"The {likelihood} likelihood needs a target {relation} {lower:g}, but {len(bad)} cells of {name!r} are not; "
            f"the first is on {dates[bad[0]]}: got {target[bad[0]]}. Choose another likelihood, or correct the cell."
        )
