"""A small market with every kind of media and treatments, and fits of it whose draws are the prior's."""

from functools import cache

import jax
import numpy as np
import pandas as pd
from planning.fits import DIAGNOSTICS, SPECS

import mmm_jax as mj
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.fitting.geo_fit import GeoFit, fit_of
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model

WEEKS, HORIZON = 60, 6
ROLES = {"date": "week", "target": "sales", "channels": ["TV", "Radio"]}
KINDS = {
    "media": {"TV": "tv_grp"},
    "organic": ["newsletter"],
    "controls": ["rain"],
    "treatments": {"price": "max", "promotion": 0.25},
}


def table(weeks: int = WEEKS, seed: int = 0) -> pd.DataFrame:
    """Weekly rows: `tv_grp` has a cost of its own every week, the newsletter costs nothing."""
    rng = np.random.default_rng(seed)
    numbers = {name: rng.gamma(2.0, 50.0, weeks) for name in ("TV", "Radio", "newsletter")}
    numbers |= {"tv_grp": numbers["TV"] / rng.uniform(5.0, 8.0, weeks), "rain": rng.normal(0.0, 1.0, weeks)}
    numbers |= {"price": rng.uniform(2.0, 3.0, weeks), "promotion": rng.integers(0, 2, weeks).astype(float)}
    return pd.DataFrame({"week": pd.date_range("2022-01-03", periods=weeks, freq="7D"), "sales": 900.0, **numbers}).assign(
        sales=lambda rows: 500.0 + rows["TV"] + 3.0 * rows["newsletter"] + rng.normal(0.0, 9.0, weeks)
    )


def geo_table(weeks: int = WEEKS) -> pd.DataFrame:
    """Two geos, the second one lacking its first weeks, and with other costs of a unit."""
    south = table(weeks, seed=1).assign(geo="south").iloc[5:]
    return pd.concat([table(weeks).assign(geo="north"), south.assign(tv_grp=south["tv_grp"] / 2)], ignore_index=True)


def panel(frame: pd.DataFrame | None = None, **changed) -> mj.Panel:
    """The market's training rows, with every kind unless changed."""
    return mj.Panel.from_frame(table() if frame is None else frame, **{**ROLES, **KINDS, **changed})


@cache
def fit(link: str = "logistic") -> mj.Fit:
    """A fit of `panel()`."""
    found = from_prior(panel(), SPECS[link])
    assert isinstance(found, mj.Fit)
    return found


def from_prior(rows: AnyPanel, spec: mj.ModelSpec) -> mj.Fit | GeoFit:
    """A fit whose draws are the prior's, 2 chains of 5."""
    scales = mj.data.geo_scaling.scales_of(rows, scale=spec.scale, standardize_controls=spec.standardize_controls)
    with precision_scope("float64"):
        model = build_any_model(spec, rows, scales)
        # Not jitted: JAX's samplers are compiled once each, and then serve all specs.
        sampled = jax.vmap(model.sample_prior)(jax.random.split(jax.random.key(0), 10))
    draws = {name: np.asarray(values).reshape(2, 5, *values.shape[1:]) for name, values in sampled.items()}
    return fit_of(spec, rows, scales, draws, {"diverging": np.zeros((2, 5), bool)}, DIAGNOSTICS, "float64")
