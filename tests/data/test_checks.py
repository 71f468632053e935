"""Every rule of `Panel.from_frame`, with the message that names the column, the date and the value."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest

from mmm_jax import GeometricAdstock, ModelSpec, Panel, PanelError, Scales
from mmm_jax.data import checks
from mmm_jax.model.build import build_model

DATES = ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29"]


def table(**columns) -> pd.DataFrame:
    """A good table of five weeks, with some columns replaced."""
    good = {
        "week": DATES,
        "sales": [5.0, 7.0, 6.0, 9.0, 8.0],
        "tv": [1.0, 0.0, 2.0, 3.0, 1.0],
        "radio": [0.0, 1.0, 1.0, 0.0, 2.0],
    }
    return pd.DataFrame({**good, "price": [1.0, 1.0, 1.5, 1.0, 1.0], **columns})


def panel(frame: pd.DataFrame, **roles) -> Panel:
    defaults = {"date": "week", "target": "sales", "channels": ["tv", "radio"], "controls": ["price"]}
    return Panel.from_frame(frame, **{**defaults, **roles})


def refused(*parts: str):
    """A `PanelError` whose message holds all the parts, in this order."""
    return pytest.raises(PanelError, match="(?s)" + ".*".join(re.escape(part) for part in parts))


def with_cell(column: str, row: int, value: object) -> pd.DataFrame:
    frame = table().astype({column: object})
    frame.at[row, column] = value
    return frame


@pytest.mark.smoke
def test_the_good_table_is_accepted():
    assert repr(panel(table())) == ("Panel(5 weekly rows, 2024-01-01 to 2024-01-29, 2 channels, 1 controls, target 'sales')")


# The table.


@pytest.mark.parametrize(
    ("frame", "found"), [(None, "NoneType"), ([1], "list"), ({"week": []}, "dict"), (pd.Series([1]), "Series")]
)
def test_something_else_than_a_table(frame, found):
    with refused("A pandas DataFrame is needed", f"got {found}"):
        panel(frame)


def test_an_empty_table():
    with refused("The table is empty", "no rows"):
        panel(table().iloc[:0])


def test_no_columns_at_all():
    with refused("4 columns are missing", "'week', 'sales', 'tv'"):
        panel(pd.DataFrame(index=range(3)), channels=["tv"])


# The roles.


@pytest.mark.parametrize("channels", [[], (), pd.Index([])])
def test_no_channels(channels):
    with refused("At least one channel is needed"):
        panel(table(), channels=channels)


@pytest.mark.parametrize("role", ["channels", "controls"])
@pytest.mark.parametrize("given", ["tv", b"tv", None, 3])
def test_roles_that_are_no_lists(role, given):
    with refused(f"`{role}` must be a list of column names", f"got {given!r}"):
        panel(table(), **{role: given})


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Index, lambda names: iter(names), lambda names: dict.fromkeys(names)])
def test_roles_may_be_any_listing_of_names(kind):
    found = panel(table(), channels=kind(["tv", "radio"]), controls=kind(["price"]))
    assert found.channels == ("tv", "radio")
    assert {type(name) for name in (*found.channels, *found.control_names)} == {str}
    assert found.fingerprint() == panel(table()).fingerprint()


@pytest.mark.parametrize(
    ("roles", "column", "first", "second"),
    [
        ({"controls": ["price", "tv"]}, "tv", "channel", "control"),
        ({"channels": ["tv", "tv"]}, "tv", "channel", "channel"),
        ({"controls": ["price", "price"]}, "price", "control", "control"),
        ({"channels": ["tv", "sales"]}, "sales", "target", "channel"),
        ({"controls": ["sales"]}, "sales", "target", "control"),
        ({"target": "week"}, "week", "date", "target"),
        ({"channels": ["week"]}, "week", "date", "channel"),
    ],
)
def test_a_column_with_two_roles(roles, column, first, second):
    with refused(f"Column {column!r} is given twice: as {first} and as {second}"):
        panel(table(), **roles)


@pytest.mark.parametrize(
    ("roles", "role"), [({"channels": [3]}, "channel"), ({"controls": [None]}, "control"), ({"date": 3}, "date")]
)
def test_names_that_are_no_text(roles, role):
    with refused("Column names must be strings", f"as a {role}"):
        panel(table(), **roles)


# The columns.


@pytest.mark.parametrize("column", ["week", "sales", "tv", "price"])
def test_a_missing_column(column):
    with refused("1 columns are missing", f": '{column}'", "It has: "):
        panel(table().drop(columns=column))


def test_missing_columns_are_counted_and_those_there_are_listed():
    with refused("2 columns are missing from the table: 'online', 'print'", "It has: 'week', 'sales', 'tv'"):
        panel(table(), channels=["tv", "online", "print"])


def test_many_columns_are_not_all_listed():
    many = {f"extra_{index}": np.arange(5.0) for index in range(20)}
    with refused("'extra_2' and 17 more"):
        panel(table(**many), channels=["online"])


@pytest.mark.parametrize("column", ["week", "tv", "price"])
def test_a_column_that_stands_there_twice(column):
    frame = pd.concat([table(), table()[[column]]], axis=1)
    with refused(f"Column {column!r} stands in the table more than once"):
        panel(frame)


def test_columns_with_two_levels():
    frame = table()
    frame.columns = pd.MultiIndex.from_product([frame.columns, ["x"]])
    with refused("columns are missing", "'week'", "It has: ('week', 'x')"):
        panel(frame)


# The dates.


@pytest.mark.parametrize("value", ["soon", "2024-13-01", "", None, pd.NaT, np.nan])
def test_a_date_that_cannot_be_read(value):
    with refused("1 dates in column 'week' cannot be read", "the first is in row 2", f"got {value!r}"):
        panel(with_cell("week", 2, value))


@pytest.mark.parametrize(
    "dates",
    [
        [20240101, 20240108, 20240115, 20240122, 20240129],
        np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        pd.Series([1, 2, 3, 4, 5], dtype="Int64"),
        pd.Series([20240101, 20240108, 20240115, 20240122, 20240129], dtype=object),
        [True, False, True, False, True],
    ],
    ids=["int", "float", "Int64", "object", "bool"],
)
def test_numeric_dates(dates):
    with refused("Dates in column 'week' must be dates or text", "holds numbers; the first is", "pandas.to_datetime"):
        panel(table(week=dates))


def test_one_number_among_the_dates():
    with refused("column 'week'", "holds numbers; the first is 20240115"):
        panel(with_cell("week", 2, 20240115))


@pytest.mark.parametrize("kind", [str, pd.Timestamp])
def test_times_of_day(kind):
    stamps = [kind(f"{date} 00:00:00") for date in DATES[:4]] + [kind("2024-01-29 09:30:00")]
    with refused("Dates in column 'week' must be whole days, but 1 have a time of day", "2024-01-29 09:30:00"):
        panel(table(week=stamps))


def test_mixed_time_zones():
    stamps = [pd.Timestamp(date, tz="UTC" if row % 2 else "Europe/Berlin") for row, date in enumerate(DATES)]
    with refused("dates in column 'week' cannot be read", "row 1: got Timestamp('2024-01-08", "tz='UTC'", "one time zone"):
        panel(table(week=pd.Series(stamps, dtype=object)))


def test_texts_of_mixed_time_zones():
    with refused("Dates in column 'week' cannot be read", "mixing time zones"):
        panel(table(week=[f"{date}T00:00:00+0{row}:00" for row, date in enumerate(DATES)]))


def test_dates_that_can_be_read_in_two_ways():
    dates = ["01/01/2024", "02/01/2024", "03/01/2024", "04/01/2024", "05/01/2024"]
    with refused(
        "column 'week' can be read with the day or with the month first", "'02/01/2024' is 2024-02-01 or 2024-01-02"
    ):
        panel(table(week=dates))


@pytest.mark.parametrize(
    "dates",
    [
        [datetime.date.fromisoformat(date) for date in DATES],
        [datetime.datetime.fromisoformat(date) for date in DATES],
        [pd.Timestamp(date) for date in DATES],
        np.array(DATES, "datetime64[D]"),
        pd.to_datetime(DATES).tz_localize("Europe/Berlin"),
        pd.PeriodIndex(DATES, freq="D"),
        pd.Categorical(DATES),
        pd.Series(DATES, dtype=object),
        ["1/1/2024", "1/8/2024", "1/15/2024", "1/22/2024", "1/29/2024"],
        ["01.01.2024", "08.01.2024", "15.01.2024", "22.01.2024", "29.01.2024"],
        ["20240101", "20240108", "20240115", "20240122", "20240129"],
        ["1 January 2024", "8 January 2024", "15 January 2024", "22 January 2024", "29 January 2024"],
    ],
    ids=[
        "date",
        "datetime",
        "Timestamp",
        "datetime64",
        "zone",
        "Period",
        "category",
        "object",
        "US",
        "European",
        "compact",
        "long",
    ],
)
def test_dates_of_all_kinds_are_read(dates):
    np.testing.assert_array_equal(panel(table(week=dates)).dates, np.array(DATES, "datetime64[D]"))


def test_duplicate_dates():
    with refused("2 dates stand in the table more than once; the first is 2024-01-08"):
        panel(table(week=["2024-01-01", "2024-01-08", "2024-01-08", "2024-01-15", "2024-01-15"]))


def test_a_gap():
    with refused("no gaps, but 1 weekly rows are missing; the first: 2024-01-22", "after 2024-01-15 comes 2024-01-29"):
        panel(table().drop(index=3))


def test_irregular_dates():
    with refused("regular, but after 2024-01-15 comes 2024-01-23 where 2024-01-22 was expected"):
        panel(with_cell("week", 3, "2024-01-23"))


def test_a_frequency_that_is_none():
    with refused("daily, weekly or monthly", "is 14 days (2024-01-01 to 2024-02-26)"):
        panel(table(week=pd.date_range("2024-01-01", periods=5, freq="14D")))


def test_one_row():
    with refused("At least 2 rows are needed to tell the frequency, got 1"):
        panel(table().iloc[:1])


def test_unsorted_dates_are_sorted():
    shuffled = table().iloc[[3, 0, 4, 2, 1]]
    assert panel(shuffled).fingerprint() == panel(table()).fingerprint()


# The numbers.


@pytest.mark.parametrize("column", ["sales", "tv", "price"])
@pytest.mark.parametrize(
    "value", ["1,5", "", [1.0], datetime.date(2024, 1, 1), np.timedelta64(3, "D"), 1 + 2j, np.complex128(2.0)]
)
def test_a_cell_that_is_no_number(column, value):
    with refused(f"Column {column!r} must hold numbers, but its dtype is object", "on 2024-01-15", f"got {value!r}"):
        panel(with_cell(column, 2, value))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "2", "3", "4", "5"], "str"),
        (pd.Categorical(["a", "b", "a", "b", "a"]), "category"),
        (pd.to_timedelta([1, 2, 3, 4, 5], unit="D"), "timedelta64"),
        (pd.date_range("2024-01-01", periods=5), "datetime64"),
    ],
)
def test_a_column_of_another_kind(values, dtype):
    with refused("Column 'tv' must hold numbers, but its dtype is ", dtype, "on 2024-01-01"):
        panel(table(tv=values))


def test_a_column_of_complex_numbers():
    with refused("Column 'tv' must hold real numbers, but its dtype is complex128"):
        panel(table(tv=np.arange(5) + 1j))


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 0, 2, 3, 1]),
        np.array([1, 0, 2, 3, 1], "float32"),
        np.array([1, 0, 2, 3, 1], "uint8"),
        pd.array([1, 0, 2, 3, 1], dtype="Int64"),
        pd.array([1, 0, 2, 3, 1], dtype="Float64"),
        pd.Series([1, 0.0, np.int64(2), np.float32(3), True], dtype=object),
        pd.Categorical([1, 0, 2, 3, 1]),
        pd.arrays.SparseArray([1.0, 0.0, 2.0, 3.0, 1.0]),
    ],
    ids=["int", "float32", "uint8", "Int64", "Float64", "object", "category", "sparse"],
)
def test_numbers_of_all_kinds_are_read(values):
    np.testing.assert_array_equal(panel(table(tv=values)).spend[0], [1.0, 0.0, 2.0, 3.0, 1.0])


def test_dummies_may_be_true_and_false():
    flags = [False, False, True, False, True]
    for values in (flags, pd.array(flags, dtype="boolean"), pd.Series(flags, dtype=object)):
        np.testing.assert_array_equal(panel(table(price=values)).controls[0], [0.0, 0.0, 1.0, 0.0, 1.0])


@pytest.mark.parametrize("column", ["sales", "tv", "price"])
@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (None, "nan"), (pd.NA, "nan"), (np.inf, "inf"), (-np.inf, "-inf")]
)
def test_a_cell_that_is_not_finite(column, value, shown):
    with refused(f"Column {column!r} must be finite, but 1 cells are not; the first is on 2024-01-22", f"got {shown}."):
        panel(with_cell(column, 3, value))


@pytest.mark.parametrize("value", [10**400, np.longdouble("1e400"), "1e400"], ids=["int", "longdouble", "text"])
def test_a_number_beyond_all_floats(value):
    with refused("Column 'tv' must", "2024-01-22", "got"):
        panel(with_cell("tv", 3, value))


def test_missing_cells_of_nullable_columns():
    with refused("Column 'tv' must be finite, but 2 cells are not; the first is on 2024-01-08"):
        panel(table(tv=pd.array([1, None, 2, None, 1], dtype="Int64")))


def test_the_first_bad_date_is_named_whatever_the_order_of_the_rows():
    frame = table(tv=[1.0, np.nan, 2.0, np.nan, 1.0]).iloc[::-1]
    with refused("the first is on 2024-01-08"):
        panel(frame)


def test_negative_spend():
    with refused("Spend must be non-negative, but 2 cells are not", "channel 'radio', 2024-01-08", "got -3.5", "refunds"):
        panel(table(radio=[0.0, -3.5, 1.0, -1.0, 2.0]))


def test_negative_sales_and_controls_are_accepted():
    found = panel(table(sales=[-5.0, 7.0, 6.0, 9.0, 8.0], price=[-1.0, 0.0, 1.0, 1.0, 1.0]))
    assert (found.target[0], found.controls[0, 0]) == (-5.0, -1.0)


def test_a_constant_channel():
    with refused("Channel 'radio' is constant from 2024-01-01 to 2024-01-29: its spend is 2.5, the same in every row"):
        panel(table(radio=2.5))


def test_a_zero_channel():
    with refused("Channel 'tv' is constant from 2024-01-01 to 2024-01-29: its spend is 0."):
        panel(table(tv=0.0))


def test_a_constant_target():
    with refused("Target 'sales' is constant from 2024-01-01 to 2024-01-29: it is 7.0 in every row"):
        panel(table(sales=7.0))


def test_a_plan_without_a_target_may_be_constant_or_silent():
    found = panel(table(tv=0.0, radio=2.5), target=None)
    assert found.target is None
    assert found.target_name == "target"
    np.testing.assert_array_equal(found.spend, [[0.0] * 5, [2.5] * 5])


# The window.


def test_fewer_rows_than_the_adstock_window():
    checks.check_rows_cover_window(5, 5)
    with refused("The adstock window has l_max=6 periods, but the panel only 5 rows", "smaller l_max"):
        checks.check_rows_cover_window(5, 6)


def test_a_model_needs_as_many_rows_as_its_window():
    data = panel(table())
    with refused("l_max=6 periods, but the panel only 5 rows"):
        build_model(ModelSpec(adstock=GeometricAdstock(l_max=6)), data, Scales.from_panel(data))
