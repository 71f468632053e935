"""What a fit says, as plain values for JSON and for the tables on the screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.analysis.scores import score_table
from mmm_jax.cli.screen import Screen
from mmm_jax.data.panel import Panel
from mmm_jax.fitting.labels import interval
from mmm_jax.fitting.posterior import Fit

PROB = 0.9
"""Probability of the intervals in summaries and tables."""

SUMMARY_VERSION = 1

Intervals = dict[str, dict[str, float]]
"""Mean, sd, lower, median and upper by channel."""


@dataclass(frozen=True)
class Results:
    """A fit and what was asked of it.

    Attributes:
        fit: the fit.
        test: rows held out.
        predicted: predictive distribution of `train` and, with rows held out, of `test`.
        roas: return on spend, (chain, draw, channel).
        shares: of each channel in the media contribution, (chain, draw, channel).
        scores: of each entry of `predicted`.
    """

    fit: Fit
    test: Panel | None
    predicted: dict[str, xr.Dataset]
    roas: xr.DataArray
    shares: xr.DataArray
    scores: dict[str, dict[str, float]]

    @property
    def returns(self) -> Intervals:
        """Posterior summary of the return of every channel with spend: what is organic has none."""
        return by_channel(self.roas.drop_sel(channel=list(self.fit.panel.organic)))


def examine(fit: Fit, test: Panel | None, screen: Screen) -> Results:
    """Predictions with their scores, ROAS and contribution shares."""
    panels = {"train": fit.panel, **({} if test is None else {"test": test})}
    with screen.stage("predict", "Predicting ..."):
        predicted = {name: fit.predict(None if name == "train" else panel) for name, panel in panels.items()}
        scores = {name: scored(panel.target, predicted[name]) for name, panel in panels.items()}
    with screen.stage("contributions", "Summing up contributions ..."):
        return Results(fit, test, predicted, fit.roas(), fit.contribution_shares(), scores)


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
        "wall_seconds": {**screen.seconds, "total": sum(screen.seconds.values())},
    }


def described(panel: Panel) -> dict[str, Any]:
    """Which rows and columns were fitted."""
    return {
        "rows": len(panel),
        "first_date": str(panel.dates[0]),
        "last_date": str(panel.dates[-1]),
        "frequency": panel.frequency.value,
        "target": panel.target_name,
        "channels": list(panel.channels),
        "controls": list(panel.control_names),
        "units": {name: unit for name, unit in zip(panel.channels, panel.units, strict=bool(panel.units)) if unit},
        "organic": list(panel.organic),
        "treatments": dict(panel.treatments),
        "fingerprint": panel.fingerprint(),
    }


def by_channel(draws: xr.DataArray, prob: float = PROB) -> Intervals:
    """Posterior summary of each channel."""
    table = interval(draws, prob)
    return {str(name): numbers(table.sel(channel=name)) for name in table["channel"].values}


def numbers(table: xr.Dataset | Mapping[str, Any]) -> dict[str, float]:
    """The entries of a one-number interval table."""
    return {name: float(table[name]) for name in ("mean", "sd", "lower", "median", "upper")}
