"""Events: their heights against counting days, on rows of any length, and effects that are found again."""

import builtins
import datetime
import json
import math

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import strategies
import xarray as xr
from helpers import days_from, panel_of, quick_fit
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import mmm_jax as mj
from mmm_jax import plots
from mmm_jax.cli.schema import fit_schema
from mmm_jax.data.calendar import Frequency
from mmm_jax.fitting.density import padded_target
from mmm_jax.model import holidays
from mmm_jax.model.build import build_model, coordinates, scalar_names
from mmm_jax.model.events import EVENTS, event_names, event_rows
from mmm_jax.validation.tables import stability_table

ADSTOCK = mj.GeometricAdstock(l_max=3)
EXAMPLES = {
    "Event": mj.Event("Sale", ["2023-02-10", "2024-02-09"], window=(2, 4), shape="bump", sigma=1.5),
    "Holidays": mj.Holidays("US", "TX", names=["Christmas Day"], window=(1, 0)),
    "SpecialCause": mj.SpecialCause("Strike", "2023-03-01", "2023-03-09"),
}

days_near = st.lists(st.integers(-20, 140), min_size=1, max_size=4).map(
    lambda offsets: [np.datetime64("2023-01-01") + offset for offset in offsets]
)
windows = st.tuples(st.integers(0, 9), st.integers(0, 9))


def height(event, day):
    """Of an `Event` on one day, counted."""
    offsets = [(day - datetime.date.fromisoformat(date)).days for date in event.dates]
    inside = [offset for offset in offsets if -event.window[0] <= offset <= event.window[1]]
    bump = event.shape == "bump"
    return max((math.exp(-(offset**2) / (2 * event.sigma**2)) if bump else 1.0 for offset in inside), default=0.0)


@given(days_near, windows, st.sampled_from(["flat", "bump"]), st.sampled_from([0.5, 3.0]))
def test_heights_are_those_of_the_nearest_date_within_its_window(dates, window, shape, sigma):
    event, days = mj.Event("Sale", dates, window=window, shape=shape, sigma=sigma), days_from("2023-01-01", 120)
    found = event.regressors(days)["Sale"](days)
    np.testing.assert_allclose(found, [height(event, day) for day in days.tolist()], rtol=1e-12)


@given(strategies.regular_dates(min_rows=3, max_rows=12), windows, st.data())
def test_a_row_has_the_mean_of_its_days(regular, window, data):
    frequency, dates = regular
    training = panel_of(dates, frequency)
    date = data.draw(st.sampled_from(list(dates[:-1])))
    event = mj.Event("Sale", [date], window=window)
    # Another row's panel as training: what could be learnt is asked of the training rows alone.
    found = event_rows([event], training.take(slice(0, len(dates))), training)[0]
    ends = all((day + datetime.timedelta(1)).day == 1 for day in dates.tolist())
    for place, (first, after) in enumerate(zip(dates[:-1], dates[1:], strict=True)):
        if frequency is Frequency.MONTHLY and ends:
            first, after = first.astype("datetime64[M]"), after.astype("datetime64[M]")
        days = np.arange(first.astype("datetime64[D]"), after.astype("datetime64[D]")).tolist()
        assert found[place] == pytest.approx(np.mean([height(event, day) for day in days]), abs=1e-12)


def test_weeks_say_the_same_as_their_days():
    events = [
        mj.Event("Sale", ["2023-02-10"], window=(3, 3), shape="bump"),
        mj.SpecialCause("Strike", "2023-03-01", "2023-03-09"),
    ]
    events += [mj.Holidays("US", window=(1, 1))]
    days, weeks = panel_of(days_from("2023-01-01", 140), "daily"), panel_of(days_from("2023-01-01", 140)[::7], "weekly")
    of_days, of_weeks = event_rows(events, days, days), event_rows(events, weeks, weeks)
    np.testing.assert_allclose(of_weeks, of_days.reshape(len(of_days), 20, 7).mean(axis=2), rtol=1e-12)
    assert of_days[1].sum() == 9


def test_special_causes_are_their_dates_both_included():
    days = days_from("2023-02-27", 20)
    found = mj.SpecialCause("Strike", "2023-03-01", datetime.date(2023, 3, 9)).regressors(days)["Strike"](days)
    np.testing.assert_array_equal(
        found, [datetime.date(2023, 3, 1) <= day <= datetime.date(2023, 3, 9) for day in days.tolist()]
    )


def test_holidays_are_those_of_the_training_rows_in_later_years_as_well():
    training = panel_of(days_from("2021-09-01", 150), "daily")
    later = panel_of(days_from("2030-01-01", 730), "daily")
    events = [mj.Holidays("US")]
    names = event_names(events, training)
    assert names[:2] == ["Labor Day", "Columbus Day"]
    assert names[-2:] == ["New Year's Day", "Martin Luther King Jr. Day"]
    found = dict(zip(names, event_rows(events, later, training), strict=True))
    assert [str(day) for day in later.dates[found["Thanksgiving Day"] > 0]] == ["2030-11-28", "2031-11-27"]
    assert [str(day) for day in later.dates[found["Christmas Day"] > 0]] == ["2030-12-25", "2031-12-25"]
    assert "Independence Day" not in found


def test_holidays_of_one_row_after_the_training_rows():
    """A single row does not tell its own frequency; it has the training panel's."""
    training = panel_of(pd.date_range("2021-01-31", periods=24, freq="ME").to_numpy().astype("datetime64[D]"), "monthly")
    row = panel_of(np.array(["2023-02-28"]), "monthly")
    events = [
        mj.Holidays("US", names=["Washington's Birthday"]),
        mj.Event("Fair", ["2021-05-31", "2023-02-01", "2023-03-01"]),
    ]
    np.testing.assert_allclose(event_rows(events, row, training)[:, 0], [1 / 28, 1 / 28])


def test_a_window_reaches_beyond_the_years_of_the_rows():
    training = panel_of(days_from("2022-12-20", 12), "daily")
    events = [mj.Holidays("US", window=(3, 0))]
    assert event_names(events, training) == ["Christmas Day", "New Year's Day"]
    found = event_rows(events, training, training)
    assert [str(day) for day in training.dates[found[1] > 0]] == ["2022-12-29", "2022-12-30", "2022-12-31"]


def test_names_of_holidays_do_not_depend_on_year_or_machine(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "de")
    holidays._of_year.cache_clear()
    span = np.datetime64("2023-01-01"), np.datetime64("2028-12-31")
    assert len(holidays.holidays_between("DE", None, *span)["Christmas Day"]) == 6
    # Those of the moon are estimates, from some year on.
    assert len(holidays.holidays_between("AE", None, *span)["Eid al-Fitr"]) == 6
    assert not [name for name in holidays.holidays_between("US", None, *span) if "observed" in name]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_specs_with_every_kind_survive_json_and_are_known_to_the_schema(kind):
    spec = mj.ModelSpec(events=[EXAMPLES[kind.__name__]], priors={"gamma_event": dist.Normal(0.0, 0.1)})
    written = spec.to_dict()
    assert json.loads(json.dumps(written)) == written
    restored = mj.ModelSpec.from_dict(written)
    assert restored == spec
    assert restored.all_priors()["gamma_event"].scale == 0.1
    assert restored.content_hash() == spec.content_hash() != mj.ModelSpec().content_hash()
    schema = Draft202012Validator(fit_schema()["properties"]["model"])
    assert list(schema.iter_errors(written)) == []
    assert list(schema.iter_errors({**written, "events": [{**written["events"][0], "nonsense": 1}]})) != []
    with pytest.raises(mj.SpecError, match=rf"ModelSpec\.events\[0\], {kind.__name__}.*nonsense"):
        mj.ModelSpec.from_dict({"events": [{**written["events"][0], "nonsense": 1}]})


def test_the_same_dates_are_the_same_event():
    written = mj.Event("Sale", ["2023-05-01", "2023-02-10"])
    stamps = [np.datetime64("2023-02-10"), pd.Timestamp("2023-05-01"), datetime.date(2023, 2, 10)]
    assert mj.ModelSpec(events=[mj.Event("Sale", stamps)]) == mj.ModelSpec(events=(written,))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: mj.Event("", ["2023-01-01"]), "name of an Event must be text"),
        (lambda: mj.Event("Sale", []), "Event 'Sale': dates must be a list of at least one date"),
        (lambda: mj.Event("Sale", "2023-01-01"), "Event 'Sale': dates must be a list"),
        (lambda: mj.Event("Sale", ["2023-01-01", "2023-13-01"]), r"Event 'Sale': dates\[1\] must be a date.*2023-13-01"),
        (lambda: mj.Event("Sale", ["2023-01"]), r"Event 'Sale': dates\[0\] must be a date.*'2023-01'"),
        (lambda: mj.Event("Sale", [5]), r"Event 'Sale': dates\[0\] must be a date.*5"),
        (lambda: mj.Event("Sale", [pd.NaT]), r"Event 'Sale': dates\[0\] must be a date.*NaT"),
        (lambda: mj.Event("Sale", ["2023-01-01"], window=(1, -1)), "Event 'Sale': window must be two whole numbers"),
        (lambda: mj.Event("Sale", ["2023-01-01"], window=3), "Event 'Sale': window must be two whole numbers.*3"),
        (
            lambda: mj.Event("Sale", ["2023-01-01"], shape="peak"),
            "Event 'Sale': shape must be one of flat, bump; got 'peak'",
        ),
        (lambda: mj.Event("Sale", ["2023-01-01"], sigma=0), "Event 'Sale': sigma must be a positive number of days; got 0"),
        (lambda: mj.SpecialCause("Strike", "2023-03-09", "2023-03-01"), "'Strike' ends on 2023-03-01, before it starts"),
        (lambda: mj.SpecialCause("Strike", "then", "2023-03-01"), "SpecialCause 'Strike': start must be a date.*'then'"),
        (lambda: mj.Holidays(""), "country of Holidays must be text"),
        (lambda: mj.Holidays("US", 3), "Holidays 'US': subdivision must be text"),
        (lambda: mj.Holidays("US", names="Christmas Day"), "Holidays 'US': names must be a list"),
        (lambda: mj.ModelSpec(events=mj.Holidays("US")), r"ModelSpec\.events must be a list of Event, Holidays"),
        (lambda: mj.ModelSpec(events=[mj.LinearTrend()]), r"ModelSpec\.events\[0\] must be one of Event, Holidays"),
        (
            lambda: mj.ModelSpec(
                events=[mj.Event("Sale", ["2023-01-01"]), mj.SpecialCause("Sale", "2023-01-01", "2023-01-02")]
            ),
            r"ModelSpec\.events: the name 'Sale' stands for two",
        ),
        (lambda: mj.ModelSpec(priors={"gamma_event": dist.Normal(0.0, 1.0)}), "names 'gamma_event'"),
        (lambda: mj.ModelSpec.from_dict({"events": "Holidays"}), r"ModelSpec\.events must be a list.*'Holidays'"),
        (
            lambda: mj.ModelSpec.from_dict({"events": [{"kind": "Event", "name": "Sale"}]}),
            r"ModelSpec\.events\[0\], Event.*dates",
        ),
        (lambda: mj.ModelSpec.from_dict({"events": [{"kind": "Fair"}]}), r"ModelSpec\.events\[0\] names the kind 'Fair'"),
    ],
)
def test_options_that_cannot_be_used_say_why(make, match):
    with pytest.raises(mj.SpecError, match=match):
        make()


WEEKS = panel_of(days_from("2022-01-02", 7 * 60)[::7], "weekly")


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (
            mj.Event("Sale", ["2025-01-01"]),
            "event 'Sale' of ModelSpec.events touches no row of the training panel, 2022-01-02",
        ),
        (mj.SpecialCause("Strike", "2021-01-01", "2021-12-31"), "event 'Strike'.*touches no row"),
        (mj.SpecialCause("Always", "2021-01-01", "2025-12-31"), "event 'Always'.*is the same in every row"),
        (
            mj.Holidays("US", names=["Boxing Day"]),
            r"Holidays 'US': the days 2022-01-02 to 2023-02-25.*'Boxing Day'.*'Labor Day'",
        ),
        (mj.Event("TV", ["2022-03-01"]), "ModelSpec.events: the name 'TV' stands for two"),
    ],
)
def test_what_cannot_be_learnt_is_named(event, match):
    with pytest.raises(mj.PanelError, match=match):
        build_model(mj.ModelSpec(adstock=ADSTOCK, events=[event]), WEEKS, mj.Scales.from_panel(WEEKS))


def test_holidays_that_two_calendars_share_are_named():
    with pytest.raises(mj.PanelError, match="the name 'Christmas Day' stands for two"):
        event_names([mj.Holidays("US", names=["Christmas Day"]), mj.Holidays("GB")], WEEKS)


@pytest.mark.parametrize(
    ("place", "match"), [(("XX", None), "country 'XX'"), (("US", "ZZ"), "'US' with the subdivision 'ZZ'")]
)
def test_unknown_places_are_named(place, match):
    with pytest.raises(mj.SpecError, match=match):
        event_names([mj.Holidays(*place)], WEEKS)


def test_a_missing_package_names_the_extra(monkeypatch):
    known = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "holidays":
            raise ImportError(name)
        return known(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    holidays._of_year.cache_clear()
    with pytest.raises(mj.SpecError, match=r"pip install 'mmm-jax\[holidays\]'"):
        event_names([mj.Holidays("US")], WEEKS)


def test_padding_leaves_events_and_waves_where_they_are(float64):
    """As in `test_padding`: whatever the padded coordinates hold."""
    spec = mj.ModelSpec(adstock=ADSTOCK, monthly_seasonality=1, events=[mj.Holidays("US"), mj.Event("Sale", ["2022-03-01"])])
    scales = mj.Scales.from_panel(WEEKS)
    model, (padded, active, *_) = build_model(spec, WEEKS, scales), padded_target(spec, WEEKS, scales)
    np.testing.assert_allclose(padded.model.design[:, :60], model.design)
    np.testing.assert_array_equal(padded.model.design[:, 60:], 0.0)
    assert active.sum() == len(scalar_names(spec, WEEKS))


def test_stability_of_what_some_folds_do_not_know():
    values = np.array([[1.0, np.nan], [1.1, 2.0], [0.9, 2.2]])
    found = {"mean": values, "sd": np.where(np.isnan(values), np.nan, 0.1), "lower": values - 0.2, "upper": values + 0.2}
    columns = {name: (("fold", "parameter"), part) for name, part in found.items()}
    table = stability_table(xr.Dataset(columns, {"parameter": ["a", "b"]}))
    np.testing.assert_allclose(table["overlap"], [1.0, 1.0])
    np.testing.assert_allclose(table["mean"], [1.0, 2.1])


# A market with a truth: weekly sales, three years to learn from and one to come.

TRUE = {"Sale": 0.9, "Christmas Day": -0.8, "Thanksgiving Day": 0.7, "Strike": -0.3}
EVENTS_OF_IT = (
    mj.Event("Sale", ["2020-05-06", "2021-05-05", "2022-05-04", "2023-05-03"], window=(3, 3), shape="bump"),
    mj.Holidays("US", names=["Christmas Day", "Thanksgiving Day"], window=(2, 0)),
    mj.SpecialCause("Strike", "2021-09-01", "2021-10-15"),
)
SPEC = mj.ModelSpec(adstock=ADSTOCK, events=EVENTS_OF_IT)


def expected_target(dates):
    """Per week: 1 in all, and the true effects by counted days."""
    thanksgiving = {2020: 26, 2021: 25, 2022: 24, 2023: 23}
    sums = []
    for first in dates.tolist():
        days = [first + datetime.timedelta(k) for k in range(7)]
        sale = sum(height(EVENTS_OF_IT[0], day) for day in days)
        christmas = sum(day.month == 12 and 23 <= day.day <= 25 for day in days)
        turkey = sum(day.month == 11 and 0 <= thanksgiving[day.year] - day.day <= 2 for day in days)
        strike = sum(datetime.date(2021, 9, 1) <= day <= datetime.date(2021, 10, 15) for day in days)
        counted = dict(zip(TRUE, (sale, christmas, turkey, strike), strict=True))
        sums.append(1.0 + sum(TRUE[name] * number / 7 for name, number in counted.items()))
    return np.array(sums)


@pytest.fixture(scope="module")
def market():
    dates = days_from("2020-01-05", 7 * 209)[::7]
    target = expected_target(dates) + np.random.default_rng(1).normal(0.0, 0.02, len(dates))
    return panel_of(dates, "weekly", target)


@pytest.fixture(scope="module")
def fit(market):
    return quick_fit(market.take(slice(0, 156)), SPEC, num_warmup=150, num_samples=200)


def test_effects_are_found(fit):
    found = mj.interval(fit.posterior["posterior"]["gamma_event"] * fit.scales.target, 0.99).to_dataframe()
    assert list(found.index) == list(TRUE)
    truth = np.array([*TRUE.values()])
    assert (found["lower"] < truth).all()
    assert (truth < found["upper"]).all()
    assert (found["sd"] < 0.1).all()


def test_contributions_and_tables_name_every_event(fit):
    parts = fit.contributions()
    assert parts["events"].dims == ("chain", "draw", "event", "date")
    assert list(parts["events"]["event"].values) == list(TRUE)
    summed = sum(part.sum([dim for dim in part.dims if dim not in ("chain", "draw", "date")]) for part in parts.values())
    np.testing.assert_allclose(summed, fit.predict()["mean"], rtol=2e-4)
    totals = fit.contribution_totals()["events"]
    np.testing.assert_allclose(totals, parts["events"].sum("date"), rtol=2e-3, atol=1e-3)
    table = fit.waterfall()
    assert set(TRUE) <= set(table.index)
    ax = plots.plot_waterfall(table)
    assert set(TRUE) <= {label.get_text() for label in ax.get_yticklabels()}
    assert "gamma_event[Christmas Day]" in fit.summary().index


def test_forecasts_keep_events_and_holidays(fit, market):
    test = market.take(slice(156, None))
    mean = fit.predict(test)["mean"].mean(("chain", "draw"))
    np.testing.assert_allclose(mean, expected_target(test.dates), atol=0.06)
    events = fit.contributions(test)["events"].mean(("chain", "draw"))
    assert events.sel(event="Strike").max() == 0.0
    christmas = events.sel(event="Christmas Day")
    assert [str(date)[:10] for date in christmas["date"].values[christmas != 0]] == ["2023-12-17", "2023-12-24"]
    # A row at a time is the same.
    alone = fit.predict(test.take(slice(0, 1)), key=3)["mean"]
    np.testing.assert_allclose(alone[..., 0], fit.predict(test, key=3)["mean"][..., 0], rtol=1e-5)


def test_saved_fits_say_when_their_holidays_have_changed(fit, tmp_path, monkeypatch):
    fit.save(tmp_path / "fit.zarr")
    again = mj.Fit.load(tmp_path / "fit.zarr")
    assert again.spec == fit.spec
    np.testing.assert_array_equal(again.draws["gamma_event"], fit.draws["gamma_event"])
    monkeypatch.setattr(
        "mmm_jax.fitting.store.coordinates", lambda spec, panel: {**coordinates(spec, panel), "event": ["Sale"]}
    )
    with pytest.raises(mj.StoreError, match="events are not those.*'Christmas Day'.*package holidays"):
        mj.Fit.load(tmp_path / "fit.zarr")
