"""The best frequency of channels that come as reach and frequency, as plain values and on the screen."""

from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.cli.screen import Screen, amount, span
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit

_AT_END = {"lowest": "once each", "highest": "the largest frequency observed, and perhaps more"}
"""An end of the grid, in words."""


def best_frequency(fit: AnyFit, prob: float) -> xr.Dataset | None:
    """`fit.optimal_frequency`, of all geos together if there are several; `None` where no channel has a frequency."""
    if not any(fit.panel.frequency_columns):
        return None
    return fit.optimal_frequency(prob=prob, by_geo=False) if isinstance(fit, GeoFit) else fit.optimal_frequency(prob=prob)


def frequency_records(found: xr.Dataset) -> dict[str, dict[str, Any]]:
    """By channel, for `summary.json`; without spend, there is no return."""
    records = {}
    for name in found["channel"].values:
        one = found.sel(channel=name)
        numbers = {key: float(one[key]) for key in ("current_frequency", "optimal_frequency", "lower", "upper")}
        returns = {key: float(one[key].mean()) for key in ("roas_current", "roas_optimal")}
        known = {key: value for key, value in returns.items() if np.isfinite(value)}
        records[str(name)] = {**numbers, "at_end": str(one["at_end"].values), **known}
    return records


def show_frequency(screen: Screen, found: xr.Dataset, prob: float) -> None:
    """One row per channel: how often people see it, how often is best, and what that does to the return."""
    rows = [
        [
            name,
            amount(one["current_frequency"]),
            amount(one["optimal_frequency"]) + ("*" if one["at_end"] else ""),
            span(one["lower"], one["upper"]),
            amount(one.get("roas_current", float("nan"))),
            amount(one.get("roas_optimal", float("nan"))),
        ]
        for name, one in frequency_records(found).items()
    ]
    columns = ["Channel", "Now", "Best", f"{prob:.0%} interval", "ROAS now", "ROAS at best"]
    screen.table("Average frequency, the same impressions spread over more or fewer people", columns, rows)
    ends = sorted({str(end) for end in found["at_end"].values if end})
    if ends:
        screen.say(f"* An end of what was looked at: {' or '.join(_AT_END[end] for end in ends)}.")
