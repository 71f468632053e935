"""Fits of a batch on their way through the engine: prepared, grouped by shape, run in chunks."""

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales, scales_of
from mmm_jax.errors import MMMError, PanelError
from mmm_jax.fitting.density import flat_log_density, padded_target, padding_log_density
from mmm_jax.fitting.draws import constrained_draws
from mmm_jax.fitting.engines import ChosenEngine, diagnosed
from mmm_jax.fitting.geo_fit import GeoFit, fit_of
from mmm_jax.fitting.posterior import Fit
from mmm_jax.inference.approximate import Approximated
from mmm_jax.inference.samples import Progress, SamplerSettings, Samples
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import scalar_names
from mmm_jax.model.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked for: one fit of a batch. An error in the panel's place says why there is none."""

    name: str
    panel: AnyPanel | MMMError
    spec: ModelSpec
    scales: AnyScales | None
    key: jax.Array
    settings: SamplerSettings
    precision: Precision
    engine: ChosenEngine = ChosenEngine("lanes")
    experiments: LiftTests | None = None

    def fingerprint(self) -> str:
        """Hash of everything that the draws depend on."""
        scales = None if self.scales is None else self.scales.to_dict()
        parts = [
            self.spec.content_hash(),
            str(self.panel) if isinstance(self.panel, MMMError) else self.panel.fingerprint(),
            scales,
            jax.random.key_data(self.key).tolist(),
            vars(self.settings),
            self.precision,
            *self.engine.identity(),
            *([self.experiments.fingerprint()] if self.experiments else []),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Outcome(NamedTuple):
    """What became of a request: `success`, `not_converged`, or `failed` with the reason and no fit.

    `again` says of a failure that the machine failed, not the fit, so that another run may make it.
    """

    name: str
    status: str
    fit: Fit | GeoFit | None
    error: str
    again: bool = False


Outcomes = Generator[tuple[Request, Outcome], None, None]
"""Outcomes as they come, each with its request; to be closed."""


class Job(NamedTuple):
    """A request that the engine can take: data as host arrays, padded to its bucket."""

    request: Request
    panel: AnyPanel
    scales: AnyScales
    target: Any
    active: np.ndarray
    searched: np.ndarray
    blocks: np.ndarray

    @property
    def shape(self) -> Any:
        """Jobs of equal shape run in one program."""
        leaves, structure = jax.tree.flatten(self.target)
        return structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)


def prepared(request: Request) -> Job | Outcome:
    """The request as a job, or as failed if its panel cannot be fitted."""
    panel, spec = request.panel, request.spec
    try:
        if isinstance(panel, MMMError):
            raise panel
        if panel.target is None:
            raise PanelError("A panel without a target cannot be fitted. Give `target=` to `Panel.from_frame`.")
        scales = request.scales or scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
        with precision_scope(request.precision):
            target, *coordinates = padded_target(spec, panel, scales, request.experiments)
    except MMMError as error:
        return failed(request, error)
    return Job(request, panel, scales, jax.tree.map(np.asarray, target), *coordinates)


def failed(request: Request, error: Exception) -> Outcome:
    """The outcome of a request that an error stopped."""
    return Outcome(request.name, "failed", None, f"{type(error).__name__}: {error}")


def chunked(jobs: Iterable[Job], most: Callable[[Job], int]) -> list[list[Job]]:
    """Jobs in chunks of equal shape, at most `most` of one of them each."""
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.shape, []).append(job)
    sized = [(group, most(group[0])) for group in groups.values()]
    return [group[first : first + size] for group, size in sized for first in range(0, len(group), size)]


def run_chunk(jobs: Sequence[Job], width: int, progress: Progress | None) -> list[Outcome]:
    """Sample and diagnose the jobs of one chunk.

    Programs are always `width` fits wide, filled up with copies: the compiler adds up a wider program in another order, and
    the draws would depend on how many fits there are.
    """
    blocks = [jobs[first : first + width] for first in range(0, len(jobs), width)]
    outcomes = []
    for index, block in enumerate(blocks):
        report = None if progress is None else _share_of(progress, index, len(blocks))
        outcomes += _run_block(block, width, report)
    return outcomes


def _share_of(progress: Progress, index: int, count: int) -> Progress:
    return lambda done, total: progress(index * total + done, count * total)


def _run_block(jobs: Sequence[Job], width: int, progress: Progress | None) -> list[Outcome]:
    began = time.perf_counter()
    first = jobs[0].request
    rows = [index % len(jobs) for index in range(width)]
    with precision_scope(first.precision):
        data = jax.tree.map(lambda *values: np.stack([values[row] for row in rows]), *(job.target for job in jobs))
        keys = jax.numpy.stack([jobs[row].request.key for row in rows])
        active, searched = (np.stack([getattr(jobs[row], name) for row in rows]) for name in ("active", "searched"))
        arguments = (flat_log_density, data, keys, first.settings, active)
        found = first.engine.sample_many(*arguments, searched=searched, blocks=jobs[0].blocks, progress=progress)
        outcomes = [_outcome(job, samples) for job, samples in zip(jobs, found, strict=False)]
    seconds = (time.perf_counter() - began) / len(jobs)
    for outcome in outcomes:
        if outcome.fit is not None:
            outcome.fit.diagnostics.wall_seconds["total"] = seconds
    return outcomes


def _outcome(job: Job, samples: Samples | Approximated | MMMError) -> Outcome:
    request = job.request
    if isinstance(samples, MMMError):
        return failed(request, samples)
    draws = constrained_draws(samples.positions, job.target, request.spec, job.panel)
    names = scalar_names(request.spec, job.panel)
    # Only an approximation has an evidence that padding could be counted in.
    constant = padding_log_density(job.target, job.active) if request.engine.approximates else 0.0
    diagnostics = diagnosed(draws, samples, request.settings, request.engine, names, constant)
    fields = (request.spec, job.panel, job.scales, draws, samples.stats, diagnostics, request.precision)
    fit = fit_of(*fields, request.experiments or None)
    return Outcome(request.name, "success" if diagnostics.converged else "not_converged", fit, "")
