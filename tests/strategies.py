"""Shared Hypothesis strategies."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mmm_jax.data.calendar import Frequency

CHANNELS, PERIODS = 2, 12
DAY, MONTH = np.timedelta64(1, "D"), np.timedelta64(1, "M")


def spend(channels: int = CHANNELS, periods: int = PERIODS) -> st.SearchStrategy[np.ndarray]:
    """Scaled spend, shape (channel, time): often exactly 0, never more than 10, exact in float32."""
    cells = st.just(0.0) | st.integers(1, 1000).map(lambda cents: cents / 128)
    return npst.arrays(float, (channels, periods), elements=cells)


def between(low: float, high: float, shape: int | tuple[int, ...] = CHANNELS) -> st.SearchStrategy[np.ndarray]:
    """Regular parameter values of one per channel, both ends included, exact in float32."""
    return npst.arrays(float, shape, elements=_exact(low, high))


def number(low: float, high: float) -> st.SearchStrategy[float]:
    """One regular number, both ends included, exact in float32."""
    return _exact(low, high)


def retention() -> st.SearchStrategy[np.ndarray]:
    """Adstock's `alpha` per channel, in [0, 1], its ends among them."""
    return npst.arrays(float, CHANNELS, elements=st.sampled_from([0.0, 1.0]) | _exact(0.0, 1.0))


def windows() -> st.SearchStrategy[int]:
    """Adstock's `l_max`: few values, since each of them is compiled."""
    return st.sampled_from([1, 5])


def regular_dates(min_rows: int = 2, max_rows: int = 30) -> st.SearchStrategy[tuple[Frequency, np.ndarray]]:
    """A frequency and dates of it, `datetime64[D]`, leap years among them."""
    starts = st.dates(datetime.date(1999, 1, 1), datetime.date(2026, 12, 31)).map(np.datetime64)
    rows = st.integers(min_rows, max_rows)
    return st.one_of(
        st.builds(lambda start, count: (Frequency.DAILY, start + np.arange(count) * DAY), starts, rows),
        st.builds(lambda start, count: (Frequency.WEEKLY, start + 7 * np.arange(count) * DAY), starts, rows),
        st.builds(
            lambda start, count, day: (Frequency.MONTHLY, monthly(start, count, day)), starts, rows, st.integers(1, 31)
        ),
    )


def monthly(start: np.datetime64, count: int, day: int) -> np.ndarray:
    """That day of `count` months in a row, or a month's last day where it is shorter."""
    months = start.astype("datetime64[M]") + np.arange(count) * MONTH
    first, following = months.astype("datetime64[D]"), (months + MONTH).astype("datetime64[D]")
    return np.minimum(first + (day - 1) * DAY, following - DAY)


@st.composite
def good_tables(draw: st.DrawFn, channels: int = 2) -> pd.DataFrame:
    """A table that keeps all rules: columns `date`, `sales`, `channel_0 ...`, `control`, rows in any order."""
    _, dates = draw(regular_dates(min_rows=3))
    rows = len(dates)
    columns: dict[str, Any] = {"date": dates, "sales": draw(_varying(rows, -1000.0))}
    columns |= {f"channel_{index}": draw(_varying(rows, 0.0)) for index in range(channels)}
    columns["control"] = draw(npst.arrays(float, rows, elements=_exact(-5.0, 5.0)))
    return pd.DataFrame(columns).iloc[draw(st.permutations(range(rows)))]


@st.composite
def forecasts(draw: st.DrawFn, max_draws: int = 12, max_periods: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Observations of shape (time,) and predictive draws of shape (draw, time), ties among them."""
    periods, count = draw(st.integers(1, max_periods)), draw(st.integers(1, max_draws))
    values = st.sampled_from([-1.0, 0.0, 2.0]) | _exact(-100.0, 100.0)
    return draw(npst.arrays(float, periods, elements=values)), draw(npst.arrays(float, (count, periods), elements=values))


def _exact(low: float, high: float) -> st.SearchStrategy[float]:
    steps = 1024
    return st.integers(0, steps).map(lambda step: float(np.float32(low + (high - low) * step / steps)))


def _varying(rows: int, low: float) -> st.SearchStrategy[np.ndarray]:
    return npst.arrays(float, rows, elements=_exact(low, 1000.0)).filter(lambda values: np.ptp(values) > 0)
