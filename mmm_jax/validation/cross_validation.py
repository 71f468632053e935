"""The verb `cross_validate`: would the model have foreseen what came next, and would it have said the same before."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import AnyScales, GeoScales, scales_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import BatchError, PanelError
from mmm_jax.fitting.fit_batch import Batch, fit_batch
from mmm_jax.fitting.keys import Key, as_key, named_key
from mmm_jax.inference.convergence import stacked
from mmm_jax.kernels.numerics import Precision
from mmm_jax.model.build import scalar_names
from mmm_jax.model.spec import ModelSpec
from mmm_jax.validation import tables
from mmm_jax.validation.entered import entered_experiments, entry_table
from mmm_jax.validation.examination import SCORES, Examined, examined, examined_geos
from mmm_jax.validation.folds import Fold, Window, folds_of

_PREDICT = 1
"""Folded into the key of a fold's predictions, which are independent of its draws."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Folds with their fits, predictions and scores; made by `cross_validate`.

    A fold that failed has NaN everywhere; one that has not converged is scored like the others. Both are named by `status`
    and in every table by fold. Of many geos, numbers are those of their sum; `geo=` asks for one of them, and
    `scores_by_geo` for all side by side.

    Attributes:
        spec: the choices.
        panel: all rows.
        folds: from the oldest to the newest.
        batch: the fits by the folds' names, with their status.
        predictions: `y` and `mean` (fold, chain, draw, ahead), what was `observed` (fold, ahead), all in units of the
            target, and `elpd` (fold, ahead): log predictive density of what was observed, per unit of the target. `date`
            (fold, ahead) is a coordinate.
        measured: by name of the score and rows, `test` or `training`, (score, rows, fold).
        returns: return on spend over the training rows, (fold, chain, draw, channel).
        experiments: what was known in all, if anything.
        entered: the experiments that each fold has learned from, by its name.
        geos: the same of every geo, `predictions`, `measured` and `returns`; empty for one market.
    """

    spec: ModelSpec
    panel: AnyPanel
    folds: tuple[Fold, ...]
    batch: Batch
    predictions: xr.Dataset
    measured: xr.DataArray
    returns: xr.DataArray
    experiments: LiftTests | None = None
    entered: Mapping[str, LiftTests] = field(default_factory=dict)
    geos: Mapping[str, "GeoScores"] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: how many folds of which status."""
        return f"CrossValidation({len(self.folds)} folds of {len(self.folds[0].test)} rows, {self.batch!r})"

    @property
    def status(self) -> dict[str, str]:
        """`success`, `not_converged` or `failed`, by fold."""
        return self.batch.status

    def scores(self, *, geo: str | None = None) -> Any:
        """Table with one row per fold (pandas): status, number of training rows, scores of test and training rows.

        `crps` and `bias` (expected minus observed) are in units of the target, `elpd` is the mean log predictive density
        per row, the others are fractions. Columns that begin with `training_` are the same of the training rows: a large
        gap is a sign of overfitting. There is no R2: over a short horizon it depends on how little happened in it. Of the
        sum of geos, `elpd` is of what all of them had on a date, jointly.
        """
        return tables.fold_table(self.folds, self.status, self.of(geo).measured)

    def scores_by_geo(self) -> Any:
        """Table with one row per geo (pandas): means over the folds of its scores, and skill over the naive references.

        Raises:
            PanelError: there is one market.
        """
        if not isinstance(self.panel, GeoPanel):
            raise PanelError("The panel is of one market: see `scores()`.")
        parts = {geo: (own.measured, own.predictions, self.panel[geo]) for geo, own in self.geos.items()}
        return tables.geo_table(parts, self.folds)

    def of(self, geo: str | None) -> "GeoScores":
        """Predictions and scores of one geo, or of all together.

        Raises:
            PanelError: there is no such geo.
        """
        if geo is None:
            return GeoScores(self.predictions, self.measured, self.returns)
        if geo not in self.geos:
            known = ", ".join(map(repr, self.geos)) or "none, since the panel is of one market"
            raise PanelError(f"There is no geo {geo!r}; there are {known}.")
        return self.geos[geo]

    def rows_of(self, geo: str | None) -> Panel:
        """All rows of one geo, or of all together."""
        if not isinstance(self.panel, GeoPanel):
            return self.panel
        return self.panel.known_total() if geo is None else self.panel[geo]

    def experiments_by_fold(self) -> Any:
        """Table with one row per experiment and one column per fold (pandas): did the fold learn from it.

        A fold learns from those that were over at its cutoff: whose window lies inside its training rows.
        """
        return entry_table(self.experiments, self.folds, self.entered)

    def scores_by_horizon(self, *, geo: str | None = None) -> Any:
        """Table with one row per period ahead (pandas): mean scores over folds, and those of naive references.

        The references repeat the last value (`last_`) or the same period of the year before (`seasonal_`), with the errors
        that this made before the cutoff; `_skill` is 1 minus the ratio of the model's CRPS to theirs, over the folds where
        the reference is known. Above 0, the model is better.
        """
        return tables.horizon_table(self.of(geo).predictions, self.rows_of(geo), self.folds)

    def parameters(self, *, prob: float = 0.9) -> xr.Dataset:
        """Posterior `mean`, `sd`, `median` and interval of every scalar parameter, (fold, parameter).

        Parameters are in units of each fold's own scales: give `scales=` to `cross_validate` to compare them exactly.
        """
        names = scalar_names(self.spec, self.panel)
        found = [tables.interval_or_nan(self._draws(fold).reindex(parameter=names), prob) for fold in self.folds]
        return xr.concat(found, "fold").assign_coords(tables.fold_coords(self.folds))

    def _draws(self, fold: Fold) -> xr.DataArray:
        """Draws of a fold's parameters, (chain, draw, parameter): none of a fold that failed, nor of holidays to come."""
        known = self.status[fold.name] != "failed"
        values = stacked(self.batch[fold.name].draws) if known else np.empty((1, 1, 0))
        names = scalar_names(self.spec, self.batch[fold.name].panel) if known else []
        return xr.DataArray(values, {"parameter": np.array(names, object)}, ("chain", "draw", "parameter"))

    def roas(self, *, prob: float = 0.9) -> xr.Dataset:
        """Posterior `mean`, `sd`, `median` and interval of the return on spend over the training rows, (fold, channel)."""
        return tables.interval_or_nan(self.returns, prob)

    def stability(self, *, prob: float = 0.9) -> Any:
        """Table with one row per parameter and per channel's `roas[...]` (pandas): does the model say the same each time.

        `spread` is the standard deviation of the folds' means over the mean posterior standard deviation, `drift` the last
        fold's mean minus the first one's in the same unit, `overlap` the share of consecutive folds whose intervals
        overlap. Consecutive folds share most of their rows, so that a spread near 1 is much.
        """
        returns = self.roas(prob=prob).rename(channel="parameter")
        names = [f"roas[{name}]" for name in self.panel.channels]
        both = xr.concat([self.parameters(prob=prob), returns.assign_coords(parameter=names)], "parameter")
        return tables.stability_table(both)


class GeoScores(NamedTuple):
    """A market's part in a cross-validation; see `CrossValidation`.

    Attributes:
        predictions: of the test rows, with what was observed.
        measured: scores, (score, rows, fold).
        returns: return on spend over the training rows, (fold, chain, draw, channel).
    """

    predictions: xr.Dataset
    measured: xr.DataArray
    returns: xr.DataArray


def cross_validate(
    panel: AnyPanel,
    spec: ModelSpec,
    *,
    initial: int,
    horizon: int,
    step: int | None = None,
    window: Window = "expanding",
    key: Key = 0,
    num_chains: int = 4,
    num_warmup: int = 300,
    num_samples: int = 1000,
    target_accept: float = 0.9,
    max_tree_depth: int = 10,
    precision: Precision = "float32",
    scales: AnyScales | None = None,
    experiments: LiftTests | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> CrossValidation:
    """Fit the rows up to each of several cutoffs, all in one batch, and compare the forecasts with what came next.

    Nothing that came after a cutoff reaches its fold: scales and priors are made of the training rows alone. Spend and
    controls of the test rows are taken as known. Spend before the first training row counts as 0, as in every fit; a
    forecast carries in the training rows' spend.

    Args:
        panel: all rows, with a target, of one market or of many, whose folds are cut at the same dates.
        spec: the choices.
        initial: training rows of the first fold; with a rolling window, of every fold.
        horizon: test rows of every fold.
        step: rows from one cutoff to the next; the horizon by default.
        window: `expanding` trains on all rows up to the cutoff, `rolling` on the last `initial` ones.
        key: random key or seed. A fold's draws depend on it, on the fold's own rows and on its cutoff only.
        num_chains: chains per fold.
        num_warmup: iterations per chain that adapt the sampler and are thrown away.
        num_samples: draws kept per chain.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
        precision: of all numbers.
        scales: the same scales for all folds, so that their priors and parameters mean the same; those of an earlier fit,
            since scales of the whole panel would let each fold know the largest target to come.
        experiments: lift tests and known costs. A fold learns from those whose window, the outcome's included, lies inside
            of its training rows; see `CrossValidation.experiments_by_fold`.
        store: folder that the fits are written to, and resumed from.
        progress: draw a progress bar if standard error is a terminal.

    Raises:
        SpecError: settings out of range.
        ExperimentError: an experiment does not fit the panel.
        PanelError: the panel has no target, is too short, or its test rows leave the likelihood's support.
        BatchError: every fold failed; says why the first one did.
        StoreError: as of `fit_batch`.

    Warns:
        ConvergenceWarning: some folds have not converged or failed; see `CrossValidation.status`.

    Reference:
        Tashman (2000), Out-of-sample tests of forecasting accuracy: an analysis and review.
    """
    if panel.target is None:
        raise PanelError("A panel without a target cannot be cross-validated. Give `target=` to `Panel.from_frame`.")
    folds = folds_of(panel.dates, initial=initial, horizon=horizon, step=step, window=window)
    panels = {fold.name: fold.training_panel(panel) for fold in folds}
    for fold in folds:
        _check_test_rows(fold, panel, spec, scales)
    entered = entered_experiments(experiments or LiftTests(), panel, folds)
    batch = fit_batch(
        panels,
        spec,
        key=key,
        num_chains=num_chains,
        num_warmup=num_warmup,
        num_samples=num_samples,
        target_accept=target_accept,
        max_tree_depth=max_tree_depth,
        precision=precision,
        scales=None if scales is None else dict.fromkeys(panels, scales),
        experiments=entered or None,
        store=store,
        progress=progress,
    )
    found = _all_examined(panel, folds, batch, as_key(key))
    together, *each = [_gathered(market, folds, part) for market, part in _parts(panel, found)]
    geos = dict(zip(panel.geos, each, strict=True)) if isinstance(panel, GeoPanel) else {}
    return CrossValidation(spec, panel, folds, batch, *together, experiments or None, entered, geos)


def prediction_key(key: jax.Array, fold: Fold) -> jax.Array:
    """The key of a fold's predictions: `cv.batch[fold.name].predict(fold.test_panel(panel), key=...)` repeats them."""
    return named_key(jax.random.fold_in(key, _PREDICT), fold.name)


def _check_test_rows(fold: Fold, panel: AnyPanel, spec: ModelSpec, scales: AnyScales | None) -> None:
    """Raise a `PanelError` before any sampling if the density of what came next would not be defined."""
    try:
        training = fold.training_panel(panel)
        chosen = scales or scales_of(training, scale=spec.scale, standardize_controls=spec.standardize_controls)
    except PanelError:
        return  # The batch says of this fold what is wrong with it.
    test = fold.test_panel(panel)
    markets = test.markets if isinstance(test, GeoPanel) else (test,)
    each = chosen.markets if isinstance(chosen, GeoScales) else (chosen,)
    for rows, own in zip(markets, each, strict=True):
        there = rows.present
        spec.likelihood.check_target(np.asarray(rows.target)[there], rows.dates[there], rows.target_name, own.target)


def _joined(found: list[Examined | None], part: Callable[[Examined], Any]) -> Any:
    """One part of every fold, along the dimension `fold`; NaN for folds that failed."""
    some = next(part(one) for one in found if one is not None)
    return xr.concat([xr.full_like(some, np.nan) if one is None else part(one) for one in found], "fold")


def _measured(folds: tuple[Fold, ...], found: Mapping[str, Examined]) -> xr.DataArray:
    nothing = dict.fromkeys(SCORES, np.nan)
    values = [
        [list(one.scores.values()), list(one.training_scores.values())] if one else [list(nothing.values())] * 2
        for one in (found.get(fold.name) for fold in folds)
    ]
    coords = {"score": list(SCORES), "rows": ["test", "training"], **tables.fold_coords(folds)}
    return xr.DataArray(np.transpose(values, (2, 1, 0)), coords, ("score", "rows", "fold"))


def _all_examined(panel: AnyPanel, folds: tuple[Fold, ...], batch: Batch, key: jax.Array) -> dict[str, Examined]:
    """What every fold that has a fit says.

    Raises:
        BatchError: none has.
    """
    examine: Any = examined_geos if isinstance(panel, GeoPanel) else examined
    found = {
        fold.name: examine(batch[fold.name], fold.test_panel(panel), prediction_key(key, fold))
        for fold in folds
        if batch.status[fold.name] != "failed"
    }
    if not found:
        raise BatchError(f"All {len(folds)} folds failed. The first: {next(iter(batch.errors.values()))}")
    return found


def _parts(panel: AnyPanel, found: dict[str, Examined]) -> Iterator[tuple[Panel, dict[str, Examined]]]:
    """Rows and what the folds say of them: of the market, or of all geos together and then of each."""
    if not isinstance(panel, GeoPanel):
        yield panel, found
        return
    yield panel.known_total(), found
    for geo in panel.geos:
        yield panel[geo], {name: one.by_geo[geo] for name, one in found.items()}


def _gathered(panel: Panel, folds: tuple[Fold, ...], found: dict[str, Examined]) -> GeoScores:
    """All folds of one market."""
    coords = tables.fold_coords(folds)
    predictions = _joined([found.get(fold.name) for fold in folds], lambda one: one.predicted).assign_coords(coords)
    rows = [list(fold.test) for fold in folds]
    predictions["observed"] = (("fold", "ahead"), np.asarray(panel.target)[rows])
    dated = predictions.assign_coords(date=(("fold", "ahead"), panel.dates[rows].astype("datetime64[ns]")))
    returns = _joined([found.get(fold.name) for fold in folds], lambda one: one.roas).assign_coords(coords)
    return GeoScores(dated, _measured(folds, found), returns)
