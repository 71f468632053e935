"""New rows for a fit: which they are, what the fit expects of them, how right it was."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mmm_jax.cli import geo_report, report
from mmm_jax.cli.results import numbers, scored
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen, amount, span
from mmm_jax.cli.table import Roles, in_table, read_dates, read_roles, read_table
from mmm_jax.cli.validation import read_config
from mmm_jax.cli.words import counted, listed
from mmm_jax.data import checks
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PredictionError
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.fitting.labels import interval

_EXPECTED = ("mean", "median", "lower", "upper")


@dataclass(frozen=True)
class Rows:
    """Rows after the training rows.

    Attributes:
        panel: dates, spend and controls.
        observed: the target, shape (time,) or (geo, time), NaN where it is not known; `None` if the table has no such
            column or nothing in it.
    """

    panel: AnyPanel
    observed: np.ndarray | None


@dataclass(frozen=True)
class Forecast:
    """What the fit expects.

    Attributes:
        table: date, mean, median, lower, upper, and observed where something is; of geos, of their sum.
        total: posterior summary of the sum over all rows.
        scores: of the rows whose target is known.
        prob: probability of the intervals.
        by_geo: the same geo by geo; empty for a fit of one market.
    """

    table: pd.DataFrame
    total: dict[str, float]
    scores: dict[str, float]
    prob: float
    by_geo: dict[str, "Forecast"] = field(default_factory=dict)

    def geo_table(self) -> pd.DataFrame:
        """The rows of all geos, with their names in the first column."""
        parts = [own.table.assign(geo=geo) for geo, own in self.by_geo.items()]
        joined: Any = pd.concat(parts, ignore_index=True)
        return joined[["geo", *(name for name in joined if name != "geo")]]


def read_rows(config_path: Path, data_path: Path, fit: AnyFit, screen: Screen) -> Rows:
    """The rows of the table that come after the training rows.

    Raises:
        ConfigError: the configuration is wrong or does not fit the table.
        PanelError: a rule of the panel is broken.
        PredictionError: no row comes after the training rows, the columns or geos are not the fit's, or a geo lacks a row.
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
        panel = _panel(data_path, new, roles, fit)
        return Rows(panel, _observed(data_path, new, roles, panel))


def predicted(fit: AnyFit, rows: Rows, screen: Screen, *, prob: float, key: int) -> Forecast:
    """Predictions with intervals, and their scores; of geos, by geo and of their sum."""
    with screen.stage("predict", "Predicting ..."):
        predict: Any = fit.predict
        draws = predict(rows.panel, key=key)
        if not isinstance(rows.panel, GeoPanel):
            return _told(draws, rows.observed, prob)
        observed = (
            dict.fromkeys(rows.panel.geos) if rows.observed is None else zip(rows.panel.geos, rows.observed, strict=True)
        )
        by_geo = {geo: _told(draws.sel(geo=geo), own, prob) for geo, own in dict(observed).items()}
        summed = None if rows.observed is None else rows.observed.sum(axis=0)
        return replace(_told(draws.sum("geo"), summed, prob), by_geo=by_geo)


def _told(draws: xr.Dataset, observed: np.ndarray | None, prob: float) -> Forecast:
    """One market's predictions in numbers."""
    band, total = interval(draws["y"], prob), interval(draws["y"].sum("date"), prob)
    columns: dict[str, Any] = {name: band[name].to_numpy().astype(float) for name in _EXPECTED}
    if observed is not None:
        columns["observed"] = observed
    dates = draws["date"].to_numpy().astype("datetime64[D]").astype(str)
    table = pd.DataFrame({"date": dates, **columns})
    return Forecast(table, numbers(total), scored(observed, draws, prob), prob)


def files_of(fit: AnyFit, out: Path) -> list[Path]:
    """Where a forecast is written: the sum of geos to the file that was named, their own rows beside it."""
    return [out, out.with_name(f"{out.stem}_by_geo{out.suffix}")] if isinstance(fit.panel, GeoPanel) else [out]


def write(forecast: Forecast, places: list[Path]) -> None:
    """The tables as CSV files, in the order of `files_of`."""
    forecast.table.to_csv(places[0], index=False)
    if forecast.by_geo:
        forecast.geo_table().to_csv(places[1], index=False)


def say(screen: Screen, forecast: Forecast) -> None:
    """How much is expected in all, and the scores."""
    dates, total = forecast.table["date"], forecast.total
    geos = f" of {counted(len(forecast.by_geo), 'geo')} each" if forecast.by_geo else ""
    screen.say(f"{counted(len(dates), 'row')}{geos} from {dates.iloc[0]} to {dates.iloc[-1]}.")
    band = f"{forecast.prob:.0%} interval {span(total['lower'], total['upper'])}"
    screen.say(f"Expected in all: {amount(total['mean'])} ({band}).")
    if forecast.by_geo:
        observed = {geo: _observed_total(own.table) for geo, own in forecast.by_geo.items()}
        geo_report.show_totals(screen, {geo: own.total for geo, own in forecast.by_geo.items()}, observed, forecast.prob)
    report.show_scores(screen, {"new": forecast.scores}, forecast.prob)


def _observed_total(table: pd.DataFrame) -> float:
    """Sum of what was observed; NaN where a row is not known."""
    return float(table["observed"].to_numpy(float).sum()) if "observed" in table else float("nan")


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
        **({"by_geo": {geo: _numbers(own) for geo, own in forecast.by_geo.items()}} if forecast.by_geo else {}),
    }


def _numbers(forecast: Forecast) -> dict[str, Any]:
    return {"total": forecast.total, "scores": forecast.scores, "predictions": forecast.table.to_dict("records")}


def _panel(path: Path, new: pd.DataFrame, roles: Roles, fit: AnyFit) -> AnyPanel:
    """The new rows, checked together with the training rows: one new row alone would have no frequency."""
    known = fit.panel.to_frame().drop(columns=fit.panel.target_name)
    index = [roles.date] if roles.geo is None else [roles.geo, roles.date]
    renamed = roles.renamed(new)
    if roles.geo is not None:
        renamed[roles.geo] = renamed[roles.geo].astype(str)
        _check_geos(path, renamed, roles, fit)
    table = renamed.set_index(index)[roles.known]
    joined = pd.concat([known.rename_axis(index), table]).reset_index()
    # Heads scale what was fitted, and are known from there.
    with in_table(path):
        panel = Panel.from_frame(
            joined, **{**roles.columns(), "target": None, **({} if roles.geo is None else {"population": None})}
        )
    return panel.take(slice(len(fit.panel), None))


def _check_geos(path: Path, new: pd.DataFrame, roles: Roles, fit: AnyFit) -> None:
    """Raise a `PredictionError` unless there are the fit's geos, each with all of the new rows."""
    column, dates = new[roles.geo], sorted(new[roles.date].unique())
    known = fit.panel.geos if isinstance(fit.panel, GeoPanel) else ()
    unknown = sorted(set(column) - set(known))
    if unknown:
        raise PredictionError(f"{path}: the fit has no geo {unknown[0]!r}; it has {listed(known)}. Leave its rows out.")
    for geo in known:
        lacking = [date for date in dates if date not in set(new.loc[column == geo, roles.date])]
        if lacking:
            raise PredictionError(
                f"{path}: geo {geo!r} lacks {counted(len(lacking), 'row')}, the first of {str(lacking[0])[:10]}. Give every "
                "geo of the fit all of the new rows."
            )


def check_geo_column(roles: Roles, fit: AnyFit) -> None:
    """Raise a `PredictionError` unless the configuration is of geos where the fit is, and only there."""
    if (roles.geo is None) == isinstance(fit.panel, GeoPanel):
        words = (
            "is of geos, but the configuration names no column of them: add `data.geo`"
            if roles.geo is None
            else ("is of one market, but the configuration names geos: take out `data.geo`, or give the fit of these geos")
        )
        raise PredictionError(f"The fit {words}.")


def _check_names(roles: Roles, fit: AnyFit) -> None:
    check_geo_column(roles, fit)
    for what, new, fitted in (
        ("channels", {*roles.channels, *roles.organic}, set(fit.panel.channels)),
        ("organic media", set(roles.organic), set(fit.panel.organic)),
        ("units", {*roles.media.values()}, {u for u in fit.panel.units if u and u not in fit.panel.organic}),
        ("columns of frequency", {*roles.frequency.values()}, {column for column in fit.panel.frequency_columns if column}),
        ("controls", {*roles.controls, *roles.treatments}, set(fit.panel.control_names)),
    ):
        if new != fitted:
            lacking, unknown = (listed(sorted(names), 5) or "none" for names in (fitted - new, new - fitted))
            raise PredictionError(f"The configuration's {what} are not the fit's. Missing: {lacking}; unknown: {unknown}.")


def _observed(path: Path, new: pd.DataFrame, roles: Roles, panel: AnyPanel) -> np.ndarray | None:
    if roles.target is None:
        return None
    with in_table(path):
        values = checks.to_numbers(pd.Series(new[roles.target]), new[roles.date].to_numpy())
    if not np.isfinite(values).any():
        return None
    if not isinstance(panel, GeoPanel):
        return values
    # The rows are in the order of their dates already.
    names = new[roles.geo].astype(str).to_numpy()
    return np.stack([values[names == geo] for geo in panel.geos])
