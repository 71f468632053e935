"""Truths from the prior, and the targets that they would have brought about."""

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from mmm_jax.analysis.contributions import outcome
from mmm_jax.analysis.draws import over_draws, prior_draws
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import MMMError, PanelError
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_model
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
    panel: Panel | MMMError


def simulated(
    spec: ModelSpec, panel: Panel, scales: Scales, key: jax.Array, numbers: range, precision: Precision
) -> list[Simulated]:
    """Truths and targets of the simulations of these numbers; each depends on the key and its own number only."""
    with precision_scope(precision):
        model = build_model(spec, replace(panel, target=None), scales)
        return [_simulated(model, panel, jax.random.fold_in(key, number), f"simulation {number}") for number in numbers]


def _simulated(model: MMM, panel: Panel, key: jax.Array, name: str) -> Simulated:
    # One at a time: a program of another width may round differently, and the targets would depend on the company.
    keys = jax.random.split(key)
    truths = prior_draws(model, keys[:1])
    target = over_draws(outcome, model, truths, each=keys[1:])["y"][0]
    return Simulated(name, {parameter: np.asarray(values)[0] for parameter, values in truths.items()}, _sold(panel, target))


def _sold(panel: Panel, target: np.ndarray) -> Panel | MMMError:
    if not np.isfinite(target).all():
        count = int((~np.isfinite(target)).sum())
        return PanelError(f"The prior drew a target that is no finite number in {count} of {len(target)} rows. Narrow it.")
    return replace(panel, target=target.astype(float))
