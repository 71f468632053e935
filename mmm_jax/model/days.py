"""From days to rows: what holds per day, averaged over the days that a row stands for.

So a coefficient means the same, whether the rows are days, weeks or months.
"""

from collections.abc import Callable

import numpy as np

from mmm_jax.data.calendar import Dates, spans
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.panel import Panel

_DAY = np.timedelta64(1, "D")


def days_of(panel: AnyPanel) -> Dates:
    """All days that the rows of a panel stand for."""
    first, after = spans(panel.dates, panel.frequency, known=panel.dates)
    return np.arange(first[0], after[-1])


def daily_mean(of_day: Callable[[Dates], np.ndarray], rows: Panel, training: Panel) -> np.ndarray:
    """Mean over the days of each row.

    Args:
        of_day: from days to values, shape (..., day).
        rows: the rows.
        training: rows of the same market that say which days a row stands for.

    Returns:
        Shape (..., time).
    """
    first, after = spans(rows.dates, training.frequency, known=training.dates)
    # One day more than needed, so that the last row's end is a place among them.
    days = np.arange(first.min(), after.max() + _DAY)
    ends = (np.stack([first, after], axis=1).ravel() - days[0]).astype(int)
    # Not by differences of running sums, which leave rounding where there is nothing.
    sums = np.add.reduceat(of_day(days), ends, axis=-1)[..., ::2]
    return sums / (after - first).astype(int)
