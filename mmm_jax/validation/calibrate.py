"""The verb `simulate_calibrate`: does the machinery find parameters whose truth is known, as often as it says."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np
import xarray as xr

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales, scales_of
from mmm_jax.errors import BatchError, ConvergenceWarning, SpecError
from mmm_jax.fitting.fit_batch import Batch, fit_batch
from mmm_jax.fitting.keys import Key, as_generator, as_key, named_key
from mmm_jax.fitting.settings import check_precision, checked_settings
from mmm_jax.inference.samples import SamplerSettings
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import scalar_names
from mmm_jax.model.spec import ModelSpec
from mmm_jax.validation.calibration import Calibration
from mmm_jax.validation.quantities import quantities_of, quantity_names
from mmm_jax.validation.ranks import rank_among, thinned
from mmm_jax.validation.simulation import Simulated, simulated

BYTES_AT_A_TIME = 2**28
"""Memory that draws may take before they are reduced to ranks."""

_STATISTICS = 7
"""Numbers that the sampler keeps beside every draw."""


def simulate_calibrate(
    spec: ModelSpec,
    panel: AnyPanel,
    n: int,
    *,
    key: Key = 0,
    num_ranks: int = 99,
    num_chains: int = 4,
    num_warmup: int = 300,
    num_samples: int = 500,
    target_accept: float = 0.9,
    max_tree_depth: int = 10,
    precision: Precision = "float32",
    scales: AnyScales | None = None,
    experiments: LiftTests | None = None,
    progress: bool = True,
) -> Calibration:
    """Simulation-based calibration: draw truths from the prior, fit what they would have sold, and rank the truths.

    Ranked are all scalar parameters, each channel's total contribution, and the log likelihood, which notices errors that
    no single parameter shows. Fits that have not converged are kept, since leaving them out would bias the ranks; fits
    that failed have no draws to rank among and are left out: both are counted and named. Targets are what the prior says,
    however extreme: a prior that reaches into the impossible gives fits that are hard to sample, and that is a finding
    about the prior. A target that is no finite number fails.

    Args:
        spec: the choices; its priors are what is simulated from, so they should be narrower than the defaults.
        panel: media, controls and dates of every simulation. Its target is not used, but for its scale.
        n: number of simulations; some hundred to see small errors.
        key: random key or seed. A simulation's numbers depend on it and on the simulation's number only.
        num_ranks: draws kept of each fit, evenly spread over all of them, so that they are nearly independent. At most a
            fourth of all draws; see `Calibration.autocorrelated`.
        num_chains: chains per fit.
        num_warmup: iterations per chain that adapt the sampler and are thrown away.
        num_samples: draws per chain.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
        precision: of all numbers.
        scales: of all simulations; the panel's own by default.
        experiments: lift tests and known costs that every fit learns from. What they measured is simulated, too: the answer
            of the model at the truth, with their standard errors; the values that they hold are not used. A cost that
            would come out negative fails its simulation.
        progress: draw progress bars if standard error is a terminal.

    Raises:
        SpecError: settings out of range.
        ExperimentError: an experiment does not fit the panel.
        PanelError: the panel has no target and no scales are given, or is shorter than the adstock window.
        BatchError: every fit failed; says why the first one did.

    Warns:
        ConvergenceWarning: fits failed, have not converged, or have fewer independent draws than are ranked.

    Reference:
        Talts et al. (2018), Validating Bayesian Inference Algorithms with Simulation-Based Calibration; Modrak et al.
        (2023), Simulation-Based Calibration Checking for Bayesian Computation: The Choice of Test Quantities.
    """
    _check_settings(n, num_ranks, num_chains, num_samples)
    settings = checked_settings(num_chains, num_warmup, num_samples, target_accept, max_tree_depth)
    check_precision(precision)
    chosen = scales or scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    root, reduced = as_key(key), {}
    for numbers in _batches(n, spec, panel, settings):
        found = simulated(spec, panel, chosen, root, numbers, precision, experiments)
        for one, batch in _fitted(found, spec, chosen, root, settings, precision, progress):
            reduced[one.name] = _reduced(one, batch, num_ranks, root)
    calibration = _gathered(reduced, quantity_names(spec, panel), num_ranks)
    _warn(calibration)
    return calibration


@dataclass(frozen=True)
class _Ranked:
    """What is kept of a fit."""

    status: str
    error: str = ""
    ranks: np.ndarray | None = None
    truth: np.ndarray | None = None
    ess: float = np.nan


def _fitted(
    found: list[Simulated],
    spec: ModelSpec,
    scales: AnyScales,
    key: jax.Array,
    settings: SamplerSettings,
    precision: Precision,
    progress: bool,
) -> Iterator[tuple[Simulated, Batch]]:
    """The simulations with the batch that has their fits."""
    panels = {one.name: one.panel for one in found}
    known = {one.name: one.experiments for one in found if one.experiments}
    same: Any = {"scales": dict.fromkeys(panels, scales), "precision": precision, "progress": progress}
    same |= {"experiments": known} if known else {}
    with warnings.catch_warnings():
        # All batches are spoken of together, at the end.
        warnings.simplefilter("ignore", ConvergenceWarning)
        batch = fit_batch(panels, spec, key=key, **asdict(settings), **same)
    for one in found:
        yield one, batch


def _reduced(one: Simulated, batch: Batch, num_ranks: int, key: jax.Array) -> _Ranked:
    status = batch.status[one.name]
    if status == "failed":
        return _Ranked(status, batch.errors[one.name])
    fit = batch[one.name]
    draws = fit.flat_draws()
    kept = thinned(len(draws["intercept"]), num_ranks)
    # The truth takes the same way as the draws, and is rounded as they are.
    together = {name: np.concatenate([one.truth[name][None], values[kept]]) for name, values in draws.items()}
    with precision_scope(fit.precision):
        values = quantities_of(fit.model(), together)
    ranks = rank_among(values[0], values[1:], as_generator(named_key(key, f"ties of {one.name}")))
    return _Ranked(status, "", ranks, values[0], fit.diagnostics.min_ess_bulk)


def _gathered(reduced: Mapping[str, _Ranked], names: list[str], num_ranks: int) -> Calibration:
    known = {name: one for name, one in reduced.items() if one.ranks is not None}
    errors = {name: one.error for name, one in reduced.items() if one.status == "failed"}
    if not known:
        raise BatchError(f"All {len(reduced)} fits failed. The first: {next(iter(errors.values()))}")
    coords = {"simulation": list(known), "quantity": names}
    ranks, truth = (
        xr.DataArray(np.stack([getattr(one, part) for one in known.values()]), coords, ("simulation", "quantity"))
        for part in ("ranks", "truth")
    )
    ess = xr.DataArray([one.ess for one in known.values()], {"simulation": list(known)}, ("simulation",))
    return Calibration(ranks, truth, ess, num_ranks, {name: one.status for name, one in reduced.items()}, errors)


def _batches(n: int, spec: ModelSpec, panel: AnyPanel, settings: SamplerSettings) -> Iterator[range]:
    """Numbers of the simulations, in runs whose draws fit into memory."""
    numbers_per_draw = len(scalar_names(spec, panel)) + _STATISTICS
    size = max(1, BYTES_AT_A_TIME // (8 * settings.num_chains * settings.num_samples * numbers_per_draw))
    for first in range(0, n, size):
        yield range(first, min(first + size, n))


def _check_settings(n: int, num_ranks: int, num_chains: int, num_samples: int) -> None:
    if not isinstance(n, int) or n < 2:
        raise SpecError(f"`n` must be a whole number of simulations, at least 2; got {n!r}.")
    most = num_chains * num_samples // 4
    if not isinstance(num_ranks, int) or not 1 <= num_ranks <= most:
        raise SpecError(
            f"`num_ranks` must be a whole number from 1 to {most}, a fourth of the draws of a fit, so that the draws kept "
            f"are nearly independent; got {num_ranks!r}. Raise `num_samples`, or lower it."
        )


def _warn(found: Calibration) -> None:
    groups = {
        "failed and are left out": list(found.errors),
        "have not converged and are kept": [name for name, word in found.status.items() if word == "not_converged"],
        f"have fewer than {found.num_ranks} independent draws and are kept": found.autocorrelated,
    }
    parts = [f"{len(names)} {words} ({_first(names)})" for words, names in groups.items() if names]
    if parts:
        text = f"Of {len(found.status)} fits, {'; '.join(parts)}. See `status` and `errors`."
        warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
