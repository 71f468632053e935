"""Truths from the prior, and the targets that they would have brought about."""

from typing import NamedTuple

import jax
import numpy as np

from mmm_jax.analysis.contributions import geo_outcome, outcome
from mmm_jax.analysis.draws import over_draws, prior_draws
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales
from mmm_jax.errors import MMMError, PanelError
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM
from mmm_jax.model.spec import ModelSpec


class Simulated(NamedTuple):
    """One truth and its panel.

    Attributes:
        name: such as `simulation 17`.
        truth: by parameter name, in the parameter's shape.
        panel: with the simulated target, or why there is none.
    """

    name: str
    truth: dict[str, np.ndarray]
    panel: AnyPanel | MMMError


def simulated(
    spec: ModelSpec, panel: AnyPanel, scales: AnyScales, key: jax.Array, numbers: range, precision: Precision
) -> list[Simulated]:
    """Truths and targets of the simulations of these numbers; each depends on the key and its own number only."""
    with precision_scope(precision):
        model = build_any_model(spec, panel.with_target(None), scales)
        return [_simulated(model, panel, jax.random.fold_in(key, number), f"simulation {number}") for number in numbers]


def _simulated(model: MMM | GeoMMM, panel: AnyPanel, key: jax.Array, name: str) -> Simulated:
    # One at a time: a program of another width may round differently, and the targets would depend on the company.
    keys = jax.random.split(key)
    truths = prior_draws(model, keys[:1])
    sold = geo_outcome if isinstance(model, GeoMMM) else outcome
    target = over_draws(sold, model, truths, each=keys[1:])["y"][0]
    return Simulated(name, {parameter: np.asarray(values)[0] for parameter, values in truths.items()}, _sold(panel, target))


def _sold(panel: AnyPanel, target: np.ndarray) -> AnyPanel | MMMError:
    if not np.isfinite(target).all():
        count = int((~np.isfinite(target)).sum())
        return PanelError(f"The prior drew a target that is no finite number in {count} of {target.size} rows. Narrow it.")
    return panel.with_target(target.astype(float))
