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
from mmm_jax.model.counts import ScaledNegativeBinomial
from mmm_jax.model.priors import gamma_from_moments
from mmm_jax.model.truncated import LeftTruncatedNormal

_LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))


class AbstractLikelihood(eqx.Module):
    """How the observed target scatters around what the model expects.

    `additive` says whether the expected target is `mu` itself, so that the components add up to it; `counts`, whether the
    target is a whole number in its own units. `scale` is always what the target was divided by: most likelihoods have no
    unit and need none, counts do.
    """

    additive: ClassVar[bool]
    counts: ClassVar[bool]

    @abc.abstractmethod
    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter of the likelihood, by its full name."""

    @abc.abstractmethod
    def distribution(self, mu: Float[Array, " time"], params: Params, scale: Float[Array, ""]) -> dist.Distribution:
        """Distribution of the scaled target."""

    @abc.abstractmethod
    def log_density(
        self, target: Float[Array, " time"], mu: Float[Array, " time"], params: Params, scale: Float[Array, ""]
    ) -> Float[Array, " time"]:
        """Log density of the scaled target per period; less `log(scale)`, it is that of the target in its own units."""

    @abc.abstractmethod
    def expectation(self, mu: Float[Array, "*shape"], params: Params) -> Float[Array, "*shape"]:
        """Expected scaled target that contributions, ROAS and plans are measured on."""

    @abc.abstractmethod
    def noise(self, mu: Float[Array, " time"], params: Params, scale: Float[Array, ""]) -> Float[Array, "*time"]:
        """What one outcome leaves unknown of its `mu`: the root of the inverse of its Fisher information."""

    @abc.abstractmethod
    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        """Raise a `PanelError` that names the first value which the likelihood excludes."""


class Normal(AbstractLikelihood):
    """Normal scatter with standard deviation `y_sigma`."""

    additive: ClassVar = True
    counts: ClassVar = False

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"y_sigma": dist.HalfNormal(2.0)}

    def distribution(self, mu: Array, params: Params, scale: Array) -> dist.Distribution:
        return dist.Normal(mu, params["y_sigma"])

    def log_density(self, target: Array, mu: Array, params: Params, scale: Array) -> Array:
        return _normal_log_density(target, mu, params["y_sigma"])

    def expectation(self, mu: Array, params: Params) -> Array:
        return mu

    def noise(self, mu: Array, params: Params, scale: Array) -> Array:
        return params["y_sigma"]

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
    counts: ClassVar = False

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"y_sigma": dist.HalfNormal(2.0)}

    def distribution(self, mu: Array, params: Params, scale: Array) -> dist.Distribution:
        return LeftTruncatedNormal(mu, params["y_sigma"], low=self.lower)

    def log_density(self, target: Array, mu: Array, params: Params, scale: Array) -> Array:
        return jnp.asarray(self.distribution(mu, params, scale).log_prob(target))

    def expectation(self, mu: Array, params: Params) -> Array:
        return mu

    def noise(self, mu: Array, params: Params, scale: Array) -> Array:
        return params["y_sigma"]

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        _check_above(target, dates, name, self.lower * scale, strict=False, likelihood="TruncatedNormal")


class StudentT(AbstractLikelihood):
    """Student-t scatter with `nu` degrees of freedom: outlying periods pull less."""

    additive: ClassVar = True
    counts: ClassVar = False

    def default_priors(self) -> dict[str, dist.Distribution]:
        # Mean 20, heavy towards few degrees of freedom: Juarez and Steel (2010), Model-based clustering.
        return {"y_sigma": dist.HalfNormal(2.0), "y_nu": dist.Gamma(2.0, 0.1)}

    def distribution(self, mu: Array, params: Params, scale: Array) -> dist.Distribution:
        return dist.StudentT(params["y_nu"], mu, params["y_sigma"])

    def log_density(self, target: Array, mu: Array, params: Params, scale: Array) -> Array:
        return jnp.asarray(self.distribution(mu, params, scale).log_prob(target))

    def expectation(self, mu: Array, params: Params) -> Array:
        return mu

    def noise(self, mu: Array, params: Params, scale: Array) -> Array:
        nu = params["y_nu"]
        return params["y_sigma"] * jnp.sqrt((nu + 3.0) / (nu + 1.0))

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        return None


class LogNormal(AbstractLikelihood):
    """Log-normal scatter around `exp(mu)`: components multiply, and the expected target is `exp(mu + y_sigma**2 / 2)`."""

    additive: ClassVar = False
    counts: ClassVar = False

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"y_sigma": gamma_from_moments(0.5, 0.5)}

    def distribution(self, mu: Array, params: Params, scale: Array) -> dist.Distribution:
        return dist.LogNormal(mu, params["y_sigma"])

    def log_density(self, target: Array, mu: Array, params: Params, scale: Array) -> Array:
        log_target = jnp.log(target)
        return _normal_log_density(log_target, mu, params["y_sigma"]) - log_target

    def expectation(self, mu: Array, params: Params) -> Array:
        return jnp.exp(mu + 0.5 * params["y_sigma"] ** 2)

    def noise(self, mu: Array, params: Params, scale: Array) -> Array:
        return params["y_sigma"]

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        _check_above(target, dates, name, 0.0, strict=True, likelihood="LogNormal")


class NegativeBinomial(AbstractLikelihood):
    """Counts around `exp(mu)`, such as orders or sign-ups: components multiply, and the target may be 0.

    Of an expected count `m` the variance is `m + m**2 / y_concentration`: beside the scatter of any count, the expectation
    itself scatters by `1 / sqrt(y_concentration)` of its size. `mu` is the logarithm of the expected scaled target.
    """

    additive: ClassVar = False
    counts: ClassVar = True

    def default_priors(self) -> dict[str, dist.Distribution]:
        # The scatter beside the counts' own is 22 % in the median, and 5 % to 97 % with a probability of 95 %.
        return {"y_concentration": dist.LogNormal(3.0, 1.5)}

    def distribution(self, mu: Array, params: Params, scale: Array) -> dist.Distribution:
        return ScaledNegativeBinomial(jnp.exp(mu), params["y_concentration"], scale=scale)

    def log_density(self, target: Array, mu: Array, params: Params, scale: Array) -> Array:
        return jnp.asarray(self.distribution(mu, params, scale).log_prob(target))

    def expectation(self, mu: Array, params: Params) -> Array:
        return jnp.exp(mu)

    def noise(self, mu: Array, params: Params, scale: Array) -> Array:
        return jnp.sqrt(jnp.exp(-mu) / scale + 1.0 / params["y_concentration"])

    def check_target(self, target: np.ndarray, dates: np.ndarray, name: str, scale: float) -> None:
        _check_above(target, dates, name, 0.0, strict=False, likelihood="NegativeBinomial")
        _check_whole(target, dates, name)


LIKELIHOODS: tuple[type[AbstractLikelihood], ...] = (Normal, TruncatedNormal, StudentT, LogNormal, NegativeBinomial)


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


def _check_whole(target: np.ndarray, dates: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(target != np.round(target))
    if len(bad):
        raise PanelError(
            f"The NegativeBinomial likelihood needs whole numbers, but {len(bad)} cells of {name!r} are not; the first is "
            f"on {dates[bad[0]]}: got {target[bad[0]]}. If the target is no count, choose another likelihood."
        )
