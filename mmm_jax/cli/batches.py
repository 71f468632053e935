"""The steps of `mmm-jax batch`: read the tables, fit, say what became of each."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from mmm_jax.cli import experiment_report
from mmm_jax.cli.config import Config
from mmm_jax.cli.experiments import Experiments, experiments_by_fit
from mmm_jax.cli.model import read_spec
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen, amount
from mmm_jax.cli.table import read_panel, read_roles, read_table, split_panel
from mmm_jax.cli.validation import read_config
from mmm_jax.cli.words import did_you_mean
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.errors import ApproximationWarning, BatchError, ConfigError, ConvergenceWarning, MMMError, PanelError
from mmm_jax.fitting.batch_engines import Ray
from mmm_jax.fitting.engines import BatchEngine
from mmm_jax.fitting.fit_batch import Batch, fit_batch

_SHOWN = 10
"""Fits that are named on the screen if something is wrong with them; the JSON has all."""


def run(screen: Screen, data: Path, by: str | None, config_path: Path, out: Path, ray: str | None = None) -> dict[str, Any]:
    """Fit every table into the store, and say what became of them.

    Raises:
        ConfigError: the configuration is wrong.
        PanelError: there are no tables, or the column that tells them apart is not there.
        StoreError: the store cannot be written, or holds other fits under the same names.
        SpecError: the address of the Ray cluster is none.
        BatchError: every fit failed, or the Ray cluster cannot be used.
    """
    with screen.stage("read", "Reading ..."):
        config = read_config(config_path, fit_schema())
        spec = read_spec(config)
        panels = {name: _panel(config, data, name, table) for name, table in _tables(data, by)}
        experiments = experiments_by_fit(config, list(panels))
    sampling = read_sampling(config)
    learned = {name: own.learned for name, own in experiments.items() if own.learned}
    with screen.stage("fit"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", ApproximationWarning)
        engine = sampling.pop("engine", "lanes")
        made_by = engine if ray is None else Ray(ray, engine=engine)
        batch = fit_batch(panels, spec, store=out, engine=made_by, experiments=learned, **sampling)
    held_out = _predicted(batch, experiments)
    _show(screen, batch, out)
    for name, table in held_out.items():
        experiment_report.show_experiments(screen, "held_out", table, batch[name].panel.target_name, of=name)
    if engine != "lanes":
        screen.notice(f"the fits are quick looks by {engine!r}, not samples of the posteriors.")
    if all(status == "failed" for status in batch.status.values()):
        raise BatchError(f"All {len(batch)} fits failed. The first: {next(iter(batch.errors.values()))}")
    fits = {name: {"status": entry.status, "error": entry.error, "diagnostics": entry.diagnostics}
            for name, entry in batch.entries.items()}  # fmt: skip
    for name, table in held_out.items():
        fits[name]["held_out_experiments"] = table.to_dict("records")
    return {"store": out, "seconds": screen.seconds, "fits": fits}


def _predicted(batch: Batch, experiments: dict[str, Experiments]) -> dict[str, Any]:
    """What every fit that there is says of the experiments that were kept for it."""
    kept = {name: own.held_out for name, own in experiments.items() if own.held_out and batch.status[name] != "failed"}
    return {name: batch[name].predict_experiments(rows) for name, rows in kept.items()}


def _tables(data: Path, by: str | None) -> Iterator[tuple[str, pd.DataFrame | MMMError]]:
    if data.is_dir():
        if by is not None:
            raise PanelError("--by is for one CSV with all fits; --data is a folder, whose files name them.")
        files = sorted(data.glob("*.csv"))
        if not files:
            raise PanelError(f"{data}: the folder has no .csv file.")
        for file in files:
            yield file.stem, _read(file)
        return
    frame = read_table(data)
    if by is None:
        raise PanelError(f"{data} is one table: name the column that tells the fits apart with --by, or give a folder.")
    if by not in frame.columns:
        raise PanelError(f"{data}: there is no column {by!r}{did_you_mean(by, map(str, frame.columns)) or '.'}")
    empty = int(np.count_nonzero(pd.isna(frame[by].to_numpy())))
    if empty:
        raise PanelError(f"{data}: column {by!r} is empty in {empty} rows. Every row needs its fit.")
    for name, rows in frame.groupby(by, sort=False):
        yield str(name), rows.drop(columns=by).reset_index(drop=True)


def _read(file: Path) -> pd.DataFrame | MMMError:
    try:
        return read_table(file)
    except PanelError as error:
        return error


def _panel(config: Config, data: Path, name: str, table: pd.DataFrame | MMMError) -> AnyPanel | MMMError:
    """The training rows of one table, or what is wrong with it."""
    if isinstance(table, MMMError):
        return table
    try:
        panel = read_panel(data / f"{name}.csv" if data.is_dir() else data, table, read_roles(config, table))
        return split_panel(config, panel)[0]
    except (PanelError, ConfigError) as error:
        return error


def read_sampling(config: Config) -> dict[str, Any]:
    """Sampler settings of the configuration, as `fit_batch` takes them.

    Raises:
        ConfigError: another engine than that of batches.
    """
    given = dict(config.values.get("sampling", {}))
    if given.get("engine", "lanes") not in get_args(BatchEngine):
        known = ", ".join(get_args(BatchEngine))
        raise config.error(f"a batch has the engines {known} only, not {given['engine']!r}.", "sampling", "engine")
    return given


def _show(screen: Screen, batch: Batch, out: Path) -> None:
    statuses = list(batch.status.values())
    counts = [[status, str(statuses.count(status))] for status in ("success", "not_converged", "failed")]
    screen.table("Fits", ["status", "fits"], counts)
    wrong = [(name, entry) for name, entry in batch.entries.items() if entry.status != "success"]
    if wrong:
        rows = [
            [name, entry.status, entry.error or "; ".join((entry.diagnostics or {}).get("problems", []))]
            for name, entry in wrong[:_SHOWN]
        ]
        more = f" (the first {_SHOWN} of {len(wrong)})" if len(wrong) > _SHOWN else ""
        screen.table(f"Not to be trusted{more}", ["fit", "status", "why"], rows)
    rate = len(batch) / max(screen.seconds["fit"], 1e-9) * 3600
    screen.say_seconds()
    screen.say(f"{amount(rate)} fits per hour. Written: {out}.")
