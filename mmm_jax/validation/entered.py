"""Which experiments each fold of a cross-validation may learn from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.data.experiment_places import windows_of
from mmm_jax.data.experiments import LiftTest, LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.validation.folds import Fold


def entered_experiments(experiments: LiftTests, panel: AnyPanel, folds: Sequence[Fold]) -> dict[str, LiftTests]:
    """By fold, the experiments whose window, the outcome's included, lies inside of its training rows.

    Folds without any are left out.

    Raises:
        ExperimentError: an experiment does not fit the panel.
    """
    windows = windows_of(experiments, panel)
    found = {}
    for fold in folds:
        inside = [row for row, ends in zip(experiments.rows, windows, strict=True) if _inside(ends, fold.train)]
        tests = [row for row in inside if isinstance(row, LiftTest)]
        found[fold.name] = LiftTests(tests, [row for row in inside if not isinstance(row, LiftTest)])
    return {name: known for name, known in found.items() if known}


def entry_table(experiments: LiftTests | None, folds: Sequence[Fold], entered: Mapping[str, LiftTests]) -> Any:
    """See `CrossValidation.experiments_by_fold`."""
    rows = () if experiments is None else experiments.rows
    known = {name: set(map(id, one.rows)) for name, one in entered.items()}
    labels = {
        name: ("experiment", [_text(getattr(row, name)) for row in rows]) for name in ("channel", "geo", "start", "end")
    }
    columns = {fold.name: ("experiment", [id(row) in known.get(fold.name, ()) for row in rows]) for fold in folds}
    return xr.Dataset({**labels, **columns}, {"experiment": np.arange(len(rows))}).to_dataframe()


def _inside(ends: tuple[int | None, int | None], train: range) -> bool:
    first, last = ends
    return (first is None or first >= train.start) and (last is None or last < train.stop)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
