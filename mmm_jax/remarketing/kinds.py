"""Which columns of a table are numbers, which are words and which are dates; and which cannot be used, and why."""

import re
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmm_jax.errors import RemarketingError

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")
_ID_NAME = re.compile(r"(^|.*[_\W])id$", re.IGNORECASE)
_ENOUGH = 20
"""Rows from which on a column that tells the label without an error is no accident."""


class Kinds(NamedTuple):
    """Names of columns by kind, and why others are left out."""

    numbers: list[str]
    words: list[str]
    dates: list[str]
    dropped: dict[str, str]


def kinds_of(table: Any, dates: Collection[str], most_words: int) -> Kinds:
    """Kinds of the columns.

    Args:
        table: training rows of the columns that may be features.
        dates: columns that are dates, besides those that look like it.
        most_words: most different words that a column may have.

    Raises:
        RemarketingError: a column is missing throughout, numbers the customers, or has too many words.
    """
    found = Kinds([], [], [], {})
    for name in map(str, table.columns):
        values = table[name]
        _check_present(values)
        if name in dates or is_date(values):
            kind = found.dates
        elif values.dtype.kind in "fiub":
            _check_no_number_of_rows(values)
            kind = found.numbers
        else:
            kind = found.words
        if _is_constant(values, numeric=kind is not found.words):
            found.dropped[name] = f"constant: {values.dropna().iloc[0]!s} in all {len(values)} rows that are known"
            continue
        if kind is found.words:
            _check_words(values, most_words)
        kind.append(name)
    if not (found.numbers or found.words or found.dates):
        raise RemarketingError(f"No column is left to learn from; dropped: {found.dropped or 'none'}.")
    return found


def is_date(values: Any) -> bool:
    """Whether a column holds dates: by its type, or because all its words are ISO dates."""
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        return True
    if values.dtype.kind in "fiubc":
        return False
    known = values.dropna()
    return len(known) > 0 and all(isinstance(value, str) and _ISO_DATE.fullmatch(value) for value in known)


def as_dates(values: Any) -> Any:
    """The column as dates without a zone; missing where it is missing.

    Raises:
        RemarketingError: a value that is no date; names the column, the count and the first one.
    """
    parsed = pd.to_datetime(values, errors="coerce", format=None if values.dtype.kind == "M" else "ISO8601", utc=True)
    wrong = values[parsed.isna() & values.notna()]
    if len(wrong):
        raise RemarketingError(
            f"Column {values.name!r} has {len(wrong)} values of {len(values)} that are no dates; the first is "
            f"{shown(wrong.iloc[0])} in row {shown(wrong.index[0])}. Write dates as 2014-06-29."
        )
    return parsed.dt.tz_localize(None)


def as_numbers(values: Any) -> Any:
    """The column as float64.

    Raises:
        RemarketingError: a value that is no number, or infinite; names the column, the count and the first one.
    """
    numbers: Any = pd.to_numeric(values, errors="coerce")
    found = numbers.astype(float)
    wrong = values[(found.isna() & values.notna()) | np.isinf(found)]
    if len(wrong):
        raise RemarketingError(
            f"Column {values.name!r} has {len(wrong)} values of {len(values)} that are no finite numbers; the first is "
            f"{shown(wrong.iloc[0])} in row {shown(wrong.index[0])}."
        )
    return found


def as_words(values: Any) -> Any:
    """The column as text; `None` where it is missing."""
    words = [None if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]
    return pd.Series(words, values.index, dtype=object, name=values.name)


def check_no_leak(table: Any, responded: np.ndarray, allowed: Iterable[str]) -> None:
    """Raise a `RemarketingError` for a column that tells the label of every row, unless it is allowed."""
    if min(responded.sum(), (1 - responded).sum()) < 2 or len(responded) < _ENOUGH:
        return
    for name in table.columns.difference(list(allowed), sort=False):
        if _tells(table[name], responded):
            raise RemarketingError(
                f"Column {name!r} tells the label in all {len(table)} rows: it is the label, or known only after it. Name "
                "it in leaks=, or in allow= if it is known when the campaign is sent."
            )


def _tells(values: Any, responded: np.ndarray) -> bool:
    if values.dtype.kind in "fiub":
        known = values.notna().to_numpy()
        yes, no = values[known & (responded == 1)], values[known & (responded == 0)]
        return known.all() and bool(yes.min() > no.max() or no.min() > yes.max())
    mean: Any = pd.Series(responded, values.index).groupby(values.astype(str)).mean()
    # Words that are different in nearly every row tell everything, and nothing.
    return len(mean) <= len(values) // 2 and bool(mean.isin([0.0, 1.0]).all())


def _check_present(values: Any) -> None:
    if values.isna().all():
        raise RemarketingError(
            f"Column {values.name!r} is missing in all {len(values)} training rows, so that nothing can be imputed. Leave "
            "it out, by leaks=, or complete it."
        )


def _check_no_number_of_rows(values: Any) -> None:
    """A customer's number says nothing, but would be fitted."""
    if len(values) < _ENOUGH or values.isna().any() or values.nunique() < len(values):
        return
    steps = np.diff(values.to_numpy(float))
    if _ID_NAME.fullmatch(str(values.name)) or (steps == 1.0).all():
        raise RemarketingError(
            f"Column {values.name!r} has another number in each of the {len(values)} rows, and looks like the customer's id "
            "or the row's number. Name it in customer= or leaks=."
        )


def _check_words(values: Any, most: int) -> None:
    count = values.nunique()
    if count > most:
        raise RemarketingError(
            f"Column {values.name!r} has {count} different words in {len(values)} rows (at most {most}), such as "
            f"{values.dropna().iloc[0]!r}: each would be a column. Group them, raise max_words, or name the column in "
            "leaks=, or in customer= if it is the id."
        )


def _is_constant(values: Any, *, numeric: bool) -> bool:
    # Whether a word is known may say something; a number that is missing becomes the only one there is.
    return values.nunique(dropna=True) == 1 and (numeric or not values.isna().any())


def some(names: Iterable[Any]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")


def shown(value: Any) -> str:
    """A value as Python writes it, whichever library it came from."""
    return repr(value.item() if isinstance(value, np.generic) else value)
