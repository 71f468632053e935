"""The Ray cluster of a batch: started or found, what it has to give, and left as it was."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from mmm_jax.errors import BatchError
from mmm_jax.fitting.batch_engines import Ray

_SECONDS_TO_ANSWER, _SECONDS_TO_CONNECT = 10.0, 30.0

_PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False); ray.shutdown()"
"""A process that connects and goes. Ray ends the process that gives up, so it must be another one than the user's."""


class Share(NamedTuple):
    """What a task asks of its machine."""

    cpus: float
    gpus: float

    @property
    def platform(self) -> str:
        """JAX's name of what the task computes on."""
        return "gpu" if self.gpus else "cpu"


def imported_ray() -> Any:
    """The package ray.

    Raises:
        BatchError: it is not installed.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BatchError("A batch on Ray needs the package ray: pip install 'mmm-jax[ray]'.") from error
    return ray


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Context in which this process is connected to the cluster; a connection that it had before stays.

    Raises:
        BatchError: ray is not installed, no cluster answers, or the process is connected to another one.
    """
    ray = imported_ray()
    if ray.is_initialized():
        _check_connection(ray, address)
        yield
        return
    try:
        _connect(ray, address)
        yield
    finally:
        ray.shutdown()


def share_of(choice: Ray) -> Share:
    """Resources of a task, by default one GPU where there are any, else one core."""
    gpus = choice.num_gpus
    if gpus is None:
        gpus = 1.0 if imported_ray().cluster_resources().get("GPU", 0.0) else 0.0
    return Share(1.0 if choice.num_cpus is None else choice.num_cpus, gpus)


def places(share: Share) -> int:
    """Tasks that the machines of the cluster can run at once."""
    return sum(_fitting(node, share) for node in _machines())


def check_room(share: Share) -> None:
    """Raise a `BatchError` if no machine can run a task."""
    nodes = _machines()
    if not any(_fitting(node, share) for node in nodes):
        most = {kind: max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in ("CPU", "GPU")}
        raise BatchError(
            f"No machine of the Ray cluster has room for a task of {share.cpus:g} CPUs and {share.gpus:g} GPUs: "
            f"there are {len(nodes)}, with at most {most['CPU']:g} CPUs and {most['GPU']:g} GPUs. Ask for less with "
            "num_cpus and num_gpus, or add machines."
        )


def cores() -> int:
    """Cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _machines() -> list[dict[str, float]]:
    return [node["Resources"] for node in imported_ray().nodes() if node["Alive"]]


def _fitting(node: dict[str, float], share: Share) -> int:
    room = node.get("CPU", 0.0) / share.cpus
    return int(min(room, node.get("GPU", 0.0) / share.gpus) if share.gpus else room)


def _check_connection(ray: Any, address: str) -> None:
    if address == "auto":
        return
    found = ray.get_runtime_context().gcs_address
    if address != found:
        raise BatchError(
            f"This process is connected to the Ray cluster at {found}, so that it cannot use {address!r}. Choose the "
            "address 'auto' to use that one, or call ray.shutdown() first."
        )


def _connect(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        gpus = len(jax.local_devices()) if jax.default_backend() == "gpu" else 0
        with _no_statistics(), warnings.catch_warnings():
            # JAX warns of forks, after which its threads would be missing; these run another program at once.
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            ray.init(address=address, num_cpus=cores(), num_gpus=gpus, include_dashboard=False, **quiet)
        return
    _check_reachable(address)
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address, " ".join(str(error).split())) from error


def _check_reachable(address: str) -> None:
    """Raise a `BatchError` in bounded time where Ray itself would try for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, str(error)) from error
    try:
        probe = [sys.executable, "-c", _PROBE, address]
        found = subprocess.run(probe, capture_output=True, text=True, timeout=_SECONDS_TO_CONNECT)
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no cluster answered within {_SECONDS_TO_CONNECT:.0f} seconds") from error
    if found.returncode:
        raise _unreachable(address, (found.stderr.strip().splitlines() or ["the connection was refused"])[-1])


def _unreachable(address: str, why: str) -> BatchError:
    return BatchError(
        f"The Ray cluster at {address!r} cannot be used: {why.rstrip('.')}. Is it running (`ray start --head` prints its "
        "address, usually port 6379), and is this machine part of it?"
    )


@contextmanager
def _no_statistics() -> Iterator[None]:
    """Context in which a cluster that is started sends no usage statistics, unless the user has decided on it."""
    name = "RAY_USAGE_STATS_ENABLED"
    if name in os.environ:
        yield
        return
    os.environ[name] = "0"
    try:
        yield
    finally:
        with contextlib.suppress(KeyError):
            del os.environ[name]
