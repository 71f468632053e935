"""Decisions made by hand: two channels, four weeks, few draws."""

from typing import Any

import numpy as np
import xarray as xr
from planning.fits import DIAGNOSTICS

import mmm_jax as mj
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import scales_of
from mmm_jax.fitting.geo_fit import fit_of
from mmm_jax.model.build import parameter_sizes
from mmm_jax.model.pooling import parameter_dims

CHANNELS = ("TV", "Radio")
DATES = np.array(["2024-01-07", "2024-01-14", "2024-01-21", "2024-01-28"])
MODEL = "spring model"


def spend(tv: float = 10.0, radio: float = 5.0) -> xr.DataArray:
    """The same on every date."""
    values = np.tile([tv, radio], (len(DATES), 1))
    return xr.DataArray(values, dims=("date", "channel"), coords={"date": DATES, "channel": list(CHANNELS)})


def draws(tv: float = 40.0, radio: float = 20.0, sd: float = 4.0, count: int = 50, seed: int = 0) -> xr.DataArray:
    """Incremental outcome by channel: normal draws whose means are exact."""
    noise = np.random.default_rng(seed).standard_normal((count, 2))
    values = np.array([tv, radio]) + sd * (noise - noise.mean(axis=0))
    return xr.DataArray(values, dims=("draw", "channel"), coords={"channel": list(CHANNELS)})


def propose(ledger: mj.Ledger, name: str = "q1", **changes: Any) -> str:
    """A proposal with a prediction."""
    return ledger.propose(**{"plan": spend(), "name": name, "draws": draws(), "model": MODEL, "currency": "EUR", **changes})


def deliver(ledger: mj.Ledger, name: str = "q1", *, baseline: Any = None, **changes: Any) -> str:
    """A decision whose spend was delivered."""
    propose(ledger, name, baseline=baseline)
    ledger.approve(name)
    ledger.deliver(name, **{"spend": spend(9.0, 6.0), "draws": draws(36.0, 24.0), "model": MODEL, **changes})
    return name


def measure(ledger: mj.Ledger, name: str = "q1", value: float = 55.0, se: float = 3.0, **changes: Any) -> int:
    """A decision with an outcome; returns the outcome's number."""
    deliver(ledger, name)
    return ledger.outcome(name, value, se, **{"method": "geo test", "independent": True, **changes})


def fit(panel: AnyPanel, spec: mj.ModelSpec, seed: int = 0) -> Any:
    """A fit of which nothing was computed: its draws, 2 chains of 5, lie between 0.2 and 0.6."""
    rng, sizes = np.random.default_rng(seed), parameter_sizes(spec, panel)
    dims = parameter_dims(spec, panel)
    draws = {name: rng.uniform(0.2, 0.6, (2, 5, *(sizes[dim] for dim in own))) for name, own in dims.items()}
    scales = scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    return fit_of(spec, panel, scales, draws, {"diverging": np.zeros((2, 5), bool)}, DIAGNOSTICS, "float64")
