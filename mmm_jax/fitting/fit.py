"""The verb `fit`: from a panel and a spec to draws that say whether they can be trusted."""

import time
from typing import overload

import jax
import jax.numpy as jnp

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import AnyScales, GeoScales, scales_of
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import MMMError, PanelError
from mmm_jax.fitting.density import Target, flat_log_density, padded_target, padding_log_density, target_of
from mmm_jax.fitting.draws import constrained_draws
from mmm_jax.fitting.engines import ChosenEngine, Engine, chosen_engine, diagnosed
from mmm_jax.fitting.geo_fit import GeoFit, fit_of
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.posterior import Fit
from mmm_jax.fitting.progress import progress_bar
from mmm_jax.fitting.settings import check_precision, checked_settings
from mmm_jax.inference import numpyro_nuts
from mmm_jax.inference.approximate import Approximated
from mmm_jax.inference.samples import Progress, SamplerSettings, Samples
from mmm_jax.inference.svi import SVI
from mmm_jax.inference.transforms import flat_size
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_any_model, scalar_names
from mmm_jax.model.spec import ModelSpec


@overload
def fit(
    panel: Panel,
    spec: ModelSpec,
    *,
    key: Key = ...,
    num_chains: int = ...,
    num_warmup: int | None = ...,
    num_samples: int = ...,
    target_accept: float = ...,
    max_tree_depth: int = ...,
    engine: Engine | SVI = ...,
    precision: Precision = ...,
    scales: Scales | None = ...,
    experiments: LiftTests | None = ...,
    progress: bool = ...,
) -> Fit: ...


@overload
def fit(
    panel: GeoPanel,
    spec: ModelSpec,
    *,
    key: Key = ...,
    num_chains: int = ...,
    num_warmup: int | None = ...,
    num_samples: int = ...,
    target_accept: float = ...,
    max_tree_depth: int = ...,
    engine: Engine | SVI = ...,
    precision: Precision = ...,
    scales: GeoScales | None = ...,
    experiments: LiftTests | None = ...,
    progress: bool = ...,
) -> GeoFit: ...


def fit(
    panel: AnyPanel,
    spec: ModelSpec,
    *,
    key: Key = 0,
    num_chains: int = 4,
    num_warmup: int | None = None,
    num_samples: int = 1000,
    target_accept: float = 0.9,
    max_tree_depth: int = 10,
    engine: Engine | SVI = "lanes",
    precision: Precision = "float32",
    scales: AnyScales | None = None,
    experiments: LiftTests | None = None,
    progress: bool = True,
) -> Fit | GeoFit:
    """Draws from the posterior of the model that `spec` describes, given the panel.

    Args:
        panel: training rows, with a target, of one market or of many.
        spec: the choices.
        key: random key or seed: the same key gives the same draws on the same machine.
        num_chains: independent chains, run in parallel over the cores.
        num_warmup: iterations per chain that adapt the sampler and are thrown away; 300 by default, 1000 with NumPyro.
        num_samples: draws kept per chain.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
        engine: `lanes`, this project's own no-U-turn sampler in whitened coordinates, or `numpyro`, the reference. For a
            quick look instead of a sample, `laplace`, the normal approximation at the mode, or `svi`, a variational one
            (short for `SVI()`): both resample their draws by Pareto-smoothed importance weights, have no warm-up, and say
            how far they can be believed.
        precision: of all numbers, here and in everything computed from the fit.
        scales: an earlier fit's scales, so that the priors mean the same as there.
        experiments: lift tests and known costs per target, that the parameters must agree with as far as they are exact.
        progress: draw a progress bar if standard error is a terminal.

    Raises:
        PanelError: the panel has no target, is shorter than the adstock window, or leaves the likelihood's support.
        SpecError: unknown engine or precision, sampler settings out of range, or a prior that does not fit.
        ExperimentError: an experiment does not fit the panel; names row, channel, date and value.
        SamplingError: no point with a finite density was found.

    Warns:
        ConvergenceWarning: the draws should not be trusted yet; says why and what to do.
        ApproximationWarning: the draws are a quick look; says whether to believe it.
    """
    began = time.perf_counter()
    if panel.target is None:
        raise PanelError("A panel without a target cannot be fitted. Give `target=` to `Panel.from_frame`.")
    chosen_by = chosen_engine(engine)
    check_precision(precision)
    settings = checked_settings(num_chains, chosen_by.warmup(num_warmup), num_samples, target_accept, max_tree_depth)
    chosen = scales or scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    known = experiments or None
    with precision_scope(precision), progress_bar(progress, f"Sampling {num_chains} chains") as report:
        samples, target, constant = _sampled(spec, panel, chosen, known, chosen_by, as_key(key), settings, report)
        draws = constrained_draws(samples.positions, target, spec, panel)
    diagnostics = diagnosed(draws, samples, settings, chosen_by, scalar_names(spec, panel), constant)
    diagnostics.wall_seconds["total"] = time.perf_counter() - began
    diagnostics.warn()
    return fit_of(spec, panel, chosen, draws, samples.stats, diagnostics, precision, known)


def _sampled(
    spec: ModelSpec,
    panel: AnyPanel,
    scales: AnyScales,
    experiments: LiftTests | None,
    engine: ChosenEngine,
    key: jax.Array,
    settings: SamplerSettings,
    report: Progress | None,
) -> tuple[Samples | Approximated, Target, float]:
    """What the engine returned, what its flat vectors mean, and the log density of their padding."""
    if engine.name == "numpyro":
        target = target_of(build_any_model(spec, panel, scales, experiments=experiments))
        size = flat_size(target.charts)
        return numpyro_nuts.sample(flat_log_density, target, size, key, settings, progress=report), target, 0.0
    # Padded as in a batch, so that panels of nearly the same size share a program.
    target, active, searched, blocks = padded_target(spec, panel, scales, experiments)
    data = jax.tree.map(lambda values: jnp.asarray(values)[None], target)
    arguments = (flat_log_density, data, key[None], settings, active[None])
    (found,) = engine.sample_many(*arguments, searched=searched[None], blocks=blocks, progress=report)
    if isinstance(found, MMMError):
        raise found
    # Only an approximation has an evidence that padding could be counted in.
    return found, target, padding_log_density(target, active) if engine.approximates else 0.0
