"""Time, memory, and where they were measured."""

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax


@dataclass(frozen=True)
class Measured:
    """Seconds of a call.

    Attributes:
        first: the first call, compilation included.
        warm: the fastest of the calls after it.
        result: of the last call.
    """

    first: float
    warm: float
    result: Any


def measure(function: Callable[[], Any], repeats: int = 3) -> Measured:
    """First call and steady state of a function, until its result is there."""
    seconds, result = [], None
    for _ in range(repeats + 1):
        # The old result must not count as memory of the new call.
        result = None
        began = time.perf_counter()
        result = jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return Measured(seconds[0], min(seconds[1:]), result)


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> str:
    """One line: processor, cores, interpreter, versions, device."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpyro", "arviz", "mmm-jax"))
    device = jax.devices()[0].device_kind
    return f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; {device}"


def processor() -> str:
    """The processor's name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
