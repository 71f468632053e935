import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies
from hypothesis import given

from mmm_jax.kernels.numerics import precision_scope, safe_divide, safe_log, safe_power, tiny


@pytest.mark.smoke
def test_precision_scope_holds_inside_only(precision):
    assert jnp.zeros(1).dtype == precision
    other = "float32" if precision == "float64" else "float64"
    with precision_scope(other):
        assert jnp.zeros(1).dtype == other
    assert jnp.zeros(1).dtype == precision


def test_precision_scope_ends_with_an_exception():
    with pytest.raises(RuntimeError, match="inside"), precision_scope("float64"):
        raise RuntimeError("inside")
    assert jnp.zeros(1).dtype == "float32"


def test_tiny_is_the_smallest_normal_number(precision):
    assert tiny(jnp.zeros(1)) == float(np.finfo(precision).tiny)


_all_three = jax.jit(lambda x, y, p: (safe_log(x), safe_power(x, p), safe_divide(x, y)))


@given(x=strategies.between(1e-3, 100.0), y=strategies.between(-3.0, 3.0), p=strategies.between(0.05, 4.0))
def test_at_regular_points_they_are_the_plain_operations(precision, x, y, p):
    rtol = 1e-6 if precision == "float32" else 1e-13
    nonzero = np.where(y == 0, 1.0, y)
    logarithm, power, ratio = _all_three(jnp.asarray(x), jnp.asarray(nonzero), jnp.asarray(p))
    np.testing.assert_allclose(logarithm, np.log(x), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(power, x**p, rtol=10 * rtol)
    np.testing.assert_allclose(ratio, x / nonzero, rtol=rtol)


def test_safe_log_is_finite_and_flat_at_zero(precision):
    value, slope = jax.value_and_grad(safe_log)(jnp.asarray(0.0))
    assert value == jnp.log(tiny(value))
    assert slope == 0.0


@pytest.mark.parametrize("x", [0.0, -2.0])
@pytest.mark.parametrize("exponent", [1e-3, 0.5, 1.0, 7.0])
def test_safe_power_is_zero_and_flat_without_spend(precision, x, exponent):
    value, slopes = jax.value_and_grad(safe_power, argnums=(0, 1))(jnp.asarray(x), jnp.asarray(exponent))
    assert (value, *slopes) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("numerator", [0.0, 1.0, -3.0])
def test_safe_divide_by_zero_is_zero_and_flat(precision, numerator):
    value, slopes = jax.value_and_grad(safe_divide, argnums=(0, 1))(jnp.asarray(numerator), jnp.asarray(0.0))
    assert (value, *slopes) == (0.0, 0.0, 0.0)


def test_arguments_broadcast(precision):
    rows, column = jnp.arange(6.0).reshape(2, 3), jnp.asarray([[2.0], [0.0]])
    np.testing.assert_allclose(safe_divide(rows, column), [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(safe_power(rows, column + 1.0), [[0.0, 1.0, 8.0], [3.0, 4.0, 5.0]], rtol=1e-6)
