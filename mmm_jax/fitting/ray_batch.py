"""A batch on a Ray cluster: shards of requests go out as tasks, outcomes come back, lost workers are replaced."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

from mmm_jax.fitting.batch_engines import Ray
from mmm_jax.fitting.batch_memory import width_on
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.jobs import Job, Outcome, Outcomes, Request, failed, prepared
from mmm_jax.fitting.posterior import Fit
from mmm_jax.fitting.progress import BatchBar
from mmm_jax.fitting.ray_cluster import Share, check_room, connected, imported_ray, places, share_of
from mmm_jax.fitting.ray_task import run_shard, setting_here

_SHARDS_PER_PLACE = 2
"""One that runs and one that waits: no worker is idle, and the cluster holds the data of few shards at a time."""

_PATIENCE = 60.0
"""Seconds without a result after which it is asked whether any machine is left."""


def run_on_ray(requests: Mapping[str, Request], bar: BatchBar, *, choice: Ray) -> Outcomes:
    """Outcomes as they come, from tasks of a cluster. Close the iterator to leave the cluster, and so to end what runs.

    Args:
        requests: by name.
        bar: counts the fits.
        choice: the cluster, and what its tasks are like.

    Raises:
        BatchError: ray is not installed, no cluster answers, or it has no room for a single task.
    """
    groups: dict[Any, tuple[Job, list[Request]]] = {}
    for request in requests.values():
        ready = prepared(request)
        if isinstance(ready, Outcome):
            bar.finish(1)
            yield request, ready
        else:
            # The worker prepares it again: a request is smaller than a job, and the same everywhere.
            groups.setdefault(ready.shape, (ready, []))[1].append(request)
    if groups:
        with connected(choice.address):
            share = share_of(choice)
            sized = [(width_on(share.platform, job), group) for job, group in groups.values()]
            yield from _spread(deque(_shards(sized, choice.fits_per_task)), choice, share, bar)


class _Shard(NamedTuple):
    """Fits of a task, and per program."""

    requests: list[Request]
    width: int


def _shards(groups: Sequence[tuple[int, list[Request]]], most: int | None) -> Iterator[_Shard]:
    for width, group in groups:
        step = most or width
        yield from (_Shard(group[first : first + step], width) for first in range(0, len(group), step))


def _spread(left: deque[_Shard], choice: Ray, share: Share, bar: BatchBar) -> Iterator[tuple[Request, Outcome]]:
    ray, submit = imported_ray(), _submitter(choice, share)
    waiting: dict[Any, list[Request]] = {}
    check_room(share)
    while left or waiting:
        # Machines come and go.
        most = max(1, _SHARDS_PER_PLACE * places(share))
        while left and len(waiting) < most:
            shard = left.popleft()
            waiting[submit(shard)] = shard.requests
        # Whoever stops here leaves the cluster, which ends what runs. `ray.cancel` must not: where a task is done in the
        # same moment, Ray 2 ends the process that asks.
        done, _ = ray.wait(list(waiting), timeout=_PATIENCE)
        for task in done:
            shard = waiting.pop(task)
            bar.finish(len(shard))
            yield from _results(task, shard, choice.max_retries)
        if not done:
            check_room(share)


def _submitter(choice: Ray, share: Share) -> Callable[[_Shard], Any]:
    ray = imported_ray()
    setting = setting_here(share.platform, same_machine=choice.address == "local")
    task, needs = ray.remote(run_shard), {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_retries": choice.max_retries}

    def submit(shard: _Shard) -> Any:
        name = f"mmm-jax: {len(shard.requests)} fits"
        return task.options(name=name, **needs).remote(setting, shard.width, [ray.put(shard.requests)])

    return submit


def _results(task: Any, shard: Sequence[Request], retries: int) -> Iterator[tuple[Request, Outcome]]:
    ray = imported_ray()
    try:
        outcomes = ray.get(task)
    except ray.exceptions.RayError as error:
        outcomes = [_lost(request, error, retries) for request in shard]
    for request, outcome in zip(shard, outcomes, strict=True):
        yield request, outcome if outcome.fit is None else outcome._replace(fit=_own(outcome.fit, request))


def _lost(request: Request, error: Exception, retries: int) -> Outcome:
    """The outcome of a request whose task failed: no word against the fit itself, so that another run may make it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return failed(request, cause)._replace(again=True)
    words = " ".join(str(error).split())
    why = f"BatchError: its worker was lost, also after {retries} retries ({type(error).__name__}: {words})"
    return Outcome(request.name, "failed", None, why, again=True)


def _own(fit: Fit | GeoFit, request: Request) -> Fit | GeoFit:
    """The fit with arrays of this process: those that Ray hands out lie in its memory, and go with the connection."""
    parts = {name: deepcopy(getattr(fit, name)) for name in ("scales", "draws", "sample_stats", "diagnostics")}
    return replace(fit, spec=request.spec, panel=request.panel, **parts)
