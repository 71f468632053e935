"""Options of events as people write them: dates, windows and names, checked and made plain for JSON.

Every `where` says whose option it is, for the `SpecError` that is raised unless it can be used.
"""

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmm_jax.errors import SpecError

Day = str | datetime.date | np.datetime64
"""A date; as text, 2024-01-31."""

DayWindow = tuple[int, int]
"""Days before and after a date that belong to it, too."""


def plain_days(where: str, given: Any) -> tuple[str, ...]:
    """Dates as text, each once and in order.

    Example:
        >>> plain_days("Sale", [datetime.date(2024, 5, 3), "2023-05-05"])
        ('2023-05-05', '2024-05-03')
    """
    if isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)) or len(given) == 0:
        raise SpecError(f"{where}: dates must be a list of at least one date; got {given!r}.")
    return tuple(sorted({plain_day(f"{where}: dates[{place}]", value) for place, value in enumerate(given)}))


def plain_day(where: str, given: Any) -> str:
    """A date as text."""
    try:
        # Shorter texts, such as 2024-05, are no days; to NumPy, they would be the first one.
        value = datetime.date.fromisoformat(given) if isinstance(given, str) else given
        if not isinstance(value, (datetime.date, np.datetime64)):
            raise TypeError
        day = np.array([value], "datetime64[D]")[0]
        if np.isnat(day):
            raise ValueError
    except (ValueError, TypeError) as error:
        raise SpecError(f"{where} must be a date such as 2024-01-31; got {given!r}.") from error
    return str(day)


def plain_window(where: str, given: Any) -> DayWindow:
    """Two whole numbers of days."""
    parts = tuple(given) if isinstance(given, (tuple, list)) else ()
    if len(parts) != 2 or not all(isinstance(part, int) and not isinstance(part, bool) and part >= 0 for part in parts):
        raise SpecError(f"{where}: window must be two whole numbers of days, before and after, at least 0; got {given!r}.")
    return parts


def plain_texts(where: str, given: Any) -> tuple[str, ...]:
    """Names, each once, in their order."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) == 0:
        raise SpecError(f"{where} must be a list of at least one name; got {given!r}.")
    for text in given:
        check_text(f"Each of {where}", text)
    return tuple(dict.fromkeys(given))


def check_text(where: str, given: Any) -> None:
    """Raise a `SpecError` unless this is text with something in it."""
    if not isinstance(given, str) or not given.strip():
        raise SpecError(f"{where} must be text, and not empty; got {given!r}.")
