"""What makes the fits of a batch, and where: the choice `engine` of `fit_batch`."""

import re
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, get_args

from mmm_jax.errors import SpecError
from mmm_jax.fitting.engines import BatchEngine, ChosenEngine, chosen_engine
from mmm_jax.inference.svi import SVI


@dataclass(frozen=True)
class Ray:
    """A batch's fits are made by tasks of a Ray cluster: `fit_batch(..., engine=Ray("auto"))`.

    The process that calls `fit_batch` sends panels and takes draws; it alone writes the store. Every worker needs the same
    environment: this package in the same version, JAX in the same version. Nothing is uploaded; on a cluster of several
    machines, install the package on each of them, or name a `runtime_env` in a `ray.init` of your own before the batch.
    On one machine, the engine's own threads use all cores and devices already.

    An interrupted batch leaves the cluster, and its tasks end. On a connection that this process had before, and that stays,
    they run to their end, at most two per place.

    Attributes:
        address: `local` starts a cluster on this machine and stops it afterwards; `auto` takes the connection that this
            process has, or else the cluster that runs on this machine; `host:port` is a cluster's head. This machine must
            be part of the cluster.
        fits_per_task: fits that a task makes, and that are written together; as many as one program by default. A multiple
            of that leaves no lane of a program unused; the draws are the same whatever it is.
        max_retries: how often a task is started again when its worker, or the worker's machine, is lost.
        num_cpus: cores of a task, 1 by default.
        num_gpus: GPU of a task, at most 1; by default 1 where the cluster has GPUs, else 0. A task without a GPU runs on the
            CPU, whatever its machine has.
        engine: what makes the fits: `lanes`, or for quick looks `laplace`, `svi` or an `SVI(...)`.

    Raises:
        SpecError: a setting is out of range, or the engine unknown.
    """

    address: str = "local"
    _: KW_ONLY
    fits_per_task: int | None = None
    max_retries: int = 3
    num_cpus: float | None = None
    num_gpus: float | None = None
    engine: BatchEngine | SVI = "lanes"

    def __post_init__(self) -> None:
        if not isinstance(self.address, str) or not re.fullmatch(r"local|auto|[^\s:/]+:\d{1,5}", self.address):
            raise SpecError(f"The address of a Ray cluster is 'local', 'auto' or 'host:port', got {self.address!r}.")
        if self.fits_per_task is not None:
            _check_whole("fits_per_task", self.fits_per_task, 1)
        _check_whole("max_retries", self.max_retries, 0)
        _check_resources(self.num_cpus, self.num_gpus)
        chosen_engine(self.engine, get_args(BatchEngine))


class Chosen(NamedTuple):
    """The choice taken apart: what makes the fits, and the cluster to do it on, if it is not this process."""

    engine: ChosenEngine
    ray: Ray | None


def chosen_batch_engine(engine: Any) -> Chosen:
    """What the user chose; `"ray"` is short for `Ray()`.

    Raises:
        SpecError: there is no such engine.
    """
    if engine == "ray":
        engine = Ray()
    if isinstance(engine, Ray):
        return Chosen(chosen_engine(engine.engine, get_args(BatchEngine)), engine)
    return Chosen(chosen_engine(engine, (*get_args(BatchEngine), "ray")), None)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"{name} must be a whole number of at least {least}, got {value!r}.")


def _check_resources(num_cpus: Any, num_gpus: Any) -> None:
    # Ray gives out parts of one, and else whole ones.
    if num_cpus is not None and not (_is_number(num_cpus) and (0 < num_cpus < 1 or num_cpus >= 1 and num_cpus % 1 == 0)):
        raise SpecError(f"num_cpus must be a part of 1, or a whole number, and positive; got {num_cpus!r}.")
    if num_gpus is not None and not (_is_number(num_gpus) and 0 <= num_gpus <= 1):
        raise SpecError(f"num_gpus must lie between 0 and 1, since a task runs one program on one GPU; got {num_gpus!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
