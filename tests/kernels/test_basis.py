import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mmm_jax.kernels import basis

fourier, hinges, hats = jax.jit(basis.fourier, static_argnames="order"), jax.jit(basis.hinges), jax.jit(basis.hats)
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@pytest.mark.smoke
@pytest.mark.parametrize("order", [1, 2, 5])
def test_fourier_rows_are_sines_then_cosines(precision, order):
    days = np.array([1.0, 59.0, 60.0, 182.5, 365.0, 366.0])
    rows = np.asarray(fourier(jnp.asarray(days), order))
    assert rows.shape == (2 * order, len(days))
    for wave in range(1, order + 1):
        angle = 2 * np.pi * wave * days / 365.25
        np.testing.assert_allclose(rows[wave - 1], np.sin(angle), atol=TOLERANCE[precision])
        np.testing.assert_allclose(rows[order + wave - 1], np.cos(angle), atol=TOLERANCE[precision])


def test_fourier_of_order_zero_is_empty(precision):
    assert fourier(jnp.arange(3.0), 0).shape == (0, 3)


@given(days=npst.arrays(float, 5, elements=st.integers(0, 366).map(float)), order=st.sampled_from([1, 5]))
def test_fourier_has_a_period_of_a_year_and_unit_waves(float64, days, order):
    rows = np.asarray(fourier(jnp.asarray(days), order))
    later = np.asarray(fourier(jnp.asarray(days + 365.25), order))
    np.testing.assert_allclose(rows, later, atol=1e-11)
    np.testing.assert_allclose(rows[:order] ** 2 + rows[order:] ** 2, 1.0, atol=1e-12)


@given(position=strategies.between(-1.0, 2.0, 6), changepoints=strategies.between(0.0, 1.0, 3))
def test_hinges_are_zero_before_and_rise_by_one_after_their_changepoint(precision, position, changepoints):
    rows = hinges(jnp.asarray(position), jnp.asarray(changepoints))
    expected = [[max(place - bend, 0.0) for place in position] for bend in changepoints]
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert np.all(np.asarray(rows) >= 0)


KNOTS = st.lists(st.integers(0, 20), min_size=4, max_size=4, unique=True).map(lambda places: np.array(sorted(places)) / 4)


@given(position=strategies.between(-1.0, 7.0, 9), knots=KNOTS, values=strategies.between(-5.0, 5.0, 4))
def test_hats_interpolate_and_hold_the_values_at_the_ends(precision, position, knots, values):
    rows = np.asarray(hats(jnp.asarray(position), jnp.asarray(knots)))
    np.testing.assert_allclose(values @ rows, np.interp(position, knots, values), atol=20 * TOLERANCE[precision])


@given(position=strategies.between(-1.0, 7.0, 9), knots=KNOTS)
def test_hats_are_a_partition_of_unity(precision, position, knots):
    rows = np.asarray(hats(jnp.asarray(position), jnp.asarray(knots)))
    assert np.all(rows >= 0)
    np.testing.assert_allclose(rows.sum(axis=0), 1.0, atol=TOLERANCE[precision])
    assert np.all((rows > 0).sum(axis=0) <= 2)


@given(knots=KNOTS)
def test_hats_are_one_at_their_knot_and_zero_at_all_others(precision, knots):
    rows = hats(jnp.asarray(knots), jnp.asarray(knots))
    np.testing.assert_allclose(rows, np.eye(len(knots)), atol=TOLERANCE[precision])


def test_one_hat_is_constant(precision):
    np.testing.assert_array_equal(hats(jnp.asarray([-1.0, 0.5, 9.0]), jnp.asarray([0.5])), np.ones((1, 3)))
