"""A plan's configuration as a problem, its solution, and the comparison with what would be done without it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.cli import pictures
from mmm_jax.cli.config import Config
from mmm_jax.cli.results import PROB, numbers
from mmm_jax.cli.schema import plan_schema
from mmm_jax.cli.screen import Screen, amount, percent
from mmm_jax.cli.validation import read_config
from mmm_jax.cli.words import counted, did_you_mean, listed
from mmm_jax.data.calendar import continues
from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.fitting.labels import interval
from mmm_jax.fitting.posterior import Fit
from mmm_jax.planning.allocation import Allocation, Certificate, Comparison
from mmm_jax.planning.horizon import horizon_panel
from mmm_jax.planning.optimize import optimize_budget

LOCAL_OPTIMA = 1e-6
"""Relative spread of the starts' ends above which there are several local optima."""


@dataclass(frozen=True)
class Problem:
    """What is asked for.

    Attributes:
        config: the file that it comes from.
        dates: the periods that are planned.
        bounds: lowest and highest spend by channel in the unit of the total; `None` for any.
        reference: currency over the horizon by channel.
    """

    config: Config
    dates: np.ndarray
    bounds: dict[str, tuple[float, float]] | None
    reference: dict[str, float]


@dataclass(frozen=True)
class Planned:
    """The plan beside its reference, both as spend over (date, channel)."""

    plan: Allocation
    reference: xr.DataArray
    comparison: Comparison


def read_problem(path: Path, fit: Fit) -> Problem:
    """The planning problem that a configuration states.

    Raises:
        ConfigError: the file is wrong, names a channel that the fit does not have, or dates that do not follow it.
    """
    config = read_config(path, plan_schema())
    if {"bounds", "bounds_around_mean"} <= set(config.values):
        raise config.error("give either bounds or bounds_around_mean, not both.", "bounds_around_mean")
    for section in ("bounds", "reference"):
        _check_channels(config, fit, section)
    dates = _dates(config, fit)
    return Problem(config, dates, _bounds(config, fit, len(dates)), _reference(config, fit, len(dates)))


def solve(problem: Problem, fit: Fit, screen: Screen) -> Planned:
    """The best plan, and how it compares.

    Raises:
        ConfigError: total and bounds exclude each other.
    """
    config, values = problem.config, problem.config.values
    options = {name: values[name] for name in ("per", "num_starts", "key") if name in values}
    box = "bounds" if "bounds" in values else "bounds_around_mean"
    with screen.stage("plan", "Planning ..."), config.at(box if box in values else "total", errors=InfeasibleError):
        plan = optimize_budget(fit, horizon=problem.dates, total=values["total"], bounds=problem.bounds, **options)
    with screen.stage("compare", "Comparing ..."):
        reference = _spread(problem.reference, plan)
        return Planned(plan, reference, plan.compare(reference))


def save_pictures(planned: Planned, folder: Path | None, screen: Screen, **names: str) -> list[Path]:
    """Pictures of the plan, if a folder is given for them.

    Args:
        planned: the plan.
        folder: where they go.
        screen: counts the seconds.
        names: `target` and `reference_name`, as the pictures call them.
    """
    if folder is None:
        return []
    with screen.stage("plots", "Drawing ..."):
        return pictures.save_plan_pictures(planned.plan, planned.reference, planned.comparison, folder, **names)


def summarised(planned: Planned) -> dict[str, Any]:
    """The plan, its certificate and the comparison, for machines."""
    comparison, before = planned.comparison, planned.reference.sum("date")
    return {
        **planned.plan.to_dict(),
        "interval_probability": PROB,
        "bounds_by_channel": {
            str(name): [float(planned.plan.lower.sel(channel=name)), float(planned.plan.upper.sel(channel=name))]
            for name in before["channel"].values
        },
        "comparison": {
            "reference": {str(name): float(before.sel(channel=name)) for name in before["channel"].values},
            "reference_total": float(before.sum()),
            "probability_better": comparison.probability_better,
            "plan_response": numbers(interval(comparison.plan_response, PROB)),
            "reference_response": numbers(interval(comparison.other_response, PROB)),
            "difference": numbers(interval(comparison.difference, PROB)),
            "relative_gain": numbers(interval(comparison.relative_gain, PROB)),
        },
    }


def say(screen: Screen, planned: Planned, reference_name: str = "Reference") -> None:
    """The plan by channel, what it gains, and why it is the best."""
    dates = planned.plan.spend["date"].values.astype("datetime64[D]")
    title = f"Plan of {amount(planned.plan.total)} over {counted(len(dates), 'period')} from {dates[0]} to {dates[-1]}"
    columns = ["Channel", reference_name, "Plan", "Change", "State", "Marginal return"]
    screen.table(title, columns, _rows(planned))
    _say_gain(screen, planned, reference_name)
    _say_certificate(screen, planned.plan.certificate)


def _rows(planned: Planned) -> list[list[str]]:
    spend, before = planned.plan.spend.sum("date"), planned.reference.sum("date")
    certificate, rows = planned.plan.certificate, []
    for name in spend["channel"].values:
        new, old = float(spend.sel(channel=name)), float(before.sel(channel=name))
        change = percent(new / old - 1, sign=True) if old else "-"
        state, marginal = certificate.state.sel(channel=name).item(), float(certificate.marginal_return.sel(channel=name))
        rows.append([str(name), amount(old), amount(new), change, state.removesuffix(" bound"), amount(marginal)])
    return rows


def _say_gain(screen: Screen, planned: Planned, reference_name: str) -> None:
    comparison, before = planned.comparison, float(planned.reference.sum())
    gain = interval(comparison.relative_gain, PROB)
    low, high = (percent(float(gain[end]), sign=True) for end in ("lower", "upper"))
    screen.say()
    screen.say(
        f"Expected response {amount(float(comparison.plan_response.mean()))}, {percent(float(gain['mean']), sign=True)} "
        f"against the {reference_name.lower()} ({PROB:.0%} interval {low} to {high})."
    )
    screen.say(f"Probability that the plan is better: {comparison.probability_better:.3f}.")
    if abs(before / planned.plan.total - 1) > 1e-3:
        screen.notice(f"the reference spends {amount(before)}, not the plan's total: part of the gain is due to that.")


def _say_certificate(screen: Screen, certificate: Certificate) -> None:
    starts, spread = len(certificate.start_values), certificate.start_spread
    if not certificate.optimal:
        screen.notice(f"NO OPTIMUM: {certificate.outcome}. {certificate.outcome.advice}")
        return
    many = (
        f"all {starts} starts ended there" if spread <= LOCAL_OPTIMA else f"the best of several that {starts} starts found"
    )
    residual = f"{certificate.kkt_residual:.0e}" if certificate.kkt_residual else "0"
    screen.say(
        f"Optimal: {many}, and the marginal returns of the channels between their bounds agree (KKT residual "
        f"{residual}). One more unit of spend would bring {amount(certificate.shadow_price)}.",
        style="green",
    )


def _dates(config: Config, fit: Fit) -> np.ndarray:
    if not fit.spec.likelihood.additive and fit.panel.control_names:
        message = (
            "with a log link, a plan depends on the controls of its dates; plan in Python with mmm_jax.optimize_budget."
        )
        raise config.error(message, "horizon")
    with config.at("horizon", errors=PlanError):
        dates = horizon_panel(fit, config.values["horizon"]).dates
    if not continues(fit.panel.dates, dates, fit.panel.frequency):
        message = f"the dates must begin right after the training rows, which end on {fit.panel.dates[-1]}; got {dates[0]}."
        raise config.error(message, "horizon")
    return dates


def _check_channels(config: Config, fit: Fit, section: str) -> None:
    known, given = fit.panel.channels, config.values.get(section, {})
    for name in given:
        if name not in known:
            message = f"the fit has no channel {name!r}{did_you_mean(name, known) or '.'} It has {listed(known)}."
            raise config.error(message, section, name)
        if section == "bounds" and given[name][0] > given[name][1]:
            raise config.error("the first bound is the lowest spend, it cannot be above the second.", section, name)
    lacking = [name for name in known if name not in given]
    if section == "reference" and given and lacking:
        raise config.error(f"the channels {listed(lacking)} are missing; name every one, 0 for none.", section)


def _bounds(config: Config, fit: Fit, periods: int) -> dict[str, tuple[float, float]] | None:
    """Boxes in the unit of the total."""
    values = config.values
    if "bounds_around_mean" not in values:
        return {name: (low, high) for name, (low, high) in values["bounds"].items()} if "bounds" in values else None
    part = values["bounds_around_mean"]
    mean = fit.panel.spend.mean(axis=1) * (1 if values.get("per") == "period" else periods)
    low, high = max(0.0, 1 - part) * mean, (1 + part) * mean
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(fit.panel.channels)}


def _reference(config: Config, fit: Fit, periods: int) -> dict[str, float]:
    """Currency over the horizon by channel."""
    values, factor = config.values, periods if config.values.get("per") == "period" else 1
    if "reference" in values:
        return {name: factor * float(spend) for name, spend in values["reference"].items()}
    mean = fit.panel.spend.mean(axis=1)
    scaled = mean / mean.sum() * values["total"] * factor
    return dict(zip(fit.panel.channels, scaled.tolist(), strict=True))


def _spread(reference: dict[str, float], plan: Allocation) -> xr.DataArray:
    """The reference spent evenly over the plan's dates."""
    dates, channels = plan.spend["date"], plan.spend["channel"]
    per_date = np.array([reference[str(name)] for name in channels.values]) / len(dates)
    return xr.DataArray(
        np.tile(per_date, (len(dates), 1)), dims=("date", "channel"), coords={"date": dates, "channel": channels}
    )
