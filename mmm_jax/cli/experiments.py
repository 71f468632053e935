"""The configuration's `experiments` section: a table of lift tests beside the file, and known costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmm_jax.cli.config import Config
from mmm_jax.cli.table import read_table
from mmm_jax.cli.words import did_you_mean, listed
from mmm_jax.data.experiment_places import places_of
from mmm_jax.data.experiments import CostPerTarget, LiftTest, LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.errors import ExperimentError, PanelError

_YES, _NO = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", "", "nan"}


class Experiments(NamedTuple):
    """What a fit learns from, and what it is only compared with."""

    learned: LiftTests | None = None
    held_out: LiftTests | None = None


def read_experiments(config: Config, panel: AnyPanel) -> Experiments:
    """The experiments that the configuration names, checked against the training rows.

    Raises:
        ConfigError: the section, its file or a row of it is wrong, or does not fit the panel; names key, row and value.
    """
    section = _section(config)
    if "by" in section:
        message = "this column tells the fits of `mmm-jax batch` apart; here there is one fit. Remove the key."
        raise config.error(message, "experiments", "by")
    frame, costs = _table(config, section), _costs(config, section)
    tests = _tests(config, section, frame)
    with _at_file(config, section):
        places_of(LiftTests(tests), panel)
    with config.at("experiments", "costs", errors=ExperimentError):
        places_of(LiftTests(costs=costs), panel)
    return _split(config, section, frame, tests, costs)


def experiments_by_fit(config: Config, names: list[str]) -> dict[str, Experiments]:
    """The experiments of every fit of a batch, by its name; costs hold for all. Whether they fit is said fit by fit.

    Raises:
        ConfigError: the section, its file or a row of it is wrong, or a row names a fit that there is not.
    """
    section = _section(config)
    frame, costs = _table(config, section), _costs(config, section)
    if len(frame) and "by" not in section:
        message = "name the column that says which fit a test belongs to, as `by`."
        raise config.error(message, "experiments")
    if "by" in section:
        _check_has(config, frame, section["by"], "by")
    of_fit = frame[section["by"]].astype(str).to_numpy() if "by" in section else np.array([], str)
    unknown = [name for name in of_fit if name not in names]
    if unknown:
        message = f"a test is of the fit {unknown[0]!r}{did_you_mean(unknown[0], names) or '.'} There are {listed(names)}."
        raise config.error(message, "experiments", "by")
    tests = _tests(config, section, frame)
    own = {name: np.flatnonzero(of_fit == name) for name in names}
    return {
        name: _split(config, section, frame.iloc[rows], [tests[row] for row in rows], costs) for name, rows in own.items()
    }


def _section(config: Config) -> dict[str, Any]:
    given = config.values.get("experiments", {})
    return {"file": given} if isinstance(given, str) else given


def _table(config: Config, section: dict[str, Any]) -> pd.DataFrame:
    """The file's rows, with their columns under the names of `LiftTest`; none where there is no file."""
    if "file" not in section:
        alone = next((key for key in ("columns", "held_out", "by") if key in section), None)
        if alone is not None:
            raise config.error("there is no `file` whose columns these could be.", "experiments", alone)
        return pd.DataFrame()
    # Beside the configuration, wherever the command runs.
    path = config.path.parent / section["file"]
    with config.at("experiments", "file", errors=PanelError):
        frame = read_table(path)
    named = section.get("columns", {})
    for field, column in named.items():
        _check_has(config, frame, column, "columns", field)
    return frame.drop(columns=[name for name in named if name in frame and name not in named.values()]).rename(
        columns={column: field for field, column in named.items()}
    )


def _check_has(config: Config, frame: pd.DataFrame, column: str, *keys: str) -> None:
    if column not in frame.columns:
        known = [str(name) for name in frame.columns]
        message = (
            f"the table of experiments has no column {column!r}{did_you_mean(column, known) or '.'} It has {listed(known)}."
        )
        raise config.error(message, "experiments", *keys)


def _costs(config: Config, section: dict[str, Any]) -> list[CostPerTarget]:
    found = []
    for place, given in enumerate(section.get("costs", [])):
        with config.at("experiments", "costs", place):
            found.append(CostPerTarget(**given))
    return found


def _tests(config: Config, section: dict[str, Any], frame: pd.DataFrame) -> list[LiftTest]:
    if "file" not in section:
        return []
    with _at_file(config, section):
        return list(LiftTests.from_frame(frame).tests)


@contextmanager
def _at_file(config: Config, section: dict[str, Any]) -> Iterator[None]:
    """Context in which an error of an experiment comes from the file, and says how its rows are counted."""
    try:
        yield
    except ExperimentError as error:
        keys = ("experiments", "file") if isinstance(config.values["experiments"], dict) else ("experiments",)
        words = f"{section['file']}: {error} (Rows are counted from 0, the first one below the names.)"
        raise config.error(words, *keys) from error


def _split(
    config: Config, section: dict[str, Any], frame: pd.DataFrame, tests: list[LiftTest], costs: list[CostPerTarget]
) -> Experiments:
    held = _held_out(config, section, frame)
    learned = LiftTests([test for test, out in zip(tests, held, strict=True) if not out], costs)
    held_out = LiftTests([test for test, out in zip(tests, held, strict=True) if out])
    return Experiments(learned or None, held_out or None)


def _held_out(config: Config, section: dict[str, Any], frame: pd.DataFrame) -> np.ndarray:
    """Whether a row is only predicted, shape (row,)."""
    if "held_out" not in section:
        return np.zeros(len(frame), bool)
    column = section["held_out"]
    _check_has(config, frame, column, "held_out")
    words = [str(value).strip().lower() for value in frame[column]]
    wrong = next((place for place, word in enumerate(words) if word not in _YES | _NO), None)
    if wrong is not None:
        said = repr(frame[column].iloc[wrong])
        message = f"column {column!r} must say true or false (or 1 or 0; empty is false); row {wrong} says {said}."
        raise config.error(message, "experiments", "held_out")
    return np.array([word in _YES for word in words], bool)
