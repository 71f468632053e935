import datetime

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax import PanelError
from mmm_jax.data.calendar import Frequency, continues, dates_after, day_of_year, infer_frequency, next_dates


def days(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[D]")


@pytest.mark.smoke
@given(regular=strategies.regular_dates())
def test_regular_dates_are_recognised(regular):
    frequency, dates = regular
    assert infer_frequency(dates) is frequency


@given(regular=strategies.regular_dates(min_rows=4), data=st.data())
def test_next_dates_continue_any_part_of_a_regular_run(regular, data):
    frequency, dates = regular
    cut = data.draw(st.integers(2, len(dates) - 1))
    # A month's end in every row so far is a month's end from then on; the other rows tell where the dates stand.
    if frequency is Frequency.MONTHLY and _day(dates[:cut]) != _day(dates):
        return
    np.testing.assert_array_equal(next_dates(dates[:cut], len(dates) - cut, frequency), dates[cut:])
    assert continues(dates[:cut], dates[cut:], frequency)
    assert not continues(dates[:cut], dates[cut - 1 :], frequency)
    assert not continues(dates[: cut - 1], dates[cut:], frequency)


def _day(dates: np.ndarray) -> int:
    """Largest day of the month, or 31 where all rows end their months."""
    if all((date + strategies.DAY).astype("datetime64[M]") != date.astype("datetime64[M]") for date in dates):
        return 31
    return max(date.astype(object).day for date in dates)


@pytest.mark.parametrize(
    "dates",
    [
        days("2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"),
        days("2023-02-28", "2023-03-31", "2023-04-30"),
        days("2024-01-01", "2024-02-01", "2024-03-01"),
        days("2024-01-15", "2024-02-15", "2024-03-15"),
        days("2024-01-30", "2024-02-29", "2024-03-30"),
        days("2023-01-29", "2023-02-28", "2023-03-29"),
        days("2023-02-28", "2023-03-30", "2023-04-30", "2023-05-30"),
    ],
    ids=["month ends", "month ends from February", "starts", "middle", "30th", "29th", "30th from February"],
)
def test_monthly_rows(dates):
    assert infer_frequency(dates) is Frequency.MONTHLY
    later = next_dates(dates, 12, Frequency.MONTHLY)
    assert infer_frequency(np.concatenate([dates, later])) is Frequency.MONTHLY


def test_month_ends_stay_month_ends():
    expected = days("2024-01-31", "2024-02-29", "2024-03-31")
    np.testing.assert_array_equal(next_dates(days("2023-11-30", "2023-12-31"), 3, Frequency.MONTHLY), expected)


def test_one_row_at_a_months_end_goes_on_at_months_ends():
    np.testing.assert_array_equal(next_dates(days("2023-11-30"), 2, Frequency.MONTHLY), days("2023-12-31", "2024-01-31"))
    np.testing.assert_array_equal(next_dates(days("2023-11-15"), 2, Frequency.MONTHLY), days("2023-12-15", "2024-01-15"))


def test_dates_after_steps_by_the_frequency():
    last = np.datetime64("2024-02-28")
    found = {name: list(dates_after(last, 2, Frequency(name), day_of_month=28).astype(str)) for name in Frequency}
    assert found["daily"] == ["2024-02-29", "2024-03-01"]
    assert found["weekly"] == ["2024-03-06", "2024-03-13"]
    assert found["monthly"] == ["2024-03-28", "2024-04-28"]


@given(regular=strategies.regular_dates(min_rows=5), data=st.data())
def test_a_gap_is_refused_and_names_the_first_missing_date(regular, data):
    frequency, dates = regular
    missing = data.draw(st.integers(2, len(dates) - 2))
    with pytest.raises(
        PanelError, match=rf"no gaps, but 1 {frequency} rows are missing; the first: {dates[missing]}"
    ) as error:
        infer_frequency(np.delete(dates, missing))
    assert f"after {dates[missing - 1]} comes {dates[missing + 1]}" in str(error.value)


@given(regular=strategies.regular_dates(min_rows=6), data=st.data())
def test_a_shifted_row_is_refused_and_named(regular, data):
    frequency, dates = regular
    if frequency is Frequency.DAILY:
        return
    row = data.draw(st.integers(2, len(dates) - 2))
    moved = dates.copy()
    moved[row] -= strategies.DAY
    with pytest.raises(PanelError, match=rf"after {moved[row - 1]} comes {moved[row]} where {dates[row]} was expected"):
        infer_frequency(moved)


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        (days("2024-01-05", "2024-02-15", "2024-03-15"), "after 2024-01-05 comes 2024-02-15 where 2024-02-05"),
        (days("2024-01-30", "2024-03-01", "2024-03-30"), "after 2024-01-30 comes 2024-03-01 where 2024-02-29"),
        (days("2024-01-31", "2024-02-28", "2024-03-31"), "after 2024-01-31 comes 2024-02-28 where 2024-02-29"),
    ],
    ids=["another day", "no February", "not the month's end"],
)
def test_irregular_months_are_refused(dates, found):
    with pytest.raises(PanelError, match=found):
        infer_frequency(dates)


@pytest.mark.parametrize("step", [2, 14, 91, 365, 10**9])
def test_other_steps_are_refused_and_named(step):
    dates = np.datetime64("2024-01-01") + step * np.arange(4) * strategies.DAY
    with pytest.raises(
        PanelError, match=rf"daily, weekly or monthly, but the commonest step between two dates is {step} days"
    ):
        infer_frequency(dates)


@pytest.mark.parametrize("count", [0, 1])
def test_one_row_has_no_frequency(count):
    with pytest.raises(PanelError, match=f"At least 2 rows are needed to tell the frequency, got {count}"):
        infer_frequency(days("2024-01-01")[:count])


@given(st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 12, 31)), min_size=1, max_size=20))
def test_day_of_year_is_the_calendars(dates):
    expected = [date.timetuple().tm_yday for date in dates]
    np.testing.assert_array_equal(day_of_year(np.array(dates, "datetime64[D]")), expected)


def test_day_of_year_in_leap_years():
    np.testing.assert_array_equal(
        day_of_year(days("2024-02-29", "2024-12-31", "2023-12-31", "1970-01-01")), [60, 366, 365, 1]
    )


@pytest.mark.parametrize(("frequency", "period"), [("daily", "day"), ("weekly", "week"), ("monthly", "month")])
def test_period_is_the_word_for_one_row(frequency, period):
    assert Frequency(frequency).period == period
