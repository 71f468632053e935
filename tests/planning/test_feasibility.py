"""Sets of constraints: conflicts named before the solver runs; else the same set, reduced, with an interior."""

import re
from itertools import pairwise

import numpy as np
import pytest
from planning.made import made_fit
from scipy.optimize import linprog

import mmm_jax as mj
from mmm_jax.errors import InfeasibleError
from mmm_jax.planning import problem
from mmm_jax.planning.constraints import (
    Box,
    Group,
    Ratio,
    SameAcrossGeos,
    Step,
    Total,
    checked_bounds,
)
from mmm_jax.planning.decisions import Decisions, National
from mmm_jax.planning.feasibility import feasible_set, linear_system, total_range

ONE, TWO, THREE = CHANNELS = ("channel 1", "channel 2", "channel 3")
DATES = np.datetime64("2023-02-27") + 7 * np.arange(4)
FIRST, SECOND, LAST = ((date, date) for date in (DATES[0], DATES[1], DATES[3]))
BY_DATE, BY_GEO = ("channel", "date"), ("channel", "geo")

TOTAL = {"total": 100.0}
OF_TOTAL = "the total of 100.00"


def bounds_of(channel):
    return f"the bounds of {channel!r}"


CONFLICTS = {
    "group above the total": ({**TOTAL, "constraints": [Group([ONE, TWO], lower=120.0, label="g")]}, ["g", OF_TOTAL]),
    "groups below the total": (
        {**TOTAL, "constraints": [Group([ONE, TWO], upper=30.0, label="g"), Group([TWO, THREE], upper=30.0, label="h")]},
        ["g", "h", OF_TOTAL],
    ),
    "ratios above one": (
        {**TOTAL, "constraints": [Ratio(channel, lower=0.4, label=f"r {channel}") for channel in CHANNELS]},
        [OF_TOTAL, *(f"r {channel}" for channel in CHANNELS)],
    ),
    "ratios below one": (
        {**TOTAL, "constraints": [Ratio(channel, upper=0.3, label=f"r {channel}") for channel in CHANNELS]},
        [OF_TOTAL, *(f"r {channel}" for channel in CHANNELS)],
    ),
    "steps against boxes": (
        {
            "by": BY_DATE,
            "total": 400.0,
            "constraints": [
                Box(ONE, upper=5.0, dates=FIRST, label="low"),
                Box(ONE, lower=20.0, dates=SECOND, label="high"),
                Step(ONE, up=10.0, label="step"),
            ],
        },
        ["low", "high", "step"],
    ),
    "steps over several dates": (
        {
            "by": BY_DATE,
            "constraints": [
                Box(ONE, lower=100.0, dates=FIRST, label="first"),
                Step(ONE, down=10.0, label="step"),
                Group(ONE, upper=150.0, label="sum"),
            ],
        },
        ["first", "step", "sum"],
    ),
    "steps from the known rows": (
        {
            "by": BY_DATE,
            "constraints": [
                Step(ONE, up=0.1, relative=True, from_before=True, label="step"),
                Box(ONE, lower=1000.0, dates=LAST, label="last"),
            ],
        },
        ["step", "last"],
    ),
    "locked against a group": (
        {**TOTAL, "locked": {ONE: 50.0}, "constraints": [Group([ONE, TWO], upper=40.0, label="g")]},
        [f"the locked spend of {ONE!r}", "g"],
    ),
    "locked against a ratio": (
        {**TOTAL, "locked": {ONE: 50.0}, "constraints": [Ratio(ONE, upper=0.4, label="r")]},
        [f"the locked spend of {ONE!r}", OF_TOTAL, "r"],
    ),
    "totals of periods against a group": (
        {"by": BY_DATE, "total": Total(10.0, per="period"), "constraints": [Group(None, lower=50.0, label="g")]},
        ["the total of 10.00 in every period", "g"],
    ),
    "at most against a group": (
        {"total": Total(50.0, at_most=True), "constraints": [Group([ONE, TWO], lower=60.0, label="g")]},
        ["the total of at most 50.00", "g"],
    ),
    "ratio against bounds": (
        {**TOTAL, "bounds": {ONE: (0, 10), TWO: (8, 20)}, "constraints": [Ratio(ONE, of=TWO, lower=2.0, label="r")]},
        ["r", bounds_of(ONE), bounds_of(TWO)],
    ),
    "chain of ratios": (
        {
            "bounds": {ONE: (0, 10), THREE: (5, 20)},
            "constraints": [Ratio(ONE, of=TWO, lower=2.0, label="r"), Ratio(TWO, of=THREE, lower=2.0, label="s")],
        },
        ["r", "s", bounds_of(ONE), bounds_of(THREE)],
    ),
    "circle of ratios": (
        {
            "bounds": {ONE: (1, 50)},
            "constraints": [Ratio(ONE, of=TWO, lower=2.0, label="r"), Ratio(TWO, of=ONE, lower=1.0, label="s")],
        },
        ["r", "s", bounds_of(ONE)],
    ),
    "group against the bounds of one channel": (
        {**TOTAL, "bounds": {ONE: (0, 20)}, "constraints": [Group(ONE, lower=30.0, label="g")]},
        ["g", bounds_of(ONE)],
    ),
    "same across geos against boxes": (
        {
            "by": BY_GEO,
            "constraints": [
                SameAcrossGeos(ONE, label="same"),
                Group(ONE, upper=5.0, geos="north", label="north"),
                Group(ONE, lower=8.0, geos="south", label="south"),
            ],
        },
        ["same", "north", "south"],
    ),
    "proportions of geos against the total": (
        {
            **TOTAL,
            "by": BY_GEO,
            "constraints": [
                SameAcrossGeos(weights={"north": 1.0, "south": 2.0}, label="same"),
                Group(None, lower=50.0, geos="north", label="north"),
            ],
        },
        ["same", "north", OF_TOTAL],
    ),
    "boxes of dates against a group": (
        {"by": BY_DATE, "constraints": [Box(ONE, upper=2.0, label="box"), Group(ONE, lower=9.0, label="g")]},
        ["box", "g"],
    ),
    "one conflict among much that is of no account": (
        {
            **TOTAL,
            "by": BY_DATE,
            "bounds": {ONE: (0, 90), TWO: (1, 90), THREE: (2, 95)},
            "constraints": [
                Step(up=30.0, label="step"),
                Ratio([ONE, TWO], lower=0.1, label="r"),
                Group([ONE, TWO], upper=70.0, label="g"),
                Ratio(THREE, of=TWO, upper=0.5, label="s"),
                Group([TWO], upper=20.0, label="h"),
                Group(ONE, upper=75.0, label="i"),
                Box(TWO, upper=80.0, label="box"),
            ],
        },
        ["h", "s", OF_TOTAL, "g"],
    ),
    "shares of dates": (
        {
            **TOTAL,
            "by": BY_DATE,
            "constraints": [
                Ratio(ONE, of=TWO, lower=3.0, dates=FIRST, label="r"),
                Group(TWO, lower=30.0, dates=FIRST, label="g"),
                Box([ONE, TWO], upper=80.0, label="box"),
            ],
        },
        ["r", "g", "box"],
    ),
}


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(0)
    parameters = {"lam": rng.gamma(4.0, 0.5, (2, 3)), "beta": rng.gamma(2.0, 0.5, (2, 3))}
    north = made_fit(mj.LogisticSaturation(), parameters, usual=(1.0, 2.0, 3.0))
    return {"north": north, "south": made_fit(mj.LogisticSaturation(), parameters, usual=(3.0, 2.0, 1.0))}


@pytest.fixture
def stated(fits, monkeypatch):
    """A plan of a statement, and the rows that were made of it; the solver must not be asked."""
    seen = []

    def spied(rows, decisions):
        seen.append((rows, decisions))
        return linear_system(rows, decisions)

    def solver(*_, **__):
        raise AssertionError("The solver was run on constraints that exclude each other.")

    monkeypatch.setattr(problem, "linear_system", spied)
    monkeypatch.setattr("mmm_jax.planning.search.maximise", solver)

    def plan(statement):
        by_geo = "geo" in statement.get("by", ())
        mj.optimize_budget(fits if by_geo else fits["north"], horizon=4, **statement)

    return plan, seen


def sides(all_rows, decisions):
    """All rows over the numbers, by hand: `(row, lower, upper)`."""
    units = [decisions.cells(unit) for unit in np.eye(decisions.count)]
    for rows in all_rows:
        for coefficients, low, high in zip(rows.coefficients, rows.lower, rows.upper, strict=True):
            yield np.array([(coefficients * unit).sum() for unit in units]), low, high


def programme(all_rows, decisions, slope=None):
    """The linear programme over what the constraints say, without any reduction."""
    matrix, limits = [np.zeros(decisions.count)], [0.0]
    for row, low, high in sides(all_rows, decisions):
        if np.isfinite(high):
            matrix.append(row), limits.append(high)
        if np.isfinite(low):
            matrix.append(-row), limits.append(-low)
    found = np.zeros(decisions.count) if slope is None else slope
    return linprog(found, A_ub=np.array(matrix), b_ub=limits, bounds=(0, None))


def labels_of(error):
    listed = re.search(r"constraints together: (.*?)\. (?:Each|They)", str(error)).group(1)
    return listed.split("; ")


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict_names_all_that_is_needed_for_it_and_nothing_else(name, stated):
    """Those named exclude each other; without any one of them, the others do not."""
    (plan, seen), (statement, expected) = stated, CONFLICTS[name]
    with pytest.raises(InfeasibleError) as caught:
        plan(statement)
    named = labels_of(caught.value)
    assert sorted(named) == sorted(expected)
    [(all_rows, decisions)] = seen
    assert programme([rows for rows in all_rows if rows.label in named], decisions).status == 2
    for dropped in named:
        others = [rows for rows in all_rows if rows.label in named and rows.label != dropped]
        assert programme(others, decisions).status == 0


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("group above the total", "20.00"),
        ("locked against a group", "10.00"),
        ("at most against a group", "10.00"),
        ("same across geos against boxes", "3.00"),
        ("totals of periods against a group", "10.00"),
    ],
)
def test_a_conflict_says_how_much_is_missing(name, amount, stated):
    with pytest.raises(InfeasibleError, match=re.escape(f"by {amount} at least")):
        stated[0](CONFLICTS[name][0])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            {**TOTAL, "bounds": dict.fromkeys(CHANNELS, (0, 20))},
            r"upper bounds sum to 60\.00, which is 40\.00 less than the total of 100\.00",
        ),
        (
            {**TOTAL, "bounds": {ONE: (30, 40), TWO: (90, 90)}},
            r"lower bounds sum to 120\.00, which is 20\.00 more than the total of 100\.00.*channel 2 \(90\.00\), channel 1",
        ),
        ({**TOTAL, "locked": {ONE: 120.0}}, r"lower bounds sum to 120\.00, which is 20\.00 more than the total"),
        (
            {**TOTAL, "by": BY_DATE, "constraints": [Box(lower=10.0)]},
            r"lower bounds sum to 120\.00.*channel 1 on 2023-02-27 \(10\.00\)",
        ),
        (
            {"total": 25.0, "per": "period", "bounds": dict.fromkeys(CHANNELS, (0, 5))},
            r"upper bounds sum to 60\.00, which is 40\.00 less than the total of 100\.00",
        ),
        (
            {**TOTAL, "locked": {ONE: [40.0, 0, 0, 0]}, "constraints": [Box(ONE, lower=5.0, dates=SECOND, label="b")]},
            "No plan satisfies b: it concerns no spend that is decided",
        ),
    ],
)
def test_sums_have_their_own_words(statement, message, stated):
    with pytest.raises(InfeasibleError, match=message):
        stated[0](statement)


def decisions_by(by, geos=(National,)):
    shape = (len(geos), len(CHANNELS), len(DATES))
    together = 1.0 if "date" in by else 1 / len(DATES)
    return Decisions(by, DATES, CHANNELS, geos, np.full(shape, together))


def made(constraints, by=("channel",), bounds=None, reference=100.0):
    """The solver's set and the rows that it was made from."""
    decisions = decisions_by(by)
    before = np.full((1, len(CHANNELS)), 5.0)
    all_rows = [one.rows(decisions, before) for one in [*constraints, *checked_bounds(bounds, CHANNELS, 1.0)]]
    return feasible_set(linear_system(all_rows, decisions), reference, str), all_rows, decisions


FEASIBLE = {
    "total": ([Total(100.0)], ("channel",), None),
    "total and bounds": ([Total(100.0)], ("channel",), {ONE: (10, 30), TWO: (0, 80)}),
    "at most": ([Total(100.0, at_most=True)], ("channel",), {TWO: (5, 5)}),
    "bounds that add up to the total": ([Total(100.0)], ("channel",), {ONE: (0, 20), TWO: (5, 30), THREE: (0, 50)}),
    "lower bounds that add up to the total": ([Total(100.0)], ("channel",), {ONE: (20, 90), TWO: (30, 99), THREE: (50, 70)}),
    "ratios that add up to one": ([Total(100.0), Ratio(ONE, lower=0.5), Ratio(TWO, lower=0.5)], ("channel",), None),
    "groups that add up to the total": (
        [Total(100.0), Group([ONE, TWO], upper=40), Group(THREE, upper=60)],
        ("channel",),
        None,
    ),
    "a group that must be full": (
        [Total(100.0), Group([ONE, TWO], upper=40)],
        ("channel",),
        {THREE: (0, 60), ONE: (10, 40)},
    ),
    "ratios both ways": ([Total(90.0), Ratio(ONE, of=TWO, lower=1.0), Ratio(TWO, of=ONE, lower=1.0)], ("channel",), None),
    "equal group": ([Total(100.0), Group([ONE, TWO], lower=40, upper=40)], ("channel",), None),
    "periods": ([Total(10.0, per="period"), Group(ONE, lower=8.0)], BY_DATE, None),
    "periods and the whole": ([Total(25.0, per="period"), Group(None, lower=100.0, upper=100.0)], BY_DATE, None),
    "steps": ([Total(100.0), Step(up=2.0, down=1.0)], BY_DATE, {ONE: (10, 60)}),
    "steps that allow none": ([Total(100.0), Step(ONE, up=0.0, down=0.0)], BY_DATE, None),
    "steps that must all be taken": ([Step(ONE, up=2.0, from_before=True), Box(ONE, lower=13.0, dates=LAST)], BY_DATE, None),
    "boxes": ([Total(100.0), Box(lower=1.0, upper=30.0), Box(TWO, upper=3.0, dates=FIRST)], BY_DATE, None),
    "no total, and one number that has one value": (
        [Ratio(ONE, of=TWO, lower=2.0), Group(THREE, lower=10.0)],
        ("channel",),
        {THREE: (0, 10)},
    ),
    "no total": ([Group([ONE, TWO], lower=10.0), Ratio(THREE, upper=0.4)], ("channel",), None),
}


@pytest.mark.parametrize("name", FEASIBLE)
def test_the_solvers_set_is_that_of_the_constraints(name):
    """Extreme points of either lie in the other, and its inner point in both."""
    found, all_rows, decisions = made(*FEASIBLE[name])
    polytope = found.polytope
    assert np.all(polytope.lower[polytope.free] < polytope.upper[polytope.free])
    sides_of = list(sides(all_rows, decisions))
    slopes = np.random.default_rng(0).normal(size=(20, decisions.count))

    def outside(amounts):
        below = [max(low - row @ amounts, row @ amounts - high) for row, low, high in sides_of]
        return max(*below, *(-amounts)) if len(below) > 0 else 0.0

    bounds = np.stack([polytope.lower, np.where(polytope.free, polytope.upper, polytope.lower)], axis=1)
    equal = {"A_eq": polytope.equalities, "b_eq": polytope.values} if len(polytope.values) else {}
    for slope in slopes:
        end = linprog(slope, A_ub=polytope.rows, b_ub=polytope.limits, bounds=bounds, **equal)
        assert end.status == 0
        whole = programme(all_rows, decisions, slope)
        if whole.status == 0 and not found.capped.any():
            np.testing.assert_allclose(found.unit * end.fun, whole.fun, atol=1e-6)
        assert outside(found.unit * end.x) < 1e-6
    inner = found.inner
    assert outside(found.unit * inner) < 1e-6
    assert np.all((polytope.lower - 1e-12 <= inner) & (inner <= polytope.upper + 1e-12))
    assert np.all(polytope.rows @ inner <= polytope.limits + 1e-9)
    np.testing.assert_allclose(polytope.equalities @ inner, polytope.values, atol=1e-8)


@pytest.mark.parametrize("name", FEASIBLE)
def test_what_is_implied_is_held(name):
    """Numbers with one value are not free, or follow from the equalities; rows that must be full are such, each once."""
    found, all_rows, decisions = made(*FEASIBLE[name])
    polytope = found.polytope
    for number, unit in enumerate(np.eye(decisions.count)):
        least, most = programme(all_rows, decisions, unit), programme(all_rows, decisions, -unit)
        alone = most.status == 0 and -most.fun - least.fun < 1e-5
        if not polytope.free[number]:
            assert alone
            np.testing.assert_allclose(found.unit * polytope.lower[number], least.fun, atol=1e-6)
        elif alone:
            # Held by the equalities, away from its bounds.
            others = polytope.equalities[:, polytope.free]
            unit = unit[polytope.free]
            assert np.linalg.matrix_rank(np.vstack([others, unit])) == np.linalg.matrix_rank(others)
    sides_of = [(row, low, high) for row, low, high in sides(all_rows, decisions) if np.count_nonzero(row) > 1]
    tight = [np.zeros(decisions.count)]
    for row, low, high in sides_of:
        least, most = programme(all_rows, decisions, row), programme(all_rows, decisions, -row)
        if (
            most.status == 0
            and -most.fun - least.fun < 1e-6
            and (low == high or -most.fun < low + 1e-6 or least.fun > high - 1e-6)
        ):
            tight.append(row * polytope.free)
    assert len(polytope.values) == np.linalg.matrix_rank(np.array(tight), tol=1e-8)
    if len(polytope.values):
        assert np.linalg.matrix_rank(polytope.equalities * polytope.free) == len(polytope.values)


def test_free_numbers_have_room_on_both_sides():
    for name in FEASIBLE:
        found, *_ = made(*FEASIBLE[name])
        polytope, free = found.polytope, found.polytope.free
        assert np.all(polytope.rows @ found.inner < polytope.limits)
        room = np.minimum(found.inner - polytope.lower, polytope.upper - found.inner)[free]
        assert np.all(room > 0)


def test_a_long_chain_of_steps_that_must_all_be_taken_leaves_one_plan():
    """Nothing that the solver of linear programmes forgives may add up along it."""
    count = 40
    decisions = Decisions(BY_DATE, DATES[0] + 7 * np.arange(count), (ONE,), (National,), np.ones((1, 1, count)))
    last = (decisions.dates[-1], decisions.dates[-1])
    constraints = [Step(ONE, up=2.0, from_before=True), Box(ONE, lower=5.0 + 2.0 * count, dates=last)]
    all_rows = [one.rows(decisions, np.array([[5.0]])) for one in constraints]
    found = feasible_set(linear_system(all_rows, decisions), 1000.0, str)
    polytope = found.polytope
    expected = 5.0 + 2.0 * np.arange(1, count + 1)
    np.testing.assert_allclose(found.unit * found.inner, expected, rtol=1e-7)
    assert len(rows_of(found)) == 0
    assert np.linalg.matrix_rank(polytope.equalities[:, polytope.free]) == polytope.free.sum()


def rows_of(found):
    return found.polytope.rows[np.any(found.polytope.rows != 0, axis=1)]


def test_rows_that_say_nothing_new_are_dropped():
    bare, *_ = made([Total(100.0), Group([ONE, TWO], upper=40.0)])
    assert len(rows_of(bare)) == 1
    for nothing in (Group([ONE, TWO], upper=40.0), Group([ONE, TWO], upper=60.0), Group([ONE, THREE], upper=200.0)):
        found, *_ = made([Total(100.0), Group([ONE, TWO], upper=40.0), nothing])
        np.testing.assert_allclose(rows_of(found), rows_of(bare))
        np.testing.assert_allclose(found.polytope.limits, bare.polytope.limits)


def test_sets_of_few_rows_have_one_shape():
    """So that they run in one compiled program; the rows that fill them up hold anyway."""
    groups = [Group([one, two], upper=70.0 - number) for number, (one, two) in enumerate(pairwise((*CHANNELS, ONE)))]
    for count in (1, 2, 3):
        found, *_ = made([Total(100.0), *groups[:count]])
        assert found.polytope.rows.shape == (4, 3)
        assert len(rows_of(found)) == count
        filler = ~np.any(found.polytope.rows != 0, axis=1)
        assert np.all(found.polytope.limits[filler] > 0)


@pytest.mark.parametrize("reference", [1e-3, 1.0, 1e9])
def test_the_set_knows_no_currency(reference):
    """In another currency the solver sees the same numbers."""
    constraints = [Total(reference), Group([ONE, TWO], upper=0.4 * reference), Ratio(ONE, of=TWO, upper=2.0)]
    expected, *_ = made([Total(100.0), Group([ONE, TWO], upper=40.0), Ratio(ONE, of=TWO, upper=2.0)])
    found, *_ = made(constraints, reference=reference)
    for ours, theirs in zip(found.polytope, expected.polytope, strict=True):
        np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=1e-12, atol=1e-15)
    assert found.unit == pytest.approx(reference / 3)


def test_sums_that_differ_by_rounding_alone_are_accepted():
    bounds = dict.fromkeys(CHANNELS, (0.1, 0.1))
    assert sum(low for low, _ in bounds.values()) != 0.3
    found, *_ = made([Total(0.3)], bounds=bounds, reference=0.3)
    assert not found.polytope.free.any()
    np.testing.assert_allclose(found.unit * found.polytope.lower, 0.1, rtol=1e-12)


def test_numbers_without_an_end_are_known():
    found, *_ = made([Group([ONE, TWO], upper=50.0)])
    np.testing.assert_array_equal(found.capped, [False, False, True])


@pytest.mark.parametrize("name", FEASIBLE)
def test_range_of_the_total(name):
    _, all_rows, decisions = made(*FEASIBLE[name])
    ones = np.ones(decisions.count)
    least, most = (programme(all_rows, decisions, sign * ones) for sign in (1, -1))
    expected = least.fun, np.inf if most.status == 3 else -most.fun
    np.testing.assert_allclose(total_range(linear_system(all_rows, decisions)), expected, rtol=1e-9)
