"""Coordinates of weights under a learned scale: in its units where the prior holds them, in their own where data do.

A coefficient `s w`, with a weight `w` of unit deviation and a learned scale `s`, leaves a sampler two ways. Where the data
say nothing, `w` and `s` are independent, and `w` is the coordinate to take (not centred). Where the data pin the
coefficient down, `w` moves against `s`, in a funnel; then the coefficient is (centred). In between, `w (s / s0)**share`
is, with a share that grows from 0 to 1 with what the data know; `s0` is the scale at its prior's middle, for the units.

Where every weight has a scale of its own that may be of any size, as in a horseshoe, no share serves them all: it has to
change with the scale. There, `w sqrt(1 + I s**2)` is the coordinate, where `I` is what the data know of the coefficient: the
coefficient over its deviation given both.

Reference:
    Papaspiliopoulos, Roberts and Skold (2007), A general framework for the parametrization of hierarchical models.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.inference.transforms import AbstractChart, constrain
from mmm_jax.model import horseshoe
from mmm_jax.model.components import Params
from mmm_jax.model.gaussian_process import GaussianProcessTrend, SmoothPath
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM

_MEDIA = 0.1
"""Of the target, what stands for the effect of all media, which is not known yet, and better thought small than large."""


class Centering(NamedTuple):
    """Of one block of weights, all shape (weight,).

    Attributes:
        share: how far its coordinates are centred, from 0 to 1.
        usual: logarithm of the scales at their prior's middle.
    """

    share: Float[Array, " weight"]
    usual: Float[Array, " weight"]

    def weights(self, coordinate: Array, scales: Array) -> tuple[Array, Array]:
        """Weights of a coordinate, and the logarithm of the volume of a unit of it."""
        log_stretch = -self.share * (jnp.log(scales) - self.usual)
        return coordinate * jnp.exp(log_stretch), log_stretch.sum()


class AdaptiveCentering(NamedTuple):
    """Of one block of weights, each under a scale of its own.

    Attributes:
        information: of the data on every coefficient, in its units to the power of -2, shape (weight,).
    """

    information: Float[Array, " weight"]

    def weights(self, coordinate: Array, scales: Array) -> tuple[Array, Array]:
        """Weights of a coordinate, and the logarithm of the volume of a unit of it."""
        log_stretch = -0.5 * jnp.log1p(self.information * scales**2)
        return coordinate * jnp.exp(log_stretch), log_stretch.sum()


def paths_of(model: MMM | GeoMMM) -> dict[str, SmoothPath]:
    """The model's smooth paths that all markets share, by the name of their weights."""
    one = model.markets if isinstance(model, GeoMMM) else model
    found = [one.trend.path] if isinstance(one.trend, GaussianProcessTrend) else []
    found += [] if one.multiplier is None else [one.multiplier.path]
    own = {part.name for part in model.pooling if part.how != "complete"} if isinstance(model, GeoMMM) else set()
    return {path.weights: path for path in found if not own & set(path.parameter_dims)}


def centerings(model: MMM | GeoMMM, charts: Mapping[str, AbstractChart]) -> dict[str, Centering | AdaptiveCentering]:
    """How the weights of every path, and of coefficients that shrink, are centred, by what the data know of them."""
    found: dict[str, Centering | AdaptiveCentering] = {}
    if horseshoe.WEIGHT in model.prior_arguments:
        found[horseshoe.WEIGHT] = AdaptiveCentering(_information(model, horseshoe.WEIGHT))
    for name, path in paths_of(model).items():
        scales = [own for own in path.parameter_dims if own != name]
        middle, _ = constrain({own: jnp.zeros(charts[own].shape) for own in scales}, charts)
        deviations = path.deviations(middle)
        known = deviations**2 * _information(model, name)
        found[name] = Centering(known / (1.0 + known), jnp.log(deviations))
    return found


def learned_scales(model: MMM | GeoMMM) -> set[str]:
    """Names of the parameters that scale a path's weights, or coefficients that shrink."""
    found = {own for name, path in paths_of(model).items() for own in path.parameter_dims if own != name}
    return found | {horseshoe.GLOBAL, horseshoe.LOCAL, horseshoe.SLAB} & model.prior_arguments.keys()


def placed(
    coordinates: Mapping[str, Array],
    params: Params,
    model: MMM | GeoMMM,
    given: Mapping[str, Centering | AdaptiveCentering],
    rule: Callable[[Mapping[str, Array]], tuple[Params, Array]],
) -> tuple[Params, Float[Array, ""]]:
    """The weights under learned scales, and the sum of what the rule and the coordinates' volume add up.

    Args:
        coordinates: of the weights, by name.
        params: one draw of all else.
        model: the model.
        given: how they are centred.
        rule: from real values to parameters, see `density`.
    """
    found, added = {}, jnp.zeros(())
    deviations = {name: path.deviations for name, path in paths_of(model).items()}
    deviations |= {horseshoe.WEIGHT: horseshoe.deviations} if horseshoe.WEIGHT in given else {}
    for name, scales in deviations.items():
        weights, volume = given[name].weights(coordinates[name], scales(params))
        own, more = rule({name: weights})
        found, added = {**found, **own}, added + more + volume
    return found, added


def _information(model: MMM | GeoMMM, name: str) -> Float[Array, " weight"]:
    """What the rows that count say of every coefficient: the sum of the squared waves over the noise's variance."""
    one = model.markets if isinstance(model, GeoMMM) else model
    target = jnp.ones(one.design.shape[-1:]) if one.target is None else jnp.asarray(one.target)
    observed = jnp.ones_like(target) if one.observed is None else one.observed
    rows = jnp.maximum(observed.sum(), 1.0)
    mean = (observed * target).sum() / rows
    # The target's whole variance stands for the noise, which is not known yet.
    noise = (observed * (target - mean) ** 2).sum() / rows
    if name == horseshoe.WEIGHT and not one.likelihood.additive:
        # Their coefficients act on the logarithm, whose variance is about the relative one.
        noise = noise / jnp.maximum(mean**2, jnp.finfo(noise.dtype).tiny)
    squares = (observed[..., None, :] * _waves(model, name, mean) ** 2).sum(-1)
    return squares.reshape(-1, squares.shape[-1]).sum(0) / jnp.maximum(noise, jnp.finfo(noise.dtype).tiny)


def _waves(model: MMM | GeoMMM, name: str, mean: Array) -> Float[Array, "*geo wave time"]:
    """What every coefficient of a block multiplies."""
    one = model.markets if isinstance(model, GeoMMM) else model
    if name == horseshoe.WEIGHT:
        return one.design[..., : model.prior_arguments[name]["loc"].shape[-1], :]
    return _trend_waves(model) if name == "trend_weight" else _MEDIA * mean * jnp.asarray(one.multiplier_basis)


def _trend_waves(model: MMM | GeoMMM) -> Float[Array, "*geo wave time"]:
    """Of the design, the trend's rows, behind which only the events' are."""
    one = model.markets if isinstance(model, GeoMMM) else model
    events = model.prior_arguments.get("gamma_event", {})
    stop = one.design.shape[-2] - max((values.shape[-1] for values in events.values()), default=0)
    return one.design[..., stop - model.prior_arguments["trend_weight"]["loc"].shape[-1] : stop, :]
