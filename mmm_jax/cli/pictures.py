"""The pictures that `fit`, `optimize` and `validate` write, one PNG file per question."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from mmm_jax.cli.results import Results
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
        "response_curves": lambda: plots.plot_response_curves(fit.response_curves(), target=target),
        "saturation_curves": lambda: _saturation(plots, results),
        "prior_posterior": lambda: plots.plot_prior_posterior(fit.prior_to_posterior()),
    }
    if results.test is not None:
        held_out, test = results.test, results.predicted["test"]
        pictures["forecast"] = lambda: plots.plot_forecast(predicted, test, train, held_out)
    return _save(pictures, folder)


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


def _saturation(plots: Any, results: Results) -> Any:
    fit = results.fit
    return plots.plot_saturation_curves(
        fit.saturation_curves(),
        log_link=not fit.spec.likelihood.additive,
        period=fit.panel.frequency.period,
        target=fit.panel.target_name,
    )
