"""Likelihoods: hand-written densities against NumPyro's, expectations against the mean of draws, supports."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

import mmm_jax as mj
from mmm_jax.errors import PanelError
from mmm_jax.model.likelihoods import LIKELIHOODS

_PARAMS = {"y_sigma": jnp.array(0.3), "y_nu": jnp.array(5.0), "y_concentration": jnp.array(4.0)}
_SCALE = jnp.array(40.0)
"""Units of the target per unit of the scaled target; only counts have a unit."""
_CONTINUOUS = [kind for kind in LIKELIHOODS if not kind.counts]


@pytest.mark.smoke
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_log_density_equals_the_distribution(kind, precision):
    mu = jnp.linspace(-0.5, 1.5, 9)
    target = jnp.round(_SCALE * jnp.linspace(0.0, 1.2, 9)) / _SCALE if kind.counts else jnp.linspace(0.05, 1.2, 9)
    likelihood = kind()
    ours = likelihood.log_density(target, mu, _PARAMS, _SCALE)
    reference = {mj.TruncatedNormal: dist.TruncatedNormal(mu, _PARAMS["y_sigma"], low=0.0)}
    theirs = reference.get(kind, likelihood.distribution(mu, _PARAMS, _SCALE)).log_prob(target)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10 if precision == "float64" else 1e-4, atol=1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", _CONTINUOUS)
def test_density_integrates_to_one(kind):
    likelihood = kind()
    low = -np.inf if isinstance(likelihood, (mj.Normal, mj.StudentT)) else 0.0

    def density(y):
        return float(jnp.exp(likelihood.log_density(jnp.array(y), jnp.array(0.4), _PARAMS, _SCALE)))

    lower = -20.0 if low == -np.inf else 1e-12
    total, _ = integrate.quad(density, lower, 20.0, points=[0.4], limit=200)
    assert total == pytest.approx(1.0, abs=1e-4)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", [mj.Normal, mj.StudentT, mj.LogNormal, mj.NegativeBinomial])
def test_expectation_is_the_mean_of_draws(kind):
    likelihood, mu = kind(), jnp.array(0.7)
    draws = likelihood.distribution(mu, _PARAMS, _SCALE).sample(jax.random.key(0), (200_000,))
    error = float(draws.std()) / np.sqrt(len(draws))
    assert float(likelihood.expectation(mu, _PARAMS)) == pytest.approx(float(draws.mean()), abs=5 * error)


@pytest.mark.parametrize("mu", [2.0, 0.3, 0.0, -0.5, -2.0, -6.0, -50.0])
def test_truncated_draws_follow_their_law_however_far_the_tail(mu, precision):
    law_of = mj.TruncatedNormal().distribution(jnp.full(20_000, mu), _PARAMS, _SCALE)
    draws = np.asarray(law_of.sample(jax.random.key(1)), float)
    assert (draws >= 0).all()

    def law(value):
        return -np.expm1(stats.norm.logsf(value, mu, 0.3) - stats.norm.logsf(0.0, mu, 0.3))

    # In float32 the smallest draws of a far tail are 0 by rounding: compare those that are resolved.
    resolved = draws[draws > 1e-5 * abs(mu)]
    assert len(resolved) > 0.7 * len(draws)
    low = law(1e-5 * abs(mu))
    assert stats.kstest(resolved, lambda value: (law(value) - low) / (1 - low)).pvalue > 1e-3


def test_truncated_density_is_finite_far_below_the_bound():
    with_gradient = jax.value_and_grad(lambda mu: mj.TruncatedNormal().log_density(jnp.array(0.1), mu, _PARAMS, _SCALE))
    for mu in (-5.0, -3.0, 0.0, 30.0):
        value, gradient = with_gradient(jnp.array(mu, jnp.float32))
        assert np.isfinite(value)
        assert np.isfinite(gradient)


@pytest.mark.parametrize(
    ("likelihood", "value", "match"),
    [
        (mj.TruncatedNormal(), -2.0, "at least 0.*'sales'.*2014-08-17.*-2.0"),
        (mj.TruncatedNormal(lower=0.5), 1.0, "at least .*'sales'.*2014-08-17.*1.0"),
        (mj.LogNormal(), 0.0, "above 0.*'sales'.*2014-08-17.*0.0"),
        (mj.NegativeBinomial(), -1.0, "at least 0.*'sales'.*2014-08-17.*-1.0"),
        (mj.NegativeBinomial(), 2.5, "whole numbers.*'sales'.*2014-08-17.*2.5"),
    ],
)
def test_target_outside_of_the_support_is_named(likelihood, value, match):
    panel = mj.synthetic.make_market(weeks=60).panel
    target = np.round(panel.target)
    target[2] = value
    broken = mj.Panel(**{**_fields(panel), "target": target})
    with pytest.raises(PanelError, match=match):
        mj.fit(broken, mj.ModelSpec(likelihood=likelihood), progress=False)


def _fields(panel):
    names = ("dates", "spend", "controls", "target", "channels", "control_names", "target_name", "frequency")
    return {name: getattr(panel, name) for name in names}
