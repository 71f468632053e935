"""Outcomes back into training: which are used, what they say as lift tests, what is refused, how errors grow."""

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from helpers import quick_fit
from monitoring import made
from planning.fits import fit_from_prior, market

import mmm_jax as mj

WINDOW = ("2023-01-01", "2024-12-29")


def _measured(ledger: mj.Ledger, name: str, **outcome) -> int:
    """A decision that moved TV alone: from 4 to 9 a week."""
    made.deliver(ledger, name, baseline={"TV": 16.0, "Radio": 24.0})
    given = {"value": 30.0, "se": 3.0, "method": "geo test", "independent": True, **outcome}
    return ledger.outcome(name, **given)


def test_rows_say_what_the_way_back_would_lose_and_where_they_come_from(kept):
    number = _measured(kept, "q1", window=("2024-01-07", "2024-02-18"))
    tests = kept.calibration(training_window=WINDOW, half_life=math.inf)
    assert isinstance(tests, mj.LiftTests)
    expected = mj.LiftTest(
        channel="TV",
        start="2024-01-07",
        end="2024-01-28",
        delta_spend=[-5.0] * 4,
        delta_outcome=-30.0,
        se=3.0,
        outcome_end="2024-02-18",
        source=f"q1#{number}",
    )
    assert tests.tests == (expected,)
    assert mj.LiftTests.from_dict(tests.to_dict()).tests[0].source == f"q1#{number}"


def test_errors_grow_with_age_so_that_information_halves(kept):
    _measured(kept, "q1")
    for weeks, factor in ((0, 1.0), (52, math.sqrt(2.0)), (156, 2.0)):
        day = np.datetime64("2024-01-28") + 7 * weeks
        assert kept.calibration(as_of=day).tests[0].se == pytest.approx(3.0 * factor)
    assert kept.calibration(as_of="2024-03-10", half_life=2.0).tests[0].se == pytest.approx(3.0 * 2.0)
    # Without a day, age counts to the end of the window.
    assert kept.calibration(training_window=("2024-01-01", "2025-01-26")).tests[0].se == pytest.approx(3.0 * math.sqrt(2.0))
    with pytest.raises(mj.LedgerError, match="`half_life` must be"):
        kept.calibration(half_life=0.0)


def test_every_outcome_is_used_or_has_its_reason(kept):
    used = _measured(kept, "q1")
    kept.outcome("q1", 31.0, 4.0, method="panel", independent=False)
    kept.outcome("q1", 29.0, 2.0, method="holdout test", independent=True, validation=True)
    kept.outcome("q1", 29.0, 2.0, method="late test", independent=True, window=("2024-01-14", "2024-02-04"))
    kept.outcome("q1", 1.0, 2.0, method="radio test", independent=True, channel="Radio")
    kept.outcome("q1", 29.0, 2.0, method="long test", independent=True, window=("2024-01-07", "2025-03-02"))
    made.measure(kept, "q2")
    kept.void("q2", outcome=made_number(kept, "q2"), reason="wrong")
    made.measure(kept, "q3")
    table = kept.calibration_table(training_window=WINDOW)
    reasons = dict(zip(table.index.get_level_values("decision") + table["reason"], table["used"], strict=True))
    assert reasons == {
        "q1": True,
        "q1read off sales, not measured apart from them": False,
        "q1kept for validation": False,
        "q1measured from 2024-01-14 on only, after the spend began": False,
        "q1the spend of 'Radio' was the baseline's": False,
        "q1its dates are not all in the training window": False,
        "q3of several channels together: a lift test is of one": False,
    }
    assert [test.source for test in kept.calibration(training_window=WINDOW).tests] == [f"q1#{used}"]
    assert [test.delta_outcome for test in kept.validation().tests] == [-29.0]
    assert kept.validation().tests[0].se == 2.0
    assert len(kept.calibration(since="2024-01-29")) == 1  # The long test alone ended later.


def made_number(ledger: mj.Ledger, name: str) -> int:
    """Number of the last event of a decision."""
    return int(ledger.history(name).index[-1])


def test_an_outcome_read_off_the_sales_of_the_window_is_refused(kept):
    number = _measured(kept, "q1", independent=False, method="actuals against forecast")
    assert len(kept.calibration(training_window=WINDOW)) == 0
    with pytest.raises(mj.LedgerError, match=f"outcome {number} of 'q1' was read off sales .actuals.*it would count twice"):
        kept.calibration(independent=False, training_window=WINDOW)
    with pytest.raises(mj.LedgerError, match="give `training_window=`"):
        kept.calibration(independent=False)
    assert "count twice" in kept.calibration_table(independent=False, training_window=WINDOW)["reason"].iloc[0]
    # What the next fit does not train on may be told to it.
    assert len(kept.calibration(independent=False, training_window=("2024-02-04", "2024-12-29"))) == 1


def test_a_geo_that_was_moved_alone_is_named(kept):
    coords = {"date": made.DATES, "channel": ["TV"], "geo": ["north", "south"]}
    spend = xr.DataArray(np.full((4, 1, 2), 5.0), dims=list(coords), coords=coords)
    other = spend.copy()
    other.loc[{"geo": "south"}] = 2.0
    for name, baseline in (("one", other), ("both", None)):
        draws = made.draws().sel(channel=["TV"])
        kept.propose(spend, name=name, baseline=baseline, draws=draws, model="m")
        kept.approve(name)
        kept.deliver(name, spend=spend, draws=draws, model="m")
        kept.outcome(name, 9.0, 1.0, method="geo test", independent=True)
    (test,) = kept.calibration().tests
    assert (test.geo, test.delta_spend) == ("south", (-3.0,) * 4)
    assert kept.calibration_table().loc["both", "reason"].iloc[0].startswith("several geos were moved")


def test_a_fit_says_of_the_row_what_the_decision_predicted(kept):
    """The way back, asked of the model whose panel holds the delivered weeks, is minus what the plan was to bring."""
    panel = market(90, 2)
    # The prediction knows of no spend after the plan, with which the plan's would share its curve.
    panel = replace(panel, spend=np.where(np.arange(90) < 84, panel.spend, 0.0))
    fit = replace(fit_from_prior("logistic", channels=2), panel=panel.take(slice(0, 80)))
    coords = {"date": panel.dates[80:84].astype(str), "channel": list(panel.channels)}
    delivered = xr.DataArray(panel.spend[:, 80:84].T, dims=("date", "channel"), coords=coords)
    baseline = delivered.copy()
    baseline[:, 0] = 0.5 * delivered[:, 0]
    kept.propose(delivered, name="q1", baseline=baseline, fit=fit)
    kept.approve("q1", fit=fit)
    kept.deliver("q1", spend=delivered, fit=fit)
    record = kept.record("q1")
    assert record.delivered is not None
    kept.outcome("q1", 1.0, 1.0, method="geo test", independent=True)
    (test,) = kept.calibration(half_life=math.inf).tests
    # Long enough for all carry-over: four weeks of lags, of which three come after.
    wide = replace(test, outcome_end=panel.dates[-1])
    told = replace(fit, panel=panel).predict_experiments(mj.LiftTests([wide]))
    assert told["mean"].iloc[0] == pytest.approx(-float(record.delivered.total.mean()), rel=1e-6)


def test_rounding_moves_no_channel(kept):
    """A baseline by channel is spread over the dates as the plan is, and its cells are not the plan's to the last digit."""
    spend = made.spend() * xr.DataArray([0.1, 0.7, 1.3, 0.9], dims="date", coords={"date": made.DATES}) / 3
    baseline = {"TV": 0.0, "Radio": float(spend.sel(channel="Radio").sum())}
    made.propose(kept, plan=spend, baseline=baseline)
    kept.approve("q1")
    kept.deliver("q1", spend=spend, draws=made.draws(), model=made.MODEL)
    kept.outcome("q1", 30.0, 3.0, method="geo test", independent=True)
    assert [test.channel for test in kept.calibration().tests] == ["TV"]


@pytest.mark.slow
def test_a_retrained_model_moves_towards_independent_experiments(kept):
    panel = market(80, 2)
    coords = {"date": panel.dates[60:64].astype(str), "channel": list(panel.channels)}
    delivered = xr.DataArray(panel.spend[:, 60:64].T, dims=("date", "channel"), coords=coords)
    before = quick_fit(panel)
    draws = xr.DataArray(np.ones((10, 2)), dims=("draw", "channel"), coords={"channel": list(panel.channels)})
    baseline = {panel.channels[0]: 0.0, panel.channels[1]: float(delivered[:, 1].sum())}
    kept.propose(delivered, name="dark", baseline=baseline, draws=draws, model="m")
    kept.approve("dark")
    kept.deliver("dark", spend=delivered, draws=draws, model="m")
    roas = float(before.roas().mean(("chain", "draw"))[0])
    brought = 2.0 * roas * float(delivered[:, 0].sum())
    kept.outcome("dark", brought, 0.02 * brought, method="geo test", independent=True)
    window = (str(panel.dates[0]), str(panel.dates[-1]))
    after = quick_fit(panel, experiments=kept.calibration(training_window=window, half_life=math.inf))
    assert float(after.roas().mean(("chain", "draw"))[0]) > 1.2 * roas
