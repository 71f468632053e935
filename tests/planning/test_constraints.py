"""Constraints: their rows against the words of their docstrings, by loops over the cells, and what is refused."""

import numpy as np
import pytest

from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.planning.constraints import (
    Box,
    Group,
    Ratio,
    SameAcrossGeos,
    Step,
    Total,
    checked_bounds,
    checked_total,
)
from mmm_jax.planning.decisions import Decisions, National

CHANNELS, GEOS = ("TV", "Radio", "Print"), ("north", "south")
DATES = np.datetime64("2024-01-01") + 7 * np.arange(4)
SHAPE = (len(GEOS), len(CHANNELS), len(DATES))
BEFORE = np.random.default_rng(7).uniform(0.5, 1.5, SHAPE[:2])
MIDDLE = ("2024-01-08", "2024-01-21")
MIDDLE_DATES = (1, 2)


def market(dates=4, geos=GEOS):
    shape = (len(geos), len(CHANNELS), dates)
    return Decisions(("geo", "channel", "date"), DATES[:dates], CHANNELS, geos, np.ones(shape))


MARKET = market()


def holds(rows, spend):
    sums = np.tensordot(rows.coefficients, spend, axes=3)
    return bool(np.all(sums >= rows.lower - 1e-12) and np.all(sums <= rows.upper + 1e-12))


def cells(channels=CHANNELS, geos=GEOS, dates=range(4)):
    return [(GEOS.index(geo), CHANNELS.index(channel), date) for geo in geos for channel in channels for date in dates]


def total_of(spend, *parts):
    return sum(spend[place] for place in cells(*parts))


def per_date(spend, channels=CHANNELS, geos=GEOS, dates=range(4)):
    return [total_of(spend, channels, geos, [date]) for date in dates]


def steps(spend, channels=CHANNELS, geos=GEOS, from_before=False):
    """Spend of every period and that of the one before it."""
    pairs = []
    for geo, channel, date in cells(channels, geos):
        if date > 0 or from_before:
            pairs.append((spend[geo, channel, date], spend[geo, channel, date - 1] if date else BEFORE[geo, channel]))
    return pairs


NAIVE = {
    "total": (Total(24.0), lambda x: np.isclose(total_of(x), 24.0)),
    "total at most": (Total(24.0, at_most=True), lambda x: total_of(x) <= 24.0),
    "total of every period": (Total(6.0, at_most=True, per="period"), lambda x: max(per_date(x)) <= 6.0),
    "total of exactly so much in every period": (Total(6.0, per="period"), lambda x: np.allclose(per_date(x), 6.0)),
    "box": (Box(lower=0.2, upper=1.5), lambda x: all(0.2 <= x[place] <= 1.5 for place in cells())),
    "box of some": (
        Box("TV", upper=1.2, dates=MIDDLE, geos="south"),
        lambda x: all(x[place] <= 1.2 for place in cells(["TV"], ["south"], MIDDLE_DATES)),
    ),
    "group": (
        Group(["TV", "Print"], lower=14.0, upper=17.0),
        lambda x: 14.0 <= total_of(x, ["TV", "Print"]) <= 17.0,
    ),
    "group of some": (
        Group("Radio", upper=2.0, dates=MIDDLE, geos=["north"]),
        lambda x: total_of(x, ["Radio"], ["north"], MIDDLE_DATES) <= 2.0,
    ),
    "group of every period": (
        Group(["TV", "Radio"], lower=3.5, dates=MIDDLE, per="period"),
        lambda x: min(per_date(x, ["TV", "Radio"], GEOS, MIDDLE_DATES)) >= 3.5,
    ),
    "ratio to all": (Ratio("TV", lower=0.3, upper=0.36), lambda x: 0.3 <= total_of(x, ["TV"]) / total_of(x) <= 0.36),
    "ratio to others": (
        Ratio("TV", of=["Radio", "Print"], lower=0.5),
        lambda x: total_of(x, ["TV"]) >= 0.5 * total_of(x, ["Radio", "Print"]),
    ),
    "ratio of some": (
        Ratio(["TV", "Radio"], of="Print", upper=2.0, dates=MIDDLE, geos="north"),
        lambda x: (
            total_of(x, ["TV", "Radio"], ["north"], MIDDLE_DATES) <= 2.0 * total_of(x, ["Print"], ["north"], MIDDLE_DATES)
        ),
    ),
    "steps": (
        Step(["TV", "Print"], up=0.7, down=0.9),
        lambda x: all(-0.9 <= now - then <= 0.7 for now, then in steps(x, ["TV", "Print"])),
    ),
    "steps up": (Step(up=0.8, geos="south"), lambda x: all(now - then <= 0.8 for now, then in steps(x, geos=["south"]))),
    "relative steps": (
        Step("TV", up=0.8, down=0.45, relative=True),
        lambda x: all(0.55 * then <= now <= 1.8 * then for now, then in steps(x, ["TV"])),
    ),
    "steps from before": (
        Step("Radio", up=0.6, down=0.8, from_before=True),
        lambda x: all(-0.8 <= now - then <= 0.6 for now, then in steps(x, ["Radio"], from_before=True)),
    ),
    "relative steps from before": (
        Step("Radio", up=1.5, down=0.6, relative=True, from_before=True),
        lambda x: all(0.4 * then <= now <= 2.5 * then for now, then in steps(x, ["Radio"], from_before=True)),
    ),
    "same across geos": (
        SameAcrossGeos("TV"),
        lambda x: all(np.isclose(x[0, 0, date], x[1, 0, date]) for date in range(4)),
    ),
    "in proportion across geos": (
        SameAcrossGeos(weights={"south": 3.0, "north": 1.5}),
        lambda x: all(np.isclose(x[place], 0.5 * x[1, place[1], place[2]]) for place in cells(geos=["north"])),
    ),
}


def some_plans(name, count=400):
    """Random plans, made even where a constraint asks for equality, so that about half of them satisfy it."""
    rng = np.random.default_rng(len(name))
    spread = rng.uniform(0.05, 0.95, (count, 1, 1, 1))
    plans = 1.0 + spread * rng.uniform(-1.0, 1.0, (count, *SHAPE))
    even = rng.random(count) < 0.5
    if name == "total":
        plans[even] *= 24.0 / plans[even].sum(axis=(1, 2, 3), keepdims=True)
    if name == "total of exactly so much in every period":
        plans[even] *= 6.0 / plans[even].sum(axis=(1, 2), keepdims=True)
    if name == "same across geos":
        plans[even, 1, 0] = plans[even, 0, 0]
    if name == "in proportion across geos":
        plans[even, 1] = 2.0 * plans[even, 0]
    return plans


@pytest.mark.parametrize("name", NAIVE)
def test_rows_hold_just_where_the_words_do(name):
    constraint, naive = NAIVE[name]
    rows = constraint.rows(MARKET, BEFORE)
    plans = some_plans(name)
    expected = [bool(naive(plan)) for plan in plans]
    assert 20 < sum(expected) < len(expected) - 20
    assert [holds(rows, plan) for plan in plans] == expected


@pytest.mark.parametrize("name", NAIVE)
def test_a_given_label_is_kept(name):
    constraint, _ = NAIVE[name]
    named = type(constraint)(**(vars(constraint) | {"label": "what the board wants"}))
    assert named.rows(MARKET, BEFORE).label == "what the board wants"


@pytest.mark.parametrize(
    ("constraint", "label"),
    [
        (Total(24.0), "the total of 24.00"),
        (Total(1234.5, at_most=True, per="period"), "the total of at most 1,234.50 in every period"),
        (Box("TV", upper=1.2, dates=MIDDLE), "every period of 'TV' at most 1.2 from 2024-01-08 to 2024-01-21"),
        (Box(lower=1.0, upper=2.0), "every period of all channels from 1 to 2"),
        (Group(["TV", "Print"], lower=14.0), "'TV' + 'Print' together at least 14"),
        (Group("TV", upper=3.0, per="period"), "'TV' together at most 3 in every period"),
        (Ratio("TV", lower=0.4), "'TV' at least 0.4 of all spend"),
        (Ratio("TV", of=["Radio", "Print"], upper=2.0), "'TV' at most 2 of 'Radio' + 'Print'"),
        (Step("TV", up=5.0), "steps of 'TV' of at most 5 up"),
        (Step(up=0.2, down=0.1, relative=True), "steps of all channels of at most 20% up and 10% down"),
        (SameAcrossGeos("TV"), "the same spend on 'TV' in all geos"),
    ],
)
def test_labels_say_what_is_asked(constraint, label):
    assert constraint.rows(MARKET, BEFORE).label == label


def test_only_the_total_is_a_total():
    assert Total(1.0).rows(MARKET, BEFORE).total
    assert not any(c.rows(MARKET, BEFORE).total for c, _ in NAIVE.values() if not isinstance(c, Total))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Total(0.0), "`total` of Total must be positive, got 0.0"),
        (lambda: Total(np.nan), "`total` of Total must be positive"),
        (lambda: Total("much"), "`total` of Total must be positive, got 'much'"),
        (lambda: Total(1.0, per="week"), "`per` must be 'horizon' or 'period', got 'week'"),
        (lambda: Box(lower=-1.0), "`lower` and `upper` of a Box must be numbers of at least 0"),
        (lambda: Box(upper=np.nan), "`lower` and `upper` of a Box must be numbers"),
        (lambda: Box(upper="much"), "`lower` and `upper` of a Box must be numbers"),
        (lambda: Group("TV", lower=np.inf), "`lower` and `upper` of a Group must be numbers"),
        (lambda: Group("TV", lower=-np.inf), "`lower` and `upper` of a Group must be numbers"),
        (lambda: Ratio("TV", lower=-0.1), "`lower` and `upper` of a Ratio must be numbers"),
        (lambda: Step(up=-1.0), "`up` of Step must be at least 0, got -1.0"),
        (lambda: Step(down=np.nan), "`down` of Step must be at least 0"),
        (lambda: Ratio("TV").rows(MARKET, BEFORE), "A Ratio of 'TV' needs `lower` or `upper`"),
        (lambda: Step("TV").rows(MARKET, BEFORE), "A Step needs `up` or `down`"),
        (lambda: Step(up=1.0).rows(market(dates=1), BEFORE), "the horizon has 1 date. Set `from_before`"),
        (lambda: Box("Cinema", upper=1.0).rows(MARKET, BEFORE), "There is no channel 'Cinema'"),
        (lambda: Group(["TV", "Cinema"], upper=1.0).rows(MARKET, BEFORE), "There is no channel 'Cinema'"),
        (lambda: Ratio("TV", of="Cinema", upper=1.0).rows(MARKET, BEFORE), "There is no channel 'Cinema'"),
        (lambda: Step("Cinema", up=1.0).rows(MARKET, BEFORE), "There is no channel 'Cinema'"),
        (lambda: Box("TV", upper=1.0, geos="west").rows(MARKET, BEFORE), "There is no geo 'west'"),
        (lambda: SameAcrossGeos().rows(market(geos=(National,)), BEFORE[:1]), "needs a plan of several geos"),
        (lambda: SameAcrossGeos(weights={"north": 1.0}).rows(MARKET, BEFORE), "must name each of north, south"),
        (
            lambda: SameAcrossGeos(weights={"north": 1.0, "south": 0.0}).rows(MARKET, BEFORE),
            "`weights` of SameAcrossGeos must be positive",
        ),
    ],
)
def test_what_cannot_be_asked_for(make, message):
    with pytest.raises(PlanError, match=message):
        make()


@pytest.mark.parametrize(
    "make", [lambda: Box(lower=2.0, upper=1.0), lambda: Group("TV", 2.0, 1.0), lambda: Ratio("TV", lower=0.5, upper=0.4)]
)
def test_ends_that_cross(make):
    with pytest.raises(InfeasibleError, match="exclude each other: .* is above"):
        make()


def test_bounds_are_of_channels_over_all_dates_and_geos():
    rows = [one.rows(MARKET, BEFORE) for one in checked_bounds({"TV": (2.0, 3), "Print": (1, 1)}, CHANNELS, 4.0)]
    assert [row.label for row in rows] == ["the bounds of 'TV'", "the bounds of 'Print'"]
    for row, channel, ends in zip(rows, ("TV", "Print"), ((8.0, 12.0), (4.0, 4.0)), strict=True):
        assert (row.lower.item(), row.upper.item()) == ends
        for plan in some_plans("bounds", 20):
            np.testing.assert_allclose(np.tensordot(row.coefficients, plan, axes=3), total_of(plan, [channel]))


@pytest.mark.parametrize("total", [0, -1.0, np.nan, np.inf, None, "much", [1.0, 2.0]])
def test_a_total_must_be_a_positive_number(total):
    with pytest.raises(PlanError, match="`total` must be a positive number"):
        checked_total(total)


@pytest.mark.parametrize("box", [(-1.0, 5.0), (0.0, np.nan), (np.nan, 1.0), (0.0, np.inf), (-np.inf, 1.0)])
def test_bounds_must_be_finite_and_not_negative(box):
    with pytest.raises(PlanError, match="bounds of 'Radio' must be finite and at least 0"):
        checked_bounds({"Radio": box}, CHANNELS, 1.0)


@pytest.mark.parametrize("box", [5.0, (1.0,), (1.0, 2.0, 3.0), "ab", (None, 1.0), None])
def test_bounds_must_be_two_numbers(box):
    with pytest.raises(PlanError, match=r"bounds of 'Radio' must be two numbers \(lowest, highest\)"):
        checked_bounds({"Radio": box}, CHANNELS, 1.0)


def test_bounds_must_name_known_channels():
    with pytest.raises(PlanError, match="names the channel 'Cinema'; the fit has TV, Radio, Print"):
        checked_bounds({"Cinema": (0, 1)}, CHANNELS, 1.0)


def test_bounds_that_cross_name_the_channel_and_both():
    with pytest.raises(InfeasibleError, match=r"lower bound of 'TV', 3\.00, is above its upper bound, 2\.00"):
        checked_bounds({"TV": (3, 2)}, CHANNELS, 1.0)
