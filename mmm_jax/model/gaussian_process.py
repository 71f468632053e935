"""Paths that move smoothly: a Gaussian process over time, in a Hilbert space of sine waves.

`path = sum_j s_j w_j phi_j(position)`, where `phi_j` are the waves that fit between the borders of a domain a bit wider than
the training rows, `w_j` are standard normal, and `s_j` comes from the kernel's spectral density: the longer the
lengthscale, the faster it falls with `j`. Beyond the borders the path is 0, which is where it comes back to.

Reference:
    Solin and Sarkka (2020), Hilbert space methods for reduced-rank Gaussian process regression; Riutort-Mayol et al. (2023),
    Practical Hilbert space approximate Bayesian Gaussian processes for probabilistic programming.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.contrib.hsgp.laplacian import eigenfunctions
from numpyro.contrib.hsgp.spectral_densities import diag_spectral_density_matern

from mmm_jax.errors import SpecError
from mmm_jax.model.components import Params
from mmm_jax.model.priors import lognormal_from_interval
from mmm_jax.model.trends import AbstractTrend, numbered

_CENTER, _HALF = 0.5, 0.5
"""Of the training rows, in positions."""

_SMOOTHNESS = 2.5
"""Of the Matern kernel: paths with a slope that is continuous."""


class SmoothPath(eqx.Module):
    """The process itself, whatever its path is used for.

    Attributes:
        name: what the parameters' names begin with.
        num_waves: waves in the basis.
        margin: half width of the domain over that of the training rows.
    """

    name: str = eqx.field(static=True)
    num_waves: int = eqx.field(static=True)
    margin: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.num_waves < 1:
            raise SpecError(f"num_waves must be at least 1, got {self.num_waves}.")
        if not self.margin > 1:
            raise SpecError(f"margin must be above 1, so that the borders lie outside of the rows; got {self.margin}.")

    @property
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        """Dimension names of each parameter."""
        return {f"{self.name}_amplitude": (), f"{self.name}_lengthscale": (), self.weights: (f"{self.name}_wave",)}

    @property
    def weights(self) -> str:
        """Name of the waves' weights."""
        return f"{self.name}_weight"

    @property
    def coordinates(self) -> dict[str, list[str]]:
        """Labels of the waves."""
        return {f"{self.name}_wave": numbered("wave", self.num_waves)}

    def priors(self, amplitude: float) -> dict[str, dist.Distribution]:
        """Priors: a half-normal amplitude, and changes within a tenth to the half of the training rows."""
        return {
            f"{self.name}_amplitude": dist.HalfNormal(amplitude),
            f"{self.name}_lengthscale": lognormal_from_interval(0.1, 0.5),
            self.weights: dist.Normal(0.0, 1.0),
        }

    def basis(self, position: Float[Array, " time"]) -> Float[Array, "wave time"]:
        """The waves, 0 at the borders and beyond."""
        inside = jnp.clip(position - _CENTER, -self._border, self._border)
        return eigenfunctions(inside, self._border, self.num_waves).T.astype(position.dtype)

    def deviations(self, params: Params) -> Float[Array, " wave"]:
        """Standard deviation of every wave's coefficient."""
        amplitude, lengthscale = params[f"{self.name}_amplitude"], params[f"{self.name}_lengthscale"]
        density = diag_spectral_density_matern(_SMOOTHNESS, amplitude**2, lengthscale, self._border, self.num_waves, 1)
        # The spectral density of high waves underflows in single precision, where the root has no slope.
        return jnp.sqrt(jnp.maximum(density, jnp.finfo(density.dtype).tiny))

    def coefficients(self, params: Params) -> Float[Array, " wave"]:
        """Of the waves."""
        return self.deviations(params) * params[self.weights]

    @property
    def _border(self) -> float:
        return self.margin * _HALF


class GaussianProcessTrend(AbstractTrend):
    """A baseline that moves smoothly around the intercept, and comes back to it beyond the training rows.

    Attributes:
        num_waves: waves in the basis: more of them follow faster moves.
        margin: half width of the process's domain over that of the training rows: a forecast is back at the intercept at
            `(margin - 1) / 2` of the training rows' length after them.
    """

    num_waves: int = eqx.field(static=True, default=20)
    margin: float = eqx.field(static=True, default=1.5)

    def __check_init__(self) -> None:
        self.path.__check_init__()

    @property
    def path(self) -> SmoothPath:
        """The process."""
        return SmoothPath("trend", self.num_waves, self.margin)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return self.path.priors(0.3)

    @property
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        return self.path.parameter_dims

    @property
    def coordinates(self) -> dict[str, list[str]]:
        return self.path.coordinates

    def basis(self, position: Float[Array, " time"]) -> Float[Array, "wave time"]:
        return self.path.basis(position)

    def coefficients(self, params: Params) -> Float[Array, " wave"]:
        return self.path.coefficients(params)


class AbstractMultiplier(eqx.Module):
    """How much stronger or weaker all media work on a date, around 1 over the training rows."""

    path: eqx.AbstractVar[SmoothPath]

    @abc.abstractmethod
    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter, by its full name."""

    @abc.abstractmethod
    def values(
        self,
        params: Params,
        basis: Float[Array, "wave time"],
        training: Float[Array, "wave training"],
        rows: Float[Array, " training"],
    ) -> Float[Array, " time"]:
        """The multiplier of one draw.

        Args:
            params: one draw.
            basis: of the rows in question.
            training: of the training rows.
            rows: 1 for the training rows that count in the mean.
        """


class GaussianProcessMultiplier(AbstractMultiplier):
    """Softplus of a Gaussian process, over its own mean: media that work better in some times than in others.

    Attributes:
        num_waves: waves in the basis.
        margin: half width of the process's domain over that of the training rows.
    """

    num_waves: int = eqx.field(static=True, default=12)
    margin: float = eqx.field(static=True, default=1.5)
    name: ClassVar = "multiplier"

    def __check_init__(self) -> None:
        self.path.__check_init__()

    @property
    def path(self) -> SmoothPath:
        """The process."""
        return SmoothPath(self.name, self.num_waves, self.margin)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return self.path.priors(0.5)

    def values(self, params: Params, basis: Array, training: Array, rows: Array) -> Array:
        coefficients = self.path.coefficients(params)
        usual = jax.nn.softplus(coefficients @ training) @ rows / rows.sum()
        return jax.nn.softplus(coefficients @ basis) / usual


MULTIPLIERS: tuple[type[AbstractMultiplier], ...] = (GaussianProcessMultiplier,)
