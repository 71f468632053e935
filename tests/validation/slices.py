"""A small market and its folds, cheap enough for every test."""

import warnings
from dataclasses import replace

import numpy as np
import numpyro.distributions as dist

import mmm_jax as mj

SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=3),
    likelihood=mj.TruncatedNormal(),
    priors={
        "intercept": dist.Normal(0.5, 0.1),
        "saturation_beta": dist.HalfNormal(0.4),
        "gamma_control": dist.Normal(0.0, 0.2),
        "y_sigma": dist.HalfNormal(0.2),
    },
)
SHORT = {"num_chains": 2, "num_warmup": 60, "num_samples": 40, "progress": False}
SLICES = {"initial": 66, "horizon": 6}


def small_market(weeks: int = 79) -> mj.Panel:
    """Two channels and one control; sales that the model can explain but for a scatter of 2 per cent."""
    panel = mj.synthetic.make_market(seed=1, weeks=weeks).panel
    first, second = panel.spend[:2] / panel.spend[:2].max(axis=1, keepdims=True)
    scatter = np.random.default_rng(0).normal(0.0, 2e6, weeks)
    sales = 5e7 + 4e7 * np.tanh(1.5 * first) + 2e7 * np.tanh(second) + 1e7 * panel.controls[0] + scatter
    names = {"channels": panel.channels[:2], "control_names": panel.control_names[:1]}
    return replace(panel, spend=panel.spend[:2], controls=panel.controls[:1], target=sales, **names)


def validated(panel: mj.Panel, spec: mj.ModelSpec = SPEC, **options) -> mj.CrossValidation:
    """Two folds of few draws, whose warning that they have not converged is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.cross_validate(panel, spec, **{**SLICES, **SHORT, "key": 5, **options})


def draws_of(fit: mj.Fit) -> np.ndarray:
    """All draws in one array."""
    return np.concatenate([v.reshape(*v.shape[:2], -1) for v in fit.draws.values()], axis=2)


def experiments_of(panel, *, nu: float = 4.0) -> mj.LiftTests:
    """Two lift tests, whose outcome lasts longer than their spend, with errors of the effects' size, and a known cost."""
    (one, two), dates, lift = panel.channels[:2], panel.dates, 0.02 * float(np.nanmean(panel.target)) * 4
    spend = 0.5 * panel.spend.reshape(len(panel.channels), -1, len(dates)).sum(axis=1).mean(axis=1)
    shared = {"delta_outcome": lift, "se": lift, "nu": nu}
    tests = [
        mj.LiftTest(channel=one, start=dates[20], end=dates[23], outcome_end=dates[25], delta_spend=spend[0], **shared),
        mj.LiftTest(channel=two, start=dates[44], end=dates[47], outcome_end=dates[49], delta_spend=spend[1], **shared),
    ]
    return mj.LiftTests(tests, [mj.CostPerTarget(channel=one, cost=0.1, sigma=0.01, end=dates[40])])


def calibrated(count: int = 16, **options) -> mj.Calibration:
    """Simulations of few draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        settings = {**SHORT, "num_ranks": 15, "key": 2}
        return mj.simulate_calibrate(SPEC, small_market(70), count, **{**settings, **options})
