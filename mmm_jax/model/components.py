"""Adstocks and saturations as objects: the choice, its parameters' priors, and its maths in one place.

A component is a final Equinox module without arrays: its options are static, its parameters come in from the draw.
A new one is one class here and one entry in `ADSTOCKS` or `SATURATIONS`.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float

from mmm_jax.errors import SpecError
from mmm_jax.kernels import adstock, saturation
from mmm_jax.kernels.media import Curve, CurvePartials
from mmm_jax.model.priors import gamma_from_moments

Params = dict[str, Array]
"""One draw of the free parameters: name to array."""


class AbstractAdstock(eqx.Module):
    """How spend keeps working: weights over the lags `0 ... l_max - 1`."""

    l_max: eqx.AbstractVar[int]
    parameters: ClassVar[tuple[str, ...]]

    def __check_init__(self) -> None:
        if self.l_max < 1:
            raise SpecError(f"l_max must be at least 1 period, got {self.l_max}.")

    @abc.abstractmethod
    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter, named as in `parameters`."""

    @abc.abstractmethod
    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        """Weights of one draw; the parameters are found under `adstock_<name>`, one value per channel each."""


class GeometricAdstock(AbstractAdstock):
    """`alpha**lag`: the effect fades by the same share every period."""

    l_max: int = eqx.field(static=True)
    normalize: bool = eqx.field(static=True, default=True)
    parameters: ClassVar = ("alpha",)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"alpha": dist.Beta(1.0, 3.0)}

    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        return adstock.geometric_weights(params["adstock_alpha"], self.l_max, normalize=self.normalize)


class DelayedAdstock(AbstractAdstock):
    """`alpha**((lag - theta)**2)`: the effect peaks `theta` periods after the spend."""

    l_max: int = eqx.field(static=True)
    normalize: bool = eqx.field(static=True, default=True)
    parameters: ClassVar = ("alpha", "theta")

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"alpha": dist.Beta(1.0, 3.0), "theta": dist.HalfNormal(1.0)}

    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        alpha, theta = params["adstock_alpha"], params["adstock_theta"]
        return adstock.delayed_weights(alpha, theta, self.l_max, normalize=self.normalize)


class BinomialAdstock(AbstractAdstock):
    """`(1 - lag / (l_max + 1))**(1 / alpha - 1)`: the effect ends with the window."""

    l_max: int = eqx.field(static=True)
    normalize: bool = eqx.field(static=True, default=True)
    parameters: ClassVar = ("alpha",)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"alpha": dist.Beta(1.0, 3.0)}

    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        return adstock.binomial_weights(params["adstock_alpha"], self.l_max, normalize=self.normalize)


class WeibullPDFAdstock(AbstractAdstock):
    """Weibull density at `lag + 1`, rescaled to [0, 1]: a peak anywhere in the window, never to be told from a level."""

    l_max: int = eqx.field(static=True)
    normalize: bool = eqx.field(static=True, default=True)
    parameters: ClassVar = ("lam", "k")

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"lam": gamma_from_moments(2.0, 1.0), "k": gamma_from_moments(3.0, 1.0)}

    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        lam, k = params["adstock_lam"], params["adstock_k"]
        return adstock.weibull_pdf_weights(lam, k, self.l_max, normalize=self.normalize)


class WeibullCDFAdstock(AbstractAdstock):
    """Cumulative product of Weibull survival: fades slowly at first, then fast, or the other way round."""

    l_max: int = eqx.field(static=True)
    normalize: bool = eqx.field(static=True, default=True)
    parameters: ClassVar = ("lam", "k")

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"lam": gamma_from_moments(2.0, 2.5), "k": gamma_from_moments(2.0, 2.5)}

    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        lam, k = params["adstock_lam"], params["adstock_k"]
        return adstock.weibull_cdf_weights(lam, k, self.l_max, normalize=self.normalize)


class NoAdstock(AbstractAdstock):
    """Spend works in the period in which it is spent, and in no other."""

    l_max: int = eqx.field(static=True, default=1, init=False)
    parameters: ClassVar = ()

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {}

    def weights(self, params: Params) -> Float[Array, "#channel lag"]:
        return adstock.identity_weights((1,), jnp.result_type(float))


class AbstractSaturation(eqx.Module):
    """How the effect of one more unit of spend falls with the spend.

    Of `parameters`, `effect` is the one that says how large the effect is, rather than of what shape; `proportional` says
    whether it multiplies the curve.
    """

    parameters: ClassVar[tuple[str, ...]]
    effect: ClassVar[str]
    proportional: ClassVar[bool] = True
    curve: ClassVar[Curve]
    partials: ClassVar[CurvePartials]

    @abc.abstractmethod
    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter, named as in `parameters`."""

    def arguments(self, params: Params) -> tuple[Float[Array, " channel"], ...]:
        """The curve's parameters of one draw, in the order of its signature, found under `saturation_<name>`."""
        return tuple(params[f"saturation_{name}"] for name in self.parameters)

    @abc.abstractmethod
    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        """Whether the curve with these parameters never bends upwards: then more spend never brings more per unit."""


class LogisticSaturation(AbstractSaturation):
    """`beta tanh(lam x / 2)`: linear at first, `beta` at most."""

    parameters: ClassVar = ("lam", "beta")
    effect: ClassVar = "beta"
    curve: ClassVar = staticmethod(saturation.logistic)
    partials: ClassVar = staticmethod(saturation.logistic_partials)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"lam": dist.Gamma(3.0, 1.0), "beta": dist.HalfNormal(2.0)}

    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        return (arguments[0] >= 0) & (arguments[1] >= 0)


class TanhSaturation(AbstractSaturation):
    """`b tanh(x / (b c))`: `b` at most, `c` the cost of the first unit of effect."""

    parameters: ClassVar = ("b", "c")
    effect: ClassVar = "b"
    proportional: ClassVar = False
    curve: ClassVar = staticmethod(saturation.tanh)
    partials: ClassVar = staticmethod(saturation.tanh_partials)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"b": dist.HalfNormal(1.0), "c": dist.HalfNormal(1.0)}

    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        return (arguments[0] >= 0) & (arguments[1] > 0)


class MichaelisMentenSaturation(AbstractSaturation):
    """`alpha x / (lam + x)`: `alpha` at most, half of it at `lam`."""

    parameters: ClassVar = ("alpha", "lam")
    effect: ClassVar = "alpha"
    curve: ClassVar = staticmethod(saturation.michaelis_menten)
    partials: ClassVar = staticmethod(saturation.michaelis_menten_partials)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"alpha": gamma_from_moments(2.0, 1.0), "lam": dist.HalfNormal(1.0)}

    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        return (arguments[0] >= 0) & (arguments[1] >= 0)


class HillSaturation(AbstractSaturation):
    """`beta x**slope / (kappa**slope + x**slope)`: S-shaped where the slope is above 1."""

    parameters: ClassVar = ("slope", "kappa", "beta")
    effect: ClassVar = "beta"
    curve: ClassVar = staticmethod(saturation.hill)
    partials: ClassVar = staticmethod(saturation.hill_partials)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {name: dist.HalfNormal(1.5) for name in self.parameters}

    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        return (arguments[0] <= 1) & (arguments[2] >= 0)


class RootSaturation(AbstractSaturation):
    """`beta x**alpha`: ever slower, never full."""

    parameters: ClassVar = ("alpha", "beta")
    effect: ClassVar = "beta"
    curve: ClassVar = staticmethod(saturation.root)
    partials: ClassVar = staticmethod(saturation.root_partials)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"alpha": dist.Beta(1.0, 2.0), "beta": gamma_from_moments(1.0, 1.0)}

    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        return (arguments[0] <= 1) & (arguments[1] >= 0)


class NoSaturation(AbstractSaturation):
    """`beta x`: every unit brings the same."""

    parameters: ClassVar = ("beta",)
    effect: ClassVar = "beta"
    curve: ClassVar = staticmethod(saturation.linear)
    partials: ClassVar = staticmethod(saturation.linear_partials)

    def default_priors(self) -> dict[str, dist.Distribution]:
        return {"beta": dist.HalfNormal(1.0)}

    def concave(self, *arguments: Array) -> Bool[Array, "..."]:
        return jnp.ones_like(arguments[0], bool)


ADSTOCKS: tuple[type[AbstractAdstock], ...] = (
    GeometricAdstock,
    DelayedAdstock,
    BinomialAdstock,
    WeibullPDFAdstock,
    WeibullCDFAdstock,
    NoAdstock,
)
SATURATIONS: tuple[type[AbstractSaturation], ...] = (
    LogisticSaturation,
    TanhSaturation,
    MichaelisMentenSaturation,
    HillSaturation,
    RootSaturation,
    NoSaturation,
)
