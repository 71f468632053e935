"""The verb `fit`: from a panel and a spec to draws that say whether they can be trusted."""

import time
from typing import Literal, get_args

import jax
import numpy as np

from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import PanelError, SpecError
from mmm_jax.fitting.density import flat_log_density, target_of
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.posterior import Fit
from mmm_jax.fitting.progress import progress_bar
from mmm_jax.inference import numpyro_nuts
from mmm_jax.inference.diagnostics import diagnose
from mmm_jax.inference.samples import SamplerSettings, Samples
from mmm_jax.inference.transforms import Charts, constrain, flat_size
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_model, scalar_names
from mmm_jax.model.spec import ModelSpec

Engine = Literal["numpyro"]
_ENGINES = {"numpyro": numpyro_nuts.sample}


def fit(
    panel: Panel,
    spec: ModelSpec,
    *,
    key: Key = 0,
    num_chains: int = 4,
    num_warmup: int = 1000,
    num_samples: int = 1000,
    target_accept: float = 0.9,
    max_tree_depth: int = 10,
    engine: Engine = "numpyro",
    precision: Precision = "float32",
    scales: Scales | None = None,
    progress: bool = True,
) -> Fit:
    """Draws from the posterior of the model that `spec` describes, given the panel.

    Args:
        panel: training rows, with a target.
        spec: the choices.
        key: random key or seed: the same key gives the same draws on the same machine.
        num_chains: independent chains, run in parallel over the cores.
        num_warmup: iterations per chain that adapt the sampler and are thrown away.
        num_samples: draws kept per chain.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
        engine: the sampler.
        precision: of all numbers, here and in everything computed from the fit.
        scales: an earlier fit's scales, so that the priors mean the same as there.
        progress: draw a progress bar if standard error is a terminal.

    Raises:
        PanelError: the panel has no target, is shorter than the adstock window, or leaves the likelihood's support.
        SpecError: unknown engine or precision, sampler settings out of range, or a prior that does not fit.
        SamplingError: no point with a finite density was found.

    Warns:
        ConvergenceWarning: the draws should not be trusted yet; says why and what to do.
    """
    began = time.perf_counter()
    if panel.target is None:
        raise PanelError("A panel without a target cannot be fitted. Give `target=` to `Panel.from_frame`.")
    _check_choices(engine, precision)
    settings = _checked_settings(num_chains, num_warmup, num_samples, target_accept, max_tree_depth)
    chosen = scales or Scales.from_panel(panel, standardize_controls=spec.standardize_controls)
    with precision_scope(precision), progress_bar(progress, f"Sampling {num_chains} chains") as report:
        target = target_of(build_model(spec, panel, chosen))
        size = flat_size(target.charts)
        samples = _ENGINES[engine](flat_log_density, target, size, as_key(key), settings, progress=report)
        draws = _constrained(samples, target.charts, spec)
    diagnostics = diagnose(draws, samples, settings, engine, scalar_names(spec, panel))
    diagnostics.wall_seconds["total"] = time.perf_counter() - began
    diagnostics.warn()
    return Fit(spec, panel, chosen, draws, samples.stats, diagnostics, precision)


def _constrained(samples: Samples, charts: Charts, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Constrained draws by name, in the order in which people read the parameters."""
    found = jax.jit(jax.vmap(jax.vmap(_constrained_one, (0, None)), (0, None)))(samples.positions, charts)
    return {name: np.asarray(found[name]) for name in spec.parameter_dims}


def _constrained_one(flat: jax.Array, charts: Charts) -> dict[str, jax.Array]:
    return constrain(flat, charts)[0]


def _check_choices(engine: str, precision: str) -> None:
    if engine not in _ENGINES:
        raise SpecError(f"engine must be one of {', '.join(_ENGINES)}; got {engine!r}.")
    if precision not in get_args(Precision):
        raise SpecError(f"precision must be one of {', '.join(get_args(Precision))}; got {precision!r}.")


def _checked_settings(chains: int, warmup: int, samples: int, target_accept: float, depth: int) -> SamplerSettings:
    least = {"num_chains": (chains, 1), "num_warmup": (warmup, 1), "num_samples": (samples, 4), "max_tree_depth": (depth, 1)}
    for name, (value, minimum) in least.items():
        if not isinstance(value, int) or value < minimum:
            raise SpecError(f"{name} must be a whole number of at least {minimum}, got {value!r}.")
    if not 0 < target_accept < 1:
        raise SpecError(f"target_accept must lie between 0 and 1, got {target_accept!r}.")
    return SamplerSettings(chains, warmup, samples, target_accept, depth)
