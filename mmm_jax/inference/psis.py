"""Pareto-smoothed importance weights, for many fits at once: draws of an approximation count as draws of the target.

The largest ratios of target to approximation decide how far the weighted draws can be believed. A generalised Pareto
distribution is fitted to them: its quantiles take their place, and its shape, k-hat, says how heavy their tail is.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

_LEAST_TAIL = 5
"""Ratios that a tail must have for a distribution to be fitted to it."""

_PRIOR_SHAPE, _PRIOR_COUNT = 0.5, 10.0
"""The shape is drawn towards a half, as by ten more ratios: short tails would otherwise look harmless."""


class Smoothed(NamedTuple):
    """Importance weights of every fit.

    Attributes:
        log_weights: smoothed and normalised, so that their exponentials sum to 1, shape (..., draw).
        pareto_k: shape of the ratios' tail: below `k_threshold` the weighted draws can be believed; infinite where no
            ratio is finite or too few are to tell; shape (...).
        ess: effective sample size of the weighted draws, `1 / sum(weight**2)`, shape (...).
        log_mean: logarithm of the mean smoothed ratio, which estimates the target's log normalising constant where both
            densities are complete; shape (...).
        log_mean_error: its Monte Carlo standard error, shape (...).
    """

    log_weights: Float[np.ndarray, "*fit draw"]
    pareto_k: Float[np.ndarray, "*fit"]
    ess: Float[np.ndarray, "*fit"]
    log_mean: Float[np.ndarray, "*fit"]
    log_mean_error: Float[np.ndarray, "*fit"]


def psis(log_ratios: Float[np.ndarray, "*fit draw"]) -> Smoothed:
    """Smoothed importance weights of draws from an approximation.

    Args:
        log_ratios: log density of the target minus that of the approximation, up to a constant; minus infinity where the
            target has no density. What is not a number counts as minus infinity.

    Example:
        >>> ratios = np.random.default_rng(0).exponential(size=4000)  # `exp` of it is Pareto with the tail index 1
        >>> bool(psis(ratios).pareto_k > k_threshold(4000))
        True

    Reference:
        Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling.
    """
    given = np.asarray(log_ratios, float)
    rows = np.where(np.isnan(given), -np.inf, given).reshape(-1, given.shape[-1])
    largest = rows.max(axis=1, keepdims=True)
    usable = np.isfinite(largest[:, 0])
    shifted = np.where(usable[:, None], rows - np.where(usable[:, None], largest, 0.0), 0.0)
    smooth, shape = _smoothed(shifted)
    total = np.asarray(logsumexp(smooth, axis=1))
    weights = np.exp(smooth - total[:, None])
    ess = 1.0 / np.sum(weights**2, axis=1)
    log_mean = np.where(usable, largest[:, 0] + total - math.log(rows.shape[1]), -np.inf)
    error = np.where(usable, np.sqrt(np.maximum(1.0 / ess - 1.0 / rows.shape[1], 0.0)), np.inf)
    columns = (np.where(usable, shape, np.inf), np.where(usable, ess, 0.0), log_mean, error)
    lead = given.shape[:-1]
    return Smoothed((smooth - total[:, None]).reshape(given.shape), *(column.reshape(lead) for column in columns))


def k_threshold(num_draws: int) -> float:
    """The k-hat up to which so many weighted draws can be believed: `min(1 - 1 / log10(draws), 0.7)`.

    Example:
        >>> k_threshold(4000), round(k_threshold(100), 3)
        (0.7, 0.5)
    """
    return min(1.0 - 1.0 / math.log10(num_draws), 0.7)


def tail_length(num_draws: int) -> int:
    """How many of the largest ratios count as their tail: `min(draws / 5, 3 sqrt(draws))`.

    Example:
        >>> tail_length(100), tail_length(10_000)
        (20, 300)
    """
    return math.ceil(min(num_draws / 5.0, 3.0 * math.sqrt(num_draws)))


def _smoothed(log_ratios: Float[np.ndarray, "fit draw"]) -> tuple[np.ndarray, np.ndarray]:
    """Log ratios, at most 0, with the tail's put in order of the fitted quantiles; and the tail's shape."""
    count = tail_length(log_ratios.shape[1])
    if count < _LEAST_TAIL or log_ratios.shape[1] <= count:
        return log_ratios, np.full(len(log_ratios), np.inf)
    places = np.argsort(log_ratios, axis=1, kind="stable")[:, -count - 1 :]
    ends = np.exp(np.take_along_axis(log_ratios, places, axis=1))
    cut, excess = ends[:, :1], ends[:, 1:] - ends[:, :1]
    shape, scale = generalized_pareto(excess)
    probabilities = (np.arange(count) + 0.5) / count
    quantiles = cut + _pareto_quantiles(probabilities, shape[:, None], scale[:, None])
    fitted = np.isfinite(shape) & (scale > 0)
    with np.errstate(divide="ignore"):
        # No smoothed ratio is larger than the largest raw one.
        tail = np.minimum(np.log(np.where(fitted[:, None], quantiles, ends[:, 1:])), 0.0)
    smooth = log_ratios.copy()
    np.put_along_axis(smooth, places[:, 1:], tail, axis=1)
    return smooth, shape


def generalized_pareto(excess: Float[np.ndarray, "fit tail"]) -> tuple[np.ndarray, np.ndarray]:
    """Shape and scale of the generalised Pareto distribution of every row, by the posterior mean over a grid.

    Args:
        excess: in ascending order, not negative.

    Returns:
        Shape, drawn towards a half, and scale. A tail without any spread has the shape 0 and the scale 0; one with fewer
        than five positive entries an infinite shape.

    Reference:
        Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution.
    """
    count = excess.shape[1]
    constant = excess[:, -1] == 0
    known = (excess > 0).sum(axis=1) >= _LEAST_TAIL
    # Rows that say nothing are filled with any that do.
    excess = np.where((known & ~constant)[:, None], excess, np.arange(1.0, count + 1.0))
    largest, quartile = excess[:, -1:], excess[:, int(count / 4 + 0.5) - 1, None]
    # Ties at the cut have no excess, so that the quartile may be 0.
    quartile = np.where(quartile > 0, quartile, 1e-3 * largest)
    size = 30 + int(math.sqrt(count))
    grid = 1.0 / largest + (1.0 - np.sqrt(size / (np.arange(1, size + 1) - 0.5))) / (3.0 * quartile)
    shapes = _shape_of(grid, excess)
    log_profile = count * (np.log(-grid / shapes) - shapes - 1.0)
    weights = np.exp(log_profile - logsumexp(log_profile, axis=1, keepdims=True))
    best = np.sum(grid * weights, axis=1, keepdims=True)
    shape = _shape_of(best, excess)[:, 0]
    scale = -shape / best[:, 0]
    drawn = (count * shape + _PRIOR_COUNT * _PRIOR_SHAPE) / (count + _PRIOR_COUNT)
    return np.where(constant, 0.0, np.where(known, drawn, np.inf)), np.where(constant | ~known, 0.0, scale)


def _shape_of(grid: Float[np.ndarray, "fit grid"], excess: Float[np.ndarray, "fit tail"]) -> np.ndarray:
    """The most likely shape for every value of `-shape / scale` of the grid."""
    return np.stack([np.log1p(-column[:, None] * excess).mean(axis=1) for column in grid.T], axis=1)


def _pareto_quantiles(probabilities: np.ndarray, shape: np.ndarray, scale: np.ndarray) -> np.ndarray:
    log_tail = np.log1p(-probabilities)
    curved = np.where((np.abs(shape) > 1e-9) & np.isfinite(shape), shape, 1.0)
    straight = np.isfinite(shape) & (np.abs(shape) <= 1e-9)
    return scale * np.where(straight, -log_tail, np.expm1(-curved * log_tail) / curved)
