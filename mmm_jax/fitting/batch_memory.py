"""How many fits a program takes, by its memory; and whether the draws of a batch fit into this machine's."""

from pathlib import Path

import jax
import numpy as np

from mmm_jax.errors import BatchError
from mmm_jax.fitting.jobs import Job

_LANES = {"cpu": 32}
_LANES_ELSEWHERE = 2048
"""Chains that a program runs side by side: what a core's cache holds, and what fills an accelerator."""

_BYTES = {"cpu": 2**30}
_BYTES_ELSEWHERE = 2**33
"""Memory of a program. Fixed, not the machine's: the width of a program decides the last digits of its draws."""

_LIVE = 64
"""Vectors per lane besides the record: trajectory, checkpoints, and what the gradient keeps."""

_MEMINFO = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def width_on(platform: str, job: Job) -> int:
    """Fits per program on a platform of JAX: as many as have lanes, fewer where they are very large."""
    lanes, room = _LANES.get(platform, _LANES_ELSEWHERE), _BYTES.get(platform, _BYTES_ELSEWHERE)
    return max(1, min(lanes // job.request.settings.num_chains, room // bytes_in_program(job)))


def bytes_in_program(job: Job) -> int:
    """About how much memory a fit takes while it is sampled: its data and, per chain, what is kept and what is live."""
    settings, flat = job.request.settings, job.active.size
    data = [np.asarray(leaf) for leaf in jax.tree.leaves(job.target)]
    item = max(leaf.itemsize for leaf in data)
    kept = 2 * flat * (settings.num_samples + settings.num_warmup)
    # The media block keeps a few arrays of the windows' size per chain.
    return sum(leaf.nbytes for leaf in data) * (1 + settings.num_chains) + settings.num_chains * item * (kept + _LIVE * flat)


def check_memory(needed: int) -> None:
    """Raise a `BatchError` if draws of so many bytes will not fit into memory; where the system says how much it has."""
    free = _available()
    if free is not None and needed > free:
        raise BatchError(
            f"The draws of the batch take about {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB of memory are free. Pass "
            "store=, so that fits are written as they are made, or keep fewer draws."
        )


def _available() -> int | None:
    """Free bytes of the machine, or of the container that this process is held in."""
    return min((free for free in (_of_machine(), _of_container()) if free is not None), default=None)


def _of_machine() -> int | None:
    if not _MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _of_container() -> int | None:
    most, now = _CONTAINER / "memory.max", _CONTAINER / "memory.current"
    if not (most.is_file() and now.is_file()):
        return None
    limit = most.read_text().strip()
    return None if limit == "max" else max(0, int(limit) - int(now.read_text()))
