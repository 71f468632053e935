"""What a worker of a Ray cluster does with a shard: the same as a thread of a batch with a chunk."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import jax

from mmm_jax.errors import BatchError
from mmm_jax.fitting.compilation import use_compilation_cache
from mmm_jax.fitting.jobs import Job, Outcome, Request, prepared, run_chunk
from mmm_jax.fitting.ray_cluster import imported_ray

_CONFIG = ("jax_default_matmul_precision", "jax_default_prng_impl", "jax_threefry_partitionable")
"""Settings of JAX that numbers depend on; the precision goes with the request."""

_PACKAGES = ("mmm-jax", "jax", "jaxlib", "numpyro")


class Setting(NamedTuple):
    """What must be the same in a worker as in the process that asked.

    Attributes:
        platform: JAX's name of what the task computes on, `cpu` or `gpu`.
        config: settings of JAX by name.
        versions: of packages by name.
        programs: folder of compiled programs, if the worker can use this one.
    """

    platform: str
    config: dict[str, Any]
    versions: dict[str, str]
    programs: str | None


def setting_here(platform: str, *, same_machine: bool) -> Setting:
    """This process's setting, for tasks that compute on the platform."""
    config: Any = jax.config
    programs = config.jax_compilation_cache_dir if same_machine else None
    return Setting(platform, {name: getattr(config, name) for name in _CONFIG}, _versions(), programs)


def run_shard(setting: Setting, width: int, shard: Sequence[Any]) -> list[Outcome]:
    """Make the fits of a shard.

    Args:
        setting: of the process that asked.
        width: fits per program.
        shard: one reference to the requests, in a list, so that Ray does not fetch them: what they hold may start JAX, and
            that must wait for the setting.

    Raises:
        BatchError: this worker is not set up as the process that asked.
    """
    _take_over(setting)
    requests: list[Request] = imported_ray().get(shard[0])
    return outcomes_of(requests, width)


def outcomes_of(requests: Sequence[Request], width: int) -> list[Outcome]:
    """What becomes of requests of equal shape, in their order."""
    ready = [prepared(request) for request in requests]
    jobs = [job for job in ready if isinstance(job, Job)]
    made = iter(run_chunk(jobs, width, None) if jobs else ())
    return [next(made) if isinstance(found, Job) else found for found in ready]


def _take_over(setting: Setting) -> None:
    here = _versions()
    other = [f"{name} {here[name]} instead of {found}" for name, found in setting.versions.items() if here[name] != found]
    if other:
        raise BatchError(f"The worker has {', '.join(other)}. Install the same versions on all machines of the cluster.")
    for name, value in setting.config.items():
        jax.config.update(name, value)
    _choose(setting.platform)
    if setting.programs is not None:
        use_compilation_cache(setting.programs)


def _choose(platform: str) -> None:
    if platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
        return
    # Other tasks may share the GPU, and so may the process that asked.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if jax.default_backend() != platform:
        raise BatchError(
            f"The task has a GPU, but JAX in the worker computes on {jax.default_backend()!r} only. Install JAX for GPUs on "
            "all machines of the cluster (pip install 'mmm-jax[gpu]'), or choose num_gpus=0."
        )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}
