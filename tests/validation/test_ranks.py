"""Rank statistics: exact where the posterior is, and a test that sees what is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax.validation.ranks import (
    counts_up_to,
    holm,
    rank_among,
    simultaneous_band,
    thinned,
    uniformity,
)

LARGEST, SIMULATIONS = 63, 400


def conjugate_ranks(widen: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Ranks of a normal mean in draws of its exact posterior, or of one that is too wide or lies elsewhere.

    `mean ~ Normal(0, 1)`, five observations of unit variance: `mean | y ~ Normal(5/6 ybar, 1/6)`.
    """
    rng = np.random.default_rng(0)
    truth = rng.normal(size=SIMULATIONS)
    observed = truth + rng.normal(size=SIMULATIONS) / np.sqrt(5)
    draws = 5 / 6 * observed + shift + widen / np.sqrt(6) * rng.normal(size=(LARGEST, SIMULATIONS))
    return rank_among(truth, draws, rng)


def test_ranks_of_an_exact_posterior_pass():
    assert uniformity(conjugate_ranks(), LARGEST) > 0.05


@pytest.mark.parametrize("wrong", [{"widen": 0.7}, {"widen": 1.4}, {"shift": 0.15}], ids=["narrow", "wide", "shifted"])
def test_ranks_of_a_wrong_posterior_fail(wrong):
    assert uniformity(conjugate_ranks(**wrong), LARGEST) < 1e-4


def test_p_values_are_those_of_the_statistic_by_brute_force():
    """`gamma = min_k 2 min(P(Bin <= count_k), P(Bin >= count_k))`, its distribution by simulating uniform ranks."""
    from scipy.stats import binom

    def statistic(ranks):
        counts = np.cumsum(np.bincount(ranks, minlength=8))[:-1]
        chance = np.arange(1, 8) / 8
        return 2 * np.minimum(binom.cdf(counts, 20, chance), binom.sf(counts - 1, 20, chance)).min()

    rng = np.random.default_rng(1)
    simulated = np.array([statistic(ranks) for ranks in rng.integers(0, 8, (4000, 20))])
    for ranks in rng.integers(0, 8, (5, 20)):
        expected = np.mean(np.minimum(simulated, 1) <= min(statistic(ranks), 1) * (1 + 1e-9))
        assert uniformity(ranks, 7) == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(4000))


def test_p_values_of_all_samples_are_an_exact_distribution():
    """Three ranks of 0 to 2: over all 27 equally likely samples, `P(p <= level) <= level`, with equality at the p-values."""
    samples = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    found = np.array([uniformity(ranks, 2) for ranks in samples])
    for level in np.unique(found.round(9)):
        assert np.mean(found <= level + 1e-9) == pytest.approx(level, abs=1e-9)


@given(st.integers(2, 60), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_band_holds_ranks_that_pass_and_no_others(count, largest, seed):
    ranks = np.random.default_rng(seed).integers(0, largest + 1, count)
    band, counts = simultaneous_band(count, largest, 0.8), counts_up_to(ranks, largest)[:-1]
    inside = bool(np.all((band.low <= counts) & (counts <= band.high)))
    p_value = uniformity(ranks, largest)
    assert inside == (p_value >= 0.2) or p_value == pytest.approx(0.2, abs=1e-6)


def test_extreme_ranks_have_a_small_positive_p_value():
    assert 0 < uniformity(np.zeros(50, int), 20) < 1e-30


def test_ties_are_broken_evenly():
    ranks = rank_among(np.zeros(2000), np.zeros((7, 2000)), np.random.default_rng(2))
    assert uniformity(ranks, 7) > 0.01
    below = np.repeat([[-1.0], [0.0], [1.0]], 2000, axis=1)
    assert set(rank_among(np.zeros(2000), below, np.random.default_rng(2))) == {1, 2}


@given(st.integers(1, 500), st.data())
def test_thinned_places_are_different_and_even(count, data):
    kept = data.draw(st.integers(1, count))
    places = thinned(count, kept)
    assert np.all(np.diff(places) >= count // kept)
    assert places[0] >= 0
    assert places[-1] < count


def test_more_draws_than_there_are_cannot_be_kept():
    with pytest.raises(ValueError, match="10 draws.*got 11"):
        thinned(10, 11)


def test_holm_is_the_closed_form_of_one_by_one():
    p_values = np.array([0.04, 0.001, 0.03, 0.9])
    np.testing.assert_allclose(holm(p_values), [0.09, 0.004, 0.09, 0.9])


def test_ranks_out_of_range_are_refused():
    with pytest.raises(ValueError, match="from 0 to 3"):
        uniformity(np.array([0, 4]), 3)
