"""The prior: draws follow the stated distributions, and the predictive is on the target's scale."""

import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import mmm_jax as mj

_SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=4),
    yearly_seasonality=1,
    priors={"intercept": dist.Normal(0.2, 0.05), "saturation_beta": mj.SpendShare(), "gamma_control": dist.Normal(0.0, 0.1)},
)


@pytest.mark.smoke
def test_draws_follow_their_priors(split):
    prior = mj.sample_prior(split[0], _SPEC, key=0, num_samples=4000)["prior"]
    share = split[0].spend.sum(axis=1) / split[0].spend.sum()
    expected = {
        "intercept": stats.norm(0.2, 0.05),
        "adstock_alpha": stats.beta(1, 3),
        "saturation_lam": stats.gamma(3),
        "gamma_fourier": stats.laplace(0, 1),
        "y_sigma": stats.halfnorm(scale=2),
    }
    for name, law in expected.items():
        values = prior[name].to_numpy().reshape(4000, -1)[:, 0]
        assert stats.kstest(values, law.cdf).pvalue > 1e-3, name
    for channel in range(7):
        values = prior["saturation_beta"].to_numpy()[0, :, channel]
        assert stats.kstest(values, stats.halfnorm(scale=share[channel]).cdf).pvalue > 1e-3


def test_same_key_same_draws(split):
    one, two = (mj.sample_prior(split[0], _SPEC, key=3, num_samples=20) for _ in range(2))
    assert one["prior"].to_dataset().identical(two["prior"].to_dataset())
    assert one["prior_predictive"].to_dataset().identical(two["prior_predictive"].to_dataset())


def test_predictive_is_in_units_of_the_target(split):
    tree = mj.sample_prior(split[0], _SPEC, num_samples=500)
    assert tree["prior_predictive"]["y"].dims == ("chain", "draw", "date")
    size = float(tree["prior_predictive"]["mean"].median())
    assert 0.1 * split[0].target.mean() < size < 10 * split[0].target.mean()
    np.testing.assert_array_equal(tree["observed_data"]["sales"], split[0].target)
