"""The verb `fit_batch`: many panels in one program, every fit with its own status."""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

import jax
import numpy as np
import xarray as xr

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales
from mmm_jax.data.panel import Panel
from mmm_jax.errors import (
    ApproximationWarning,
    BatchError,
    ConvergenceWarning,
    ExperimentError,
    MMMError,
    SpecError,
    StoreError,
)
from mmm_jax.fitting.abstract import AbstractFit
from mmm_jax.fitting.batch_engines import Ray, chosen_batch_engine
from mmm_jax.fitting.batch_memory import check_memory, width_on
from mmm_jax.fitting.batch_store import BatchStore, Entry
from mmm_jax.fitting.engines import BatchEngine, ChosenEngine
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.jobs import Job, Outcome, Outcomes, Request, chunked, failed, prepared, run_chunk
from mmm_jax.fitting.keys import Key, as_key, named_key
from mmm_jax.fitting.posterior import Fit
from mmm_jax.fitting.progress import batch_bar
from mmm_jax.fitting.ray_batch import run_on_ray
from mmm_jax.fitting.ray_cluster import cores
from mmm_jax.fitting.settings import check_precision, checked_settings
from mmm_jax.inference.nuts import STATISTICS
from mmm_jax.inference.samples import SamplerSettings
from mmm_jax.inference.svi import SVI
from mmm_jax.kernels.numerics import Precision
from mmm_jax.model.build import scalar_names
from mmm_jax.model.spec import ModelSpec

_Run = Callable[[Mapping[str, Request], Any], Outcomes]
"""Makes fits, and counts them on the bar."""


_NUMBERS = ("max_rhat", "min_ess_bulk", "min_ess_tail", "divergences")
_QUICK_NUMBERS = ("pareto_k", "log_evidence", "log_evidence_error")
"""Columns of `Batch.summary`."""


Kept = TypeVar("Kept", bound=AbstractFit)
"""Fits of one market, of many, or either."""


class Batch(Mapping[str, Kept], Generic[Kept]):
    """Fits by name, as `fit_batch` made them; read from the store when asked for, if there is one.

    Attributes:
        entries: by name, status, error and diagnostics of every fit, failed ones included.
    """

    def __init__(self, entries: Mapping[str, Entry], load: Callable[[str], Kept]) -> None:
        self.entries, self._load = dict(entries), load

    def __getitem__(self, name: str) -> Kept:
        """The fit.

        Raises:
            KeyError: no fit of this name was asked for.
            BatchError: the fit failed; says why.
        """
        entry = self.entries[name]
        if entry.status == "failed":
            raise BatchError(f"The fit {name!r} failed. {entry.error}")
        return self._load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        """One line: how many fits of each status."""
        return f"Batch({len(self)} fits: {_counts(self.entries)})"

    @property
    def status(self) -> dict[str, str]:
        """`success`, `not_converged` or `failed`, by name."""
        return {name: entry.status for name, entry in self.entries.items()}

    @property
    def errors(self) -> dict[str, str]:
        """Why fits failed, by name."""
        return {name: entry.error for name, entry in self.entries.items() if entry.status == "failed"}

    def summary(self) -> Any:
        """Table with one row per fit: status, convergence, error (pandas).

        Quick looks have `pareto_k`, `log_evidence` and `log_evidence_error` as well, by which specs of one panel are
        screened before a few of them are sampled. Differences of less than some errors, or between specs with other priors
        on what they share, say nothing:

            looks = mj.fit_batch(dict.fromkeys(specs, panel), specs, engine="laplace").summary()
            best = looks.sort_values("log_evidence", ascending=False).index[:5]
            fits = mj.fit_batch(dict.fromkeys(best, panel), {name: specs[name] for name in best})
        """
        entries = self.entries.values()
        quick = any("pareto_k" in (entry.diagnostics or {}) for entry in entries)
        numbers = (*_NUMBERS, *(_QUICK_NUMBERS if quick else ()))
        columns = {name: ("fit", [(entry.diagnostics or {}).get(name, np.nan) for entry in entries]) for name in numbers}
        words = {"status": ("fit", list(self.status.values())), "error": ("fit", [entry.error for entry in entries])}
        return xr.Dataset({**words, **columns}, {"fit": list(self.entries)}).to_dataframe()

    @classmethod
    def open(cls, store: str | Path) -> "Batch[Any]":
        """The batch that a store holds, complete or not.

        Raises:
            StoreError: there is no such store.
        """
        found = BatchStore(store)
        found.check_exists()
        batch: Any = cls
        return batch(found.entries, found.load)


@overload
def fit_batch(
    panels: Mapping[str, Panel | MMMError],
    spec: ModelSpec | Mapping[str, ModelSpec],
    *,
    key: Key = ...,
    num_chains: int = ...,
    num_warmup: int | None = ...,
    num_samples: int = ...,
    target_accept: float = ...,
    max_tree_depth: int = ...,
    engine: BatchEngine | Literal["ray"] | SVI | Ray = ...,
    precision: Precision = ...,
    scales: Mapping[str, AnyScales] | None = ...,
    experiments: Mapping[str, LiftTests] | None = ...,
    store: str | Path | None = ...,
    resume: bool = ...,
    chunk_size: int | None = ...,
    progress: bool = ...,
) -> Batch[Fit]: ...


@overload
def fit_batch(
    panels: Mapping[str, AnyPanel | MMMError],
    spec: ModelSpec | Mapping[str, ModelSpec],
    *,
    key: Key = ...,
    num_chains: int = ...,
    num_warmup: int | None = ...,
    num_samples: int = ...,
    target_accept: float = ...,
    max_tree_depth: int = ...,
    engine: BatchEngine | Literal["ray"] | SVI | Ray = ...,
    precision: Precision = ...,
    scales: Mapping[str, AnyScales] | None = ...,
    experiments: Mapping[str, LiftTests] | None = ...,
    store: str | Path | None = ...,
    resume: bool = ...,
    chunk_size: int | None = ...,
    progress: bool = ...,
) -> Batch[Any]: ...


def fit_batch(
    panels: Mapping[str, AnyPanel | MMMError],
    spec: ModelSpec | Mapping[str, ModelSpec],
    *,
    key: Key = 0,
    num_chains: int = 4,
    num_warmup: int | None = None,
    num_samples: int = 1000,
    target_accept: float = 0.9,
    max_tree_depth: int = 10,
    engine: BatchEngine | Literal["ray"] | SVI | Ray = "lanes",
    precision: Precision = "float32",
    scales: Mapping[str, AnyScales] | None = None,
    experiments: Mapping[str, LiftTests] | None = None,
    store: str | Path | None = None,
    resume: bool = True,
    chunk_size: int | None = None,
    progress: bool = True,
) -> Batch[Any]:
    """Fit many panels, in chunks that run as one program each.

    A fit's draws depend on its own data, spec and settings, and on the batch's key and the fit's name; not on the other
    fits, their order, the chunks or how many devices of a kind there are. Panels of nearly the same size share programs;
    every device, and every core of a CPU, runs chunks of its own.

    Args:
        panels: by name. An error in a panel's place, such as the `PanelError` of `Panel.from_frame`, becomes that fit's
            failure.
        spec: the choices, for all or by name.
        key: random key or seed.
        num_chains: chains per fit.
        num_warmup: iterations per chain that adapt the sampler and are thrown away, 300 by default.
        num_samples: draws kept per chain.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
        engine: `lanes`, or for quick looks `laplace`, `svi` or an `SVI(...)`, see `fit`: on all cores or devices of this
            process. `mmm_jax.Ray(...)`, on a Ray cluster, with the same draws; or `ray`, short for `mmm_jax.Ray()`, which
            starts a cluster on this machine.
        precision: of all numbers.
        scales: earlier scales by name, for the fits that should keep them.
        experiments: lift tests and known costs per target by name, for the fits that should learn from them, see `fit`.
        store: folder that fits are written to as they are made; they are then not kept in memory.
        resume: take from the store what it has already, but for fits that failed with their machine; otherwise it must be
            empty.
        chunk_size: fits that a worker takes at a time, and that are written together; as many as one program by default.
            On Ray, `fits_per_task` takes its place.
        progress: draw a progress bar if standard error is a terminal.

    Raises:
        SpecError: settings out of range, an unknown engine, or a panel without a spec.
        ExperimentError: experiments for a fit that is not asked for; those that do not fit their panel are that fit's
            failure.
        StoreError: the store cannot be written, is in use, or holds other fits under the same names.
        BatchError: the draws would not fit into memory and there is no store; ray is not installed, no cluster answers,
            or it has no room for a single task.

    Warns:
        ConvergenceWarning: some fits have not converged or failed; see `Batch.summary`.
        ApproximationWarning: the fits are quick looks; says how many can be believed.
    """
    chosen, ray = chosen_batch_engine(engine)
    settings = checked_settings(num_chains, chosen.warmup(num_warmup), num_samples, target_accept, max_tree_depth)
    check_precision(precision)
    known = _known(experiments or {}, panels)
    requests = _requests(panels, spec, scales or {}, as_key(key), settings, precision, chosen, known)
    run = _runner(ray, chunk_size)
    with batch_bar(progress, len(requests)) as bar:
        if store is None:
            batch = _run_in_memory(requests, run, bar)
        else:
            batch = _run_into(BatchStore(store), requests, run, bar, resume)
    _warn(batch)
    if chosen.approximates:
        _warn_of_approximation(batch, chosen)
    return batch


def _runner(ray: Ray | None, chunk_size: int | None) -> _Run:
    if ray is None:
        return partial(_run, chunk_size=chunk_size)
    if chunk_size is not None:
        raise SpecError(
            f"On Ray, the size of a task is the option fits_per_task of mmm_jax.Ray; got chunk_size={chunk_size}."
        )
    return partial(run_on_ray, choice=ray)


def _requests(
    panels: Mapping[str, AnyPanel | MMMError],
    spec: ModelSpec | Mapping[str, ModelSpec],
    scales: Mapping[str, AnyScales],
    key: jax.Array,
    settings: SamplerSettings,
    precision: Precision,
    engine: ChosenEngine,
    experiments: Mapping[str, LiftTests],
) -> dict[str, Request]:
    if not isinstance(spec, ModelSpec):
        missing = [name for name in panels if name not in spec]
        if missing:
            raise SpecError(f"There is no spec for {len(missing)} of {len(panels)} panels; the first is {missing[0]!r}.")
    found = {}
    for name, panel in panels.items():
        own = spec if isinstance(spec, ModelSpec) else spec[name]
        fields = (name, panel, own, scales.get(name), named_key(key, name), settings, precision, engine)
        found[name] = Request(*fields, experiments.get(name))
    return found


def _known(experiments: Mapping[str, LiftTests], panels: Mapping[str, Any]) -> Mapping[str, LiftTests]:
    """The experiments, each of them with a panel."""
    for name in experiments:
        if name not in panels:
            raise ExperimentError(
                f"There are experiments for {name!r}, but no such panel; there are {', '.join(map(repr, panels))}."
            )
    return experiments


def _run_in_memory(requests: Mapping[str, Request], run: _Run, bar: Any) -> "Batch[Any]":
    items = {"float32": 4, "float64": 8}
    check_memory(sum(_numbers_kept(request) * items[request.precision] for request in requests.values()))
    fits: dict[str, Fit | GeoFit] = {}
    entries = {}
    with closing(run(requests, bar)) as made:
        for request, outcome in made:
            entries[request.name] = _entry(request, outcome)
            if outcome.fit is not None:
                fits[request.name] = outcome.fit
    return Batch({name: entries[name] for name in requests}, fits.__getitem__)


def _run_into(store: BatchStore, requests: Mapping[str, Request], run: _Run, bar: Any, resume: bool) -> "Batch[Any]":
    with store:
        if store.entries and not resume:
            raise StoreError(f"The store {store.path} holds {len(store.entries)} fits. Pass resume=True, or choose another.")
        left = {name: request for name, request in requests.items() if store.finished(request) is None}
        store.check_space(sum(_numbers_kept(request) for request in left.values()))
        bar.skip(len(requests) - len(left))
        with closing(run(left, bar)) as made:
            for request, outcome in made:
                store.add(request, outcome)
    return Batch({name: store.entries[name] for name in requests}, store.load)


def _run(requests: Mapping[str, Request], bar: Any, *, chunk_size: int | None) -> Outcomes:
    """Outcomes as they come, from one thread per device, or per core of a CPU."""
    ready = [prepared(request) for request in requests.values()]
    for outcome in ready:
        if isinstance(outcome, Outcome):
            bar.finish(1)
            yield requests[outcome.name], outcome
    devices = _workers()
    width = partial(width_on, jax.default_backend())
    chunks = chunked([job for job in ready if isinstance(job, Job)], lambda job: chunk_size or width(job))
    free, lock = list(devices), threading.Lock()

    def work(chunk: list[Job]) -> list[Outcome]:
        with lock:
            device = free.pop()
        try:
            with jax.default_device(device):
                return run_chunk(chunk, width(chunk[0]), bar.part(len(chunk)))
        except Exception as error:
            # The machine's, such as its memory's end, or a fault of ours: no word against the fits.
            return [failed(job.request, error)._replace(again=True) for job in chunk]
        finally:
            with lock:
                free.append(device)

    with ThreadPoolExecutor(max_workers=len(devices)) as pool:
        waiting = {pool.submit(work, chunk): chunk for chunk in chunks}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from _finished(future, waiting.pop(future), bar)
        finally:
            for future in waiting:
                future.cancel()


def _finished(future: "Future[list[Outcome]]", chunk: list[Job], bar: Any) -> Iterator[tuple[Request, Outcome]]:
    outcomes = future.result()
    bar.finish(len(outcomes))
    for job, outcome in zip(chunk, outcomes, strict=True):
        yield job.request, outcome


def _workers() -> list[Any]:
    """One device per thread: all accelerators; of a single CPU device, as often as there are cores."""
    devices = jax.local_devices()
    if len(devices) == 1 and devices[0].platform == "cpu":
        return devices * cores()
    return devices


def _numbers_kept(request: Request) -> int:
    settings, panel, spec = request.settings, request.panel, request.spec
    if isinstance(panel, MMMError):
        return 0
    try:
        scalars = len(scalar_names(spec, panel)) + len(STATISTICS)
    except SpecError:
        # The spec does not fit this panel: that fit's failure, which says why, and none of the others'.
        return 0
    return settings.num_chains * settings.num_samples * scalars


def _entry(request: Request, outcome: Outcome) -> Entry:
    diagnostics = None if outcome.fit is None else outcome.fit.diagnostics.to_dict()
    return Entry(outcome.name, request.fingerprint(), outcome.status, outcome.error, diagnostics)


def _counts(entries: Mapping[str, Entry]) -> str:
    statuses = [entry.status for entry in entries.values()]
    return ", ".join(f"{statuses.count(status)} {status}" for status in ("success", "not_converged", "failed"))


def _warn(batch: Batch) -> None:
    bad = [name for name, status in batch.status.items() if status != "success"]
    if bad:
        some = ", ".join(repr(name) for name in bad[:5]) + (", ..." if len(bad) > 5 else "")
        text = f"{len(bad)} of {len(batch)} fits are not to be trusted ({_counts(batch.entries)}): {some}. See `summary()`."
        warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _warn_of_approximation(batch: Batch, engine: ChosenEngine) -> None:
    good = sum(status == "success" for status in batch.status.values())
    text = (
        f"The draws are quick looks by {engine.name!r}, not samples of the posteriors; means and intervals of {good} of "
        f"{len(batch)} fits can be believed. See `pareto_k` in `summary()`."
    )
    warnings.warn(text, ApproximationWarning, stacklevel=3)
