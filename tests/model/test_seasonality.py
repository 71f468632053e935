"""Waves over the month and the week: against the calendar's own words, and the same on rows of days and of weeks."""

import calendar
import datetime
import json
import math

import jax
import numpy as np
import pytest
import strategies
from helpers import days_from, panel_of
from hypothesis import given
from hypothesis import strategies as st

import mmm_jax as mj
from mmm_jax.data.calendar import Frequency
from mmm_jax.model.build import build_model, coordinates, scalar_names
from mmm_jax.model.days import daily_mean
from mmm_jax.model.seasonality import calendar_waves, mode_labels, place_in_month, place_in_week

ADSTOCK = mj.GeometricAdstock(l_max=3)


@given(strategies.regular_dates(max_rows=12), st.integers(1, 3))
def test_waves_are_those_of_the_calendar_module(regular, waves):
    """A day is some part of its month and of its week; sines first, then cosines."""
    _, dates = regular
    places = [(date.day - 1) / calendar.monthrange(date.year, date.month)[1] for date in dates.tolist()]
    np.testing.assert_allclose(place_in_month(dates), places, rtol=1e-12)
    np.testing.assert_allclose(place_in_week(dates), [date.weekday() / 7 for date in dates.tolist()], rtol=1e-12)
    days = panel_of(days_from(dates[0], 5), "daily")
    found = calendar_waves(waves, waves, days, days)
    for row, date in enumerate(days.dates.tolist()):
        month, week = (date.day - 1) / calendar.monthrange(date.year, date.month)[1], date.weekday() / 7
        naive = [f(2 * math.pi * k * at) for at in (month, week) for f in (math.sin, math.cos) for k in range(1, waves + 1)]
        np.testing.assert_allclose(found[:, row], naive, atol=1e-9)


@given(strategies.regular_dates(max_rows=12))
def test_a_row_is_the_mean_of_its_days(regular):
    """From its date to the day before the next one; the last days of months stand for the months."""
    frequency, dates = regular
    panel = panel_of(dates, frequency)
    found = daily_mean(lambda days: days.astype(int).astype(float)[None], panel, panel)[0]
    for place, (date, following) in enumerate(zip(dates[:-1], dates[1:], strict=True)):
        first, after = date.astype(int), following.astype(int)
        if frequency is Frequency.MONTHLY and all((day + datetime.timedelta(1)).day == 1 for day in dates.tolist()):
            first, after = (
                int(day.astype("datetime64[M]").astype("datetime64[D]").astype(int)) for day in (date, following)
            )
        assert found[place] == pytest.approx(np.mean(range(first, after)), abs=1e-6)


def test_weeks_have_the_mean_of_their_days_waves():
    days, weeks = panel_of(days_from("2023-01-04", 70), "daily"), panel_of(days_from("2023-01-04", 70)[::7], "weekly")
    of_days = calendar_waves(2, 0, days, days)
    np.testing.assert_allclose(calendar_waves(2, 0, weeks, weeks), of_days.reshape(4, 10, 7).mean(axis=2), atol=1e-12)


def test_forecasts_go_on_where_the_training_rows_end():
    panel = panel_of(days_from("2023-01-04", 90), "daily")
    whole = calendar_waves(2, 3, panel, panel)
    later = calendar_waves(2, 3, panel.take(slice(60, 90)), panel.take(slice(0, 60)))
    np.testing.assert_array_equal(later, whole[:, 60:])


def test_they_are_a_part_of_the_seasonality(float64):
    panel = panel_of(days_from("2023-01-04", 90), "daily")
    spec = mj.ModelSpec(adstock=ADSTOCK, yearly_seasonality=1, monthly_seasonality=2, weekly_seasonality=3)
    model = build_model(spec, panel, mj.Scales.from_panel(panel))
    params = model.sample_prior(jax.random.key(0))
    day = 2 * np.pi * panel.day_of_year / 365.25
    expected = np.asarray(params["gamma_fourier"]) @ [np.sin(day), np.cos(day)]
    modes = np.concatenate([params["gamma_monthly"], params["gamma_weekly"]])
    expected = expected + modes @ calendar_waves(2, 3, panel, panel)
    np.testing.assert_allclose(model.baseline_parts(params)["seasonality"], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.baseline(params), params["intercept"] + expected, rtol=1e-9, atol=1e-12)
    assert spec.parameter_dims["gamma_weekly"] == ("weekly_mode",)
    assert coordinates(spec, panel)["weekly_mode"] == mode_labels(3)
    assert "gamma_monthly[cos_2]" in scalar_names(spec, panel)


def test_specs_survive_json_and_keep_their_hash_without_them():
    spec = mj.ModelSpec(monthly_seasonality=2, weekly_seasonality=3)
    assert mj.ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec != mj.ModelSpec(monthly_seasonality=2)
    assert not {"monthly_seasonality", "weekly_seasonality", "events"} & set(mj.ModelSpec().to_dict())
    # Of fits that were stored before there were any.
    stored = "6f90811037375b8f266dd0907ad57871d3ea0bbbd6c0f7d159059e6013744c5f"
    assert mj.ModelSpec().content_hash() == stored


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        ({"weekly_seasonality": 4}, r"ModelSpec\.weekly_seasonality.*from 0 to 3; got 4"),
        ({"weekly_seasonality": 1.0}, r"ModelSpec\.weekly_seasonality.*1\.0"),
        ({"monthly_seasonality": -1}, r"ModelSpec\.monthly_seasonality.*-1"),
        ({"monthly_seasonality": 31}, r"ModelSpec\.monthly_seasonality.*from 0 to 15; got 31"),
    ],
)
def test_numbers_of_waves_that_cannot_be_are_named(choices, match):
    with pytest.raises(mj.SpecError, match=match):
        mj.ModelSpec(**choices)


@pytest.mark.parametrize(
    ("frequency", "field", "needed"),
    [
        ("weekly", "weekly_seasonality", "daily"),
        ("monthly", "weekly_seasonality", "daily"),
        ("monthly", "monthly_seasonality", "daily or weekly"),
    ],
)
def test_rows_that_hold_all_of_a_season_are_refused(frequency, field, needed):
    dates = (
        np.arange("2020-01", "2022-01", dtype="datetime64[M]")
        if frequency == "monthly"
        else days_from("2020-01-05", 168)[::7]
    )
    panel = panel_of(dates, frequency)
    with pytest.raises(mj.PanelError, match=rf"ModelSpec\.{field} needs {needed} rows, but the panel's are {frequency}"):
        build_model(mj.ModelSpec(adstock=ADSTOCK, **{field: 1}), panel, mj.Scales.from_panel(panel))
