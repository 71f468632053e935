"""Fits of the normal distribution's functions, against SciPy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from mmm_jax.kernels.normal import (
    LOG_2,
    LOG_SQRT_2PI,
    half_normal_log_derivative,
    half_normal_quantile,
    laplace_log_derivative,
    laplace_quantile,
    log_ndtr,
)

# Relative, where the result is no worse conditioned than its argument. In float64 the functions are JAX's own, whose
# logarithm of a probability near 1 has an absolute error only.
RELATIVE = {"float32": 4e-7, "float64": 1e-10}
ABSOLUTE = {"float32": 0.0, "float64": 4e-16}

FUNCTIONS = {"log_ndtr": log_ndtr, "laplace": laplace_quantile, "half-normal": half_normal_quantile}
LOG_DERIVATIVES = {"laplace": laplace_log_derivative, "half-normal": half_normal_log_derivative}
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_quantile = pytest.mark.parametrize("name", LOG_DERIVATIVES)


def slope(function):
    return jax.jit(jax.vmap(jax.grad(function)))


def curvature(function):
    return slope(jax.grad(function))


def line(low: float, high: float) -> jax.Array:
    """A hundredth apart, with 0 itself."""
    return jnp.arange(round(100 * low), round(100 * high) + 1) / 100.0


def double(x) -> np.ndarray:
    return np.asarray(x, float)


def hazard(x: np.ndarray) -> np.ndarray:
    """`phi(x) / Phi(x)`."""
    return np.exp(-0.5 * x * x - LOG_SQRT_2PI - special.log_ndtr(x))


def quantile(name: str, z: np.ndarray) -> np.ndarray:
    """Each part in the form that loses no digits there."""
    size = np.abs(z)
    if name == "half-normal":
        return np.where(z < 0, np.sqrt(2.0) * special.erfinv(special.ndtr(-size)), -special.ndtri(0.5 * special.ndtr(-size)))
    near, far = -np.log1p(-special.erf(np.minimum(size, 1.0) / np.sqrt(2.0))), -np.log(2.0) - special.log_ndtr(-size)
    return np.sign(z) * np.where(size < 1, near, far)


def quantile_slope(name: str, z: np.ndarray) -> np.ndarray:
    """`phi(z)` over the density at the quantile."""
    size = quantile(name, z)
    if name == "half-normal":
        return 0.5 * np.exp(0.5 * (size - z) * (size + z))
    return np.sqrt(2.0 / np.pi) * np.exp(np.abs(size) - 0.5 * z * z)


def assert_close(found, expected, relative, absolute=0.0) -> None:
    """With a relative tolerance that may differ from element to element."""
    difference = np.abs(double(found) - expected)
    allowed = relative * np.abs(expected) + absolute
    worst = np.argmax(difference / np.maximum(allowed, np.finfo(float).tiny))
    assert np.all(difference <= allowed), f"at {worst}: {found[worst]} instead of {expected[worst]}"


@pytest.mark.smoke
def test_log_ndtr_equals_scipy(precision):
    x = line(-30.0, 12.0)
    found = jax.jit(log_ndtr)(x)
    assert found.dtype == precision
    # Far to the right it is a tail probability, to which the rounding of x**2 / 2 is a relative error.
    conditioned = RELATIVE[precision] * (1 + 0.5 * np.maximum(double(x), 0.0) ** 2)
    assert_close(found, special.log_ndtr(double(x)), conditioned, ABSOLUTE[precision])


def test_log_ndtr_at_the_extremes(precision):
    x = jnp.array([-1e4, -200.0, 0.0, 40.0, 1e4])
    assert_close(jax.jit(log_ndtr)(x), special.log_ndtr(double(x)), 2e-6, 1e-37)
    for values in (slope(log_ndtr)(x), curvature(log_ndtr)(x)):
        assert np.isfinite(values).all()
    assert not np.any(slope(log_ndtr)(x)[-2:])


def test_log_ndtr_is_negative_and_increases(precision):
    x = line(-30.0, 12.0)
    values = double(jax.jit(log_ndtr)(x))
    steps = np.diff(values)
    assert np.all(values < 0)
    # In float64 JAX's own has steps where the probability is 1 up to rounding.
    assert np.all(steps >= 0)
    assert np.all(steps[double(x)[1:] < 5] > 0)


def test_slope_of_log_ndtr_is_the_hazard(precision):
    x = line(-30.0, 12.0)
    conditioned = RELATIVE[precision] * (1 + 0.5 * double(x) ** 2)
    assert_close(slope(log_ndtr)(x), hazard(double(x)), conditioned)


def test_curvature_of_log_ndtr_is_that_of_the_closed_form(precision):
    x = line(-30.0, 12.0)
    found, rate = double(curvature(log_ndtr)(x)), hazard(double(x))
    assert np.isfinite(found).all()
    near = np.abs(double(x)) <= 4
    tolerance = 5e-5 if precision == "float32" else 1e-11
    np.testing.assert_allclose(found[near], (-rate * (rate + double(x)))[near], rtol=0, atol=tolerance)


@pytest.mark.smoke
@every_quantile
def test_quantiles_equal_scipy(name, precision):
    z = line(-8.0, 8.0)
    found = jax.jit(FUNCTIONS[name])(z)
    assert found.dtype == precision
    relative = {"float32": 3e-6, "float64": 1e-11}[precision]
    if name == "half-normal":
        # Far to the left it is about a tail probability, to which the rounding of z**2 / 2 is a relative error.
        relative = np.maximum(relative, 1.3 * np.finfo(precision).eps * 0.5 * np.minimum(double(z), 0.0) ** 2)
    assert_close(found, quantile(name, double(z)), relative, ABSOLUTE[precision] if name == "laplace" else 0.0)


@every_quantile
def test_quantiles_increase(name, precision):
    assert np.all(np.diff(jax.jit(FUNCTIONS[name])(line(-8.0, 8.0))) > 0)


def test_laplace_quantile_is_odd(precision):
    z = line(0.0, 8.0)
    np.testing.assert_array_equal(laplace_quantile(-z), -laplace_quantile(z))


@every_quantile
def test_slopes_of_quantiles_are_the_ratio_of_the_densities(name, precision):
    z = line(-8.0, 8.0)
    expected = quantile_slope(name, double(z))
    relative = {"float32": 1e-5, "float64": 1e-12}[precision]
    assert_close(slope(FUNCTIONS[name])(z), expected, relative)
    assert_close(jnp.exp(LOG_DERIVATIVES[name](z, FUNCTIONS[name](z))), expected, relative)


@every_quantile
def test_curvatures_of_quantiles_are_finite(name, precision):
    assert np.isfinite(curvature(FUNCTIONS[name])(line(-8.0, 8.0))).all()


CENTRE = {
    "log_ndtr": (-LOG_2, np.sqrt(2.0 / np.pi)),
    "laplace": (0.0, np.sqrt(2.0 / np.pi)),
    "half-normal": (special.ndtri(0.75), 0.5 * np.exp(0.5 * special.ndtri(0.75) ** 2)),
}


@every_function
def test_value_and_slope_are_continuous_at_zero(name, precision):
    """Where two forms meet and searches start: at 0 itself and on either side of it."""
    x = jnp.array([-1e-20, -0.0, 0.0, 1e-20])
    value, gradient = CENTRE[name]
    tolerance = 4 * np.finfo(precision).eps
    np.testing.assert_allclose(jax.jit(FUNCTIONS[name])(x), np.full(4, value), rtol=tolerance, atol=1e-16)
    np.testing.assert_allclose(slope(FUNCTIONS[name])(x), np.full(4, gradient), rtol=tolerance)
