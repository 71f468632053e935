"""Draws of the Laplace approximation, reweighed: targets whose moments and integrals are known. Nothing of marketing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, polygamma
from scipy.stats import multivariate_normal

from mmm_jax.errors import SamplingError
from mmm_jax.inference.approximate import _resampled, sample_many
from mmm_jax.inference.psis import k_threshold
from mmm_jax.inference.samples import SamplerSettings

SETTINGS = SamplerSettings(num_chains=4, num_warmup=1, num_samples=500)
PROPOSALS, NOISE = 8000, 0.7


def target(flat, data):
    """One of four densities by `case`, as one function, so that all tests share its programs."""
    cases = [regression(flat, data), *(case(flat, data["number"]) for case in (skewed, heavy, kinked))]
    return jnp.select([data["case"] == k for k in range(4)], cases)


def regression(flat, data):
    """A conjugate linear model with known noise, all constants in it; nothing at all where data forbid it."""
    residual = (data["y"] - data["x"] @ flat[:4]) / NOISE
    log_likelihood = -0.5 * residual @ residual - len(residual) * jnp.log(NOISE * jnp.sqrt(2 * jnp.pi))
    log_prior = -0.5 * flat @ flat - 0.5 * len(flat) * jnp.log(2 * jnp.pi)
    return jnp.where(data["number"] > 0, log_likelihood + log_prior, jnp.nan)


def skewed(flat, rate):
    """Logarithms of gamma variables with shape 3: the mode is not the mean, and the integral is (gamma(3) / rate^3)^4."""
    return jnp.sum(3.0 * flat - rate * jnp.exp(flat))


def heavy(flat, nu):
    """Tails that no normal and no Student proposal of three degrees of freedom reach."""
    return -0.5 * (nu + 4.0) * jnp.log1p(flat @ flat / nu)


def kinked(flat, at):
    """A Laplace distribution: the gradient vanishes nowhere."""
    return -jnp.sum(jnp.abs(flat - at))


def _regressions(possible=(1.0, 1.0, 1.0)):
    """Three data sets, their keys, and for each posterior mean, covariance and log evidence in closed form."""
    rng, fits, truths = np.random.default_rng(0), [], []
    for value in possible:
        x = rng.normal(size=(12, 4))
        y = x @ rng.normal(size=4) + NOISE * rng.normal(size=12)
        fits.append({"x": x, "y": y, "number": value, "case": 0})
        covariance = np.linalg.inv(np.eye(4) + x.T @ x / NOISE**2)
        evidence = multivariate_normal(np.zeros(12), x @ x.T + NOISE**2 * np.eye(12)).logpdf(y)
        truths.append((covariance @ x.T @ y / NOISE**2, covariance, evidence))
    data = jax.tree.map(lambda *values: jnp.stack([jnp.asarray(value) for value in values]), *fits)
    return data, jax.random.split(jax.random.key(1), 3), truths


def _sampled(case, numbers):
    """Three fits of another density than the regression's."""
    data, keys, _ = _regressions()
    return sample_many(
        target, data | {"case": jnp.full(3, case), "number": jnp.asarray(numbers)}, keys, SETTINGS, np.ones((3, 4))
    )


def _taken(values, rows):
    return jax.tree.map(lambda leaf: leaf[jnp.asarray(rows)], values)


@pytest.mark.smoke
def test_a_conjugate_linear_model_is_recovered_with_its_evidence(precision):
    data, keys, truths = _regressions()
    for found, (mean, covariance, evidence) in zip(
        sample_many(target, data, keys, SETTINGS, np.ones((3, 4))), truths, strict=True
    ):
        assert found.positions.dtype == precision
        assert found.positions.shape == (4, 500, 4)
        assert found.arrived
        assert found.pareto_k < 0.3
        # Half of the proposals reach far, and lose little.
        assert PROPOSALS / 2 < found.importance_ess <= found.num_proposals == PROPOSALS
        draws = found.positions.reshape(-1, 4).astype(float)
        np.testing.assert_allclose(draws.mean(0), mean, atol=5 * np.sqrt(covariance.max() / 2000))
        np.testing.assert_allclose(np.cov(draws.T), covariance, atol=5 * covariance.max() * np.sqrt(2 / 2000))
        assert found.log_evidence == pytest.approx(evidence, abs=5 * found.log_evidence_error + 1e-3)
        assert 0 < found.log_evidence_error < 0.02


@pytest.mark.usefixtures("float64")
def test_statistics_belong_to_their_draws():
    data, keys, _ = _regressions()
    found = sample_many(target, data, keys, SETTINGS, np.ones((3, 4)))[1]
    assert set(found.stats) == {"lp", "log_weight"}
    lp = jax.vmap(jax.vmap(target, (0, None)), (0, None))(found.positions, _taken(data, 1))
    np.testing.assert_allclose(found.stats["lp"], lp, rtol=1e-10)
    # A normal approximation that is exact leaves the weights to the far half: at most 2, and never much below.
    assert found.stats["log_weight"].max() < np.log(2.1)


@pytest.mark.usefixtures("float64")
def test_weights_correct_the_mean_of_a_skewed_target():
    """The mode of the logarithm of a gamma variable is log(shape / rate), its mean digamma(shape) - log(rate)."""
    rates = np.array([0.5, 1.0, 4.0])
    for found, rate in zip(_sampled(1, rates), rates, strict=True):
        mean, deviation = digamma(3.0) - np.log(rate), np.sqrt(polygamma(1, 3.0))
        error = deviation / np.sqrt(min(found.importance_ess, 2000))
        # What the weights correct is several times what they leave.
        assert abs(np.log(3.0 / rate) - mean) > 8 * error
        np.testing.assert_allclose(found.positions.mean((0, 1)), mean, atol=5 * error)
        assert found.pareto_k < k_threshold(PROPOSALS)
        assert found.log_evidence == pytest.approx(4 * np.log(2.0 / rate**3), abs=5 * found.log_evidence_error)


@pytest.mark.usefixtures("float64")
def test_tails_that_no_proposal_reaches_are_seen():
    assert np.median([found.pareto_k for found in _sampled(2, np.full(3, 0.3))]) > k_threshold(PROPOSALS)


@pytest.mark.usefixtures("float64")
def test_without_a_mode_k_is_infinite_and_the_start_says_why():
    for found in _sampled(3, np.array([0.3, 1.0, -2.0])):
        assert found.pareto_k == np.inf
        assert not found.arrived
        assert found.start.startswith("no mode found")


@pytest.mark.usefixtures("float64")
def test_a_fit_without_density_is_an_error_and_the_others_stay():
    data, keys, _ = _regressions((1.0, 0.0, 1.0))
    first, broken, last = sample_many(target, data, keys, SETTINGS, np.ones((3, 4)))
    assert isinstance(broken, SamplingError)
    assert "priors" in str(broken)
    whole = sample_many(target, _regressions()[0], keys, SETTINGS, np.ones((3, 4)))
    for found, expected in ((first, whole[0]), (last, whole[2])):
        np.testing.assert_allclose(found.positions, expected.positions, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("float64")
def test_draws_do_not_depend_on_the_others():
    data, keys, _ = _regressions()
    together = sample_many(target, data, keys, SETTINGS, np.ones((3, 4)))
    turned = sample_many(target, _taken(data, [2, 0, 1]), keys[jnp.array([2, 0, 1])], SETTINGS, np.ones((3, 4)))
    (alone,) = sample_many(target, _taken(data, [1]), keys[1:2], SETTINGS, np.ones((1, 4)))
    np.testing.assert_array_equal(turned[0].positions, together[2].positions)
    for found, expected in ((turned[1], together[0]), (alone, together[1])):
        np.testing.assert_allclose(found.positions, expected.positions, rtol=1e-8, atol=1e-9)
        assert found.pareto_k == pytest.approx(expected.pareto_k, abs=1e-6)
    assert not np.allclose(together[0].positions, together[1].positions)


@pytest.mark.usefixtures("float64")
def test_padding_stays_0_and_has_no_part_in_the_weights():
    data, keys, truths = _regressions()
    active = np.repeat([[1.0] * 4 + [0.0] * 2], 3, axis=0)
    found = sample_many(target, data, keys, SETTINGS, active)
    for one, (mean, covariance, evidence) in zip(found, truths, strict=True):
        np.testing.assert_array_equal(one.positions[..., 4:], 0.0)
        np.testing.assert_allclose(one.positions[..., :4].mean((0, 1)), mean, atol=5 * np.sqrt(covariance.max() / 2000))
        # The padding's own prior at 0 is in the density, and so in its integral over what moves.
        padded = evidence - np.log(2 * np.pi)
        assert one.log_evidence == pytest.approx(padded, abs=5 * one.log_evidence_error)


def test_resampling_keeps_every_draw_as_often_as_its_weight_says():
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.full(50, 0.3), size=2)
    rows = _resampled(jax.random.split(jax.random.key(6), 2), weights, 1000)
    for kept, own in zip(rows, weights, strict=True):
        counts = np.bincount(kept, minlength=50)
        assert (np.abs(counts - 1000 * own) < 1.0 + 1e-6).all()
        # In random order: chains are no sorted blocks.
        assert abs(np.corrcoef(kept, np.arange(1000))[0, 1]) < 0.15
