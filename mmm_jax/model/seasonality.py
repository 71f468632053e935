"""Waves over the calendar's month and week, beside those of the year.

On weekly rows, a wave of the month is the mean of its days' values. What a row holds in full, a week of weekdays or a month
of its days, differs from no other row, and so has no wave.
"""

import numpy as np

from mmm_jax.data.calendar import Dates, Frequency
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError, SpecError
from mmm_jax.model.days import daily_mean

_MOST = {"monthly_seasonality": 15, "weekly_seasonality": 3}
"""Waves beyond which the days of a month, or of a week, are too few to tell them apart."""

_KNOWS = {
    "monthly_seasonality": (Frequency.DAILY, Frequency.WEEKLY),
    "weekly_seasonality": (Frequency.DAILY,),
}
"""Frequencies of rows that can tell the season."""

_DAYS_PER_WEEK = 7
_MONDAY = np.datetime64("1970-01-05", "D")


def check_waves(field: str, waves: object) -> None:
    """Raise a `SpecError` that names the field of the spec unless this is a number of waves that there can be."""
    most = _MOST.get(field, np.inf)
    if not isinstance(waves, int) or not 0 <= waves <= most:
        bounds = "at least 0" if np.isinf(most) else f"from 0 to {most}"
        raise SpecError(f"ModelSpec.{field} must be a whole number of waves, {bounds}; got {waves!r}.")


def mode_labels(waves: int) -> list[str]:
    """Labels of the rows of a Fourier basis.

    Example:
        >>> mode_labels(2)
        ['sin_1', 'sin_2', 'cos_1', 'cos_2']
    """
    return [f"{wave}_{order}" for wave in ("sin", "cos") for order in range(1, waves + 1)]


def calendar_waves(monthly: int, weekly: int, rows: Panel, training: Panel) -> np.ndarray:
    """Waves of the month, then of the week, as means over the days of each row.

    Args:
        monthly: number of waves over the month.
        weekly: number of waves over the week.
        rows: the rows.
        training: the panel whose frequency they have.

    Returns:
        Shape (2 * (monthly + weekly), time): `sin_1 ... sin_n, cos_1 ... cos_n` of each.

    Raises:
        PanelError: the rows are too long to know the season.
    """
    for field, waves in (("monthly_seasonality", monthly), ("weekly_seasonality", weekly)):
        if waves and training.frequency not in _KNOWS[field]:
            _raise_unknown(field, training.frequency)

    def of_day(days: Dates) -> np.ndarray:
        return np.concatenate([_waves(place_in_month(days), monthly), _waves(place_in_week(days), weekly)])

    return daily_mean(of_day, rows, training)


def place_in_month(days: Dates) -> np.ndarray:
    """Part of the calendar month that has gone by when the day begins: 0 on its first day, below 1 on its last."""
    months = days.astype("datetime64[M]")
    first, following = months.astype("datetime64[D]"), (months + np.timedelta64(1, "M")).astype("datetime64[D]")
    return (days - first) / (following - first)


def place_in_week(days: Dates) -> np.ndarray:
    """Part of the week that has gone by when the day begins: 0 on Monday, 6/7 on Sunday."""
    return (days - _MONDAY).astype(int) % _DAYS_PER_WEEK / _DAYS_PER_WEEK


def _waves(place: np.ndarray, count: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(1, count + 1)[:, None] * place
    return np.concatenate([np.sin(angle), np.cos(angle)])


def _raise_unknown(field: str, frequency: Frequency) -> None:
    known = " or ".join(_KNOWS[field])
    raise PanelError(
        f"ModelSpec.{field} needs {known} rows, but the panel's are {frequency}: each of them holds all of it, so that its "
        "effect cannot be told from the intercept. Set it to 0."
    )
