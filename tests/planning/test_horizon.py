"""Which dates are planned, and how a level is spread over them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from planning.fits import HORIZON, WEEKS, market

from mmm_jax.errors import PlanError, PredictionError
from mmm_jax.planning.horizon import horizon_panel, spend_profile


@pytest.fixture(scope="module")
def fit(make_fit):
    return make_fit("logistic")


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["number", "numpy number", "dates", "strings", "index", "panel"])
def test_every_way_to_state_the_same_weeks(fit, rows, kind):
    dates = rows.dates
    horizon = {
        "number": HORIZON,
        "numpy number": np.int64(HORIZON),
        "dates": dates,
        "strings": [str(date) for date in dates],
        "index": pd.DatetimeIndex(dates),
        "panel": rows,
    }[kind]
    found = horizon_panel(fit, horizon)
    np.testing.assert_array_equal(found.dates, dates)
    assert found.channels == fit.panel.channels
    assert found.spend.shape == (4, HORIZON)
    assert found.controls.shape == (2, HORIZON)
    assert found.target is None


def test_a_panels_channels_come_in_the_fits_order(fit, rows):
    turned = replace(rows, spend=rows.spend[::-1], channels=rows.channels[::-1])
    found = horizon_panel(fit, turned)
    assert found.channels == fit.panel.channels
    # What is spent is the plan's to say.
    assert not found.spend.any()


def test_a_panel_must_have_the_fits_channels(fit, rows):
    renamed = replace(rows, channels=("Cinema", *rows.channels[1:]))
    with pytest.raises(PredictionError, match="lacks channels of the fit: 'Direct Mail'"):
        horizon_panel(fit, renamed)


def test_a_number_of_periods_follows_the_history(fit):
    later = market(WEEKS + 20)
    found = horizon_panel(fit, 3, later)
    np.testing.assert_array_equal(found.dates, later.dates[-1] + np.timedelta64(7, "D") * np.arange(1, 4))


@pytest.mark.parametrize(
    ("horizon", "message"),
    [
        (0, "at least 1 period, got 0"),
        (-3, "at least 1 period, got -3"),
        ([], "list of at least one date"),
        ("2016-02-14", "list of at least one date"),
        (["soon"], "dates cannot be read"),
        ([1.5], "dates cannot be read"),
        (["2016-02-14", "NaT"], r"must not be missing \(NaT\)"),
        (["NaT"], r"must not be missing \(NaT\)"),
        (["2016-02-21", "2016-02-14"], "increasing, without duplicates"),
        (["2016-02-14", "2016-02-14"], "increasing, without duplicates"),
        (["2016-02-14", "2016-02-15", "2016-02-16"], "must be weekly, as the fit's; they are daily"),
        (["2016-02-14", "2016-03-14"], "must be weekly, as the fit's; they are monthly"),
        (["2016-02-14", "2016-02-21", "2016-03-06"], "cannot be planned. Dates must have no gaps, but 1 weekly rows"),
        (["2016-02-14", "2016-02-18"], "cannot be planned. Rows must be daily, weekly or monthly"),
    ],
)
def test_unusable_dates_say_why(fit, horizon, message):
    with pytest.raises(PlanError, match=message):
        horizon_panel(fit, horizon)


def test_a_log_link_needs_the_controls_of_the_dates(make_fit, rows):
    fit = make_fit("log link")
    with pytest.raises(PlanError, match="depends on the controls of the planned dates"):
        horizon_panel(fit, HORIZON)
    assert horizon_panel(fit, rows).controls.any()


@given(st.lists(st.integers(0, 9), min_size=HORIZON, max_size=HORIZON).filter(any), st.integers(1, 100))
def test_only_the_shape_of_a_profile_counts(rows, values, factor):
    profile = dict.fromkeys(rows.channels, np.asarray(values))
    found = spend_profile(profile, rows)
    np.testing.assert_allclose(found.mean(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(found * np.sum(values), np.tile(HORIZON * np.asarray(values), (4, 1)), rtol=1e-14)
    scaled = spend_profile({name: factor * row for name, row in profile.items()}, rows)
    np.testing.assert_allclose(scaled, found, rtol=1e-14)


def test_without_a_profile_spend_is_even(rows):
    np.testing.assert_array_equal(spend_profile(None, rows), np.ones((4, HORIZON)))


@pytest.mark.parametrize("order", [("date", "channel"), ("channel", "date")])
@pytest.mark.parametrize("with_dates", [True, False])
def test_a_labelled_profile_is_read_by_its_labels(rows, order, with_dates):
    values = np.random.default_rng(0).uniform(size=(4, HORIZON))
    coords = {"channel": list(rows.channels)} | ({"date": rows.dates.astype("datetime64[ns]")} if with_dates else {})
    labelled = xr.DataArray(values, dims=("channel", "date"), coords=coords).transpose(*order)
    expected = spend_profile(dict(zip(rows.channels, values, strict=True)), rows)
    turned = labelled.isel(channel=slice(None, None, -1))
    np.testing.assert_array_equal(spend_profile(turned, rows), expected)


def labelled(rows, dates):
    return xr.DataArray(
        np.ones((4, len(dates))), dims=("channel", "date"), coords={"channel": list(rows.channels), "date": dates}
    )


PROFILES = {
    "missing channel": (lambda rows: {"Insert": np.ones(HORIZON)}, "lacks the channel 'Direct Mail'"),
    "unknown channel": (
        lambda rows: dict.fromkeys([*rows.channels, "Cinema"], np.ones(HORIZON)),
        "names the channel 'Cinema'; the fit has Direct Mail",
    ),
    "length": (lambda rows: dict.fromkeys(rows.channels, [1.0, 2.0]), "'Direct Mail' has 2 values, the horizon 13 dates"),
    "negative": (lambda rows: dict.fromkeys(rows.channels, [-1.0] + [1.0] * 12), "must be finite, at least 0 and not 0"),
    "nan": (lambda rows: dict.fromkeys(rows.channels, [np.nan] + [1.0] * 12), "must be finite, at least 0 and not 0"),
    "zero": (lambda rows: dict.fromkeys(rows.channels, np.zeros(HORIZON)), "must be finite, at least 0 and not 0"),
    "dimensions": (lambda rows: xr.DataArray(np.ones((2, 2)), dims=("date", "geo")), "dimensions date and channel"),
    "dates": (lambda rows: labelled(rows, rows.dates.astype("datetime64[ns]")[:5]), "has 5 dates, the horizon 13"),
    "other dates": (
        lambda rows: labelled(rows, (rows.dates - np.timedelta64(364, "D")).astype("datetime64[ns]")),
        "dates must be the horizon's, 2016-02-14 to 2016-05-08",
    ),
    "no names": (lambda rows: xr.DataArray(np.ones((4, HORIZON)), dims=("channel", "date")), "must name its channels"),
}


@pytest.mark.parametrize("kind", PROFILES)
def test_unusable_profiles_say_why(rows, kind):
    make, message = PROFILES[kind]
    with pytest.raises(PlanError, match=message):
        spend_profile(make(rows), rows)
