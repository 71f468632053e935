"""The tables that every tool reads: the case study's training weeks, and seeded variations of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.problem import case_study, data_folder, training_and_test

SPEND_NOISE = 0.1
"""Standard deviation of the log of the noise on spend, per week and channel."""

SALES_NOISE = 0.03
"""The same of the noise on sales, per week."""


def single_problem(folder: Path) -> Path:
    """Write the training weeks as they are; returns the file."""
    frame, roles = training_table()
    return _written(folder, {"case_study": frame}, roles)[0]


def batch_problem(n: int, folder: Path, *, seed: int = 0) -> list[Path]:
    """Write `n` tables of the case study's size with different data each; returns the files.

    Table `i` depends on `seed` and `i` alone, so that a smaller batch is the start of a larger one.
    """
    frame, roles = training_table()
    return _written(folder, {f"fit_{index:04d}": perturbed(frame, roles, index, seed=seed) for index in range(n)}, roles)


def geo_problem(folder: Path) -> Path:
    """Write the simulated market of 20 geos as it is; returns the file.

    Raises:
        FileNotFoundError: the data are not there.
    """
    frame = pd.read_csv(data_folder() / "geo_media.csv")
    roles = {
        "data": "geo_media",
        "date": "time",
        "geo": "geo",
        "target": "conversions",
        "revenue_per_target": "revenue_per_conversion",
        "population": "population",
        "channels": [name for name in frame if name.endswith("_impression")],
        "spend": [name for name in frame if name.endswith("_spend")],
        "controls": [name for name in frame if name.endswith("_control")],
    }
    return _written(folder, {"geo_media": frame}, roles)[0]


def perturbed(frame: pd.DataFrame, roles: dict[str, Any], index: int, *, seed: int = 0) -> pd.DataFrame:
    """Spend and sales times log-normal noise; everything else as it is."""
    rng = np.random.default_rng([seed, index])
    channels, target = list(roles["channels"]), roles["target"]
    changed = frame.copy()
    changed[channels] = frame[channels] * np.exp(SPEND_NOISE * rng.standard_normal((len(frame), len(channels))))
    changed[target] = frame[target] * np.exp(SALES_NOISE * rng.standard_normal(len(frame)))
    return changed


def training_table() -> tuple[pd.DataFrame, dict[str, Any]]:
    """The training weeks as a table, and which column is what."""
    panel = training_and_test()[0]
    roles = {
        "data": case_study()[0],
        "date": "date",
        "target": panel.target_name,
        "channels": list(panel.channels),
        "controls": list(panel.control_names),
    }
    return panel.to_frame().reset_index(), roles


def _written(folder: Path, frames: dict[str, pd.DataFrame], roles: dict[str, Any]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roles.json").write_text(json.dumps(roles, indent=1))
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return [folder / f"{name}.csv" for name in frames]
