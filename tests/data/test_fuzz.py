"""`Panel.from_frame` over tables as users hand them in: whatever it does not accept, it refuses with a `PanelError`."""

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mmm_jax import Panel, PanelError
from mmm_jax.data.calendar import infer_frequency

ROLES = {"date": "date", "target": "sales", "channels": ["channel_0", "channel_1"], "controls": ["control"]}

TEXTS = ["", " ", "abc", "1,5", "€ 3", "nan", "inf", "1e400", "2024-01-01", "2024-13-45", "13/01/2024", "now", "NaT"]
NUMBERS = [np.nan, np.inf, -np.inf, -1.0, -0.0, 1e308, -1e308, 5e-324, 10**400, -(10**30), True, 1 + 2j, np.complex128(3.0)]
NUMBERS += [
    np.longdouble("1e400"),
    np.float16(2.5),
    np.timedelta64(3, "D"),
    np.uint64(2**64 - 1),
    Decimal("1.5"),
    Decimal("NaN"),
]
OBJECTS = [None, pd.NA, pd.NaT, np.datetime64("NaT", "s"), pd.Timestamp("2024-02-03"), pd.Timestamp("2024-02-03", tz="UTC")]
OBJECTS += [datetime.date(2024, 2, 3), datetime.time(3), datetime.timedelta(3), b"1", (1, 2), range(2), pd.Interval(0, 1)]
OBJECTS += [np.str_("7"), pd.Period("2024-01", "M"), pd.Period("9999-01", "M"), np.datetime64("200000-01-01", "s")]
CONTAINERS = [[], {}, np.array([1.0, 2.0])]
DTYPES = ["float64", "float32", "float16", "longdouble", "int64", "uint8", "bool", "complex128", "object", "str", "category"]
DTYPES += ["Int64", "Float64", "boolean", "string", "timedelta64[ns]", "datetime64[ns]", "Sparse[float]"]
STARTS = ["2024-01-01", "2023-11-30", "1970-01-01", "1677-09-22", "2262-04-10", "0001-01-01", "9999-11-30"]
NO_TABLES = [None, 3, "table.csv", [], {"date": []}, np.zeros((2, 2)), pd.Series([1.0], name="date")]

cells = st.sampled_from(NUMBERS + OBJECTS) | st.sampled_from(TEXTS) | st.floats() | st.integers(-5, 5)


@st.composite
def odd_tables(draw: st.DrawFn) -> Any:
    """A few good tables, most of them broken in one or two ways, some no tables at all."""
    if draw(st.integers(0, 29)) == 0:
        return draw(st.sampled_from(NO_TABLES))
    frame = draw(strategies.good_tables()).reset_index(drop=True)
    for break_values in draw(
        st.lists(st.sampled_from([odd_column, odd_column, odd_dates, odd_dates, odd_rows]), max_size=2)
    ):
        frame = break_values(draw, frame)
    for break_labels in draw(
        st.lists(st.sampled_from([odd_labels, odd_index, fewer_columns, twice_the_column]), max_size=1)
    ):
        frame = break_labels(draw, frame)
    return frame


def odd_column(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """One column of another dtype, with up to two odd cells."""
    name = draw(st.sampled_from(["sales", "channel_0", "channel_1", "control"]))
    values = list(frame[name])
    for _ in range(draw(st.integers(0, 2)) if values else 0):
        values[draw(st.integers(0, len(values) - 1))] = draw(cells | st.sampled_from(CONTAINERS))
    return frame.assign(**{name: _as_dtype(values, draw(st.sampled_from(DTYPES)), frame.index)})


def odd_dates(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """Dates of any kind: most of them regular, some broken in one cell."""
    start, step = np.datetime64(draw(st.sampled_from(STARTS))), draw(st.sampled_from([1, 7, 30, 0, -7, 365]))
    column = _dates_as(draw, start + step * np.arange(len(frame)) * strategies.DAY)
    if len(column) and draw(st.integers(0, 2)) == 0:
        column = column.astype(object)
        column.iat[draw(st.integers(0, len(column) - 1))] = draw(cells)
    return frame.assign(date=column.set_axis(frame.index))


def odd_rows(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows missing at the front, or there twice."""
    if draw(st.booleans()):
        return frame.iloc[draw(st.integers(0, len(frame))) :]
    return pd.concat([frame, frame.iloc[: draw(st.integers(1, 2))]])


def odd_labels(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """Columns whose names are no plain text."""
    names = list(frame.columns)
    labels = [
        pd.MultiIndex.from_tuples([(name, "x") for name in names]),
        pd.MultiIndex.from_tuples([(name, "") for name in names]),
        pd.RangeIndex(len(names)),
        pd.DatetimeIndex(pd.date_range("2024-01-01", periods=len(names))),
        pd.CategoricalIndex(names),
        pd.Index([pd.NA, *names[1:]], dtype=object),
        pd.Index([*names[:-1], np.nan], dtype=object),
        pd.Index([f" {name} " for name in names]),
    ]
    return frame.set_axis(draw(st.sampled_from(labels)), axis=1)


def odd_index(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose names repeat, are text, or have two levels."""
    rows = len(frame)
    index = [pd.Index([0] * rows), pd.Index(["a"] * rows), pd.MultiIndex.from_arrays([range(rows), range(rows)])]
    return frame.set_axis(draw(st.sampled_from(index)), axis=0)


def fewer_columns(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """Some columns are missing, or all of them."""
    return frame[draw(st.lists(st.sampled_from(list(frame.columns)), unique=True, max_size=4))]


def twice_the_column(draw: st.DrawFn, frame: pd.DataFrame) -> pd.DataFrame:
    """One column stands there twice."""
    return pd.concat([frame, frame[[draw(st.sampled_from(list(frame.columns)))]]], axis=1)


def _as_dtype(values: list[Any], dtype: str, index: pd.Index) -> pd.Series:
    column = pd.Series(values, dtype=object, index=index)
    try:
        with np.errstate(all="ignore"):
            return column.astype(dtype)
    except Exception:  # pandas itself refuses: the cells stay as they are
        return column


def _dates_as(draw: st.DrawFn, dates: np.ndarray) -> pd.Series:
    stamps = pd.Series(dates.astype("datetime64[s]"))
    kinds = ["stamp", "time", "text", "slashes", "date", "zone", "zones", "period", "category", "object", "number", "far"]
    match draw(st.sampled_from(kinds)):
        case "stamp":
            return stamps
        case "time":
            return stamps + np.timedelta64(draw(st.integers(0, 86_399)), "s")
        case "text":
            return pd.Series(dates.astype(str), dtype=draw(st.sampled_from(["str", "object", "category"])))
        case "slashes":
            return pd.Series([f"{str(date)[8:10]}/{str(date)[5:7]}/{str(date)[:4]}" for date in dates], dtype="str")
        case "date":
            return pd.Series(dates.astype(object), dtype=object)
        case "zone":
            zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]))
            return pd.Series(pd.date_range("2024-03-01", periods=len(dates), freq="7D", tz=zone))
        case "zones":
            return pd.Series([f"{date}T00:00:00+0{index % 3}:00" for index, date in enumerate(dates)], dtype=object)
        case "period":
            return pd.Series(pd.PeriodIndex(stamps, freq=draw(st.sampled_from(["D", "W", "M", "s"]))))
        case "category":
            return stamps.astype("category")
        case "object":
            return pd.Series(list(stamps), dtype=object)
        case "number":
            return pd.Series(
                20240101 + np.arange(len(dates)), dtype=draw(st.sampled_from(["int64", "float64", "object", "bool"]))
            )
        case _:
            return pd.Series(np.datetime64("100000-01-01", "s") + np.arange(len(dates)) * np.timedelta64(10**12, "D"))


def check_invariants(panel: Panel) -> None:
    """What every accepted panel promises."""
    rows = len(panel)
    assert panel.dates.dtype == "datetime64[D]"
    assert np.all(panel.dates[1:] > panel.dates[:-1])
    assert infer_frequency(panel.dates) is panel.frequency
    assert panel.spend.shape == (len(panel.channels), rows)
    assert panel.controls.shape == (len(panel.control_names), rows)
    for values in (panel.spend, panel.controls, *([] if panel.target is None else [panel.target])):
        assert values.dtype == float
        assert np.all(np.isfinite(values))
        assert not values.flags.writeable
    assert np.all(panel.spend >= 0)
    if panel.target is not None:
        assert panel.target.shape == (rows,)
        assert np.ptp(panel.target / 2) > 0
        assert np.all(np.ptp(panel.spend, axis=1) > 0)
    assert "Panel(" in repr(panel)
    assert len(panel.fingerprint()) == 64


def attempt(frame: Any, **roles) -> Panel | PanelError:
    try:
        return Panel.from_frame(frame, **{**ROLES, **roles})
    except PanelError as error:
        return error


@settings(max_examples=400)
@given(frame=odd_tables(), has_target=st.booleans(), controls=st.sampled_from([["control"], []]))
def test_malformed_tables_are_refused_with_a_panel_error_or_make_a_panel_that_keeps_its_promises(
    frame, has_target, controls
):
    result = attempt(frame, target="sales" if has_target else None, controls=controls)
    event("accepted" if isinstance(result, Panel) else "refused")
    if isinstance(result, Panel):
        check_invariants(result)
    else:
        assert len(str(result)) > 20


@pytest.mark.parametrize("value", [*NUMBERS, *OBJECTS, *TEXTS, *CONTAINERS], ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("column", ["date", "channel_0", "sales", "control"])
def test_one_odd_cell_in_a_good_table(column, value):
    frame = good_weeks().astype(object)
    frame.at[3, column] = value
    result = attempt(frame)
    if isinstance(result, Panel):
        check_invariants(result)
        assert result.to_frame()[column].iloc[3] == float(value)
    else:
        assert column == "date" or repr(column) in str(result)


@pytest.mark.smoke
@pytest.mark.parametrize("role", ["date", "target", "channels", "controls"])
@pytest.mark.parametrize(
    "value", [None, 3, "", [], ["x"], [None], [["channel_0"]], "channel_0", {"a": 1}, ("date",), [3.0]], ids=repr
)
def test_odd_roles_are_refused_or_make_a_panel(role, value):
    result = attempt(good_weeks(), **{role: value})
    if isinstance(result, Panel):
        check_invariants(result)
        assert (role, value) in [("target", None), ("controls", [])]
    else:
        assert len(str(result)) > 20


def good_weeks() -> pd.DataFrame:
    numbers = {name: np.arange(8.0) + 1 for name in ("sales", "channel_0", "channel_1", "control")}
    return pd.DataFrame({"date": pd.date_range("2024-01-01", periods=8, freq="7D"), **numbers})
