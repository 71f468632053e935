"""How well chains mixed, for all parameters at once: the numbers behind every verdict.

ArviZ gives the same numbers one parameter at a time; in a batch that would take longer than the sampling. The tests hold
the two against each other.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Float
from scipy.special import ndtri


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
    # A parameter's draws lie side by side: sorting and transforms take half the time.
    draws = np.ascontiguousarray(np.moveaxis(draws, 2, 0), float)
    split = _split(draws)
    ranked = _rank_normalized(split)
    folded = _rank_normalized(np.abs(split - np.median(split, axis=(1, 2), keepdims=True)))
    low, high = np.quantile(draws, [0.05, 0.95], axis=(1, 2), keepdims=True)
    tails = [_effective_size((split <= bound).astype(float)) for bound in (low, high)]
    constant = np.ptp(draws, axis=(1, 2)) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = np.where(constant, np.nan, np.maximum(_r_hat(ranked), _r_hat(folded)))
    return Mixing(r_hat, _effective_size(ranked), np.minimum(*tails))


_Draws = Float[np.ndarray, "parameter chain draw"]


def _split(draws: _Draws) -> _Draws:
    """Every chain as two, without the middle draw of an odd number."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _rank_normalized(draws: _Draws) -> _Draws:
    """Normal quantiles of the ranks; equal draws share their mean rank."""
    flat = draws.reshape(len(draws), -1)
    count = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ascending = np.take_along_axis(flat, order, axis=1)
    edge = np.ones((len(flat), 1), bool)
    apart = ascending[:, 1:] != ascending[:, :-1]
    places = np.arange(count)
    first = np.maximum.accumulate(np.where(np.hstack([edge, apart]), places, 0), axis=1)
    after = np.minimum.accumulate(np.where(np.hstack([apart, edge]), places, count)[:, ::-1], axis=1)[:, ::-1]
    # By twice the mean rank, counted from 0.
    quantiles = ndtri((0.5 * np.arange(2 * count - 1) + 0.625) / (count + 0.25))
    ranked = np.empty_like(flat)
    np.put_along_axis(ranked, order, quantiles[first + after], axis=1)
    return ranked.reshape(draws.shape)


def _r_hat(draws: _Draws) -> np.ndarray:
    count = draws.shape[2]
    between = count * draws.mean(axis=2).var(axis=1, ddof=1)
    within = draws.var(axis=2, ddof=1).mean(axis=1)
    return np.sqrt((between / within + count - 1) / count)


def _effective_size(draws: _Draws) -> np.ndarray:
    """Draws over their integrated autocorrelation time, by Geyer's initial monotone sequence."""
    _, chains, count = draws.shape
    covariance = _autocovariance(draws).mean(axis=1)
    within = covariance[:, 0] * count / (count - 1)
    total = covariance[:, 0] + draws.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1.0 - (within[:, None] - covariance) / total[:, None]
    correlation[:, 0] = 1.0
    time = np.maximum(_integrated(correlation), 1.0 / np.log10(chains * count))
    return np.where(total > 0, chains * count / time, chains * count)


def _integrated(correlation: Float[np.ndarray, "parameter lag"]) -> np.ndarray:
    """Integrated autocorrelation time of correlations by lag."""
    lags = correlation.shape[1]
    # The last lags are left out, as ArviZ does: they are known from a few draws only.
    pairs = max((lags - 3) // 2, 1)
    sums = correlation[:, 0 : 2 * pairs : 2] + correlation[:, 1 : 2 * pairs : 2]
    # The sequence ends before the first pair of a negative sum; pairs may not grow.
    inside = np.logical_and.accumulate(sums > 0, axis=1)
    inside[:, 0] = True
    falling = np.minimum.accumulate(np.where(inside, sums, np.inf), axis=1)
    ends = inside.sum(axis=1)
    first_left_out = correlation[np.arange(len(correlation)), np.minimum(2 * ends, lags - 1)]
    return -1.0 + 2.0 * np.where(inside, falling, 0.0).sum(axis=1) + np.maximum(first_left_out, 0.0)


def _autocovariance(draws: _Draws) -> np.ndarray:
    count = draws.shape[2]
    size = scipy.fft.next_fast_len(2 * count, real=True)
    spectrum = np.asarray(scipy.fft.rfft(draws - draws.mean(axis=2, keepdims=True), size))
    return np.asarray(scipy.fft.irfft(np.abs(spectrum) ** 2, size))[:, :, :count] / count
