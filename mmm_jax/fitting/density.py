"""The model's log density as a sampler wants it: on a flat vector, with model and charts as data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.inference.transforms import AbstractChart, charts_of, standardized
from mmm_jax.model.build import build_model
from mmm_jax.model.mmm import MMM
from mmm_jax.model.padding import active_coordinates, bucket_of
from mmm_jax.model.spec import ModelSpec


class Target(NamedTuple):
    """What a density is evaluated with; a pytree.

    Attributes:
        model: the model with its data.
        charts: by parameter name.
    """

    model: MMM
    charts: dict[str, AbstractChart]


def target_of(model: MMM) -> Target:
    """The model with the charts that standardise its priors."""
    return Target(model, charts_of(model.priors))


def padded_target(spec: ModelSpec, panel: Panel, scales: Scales) -> tuple[Target, np.ndarray]:
    """The target of a panel padded to its bucket, and which coordinates of the flat vector are real.

    Raises:
        PanelError: the panel has no target, is shorter than the adstock window, or leaves the likelihood's support.
        SpecError: a prior's shape does not fit.
    """
    target = target_of(build_model(spec, panel, scales, sizes=bucket_of(panel)))
    shapes = {name: chart.shape for name, chart in target.charts.items()}
    return target, active_coordinates(spec, shapes, panel)


def flat_log_density(flat: Float[Array, " flat"], target: Target) -> Float[Array, ""]:
    """Log density of the flat vector: the model's at the constrained parameters, and the Jacobian's log determinant."""
    params, log_prior = standardized(flat, target.model.priors, target.charts)
    return log_prior + target.model.log_likelihood(params).sum()


def padding_log_density(target: Target, active: np.ndarray) -> float:
    """What the padded coordinates, which stay at 0, add to the log density of a flat vector: no part of any evidence.

    Args:
        target: of one fit, padded.
        active: 1 for the coordinates that are real, 0 for padding, shape (flat,).
    """
    return float(_padding_log_density(target.model.priors, target.charts, active))


@jax.jit
def _padding_log_density(priors: Mapping[str, Any], charts: Mapping[str, AbstractChart], active: Array) -> Array:
    densities = []
    for name in sorted(charts):
        params, log_derivative = charts[name](jnp.zeros(charts[name].shape))
        densities.append(jnp.ravel(priors[name].log_prob(params) + log_derivative))
    return jnp.sum(jnp.concatenate(densities) * (1.0 - active))
