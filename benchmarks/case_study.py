"""The case study stage by stage: `python -m benchmarks.case_study [--draws 4000]` prints our seconds as a table.

First calls include compilation; warm is the fastest of three more. Each run is one fresh process.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_BEGAN = time.perf_counter()
import mmm_jax as mj  # noqa: E402  (the import is the first stage)

_IMPORT_SECONDS = time.perf_counter() - _BEGAN

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.measure import machine, measure, peak_megabytes  # noqa: E402
from benchmarks.problem import case_study, spec  # noqa: E402
from mmm_jax.data.datasets import CASE_STUDY_LAST_TRAINING_DATE  # noqa: E402


def main() -> None:
    """Run all stages and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000, help="draws over 4 chains, a multiple of 4")
    draws = parser.parse_args().draws
    name, panel = case_study()
    train, test = panel.split(CASE_STUDY_LAST_TRAINING_DATE)
    table = Table("stage", "first call (s)", "warm (s)", "peak memory (MB)", title=f"{name}, {draws} draws")
    table.add_row("import mmm_jax", f"{_IMPORT_SECONDS:.2f}", "", f"{peak_megabytes():.0f}")
    fit = mj.fit(train, spec(), num_samples=draws // 4, progress=False)
    for stage, seconds in fit.diagnostics.wall_seconds.items():
        table.add_row(f"fit: {stage}", f"{seconds:.2f}", "", f"{peak_megabytes():.0f}")
    for stage, function in stages(fit, train, test).items():
        found = measure(function)
        table.add_row(stage, f"{found.first:.3f}", f"{found.warm:.3f}", f"{peak_megabytes():.0f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"{fit.diagnostics.min_ess_bulk:.0f} min bulk ESS, R-hat {fit.diagnostics.max_rhat:.4f}")
    console.print(machine())


def stages(fit: mj.Fit, train: mj.Panel, test: mj.Panel) -> dict[str, Callable[[], object]]:
    """What an analyst asks of a fit, in the case study's order."""
    folder = Path(tempfile.mkdtemp())
    mean = test.spend.mean(axis=1)
    bounds = {name: (0.5 * level, 1.5 * level) for name, level in zip(test.channels, mean, strict=True)}
    total = float(np.sum(mean))
    return {
        "prior predictive (500)": lambda: mj.sample_prior(train, fit.spec, num_samples=500),
        f"predictive, {len(train)} training weeks": lambda: fit.predict(key=1),
        f"predictive, {len(test)} test weeks": lambda: fit.predict(test, key=1),
        "contributions": fit.contributions,
        "ROAS": fit.roas,
        "incremental ROAS": fit.incremental_roas,
        "marginal ROAS": fit.marginal_roas,
        "response curves (21 points)": fit.response_curves,
        "summary table": fit.summary,
        "plan": lambda: mj.optimize_budget(fit, horizon=test.dates, total=total, bounds=bounds, per="period"),
        "save": lambda: fit.save(folder / "fit.zarr", overwrite=True),
        "load": lambda: mj.Fit.load(folder / "fit.zarr"),
    }


if __name__ == "__main__":
    main()
