"""Customers from the likeliest to the least likely, draw by draw: what ROC, precision-recall, gain and calibration share.

Customers with equal probabilities have no order: between the first and the last of them, curves are straight.
"""

from typing import NamedTuple

import numpy as np


class Ranked(NamedTuple):
    """Draws of customers in falling order of their probability.

    Attributes:
        p: probabilities, shape (draws, rows).
        labels: likewise; equal probabilities share the mean of their labels.
        hits: responders up to and with a customer, where a group of equals ends; elsewhere that of the last group's end.
        before: hits at the end of the group before a customer's own.
        last: whether a customer is the last of a group of equals.
        previous: number of customers up to the end of the group before.
    """

    p: np.ndarray
    labels: np.ndarray
    hits: np.ndarray
    before: np.ndarray
    last: np.ndarray
    previous: np.ndarray


def ranked(y: np.ndarray, p: np.ndarray) -> Ranked:
    """Put customers in order.

    Args:
        y: labels, bool, shape (rows,).
        p: shape (draws, rows).
    """
    order = np.argsort(-p, axis=1)
    sorted_p, labels = np.take_along_axis(p, order, axis=1), y[order].astype(float)
    hits = np.cumsum(labels, axis=1)
    last = np.ones(p.shape, bool)
    last[:, :-1] = sorted_p[:, 1:] != sorted_p[:, :-1]
    rank = np.broadcast_to(np.arange(1.0, p.shape[1] + 1), p.shape)
    if last.all():
        return Ranked(sorted_p, labels, hits, hits - labels, last, rank - 1)
    before, previous = _ends_before(hits, last), _ends_before(rank, last)
    # The end of a customer's own group, from behind.
    next_hits, next_rank = (_ends_after(values, last) for values in (hits, rank))
    labels = (next_hits - before) / (next_rank - previous)
    return Ranked(sorted_p, labels, np.where(last, hits, before), before, last, previous)


def _ends_before(values: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Values, which grow, at the end of the group before each customer's own."""
    at_ends = np.maximum.accumulate(np.where(last, values, 0.0), axis=1)
    return np.concatenate([np.zeros((len(values), 1)), at_ends[:, :-1]], axis=1)


def _ends_after(values: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Values, which grow, at the end of each customer's own group."""
    at_ends = np.where(last, values, np.inf)
    return np.minimum.accumulate(at_ends[:, ::-1], axis=1)[:, ::-1]


def roc_auc(order: Ranked) -> np.ndarray:
    """Probability that a responder is ranked above another customer, a tie counting one half, shape (draws,)."""
    rows = order.p.shape[1]
    positives = order.hits[:, -1]
    group = np.arange(1, rows + 1) - order.previous
    misses = group - (order.hits - order.before)
    # Responders above a group in full, those inside of it by half.
    area = np.where(order.last, misses * (order.hits + order.before) / 2, 0.0).sum(axis=1)
    return area / (positives * (rows - positives))


def average_precision(order: Ranked) -> np.ndarray:
    """Precision averaged over the responders, `sum (recall_n - recall_{n-1}) precision_n`, shape (draws,)."""
    precision = order.hits / np.arange(1, order.p.shape[1] + 1)
    gained = np.where(order.last, (order.hits - order.before) * precision, 0.0)
    return gained.sum(axis=1) / order.hits[:, -1]


def equal_mass_error(order: Ranked, bins: int) -> np.ndarray:
    """Expected calibration error over bins with equally many customers, shape (draws,)."""
    rows = order.p.shape[1]
    starts = np.unique(np.arange(bins) * rows // bins)
    gaps = np.add.reduceat(order.labels - order.p, starts, axis=1)
    return np.abs(gaps).sum(axis=1) / rows


def equal_width_error(y: np.ndarray, p: np.ndarray, bins: int) -> np.ndarray:
    """Expected calibration error over bins of equal width of probability, shape (draws,)."""
    draws = len(p)
    place = np.minimum((p * bins).astype(int), bins - 1) + bins * np.arange(draws)[:, None]
    gaps = np.bincount(place.ravel(), weights=(y - p).ravel(), minlength=bins * draws)
    return np.abs(gaps).reshape(draws, bins).sum(axis=1) / p.shape[1]
