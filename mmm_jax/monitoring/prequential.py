"""Predictions one row after the other: every row is judged by a posterior that has seen all rows before it, and no other.

The probability transform of every row is then uniform and independent of the others' while the model holds. Under the
training posterior alone it is not: what the parameters are off by makes all rows miss to one side.

The posterior of later rows follows from that of training by conditioning the draws' linear predictors as jointly normal,
each row telling of the later ones by the covariance of theirs. Reweighing the draws instead would need no such
approximation, but leaves a handful of thousands after a year: how few it would leave is told, as a sign that the fit should
be made anew.

Reference:
    Dawid (1984), Present position and potential developments: the prequential approach.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import logsumexp, ndtri

_EDGE = 1e-12
"""Of a probability: beyond, a row counts as seven deviations off, and not as infinitely many."""


class Conditioned(NamedTuple):
    """Mean and deviation of every row's linear predictor, given the rows before it; both shape (row,)."""

    mean: Float[np.ndarray, " row"]
    deviation: Float[np.ndarray, " row"]


def conditioned(
    mean: Float[np.ndarray, " row"],
    covariance: Float[np.ndarray, "row row"],
    noise: Float[np.ndarray, " row"],
    observed: Bool[np.ndarray, " row"],
    residual: Callable[[int, float], float],
) -> Conditioned:
    """The linear predictors one after the other.

    Args:
        mean: of the training posterior.
        covariance: likewise.
        noise: deviation that one outcome tells its linear predictor by.
        observed: whether an outcome was seen.
        residual: of a row, given the mean of its linear predictor: how far the outcome alone would move it.
    """
    mean, covariance = mean.copy(), covariance.copy()
    found = Conditioned(np.empty_like(mean), np.empty_like(mean))
    for row in range(len(mean)):
        found.mean[row], found.deviation[row] = mean[row], np.sqrt(max(covariance[row, row], 0.0))
        if observed[row]:
            along = covariance[row] / (covariance[row, row] + noise[row] ** 2)
            mean += along * residual(row, mean[row])
            covariance -= np.outer(along, covariance[row])
    return found


def transformed(pit: Float[np.ndarray, " row"], observed: Bool[np.ndarray, " row"]) -> tuple[np.ndarray, np.ndarray]:
    """Probability transforms, and the same in deviations of a standard normal; NaN in rows that were not seen."""
    inside = np.where(observed, np.clip(pit, _EDGE, 1.0 - _EDGE), np.nan)
    return inside, ndtri(inside)


def effective_draws(log_density: Float[np.ndarray, "draw row"], observed: Bool[np.ndarray, " row"]) -> np.ndarray:
    """How many draws would be left for every row, were they reweighed by the rows before it, shape (row,)."""
    seen = np.where(observed, log_density, 0.0)
    log_weight = np.concatenate([np.zeros((len(seen), 1)), np.cumsum(seen, axis=1)[:, :-1]], axis=1)
    total, squares = (np.asarray(logsumexp(power * log_weight, axis=0)) for power in (1, 2))
    return np.exp(2 * total - squares)
