"""Newton's search for the mode: how it gets there, and what it must not take for a mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.inference.laplace import laplace
from mmm_jax.inference.newton import newton


def gaussian(flat, data):
    shifted = flat - data["mean"]
    return -0.5 * shifted @ data["precision"] @ shifted


def valley(flat, scale):
    """Rosenbrock's curved valley; the mode is at (1, 1)."""
    return -scale * (flat[1] - flat[0] ** 2) ** 2 - 0.5 * (1.0 - flat[0]) ** 2


def hopeless(flat, case):
    """No mode: a kink, a slope without an end, no number at the start, and a saddle there."""
    cases = (
        -jnp.sum(jnp.abs(flat - 1.3)),
        jnp.sum(flat),
        jnp.where(jnp.sum(flat**2) > 0.25, -jnp.sum(flat**2), jnp.nan),
        flat[0] ** 2 - flat[1] ** 2 - flat[0] ** 4,
    )
    return jnp.select([case == k for k in range(len(cases))], cases)


@pytest.mark.smoke
def test_gaussians_take_one_step(precision):
    rng, fits, covariances = np.random.default_rng(1), [], []
    for mean in (1.0, -3.0):
        rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
        covariances.append(rotation @ np.diag(np.geomspace(0.01, 1.0, 5)) @ rotation.T)
        fits.append({"mean": jnp.full(5, mean), "precision": jnp.asarray(np.linalg.inv(covariances[-1]))})
    found = laplace(gaussian, jax.tree.map(lambda *values: jnp.stack(values), *fits), np.ones((2, 5)))
    assert jnp.zeros(1).dtype == precision
    assert found.mode.dtype == np.float64
    assert np.asarray(found.arrived).all()
    assert (np.asarray(found.iterations) <= 3).all()
    np.testing.assert_allclose(found.mode, [[1.0] * 5, [-3.0] * 5], atol=1e-4)
    factor = np.asarray(found.factor)
    np.testing.assert_array_equal(factor, np.tril(factor))
    tolerance = 1e-6 if precision == "float64" else 1e-5
    np.testing.assert_allclose(factor @ factor.transpose(0, 2, 1), covariances, atol=tolerance)


def test_curved_valleys_are_followed_to_their_end():
    found = laplace(valley, jnp.array([1.0, 100.0]), np.ones((2, 2)))
    assert np.asarray(found.arrived).all()
    np.testing.assert_allclose(found.mode, np.ones((2, 2)), atol=1e-3)


def test_what_is_no_mode_does_not_count_as_one():
    found = laplace(hopeless, jnp.arange(4), np.ones((4, 2)))
    np.testing.assert_array_equal(found.arrived, False)


def test_nothing_is_asked_of_fits_that_have_arrived():
    """One fit starts at its mode, the other far down a curved valley."""
    asked = []

    def evaluate(points, wanted):
        asked.append(wanted.copy())
        values, slopes = jax.vmap(jax.vmap(jax.value_and_grad(lambda flat: valley(flat, 100.0))))(jnp.asarray(points))
        values, slopes = np.array(values), np.array(slopes)
        values[~wanted], slopes[~wanted] = np.nan, np.nan
        return values, slopes

    with jax.enable_x64(True):
        peak = newton(evaluate, np.array([[1.0, 1.0], [-1.0, 2.0]]))
    np.testing.assert_allclose(peak.mode, 1.0, atol=1e-3)
    # Its Hessian is wanted still, and nothing after that.
    assert sum(wanted[0] for wanted in asked) == 2
    assert sum(wanted[1] for wanted in asked) > 10
    assert np.isfinite(peak.hessian).all()
