"""Variational approximations on targets whose answer is known. Nothing of marketing here."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.errors import SpecError
from mmm_jax.inference.psis import k_threshold
from mmm_jax.inference.samples import SamplerSettings
from mmm_jax.inference.svi import SVI, Guide, sample_many

SETTINGS = SamplerSettings(num_chains=4, num_warmup=1, num_samples=500)
SHORT = SVI(num_steps=200, num_particles=4)


def gaussian(flat, data):
    shifted = flat - data["mean"]
    return -0.5 * shifted @ data["precision"] @ shifted


def skewed(flat, rate):
    """Logarithms of gamma variables with shape 3: the mode is not the mean, and the integral is gamma(3)^2 / rate^6."""
    return jnp.sum(3.0 * flat - rate * jnp.exp(flat))


def kinked(flat, at):
    """A Laplace distribution: the gradient vanishes nowhere, and no search arrives."""
    return -jnp.sum(jnp.abs(flat - at))


def _gaussian():
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    covariance = rotation @ np.diag(np.geomspace(0.01, 1.0, 4)) @ rotation.T
    return {"mean": jnp.full((1, 4), 2.0), "precision": jnp.asarray(np.linalg.inv(covariance))[None]}, covariance


@pytest.mark.smoke
@pytest.mark.parametrize("guide", get_args(Guide))
def test_gaussians_are_recovered_by_every_guide(guide, precision):
    data, covariance = _gaussian()
    svi = SVI(guide=guide, num_steps=100, num_particles=4)
    (found,) = sample_many(gaussian, data, jax.random.key(0)[None], SETTINGS, np.ones((1, 4)), svi=svi)
    assert found.positions.dtype == precision
    draws = found.positions.reshape(-1, 4).astype(float)
    np.testing.assert_allclose(draws.mean(0), 2.0, atol=5 * np.sqrt(covariance.max() / 2000))
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=5 * covariance.max() * np.sqrt(2 / 2000))
    assert found.pareto_k < 0.5
    evidence = 0.5 * (4 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1])
    assert found.log_evidence == pytest.approx(evidence, abs=5 * found.log_evidence_error)


def test_the_bound_rises_and_stays_below_the_evidence():
    """In whitened coordinates the bound lacks the log determinant of the map, which is what the mode's curvature says."""
    (found,) = sample_many(skewed, jnp.ones(1), jax.random.key(1)[None], SETTINGS, np.ones((1, 2)), svi=SHORT)
    assert len(found.elbo) == SHORT.num_steps
    first, last = found.elbo[:20].mean(), found.elbo[-50:].mean()
    noise = found.elbo[-50:].std() / np.sqrt(20)
    assert first < last + 3 * noise
    # The curvature of the negative log density at its mode is 3 in both coordinates.
    assert last + np.log(1 / 3) < 2 * np.log(2.0) + 3 * noise
    mean, error = 0.92278, 0.6284 / np.sqrt(min(found.importance_ess, 2000))
    np.testing.assert_allclose(found.positions.mean((0, 1)), mean, atol=5 * error)
    assert found.pareto_k < k_threshold(found.num_proposals)
    assert found.log_evidence == pytest.approx(2 * np.log(2.0), abs=5 * found.log_evidence_error)


@pytest.mark.usefixtures("float64")
def test_draws_do_not_depend_on_the_others():
    rates, keys = jnp.array([1.0, 2.0, 5.0]), jax.random.split(jax.random.key(2), 3)
    together = sample_many(skewed, rates, keys, SETTINGS, np.ones((3, 2)), svi=SHORT)
    order = jnp.array([2, 0, 1])
    turned = sample_many(skewed, rates[order], keys[order], SETTINGS, np.ones((3, 2)), svi=SHORT)
    (alone,) = sample_many(skewed, rates[1:2], keys[1:2], SETTINGS, np.ones((1, 2)), svi=SHORT)
    for found, expected in ((turned[0], together[2]), (turned[1], together[0]), (alone, together[1])):
        np.testing.assert_allclose(found.positions, expected.positions, rtol=1e-7, atol=1e-8)


def test_padding_stays_0(precision):
    active = np.array([[1.0, 0.0]])
    (found,) = sample_many(skewed, jnp.ones(1), jax.random.key(3)[None], SETTINGS, active, svi=SHORT)
    np.testing.assert_array_equal(found.positions[..., 1], 0.0)
    # The padded coordinate adds exp(-1) at 0.
    assert found.log_evidence == pytest.approx(np.log(2.0) - 1.0, abs=5 * found.log_evidence_error)


def test_without_a_mode_it_starts_from_the_prior_and_is_judged_by_its_weights():
    (found,) = sample_many(kinked, jnp.zeros(1), jax.random.key(4)[None], SETTINGS, np.ones((1, 2)), svi=SHORT)
    assert found.start.startswith("no mode found")
    assert np.isfinite(found.pareto_k)
    error = np.sqrt(2.0 / min(found.importance_ess, 2000))
    np.testing.assert_allclose(found.positions.mean((0, 1)), 0.0, atol=5 * error)


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
