"""Truths from the prior, and the targets that they would have brought about."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from mmm_jax.analysis.contributions import geo_outcome, outcome
from mmm_jax.analysis.draws import over_draws, prior_draws
from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales
from mmm_jax.errors import ExperimentError, MMMError, PanelError
from mmm_jax.fitting.keys import as_generator
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.model.components import Params
from mmm_jax.model.experiment_rows import measurements
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM
from mmm_jax.model.spec import ModelSpec

_MEASURE = 2
"""Folded into the key of a simulation's measurements, which are independent of its truth and its target."""


class Simulated(NamedTuple):
    """One truth and its panel.

    Attributes:
        name: such as `simulation 17`.
        truth: by parameter name, in the parameter's shape.
        panel: with the simulated target, or why there is none.
        experiments: with simulated measurements; `None` if there are none.
    """

    name: str
    truth: dict[str, np.ndarray]
    panel: AnyPanel | MMMError
    experiments: LiftTests | None = None


def simulated(
    spec: ModelSpec,
    panel: AnyPanel,
    scales: AnyScales,
    key: jax.Array,
    numbers: range,
    precision: Precision,
    experiments: LiftTests | None = None,
) -> list[Simulated]:
    """Truths and targets of the simulations of these numbers; each depends on the key and its own number only.

    Of experiments, the measured values are drawn, too: what the model answers at the truth, with their own errors.
    """
    with precision_scope(precision):
        model = build_any_model(spec, panel.with_target(None), scales)
        made = [_simulated(model, panel, jax.random.fold_in(key, number), f"simulation {number}") for number in numbers]
        some = next((one.panel for one in made if not isinstance(one.panel, MMMError)), None)
        if not experiments or some is None:
            return made
        asked = build_any_model(spec, some, scales, experiments=experiments)
        keys = [jax.random.fold_in(jax.random.fold_in(key, number), _MEASURE) for number in numbers]
        return [_measured(one, asked, experiments, own) for one, own in zip(made, keys, strict=True)]


def _simulated(model: MMM | GeoMMM, panel: AnyPanel, key: jax.Array, name: str) -> Simulated:
    # One at a time: a program of another width may round differently, and the targets would depend on the company.
    keys = jax.random.split(key)
    truths = prior_draws(model, keys[:1])
    sold = geo_outcome if isinstance(model, GeoMMM) else outcome
    target = over_draws(sold, model, truths, each=keys[1:])["y"][0]
    return Simulated(name, {parameter: np.asarray(values)[0] for parameter, values in truths.items()}, _sold(panel, target))


def _measured(one: Simulated, model: MMM | GeoMMM, experiments: LiftTests, key: jax.Array) -> Simulated:
    """The simulation with what its experiments would have measured."""
    truth = {name: values[None] for name, values in one.truth.items()}
    answer = over_draws(_answers, model, truth)[0].astype(float)
    known, generator = measurements(experiments), as_generator(key)
    normal, nu = generator.standard_normal(len(answer)), known["nu"]
    student = generator.standard_t(np.where(np.isinf(nu), 1.0, nu))
    found = answer + known["error"] * np.where(np.isinf(nu), normal, student)
    try:
        return one._replace(experiments=_with_measured(experiments, found.tolist()))
    except ExperimentError as error:
        words = f"A simulated measurement cannot be: {error} Lower its `sigma`, or narrow the priors."
        return one._replace(panel=ExperimentError(words))


def _answers(model: MMM | GeoMMM, params: Params) -> Any:
    return model.predicted_experiments(params)


def _with_measured(experiments: LiftTests, found: list[float]) -> LiftTests:
    """The same experiments with other measurements, in the order of `experiments.rows`."""
    count = len(experiments.tests)
    tests = [replace(test, delta_outcome=value) for test, value in zip(experiments.tests, found[:count], strict=True)]
    costs = [replace(cost, cost=value) for cost, value in zip(experiments.costs, found[count:], strict=True)]
    return LiftTests(tests, costs)


def _sold(panel: AnyPanel, target: np.ndarray) -> AnyPanel | MMMError:
    if not np.isfinite(target).all():
        count = int((~np.isfinite(target)).sum())
        return PanelError(f"The prior drew a target that is no finite number in {count} of {target.size} rows. Narrow it.")
    return panel.with_target(target.astype(float))
