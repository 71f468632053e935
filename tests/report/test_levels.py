"""Sliders: how far they go, and where curves are computed."""

import numpy as np
import pytest
from report.plans import RootPlan

from mmm_jax.errors import PlanError
from mmm_jax.report.levels import page_levels

CHANNELS = ("TV", "Radio", "Print")


def levels_of(amounts=(4000.0, 1000.0, 0.0), reference=None, observed_peak=None, geos=0, knots=12, far=""):
    plan = RootPlan(CHANNELS, amounts=amounts, geos=geos, far=far)
    reference = None if reference is None else np.array(reference)
    return page_levels(plan, reference=reference, observed_peak=observed_peak, knots=knots)


def test_sliders_go_to_twice_the_plan_or_beyond_the_reference():
    found = levels_of(reference=[1000.0, 4000.0, 400.0])
    np.testing.assert_allclose(found.highest, [8000.0, 5000.0, 500.0])


def test_a_channel_without_spend_gets_an_even_part_or_what_was_observed():
    assert levels_of(observed_peak={}).highest[2] == pytest.approx(5000.0 / 3)
    # Spread evenly over 4 dates, 50 per date are 200.
    assert levels_of(observed_peak={"Print": 50.0}).highest[2] == pytest.approx(200.0)


@pytest.mark.parametrize("geos", [0, 3])
def test_what_was_observed_is_compared_with_the_largest_period_of_all_geos(geos):
    found = levels_of(observed_peak={"TV": 2000.0}, geos=geos)
    # 40% of the spend are on one date.
    np.testing.assert_allclose(found.observed, [5000.0, np.inf, np.inf])


@pytest.mark.parametrize("geos", [0, 3])
def test_the_plan_itself_says_what_was_observed(geos):
    np.testing.assert_allclose(levels_of(far="TV", geos=geos).observed, [2000.0, 2000.0, np.inf])


@pytest.mark.parametrize("reference", [None, [1000.0, 4000.0, 400.0], [4000.0, 1000.0, 0.0], [1.0, 1e7, 8000.0]])
def test_plan_and_ends_are_among_the_knots(reference):
    found = levels_of(reference=reference)
    np.testing.assert_array_equal(found.positions[:, [0, -1]], [[0, 1]] * 3)
    assert (np.diff(found.positions) > 0).all()
    for row, place in zip(found.positions, found.position(found.plan), strict=True):
        assert np.abs(row - place).min() < 1e-12


def test_the_reference_is_a_knot_where_the_plan_is_none():
    found = levels_of(reference=[1000.0, 4000.0, 400.0])
    for row, place in zip(found.positions, found.position(found.reference), strict=True):
        assert np.abs(row - place).min() < 1e-12


@pytest.mark.parametrize("geos", [0, 3])
def test_spend_at_a_knot_is_spread_as_the_plan_is(geos):
    found = levels_of(geos=geos)
    spend = found.spend_at(found.positions[:, 4])
    assert spend.dims == RootPlan(geos=geos).spend.dims
    over = [dim for dim in spend.dims if dim != "channel"]
    np.testing.assert_allclose(spend.sum(over), found.highest * found.positions[:, 4] ** 2)
    np.testing.assert_allclose(found.profile.sum(over), 1.0)
    tv = spend.sum("geo") if geos else spend
    np.testing.assert_allclose(tv.sel(channel="TV") / tv.sel(channel="TV").sum(), [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("peaks", "message"),
    [
        ({"Cinema": 1.0}, "names the channel 'Cinema'; the plan has TV, Radio, Print"),
        ({"TV": 0.0}, "above 0, got 0.0 for 'TV'"),
    ],
)
def test_peaks_that_cannot_be_used_say_why(peaks, message):
    with pytest.raises(PlanError, match=message):
        levels_of(observed_peak=peaks)


def test_profiles_of_unspent_channels_are_even():
    np.testing.assert_allclose(levels_of(geos=2).profile.sel(channel="Print"), 1 / 8)
