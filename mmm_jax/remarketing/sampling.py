"""From tables to draws: many logistic regressions on their way through the engine, grouped by padded shape."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from mmm_jax.errors import MMMError
from mmm_jax.fitting.engines import ChosenEngine, diagnosed
from mmm_jax.fitting.ray_cluster import cores
from mmm_jax.inference.approximate import Approximated
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.inference.samples import Progress, SamplerSettings, Samples
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.remarketing.believed import Beliefs, Design, Prepared, prepared, real_entries
from mmm_jax.remarketing.density import Target, constrained, flat_log_density, padding_log_density

_LANES_ELSEWHERE = 2048
"""Chains that fill an accelerator. A core of a CPU makes one fit after the other: its cache holds no more."""


class How(NamedTuple):
    """What draws are made by."""

    engine: ChosenEngine
    settings: SamplerSettings
    precision: Precision

    @property
    def width(self) -> int:
        """Fits per program, the same for one fit and for many, so that their numbers are the same."""
        cpu = jax.default_backend() == "cpu"
        return 1 if cpu else max(1, _LANES_ELSEWHERE // self.settings.num_chains)


class Job(NamedTuple):
    """One fit that is asked for.

    Attributes:
        design: its table.
        beliefs: its priors.
        key: random key; the draws depend on it, not on the other fits.
        labels: of columns and of segments, for the names of scalar parameters.
    """

    design: Design
    beliefs: Beliefs
    key: jax.Array
    labels: dict[str, list[str]]


class Drawn(NamedTuple):
    """Draws by parameter name, shape (chain, draw, ...), their statistics, and whether they can be trusted."""

    draws: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    diagnostics: Diagnostics | ApproximationDiagnostics


DIMS = {
    "beta": ("column",),
    "beta_lambda": ("column",),
    "beta_z": ("column",),
    "beta_eta": ("column",),
    "intercept_eps": ("segment",),
    "beta_eps": ("segment", "column"),
}
"""Dimensions of the parameters that have any."""


def sample(jobs: Sequence[Job], how: How, progress: Progress | None = None) -> list[Drawn | MMMError]:
    """Draws of every job, or the error that stopped it.

    Jobs whose padded tables have one shape share one compiled program. On an accelerator, as many run in it together as its
    memory is used to; on a CPU, every core takes one after the other.
    """
    with precision_scope(how.precision):
        ready = [_prepared(job) for job in jobs]
    chunks = _chunked([place for place, found in enumerate(ready) if isinstance(found, Prepared)], ready, how.width)
    results: dict[int, Drawn | MMMError] = {place: found for place, found in enumerate(ready) if isinstance(found, MMMError)}
    shared = _Shared(progress, len(chunks))
    reports = [shared.part(place) for place in range(len(chunks))]
    with ThreadPoolExecutor(max_workers=max(1, min(len(chunks), _workers()))) as pool:
        made = pool.map(lambda chunk, report: _run(chunk, jobs, ready, how, report), chunks, reports)
        for chunk, found in zip(chunks, made, strict=True):
            results |= dict(zip(chunk, found, strict=True))
    return [results[place] for place in range(len(jobs))]


def scalar_names(draws: dict[str, np.ndarray], labels: dict[str, list[str]]) -> list[str]:
    """Names of all scalar parameters, in the draws' order, such as `beta[Income]`."""
    names = []
    for name, values in draws.items():
        dims = DIMS.get(name, ())
        for index in np.ndindex(values.shape[2:]):
            place = ", ".join(labels[dim][number] for dim, number in zip(dims, index, strict=True))
            names.append(f"{name}[{place}]" if place else name)
    return names


class _Shared:
    """Progress of chunks that run beside each other, in thousandths of the whole."""

    def __init__(self, progress: Progress | None, chunks: int) -> None:
        self._progress, self._shares = progress, [0.0] * chunks

    def part(self, place: int) -> Progress | None:
        """What one of the chunks reports to."""
        progress = self._progress
        if progress is None:
            return None

        def report(done: int, total: int) -> None:
            self._shares[place] = done / total
            progress(round(1000 * sum(self._shares) / len(self._shares)), 1000)

        return report


def _prepared(job: Job) -> Prepared | MMMError:
    try:
        found = prepared(job.design, job.beliefs)
    except MMMError as error:
        return error
    return found._replace(target=jax.tree.map(np.asarray, found.target))


def _chunked(places: list[int], ready: Sequence[Any], width: int) -> list[list[int]]:
    """Jobs of equal shape, at most `width` together."""
    groups: dict[Any, list[int]] = {}
    for place in places:
        leaves, structure = jax.tree.flatten(ready[place].target)
        groups.setdefault((structure, tuple(leaf.shape for leaf in leaves)), []).append(place)
    return [group[first : first + width] for group in groups.values() for first in range(0, len(group), width)]


def _workers() -> int:
    """Threads: one for an accelerator, one per core of a CPU."""
    return cores() if jax.default_backend() == "cpu" else 1


def _run(
    chunk: list[int], jobs: Sequence[Job], ready: Sequence[Any], how: How, progress: Progress | None
) -> list[Drawn | MMMError]:
    began = time.perf_counter()
    # A wider program adds up in another order: filled with copies to a power of two, there are few programs.
    width = min(how.width, 1 << (len(chunk) - 1).bit_length())
    rows = [chunk[index % len(chunk)] for index in range(width)]
    with precision_scope(how.precision):
        data = jax.tree.map(lambda *values: np.stack(values), *(ready[row].target for row in rows))
        keys = jax.numpy.stack([jobs[row].key for row in rows])
        active, searched = (np.stack([getattr(ready[row], name) for row in rows]) for name in ("active", "searched"))
        arguments = (flat_log_density, data, keys, how.settings, active)
        found = how.engine.sample_many(*arguments, searched=searched, blocks=_blocks(ready[chunk[0]]), progress=progress)
        drawn = [_drawn(jobs[row], ready[row], samples, how) for row, samples in zip(chunk, found, strict=False)]
    for each in drawn:
        if isinstance(each, Drawn):
            each.diagnostics.wall_seconds["total"] = (time.perf_counter() - began) / len(chunk)
    return drawn


def _blocks(ready: Prepared) -> np.ndarray | None:
    """Blocks that do not matter to each other, where there are any."""
    return ready.blocks if len(np.unique(ready.blocks)) > 1 else None


def _drawn(job: Job, ready: Prepared, samples: Samples | Approximated | MMMError, how: How) -> Drawn | MMMError:
    if isinstance(samples, MMMError):
        return samples
    found = _constrained(samples.positions, ready.target)
    draws = {name: np.asarray(found[name])[:, :, *real_entries(name, job.design)] for name in _ordered(found)}
    constant = padding_log_density(ready.target, ready.active) if how.engine.approximates else 0.0
    names = scalar_names(draws, job.labels)
    return Drawn(draws, samples.stats, diagnosed(draws, samples, how.settings, how.engine, names, constant))


def _ordered(found: dict[str, Any]) -> list[str]:
    return sorted(found, key=lambda name: (name not in ("intercept", "beta"), name != "intercept", name))


@jax.jit
def _constrained(positions: jax.Array, target: Target) -> dict[str, jax.Array]:
    return jax.vmap(jax.vmap(constrained, (0, None)), (0, None))(positions, target)
