"""How well chains mixed, for all parameters at once: the numbers behind every verdict.

ArviZ gives the same numbers one parameter at a time; in a batch that would take longer than the sampling. The tests hold
the two against each other.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.special import ndtri
from scipy.stats import rankdata


class Mixing(NamedTuple):
    """Per parameter, shape (parameter,) each: rank-normalised split R-hat and effective sample sizes.

    Reference:
        Vehtari et al. (2021), Rank-normalization, folding, and localization: an improved R-hat.
    """

    r_hat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray


def mixing(draws: np.ndarray) -> Mixing:
    """R-hat and effective sample sizes of draws of shape (chain, draw, parameter), at least four per chain."""
    split = _split(draws)
    ranked = _rank_normalized(split)
    folded = _rank_normalized(np.abs(split - np.median(split, axis=(0, 1))))
    low, high = np.quantile(draws, [0.05, 0.95], axis=(0, 1))
    tails = [_effective_size((split <= bound).astype(float)) for bound in (low, high)]
    constant = np.ptp(draws, axis=(0, 1)) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = np.where(constant, np.nan, np.maximum(_r_hat(ranked), _r_hat(folded)))
    return Mixing(r_hat, _effective_size(ranked), np.minimum(*tails))


def _split(draws: np.ndarray) -> np.ndarray:
    """Every chain as two, without the middle draw of an odd number."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]]).astype(float)


def _rank_normalized(draws: np.ndarray) -> np.ndarray:
    flat = draws.reshape(-1, draws.shape[2])
    return ndtri((rankdata(flat, axis=0) - 0.375) / (len(flat) + 0.25)).reshape(draws.shape)


def _r_hat(draws: np.ndarray) -> np.ndarray:
    count = draws.shape[1]
    between = count * draws.mean(axis=1).var(axis=0, ddof=1)
    within = draws.var(axis=1, ddof=1).mean(axis=0)
    return np.sqrt((between / within + count - 1) / count)


def _effective_size(draws: np.ndarray) -> np.ndarray:
    """Draws over their integrated autocorrelation time, by Geyer's initial monotone sequence."""
    chains, count, _ = draws.shape
    covariance = _autocovariance(draws).mean(axis=0)
    within = covariance[0] * count / (count - 1)
    total = covariance[0] + draws.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1.0 - (within - covariance) / total
    correlation[0] = 1.0
    time = np.maximum(_integrated(correlation), 1.0 / np.log10(chains * count))
    return np.where(total > 0, chains * count / time, chains * count)


def _integrated(correlation: np.ndarray) -> np.ndarray:
    """Integrated autocorrelation time of correlations by lag, shape (lag, parameter)."""
    # The last lags are left out, as ArviZ does: they are known from a few draws only.
    pairs = max((len(correlation) - 3) // 2, 1)
    sums = correlation[0 : 2 * pairs : 2] + correlation[1 : 2 * pairs : 2]
    # The sequence ends before the first pair of a negative sum; pairs may not grow.
    inside = np.logical_and.accumulate(sums > 0, axis=0)
    inside[0] = True
    falling = np.minimum.accumulate(np.where(inside, sums, np.inf), axis=0)
    ends = inside.sum(axis=0)
    first_left_out = correlation[np.minimum(2 * ends, len(correlation) - 1), np.arange(correlation.shape[1])]
    return -1.0 + 2.0 * np.where(inside, falling, 0.0).sum(axis=0) + np.maximum(first_left_out, 0.0)


def _autocovariance(draws: np.ndarray) -> np.ndarray:
    count = draws.shape[1]
    size = scipy.fft.next_fast_len(2 * count, real=True)
    spectrum = np.asarray(scipy.fft.rfft(draws - draws.mean(axis=1, keepdims=True), size, axis=1))
    return np.asarray(scipy.fft.irfft(np.abs(spectrum) ** 2, size, axis=1))[:, :count] / count
