"""The search for the mode and the curvature there, against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mmm_jax.inference.laplace import find_mode, laplace, whitening_of
from mmm_jax.inference.metric import DenseWhitening


def gaussian(flat, data):
    shifted = flat - data["mean"]
    return -0.5 * shifted @ data["precision"] @ shifted


def skewed(flat, data):
    """A Poisson regression with a normal prior."""
    rate = data["design"] @ flat
    return jnp.sum(data["count"] * rate - jnp.exp(rate)) - 0.5 * jnp.sum(flat**2)


def with_padding(flat, data):
    """The first three coordinates are `skewed`; the others have a density of their own, whose mode is not 0."""
    return skewed(flat[:3], data) - 0.5 * jnp.sum((flat[3:] - 1.0) ** 2) + flat[0] * flat[3]


def endless(flat, _):
    """Grows towards infinity, ever more slowly than a line but for ever."""
    return jnp.sum(flat)


def kinked(flat, at):
    return -jnp.sum(jnp.abs(flat - at))


def kinked_or_round(flat, at):
    return jnp.where(at > 0, kinked(flat, at), -jnp.sum((flat - 2.0) ** 2))


def hollow(flat, value):
    """Not a number where the search starts."""
    return jnp.where(jnp.sum(flat**2) > 0.25, -0.5 * jnp.sum(flat**2), value)


def _regression():
    rng = np.random.default_rng(0)
    return {"design": rng.normal(size=(20, 3)), "count": rng.poisson(3.0, 20).astype(float)}


def _batched(*fits):
    return jax.tree.map(lambda *values: jnp.stack([jnp.asarray(value) for value in values]), *fits)


def _minimum():
    """Mode and inverse Hessian of `skewed`, by Newton's method with the formulas of generalised linear models."""
    data = _regression()

    def slope(flat):
        return data["design"].T @ (np.exp(data["design"] @ flat) - data["count"]) + flat

    def hessian(flat):
        return data["design"].T @ (np.exp(data["design"] @ flat)[:, None] * data["design"]) + np.eye(3)

    def loss(flat):
        rate = data["design"] @ flat
        return np.sum(np.exp(rate) - data["count"] * rate) + 0.5 * np.sum(flat**2)

    mode = minimize(loss, np.zeros(3), jac=slope, hess=hessian, method="Newton-CG", options={"xtol": 1e-10}).x
    return mode, np.linalg.inv(hessian(mode))


@pytest.mark.smoke
def test_mode_and_covariance_of_gaussians_are_exact(precision):
    """Two fits with deviations from 0.1 to 1; in float64 whatever the precision outside."""
    rng, fits, covariances = np.random.default_rng(1), [], []
    for mean in (1.0, -3.0):
        rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
        covariances.append(rotation @ np.diag(np.geomspace(0.01, 1.0, 5)) @ rotation.T)
        fits.append({"mean": jnp.full(5, mean), "precision": jnp.asarray(np.linalg.inv(covariances[-1]))})
    before = jax.config.jax_enable_x64
    found = laplace(gaussian, _batched(*fits), np.ones((2, 5)))
    assert jax.config.jax_enable_x64 == before
    assert jnp.zeros(1).dtype == precision
    assert found.mode.dtype == found.factor.dtype == np.float64
    assert np.asarray(found.arrived).all()
    # The search ends at a gradient of 0.01 in every coordinate, where deviations are 1 at most.
    np.testing.assert_allclose(found.mode, np.array([[1.0] * 5, [-3.0] * 5]), atol=0.03)
    factor = np.asarray(found.factor)
    np.testing.assert_array_equal(factor, np.tril(factor))
    np.testing.assert_allclose(
        factor @ factor.transpose(0, 2, 1), covariances, atol=1e-6 if precision == "float64" else 1e-5
    )


def test_mode_and_curvature_of_a_skewed_density():
    mode, covariance = _minimum()
    found = laplace(skewed, _batched(_regression()), np.ones((1, 3)))
    assert np.asarray(found.arrived).all()
    np.testing.assert_allclose(found.mode[0], mode, atol=0.01 * np.sqrt(covariance.max()))
    factor = np.asarray(found.factor[0])
    np.testing.assert_allclose(factor @ factor.T, covariance, rtol=0.02, atol=0.02 * covariance.max())


def test_padding_stays_at_0_uncorrelated_with_the_rest():
    mode, covariance = _minimum()
    active = np.array([[1.0] * 3 + [0.0] * 2])
    found = laplace(with_padding, _batched(_regression()), active)
    assert np.asarray(found.arrived).all()
    np.testing.assert_array_equal(found.mode[0, 3:], 0.0)
    np.testing.assert_allclose(found.mode[0, :3], mode, atol=0.01)
    factor = np.asarray(found.factor[0])
    np.testing.assert_array_equal(factor[3:, :3], 0.0)
    np.testing.assert_array_equal(factor[:3, 3:], 0.0)
    np.testing.assert_array_equal(factor[3:, 3:], np.eye(2))
    np.testing.assert_allclose(factor[:3, :3] @ factor[:3, :3].T, covariance, rtol=0.02, atol=0.02 * covariance.max())


@pytest.mark.parametrize(("density", "data"), [(endless, 0.0), (kinked, 1.3), (hollow, np.nan), (hollow, -np.inf)])
def test_without_a_mode_the_search_has_not_arrived(density, data):
    found = laplace(density, jnp.asarray([data]), np.ones((1, 3)))
    assert not np.asarray(found.arrived).any()
    whitening = whitening_of(found, jnp.float32)
    # Coordinates of the prior, which is about standard.
    assert isinstance(whitening, DenseWhitening)
    np.testing.assert_array_equal(whitening.center, 0.0)
    np.testing.assert_array_equal(whitening.factor[0], np.eye(3))


def test_fits_that_arrive_keep_their_approximation_beside_those_that_do_not():
    data = jnp.asarray([1.3, 0.0])
    found = laplace(kinked_or_round, data, np.ones((2, 3)))
    np.testing.assert_array_equal(found.arrived, [False, True])
    whitening = whitening_of(found, jnp.float32)
    np.testing.assert_array_equal(whitening.center[0], 0.0)
    np.testing.assert_allclose(whitening.center[1], 2.0, atol=0.02)
    # Coordinates are rounded to a thousandth of a deviation.
    np.testing.assert_allclose(whitening.factor[1], np.sqrt(0.5) * np.eye(3), atol=1e-3)


@pytest.mark.usefixtures("float64")
def test_the_search_improves_on_its_start_from_anywhere():
    search = jax.jit(lambda start: find_mode(skewed, _regression(), start))
    mode, _ = _minimum()
    for start in (-2.0, 0.0, 2.0):
        found, iterations = search(jnp.full(3, start))
        np.testing.assert_allclose(found, mode, atol=0.01)
        assert 0 < int(iterations) < 100


@pytest.mark.usefixtures("float64")
def test_directions_that_are_known_a_thousand_times_better_than_their_coordinates_stay_invertible():
    """Two coordinates whose sum alone is known: rounding must not make their factor singular."""
    precision = np.eye(2) + 2.5e7 * np.ones((2, 2))
    found = laplace(gaussian, {"mean": jnp.ones((1, 2)), "precision": jnp.asarray(precision)[None]}, np.ones((1, 2)))
    whitening = whitening_of(found, jnp.float32)
    assert isinstance(whitening, DenseWhitening)
    exact = -0.5 * np.linalg.slogdet(precision)[1]
    np.testing.assert_allclose(whitening.log_determinant(), exact, atol=1e-3)
