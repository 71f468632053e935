"""Regular calendars: which frequency a column of dates has, and which dates come next."""

from enum import StrEnum

import numpy as np

from mmm_jax.errors import PanelError

Dates = np.ndarray
"""One-dimensional `datetime64[D]`, increasing."""


class Frequency(StrEnum):
    """How far apart the rows of a panel are."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def period(self) -> str:
        """The word for one row: day, week or month."""
        return {"daily": "day", "weekly": "week", "monthly": "month"}[self.value]


_DAY, _MONTH = np.timedelta64(1, "D"), np.timedelta64(1, "M")
_STEP_DAYS = {Frequency.DAILY: 1, Frequency.WEEKLY: 7}


def infer_frequency(dates: Dates) -> Frequency:
    """Frequency of increasing dates without duplicates.

    Raises:
        PanelError: a gap, an irregular step, or a step that is none of day, week, month; names the first odd dates.
    """
    if len(dates) < 2:
        raise PanelError(f"At least 2 rows are needed to tell the frequency, got {len(dates)}. Add the missing rows.")
    frequency = _likely_frequency(dates)
    expected = dates_after(dates[0], len(dates) - 1, frequency, day_of_month=_day_of_month(dates))
    wrong = np.flatnonzero(dates[1:] != expected)
    if len(wrong):
        _raise_irregular(dates, expected, int(wrong[0]), frequency)
    return frequency


def dates_after(last: np.datetime64, count: int, frequency: Frequency, *, day_of_month: int) -> Dates:
    """The `count` dates that follow `last` at this frequency.

    Args:
        last: the date before the first one returned.
        count: how many dates.
        frequency: step between dates.
        day_of_month: where monthly dates stand, 31 for the last day of every month; a month that is too short has its
            last day instead. Other frequencies do not use it.
    """
    steps = np.arange(1, count + 1)
    if frequency in _STEP_DAYS:
        return last + steps * _STEP_DAYS[frequency] * _DAY
    return _on_day(last.astype("datetime64[M]") + steps * _MONTH, day_of_month)


def continues(previous: Dates, new: Dates, frequency: Frequency) -> bool:
    """Whether the new dates start in the period right after the previous ones end."""
    return bool(new[0] == next_dates(previous, 1, frequency)[0])


def next_dates(dates: Dates, count: int, frequency: Frequency) -> Dates:
    """The `count` dates that follow a regular run of dates."""
    return dates_after(dates[-1], count, frequency, day_of_month=_day_of_month(dates))


def spans(dates: Dates, frequency: Frequency, *, known: Dates) -> tuple[Dates, Dates]:
    """The days that each row stands for: the first of them, and the first one after them.

    A row stands for the days from its date to the day before the next row's. Only months whose rows are dated on their last
    day stand for themselves.

    Args:
        dates: of the rows.
        frequency: step between the dates.
        known: regular dates that say where in the month such rows stand, as a single one cannot.

    Example:
        >>> sunday = np.array(["2024-03-03"], "datetime64[D]")
        >>> spans(sunday, Frequency.WEEKLY, known=sunday)[1]
        array(['2024-03-10'], dtype='datetime64[D]')
    """
    if frequency in _STEP_DAYS:
        return dates, dates + _STEP_DAYS[frequency] * _DAY
    months, day = dates.astype("datetime64[M]"), _day_of_month(known)
    if day == 31:
        return _on_day(months, 1), _on_day(months + _MONTH, 1)
    return dates, _on_day(months + _MONTH, day)


def day_of_year(dates: Dates) -> np.ndarray:
    """Day of the calendar year, 1 to 366."""
    first = dates.astype("datetime64[Y]").astype("datetime64[D]")
    return (dates - first).astype(int) + 1


def _likely_frequency(dates: Dates) -> Frequency:
    """The frequency of the commonest step: a few gaps or shifted rows do not hide what the table should have been."""
    steps, counts = np.unique(np.diff(dates).astype(int), return_counts=True)
    step = int(steps[counts.argmax()])
    for frequency, days in _STEP_DAYS.items():
        if step == days:
            return frequency
    if 28 <= step <= 31:
        return Frequency.MONTHLY
    raise PanelError(
        f"Rows must be daily, weekly or monthly, but the commonest step between two dates is {step} days "
        f"({dates[0]} to {dates[-1]}). Aggregate the table to one of these frequencies, or add the missing rows."
    )


def _day_of_month(dates: Dates) -> int:
    """Where monthly dates stand: the first one's day, unless a short month may have cut it; 31 for ends of months."""
    ends = (dates + _DAY).astype("datetime64[M]") != dates.astype("datetime64[M]")
    if ends.all():
        return 31
    days = (dates - dates.astype("datetime64[M]")).astype(int) + 1
    return int(days.max() if ends[0] else days[0])


def _on_day(months: np.ndarray, day: int) -> Dates:
    """That day of each month, or its last one where it is too short."""
    first, following = months.astype("datetime64[D]"), (months + _MONTH).astype("datetime64[D]")
    return np.minimum(first + (day - 1) * _DAY, following - _DAY)


def _raise_irregular(dates: Dates, expected: Dates, index: int, frequency: Frequency) -> None:
    found, wanted = dates[index + 1], expected[index]
    missing = _periods_between(dates[0], dates[-1], frequency) + 1 - len(dates)
    if found > wanted and missing > 0:
        raise PanelError(
            f"Dates must have no gaps, but {missing} {frequency} rows are missing; the first: {wanted} "
            f"(after {dates[index]} comes {found}). Add the rows; spend of 0 is written as 0."
        )
    raise PanelError(
        f"Dates must be regular, but after {dates[index]} comes {found} where {wanted} was expected ({frequency} rows). "
        "Move the row to its period, or aggregate the table."
    )


def _periods_between(first: np.datetime64, last: np.datetime64, frequency: Frequency) -> int:
    if frequency is Frequency.MONTHLY:
        return int((last.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(int))
    return int((last - first).astype(int)) // _STEP_DAYS[frequency]
