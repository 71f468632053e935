"""The pictures that `fit`, `optimize`, `validate`, `monitor` and `respond` write, one PNG file per question."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from mmm_jax.cli.results import Results
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.monitoring.drift import Drift
from mmm_jax.planning.allocation import Allocation, Comparison
from mmm_jax.planning.curves import plan_curves
from mmm_jax.planning.frontier import Frontier
from mmm_jax.validation.cross_validation import CrossValidation

Picture = Callable[[], Any]
"""Draws one picture and returns its axes."""


def save_fit_pictures(results: Results, folder: Path, truth: Mapping[str, float] | None = None) -> list[Path]:
    """Data, predictions, contributions, returns (beside the true ones, if they are known) and curves."""
    plots = _plots()
    fit, train, predicted = results.fit, results.fit.panel, results.predicted["train"]
    target = train.target_name
    pictures: dict[str, Picture] = {
        "target": lambda: plots.plot_target(train),
        "spend_shares": lambda: plots.plot_spend_shares(train),
        "spend_against_target": lambda: plots.plot_spend_against_target(train),
        "predictive": lambda: plots.plot_predictive(predicted, train),
        "residuals": lambda: plots.plot_residuals(predicted, train),
        "contributions": lambda: plots.plot_contributions(fit.contributions(), train),
        "waterfall": lambda: plots.plot_waterfall(fit.waterfall(), groups=_control_group(results), target=target),
        "contribution_shares": lambda: plots.plot_contribution_shares(results.shares),
        "roas": lambda: plots.plot_roas(results.roas, truth=truth, target=target),
        "share_against_roas": lambda: plots.plot_share_against_roas(results.shares, results.roas, target=target),
        "response_curves": lambda: plots.plot_response_curves(_response_curves(fit), target=target),
        "prior_posterior": lambda: plots.plot_prior_posterior(_common(fit)),
    }
    if (best := results.frequency) is not None:
        pictures["optimal_frequency"] = lambda: plots.plot_optimal_frequency(best, target=target)
    if results.test is not None:
        held_out, test = results.test, results.predicted["test"]
        pictures["forecast"] = lambda: plots.plot_forecast(predicted, test, train, held_out)
    for name, table in results.experiments.items():
        pictures[f"experiments_{name}"] = lambda table=table: plots.plot_experiments(table, target=target)
    return _save({**pictures, **_own_pictures(plots, results)}, folder)


def _own_pictures(plots: Any, results: Results) -> dict[str, Picture]:
    """What only a fit of one market has, or only one of geos."""
    fit, train = results.fit, results.fit.panel
    if not isinstance(fit, GeoFit) or results.by_geo is None:
        return {"saturation_curves": lambda: _saturation(plots, fit)}
    roas = results.by_geo.roas
    return {
        "geo_predictive": lambda: plots.plot_geo_predictive(results.predicted["train"], train),
        "geo_contributions": lambda: plots.plot_geo_contributions(fit.contribution_totals()),
        "geo_roas": lambda: plots.plot_geo_roas(roas, together=results.roas, target=train.target_name),
    }


def save_ledger_picture(ledger: Any, folder: Path) -> list[Path]:
    """Predictions beside outcomes, and the bias by channel."""
    plots = _plots()
    return _save({"ledger": lambda: plots.plot_ledger(ledger)}, folder)


def save_drift_picture(drift: Drift, target: str, folder: Path) -> list[Path]:
    """Evidence, rows, scores and causes."""
    plots = _plots()
    return _save({"drift": lambda: plots.plot_drift(drift, target=target)}, folder)


def save_plan_pictures(
    plan: Allocation,
    reference: xr.DataArray,
    comparison: Comparison,
    folder: Path,
    *,
    frontier: Frontier | None = None,
    by_date: bool | None = None,
    target: str = "target",
    reference_name: str = "Reference",
) -> list[Path]:
    """The plan beside its reference, what it should gain, and the curves it stands on.

    Besides, if there is a frontier, what other totals would bring; and the plan by date, if that is asked for or, where
    nothing is said, if its spend is not the same on all dates.
    """
    plots, named = _plots(), {"reference_name": reference_name}
    pictures: dict[str, Picture] = {
        "plan": lambda: plots.plot_plan(plan, reference, **named),
        "improvement": lambda: plots.plot_improvement(comparison, target=target),
        "plan_curves": lambda: plots.plot_plan_curves(
            plan_curves(plan, reference=reference), plan, reference, target=target, **named
        ),
    }
    if _changes_by_date(plan) if by_date is None else by_date:
        pictures["plan_by_date"] = lambda: plots.plot_plan_by_date(plan, reference, **named)
    if frontier is not None:
        pictures["frontier"] = lambda: plots.plot_frontier(frontier, plan=plan, target=target)
    return _save(pictures, folder)


def save_validation_pictures(cv: CrossValidation, folder: Path) -> list[Path]:
    """Forecasts of the folds, their errors by horizon, and returns fold by fold."""
    plots, target = _plots(), cv.panel.target_name
    pictures: dict[str, Picture] = {
        "folds": lambda: plots.plot_folds(cv),
        "scores_by_horizon": lambda: plots.plot_scores_by_horizon(cv),
        "roas_by_fold": lambda: plots.plot_stability(cv.roas(), y=f"Return on spend ({target} per currency)"),
    }
    return _save(pictures, folder)


def save_response_pictures(odds: Any, verdict: Any, folder: Path, prob: float) -> list[Path]:
    """Odds ratios; and on customers who were kept for it, how well the model ranks, calibrates and finds uplift."""
    plots = _plots()
    pictures: dict[str, Picture] = {"odds_ratios": lambda: plots.plot_odds_ratios(odds, prob=prob)}
    if verdict is not None:
        y, p = verdict.y, verdict.p
        pictures |= {
            "roc": lambda: plots.plot_roc(y, p, prob=prob),
            "precision_recall": lambda: plots.plot_precision_recall(y, p, prob=prob),
            "calibration": lambda: plots.plot_calibration_curve(y, p, prob=prob),
            "gain": lambda: plots.plot_gain(y, p, prob=prob),
        }
    if verdict is not None and verdict.curve is not None:
        pictures["uplift"] = lambda: plots.plot_uplift_curve(verdict.curve)
    return _save(pictures, folder)


def save_audience_picture(audience: Any, folder: Path) -> list[Path]:
    """Profit by number of contacts."""
    plots = _plots()
    return _save({"audience": lambda: plots.plot_audience(audience)}, folder)


def _changes_by_date(plan: Allocation) -> bool:
    """Whether some channel's spend differs between dates by more than rounding."""
    spread = plan.spend.max("date") - plan.spend.min("date")
    return bool((spread > 1e-6 * plan.spend.max("date")).any())


def _plots() -> Any:
    # No window is ever opened: the choice must stand before matplotlib is imported.
    os.environ.setdefault("MPLBACKEND", "Agg")
    from mmm_jax import plots

    return plots


def _save(pictures: dict[str, Picture], folder: Path) -> list[Path]:
    from mmm_jax.plots.save import save_picture

    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.png" for name in pictures}
    for name, draw in pictures.items():
        save_picture(draw(), paths[name])
    return list(paths.values())


def _control_group(results: Results) -> dict[str, list[str]]:
    panel = results.fit.panel
    controls = [name for name in panel.control_names if name not in dict(panel.treatments)]
    return {"Controls": controls} if controls else {}


def _common(fit: AnyFit) -> Any:
    """Prior and posterior of the parameters, but for those of single geos, which would be hundreds."""
    table, panel = fit.prior_to_posterior(), fit.panel
    starts = [f"[{geo}{end}" for geo in panel.geos for end in ("]", ",")] if isinstance(panel, GeoPanel) else []
    return table.loc[[not any(start in name for start in starts) for name in table.index]]


def _response_curves(fit: AnyFit) -> xr.Dataset:
    return fit.response_curves(by_geo=False) if isinstance(fit, GeoFit) else fit.response_curves()


def _saturation(plots: Any, fit: AnyFit) -> Any:
    return plots.plot_saturation_curves(
        fit.saturation_curves(),
        log_link=not fit.spec.likelihood.additive,
        period=fit.panel.frequency.period,
        target=fit.panel.target_name,
    )
