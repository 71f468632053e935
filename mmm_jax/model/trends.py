"""Baselines that move: a basis over time, and its coefficients given the parameters.

The position in time is 0 at the first and 1 at the last training row. A new trend is one class here and one entry in
`TRENDS` of `mmm_jax.model.spec`.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from mmm_jax.errors import SpecError
from mmm_jax.kernels import basis
from mmm_jax.model.components import Params


class AbstractTrend(eqx.Module):
    """A baseline that moves, on top of the intercept."""

    @abc.abstractmethod
    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter, by its full name."""

    @property
    @abc.abstractmethod
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        """Dimension names of each parameter."""

    @property
    def coordinates(self) -> dict[str, list[str]]:
        """Labels of the dimensions that are the trend's own."""
        return {}

    @abc.abstractmethod
    def basis(self, position: Float[Array, " time"]) -> Float[Array, "trend time"]:
        """What the coefficients act on."""

    @abc.abstractmethod
    def coefficients(self, params: Params) -> Float[Array, " trend"]:
        """One per row of the basis, in scaled target."""


class LinearTrend(AbstractTrend):
    """A straight line over the training panel, and on beyond it."""

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"trend_slope": dist.Normal(0.0, 0.5)}

    @property
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        return {"trend_slope": ()}

    def basis(self, position: Float[Array, " time"]) -> Float[Array, "1 time"]:
        return position[None, :]

    def coefficients(self, params: Params) -> Float[Array, " 1"]:
        """Slope, in scaled target per length of the training panel."""
        return jnp.atleast_1d(params["trend_slope"])


class PiecewiseTrend(AbstractTrend):
    """A line that may bend at `num_changepoints` dates, evenly spread over the training panel."""

    num_changepoints: int = eqx.field(static=True, default=5)

    def __check_init__(self) -> None:
        if self.num_changepoints < 1:
            raise SpecError(f"num_changepoints must be at least 1, got {self.num_changepoints}. Without any: LinearTrend().")

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"trend_slope": dist.Normal(0.0, 0.5), "trend_delta": dist.Laplace(0.0, 0.25)}

    @property
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        return {"trend_slope": (), "trend_delta": ("changepoint",)}

    @property
    def coordinates(self) -> dict[str, list[str]]:
        return {"changepoint": numbered("changepoint", self.num_changepoints)}

    def basis(self, position: Float[Array, " time"]) -> Float[Array, "trend time"]:
        """The position itself, then one bend per changepoint."""
        inner = jnp.linspace(0.0, 1.0, self.num_changepoints + 2, dtype=position.dtype)[1:-1]
        return jnp.concatenate([position[None, :], basis.hinges(position, inner)])

    def coefficients(self, params: Params) -> Float[Array, " trend"]:
        """Slope, then the changes of slope, in scaled target per length of the training panel."""
        return jnp.concatenate([jnp.atleast_1d(params["trend_slope"]), params["trend_delta"]])


class KnotTrend(AbstractTrend):
    """Levels at `num_knots` dates, evenly spread from the first to the last training row, with straight lines between.

    The levels come on top of the intercept, around which their prior keeps them. After the last knot its level is held.
    """

    num_knots: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        if self.num_knots < 2:
            raise SpecError(f"num_knots must be at least 2, got {self.num_knots}. One level is the intercept.")

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"trend_level": dist.Normal(0.0, 0.3)}

    @property
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        return {"trend_level": ("knot",)}

    @property
    def coordinates(self) -> dict[str, list[str]]:
        return {"knot": numbered("knot", self.num_knots)}

    def basis(self, position: Float[Array, " time"]) -> Float[Array, "knot time"]:
        return basis.hats(position, jnp.linspace(0.0, 1.0, self.num_knots, dtype=position.dtype))

    def coefficients(self, params: Params) -> Float[Array, " knot"]:
        return params["trend_level"]


def numbered(name: str, count: int) -> list[str]:
    """Labels `name_1` to `name_<count>`."""
    return [f"{name}_{k}" for k in range(1, count + 1)]
