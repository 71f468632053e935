"""Every component and choice finds what made its data: truths from the prior, fifty seeds each, in batches.

Slow, with a command of its own: `pytest -m slow tests/validation/test_recovery.py`. A quick sample of two runs always.
"""

import warnings
from dataclasses import replace

import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from validation.slices import SPEC, experiments_of, small_market

import mmm_jax as mj
from mmm_jax.model.components import ADSTOCKS, SATURATIONS

SEEDS, RANKS = 50, 39
"""Of 40 places among 39 draws, the first and the last are outside of the 95 % interval."""

NORMAL = replace(SPEC, likelihood=mj.Normal())
"""A plain likelihood: what is looked at is the component."""

_EFFECT = {"b": dist.HalfNormal(0.4), "c": dist.LogNormal(0.5, 0.3), "alpha": dist.LogNormal(-1.2, 0.5)}


def with_priors(spec: mj.ModelSpec = NORMAL, **priors) -> mj.ModelSpec:
    return replace(spec, priors={**spec.priors, **priors})


def with_saturation(kind) -> mj.ModelSpec:
    """Priors of effects that are a part of the outcome."""
    spec = mj.ModelSpec(adstock=SPEC.adstock, saturation=kind())
    known = {name: prior for name, prior in SPEC.priors.items() if name in spec.parameter_dims}
    if kind.effect != "beta":
        known[f"saturation_{kind.effect}"] = _EFFECT[kind.effect]
    return replace(spec, priors=known)


def adstocks() -> dict:
    made = {kind.__name__: mj.NoAdstock() if kind is mj.NoAdstock else kind(l_max=4) for kind in ADSTOCKS}
    return {name: replace(NORMAL, adstock=adstock) for name, adstock in made.items()}


WAVES = dist.Laplace(0.0, 0.05)
SPECS = {
    **adstocks(),
    **{kind.__name__: with_saturation(kind) for kind in SATURATIONS},
    "reach and frequency": with_saturation(mj.HillSaturation),
    "saturation first": replace(NORMAL, adstock_first=False),
    "StudentT": replace(NORMAL, likelihood=mj.StudentT()),
    "TruncatedNormal": SPEC,
    "LogNormal": with_priors(replace(NORMAL, likelihood=mj.LogNormal()), intercept=dist.Normal(-0.7, 0.2)),
    "NegativeBinomial": mj.ModelSpec(
        adstock=SPEC.adstock,
        likelihood=mj.NegativeBinomial(),
        priors={
            "intercept": dist.Normal(-0.7, 0.2),
            "saturation_beta": dist.HalfNormal(0.4),
            "gamma_control": dist.Normal(0.0, 0.2),
        },
    ),
    "LinearTrend": with_priors(replace(NORMAL, trend=mj.LinearTrend()), trend_slope=dist.Normal(0.0, 0.2)),
    "PiecewiseTrend": with_priors(
        replace(NORMAL, trend=mj.PiecewiseTrend(3)), trend_slope=dist.Normal(0.0, 0.2), trend_delta=dist.Laplace(0.0, 0.2)
    ),
    "KnotTrend": with_priors(replace(NORMAL, trend=mj.KnotTrend(5)), trend_level=dist.Normal(0.0, 0.1)),
    "GaussianProcessTrend": with_priors(
        replace(NORMAL, trend=mj.GaussianProcessTrend(10)), trend_amplitude=dist.HalfNormal(0.15)
    ),
    "GaussianProcessMultiplier": replace(NORMAL, media_multiplier=mj.GaussianProcessMultiplier(6)),
    "seasons": with_priors(
        replace(NORMAL, yearly_seasonality=2, monthly_seasonality=1), gamma_fourier=WAVES, gamma_monthly=WAVES
    ),
    "events": with_priors(
        replace(NORMAL, events=(mj.Event("sale", ["2014-11-28", "2015-07-04"], window=(2, 2), shape="bump"),)),
        gamma_event=dist.Normal(0.0, 0.3),
    ),
    "groups": mj.ModelSpec(
        adstock=SPEC.adstock,
        groups=(mj.MediaGroup(("Insert",), adstock=mj.DelayedAdstock(l_max=6), saturation=mj.HillSaturation()),),
        priors=SPEC.priors,
    ),
    "roas": mj.ModelSpec(
        adstock=SPEC.adstock,
        media_prior="roas",
        priors={"roas": mj.lognormal_from_interval(3.0, 30.0)}
        | {name: prior for name, prior in SPEC.priors.items() if name != "saturation_beta"},
    ),
    "RegularizedHorseshoe": with_priors(
        replace(NORMAL, standardize_controls=True), gamma_control=mj.RegularizedHorseshoe(2, slab_scale=0.2)
    ),
    "contribution_share": mj.ModelSpec(
        adstock=SPEC.adstock,
        media_prior="contribution_share",
        priors={"contribution_share": dist.Beta(2.0, 10.0)}
        | {name: prior for name, prior in SPEC.priors.items() if name != "saturation_beta"},
    ),
}

_SPREAD = {"intercept_eta": dist.HalfNormal(0.1)}
GEO_SPECS = {
    "geos, defaults": with_priors(**_SPREAD),
    "geos, scaled per head": with_priors(replace(NORMAL, scale="population"), **_SPREAD),
    "geos, everything partial": with_priors(
        replace(NORMAL, pooling=dict.fromkeys(("adstock_alpha", "saturation_lam", "gamma_control", "y_sigma"), "partial")),
        **_SPREAD,
    ),
    "geos, each its own": replace(NORMAL, pooling=dict.fromkeys(("intercept", "saturation_beta", "y_sigma"), "none")),
    "geos, all the same": replace(NORMAL, pooling=dict.fromkeys(("intercept", "saturation_beta"), "complete")),
}


def calibration(spec: mj.ModelSpec, panel, count: int, **options) -> mj.Calibration:
    settings = {"num_ranks": RANKS, "num_warmup": 400, "num_samples": 500, "key": 7, "progress": False, **options}
    with warnings.catch_warnings():
        # Of fifty truths from a prior, some are hard to sample; these fits are kept, and counted here.
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.simulate_calibrate(spec, panel, count, **settings)


def assert_recovered(found: mj.Calibration) -> None:
    """The 95 % intervals cover at the nominal rate, all of them together and each of them on its own."""
    assert not found.errors
    inside = ((found.ranks > 0) & (found.ranks < RANKS)).to_numpy()
    # Quantities of one fit are not independent: the fits are.
    by_fit = inside.mean(axis=1)
    error = max(by_fit.std(ddof=1), 0.02) / np.sqrt(len(by_fit))
    assert abs(by_fit.mean() - 0.95) < 4.0 * error, by_fit.mean()
    misses = (~inside).sum(axis=0)
    chance = stats.binom.sf(misses - 1, len(inside), 0.05)
    worst = int(np.argmin(chance))
    assert chance[worst] * len(chance) > 1e-3, (str(found.ranks["quantity"].to_numpy()[worst]), int(misses[worst]))


def with_frequency(panel: mj.Panel) -> mj.Panel:
    """The same market, whose first channel's spend buys people reached, one to six times each."""
    frequency = np.random.default_rng(4).uniform(1.0, 6.0, (2, len(panel))) * [[1.0], [0.0]]
    reach = {"media": panel.spend / [[5.0], [1.0]], "units": ("reach", "")}
    return replace(panel, **reach, average_frequency=frequency, frequency_columns=("frequency", ""))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_a_component_finds_what_made_its_data(name):
    panel = small_market(70)
    if name == "NegativeBinomial":
        panel = panel.with_target(np.round(panel.target / 1e5))
    if name == "RegularizedHorseshoe":
        controls = np.random.default_rng(3).normal(size=(8, len(panel)))
        panel = replace(panel, controls=controls, control_names=tuple(f"control_{k + 1}" for k in range(8)))
    panel = with_frequency(panel) if name == "reach and frequency" else panel
    assert_recovered(calibration(SPECS[name], panel, SEEDS))


@pytest.mark.slow
@pytest.mark.parametrize("name", GEO_SPECS)
def test_geos_find_what_made_their_data(name):
    panel = mj.synthetic.make_geo_market(geos=3, channels=2, weeks=60, seed=5).panel
    assert_recovered(calibration(GEO_SPECS[name], panel, SEEDS))


@pytest.mark.slow
def test_fits_that_learn_from_experiments_find_what_made_their_data():
    """Sharp tests, of which every fit has its own measurements: with wrong ones, ranks would stray."""
    panel = small_market(70)
    known = experiments_of(panel)
    sharp = mj.LiftTests([replace(test, se=0.2 * test.se) for test in known.tests])
    assert_recovered(calibration(NORMAL, panel, SEEDS, experiments=sharp))


@pytest.mark.slow
def test_fits_of_geos_are_calibrated():
    """128 fits of four geos: no quantity strays more than chance allows."""
    panel = mj.synthetic.make_geo_market(geos=4, channels=2, weeks=60, seed=6).panel
    found = calibration(GEO_SPECS["geos, defaults"], panel, 128, num_ranks=99, num_samples=1000)
    assert not found.errors
    table = found.p_values()
    assert (len(table) * table["p_value"]).min() >= 1e-3, str(table.head(3))


def test_a_few_fits_of_geos_have_ranks():
    """What the slow checks are made of, in small: every quantity is ranked, totals of channels over all geos as well."""
    panel = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=60, seed=5).panel
    found = calibration(GEO_SPECS["geos, defaults"], panel, 2, num_ranks=9, num_warmup=60, num_samples=40, num_chains=2)
    names = list(found.ranks["quantity"].to_numpy())
    assert not found.errors
    assert {"saturation_beta_eps[geo_2, channel_1]", "contribution[channel_2]", "log_likelihood"} <= set(names)
    assert found.ranks.sizes["simulation"] == 2
