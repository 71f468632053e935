"""The model's log density as a sampler wants it: on a flat vector, with model and charts as data.

The data pin down the mean over time of all that brings sales, much more sharply than the intercept and the media effects
that it is made of. In coordinates of those, the posterior is a thin bent sheet, through which a sampler takes small steps.
So the flat vector holds that mean, the level, in the intercept's place: a shear, whose Jacobian is 1. Of a partially
pooled intercept, it holds the level of every geo in the place of the geo's deviation: however much geos turn out to
differ, their levels stay where they are.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales
from mmm_jax.fitting.centering import AdaptiveCentering, Centering, centerings, learned_scales, placed
from mmm_jax.inference.coloring import SHARED
from mmm_jax.inference.transforms import AbstractChart, LocationScale, charts_of, constrain, split, standardized
from mmm_jax.model.build import build_any_model
from mmm_jax.model.components import Params
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM
from mmm_jax.model.padding import active_coordinates, bucket_of
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.spec import ModelSpec

_FAR = 30.0
"""How many times as wide as what is plausible a prior of a control's coefficient may be, to be its unit."""

_POOLED = "intercept_eps"


class Target(NamedTuple):
    """What a density is evaluated with; a pytree.

    Attributes:
        model: the model with its data, of one market or of many.
        charts: by parameter name.
        centering: of the weights under a learned scale, by name.
        leveling: how much the intercept's coordinate falls per unit of media effect in every row, in the rows' shape.
    """

    model: MMM | GeoMMM
    charts: dict[str, AbstractChart]
    leveling: Float[Array, "*rows"]
    centering: dict[str, Centering | AdaptiveCentering]


class Prepared(NamedTuple):
    """A target with what the engine must know of its flat vector, see `lanes.sample_many`; all shape (flat,)."""

    target: Target
    active: np.ndarray
    searched: np.ndarray
    blocks: np.ndarray


def target_of(model: MMM | GeoMMM) -> Target:
    """The model with the charts that standardise its priors."""
    charts = _in_units_of_data(charts_of(model.priors), model)
    return Target(model, charts, _leveling(model, charts), centerings(model, charts))


def _in_units_of_data(charts: dict[str, AbstractChart], model: MMM | GeoMMM) -> dict[str, AbstractChart]:
    """Charts whose coefficients of controls have units in which the data can be told.

    Controls are used as given, prices in thousands next to dummies. A prior that is the same for all is then far wider than
    anything that the data admit for some, whose posterior would be too narrow a needle to find in the prior's units. There,
    the unit is a control whose largest value moves the target by its scale.
    """
    chart, one = charts.get("gamma_control"), model.markets if isinstance(model, GeoMMM) else model
    if not isinstance(chart, LocationScale) or chart.shape[-1] == 0:
        return charts
    controls = jnp.abs(one.design[..., : chart.shape[-1], :]).max(axis=-1)
    largest = controls.reshape(-1, controls.shape[-1]).max(axis=0)
    plausible = 1.0 / jnp.where(largest > 0, largest, 1.0)
    far = (largest > 0) & (jnp.asarray(chart.scale) > _FAR * plausible)
    if not far.any():
        return charts
    scale = jnp.where(far, plausible, chart.scale)
    return {**charts, "gamma_control": LocationScale(jnp.where(far, 0.0, chart.loc), scale)}


def padded_target(spec: ModelSpec, panel: AnyPanel, scales: AnyScales, experiments: LiftTests | None = None) -> Prepared:
    """The target of a panel padded to its bucket, and which coordinates of the flat vector are real and searched.

    Raises:
        PanelError: the panel has no target, is shorter than the adstock window, or leaves the likelihood's support.
        SpecError: a prior's shape does not fit.
        ExperimentError: an experiment does not fit the panel.
    """
    target = target_of(build_any_model(spec, panel, scales, sizes=bucket_of(panel), experiments=experiments))
    shapes = {name: chart.shape for name, chart in target.charts.items()}
    active = active_coordinates(spec, shapes, panel)
    return Prepared(target, active, active * (1.0 - _spreads(target)), _blocks(target, parameter_dims(spec, panel)))


def _blocks(target: Target, dims: Mapping[str, tuple[str, ...]]) -> np.ndarray:
    """Number of the geo that a coordinate matters to alone, `SHARED` for all others."""
    # An experiment over several geos ties their parameters together.
    tied, found = target.model.experiments is not None, []
    for name, chart in sorted(target.charts.items()):
        of_geo = not tied and dims[name][:1] == ("geo",)
        first = np.arange(chart.shape[0]).reshape(-1, *(1,) * (len(chart.shape) - 1)) if of_geo else SHARED
        found.append(np.broadcast_to(first, chart.shape).ravel())
    return np.concatenate(found)


def _spreads(target: Target) -> np.ndarray:
    """1 for learned scales: of partially pooled parameters, of smooth paths, and of coefficients that shrink.

    Where all geos agree and the scale is 0, the joint density has a peak, infinitely high and of no volume: the mode is
    searched with scales held at their prior's median.
    """
    pooled = {f"{part.name}_eta" for part in target.model.pooling} if isinstance(target.model, GeoMMM) else set()
    scales = pooled | learned_scales(target.model)
    found = [np.full(chart.shape, float(name in scales)).ravel() for name, chart in sorted(target.charts.items())]
    return np.concatenate(found)


def flat_log_density(flat: Float[Array, " flat"], target: Target) -> Float[Array, ""]:
    """Log density of the flat vector: the model's at the constrained parameters, and the Jacobian's log determinant."""
    model, charts = target.model, target.charts
    params, media, log_prior = _placed(flat, target, lambda z: standardized(z, model.priors, charts))
    log_density = log_prior + model.log_likelihood_sum(params, media)
    return log_density if model.experiments is None else log_density + model.log_experiments(params)


def constrained(flat: Float[Array, " flat"], target: Target) -> Params:
    """The parameters of a flat vector."""
    return _placed(flat, target, lambda z: constrain(z, target.charts))[0]


def _placed(
    flat: Float[Array, " flat"], target: Target, rule: Callable[[Mapping[str, Array]], tuple[Params, Array]]
) -> tuple[Params, Float[Array, "*rows"], Float[Array, ""]]:
    """Parameters, their summed media effects, and the sum of what the rule adds up."""
    z = split(flat, target.charts)
    name = _POOLED if _POOLED in z else "intercept"
    level = z.pop(name)
    weights = {weight: z.pop(weight) for weight in target.centering}
    params, added = rule(z)
    more_params, more = placed(weights, params, target.model, target.centering, rule)
    params, added = params | more_params, added + more
    params = target.model.completed(params)
    media = target.model.media_total(params)
    # Rows of all that share the level: of one geo, or of all geos if they have one intercept.
    rest = level - jnp.sum(target.leveling * media, axis=tuple(range(level.ndim, media.ndim)))
    if name == _POOLED:
        rest, log_stretch = _deviation(rest, params, target)
        added += log_stretch
    intercept, more = rule({name: rest})
    return params | intercept, media, added + more


def _deviation(rest: Float[Array, " geo"], params: Params, target: Target) -> tuple[Array, Array]:
    """The coordinate of a geo's deviation given its intercept, and the logarithm of the volume of a unit of these.

    A padded geo's coordinate stays as it is: it must not depend on anything.
    """
    spread, real = params["intercept_eta"], target.leveling.any(axis=1)
    deviation = jnp.where(real, (rest - params["intercept"]) / spread, rest)
    return deviation, -jnp.log(spread) * real.sum()


def _leveling(model: MMM | GeoMMM, charts: Mapping[str, AbstractChart]) -> Float[Array, "*rows"]:
    """The mean over the observed rows, in the level's coordinate, times the data's share in what is known of it.

    Where rows are few and noisy, the prior pins the intercept down, and not the data the level. Between the two, the share
    of the data's precision in both is that of the exact answer for a linear model; the target's whole variance stands for
    the noise, which is not known yet.
    """
    one = model.markets if isinstance(model, GeoMMM) else model
    target = jnp.zeros(one.windows.shape[:-3] + one.windows.shape[-1:]) if one.target is None else jnp.asarray(one.target)
    # A count of 0 has no logarithm; half a count stands for it.
    least = 0.5 / jnp.expand_dims(one.target_scale, -1)
    outcome = target if one.likelihood.additive else jnp.log(jnp.where(target > 0, target, least))
    observed = jnp.ones_like(target) if one.observed is None else one.observed
    level = charts.get(_POOLED, charts["intercept"])
    along = tuple(range(len(level.shape), target.ndim))
    rows = jnp.maximum(observed.sum(along, keepdims=True), 1.0)
    mean = (observed * outcome).sum(along, keepdims=True) / rows
    variance = (observed * (outcome - mean) ** 2).sum(along, keepdims=True) / rows
    slope = 1.0 if _POOLED in charts else jnp.exp(level(jnp.zeros(level.shape))[1])
    slope = jnp.reshape(slope, jnp.shape(slope) + (1,) * len(along))
    return observed / rows / slope / (1.0 + variance / (rows * slope**2))


def padding_log_density(target: Target, active: np.ndarray) -> float:
    """What the padded coordinates, which stay at 0, add to the log density of a flat vector: no part of any evidence.

    Args:
        target: of one fit, padded.
        active: 1 for the coordinates that are real, 0 for padding, shape (flat,).
    """
    return float(_padding_log_density(target.model, target.charts, active))


@jax.jit
def _padding_log_density(model: MMM | GeoMMM, charts: Mapping[str, AbstractChart], active: Array) -> Array:
    priors, densities = model.priors, []
    for name in sorted(charts):
        params, log_derivative = charts[name](jnp.zeros(charts[name].shape))
        densities.append(jnp.ravel(priors[name].log_prob(params) + log_derivative))
    return jnp.sum(jnp.concatenate(densities) * (1.0 - active))
