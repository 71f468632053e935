"""How well totals of contributions were recovered, and the target described: the same scores for every tool."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmm_jax.analysis.scores import crps

PROB = 0.9
"""Probability of the intervals whose coverage is counted."""


@dataclass(frozen=True)
class Truth:
    """What made a data set.

    Attributes:
        totals: contribution of each channel over all dates, shape (geo, channel), in units of the target, none of them 0.
        target: shape (geo, date).
        channels: names.
    """

    totals: np.ndarray
    target: np.ndarray
    channels: tuple[str, ...]


def scores(truth: Truth, totals: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Errors of the posterior means of the totals, coverage and width of their intervals, CRPS of the target in sample.

    Args:
        truth: what made the data.
        totals: draws of the contributions over all dates, shape (draw, geo, channel), in units of the target.
        y: predictive draws of the target, shape (draw, geo, date).

    Returns:
        `mape` over channels, their totals taken over all geos, and `errors` of each, signed, as fractions of the truth;
        `coverage` of the totals by channel, `coverage_by_geo` of those by geo and channel; `width`, the mean width of the
        channels' intervals as a fraction of the truth; `crps` in units of the target and `relative_crps` over its mean.
    """
    together, whole = totals.sum(axis=1), truth.totals.sum(axis=0)
    errors = together.mean(axis=0) / whole - 1.0
    low, high = _interval(together)
    spread = crps(truth.target.ravel(), y.reshape(len(y), -1)).mean()
    return {
        "mape": float(np.abs(errors).mean()),
        "errors": dict(zip(truth.channels, errors.tolist(), strict=True)),
        "coverage": _covered(together, whole),
        "coverage_by_geo": _covered(totals, truth.totals),
        "width": float(((high - low) / whole).mean()),
        "crps": float(spread),
        "relative_crps": float(spread / truth.target.mean()),
    }


def worst(errors: dict[str, float], count: int = 2) -> list[str]:
    """The channels whose totals are furthest off, the worst first.

    Example:
        >>> worst({"TV": 0.1, "Radio": -0.4, "Print": 0.2})
        ['Radio', 'Print']
    """
    return sorted(errors, key=lambda name: -abs(errors[name]))[:count]


def _covered(draws: np.ndarray, truth: np.ndarray) -> float:
    low, high = _interval(draws)
    return float(((truth >= low) & (truth <= high)).mean())


def _interval(draws: np.ndarray) -> np.ndarray:
    return np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
