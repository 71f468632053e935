"""Curves of a response model, draw by draw: ROC, precision-recall, gain, and calibration in bins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mmm_jax.remarketing.arrays import blocks, draws_of, labels_of, share
from mmm_jax.remarketing.ranked import Ranked, ranked


def roc_curves(y: Any, p: Any, at: np.ndarray) -> np.ndarray:
    """Share of the responders found where a share of the others is taken for responders, shape (draws, at).

    Args:
        y: labels 0 and 1, shape (rows,).
        p: posterior draws of the probabilities, shape (draws, rows), or (rows,).
        at: false positive rates.

    Raises:
        RemarketingError: labels or probabilities are not usable.
    """
    labels = labels_of(y)
    return _curves(labels, p, lambda ends, hits: _roc(ends, hits, at))


def precision_recall_curves(y: Any, p: Any, at: np.ndarray) -> np.ndarray:
    """Share of responders among those chosen, where just enough are chosen to find a share of all, shape (draws, at).

    Args:
        y: as in `roc_curves`.
        p: likewise.
        at: recalls, above 0.

    Raises:
        RemarketingError: labels or probabilities are not usable.
    """
    return _curves(labels_of(y), p, lambda ends, hits: _precision(ends, hits, at))


def gain_curves(y: Any, p: Any, at: np.ndarray) -> np.ndarray:
    """Share of the responders among the likeliest customers, shape (draws, at).

    Args:
        y: as in `roc_curves`.
        p: likewise.
        at: shares of the customers that are contacted.

    Raises:
        RemarketingError: labels or probabilities are not usable.
    """
    return _curves(labels_of(y), p, lambda ends, hits: np.interp(at, ends / ends[-1], hits / hits[-1]))


def calibration_bins(y: Any, p: Any, *, bins: int = 10, equal_mass: bool = True, prob: float = 0.9) -> pd.DataFrame:
    """What was said and what came of it, by groups of customers with similar posterior mean probabilities.

    Args:
        y: as in `roc_curves`.
        p: likewise.
        bins: at most so many groups; customers with equal probabilities stay together.
        equal_mass: groups with equally many customers; else of equal width of probability.
        prob: probability of the intervals.

    Returns:
        One row per group that has customers: `customers`, `responders`, `predicted` (mean probability), `observed` (share
        of responders) and `lower`, `upper`: where that share may lie, given that so few were seen (Jeffreys interval).

    Raises:
        RemarketingError: labels or probabilities are not usable.

    Reference:
        Brown, Cai and DasGupta (2001), Interval Estimation for a Binomial Proportion.
    """
    labels = labels_of(y)
    mean = draws_of(p, len(labels)).mean(axis=0, dtype=float)
    edges = np.quantile(mean, np.arange(1, bins) / bins) if equal_mass else np.arange(1, bins) / bins
    rows = pd.DataFrame({"bin": np.digitize(mean, edges), "responders": labels, "predicted": mean})
    found = rows.groupby("bin").agg(
        customers=("bin", "size"), responders=("responders", "sum"), predicted=("predicted", "mean")
    )
    found["observed"] = found["responders"] / found["customers"]
    yes, no = found["responders"] + 0.5, found["customers"] - found["responders"] + 0.5
    half = (1 - share(prob, name="prob")) / 2
    low, high = stats.beta.ppf(half, yes, no), stats.beta.ppf(1 - half, yes, no)
    # With none or all of them, the interval reaches the end of the scale.
    return found.assign(lower=np.where(yes < 1, 0.0, low), upper=np.where(no < 1, 1.0, high)).reset_index(drop=True)


def _curves(y: np.ndarray, p: Any, curve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """A curve of every draw, from the numbers of customers and of responders at the ends of groups of equals."""
    draws = draws_of(p, len(y))
    ranks = np.arange(1.0, len(y) + 1)
    orders = (ranked(y, draws[block]) for block in blocks(*draws.shape))
    return np.stack([curve(*_from_nobody(order, row, ranks)) for order in orders for row in range(len(order.p))])


def _from_nobody(order: Ranked, row: int, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    last = order.last[row]
    return np.append(0.0, ranks[last]), np.append(0.0, order.hits[row][last])


def _roc(ends: np.ndarray, hits: np.ndarray, at: np.ndarray) -> np.ndarray:
    misses = ends - hits
    # Of several ends with the same misses, the last one counts: it is what `interp` takes of equal places.
    return np.interp(at, misses / misses[-1], hits / hits[-1])


def _precision(ends: np.ndarray, hits: np.ndarray, at: np.ndarray) -> np.ndarray:
    # Rounding must not ask for one responder more.
    place = np.searchsorted(hits, at * hits[-1] - 1e-9 * hits[-1], side="left")
    place = np.clip(place, 1, len(hits) - 1)
    return hits[place] / ends[place]
