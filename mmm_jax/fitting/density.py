"""The model's log density as a sampler wants it: on a flat vector, with model and charts as data."""

from typing import NamedTuple

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
