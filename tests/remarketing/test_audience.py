"""Audiences by expected profit: the best choice, what may come of it, and the holdout."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remarketing import responders
from scipy import stats

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.audience import CONTACT, HOLDOUT, choose_audience
from mmm_jax.remarketing.holdout import holdout_size, power_of

P = np.array([0.5, 0.1, 0.3, 0.2])


def chosen(audience) -> set[int]:
    return set(np.flatnonzero(audience.group != "not chosen"))


@given(seed=st.integers(0, 2**32 - 1), contacts=st.integers(1, 8))
def test_no_other_choice_of_so_many_expects_more(seed, contacts):
    rng = np.random.default_rng(seed)
    p, margin = rng.random((3, 8)), rng.gamma(2.0, 5.0, 8)
    found = choose_audience(p, margin=margin, cost=2.0, contacts=contacts, profitable_only=False)
    expected = p.mean(axis=0) * margin - 2.0
    best = max(expected[list(some)].sum() for some in combinations(range(8), contacts))
    assert found.expected == pytest.approx(best)
    assert found.contacts == contacts
    assert found.bound == pytest.approx(best)


@given(seed=st.integers(0, 2**32 - 1), budget=st.floats(1.0, 30.0))
def test_no_choice_within_a_budget_beats_the_bound(seed, budget):
    rng = np.random.default_rng(seed)
    p, margin, cost = rng.random(8), rng.gamma(2.0, 5.0, 8), rng.integers(0, 5, 8).astype(float)
    expected = p * margin - cost
    if not (expected[cost <= budget] > 0).any():
        return
    found = choose_audience(p, margin=margin, cost=cost, budget=budget)
    subsets = [list(some) for size in range(1, 9) for some in combinations(range(8), size)]
    best = max(expected[some].sum() for some in subsets if cost[some].sum() <= budget)
    assert found.spent <= budget
    assert found.expected <= best + 1e-9 <= found.bound + 2e-9
    # One customer at most is cut by the budget in the bound.
    assert found.bound - found.expected <= expected.max() + 1e-9


def test_equal_costs_make_the_greedy_choice_the_best():
    p, _, margin = responders.shop(0)
    money = choose_audience(p, margin=margin, cost=2.0, budget=100.0)
    heads = choose_audience(p, margin=margin, cost=2.0, contacts=50)
    assert chosen(money) == chosen(heads)
    assert money.spent == 100.0
    assert money.bound == pytest.approx(money.expected)


def test_only_customers_who_pay_are_contacted_unless_told():
    assert chosen(choose_audience(P, margin=10.0, cost=2.5)) == {0, 2}
    assert chosen(choose_audience(P, margin=10.0, cost=2.5, contacts=3)) == {0, 2}
    assert chosen(choose_audience(P, margin=10.0, cost=2.5, contacts=3, profitable_only=False)) == {0, 2, 3}
    assert chosen(choose_audience(P, margin=[1.0, 40.0, 1.0, 1.0], cost=2.5)) == {1}
    with pytest.raises(RemarketingError, match=r"Nobody of 4 customers has a positive expected profit; the best has -0\.5"):
        choose_audience(P, margin=10.0, cost=5.5)


def test_the_distribution_of_the_profit_is_that_of_the_beta_binomial():
    """Equal customers whose probability is Beta distributed: mean and variance are known."""
    a, b, rows, draws = 3.0, 17.0, 60, 40_000
    p = np.repeat(np.random.default_rng(0).beta(a, b, (draws, 1)), rows, axis=1)
    found = choose_audience(p, margin=10.0, cost=1.0)
    responses = stats.betabinom(rows, a, b)
    assert found.profit.mean() == pytest.approx(10 * responses.mean() - rows, abs=4 * 10 * responses.std() / draws**0.5)
    assert found.profit.std() == pytest.approx(10 * responses.std(), rel=0.02)
    # A loss is fewer than 6 responses.
    assert found.loss == pytest.approx(responses.cdf(5), abs=0.01)
    known = choose_audience(np.full((draws, rows), a / (a + b)), margin=10.0, cost=1.0)
    assert known.profit.std() == pytest.approx(10 * stats.binom(rows, a / (a + b)).std(), rel=0.02)
    low, high = found.interval
    assert np.mean((found.profit >= low) & (found.profit <= high)) >= 0.9


def test_intervals_of_the_profit_hold_what_comes_as_often_as_they_say():
    inside = []
    for seed in range(200):
        y, p, _ = responders.customers(150, draws=200, seed=seed)
        found = choose_audience(p, margin=10.0, cost=1.5, prob=0.8, key=seed)
        came = (10.0 * y - 1.5)[found.group == CONTACT].sum()
        inside.append(found.interval[0] <= came <= found.interval[1])
    assert stats.binomtest(sum(inside), len(inside), 0.8).pvalue > 1e-3


def test_the_table_says_what_more_and_fewer_contacts_bring():
    p, _, margin = responders.shop(1)
    found = choose_audience(p, margin=margin, cost=2.0)
    table = found.table.set_index("contacts")
    expected = np.sort(found.expected_profit)[::-1]
    np.testing.assert_allclose(table["expected_profit"], np.cumsum(expected)[table.index - 1])
    assert table["expected_profit"].idxmax() == found.contacts
    assert table.loc[found.contacts, "last_expected_profit"] > 0 > table["last_expected_profit"].iloc[-1]
    assert table.loc[found.contacts, "cost"] == pytest.approx(found.spent)
    assert table.loc[found.contacts, "mean"] == pytest.approx(found.profit.mean())
    assert table.loc[found.contacts, "lower"] == pytest.approx(found.interval[0])
    assert table["loss"].iloc[-1] > table.loc[found.contacts, "loss"]
    assert table.index[-1] == 1000


def test_control_subtracts_what_comes_without_contact():
    rng = np.random.default_rng(0)
    p = np.tile([0.5, 0.2, 0.3], (20_000, 1))
    control = np.tile([0.5, 0.1, 0.35], (20_000, 1))
    found = choose_audience(p, control=control, margin=10.0, cost=0.5, key=int(rng.integers(100)))
    assert chosen(found) == {1}
    np.testing.assert_allclose(found.expected_profit, [-0.5, 0.5, -1.0])
    assert found.profit.mean() == pytest.approx(0.5, abs=0.15)
    assert found.profit.var() == pytest.approx(100 * (0.2 * 0.8 + 0.1 * 0.9), rel=0.05)
    assert list(found.to_frame().columns) == ["customer", "group", "uplift", "expected_profit", "cost"]


def test_the_same_key_gives_the_same_audience():
    p, _, margin = responders.shop(2)
    one, two, other = (choose_audience(p, margin=margin, cost=2.0, holdout=0.2, key=key) for key in (1, 1, 2))
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    np.testing.assert_array_equal(one.profit, two.profit)
    assert (one.group != other.group).any()
    assert chosen(one) == chosen(other)


def test_the_holdout_is_a_random_part_of_the_chosen():
    """Over many keys, everybody who is chosen is held out equally often."""
    counts = np.zeros(4)
    for key in range(600):
        found = choose_audience(P, margin=100.0, cost=0.1, holdout=1, key=key)
        assert (found.contacts, found.holdout) == (3, 1)
        counts += found.group == HOLDOUT
    assert stats.chisquare(counts).pvalue > 1e-3
    design = holdout_size(0.1, 0.2, audience=300)
    p = np.full(300, 0.3)
    found = choose_audience(p, margin=10.0, cost=0.1, holdout=design)
    assert (found.contacts, found.holdout) == (design.contacts, design.holdout)
    assert found.spent == pytest.approx(0.1 * design.contacts)
    assert choose_audience(p, margin=10.0, cost=0.1, holdout=0.25).holdout == 75


def test_the_list_is_written_with_scores_and_groups(tmp_path):
    names = ["d", "b", "a", "c"]
    found = choose_audience(P, margin=10.0, cost=1.5, holdout=1, ids=names)
    found.to_csv(tmp_path / "audience.csv")
    read = pd.read_csv(tmp_path / "audience.csv")
    assert list(read["customer"]) == ["d", "a", "c"]
    assert sorted(read["group"]) == ["contact", "contact", "holdout"]
    np.testing.assert_allclose(read["score"], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(read["expected_profit"], [3.5, 1.5, 0.5])
    assert list(found.to_frame(everybody=True)["customer"]) == ["d", "a", "c", "b"]
    assert repr(found).startswith("Audience(2 contacts, 1 held out of 4 customers; expected profit ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": [1.0, 2.0]}, r"`margin` must be a number, or one for each of 4 customers, got shape \(2,\)"),
        (
            {"margin": [1.0, np.nan, 2.0, np.inf]},
            "must be finite, but 2 of 4 values are not; the first is in row 1: got nan",
        ),
        ({"cost": -1.0}, "`cost` must be finite and at least 0, but 1 of 1 values are not"),
        ({"ids": [1, 2, 2, 2]}, "2 of 4 stand there again; the first is .*2"),
        ({"ids": [1, 2]}, "`ids` must name each of 4 customers"),
        ({"budget": 5.0, "contacts": 2}, "`budget` or `contacts`, not both"),
        ({"contacts": 0}, "`contacts` must be a positive number, got 0"),
        ({"contacts": 1.5}, "`contacts` must be a whole number"),
        ({"budget": -2.0}, "`budget` must be a positive number"),
        ({"budget": 0.1}, r"pays for nobody: the cheapest of 4 customers costs 0\.5"),
        ({"holdout": 4}, "below the 4 chosen customers"),
        ({"holdout": 1.5}, "a whole number below the 4 chosen"),
        ({"holdout": -1}, "`holdout` must be a number of customers"),
        ({"control": [0.1, 0.2]}, "`control` has probabilities of 2 customers, but 4"),
        ({"control": np.full((3, 4), 0.1)}, "`p` has 1 draws and `control` 3"),
    ],
)
def test_bad_input_is_told_with_place_and_count(options, words):
    with pytest.raises(RemarketingError, match=words):
        choose_audience(P, **{"margin": 10.0, "cost": 0.5, **options})


def profits_of(seed: int) -> tuple[float, float, float]:
    """Profit that came of customers not learnt from: by expected profit, as many by score, and by a threshold of 0.5."""
    p, y, margin = responders.shop(seed)
    cost = 2.0
    came = y * margin - cost
    found = choose_audience(p, margin=margin, cost=cost, key=seed)
    by_score = np.argsort(-p.mean(axis=0), kind="stable")[: found.contacts]
    return came[found.group == CONTACT].sum(), came[by_score].sum(), came[p.mean(axis=0) >= 0.5].sum()


def test_expected_profit_beats_scores_and_thresholds():
    """Over 50 repetitions, by far more than chance, and in most of them."""
    count = 50
    profits = np.array([profits_of(seed) for seed in range(count)])
    for other in (1, 2):
        gain = profits[:, 0] - profits[:, other]
        assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(count)
        assert (gain > 0).mean() >= 0.75


@pytest.mark.parametrize(
    ("rate", "lift", "ratio"), [(0.1, 0.05, 1.0), (0.1, 0.04, 4.0), (0.3, -0.1, 0.5), (0.02, 0.03, 9.0)]
)
def test_the_holdout_finds_the_lift_as_often_as_promised(rate, lift, ratio):
    """The test of two proportions on simulated campaigns, and under no lift as often as `alpha`."""
    design = holdout_size(rate, lift, ratio=ratio, power=0.8)
    assert design.contacts == pytest.approx(ratio * design.holdout, abs=1)
    rng, times = np.random.default_rng(0), 20_000
    for treated, expected in ((rate + lift, 0.8), (rate, 0.05)):
        without = rng.binomial(design.holdout, rate, times)
        with_contact = rng.binomial(design.contacts, treated, times)
        pooled = (without + with_contact) / (design.holdout + design.contacts)
        se = np.sqrt(pooled * (1 - pooled) * (1 / design.holdout + 1 / design.contacts))
        z = (with_contact / design.contacts - without / design.holdout) / np.maximum(se, 1e-12)
        assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(expected, abs=0.025)


@given(rate=st.floats(0.01, 0.5), lift=st.floats(0.05, 0.3), audience=st.integers(4000, 20_000))
def test_the_holdout_of_an_audience_is_the_smallest_that_suffices(rate, lift, audience):
    design = holdout_size(rate, lift, audience=audience)
    assert design.holdout + design.contacts == audience
    assert design.power >= 0.8
    if design.holdout > 1:
        assert power_of(rate, rate + lift, design.holdout - 1, design.contacts + 1, 0.025) < 0.8


def test_equal_groups_of_the_textbook():
    """Fleiss's first table: 0.1 against 0.2, 80 %, 5 % two-sided: 199 in each group without the correction."""
    assert holdout_size(0.1, 0.1).holdout == 199
    assert holdout_size(0.1, 0.1, two_sided=False).holdout < 199


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((0.1, 0.0), {}, "`lift` is 0"),
        ((0.1, 0.95), {}, r"`rate \+ lift` is a share"),
        ((-0.1, 0.3), {}, "`rate` is a share"),
        ((0.1, 0.1), {"ratio": 0.0}, "`ratio` is contacts per customer"),
        ((0.1, 0.1), {"power": 1.0}, "`power` must lie between 0 and 1"),
        ((0.1, 0.1), {"audience": 300}, "300 customers is too small to find a lift of .0.1 on 0.1: it takes 398"),
        ((0.1, 0.1), {"audience": 1}, "1 customers is too small"),
    ],
)
def test_designs_that_cannot_be_are_refused(arguments, options, words):
    with pytest.raises(RemarketingError, match=words):
        holdout_size(*arguments, **options)
