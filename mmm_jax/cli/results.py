"""What a fit says, as plain values for JSON and for the tables on the screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.analysis.scores import score_table
from mmm_jax.cli.frequency_report import best_frequency, frequency_records
from mmm_jax.cli.screen import Screen
from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.fitting.geo_totals import summed_over_geos
from mmm_jax.fitting.labels import interval

PROB = 0.9
"""Probability of the intervals in summaries and tables."""

SUMMARY_VERSION = 1

Intervals = dict[str, dict[str, float]]
"""Mean, sd, lower, median and upper by channel."""


Scores = dict[str, dict[str, float]]
"""Scores by name, of each set of rows."""


@dataclass(frozen=True)
class ByGeo:
    """What a fit of geos says of each of them.

    Attributes:
        roas: return on spend, (chain, draw, channel, geo).
        shares: of each channel in the media contribution, (chain, draw, channel, geo).
        scores: by geo.
    """

    roas: xr.DataArray
    shares: xr.DataArray
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Results:
    """A fit and what was asked of it; of geos, all of them together.

    Attributes:
        fit: the fit.
        test: rows held out.
        predicted: predictive distribution of `train` and, with rows held out, of `test`; of geos by geo.
        roas: return on spend, (chain, draw, channel).
        shares: of each channel in the media contribution, (chain, draw, channel).
        scores: of each entry of `predicted`.
        by_geo: the same geo by geo; `None` for a fit of one market.
        experiments: by `learned` and `held_out`, what the fit says of them beside what they measured (pandas).
        frequency: the best frequency of channels that come as reach and frequency; `None` if there is none.
    """

    fit: AnyFit
    test: AnyPanel | None
    predicted: dict[str, xr.Dataset]
    roas: xr.DataArray
    shares: xr.DataArray
    scores: Scores
    by_geo: ByGeo | None
    experiments: dict[str, Any]
    frequency: xr.Dataset | None = None

    @property
    def returns(self) -> Intervals:
        """Posterior summary of the return of every channel with spend: what is organic has none."""
        return by_channel(self.roas.drop_sel(channel=list(self.fit.panel.organic)))


def examine(fit: AnyFit, test: AnyPanel | None, screen: Screen, held_out: LiftTests | None = None) -> Results:
    """Predictions with their scores, ROAS and contribution shares, and experiments beside what they measured."""
    panels = {"train": fit.panel, **({} if test is None else {"test": test})}
    with screen.stage("predict", "Predicting ..."):
        draws: Any = fit.predict
        predicted = {name: draws(None if name == "train" else panel) for name, panel in panels.items()}
        scores = {name: scores_of(panel, predicted[name]) for name, panel in panels.items()}
    with screen.stage("contributions", "Summing up contributions ..."):
        known = {"learned": fit.experiments, "held_out": held_out}
        experiments = {name: fit.predict_experiments(rows, prob=PROB) for name, rows in known.items() if rows}
        if not isinstance(fit, GeoFit):
            returns, shares, by_geo = fit.roas(), fit.contribution_shares(), None
        else:
            returns, shares = fit.roas(by_geo=False), fit.contribution_shares(by_geo=False)
            by_geo = _by_geo(fit, panels, predicted)
        frequency = best_frequency(fit, PROB)
        return Results(fit, test, predicted, returns, shares, scores, by_geo, experiments, frequency)


def scores_of(panel: AnyPanel, predicted: xr.Dataset, prob: float = PROB) -> dict[str, float]:
    """Scores of one market, or of the sum of the geos."""
    if not isinstance(panel, GeoPanel):
        return scored(panel.target, predicted, prob)
    return scored(panel.known_total().target, summed_over_geos(predicted, panel), prob)


def _by_geo(fit: GeoFit, panels: dict[str, AnyPanel], predicted: dict[str, xr.Dataset]) -> ByGeo:
    of_geo = {
        geo: {name: scored(panel[geo].target, predicted[name].sel(geo=geo)) for name, panel in panels.items()}  # pyright: ignore
        for geo in fit.panel.geos
    }
    return ByGeo(fit.roas(), fit.contribution_shares(), of_geo)


def scored(observed: np.ndarray | None, predicted: xr.Dataset, prob: float = PROB) -> dict[str, float]:
    """Scores against the observations that are known; none if there are fewer than two different ones."""
    if observed is None:
        return {}
    known = np.flatnonzero(np.isfinite(observed))
    if len(known) == 0 or np.ptp(observed[known]) == 0:
        return {}
    return score_table(observed[known], predicted.isel(date=known), prob)


def summarised(results: Results, screen: Screen) -> dict[str, Any]:
    """The content of `summary.json`."""
    fit = results.fit
    return {
        "summary_version": SUMMARY_VERSION,
        "mmm_jax_version": version("mmm-jax"),
        "data": {**described(fit.panel), "test_rows": 0 if results.test is None else len(results.test)},
        "spec": fit.spec.to_dict(),
        "spec_hash": fit.spec.content_hash(),
        "precision": fit.precision,
        "diagnostics": fit.diagnostics.to_dict(),
        "interval_probability": PROB,
        "roas": results.returns,
        "contribution_shares": by_channel(results.shares),
        "scores": results.scores,
        **_summarised_geos(results),
        **({} if results.frequency is None else {"optimal_frequency": frequency_records(results.frequency)}),
        **({"experiments": experiment_records(results.experiments)} if results.experiments else {}),
        "wall_seconds": {**screen.seconds, "total": sum(screen.seconds.values())},
    }


def _summarised_geos(results: Results) -> dict[str, Any]:
    """By geo, under the same names; nothing for a fit of one market."""
    found = results.by_geo
    if found is None:
        return {}
    paid = found.roas.drop_sel(channel=list(results.fit.panel.organic))
    geos = [str(geo) for geo in found.roas["geo"].values]
    return {
        "roas_by_geo": {geo: by_channel(paid.sel(geo=geo)) for geo in geos},
        "contribution_shares_by_geo": {geo: by_channel(found.shares.sel(geo=geo)) for geo in geos},
        "scores_by_geo": found.scores,
    }


def experiment_records(tables: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Tables of `predict_experiments` as plain values, one entry per experiment."""
    return {name: table.to_dict("records") for name, table in tables.items()}


def described(panel: AnyPanel) -> dict[str, Any]:
    """Which rows and columns were fitted."""
    geos = {"geos": list(panel.geos)} if isinstance(panel, GeoPanel) else {}
    return {
        **geos,
        "rows": len(panel),
        "first_date": str(panel.dates[0]),
        "last_date": str(panel.dates[-1]),
        "frequency": panel.frequency.value,
        "target": panel.target_name,
        "channels": list(panel.channels),
        "controls": list(panel.control_names),
        "units": {name: unit for name, unit in zip(panel.channels, panel.units, strict=bool(panel.units)) if unit},
        "organic": list(panel.organic),
        **_frequency(panel),
        "treatments": dict(panel.treatments),
        "fingerprint": panel.fingerprint(),
    }


def _frequency(panel: AnyPanel) -> dict[str, Any]:
    """Columns of the average frequency by channel, where there are any."""
    columns = {name: column for name, column in zip(panel.channels, panel.frequency_columns, strict=False) if column}
    return {"average_frequency": columns} if columns else {}


def by_channel(draws: xr.DataArray, prob: float = PROB) -> Intervals:
    """Posterior summary of each channel."""
    # Of a channel without spend, there is no return: quantiles of nothing but NaN would warn.
    table = interval(draws.fillna(0.0), prob).where(draws.notnull().all(("chain", "draw")))
    return {str(name): numbers(table.sel(channel=name)) for name in table["channel"].values}


def numbers(table: xr.Dataset | Mapping[str, Any]) -> dict[str, float]:
    """The entries of a one-number interval table."""
    return {name: float(table[name]) for name in ("mean", "sd", "lower", "median", "upper")}
