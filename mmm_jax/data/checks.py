"""One function per rule that a table must keep. Each raises a `PanelError` that names column, date and value."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.errors import PanelError

_DAY_OR_MONTH_FIRST = re.compile(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2}")


def check_is_table(frame: object) -> None:
    """The input is a DataFrame with at least one row."""
    if not isinstance(frame, pd.DataFrame):
        raise PanelError(f"A pandas DataFrame is needed, got {type(frame).__name__}. Wrap it as pandas.DataFrame(...).")
    if len(frame) == 0:
        raise PanelError("The table is empty: it has columns but no rows. Check the filter or the file that made it.")


def column_names(given: Iterable[str], role: str) -> tuple[str, ...]:
    """The names as a tuple, from a list, a pandas Index or the like; text alone is no list of names."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise PanelError(f"`{role}` must be a list of column names, got {_shown(given)}.")
    return tuple(str(name) if isinstance(name, str) else name for name in given)


def check_roles(
    date: str,
    target: str | None,
    channels: Sequence[str],
    controls: Sequence[str],
    others: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Every column has one role, and there is at least one channel, with spend or organic; `others` are further roles."""
    roles = {"date": [date], "target": [] if target is None else [target], "channel": channels, "control": controls}
    roles |= others or {}
    if not channels and not roles.get("organic"):
        raise PanelError("At least one channel is needed; `channels` is empty.")
    seen: dict[str, str] = {}
    for role, columns in roles.items():
        for column in columns:
            if not isinstance(column, str):
                raise PanelError(f"Column names must be strings, got {column!r} as a {role}.")
            if column in seen:
                raise PanelError(
                    f"Column {column!r} is given twice: as {seen[column]} and as {role}. Give every column one role."
                )
            seen[column] = role


def check_columns_exist(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Every named column stands in the table, once."""
    names = [name for name in frame.columns if isinstance(name, str)]
    missing = [column for column in columns if column not in names]
    if missing:
        raise PanelError(
            f"{len(missing)} columns are missing from the table: {_listed(missing)}. It has: {_listed(list(frame.columns))}."
        )
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise PanelError(f"Column {twice[0]!r} stands in the table more than once. Rename or drop the copies.")


def parse_dates(column: pd.Series) -> np.ndarray:
    """Dates of the rows as `datetime64[D]`.

    Raises:
        PanelError: a cell that is no date, is missing, or has a time of day.
    """
    name = column.name
    numbers = [value for value in column if _is_number(value) and value == value]  # NaN is a missing date
    if numbers or pd.api.types.is_numeric_dtype(column.dtype):
        raise PanelError(
            f"Dates in column {name!r} must be dates or text such as 2024-01-31, but it holds numbers; "
            f"the first is {_shown(numbers[0] if numbers else column.iloc[0])}. "
            "Convert them with pandas.to_datetime and the right format."
        )
    parsed = _to_datetime(column)
    bad = np.flatnonzero(parsed.isna().to_numpy())
    if len(bad):
        raise PanelError(
            f"{len(bad)} dates in column {name!r} cannot be read; the first is in row {bad[0]}: "
            f"got {_shown(column.iloc[bad[0]])}. Write dates as 2024-01-31, all in one time zone."
        )
    _check_whole_days(parsed, name)
    return parsed.to_numpy().astype("datetime64[D]")


def day(value: str | np.datetime64 | None, default: np.datetime64) -> np.datetime64:
    """A date that a user names, or the default.

    Raises:
        PanelError: it cannot be read.
    """
    try:
        return default if value is None else np.datetime64(str(value), "D")
    except ValueError as error:
        raise PanelError(f"The date {value!r} cannot be read. Write it as 2024-01-31.") from error


def geo_names(column: pd.Series) -> np.ndarray:
    """Names of the geos, row by row, as text.

    Raises:
        PanelError: a row without a name.
    """
    bad = np.flatnonzero(column.isna().to_numpy())
    if len(bad):
        raise PanelError(f"{len(bad)} rows have no geo in column {column.name!r}; the first is row {bad[0]}. Name it.")
    return column.astype(str).to_numpy().astype(object)


def heads_of(column: pd.Series, geo: str) -> float:
    """A geo's population.

    Raises:
        PanelError: it is not the same positive number in all of the geo's rows.
    """
    numbers: Any = pd.to_numeric(column, errors="coerce")
    found = numbers.to_numpy(float)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise PanelError(f"Geo {geo!r}: the population in column {column.name!r} must be a positive number in every row.")
    if found.min() != found.max():
        raise PanelError(
            f"Geo {geo!r}: the population in column {column.name!r} must be the same in every row, "
            f"got {found.min():g} and {found.max():g}. Take its mean."
        )
    return float(found[0])


def check_unique_dates(dates: np.ndarray) -> None:
    """No date stands twice. `dates` are sorted."""
    twice = np.flatnonzero(dates[1:] == dates[:-1])
    if len(twice):
        raise PanelError(
            f"{len(twice)} dates stand in the table more than once; the first is {dates[twice[0]]}. "
            "Add the rows of one date up, or keep one of them."
        )


def to_numbers(column: pd.Series, dates: np.ndarray) -> np.ndarray:
    """The column as float64, a copy.

    Raises:
        PanelError: a cell that is not a number; names it.
    """
    dtype = column.dtype
    if pd.api.types.is_complex_dtype(dtype):
        raise PanelError(f"Column {column.name!r} must hold real numbers, but its dtype is {dtype}.")
    # What is too large for a float becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        if pd.api.types.is_numeric_dtype(dtype):
            return column.to_numpy(dtype=float, na_value=np.nan, copy=True)
        return np.array([_to_number(value, date, column) for value, date in zip(column, dates, strict=True)])


def check_finite(values: np.ndarray, dates: np.ndarray, column: str) -> None:
    """No cell is missing or infinite."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise PanelError(
            f"Column {column!r} must be finite, but {len(bad)} cells are not; the first is on {dates[bad[0]]}: "
            f"got {values[bad[0]]}. Fill it with what happened; spend that did not take place is 0."
        )


def check_spend_not_negative(values: np.ndarray, dates: np.ndarray, column: str) -> None:
    """Spend is at least 0."""
    bad = np.flatnonzero(values < 0)
    if len(bad):
        raise PanelError(
            f"Spend must be non-negative, but {len(bad)} cells are not; the first is channel {column!r}, "
            f"{dates[bad[0]]}: got {values[bad[0]]}. If these are refunds, net them against the period they belong to."
        )


def check_channel_varies(values: np.ndarray, dates: np.ndarray, column: str) -> None:
    """A channel's spend is not the same in every row: nothing could be learnt from it."""
    if values.min() == values.max():
        what = "0" if values[0] == 0 else f"{values[0]}, the same in every row"
        raise PanelError(
            f"Channel {column!r} is constant from {dates[0]} to {dates[-1]}: its spend is {what}. "
            "Its effect cannot be told from the intercept: leave the channel out, or take a longer period."
        )


def check_media_not_negative(values: np.ndarray, dates: np.ndarray, channel: str, column: str) -> None:
    """Units are at least 0."""
    bad = np.flatnonzero(values < 0)
    if len(bad):
        raise PanelError(
            f"Media must be non-negative, but {len(bad)} cells are not; the first is channel {channel!r}, column "
            f"{column!r}, {dates[bad[0]]}: got {values[bad[0]]}. If these are corrections, net them against their period."
        )


def check_media_vary(values: np.ndarray, dates: np.ndarray, channel: str, column: str) -> None:
    """A channel's units are not the same in every row."""
    if values.min() == values.max():
        raise PanelError(
            f"Channel {channel!r} is constant from {dates[0]} to {dates[-1]}: its media, column {column!r}, are "
            f"{values[0]:g} in every row. Leave the channel out, or take a longer period."
        )


def check_units_are_paid(spend: float, dates: np.ndarray, channel: str, column: str) -> None:
    """A channel that has units and spend has some spend."""
    if spend == 0:
        raise PanelError(
            f"Channel {channel!r} has units (column {column!r}), but no spend from {dates[0]} to {dates[-1]}, so that a "
            f"unit has no cost. If nothing is paid for it, give the column as organic: `organic=[{column!r}]`."
        )


def check_target_varies(values: np.ndarray, dates: np.ndarray, column: str) -> None:
    """The target is not the same in every row."""
    if values.min() == values.max():
        raise PanelError(
            f"Target {column!r} is constant from {dates[0]} to {dates[-1]}: it is {values[0]} in every row. "
            "There is nothing to explain: check the column."
        )


def check_rows_cover_window(rows: int, l_max: int) -> None:
    """The panel is at least as long as the adstock window."""
    if rows < l_max:
        raise PanelError(
            f"The adstock window has l_max={l_max} periods, but the panel only {rows} rows. "
            "Take a longer panel or a smaller l_max."
        )


def _to_datetime(column: pd.Series) -> pd.Series:
    try:
        # pandas warns where it guesses; what it cannot read, or could read in two ways, is refused here.
        with warnings.catch_warnings(action="ignore"):
            stamps = column.dt.to_timestamp() if isinstance(column.dtype, pd.PeriodDtype) else column
            parsed = pd.to_datetime(stamps, errors="coerce")
            two_ways = isinstance(column.iloc[0], str) and _DAY_OR_MONTH_FIRST.match(column.iloc[0])
            day_first = pd.to_datetime(stamps, errors="coerce", dayfirst=True) if two_ways else parsed
    except (ValueError, TypeError, OverflowError) as error:
        raise PanelError(
            f"Dates in column {column.name!r} cannot be read, the first is {_shown(column.iloc[0])}: {error}. "
            "Write dates as 2024-01-31, without mixing time zones."
        ) from error
    if not pd.api.types.is_datetime64_any_dtype(parsed.dtype):
        raise PanelError(f"Dates in column {column.name!r} cannot be read; the first is {_shown(column.iloc[0])}.")
    return _one_reading(column, parsed, day_first).dt.tz_localize(None)


def _one_reading(column: pd.Series, month_first: pd.Series, day_first: pd.Series) -> pd.Series:
    """The reading of dates such as 02/01/2024 that fits all rows; a `PanelError` if both do and they differ."""
    if day_first.isna().any():
        return month_first
    if month_first.isna().any():
        return day_first
    differ = np.flatnonzero((month_first != day_first).to_numpy())
    if len(differ):
        row = differ[0]
        raise PanelError(
            f"Dates in column {column.name!r} can be read with the day or with the month first; in row {row}, "
            f"{column.iloc[row]!r} is {month_first.iloc[row]:%Y-%m-%d} or {day_first.iloc[row]:%Y-%m-%d}. "
            "Write dates as 2024-01-31."
        )
    return month_first


def _check_whole_days(parsed: pd.Series, name: object) -> None:
    odd = np.flatnonzero((parsed != parsed.dt.normalize()).to_numpy())
    if len(odd):
        raise PanelError(
            f"Dates in column {name!r} must be whole days, but {len(odd)} have a time of day; "
            f"the first: {parsed.iloc[odd[0]]}. Aggregate the table to days, weeks or months."
        )


def _to_number(value: object, date: np.datetime64, column: pd.Series) -> float:
    if _is_missing(value):
        return np.nan
    if not _is_number(value):
        raise PanelError(
            f"Column {column.name!r} must hold numbers, but its dtype is {column.dtype}; "
            f"the first cell that is none is on {date}: got {_shown(value)}. Convert the column to numbers."
        )
    try:
        return float(value)  # pyright: ignore[reportArgumentType]  (`_is_number` has checked it)
    except OverflowError:
        return np.inf


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating, np.bool_)) and not isinstance(value, np.timedelta64)


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(names: Sequence[object]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
