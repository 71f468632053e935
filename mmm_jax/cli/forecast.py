"""New rows for a fit: which they are, what the fit expects of them, how right it was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli import report
from mmm_jax.cli.results import numbers, scored
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen, amount, span
from mmm_jax.cli.table import Roles, in_table, read_dates, read_roles, read_table
from mmm_jax.cli.validation import read_config
from mmm_jax.cli.words import counted, listed
from mmm_jax.data import checks
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PredictionError
from mmm_jax.fitting.labels import interval
from mmm_jax.fitting.posterior import Fit


@dataclass(frozen=True)
class Rows:
    """Rows after the training rows.

    Attributes:
        panel: dates, spend and controls.
        observed: the target, NaN where it is not known; `None` if the table has no such column or nothing in it.
    """

    panel: Panel
    observed: np.ndarray | None


@dataclass(frozen=True)
class Forecast:
    """What the fit expects.

    Attributes:
        table: date, mean, median, lower, upper, and observed where something is.
        total: posterior summary of the sum over all rows.
        scores: of the rows whose target is known.
        prob: probability of the intervals.
    """

    table: pd.DataFrame
    total: dict[str, float]
    scores: dict[str, float]
    prob: float


def read_rows(config_path: Path, data_path: Path, fit: Fit, screen: Screen) -> Rows:
    """The rows of the table that come after the training rows.

    Raises:
        ConfigError: the configuration is wrong or does not fit the table.
        PanelError: a rule of the panel is broken.
        PredictionError: no row comes after the training rows, or the columns are not the fit's.
    """
    with screen.stage("read"):
        config = read_config(config_path, fit_schema())
        frame = read_table(data_path)
        roles = read_roles(config, frame, need_target=False)
        _check_names(roles, fit)
        dates = read_dates(data_path, frame, roles.date)
        last = fit.panel.dates[-1]
        new = frame[dates > last].assign(**{roles.date: dates[dates > last]}).sort_values(roles.date)
        if len(new) == 0:
            raise PredictionError(
                f"{data_path}: no row comes after {last}, the last training date; the last is {dates.max()}."
            )
        if len(new) < len(frame):
            screen.notice(f"{counted(len(frame) - len(new), 'row')} up to the last training date, {last}, left out.")
        return Rows(_panel(data_path, new, roles, fit), _observed(data_path, new, roles))


def predicted(fit: Fit, rows: Rows, screen: Screen, *, prob: float, key: int) -> Forecast:
    """Predictions with intervals, and their scores."""
    with screen.stage("predict", "Predicting ..."):
        draws = fit.predict(rows.panel, key=key)
        band, total = interval(draws["y"], prob), interval(draws["y"].sum("date"), prob)
    columns: dict[str, Any] = {name: band[name].to_numpy().astype(float) for name in ("mean", "median", "lower", "upper")}
    if rows.observed is not None:
        columns["observed"] = rows.observed
    table = pd.DataFrame({"date": rows.panel.dates.astype(str), **columns})
    return Forecast(table, numbers(total), scored(rows.observed, draws, prob), prob)


def say(screen: Screen, forecast: Forecast) -> None:
    """How much is expected in all, and the scores."""
    dates, total = forecast.table["date"], forecast.total
    screen.say(f"{counted(len(dates), 'row')} from {dates.iloc[0]} to {dates.iloc[-1]}.")
    band = f"{forecast.prob:.0%} interval {span(total['lower'], total['upper'])}"
    screen.say(f"Expected in all: {amount(total['mean'])} ({band}).")
    report.show_scores(screen, {"new": forecast.scores}, forecast.prob)


def summarised(forecast: Forecast, out: Path) -> dict[str, Any]:
    """The forecast for machines."""
    return {
        "rows": len(forecast.table),
        "first_date": forecast.table["date"].iloc[0],
        "last_date": forecast.table["date"].iloc[-1],
        "interval_probability": forecast.prob,
        "total": forecast.total,
        "scores": forecast.scores,
        "predictions": forecast.table.to_dict("records"),
        "file": out,
    }


def _panel(path: Path, new: pd.DataFrame, roles: Roles, fit: Fit) -> Panel:
    """The new rows, checked together with the training rows: one new row alone would have no frequency."""
    known = fit.panel.to_frame().drop(columns=fit.panel.target_name)
    table = roles.renamed(new).set_index(roles.date)[roles.known]
    joined = pd.concat([known, table]).rename_axis(roles.date).reset_index()
    with in_table(path):
        panel = Panel.from_frame(joined, **{**roles.columns(), "target": None})
    return panel.take(slice(len(fit.panel), None))


def _check_names(roles: Roles, fit: Fit) -> None:
    for what, new, fitted in (
        ("channels", {*roles.channels, *roles.organic}, set(fit.panel.channels)),
        ("organic media", set(roles.organic), set(fit.panel.organic)),
        ("units", {*roles.media.values()}, {u for u in fit.panel.units if u and u not in fit.panel.organic}),
        ("controls", {*roles.controls, *roles.treatments}, set(fit.panel.control_names)),
    ):
        if new != fitted:
            lacking, unknown = (listed(sorted(names), 5) or "none" for names in (fitted - new, new - fitted))
            raise PredictionError(f"The configuration's {what} are not the fit's. Missing: {lacking}; unknown: {unknown}.")


def _observed(path: Path, new: pd.DataFrame, roles: Roles) -> np.ndarray | None:
    if roles.target is None:
        return None
    with in_table(path):
        values = checks.to_numbers(pd.Series(new[roles.target]), new[roles.date].to_numpy())
    return values if np.isfinite(values).any() else None
