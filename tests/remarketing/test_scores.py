"""Scores of responses, against scikit-learn's on single draws."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remarketing import responders
from scipy import stats

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.curves import calibration_bins, gain_curves, precision_recall_curves, roc_curves
from mmm_jax.remarketing.scores import SCORES, compare_responses, majority_guess, score_responses

metrics = pytest.importorskip("sklearn.metrics")


def naive(y: np.ndarray, p: np.ndarray, threshold: float, bins: int) -> dict[str, float]:
    """Scores of one draw by scikit-learn; the calibration error bin by bin."""
    said = p >= threshold
    order = np.argsort(p, kind="stable")
    error = sum(abs((y[part] - p[part]).sum()) for part in np.array_split(order, bins)) / len(y)
    return {
        "accuracy": metrics.accuracy_score(y, said),
        "precision": metrics.precision_score(y, said, zero_division=0),
        "recall": metrics.recall_score(y, said),
        "f1": metrics.f1_score(y, said),
        "roc_auc": metrics.roc_auc_score(y, p),
        "average_precision": metrics.average_precision_score(y, p),
        "log_loss": metrics.log_loss(y, p),
        "brier": metrics.brier_score_loss(y, p),
        "calibration_error": error,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [None, 1])
def test_scores_are_those_of_scikit_learn(dtype, decimals):
    """With and without ties. Bins of equals are the same for all orders of them, so that only the others compare there."""
    y, p, _ = responders.customers(300, draws=7)
    p = (p if decimals is None else np.clip(np.round(p, decimals), 0.05, 0.95)).astype(dtype)
    found = score_responses(y, p, threshold=0.25).draws
    names = [name for name in SCORES if decimals is None or name != "calibration_error"]
    for draw in range(len(p)):
        expected = naive(y, p[draw].astype(float), 0.25, 10)
        np.testing.assert_allclose(found.loc[draw, names], [expected[name] for name in names], rtol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 30), levels=st.integers(1, 5))
def test_ranks_are_those_of_scikit_learn_however_many_are_equal(seed, rows, levels):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(rows) % rows < rng.integers(1, rows))
    p = rng.integers(0, levels + 1, (3, rows)) / levels
    found = score_responses(y, p, bins=1).draws
    for draw in range(3):
        assert found["roc_auc"][draw] == pytest.approx(metrics.roc_auc_score(y, p[draw]))
        assert found["average_precision"][draw] == pytest.approx(metrics.average_precision_score(y, p[draw]))


@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([2, 5, 1000]))
def test_no_score_depends_on_the_order_of_the_customers(seed, levels):
    rng = np.random.default_rng(seed)
    y, p = rng.permutation(np.arange(40) < 12), rng.integers(0, levels + 1, (4, 40)) / levels
    other = rng.permutation(40)
    for equal_mass in (True, False):
        before, after = (score_responses(y[at], p[:, at], equal_mass=equal_mass).draws for at in (np.arange(40), other))
        np.testing.assert_allclose(before, after, atol=1e-12)


def test_blocks_of_draws_change_nothing(monkeypatch):
    y, p, _ = responders.customers(100, draws=9)
    whole = score_responses(y, p)
    monkeypatch.setattr("mmm_jax.remarketing.arrays._CELLS", 250)
    parts = score_responses(y, p)
    pd.testing.assert_frame_equal(whole.draws, parts.draws)
    pd.testing.assert_frame_equal(whole.confusion, parts.confusion)


def test_the_confusion_matrix_is_scikit_learns():
    y, p, _ = responders.customers(200)
    found = score_responses(y, p, threshold=0.3)
    expected = metrics.confusion_matrix(y, p.mean(axis=0) >= 0.3)
    np.testing.assert_array_equal(found.confusion["of_mean"].unstack(), expected)
    assert (found.counts.sum(axis=1) == 200).all()
    assert (found.confusion["lower"] <= found.confusion["upper"]).all()


def test_every_customer_may_have_a_threshold():
    y, p, _ = responders.customers(200)
    cuts = np.where(np.arange(200) < 100, 2.0, 0.0)
    found = score_responses(y, p, threshold=cuts)
    assert found.of_mean["recall"] == pytest.approx(y[100:].sum() / y.sum())
    assert found.draws["recall"].nunique() == 1


def test_the_calibration_error_of_equal_widths():
    y, p, _ = responders.customers(500, draws=2)
    found = score_responses(y, p, bins=5, equal_mass=False).draws["calibration_error"]
    for draw in range(2):
        bins = np.digitize(p[draw], [0.2, 0.4, 0.6, 0.8])
        expected = sum(abs((y - p[draw])[bins == number].sum()) for number in range(5)) / 500
        assert found[draw] == pytest.approx(expected)


def test_the_mean_probability_scores_better_than_the_average_draw():
    """Log loss and Brier are convex in the probability (Jensen)."""
    y, p, _ = responders.customers(300, spread=1.0)
    table = score_responses(y, p).table
    for name in ("log_loss", "brier"):
        assert table.loc[name, "of_mean"] < table.loc[name, "mean"]


def test_true_probabilities_are_calibrated_and_constant_ones_rank_nobody():
    y, _, true = responders.customers(20_000)
    right, wrong = (score_responses(y, p).of_mean["calibration_error"] for p in (true, true**2))
    assert right < 0.015 < 0.05 < wrong
    guess = score_responses(y, majority_guess(y, len(y))).of_mean
    assert guess["roc_auc"] == 0.5
    assert guess["calibration_error"] == pytest.approx(0, abs=1e-12)
    assert guess["accuracy"] == pytest.approx(1 - y.mean())
    assert guess["average_precision"] == pytest.approx(y.mean())


def test_models_stand_side_by_side():
    y, p, true = responders.customers(400)
    table = compare_responses({"ours": p, "truth": true, "guess": majority_guess(y, 400)}, y, prob=0.5)
    assert list(table.index) == list(SCORES)
    pd.testing.assert_series_equal(table["ours"]["lower"], score_responses(y, p, prob=0.5).table["lower"])
    assert (table["truth"]["lower"] == table["truth"]["upper"]).all()
    with pytest.raises(RemarketingError, match=r"Model 'short': `p` has probabilities of 3 customers, but 400"):
        compare_responses({"short": p[:, :3]}, y)
    with pytest.raises(RemarketingError, match="no model"):
        compare_responses({}, y)


def test_the_curves_pass_where_scikit_learns_do():
    y, p, _ = responders.customers(200, draws=3)
    p = np.round(p, 2)
    for draw in range(3):
        false, true, _ = metrics.roc_curve(y, p[draw], drop_intermediate=False)
        places, first = np.unique(false[::-1], return_index=True)
        np.testing.assert_allclose(roc_curves(y, p, places)[draw], true[::-1][first])
        precision, recall, _ = metrics.precision_recall_curve(y, p[draw])
        at, smallest = np.unique(recall[::-1], return_index=True)
        found = precision_recall_curves(y, p, at[1:])[draw]
        np.testing.assert_allclose(found, precision[::-1][smallest[1:]])


def test_the_areas_under_the_curves_are_the_scores():
    y, p, _ = responders.customers(300, draws=5)
    scores = score_responses(y, p).draws
    at = np.linspace(0, 1, 200_001)
    np.testing.assert_allclose(np.trapezoid(roc_curves(y, p, at), at, axis=1), scores["roc_auc"], atol=1e-4)
    recalls = np.arange(1, y.sum() + 1) / y.sum()
    np.testing.assert_allclose(precision_recall_curves(y, p, recalls).mean(axis=1), scores["average_precision"])


def test_gain_counts_responders_among_the_likeliest():
    y, p, _ = responders.customers(200, draws=4)
    found = gain_curves(y, p, np.array([0.0, 0.1, 0.5, 1.0]))
    for draw in range(4):
        order = np.argsort(-p[draw])
        np.testing.assert_allclose(found[draw], [y[order[:count]].sum() / y.sum() for count in (0, 20, 100, 200)])
    same = gain_curves(y, majority_guess(y, 200), np.array([0.25, 0.75]))
    np.testing.assert_allclose(same, [[0.25, 0.75]])


@pytest.mark.parametrize("equal_mass", [True, False])
def test_calibration_bins_hold_everybody_once(equal_mass):
    y, p, _ = responders.customers(500)
    table = calibration_bins(y, p, bins=8, equal_mass=equal_mass)
    assert table["customers"].sum() == 500
    assert table["responders"].sum() == y.sum()
    assert (table["customers"] @ table["predicted"]) / 500 == pytest.approx(p.mean())
    assert ((table["lower"] <= table["observed"]) & (table["observed"] <= table["upper"])).all()
    if equal_mass:
        assert table["customers"].between(62, 63).all()


def test_intervals_of_bins_hold_the_truth_as_often_as_they_say():
    inside = []
    for seed in range(40):
        y, _, true = responders.customers(1000, seed=seed, draws=1)
        table = calibration_bins(y, true, prob=0.8)
        inside += list((table["lower"] <= table["predicted"]) & (table["predicted"] <= table["upper"]))
    assert stats.binomtest(sum(inside), len(inside), 0.8).pvalue > 1e-3


@pytest.mark.parametrize(
    ("y", "p", "options", "words"),
    [
        ([0, 1, 2], [0.1, 0.2, 0.3], {}, r"`y` must be 0 or 1, but 1 of 3 rows are neither; the first is row 2: got 2"),
        ([0, 1, np.nan], [0.1, 0.2, 0.3], {}, "`y` is missing in 1 of 3 rows"),
        ([0, 0, 0], [0.1, 0.2, 0.3], {}, "`y` is 0 in all 3 rows"),
        ([True, True], [0.1, 0.2], {}, "`y` is 1 in all 2 rows"),
        (["yes", "no"], [0.1, 0.2], {}, "`y` must be 0 or 1 in every row, but cannot be read"),
        ([[0, 1]], [0.1, 0.2], {}, r"shape \(rows,\), got shape \(1, 2\)"),
        ([0, 1], [0.1, 1.2], {}, "1 of 2 values do not; the first is in draw 0, row 1: got 1.2"),
        ([0, 1], [[0.1, 0.2], [np.nan, 0.2]], {}, "1 of 4 values do not; the first is in draw 1, row 0: got nan"),
        ([0, 1], ["a", "b"], {}, "`p` must hold probabilities"),
        ([0, 1], [0.1, 0.2, 0.3], {}, "probabilities of 3 customers, but 2 are needed"),
        ([0, 1], 0.5, {}, r"shape \(draws, rows\) or \(rows,\), got \(\)"),
        ([0, 1], [0.1, 0.2], {"threshold": [0.1, 0.2, 0.3]}, r"one for each of 2 customers, got shape \(3,\)"),
        ([0, 1], [0.1, 0.2], {"threshold": np.nan}, "`threshold` must be finite"),
        ([0, 1], [0.1, 0.2], {"bins": 3}, "`bins` must be a whole number from 1 to the 2 customers, got 3"),
        ([0, 1], [0.1, 0.2], {"bins": 2, "prob": 1.0}, "`prob` must lie between 0 and 1, got 1.0"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_place_and_count(y, p, options, words):
    with pytest.raises(RemarketingError, match=words):
        score_responses(y, p, **options)


def test_scores_audiences_and_pictures_need_no_scikit_learn():
    modules = ("scores", "audience", "uplift", "lift", "holdout")
    names = ", ".join(["mmm_jax.plots", "mmm_jax.cli.main", *(f"mmm_jax.remarketing.{name}" for name in modules)])
    subprocess.run([sys.executable, "-c", f"import sys, {names}; sys.exit('sklearn' in sys.modules)"], check=True)
