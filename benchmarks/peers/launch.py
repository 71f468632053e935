"""One tool, one setting, one fresh process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers.common import STARTED
from benchmarks.peers.settings import Setting

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Tool:
    """A script and the interpreter that runs it.

    Attributes:
        name: as in the JSON of a run.
        python: interpreter.
        module: script, as a module of this package.
        sampler: its sampler.
    """

    name: str
    python: Path
    module: str
    sampler: str


@dataclass(frozen=True)
class Job:
    """What a process fits, and how; `more` are options of its own command line."""

    data: Path
    setting: Setting
    chains: int = 4
    limit: int | None = None
    moments: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def launch(tool: Tool, job: Job, caches: Path, timeout: float) -> dict[str, Any]:
    """The JSON of the run; where it failed, one with `error`."""
    print(f"{tool.name} {tool.sampler} {job.setting} {job.data.name} {job.limit or ''}", file=sys.stderr, flush=True)
    with TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        environment = {**os.environ, **cache_variables(caches), "PYTHONPATH": str(ROOT), STARTED: str(time.monotonic())}
        error = _finish(_command(tool, job, out), environment, timeout)
        if error is None and out.is_file():
            return json.loads(out.read_text())
    return {"tool": tool.name, "sampler": tool.sampler, "settings": _settings(job), "error": error or "wrote no result"}


def cache_variables(folder: Path) -> dict[str, str]:
    """Environment variables that put every tool's compilation cache into a folder."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
    }


def _command(tool: Tool, job: Job, out: Path) -> list[str]:
    options = {"data": job.data, "sampler": tool.sampler, "chains": job.chains, "out": out, **job.more}
    options |= {name.replace("_", "-"): value for name, value in vars(job.setting).items()}
    if job.limit is not None:
        options["limit"] = job.limit
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [str(tool.python), "-m", f"benchmarks.peers.{tool.module}", *words, *(["--moments"] if job.moments else [])]


def _finish(command: list[str], environment: dict[str, str], timeout: float) -> str | None:
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {timeout:.0f} s"
    if done.returncode:
        return f"ended with {done.returncode}: {(done.stderr.strip() or 'no output').splitlines()[-1]}"[:500]
    return None


def _settings(job: Job) -> dict[str, Any]:
    return {"chains": job.chains, **vars(job.setting)}
