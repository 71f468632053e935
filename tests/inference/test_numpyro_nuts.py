"""The reference engine on targets whose answer is known. Nothing of marketing here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.errors import SamplingError
from mmm_jax.inference.convergence import convergence_table
from mmm_jax.inference.numpyro_nuts import sample
from mmm_jax.inference.samples import SamplerSettings

SETTINGS = SamplerSettings(num_chains=4, num_warmup=500, num_samples=500)


def gaussian(flat, precision_matrix):
    return -0.5 * flat @ precision_matrix @ flat


def hierarchy(flat, _):
    """A scale and ten standardised effects: no funnel."""
    return -0.5 * jnp.sum(flat[1:] ** 2) - 0.5 * flat[0] ** 2


def student(flat, nu):
    """Tails that are heavier than the sampler's momentum."""
    return -0.5 * (nu + 1) * jnp.sum(jnp.log1p(flat**2 / nu))


def nowhere(flat, _):
    return jnp.full((), -jnp.inf) * jnp.sum(flat**2)


def narrow(flat, _):
    """Finite in a half space only: proposals beyond it must be rejected."""
    return jnp.where(flat[0] > 0, -flat[0] - 0.5 * jnp.sum(flat[1:] ** 2), jnp.nan)


@pytest.mark.smoke
def test_moments_of_a_correlated_gaussian():
    covariance = np.array([[2.0, 0.9, 0.0], [0.9, 1.0, -0.3], [0.0, -0.3, 0.5]])
    matrix = jnp.asarray(np.linalg.inv(covariance), jnp.float32)
    draws = sample(gaussian, matrix, 3, jax.random.key(0), SETTINGS)
    table = convergence_table({"x": draws.positions})
    np.testing.assert_array_less(np.abs(draws.positions.mean((0, 1))), 4 * table["mcse_mean"].to_numpy())
    found = np.cov(draws.positions.reshape(-1, 3).T)
    # The Monte Carlo error of a covariance, by its normal approximation.
    error = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / 1000)
    np.testing.assert_array_less(np.abs(found - covariance), 4 * error)


def test_energies_follow_their_law():
    """Under the target the potential energy is chi-squared with one degree of freedom per dimension, halved."""
    draws = sample(hierarchy, None, 11, jax.random.key(1), SETTINGS)
    potential = -draws.stats["lp"]
    ess = float(convergence_table({"x": potential[..., None]})["ess_bulk"][0])
    assert potential.mean() == pytest.approx(5.5, abs=4 * np.sqrt(5.5 / ess))
    assert np.all(draws.stats["energy"] >= potential)


def test_heavy_tails():
    draws = sample(student, jnp.array(4.0), 1, jax.random.key(2), SETTINGS)
    upper = np.mean(np.abs(draws.positions) > 2.132)  # the 95 % point of Student's t with 4 degrees of freedom
    ess = float(convergence_table({"x": draws.positions})["ess_tail"][0])
    assert upper == pytest.approx(0.10, abs=4 * np.sqrt(0.09 / ess))


def test_invalid_proposals_are_rejected():
    draws = sample(narrow, None, 2, jax.random.key(3), SETTINGS)
    assert np.isfinite(draws.positions).all()
    assert (draws.positions[..., 0] > 0).all()
    assert draws.positions[..., 0].mean() == pytest.approx(1.0, abs=0.3)


def test_same_key_same_numbers_whatever_the_number_of_chains():
    matrix = jnp.eye(2)
    short = dict(num_warmup=60, num_samples=70)
    many = sample(gaussian, matrix, 2, jax.random.key(4), SamplerSettings(num_chains=3, **short))
    again = sample(gaussian, matrix, 2, jax.random.key(4), SamplerSettings(num_chains=3, **short))
    fewer = sample(gaussian, matrix, 2, jax.random.key(4), SamplerSettings(num_chains=2, **short))
    other = sample(gaussian, matrix, 2, jax.random.key(5), SamplerSettings(num_chains=2, **short))
    np.testing.assert_array_equal(many.positions, again.positions)
    np.testing.assert_array_equal(many.positions[:2], fewer.positions)
    assert not np.array_equal(fewer.positions, other.positions)
    assert many.positions.shape == (3, 70, 2)
    assert {name: values.shape for name, values in many.stats.items()} == dict.fromkeys(many.stats, (3, 70))


def test_progress_counts_every_iteration():
    seen = []
    settings = SamplerSettings(num_chains=2, num_warmup=60, num_samples=70)
    sample(gaussian, jnp.eye(2), 2, jax.random.key(0), settings, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (260, 260)


def test_no_finite_start_is_an_error_that_says_what_to_do():
    with pytest.raises(SamplingError, match="No starting point.*priors"):
        sample(nowhere, None, 2, jax.random.key(0), SETTINGS)
