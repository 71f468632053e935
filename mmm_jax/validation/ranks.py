"""Rank statistics, and an exact test of whether they are uniform. Pure NumPy: they serve any draws."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binom


class Band(NamedTuple):
    """Least and largest count of ranks up to each rank that a test does not reject, shape (rank,) each."""

    low: np.ndarray
    high: np.ndarray


def thinned(count: int, kept: int) -> np.ndarray:
    """Places of `kept` draws, spread evenly over all `count`.

    Raises:
        ValueError: there are not so many.

    Example:
        >>> thinned(10, 5)
        array([1, 3, 5, 7, 9])
    """
    if not 1 <= kept <= count:
        raise ValueError(f"Of {count} draws, at least 1 and at most {count} can be kept, got {kept}.")
    return ((np.arange(kept) + 0.5) * count / kept).astype(int)


def rank_among(truth: np.ndarray, draws: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """How many draws lie below the truth; among equal ones, the place is drawn at random.

    Args:
        truth: shape (quantity,).
        draws: shape (draw, quantity).
        generator: breaks ties.

    Returns:
        Whole numbers from 0 to the number of draws, shape (quantity,).

    Reference:
        Talts et al. (2018), Validating Bayesian Inference Algorithms with Simulation-Based Calibration.
    """
    below, equal = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return below + generator.integers(0, equal + 1)


def uniformity(ranks: np.ndarray, largest: int) -> float:
    """Probability that uniform ranks stray at least as far from uniformity as these do, at the place where they stray most.

    How far the count of ranks up to `k` strays is its two-sided binomial tail probability; the smallest of these over all
    `k` is the statistic, and its distribution is computed exactly, by following the counts from rank to rank.

    Args:
        ranks: whole numbers from 0 to `largest`, independent of each other, shape (simulation,).
        largest: number of draws that the ranks are among.

    Raises:
        ValueError: no ranks, or ranks out of range.

    Reference:
        Säilynoja, Bürkner and Vehtari (2022), Graphical test for discrete uniformity and its applications in
        goodness-of-fit evaluation and multiple sample comparison.
    """
    tails = _tails(len(ranks), largest)
    counts = counts_up_to(ranks, largest)[:-1]
    statistic = float(tails[np.arange(largest), counts].min(initial=1.0))
    exact = 1.0 - _probability_inside(_band_above(tails, statistic), len(ranks))
    # Rounding hides what lies below 1e-13; one tail at one place, and the sum over all places, bound it.
    return float(np.clip(exact, statistic / 2, min(1.0, largest * statistic)))


def simultaneous_band(count: int, largest: int, prob: float) -> Band:
    """Band that the counts of uniform ranks leave anywhere with a probability of at most `1 - prob`.

    Args:
        count: number of ranks.
        largest: largest rank.
        prob: probability of staying inside at every rank at once.
    """
    tails = _tails(count, largest)
    low, high = np.log(1e-16), 0.0
    for _ in range(50):
        middle = (low + high) / 2
        inside = _probability_inside(_band_above(tails, np.exp(middle)), count)
        low, high = (middle, high) if inside >= prob else (low, middle)
    return _band_above(tails, np.exp(low))


def counts_up_to(ranks: np.ndarray, largest: int) -> np.ndarray:
    """How many ranks are at most `k`, for `k` from 0 to `largest`.

    Raises:
        ValueError: no ranks, or ranks out of range.
    """
    if len(ranks) == 0 or ranks.min() < 0 or ranks.max() > largest:
        raise ValueError(f"Ranks must be whole numbers from 0 to {largest}, and at least one.")
    return np.cumsum(np.bincount(ranks, minlength=largest + 1))


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values adjusted such that the chance of any false alarm is at most the level that they are compared with.

    Reference:
        Holm (1979), A simple sequentially rejective multiple test procedure.

    Example:
        >>> holm(np.array([0.01, 0.5, 0.02]))
        array([0.03, 0.5 , 0.04])
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def _tails(count: int, largest: int) -> np.ndarray:
    """Two-sided tail probability of every count of ranks up to `k`, shape (largest, count + 1)."""
    chance = (np.arange(1, largest + 1) / (largest + 1))[:, None]
    counts = np.arange(count + 1)
    at_most, at_least = binom.cdf(counts, count, chance), binom.sf(counts - 1, count, chance)
    return np.minimum(2 * np.minimum(at_most, at_least), 1.0)


def _band_above(tails: np.ndarray, level: float) -> Band:
    """The counts whose tail probability is above the level; an empty range where there are none."""
    # Equal tails come out of the two sides with different rounding.
    inside = tails > level * (1 + 1e-9)
    last = tails.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    return Band(np.where(inside.any(axis=1), inside.argmax(axis=1), 1), np.where(inside.any(axis=1), last, 0))


def _probability_inside(band: Band, count: int) -> float:
    """Probability that the counts of uniform ranks stay inside of the band, from the first rank to the last."""
    reached, chances = np.array([0]), np.array([1.0])
    ranks = len(band.low) + 1
    for place, (low, high) in enumerate(zip(*band, strict=True)):
        ahead = np.arange(low, high + 1)
        # Of the ranks that are not yet counted, each is the next one with the same chance.
        steps = binom.pmf(ahead[:, None] - reached, count - reached, 1.0 / (ranks - place))
        reached, chances = ahead, steps @ chances
    return float(chances.sum())
