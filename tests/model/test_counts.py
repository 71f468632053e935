"""Counts: the negative binomial's numbers against SciPy's, its draws, and a fit that finds what made them."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from scipy import stats

import mmm_jax as mj
from mmm_jax.model.counts import ScaledNegativeBinomial, log_probability
from mmm_jax.model.likelihoods import NegativeBinomial

_COUNTS = np.array([0, 1, 2, 7, 11, 250, 12_345, 3_000_000], float)


def _theirs(counts, means, concentrations):
    return stats.nbinom.logpmf(counts, concentrations, concentrations / (concentrations + means))


def _grid():
    return (grid.ravel() for grid in np.meshgrid(_COUNTS, [0.01, 0.8, 40.0, 2e4, 2.5e6], [0.02, 0.9, 9.0, 300.0, 1e5]))


@pytest.mark.smoke
def test_probability_equals_scipys_however_large_the_count(precision):
    counts, means, concentrations = _grid()
    ours = jax.vmap(log_probability)(*map(jnp.asarray, (counts, means, concentrations)))
    tight = precision == "float64"
    # SciPy's own numbers lose digits to the logarithms of the gamma function that it subtracts.
    size = np.maximum(1.0, np.abs(_theirs(counts, means, concentrations)))
    np.testing.assert_array_less(np.abs(ours - _theirs(counts, means, concentrations)) / size, 1e-6 if tight else 2e-4)


def test_the_gradient_is_exact_in_float32():
    """With respect to the logarithm of the mean it is `a (k - m) / (a + m)`."""
    counts, means, concentrations = (jnp.asarray(values, jnp.float32) for values in _grid())
    slope = jax.vmap(jax.grad(lambda eta, k, a: log_probability(k, jnp.exp(eta), a)))(jnp.log(means), counts, concentrations)
    expected = concentrations * (counts - means) / (concentrations + means)
    np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-3)
    by_concentration = jax.vmap(jax.grad(log_probability, argnums=2))(counts, means, concentrations)
    assert np.isfinite(by_concentration).all()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("scale", [1.0, 40.0, 1e5])
def test_density_of_the_scaled_target_is_the_counts_probability_per_unit(scale):
    counts, mu = np.array([0.0, 3.0, 55.0]), jnp.array([-0.3, 0.0, 0.4])
    params = {"y_concentration": jnp.array(6.0)}
    found = NegativeBinomial().log_density(jnp.asarray(counts / scale), mu, params, jnp.array(scale)) - np.log(scale)
    np.testing.assert_allclose(found, _theirs(counts, scale * np.exp(np.asarray(mu)), 6.0), rtol=1e-9)


@pytest.mark.parametrize(("mean", "concentration"), [(0.4, 0.5), (30.0, 4.0), (30.0, 1e4), (5e5, 50.0)])
def test_draws_are_whole_and_have_the_laws_moments(mean, concentration):
    law = ScaledNegativeBinomial(jnp.array(mean / 8), jnp.array(concentration), scale=jnp.array(8.0))
    draws = 8.0 * np.asarray(law.sample(jax.random.key(0), (40_000,)), float)
    np.testing.assert_array_equal(draws, np.round(draws))
    variance, kurtosis = stats.nbinom.stats(concentration, concentration / (concentration + mean), moments="vk")
    assert draws.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / len(draws)))
    assert draws.var() == pytest.approx(variance, rel=5 * np.sqrt((kurtosis + 2) / len(draws)))


def _orders(weeks=150, scale=60.0):
    """Weekly orders of a small shop, some weeks without any, and what made them."""
    rng = np.random.default_rng(3)
    spend = rng.gamma(1.0, 1.0, size=(2, weeks)) * np.array([[100.0], [40.0]])
    promo = rng.integers(0, 2, weeks).astype(float)
    saturated = 0.8 * np.tanh(spend[0] / spend[0].max() * 2.0)
    mean = 4.0 * np.exp(saturated + 0.7 * promo)
    target = rng.poisson(rng.gamma(8.0, mean / 8.0)).astype(float)
    dates = pd.date_range("2022-01-03", periods=weeks, freq="W-MON", name="date")
    frame = pd.DataFrame({"orders": target, "TV": spend[0], "Radio": spend[1], "promo": promo}, index=dates)
    panel = mj.Panel.from_frame(
        frame.reset_index(), date="date", target="orders", channels=["TV", "Radio"], controls=["promo"]
    )
    return panel, (mean - 4.0 * np.exp(0.7 * promo)).sum()


def test_a_fit_of_counts_finds_what_made_them_and_predicts_counts():
    panel, contribution = _orders()
    assert (panel.target == 0).any()
    spec = mj.ModelSpec(
        adstock=mj.NoAdstock(), likelihood=mj.NegativeBinomial(), priors={"saturation_beta": dist.HalfNormal(1.0)}
    )
    fit = helpers.quick_fit(panel, spec, num_chains=4, num_warmup=200, num_samples=250)
    assert fit.diagnostics.max_rhat < 1.05
    for name, truth in {"gamma_control": 0.7, "y_concentration": 8.0}.items():
        draws = np.asarray(fit.draws[name]).reshape(-1)
        assert np.quantile(draws, 0.005) < truth < np.quantile(draws, 0.995), name
    parts = fit.contributions()
    totals = parts["media"].sum("date").sel(channel="TV").to_numpy().ravel()
    assert np.quantile(totals, 0.005) < contribution < np.quantile(totals, 0.995)
    predicted = fit.predict()
    drawn = predicted["y"].to_numpy()
    np.testing.assert_array_equal(drawn, np.round(drawn))
    assert drawn.min() == 0
    assert abs(drawn.mean() / panel.target.mean() - 1) < 0.05
