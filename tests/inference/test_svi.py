"""Variational approximations on targets whose answer is known. Nothing of marketing here."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, polygamma

from mmm_jax.errors import SpecError
from mmm_jax.inference.psis import k_threshold
from mmm_jax.inference.samples import SamplerSettings
from mmm_jax.inference.svi import SVI, Guide, sample_many

SETTINGS = SamplerSettings(num_chains=4, num_warmup=1, num_samples=500)
SHORT = SVI(num_steps=200, num_particles=4)


def gaussian(flat, data):
    shifted = flat - data["mean"]
    return -0.5 * shifted @ data["precision"] @ shifted


def skewed_or_kinked(flat, rate):
    """Logarithms of gamma variables with shape 3, of integral (gamma(3) / rate^3)^2; at rate 0 a kink without a mode."""
    return jnp.where(rate > 0, jnp.sum(3.0 * flat - rate * jnp.exp(flat)), -jnp.sum(jnp.abs(flat - 0.1)))


def _gaussian():
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    covariance = rotation @ np.diag(np.geomspace(0.01, 1.0, 4)) @ rotation.T
    return {"mean": jnp.full((1, 4), 2.0), "precision": jnp.asarray(np.linalg.inv(covariance))[None]}, covariance


@pytest.mark.smoke
@pytest.mark.parametrize("guide", get_args(Guide))
def test_gaussians_are_recovered_by_every_guide(guide):
    data, covariance = _gaussian()
    svi = SVI(guide=guide, num_steps=100, num_particles=4)
    (found,) = sample_many(gaussian, data, jax.random.key(0)[None], SETTINGS, np.ones((1, 4)), svi=svi)
    assert found.positions.dtype == np.float32
    draws = found.positions.reshape(-1, 4).astype(float)
    np.testing.assert_allclose(draws.mean(0), 2.0, atol=5 * np.sqrt(covariance.max() / 2000))
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=5 * covariance.max() * np.sqrt(2 / 2000))
    assert found.pareto_k < 0.5
    evidence = 0.5 * (4 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1])
    assert found.log_evidence == pytest.approx(evidence, abs=5 * found.log_evidence_error)


def _three(rates=(1.0, 2.0, 0.0), active=((1.0, 1.0),) * 3, order=(0, 1, 2)):
    rows, keys = np.array(order), jax.random.split(jax.random.key(2), 3)
    arguments = jnp.asarray(rates)[rows], keys[rows], SETTINGS, np.array(active)[rows]
    return sample_many(skewed_or_kinked, *arguments, svi=SHORT)


@pytest.mark.usefixtures("float64")
def test_the_bound_rises_and_stays_below_the_evidence():
    """In whitened coordinates the bound lacks the log determinant of the map, which is what the mode's curvature says."""
    for found, rate in zip(_three()[:2], (1.0, 2.0), strict=True):
        assert len(found.elbo) == SHORT.num_steps
        first, last = found.elbo[:20].mean(), found.elbo[-50:].mean()
        noise, evidence = found.elbo[-50:].std() / np.sqrt(20), 2 * np.log(2.0 / rate**3)
        assert first < last + 3 * noise
        # The curvature of the negative log density at its mode is 3 in both coordinates.
        assert last + np.log(1 / 3) < evidence + 3 * noise
        error = np.sqrt(polygamma(1, 3.0) / min(found.importance_ess, 2000))
        np.testing.assert_allclose(found.positions.mean((0, 1)), digamma(3.0) - np.log(rate), atol=5 * error)
        assert found.pareto_k < k_threshold(found.num_proposals)
        assert found.log_evidence == pytest.approx(evidence, abs=5 * found.log_evidence_error)


@pytest.mark.usefixtures("float64")
def test_draws_do_not_depend_on_the_others():
    together, turned = _three(), _three(order=(2, 0, 1))
    for found, expected in zip(turned, (together[2], *together[:2]), strict=True):
        np.testing.assert_array_equal(found.positions, expected.positions)
    other = _three(rates=(1.0, 7.0, 7.0))
    np.testing.assert_array_equal(other[0].positions, together[0].positions)


@pytest.mark.usefixtures("float64")
def test_padding_stays_0():
    found = _three(active=((1.0, 0.0),) * 3)[0]
    np.testing.assert_array_equal(found.positions[..., 1], 0.0)
    # The padded coordinate adds exp(-1) at 0.
    assert found.log_evidence == pytest.approx(np.log(2.0) - 1.0, abs=5 * found.log_evidence_error)


@pytest.mark.usefixtures("float64")
def test_without_a_mode_it_starts_from_the_prior_and_is_judged_by_its_weights():
    found = _three()[2]
    assert found.start.startswith("no mode found")
    assert np.isfinite(found.pareto_k)
    np.testing.assert_allclose(found.positions.mean((0, 1)), 0.1, atol=5 * np.sqrt(2.0 / min(found.importance_ess, 2000)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"guide": "flow"}, "guide must be one of multivariate_normal.*'flow'"),
        ({"num_steps": 5}, "num_steps.*at least 10, got 5"),
        ({"num_particles": 1.5}, "num_particles.*1.5"),
        ({"learning_rate": 1.0}, "learning_rate.*between 0 and 1, got 1.0"),
        ({"learning_rate": "fast"}, "learning_rate.*'fast'"),
    ],
)
def test_wrong_numbers_are_named(given, words):
    with pytest.raises(SpecError, match=words):
        SVI(**given)
