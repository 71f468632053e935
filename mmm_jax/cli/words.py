"""Small words for messages: what was found, and what was probably meant."""

import difflib
from collections.abc import Iterable
from typing import Any


def shown(value: Any) -> str:
    """A value from a configuration file as its author would write it, shortened."""
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value).lower()
    return text if len(text) <= 60 else text[:56] + "...'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if one of the known words is close, else nothing."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names separated by commas; beyond the first ones only their number."""
    every = list(names)
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(number: int, word: str) -> str:
    """A number of things.

    Example:
        >>> counted(1, "row"), counted(26, "row")
        ('1 row', '26 rows')
    """
    return f"{number} {word}{'' if number == 1 else 's'}"
