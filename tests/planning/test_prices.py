"""Prices: what spend buys, against the documented cost inverted by search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from mmm_jax.errors import PlanError
from mmm_jax.planning.prices import Price, Rates

positive = st.floats(0.01, 1e3)


def cost_of(units, cost, rise, base):
    """The documented formula."""
    return cost * base / (1 + rise) * ((1 + units / base) ** (1 + rise) - 1)


@given(st.floats(0.1, 1e3), positive, st.floats(0.05, 3.0), positive)
def test_units_are_what_costs_the_spend(spend, cost, rise, base):
    units = float(Price(cost, rise, base).units(np.array([spend]))[0])
    searched = brentq(lambda u: cost_of(u, cost, rise, base) - spend, 0.0, spend / cost, xtol=1e-300, rtol=1e-14)
    assert units == pytest.approx(searched, rel=1e-8)


@given(st.floats(1e-6, 1e4), positive, st.floats(0.0, 3.0), positive)
def test_the_last_unit_costs_what_is_said(spend, cost, rise, base):
    """`cost * (1 + u / base)**rise`."""
    price, near = Price(cost, rise, base), 1e-5
    low, units, high = price.units(spend * np.array([1 - near, 1.0, 1 + near]))
    assert 2 * near * spend / (high - low) == pytest.approx(cost * (1 + units / base) ** rise, rel=1e-5)


@given(st.floats(0.0, 1e3), positive, st.floats(0.0, 3.0), positive)
def test_spend_is_the_cost_of_the_units(units, cost, rise, base):
    price = Price(cost, rise, base)
    spend = price.spend(np.array([units]))
    assert spend[0] == pytest.approx(cost_of(units, cost, rise, base), rel=1e-7, abs=1e-7)
    np.testing.assert_allclose(price.units(spend), units, rtol=1e-9, atol=1e-12)


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), positive)
def test_a_constant_price_divides(spend, cost):
    np.testing.assert_allclose(Price(cost).units(np.array(spend)), np.array(spend) / cost, rtol=1e-14)


def test_a_price_that_hardly_rises_is_nearly_constant():
    spend = np.array([0.0, 1e-9, 3.0, 1e4])
    np.testing.assert_allclose(Price(2.0, 1e-10, 50.0).units(spend), spend / 2.0, rtol=1e-8)


def test_nothing_buys_nothing_and_more_buys_more_at_a_falling_pace():
    units = Price(2.0, 0.8, 10.0).units(np.linspace(0, 500, 101))
    assert units[0] == 0.0
    assert np.all(np.diff(units) > 0)
    assert np.all(np.diff(units, 2) < 0)


def test_costs_by_date_apply_to_their_dates():
    costs, spend = [1.0, 2.0, 4.0], np.array([[8.0, 8.0, 8.0], [4.0, 2.0, 0.0]])
    np.testing.assert_allclose(Price(costs).units(spend), spend / costs)
    for rise in (0.5, 2.0):
        together = Price(costs, rise, 3.0).units(spend)
        for date, cost in enumerate(costs):
            np.testing.assert_allclose(together[:, date], Price(cost, rise, 3.0).units(spend[:, date]), rtol=1e-13)


CHANNELS, DATES = ("TV", "Radio", "Print"), 4
SCALES = np.array([[50.0, 2.0, 7.0], [80.0, 3.0, 9.0]])
PRICES = {"Radio": Price([1.0, 2.0, 3.0, 4.0], 0.6, 20.0), "Print": Price(2.5)}


@pytest.mark.usefixtures("float64")
def test_media_are_units_in_scaled_media():
    rates = Rates.build(PRICES, CHANNELS, DATES, SCALES)
    assert rates.rises
    spend = np.random.default_rng(0).uniform(0, 200, (2, 3, DATES))
    media = rates.media(jnp.asarray(spend))
    for geo in range(2):
        for place, channel in enumerate(CHANNELS):
            units = PRICES.get(channel, Price(1.0)).units(spend[geo, place])
            np.testing.assert_allclose(media[geo, place], units / SCALES[geo, place], rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_media_have_finite_slopes_where_nothing_is_spent():
    rates = jax.tree.map(jnp.asarray, Rates.build(PRICES, CHANNELS, DATES, SCALES))
    slope = jax.grad(lambda spend: rates.media(spend).sum())(jnp.zeros((2, 3, DATES)))
    np.testing.assert_allclose(slope, rates.per_currency, rtol=1e-13)


def test_without_rises_nothing_rises():
    rates = Rates.build({"Print": Price(2.5)}, CHANNELS, DATES, SCALES)
    assert not rates.rises
    spend = np.ones((2, 3, DATES))
    np.testing.assert_allclose(rates.media(jnp.asarray(spend)), spend * rates.per_currency, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cost": 0.0}, "`cost` of a Price must be positive"),
        ({"cost": -1.0}, "`cost` of a Price must be positive"),
        ({"cost": np.nan}, "`cost` of a Price must be positive"),
        ({"cost": []}, "`cost` of a Price must be positive"),
        ({"cost": [1.0, 0.0]}, "`cost` of a Price must be positive"),
        ({"cost": [[1.0]]}, "one number or one per date"),
        ({"cost": 1.0, "rise": -0.1}, "`rise` of a Price must be at least 0, got -0.1"),
        ({"cost": 1.0, "rise": np.inf, "base": 1.0}, "`rise` of a Price must be at least 0"),
        ({"cost": 1.0, "rise": 0.5}, "A Price that rises needs `base`"),
        ({"cost": 1.0, "rise": 0.5, "base": 0.0}, "A Price that rises needs `base`"),
        ({"cost": 1.0, "rise": 0.5, "base": np.inf}, "A Price that rises needs `base`"),
    ],
)
def test_prices_without_meaning_are_refused(given, message):
    with pytest.raises(PlanError, match=message):
        Price(**given)


def test_prices_must_fit_channels_and_dates():
    with pytest.raises(PlanError, match="`prices` names the channel 'Cinema'; the fit has TV, Radio, Print"):
        Rates.build({"Cinema": Price(1.0)}, CHANNELS, DATES, SCALES)
    with pytest.raises(PlanError, match="The price of 'TV' has 2 costs, the horizon 4 dates"):
        Rates.build({"TV": Price([1.0, 2.0])}, CHANNELS, DATES, SCALES)
