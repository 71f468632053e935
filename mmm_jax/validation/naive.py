"""What a forecast must beat: the last value, and the same period of the year before, with their own past errors.

A single number would be too easy to beat, since the score of a distribution is lower than that of its centre alone. So
each reference is a distribution as well: the value it repeats plus every error that it would have made so far.
"""

import numpy as np

from mmm_jax.analysis.scores import crps
from mmm_jax.data.calendar import Frequency

SEASON = {Frequency.DAILY: 364, Frequency.WEEKLY: 52, Frequency.MONTHLY: 12}
"""Periods after which the year comes round, on the same day of the week."""

_FEWEST_ERRORS = 10
"""From fewer past errors, no distribution can be told."""


def last_value_crps(target: np.ndarray, cut: int, horizon: int) -> np.ndarray:
    """CRPS of repeating the last known value, per period ahead, in units of the target; NaN where too little is known.

    Args:
        target: all rows, shape (time,); only those before the cut are used to forecast.
        cut: row where the forecast begins.
        horizon: rows that are forecast.
    """
    return np.array([_repeated(target, cut, ahead, ahead) for ahead in range(1, horizon + 1)])


def seasonal_crps(target: np.ndarray, cut: int, horizon: int, season: int) -> np.ndarray:
    """CRPS of repeating the same period of the last year known, per period ahead; NaN where too little is known.

    Args:
        target: all rows, shape (time,); only those before the cut are used to forecast.
        cut: row where the forecast begins.
        horizon: rows that are forecast.
        season: periods of a year.
    """
    return np.array([_repeated(target, cut, ahead, -(-ahead // season) * season) for ahead in range(1, horizon + 1)])


def _repeated(target: np.ndarray, cut: int, ahead: int, lag: int) -> float:
    """CRPS of the value `lag` rows before, with the errors that this made up to the cut."""
    row, known = cut + ahead - 1, target[:cut]
    errors = known[lag:] - known[:-lag]
    # A geo may lack rows.
    errors = errors[np.isfinite(errors)]
    if row < lag or len(errors) < _FEWEST_ERRORS or not np.isfinite(target[row] + known[row - lag]):
        return np.nan
    return float(crps(target[row : row + 1], (known[row - lag] + errors)[:, None])[0])
