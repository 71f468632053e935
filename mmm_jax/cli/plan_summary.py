"""A plan and what was asked besides it, as plain values for machines."""

from typing import Any

from mmm_jax.cli.planning import Planned
from mmm_jax.cli.results import PROB, numbers
from mmm_jax.fitting.labels import interval
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.frontier import Frontier


def summarised(planned: Planned) -> dict[str, Any]:
    """The plan, its certificate, the comparison, and the tables that were asked for."""
    return {
        **planned.plan.to_dict(),
        "interval_probability": PROB,
        "bounds_by_channel": _bounds(planned.plan),
        "peaks_by_channel": _peaks(planned.plan),
        "comparison": _comparison(planned),
        **_asked(planned),
    }


def _asked(planned: Planned) -> dict[str, Any]:
    """What the configuration asks for besides the plan."""
    found: dict[str, Any] = {}
    if "goal" in planned.asked:
        found["goal"] = {**planned.asked["goal"], "total": planned.plan.total}
    if planned.scenarios is not None:
        found["scenarios"] = planned.scenarios.to_dict("index")
    if planned.sensitivity is not None:
        found["sensitivity"] = planned.sensitivity.to_dict("index")
    if planned.frontier is not None:
        found["frontier"] = _frontier(planned.frontier)
    return found


def by_channel(spend: Any) -> Any:
    """Spend of each channel over all dates and geos, (channel,)."""
    return spend.sum([name for name in spend.dims if name != "channel"])


def _bounds(plan: Allocation) -> dict[str, list[float]]:
    channels = map(str, plan.lower["channel"].values)
    return {name: [float(end.sel(channel=name)) for end in (plan.lower, plan.upper)] for name in channels}


def _peaks(plan: Allocation) -> dict[str, dict[str, Any]]:
    """Largest amount of one period by channel (and geo), planned and observed, in the units of the fitted table."""
    found, names = plan.extrapolation, ["planned_peak", "observed_peak", "beyond"]

    def told(one: Any) -> dict[str, Any]:
        if "geo" in one.dims:
            return {str(geo): told(one.sel(geo=geo)) for geo in one["geo"].values}
        return {name: one[name].item() for name in names}

    return {str(name): told(found.sel(channel=name)) for name in found["channel"].values}


def _comparison(planned: Planned) -> dict[str, Any]:
    comparison, before = planned.comparison, by_channel(planned.reference)
    return {
        "reference": {str(name): float(before.sel(channel=name)) for name in before["channel"].values},
        "reference_total": float(before.sum()),
        "probability_better": comparison.probability_better,
        "plan_response": numbers(interval(comparison.plan_response, PROB)),
        "reference_response": numbers(interval(comparison.other_response, PROB)),
        "difference": numbers(interval(comparison.difference, PROB)),
        "relative_gain": numbers(interval(comparison.relative_gain, PROB)),
    }


def _frontier(frontier: Frontier) -> list[dict[str, Any]]:
    """One entry per total, with the spend by channel."""
    table = frontier.to_dataset(prob=PROB)
    by_total: Any = table.drop_vars(["spend", "channel"]).to_dataframe().reset_index()
    channels = [str(name) for name in table["channel"].values]
    rows, spend = by_total.to_dict("records"), [dict(zip(channels, row, strict=True)) for row in table["spend"].values]
    return [{**row, "spend_by_channel": by_channel} for row, by_channel in zip(rows, spend, strict=True)]
