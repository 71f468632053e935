"""What may be asked for, and what is said when it may not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.planning.constraints import SMALLEST_SHARE, checked_budget

CHANNELS = ("TV", "Radio", "Print")

amounts = st.floats(0, 100, allow_subnormal=False)
boxes = st.tuples(amounts, amounts).map(lambda pair: (min(pair), max(pair)))


@pytest.mark.smoke
def test_budget_in_the_units_of_the_horizon():
    budget = checked_budget(100.0, {"TV": (10.0, 30.0), "Print": (5, 5)}, CHANNELS, 4.0)
    assert budget.total == 400.0
    np.testing.assert_array_equal(budget.lower, [40.0, 0.0, 20.0])
    np.testing.assert_array_equal(budget.upper, [120.0, np.inf, 20.0])


def test_shares_lie_within_the_total_and_off_zero():
    """A channel may have 0, but the solver looks at it from just above, where every curve has its slope."""
    bounds = {"TV": (0.0, 500.0), "Radio": (0.0, 0.0), "Print": (20.0, 20.0)}
    lower, upper = checked_budget(100.0, bounds, CHANNELS, 1.0).shares
    np.testing.assert_array_equal(lower, [SMALLEST_SHARE, 0.0, 0.2])
    np.testing.assert_array_equal(upper, [1.0, 0.0, 0.2])


@given(st.lists(boxes, min_size=3, max_size=3), st.floats(0.5, 300))
def test_boxes_are_accepted_if_and_only_if_the_total_fits(found, total):
    bounds = dict(zip(CHANNELS, found, strict=True))
    least, most = (sum(side) for side in zip(*found, strict=True))
    if least <= total <= most:
        budget = checked_budget(total, bounds, CHANNELS, 2.0)
        lower, upper = budget.shares
        assert np.all(lower <= upper)
        assert lower.sum() <= 1 + 1e-11
        assert upper.sum() >= min(1.0, most / total) - 1e-11
    elif least > total * (1 + 1e-9) or most < total * (1 - 1e-9):
        with pytest.raises(InfeasibleError, match="bounds sum to"):
            checked_budget(total, bounds, CHANNELS, 2.0)


def test_sums_that_differ_by_rounding_alone_are_accepted():
    thirds = {channel: (0.1, 0.1) for channel in CHANNELS}
    assert sum(low for low, _ in thirds.values()) != 0.3
    checked_budget(0.3, thirds, CHANNELS, 1.0)


@pytest.mark.parametrize("total", [0, -1.0, np.nan, np.inf, None, "much", [1.0, 2.0]])
def test_a_total_must_be_a_positive_number(total):
    with pytest.raises(PlanError, match="`total` must be a positive number"):
        checked_budget(total, None, CHANNELS, 1.0)


@pytest.mark.parametrize("box", [(-1.0, 5.0), (0.0, np.nan), (np.nan, 1.0), (0.0, np.inf), (-np.inf, 1.0)])
def test_bounds_must_be_finite_and_not_negative(box):
    with pytest.raises(PlanError, match="bounds of 'Radio' must be finite and at least 0"):
        checked_budget(10.0, {"Radio": box}, CHANNELS, 1.0)


@pytest.mark.parametrize("box", [5.0, (1.0,), (1.0, 2.0, 3.0), "ab", (None, 1.0), None])
def test_bounds_must_be_two_numbers(box):
    with pytest.raises(PlanError, match=r"bounds of 'Radio' must be two numbers \(lowest, highest\)"):
        checked_budget(10.0, {"Radio": box}, CHANNELS, 1.0)


def test_bounds_must_name_known_channels():
    with pytest.raises(PlanError, match="names the channel 'Cinema'; the fit has TV, Radio, Print"):
        checked_budget(10.0, {"Cinema": (0, 1)}, CHANNELS, 1.0)


def test_bounds_that_cross_name_the_channel_and_both():
    with pytest.raises(InfeasibleError, match=r"lower bound of 'TV', 3\.00, is above its upper bound, 2\.00"):
        checked_budget(10.0, {"TV": (3, 2)}, CHANNELS, 1.0)


def test_lower_bounds_above_the_total_name_the_amount_in_the_users_unit():
    message = r"sum to 1,200\.00, which is 200\.00 more than the total of 1,000\.00.*Radio \(900\.00\), TV \(300\.00\)"
    with pytest.raises(InfeasibleError, match=message):
        checked_budget(1000.0, {"TV": (300, 400), "Radio": (900, 900)}, CHANNELS, 13.0)


def test_upper_bounds_below_the_total_name_the_amount():
    bounds = {"TV": (0, 300), "Radio": (0, 100), "Print": (0, 50)}
    message = r"upper bounds sum to 450\.00, which is 550\.00 less than the total of 1,000\.00.*Print \(50\.00\), Radio"
    with pytest.raises(InfeasibleError, match=message):
        checked_budget(1000.0, bounds, CHANNELS, 1.0)


def test_without_upper_bounds_any_total_fits():
    checked_budget(1e12, {"TV": (0, 300)}, CHANNELS, 1.0)
