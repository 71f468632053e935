"""Plans where media multiply the rest: against expected outcomes with and without the spend, by `Fit.predict` alone."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from planning.fits import DIAGNOSTICS, HORIZON, WEEKS, market

import mmm_jax as mj
from mmm_jax.analysis.draws import prior_draws
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model

PRIORS = {
    "intercept": dist.Normal(-1.0, 0.1),
    "saturation_beta": dist.LogNormal(-0.5, 0.4),
    "gamma_control": dist.Normal(0.0, 0.05),
}
LIKELIHOODS = {"counts": mj.NegativeBinomial(), "log-normal": mj.LogNormal()}
every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


@cache
def fit_of(name: str) -> mj.Fit:
    """Draws of the prior for two channels, in 2 chains of 5."""
    panel = market(WEEKS, 2)
    panel = panel.with_target(np.round(panel.target / 1e5))
    spec = mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4), likelihood=LIKELIHOODS[name], priors=PRIORS, yearly_seasonality=1
    )
    scales = mj.Scales.from_panel(panel)
    with precision_scope("float64"):
        sampled = prior_draws(build_model(spec, panel, scales), jax.random.split(jax.random.key(0), 10))
    draws = {key: np.asarray(value).reshape(2, 5, *value.shape[1:]) for key, value in sampled.items()}
    return mj.Fit(spec, panel, scales, draws, {"diverging": np.zeros((2, 5), bool)}, DIAGNOSTICS, "float64")


@cache
def rows() -> mj.Panel:
    return replace(market(WEEKS + HORIZON, 2).take(slice(WEEKS, None)), target=None)


def expected(fit: mj.Fit, spend: np.ndarray) -> xr.DataArray:
    """Expected outcome of the horizon with this spend, (channel, date), by draw."""
    return fit.predict(rows().with_spend(spend))["mean"].sum("date")


def total_of(fit: mj.Fit) -> float:
    return float(fit.panel.spend[:, -HORIZON:].sum())


@cache
def plan_of(name: str) -> mj.Allocation:
    return mj.optimize_budget(fit_of(name), horizon=rows(), total=total_of(fit_of(name)))


@every_likelihood
def test_a_response_is_the_expected_outcome_with_the_plan_minus_without(name):
    """Of the whole plan, and of each channel with the other as planned."""
    fit, plan = fit_of(name), plan_of(name)
    spend = plan.spend.transpose("channel", "date").to_numpy()
    whole = expected(fit, spend)
    np.testing.assert_allclose(plan.response, whole - expected(fit, 0.0 * spend), rtol=1e-9)
    by_channel = plan.respond(plan.spend)["by_channel"]
    for place, channel in enumerate(fit.panel.channels):
        without = spend.copy()
        without[place] = 0.0
        found = by_channel.sel(channel=channel).transpose("chain", "draw")
        np.testing.assert_allclose(found, whole - expected(fit, without), rtol=1e-8, atol=1e-9 * float(whole.mean()))


@every_likelihood
def test_no_split_of_the_total_brings_more(name):
    fit, plan = fit_of(name), plan_of(name)
    without = expected(fit, np.zeros((2, HORIZON)))
    shares = np.linspace(0.0, 1.0, 11)
    even = [np.repeat([[share], [1.0 - share]], HORIZON, axis=1) * total_of(fit) / HORIZON for share in shares]
    brought = [float((expected(fit, spend) - without).mean()) for spend in even]
    best, place = float(plan.response.mean()), int(np.argmax(brought))
    assert plan.certificate.optimal
    assert best >= max(brought) * (1.0 - 1e-9)
    # The maximum lies within a step of the best split that was tried.
    assert abs(float(plan.spend.sum("date")[0]) / plan.total - shares[place]) <= 0.1 + 1e-9


@every_likelihood
def test_marginal_returns_go_through_the_link(name):
    fit, plan = fit_of(name), plan_of(name)
    spend = plan.spend.transpose("channel", "date").to_numpy()
    for place, channel in enumerate(fit.panel.channels):
        step = 1e-3 * spend.sum() / HORIZON * np.eye(2)[place][:, None] * np.ones(HORIZON)
        if spend[place].sum() < step.sum():
            continue
        gain = float((expected(fit, spend + step) - expected(fit, spend - step)).mean()) / (2.0 * step.sum())
        assert float(plan.certificate.marginal_return.sel(channel=channel)) == pytest.approx(gain, rel=1e-5)


def test_dates_alone_do_not_say_what_spend_multiplies():
    with pytest.raises(mj.PlanError, match="With a log link, what spend brings depends on the controls"):
        mj.optimize_budget(fit_of("counts"), horizon=HORIZON, total=1e6)
