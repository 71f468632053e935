"""Spend that a plan is held against, over its dates: the reference, scenarios, and what is usual."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.cli.config import Config
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.planning.prices import Price


def read_reference(config: Config, fit: AnyFit, dates: np.ndarray) -> xr.DataArray:
    """Spend over (date, channel) that the configuration gives; else what is usual, scaled to the total if there is one.

    Of geos, spend over (date, channel, geo): every channel's is shared among them as it usually is, as in a plan whose
    geos are not decided apart.
    """
    if "reference" in config.values:
        return read_spend(config, config.values["reference"], fit, dates)
    usual = usual_spend(config, fit)
    total = whole_total(config, len(dates))
    scale = len(dates) if total is None else total / usual.sum()
    return _over_dates(config, dict(zip(fit.panel.channels, usual * scale, strict=True)), fit, dates)


def read_scenarios(config: Config, fit: AnyFit, dates: np.ndarray) -> dict[str, xr.DataArray]:
    """Spend over (date, channel) by the scenario's name."""
    given = config.values.get("scenarios", {})
    return {name: read_spend(config, amounts, fit, dates) for name, amounts in given.items()}


def read_spend(config: Config, given: Mapping[str, Any], fit: AnyFit, dates: np.ndarray) -> xr.DataArray:
    """Spend over (date, channel): numbers in the unit of the total, lists in currency by date."""
    factor = horizon_factor(config, len(dates))
    scaled = {name: amount if isinstance(amount, list) else factor * amount for name, amount in given.items()}
    return _over_dates(config, scaled, fit, dates)


def usual_spend(config: Config, fit: AnyFit) -> np.ndarray:
    """Mean spend per period in the training rows, currency by channel, of all geos together."""
    prices = read_prices(config)
    panel = fit.panel
    means = (_in_all(values) for values in (panel.spend, panel.exposure))
    spend, units = (dict(zip(panel.channels, mean.tolist(), strict=True)) for mean in means)
    return np.array([_at_mean_cost(prices[name], units[name]) if name in prices else spend[name] for name in spend])


def read_prices(config: Config) -> dict[str, Price]:
    """Prices by channel, of those whose media the table holds in units.

    Raises:
        ConfigError: a price that cannot be.
    """
    found = {}
    for name, given in config.values.get("prices", {}).items():
        with config.at("prices", name):
            found[name] = Price(**given)
    return found


def horizon_factor(config: Config, periods: int) -> int:
    """The horizon's currency per unit of the amounts in the configuration."""
    return periods if config.values.get("per") == "period" else 1


def whole_total(config: Config, periods: int) -> float | None:
    """The total over the horizon."""
    total = config.values.get("total")
    if isinstance(total, dict):
        return float(total["amount"]) * (periods if total.get("per") == "period" else 1)
    return None if total is None else float(total) * horizon_factor(config, periods)


def _in_all(values: np.ndarray) -> np.ndarray:
    """Mean over time, the last axis, of the sum over geos where there are any, shape (channel,)."""
    mean = values.mean(axis=-1)
    return mean if mean.ndim == 1 else mean.sum(axis=1)


def _at_mean_cost(price: Price, units: float) -> float:
    return float(replace(price, cost=float(np.mean(price.cost))).spend(np.asarray(units)))


def _over_dates(config: Config, amounts: Mapping[str, Any], fit: AnyFit, dates: np.ndarray) -> xr.DataArray:
    """Numbers are spread by the profile, evenly without one; lists are spend by date already."""
    profile, even = config.values.get("profile", {}), np.ones(len(dates))
    columns = []
    for name in fit.panel.channels:
        shares = np.asarray(profile.get(name, even), float)
        # What is organic has no spend, and need not be named.
        given = np.asarray(0.0 if name in fit.panel.organic else amounts[name], float)
        columns.append(given if given.ndim else given * shares / shares.sum())
    coords = {"date": dates.astype("datetime64[ns]"), "channel": list(fit.panel.channels)}
    table = xr.DataArray(np.stack(columns, axis=1), dims=("date", "channel"), coords=coords)
    return table * _geo_shares(fit.panel) if isinstance(fit.panel, GeoPanel) else table


def _geo_shares(panel: GeoPanel) -> xr.DataArray:
    """Usual share of each geo in a channel's spend, (channel, geo); equal where there was none."""
    usual = panel.spend.mean(axis=2)
    sums = usual.sum(axis=1, keepdims=True)
    shares = np.where(sums > 0, usual / np.where(sums > 0, sums, 1.0), 1.0 / len(panel.geos))
    return xr.DataArray(shares, {"channel": list(panel.channels), "geo": list(panel.geos)}, ("channel", "geo"))
