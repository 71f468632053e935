"""Uplift by two models, and whether its order finds those whom contact moves."""

import numpy as np
import pytest
from remarketing import responders
from scipy import stats

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.audience import CONTACT, choose_audience
from mmm_jax.remarketing.uplift import check_arms, estimate_uplift, uplift_curve


def trial(rows: int, seed: int, *, chance: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Covariates (rows, 2), responses, who was contacted, and the true probabilities with and without contact.

    Who responds anyway (the first covariate) is not who is moved (the second).
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    control = responders.logistic(-1.5 + 1.2 * x[:, 0])
    treated = responders.logistic(-1.5 + 1.2 * x[:, 0] + np.maximum(0.9 * x[:, 1], -0.3))
    contacted = rng.random(rows) < chance
    return x, rng.random(rows) < np.where(contacted, treated, control), contacted, treated, control


def learnt(rows: int, seed: int, others: np.ndarray):
    x, y, contacted, _, _ = trial(rows, seed)
    arms = [contacted, ~contacted]
    p = [responders.laplace_draws(x[arm], y[arm], others, draws=200, seed=seed + n) for n, arm in enumerate(arms)]
    return estimate_uplift(*p)


def naive_gains(order: np.ndarray, y: np.ndarray, treated: np.ndarray) -> list[float]:
    """Responses added by the first customers, one count after the other."""
    gains = [0.0]
    for count in range(1, len(order) + 1):
        first = order[:count]
        with_contact, without = first[treated[first]], first[~treated[first]]
        lost = y[without].sum() * len(with_contact) / len(without) if len(without) else 0.0
        gains.append((y[with_contact].sum() - lost) / treated.sum())
    return gains


def test_the_curve_is_the_count_of_added_responses():
    _, y, treated, high, low = trial(150, 0)
    scores = np.stack([high - low, high])
    found = [uplift_curve(one, y, treated, points=151, permutations=1).table["gain"] for one in scores]
    for one, gains in zip(scores, found, strict=True):
        np.testing.assert_allclose(gains, naive_gains(np.argsort(-one), y, treated), atol=1e-12)
    both = uplift_curve(scores, y, treated, points=151, permutations=1, prob=0.999)
    assert (both.table["lower"] <= np.minimum(*found) + 1e-2).all()
    areas = [uplift_curve(one, y, treated, points=151, permutations=1).area for one in scores]
    np.testing.assert_allclose(both.draws, areas)


def test_equal_scores_are_targeting_at_random():
    _, y, treated, _, _ = trial(200, 1)
    found = uplift_curve(np.zeros(200), y, treated, permutations=20)
    np.testing.assert_allclose(found.table["gain"], found.table["random"], atol=1e-12)
    assert found.area == pytest.approx(0, abs=1e-12)
    difference = y[treated].mean() - y[~treated].mean()
    assert found.table["random"].iloc[-1] == pytest.approx(difference)


def test_scores_of_no_use_have_uniform_p_values():
    found = []
    for seed in range(60):
        _, y, treated, _, _ = trial(200, seed)
        scores = np.random.default_rng(1000 + seed).normal(size=200)
        found.append(uplift_curve(scores, y, treated, permutations=99, key=seed, points=51).p_value)
    assert stats.kstest(found, "uniform").pvalue > 1e-3


def test_two_models_find_whom_contact_moves_and_responses_do_not():
    x, y, treated, high, low = trial(6000, 10)
    uplift = learnt(6000, 11, x)
    by_uplift = uplift_curve(uplift, y, treated, permutations=200)
    by_response = uplift_curve(uplift.treated, y, treated, permutations=200)
    assert by_uplift.p_value < 0.01
    assert by_uplift.area > 2 * by_response.area
    assert np.corrcoef(uplift.table["mean"], high - low)[0, 1] > 0.8
    assert repr(by_uplift).startswith("UpliftCurve(area +0.0")


def test_the_average_uplifts_interval_holds_the_truth_as_often_as_it_says():
    inside = []
    for seed in range(100):
        x, _, _, high, low = trial(400, 500 + seed)
        average = learnt(800, 2000 + 10 * seed, x).average
        inside.append(average["lower"] <= (high - low).mean() <= average["upper"])
    assert stats.binomtest(sum(inside), len(inside), 0.9).pvalue > 1e-3


def test_an_audience_by_uplift_gains_more_than_one_by_response():
    x, _, _, high, low = trial(4000, 20)
    uplift, truth = learnt(6000, 21, x), 50.0 * (high - low) - 3.0
    found = uplift.audience(margin=50.0, cost=3.0, contacts=1000, key=1)
    other = choose_audience(uplift.treated, margin=50.0, cost=3.0, contacts=1000)
    assert truth[found.group == CONTACT].sum() > 1.5 * max(truth[other.group == CONTACT].sum(), 0)
    np.testing.assert_allclose(found.expected_profit, 50.0 * uplift.table["mean"] - 3.0)
    low_end, high_end = found.interval
    assert low_end < truth[found.group == CONTACT].sum() < high_end


def test_arms_come_back_as_booleans():
    _, y, treated, _, _ = trial(100, 0)
    np.testing.assert_array_equal(check_arms(treated.astype(int), y), treated)


@pytest.mark.parametrize(
    ("treatment", "y", "words"),
    [
        ([0, 1, 2] * 20, None, "`treatment` must be 0 or 1, but 20 of 60 rows are neither"),
        ([1] * 60, None, r"0 of 60 customers not contacted \(0\), but 20 are needed"),
        ([0] * 50 + [1] * 10, None, r"10 of 60 customers contacted \(1\), but 20 are needed"),
        ([0, 1] * 30, [0] * 30, "`treatment` has 60 rows, but `y` 30"),
        ([0, 1] * 30, [0, 1] * 30, "Of 30 customers who were contacted, 30 responded"),
        ([0, 1] * 30, [0, 0, 0, 1] * 15, "Of 30 customers who were not contacted, 0 responded"),
        ([0, 1, np.nan] * 20, None, "`treatment` is missing in 20 of 60 rows"),
    ],
)
def test_tables_without_two_arms_are_refused(treatment, y, words):
    with pytest.raises(RemarketingError, match=words):
        check_arms(treatment, y)


def test_other_shapes_are_refused():
    with pytest.raises(RemarketingError, match="`p_control` has probabilities of 1 customers, but 2"):
        estimate_uplift([[0.1, 0.2]], [[0.1]])
    with pytest.raises(RemarketingError, match="`p_treated` has 1 draws and `p_control` 2"):
        estimate_uplift([[0.1, 0.2]], [[0.1, 0.2]] * 2)
    with pytest.raises(RemarketingError, match="the same customers: got 2, 3 and 3"):
        uplift_curve([0.1, 0.2], [0, 1, 0], [0, 1, 1])
    with pytest.raises(RemarketingError, match="`uplift` must be finite, but 1 of 3 values"):
        uplift_curve([0.1, np.nan, 0.2], [0, 1, 0], [0, 1, 1])
