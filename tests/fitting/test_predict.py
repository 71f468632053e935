"""Prediction: carry-in, alignment by label, and clear refusals."""

import dataclasses

import numpy as np
import pytest
from helpers import quick_fit

import mmm_jax as mj
from mmm_jax.data.calendar import Frequency
from mmm_jax.errors import PredictionError


def _changed(panel, **changes):
    return mj.Panel(**{field.name: getattr(panel, field.name) for field in dataclasses.fields(panel)} | changes)


@pytest.mark.smoke
def test_same_key_same_numbers(small_fit, split):
    one, two = small_fit.predict(split[1], key=1), small_fit.predict(split[1], key=1)
    assert one.identical(two)
    assert one["y"].dims == ("chain", "draw", "date")
    assert not np.array_equal(one["y"], small_fit.predict(split[1], key=2)["y"])
    np.testing.assert_array_equal(one["date"], split[1].dates.astype("datetime64[ns]"))


def test_draws_scatter_around_the_mean_with_the_noise(small_fit):
    predicted = small_fit.predict(key=0)
    residual = (predicted["y"] - predicted["mean"]) / small_fit.scales.target
    sigma = small_fit.posterior["posterior"]["y_sigma"]
    assert float((residual / sigma).std()) == pytest.approx(1.0, abs=0.02)
    assert float((residual / sigma).mean()) == pytest.approx(0.0, abs=0.02)


def test_carry_in_matters_for_the_first_periods_only(small_fit, split):
    """After `l_max - 1` periods, what was spent before the horizon has no effect left."""
    warm = small_fit.predict(split[1], key=0)["mean"]
    cold = small_fit.predict(split[1], key=0, carry_in=False)["mean"]
    reach = small_fit.spec.adstock.l_max - 1
    assert (np.abs(warm - cold).isel(date=slice(None, reach)).mean(("chain", "draw")) > 0).all()
    np.testing.assert_allclose(warm.isel(date=slice(reach, None)), cold.isel(date=slice(reach, None)), rtol=1e-5)


def test_prediction_continues_the_training_rows(small_fit, split):
    """With the last training rows predicted as if they were new, the expected values are those of the training rows."""
    train = split[0]
    later, earlier = train.take(slice(60, None)), train.take(slice(50, 60))
    again = small_fit.predict(later, history=earlier)["mean"]
    whole = small_fit.predict()["mean"].isel(date=slice(60, None))
    np.testing.assert_allclose(again, whole, rtol=1e-4)


def test_columns_are_matched_by_name(small_fit, split):
    test = split[1]
    shuffled = _changed(
        test,
        spend=test.spend[::-1].copy(),
        channels=test.channels[::-1],
        controls=test.controls[::-1].copy(),
        control_names=test.control_names[::-1],
    )
    np.testing.assert_array_equal(small_fit.predict(shuffled, key=0)["y"], small_fit.predict(test, key=0)["y"])


def test_a_table_of_planned_spend_without_outcome_is_enough(small_fit, split):
    test = split[1]
    frame = test.to_frame().drop(columns="sales").reset_index()
    future = mj.Panel.from_frame(frame, date="date", target=None, channels=test.channels, controls=test.control_names)
    np.testing.assert_array_equal(small_fit.predict(future, key=0)["y"], small_fit.predict(test, key=0)["y"])


def test_unusable_panels_are_refused(small_fit, split):
    train, test = split
    cases = [
        (_changed(test, spend=test.spend[1:], channels=test.channels[1:]), "lacks channels of the fit: 'Direct Mail'"),
        (_changed(test, channels=("Mail", *test.channels[1:])), "lacks channels.*'Direct Mail'"),
        (
            _changed(test, channels=(*test.channels, "Cinema"), spend=np.vstack([test.spend, test.spend[:1]])),
            "channels that the fit does not know: 'Cinema'",
        ),
        (_changed(test, controls=test.controls[1:], control_names=test.control_names[1:]), "lacks controls.*'Easter'"),
        (train, "begins on 2014-08-03.*up to 2016-01-24 are known already.*fit.predict()"),
        (test.take(slice(2, None)), "Between 2016-01-24 and 2016-02-14.*history=.*carry_in=False"),
        (_changed(test, dates=train.dates[-1] + np.arange(1, 13), frequency=Frequency.DAILY), "weekly rows.*daily rows"),
    ]
    for panel, match in cases:
        with pytest.raises(PredictionError, match=match):
            small_fit.predict(panel)


def test_a_gap_is_bridged_on_request(small_fit, split):
    later = split[1].take(slice(4, None))
    bridged = small_fit.predict(later, key=0, history=split[1].take(slice(0, 4)))["mean"]
    whole = small_fit.predict(split[1], key=0)["mean"].isel(date=slice(4, None))
    np.testing.assert_allclose(bridged, whole, rtol=1e-5)


def test_a_model_without_controls_does_all_that_others_do(split, tmp_path):
    """A parameter of size 0 must not get in the way of anything."""
    train, test = (_changed(panel, controls=np.empty((0, len(panel))), control_names=()) for panel in split)
    fit = quick_fit(train)
    assert fit.predict(test)["y"].shape == (2, 60, 12)
    assert "controls" not in fit.contributions()
    assert fit.summary().shape[0] == sum(values[0, 0].size for values in fit.draws.values())
    fit.save(tmp_path / "fit.zarr")
    assert mj.Fit.load(tmp_path / "fit.zarr").predict(test, key=1).identical(fit.predict(test, key=1))
    assert mj.optimize_budget(fit, horizon=test.dates, total=test.spend.sum()).certificate.optimal
    # Ten draws say little of how often media bring more than everything.
    prior = mj.sample_prior(train, fit.spec, num_samples=10, max_excess_probability=1.0)
    assert prior["prior_predictive"]["y"].shape == (1, 10, 78)
