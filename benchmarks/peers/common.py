"""What the scripts inside of the tools' environments share: arguments, tables, convergence, the JSON of a run.

Imports nothing that a peer's environment does not have.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

STARTED = "BENCHMARK_STARTED"
"""Environment variable with the monotonic time at which the parent started this process."""

KEPT = 1000
"""Predictive draws of the target that are kept for scores."""


def started() -> float:
    """When this process was started, on the monotonic clock; now, where no parent says."""
    return float(os.environ.get(STARTED, time.monotonic()))


def parser(description: str | None, samplers: tuple[str, ...]) -> argparse.ArgumentParser:
    """The arguments that all tools take."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, required=True, help="a table, or a folder of tables beside roles.json")
    made.add_argument("--sampler", choices=samplers, default=samplers[0])
    made.add_argument("--chains", type=int, default=4)
    made.add_argument("--warmup", type=int, default=1000)
    made.add_argument("--draws", type=int, default=1000)
    made.add_argument("--target-accept", type=float, default=0.9)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--limit", type=int, help="only the first so many tables of the folder")
    made.add_argument("--moments", action="store_true", help="write posterior means and deviations too")
    made.add_argument("--keep", type=Path, help="file of the draws that recovery is scored by")
    made.add_argument("--out", type=Path, required=True)
    return made


def tables(data: Path, limit: int | None = None) -> list[Path]:
    """The table itself, or the folder's tables by name."""
    return sorted(data.glob("*.csv"))[:limit] if data.is_dir() else [data]


def read_roles(data: Path) -> dict[str, Any]:
    """Which column is what: `date`, `target`, `channels`, `controls`."""
    folder = data if data.is_dir() else data.parent
    return json.loads((folder / "roles.json").read_text())


def read_table(path: Path, roles: Mapping[str, Any]):
    """The table with its dates parsed and every number exactly as written."""
    import pandas as pd

    return pd.read_csv(path, parse_dates=[roles["date"]], float_precision="round_trip")


def convergence(draws: Mapping[str, Any]) -> dict[str, Any]:
    """Smallest bulk and tail effective sample size and largest rank-normalised split R-hat over all scalars.

    Args:
        draws: shape (chain, draw, ...) by name; free parameters only.
    """
    import arviz as az
    import numpy as np
    import xarray as xr

    arrays = [np.asarray(values, float) for values in draws.values()]
    stacked = np.concatenate([values.reshape(*values.shape[:2], -1) for values in arrays], axis=2)
    dataset = xr.Dataset({"values": (("chain", "draw", "scalar"), stacked)})

    def table(found: Any) -> Any:
        return np.asarray(found["values"])

    return {
        "parameters": stacked.shape[2],
        "min_ess_bulk": float(table(az.ess(dataset, method="bulk")).min()),
        "min_ess_tail": float(table(az.ess(dataset, method="tail")).min()),
        "max_rhat": float(table(az.rhat(dataset)).max()),
    }


def moments(draws: Mapping[str, Any], labels: Mapping[str, list[str]]) -> dict[str, Any]:
    """Posterior mean and deviation by scalar: `name`, or `name[label]` for the names in `labels`."""
    import numpy as np

    found = {}
    for name, values in draws.items():
        array = np.asarray(values, float)
        flat = array.reshape(array.shape[0] * array.shape[1], -1)
        names = [f"{name}[{label}]" for label in labels[name]] if name in labels else [name]
        found |= {
            key: [float(mean), float(sd)]
            for key, mean, sd in zip(names, flat.mean(axis=0), flat.std(axis=0, ddof=1), strict=True)
        }
    return {"moments": found}


def write_draws(options: argparse.Namespace, *, totals: Any, y: Any, geos: list[str]) -> None:
    """The draws that recovery is scored by, if the parent asked for them.

    Args:
        options: the command line.
        totals: contribution of each channel, summed over the dates, in units of the target, shape (draw, geo, channel).
        y: predictive draws of the target, shape (draw, geo, date); at most `KEPT` are written.
        geos: labels.
    """
    import numpy as np

    if options.keep is not None:
        thin = max(len(y) // KEPT, 1)
        np.savez(options.keep, totals=np.asarray(totals, float), y=np.asarray(y[::thin], np.float32), geos=np.asarray(geos))


def fit_each(files: list[Path], fit: Callable[[Path], dict[str, Any]]) -> list[dict[str, Any]]:
    """One record per table; a fit that fails says why and does not end the run."""
    records = []
    for path in files:
        began = time.monotonic()
        try:
            records.append({"name": path.stem, **fit(path)})
        except Exception as error:  # a tool may fail in any way; the time it took counts
            wall = time.monotonic() - began
            records.append({"name": path.stem, "wall_seconds": wall, "error": f"{type(error).__name__}: {error}"[:500]})
        print(f"{path.stem}: {records[-1].get('error', 'done')}", file=sys.stderr, flush=True)
    return records


def dtype_of(fits: list[dict[str, Any]]) -> str:
    """The precision that the fits themselves report."""
    return next((fit["dtype"] for fit in fits if "dtype" in fit), "unknown")


def write_run(
    options: argparse.Namespace,
    *,
    tool: str,
    dtype: str,
    device: str,
    packages: tuple[str, ...],
    startup: float,
    fits: list[dict[str, Any]],
    how: str,
) -> None:
    """The JSON of one process."""
    settings = {name: getattr(options, name) for name in ("chains", "warmup", "draws", "target_accept", "seed")}
    run = {
        "tool": tool,
        "sampler": options.sampler,
        "how": how,
        "settings": settings,
        "dtype": dtype,
        "device": device,
        "versions": {"python": platform.python_version(), **versions(packages)},
        "startup_seconds": startup,
        "process_seconds": startup + sum(fit.get("wall_seconds", 0.0) for fit in fits),
        "peak_megabytes": _peak(resource.RUSAGE_SELF),
        "peak_child_megabytes": _peak(resource.RUSAGE_CHILDREN),
        "fits": fits,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(run, indent=1))


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Installed versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _peak(whose: int) -> float:
    # Linux counts in kilobytes, macOS in bytes.
    return resource.getrusage(whose).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
