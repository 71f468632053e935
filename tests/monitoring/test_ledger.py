"""Verbs: what may follow what, bad input of every kind, and that nothing is written then; on both databases."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from monitoring import made

import mmm_jax as mj


@pytest.mark.smoke
def test_a_decision_from_proposal_to_restated_outcome(ledger):
    assert made.propose(ledger, note="from the spring plan") == "q1"
    assert ledger.decisions().loc["q1", "state"] == "proposed"
    ledger.approve("q1", by="board")
    ledger.deliver("q1", spend=made.spend(9.0, 6.0), draws=made.draws(36.0, 24.0), model=made.MODEL, currency="EUR")
    number = ledger.outcome("q1", 55.0, 3.0, method="geo test", independent=True, window=("2024-01-07", "2024-02-18"))
    ledger.restate("q1", value=52.0, reason="two shops were counted twice")
    row = ledger.decisions().loc["q1"]
    assert row["state"] == "measured"
    assert (row["spend"], row["delivered"], row["baseline"]) == (60.0, 60.0, 0.0)
    assert row["predicted"] == pytest.approx(60.0)
    assert (row["outcome"], row["se"], row["outcomes"]) == (52.0, 3.0, 1)
    history = ledger.history("q1")
    assert list(history["kind"]) == ["proposed", "approved", "delivered", "outcome", "restated"]
    assert list(history.index) == [1, 2, 3, 4, 5]
    assert history.loc[4, "payload"]["value"] == 55.0
    assert history.loc[5, "payload"] == {
        "outcome": number,
        "reason": "two shops were counted twice",
        "se": 3.0,
        "value": 52.0,
    }
    assert ledger.verify().intact
    again = mj.Ledger(ledger.database._url.render_as_string(hide_password=False))
    pd.testing.assert_frame_equal(again.decisions(), ledger.decisions())


def test_delivery_may_be_restated_and_outcomes_or_decisions_voided(ledger):
    number = made.measure(ledger)
    second = ledger.outcome("q1", 30.0, 2.0, method="geo test", independent=True, channel="TV")
    late = made.draws(30.0, 24.0)
    ledger.restate("q1", spend={"TV": 30.0, "Radio": 24.0}, draws=late, model=made.MODEL, reason="late invoices")
    assert ledger.variance("q1").loc["total", "delivered"] == pytest.approx(54.0)
    assert ledger.decisions().loc["q1", "delivered"] == 54.0
    with pytest.raises(mj.LedgerError, match=r"`outcome=`; it has 4 \(geo test\), 5 \(geo test\)"):
        ledger.restate("q1", value=1.0, reason="which?")
    ledger.void("q1", outcome=number, reason="the regions were mixed up")
    assert list(ledger.scores().index) == [("q1", second)]
    ledger.void("q1", outcome=second, reason="likewise")
    assert ledger.decisions().loc["q1", "state"] == "delivered"
    ledger.void("q1", reason="cancelled")
    assert ledger.decisions().loc["q1", "state"] == "voided"
    assert len(ledger.scores()) == 0
    assert ledger.records() == []
    assert len(ledger.history("q1")) == 9


VERBS = {
    "approve": lambda ledger: ledger.approve("q1"),
    "deliver": lambda ledger: ledger.deliver("q1", spend=made.spend(), draws=made.draws(), model=made.MODEL),
    "outcome": lambda ledger: ledger.outcome("q1", 1.0, 1.0, method="x", independent=True),
    "restate": lambda ledger: ledger.restate("q1", value=1.0, reason="x"),
    "void": lambda ledger: ledger.void("q1", reason="x"),
    "propose": lambda ledger: made.propose(ledger),
}
ALLOWED = {
    "nothing": ("propose",),
    "proposed": ("approve", "void"),
    "approved": ("deliver", "void"),
    "delivered": ("outcome", "void"),
    "measured": ("restate", "void"),
    "voided": (),
}


@pytest.mark.parametrize("state", ALLOWED)
def test_only_legal_events_follow(ledger, state):
    way = ["propose", "approve", "deliver", "outcome"]
    steps = {"nothing": 0, "proposed": 1, "approved": 2, "delivered": 3, "measured": 4, "voided": 4}[state]
    for verb in way[:steps]:
        VERBS[verb](ledger)
    if state == "voided":
        VERBS["void"](ledger)
    before = ledger.verify().head
    for verb in set(VERBS) - set(ALLOWED[state]):
        with pytest.raises(mj.LedgerError, match="q1"):
            VERBS[verb](ledger)
    assert ledger.verify().head == before
    for verb in ALLOWED[state][:1]:
        VERBS[verb](ledger)
        assert ledger.verify().head != before


def _other_dates() -> xr.DataArray:
    return made.spend().assign_coords(date=["2024-01-07", "2024-01-14", "2024-01-21", "2024-02-04"])


def _with(value: float) -> xr.DataArray:
    spend = made.spend()
    spend[1, 0] = value
    return spend


BAD_PROPOSALS = {
    "taken": ({"name": "q1"}, "has a decision 'q1' already"),
    "no name": ({"name": " "}, "name must be a line"),
    "two lines": ({"name": "q\n2"}, "name must be a line"),
    "no table": ({"plan": [1.0, 2.0]}, "must be an array over"),
    "by channel only": ({"plan": {"TV": 1.0}}, "must be an array over"),
    "negative": ({"plan": _with(-1.0)}, "at 2024-01-14, TV it is -1.0"),
    "not finite": ({"plan": _with(np.nan)}, "at 2024-01-14, TV it is nan"),
    "no number": ({"plan": made.spend().to_pandas().astype(str).replace("5.0", "five")}, "no number"),
    "date twice": ({"plan": made.spend().assign_coords(date=["2024-01-07"] * 4)}, "date 2024-01-07 twice"),
    "no date": ({"plan": made.spend().assign_coords(date=list("abcd"))}, "date that cannot be read"),
    "baseline's channel": ({"baseline": {"TV": 1.0, "Print": 2.0}}, "baseline has the channel 'Print'"),
    "baseline's lack": ({"baseline": {"TV": 1.0}}, "baseline lacks the channel 'Radio'"),
    "baseline's dates": ({"baseline": _other_dates()}, "baseline has the date '2024-02-04'"),
    "no model": ({"model": None}, "say by `model=`"),
    "other channels": ({"draws": made.draws().assign_coords(channel=["TV", "Print"])}, "have the channels TV, Print"),
    "one draw": ({"draws": made.draws(count=1)}, "at least 2 finite draws"),
    "bad draw": ({"draws": made.draws() * np.inf}, "at least 2 finite draws"),
    "both": ({"fit": "a fit"}, "not both"),
    "no fit": ({"fit": "a fit", "draws": None}, "`fit` must be a fit"),
}


@pytest.mark.parametrize("case", BAD_PROPOSALS)
def test_bad_proposals_are_refused_and_leave_nothing(kept, case):
    made.propose(kept)
    changes, words = BAD_PROPOSALS[case]
    with pytest.raises(mj.LedgerError, match=words):
        made.propose(kept, **{"name": "q2", **changes})
    assert kept.verify().count == 1


BAD_DELIVERIES = {
    "currency": ({"currency": "USD"}, "proposed with the currency 'EUR', not 'USD'"),
    "channel": ({"spend": {"TV": 1.0, "Print": 2.0}}, "delivered spend of 'q1' has the channel 'Print'"),
    "dates": ({"spend": _other_dates()}, "has the date '2024-02-04'"),
    "negative": ({"spend": _with(-1.0)}, "finite and at least 0"),
    "nothing predicts it": ({"draws": None}, "Give `fit=`"),
    "version": ({"model": "summer model"}, "approved with the model version spring model, this one is summer model"),
    "other draws": ({"draws": made.draws(count=49)}, "approved with 50 draws, delivered with 49"),
}


@pytest.mark.parametrize("case", BAD_DELIVERIES)
def test_bad_deliveries_are_refused_and_leave_nothing(kept, case):
    made.propose(kept)
    kept.approve("q1")
    changes, words = BAD_DELIVERIES[case]
    with pytest.raises(mj.LedgerError, match=words):
        kept.deliver("q1", **{"spend": made.spend(), "draws": made.draws(), "model": made.MODEL, **changes})
    assert kept.verify().count == 2


BAD_OUTCOMES = {
    "unknown decision": ({"decision": "q7"}, "no decision 'q7'"),
    "value": ({"value": np.inf}, "`value` must be a finite number, got inf"),
    "se of 0": ({"se": 0.0}, "`se` must be a positive number, got 0.0"),
    "se below 0": ({"se": -2.0}, "`se` must be a positive number, got -2.0"),
    "se is NaN": ({"se": np.nan}, "`se` must be a positive number, got nan"),
    "text": ({"value": "much"}, "`value` must be a finite number, got 'much'"),
    "channel": ({"channel": "Print"}, "is of the channel 'Print'; the plan has TV, Radio"),
    "unit": ({"unit": "litres"}, "proposed with the target no, not 'litres'"),
    "window": ({"window": ("2024-02-01", "2024-01-01")}, "must begin before it ends"),
    "half a window": ({"window": ("2024-02-01",)}, "must be \\(first date, last date\\)"),
    "date": ({"window": ("spring", "summer")}, "'spring' cannot be read"),
    "method": ({"method": ""}, "`method` says in words"),
    "independent": ({"independent": "yes"}, "`independent` must be True or False"),
    "again": ({"method": "geo test"}, "by 'geo test' over these dates already, number 4. If it was wrong, restate it"),
}


@pytest.mark.parametrize("case", BAD_OUTCOMES)
def test_bad_outcomes_are_refused_and_leave_nothing(kept, case):
    made.measure(kept)
    changes, words = BAD_OUTCOMES[case]
    good = {"decision": "q1", "value": 1.0, "se": 1.0, "method": "panel", "independent": False}
    with pytest.raises(mj.LedgerError, match=words):
        kept.outcome(**{**good, **changes})
    assert kept.verify().count == 4


def test_restating_needs_something_and_one_thing_at_a_time(kept):
    made.measure(kept)
    with pytest.raises(mj.LedgerError, match="Nothing is restated"):
        kept.restate("q1", reason="a feeling")
    with pytest.raises(mj.LedgerError, match="one after the other"):
        kept.restate("q1", spend=made.spend(), value=1.0, reason="both")
    with pytest.raises(mj.LedgerError, match="has no outcome 9; it has 4"):
        kept.restate("q1", outcome=9, value=1.0, reason="which?")
    with pytest.raises(mj.LedgerError, match="`se` must be"):
        kept.restate("q1", se=-1.0, reason="typo")
    assert kept.verify().count == 4


def test_tables_and_arrays_are_read_alike(kept):
    table = made.spend().to_pandas()[["Radio", "TV"]].reset_index()
    kept.propose(table, name="table", draws=made.draws(), model=made.MODEL, baseline={"TV": 8.0, "Radio": 0.0})
    record = kept.record("table")
    xr.testing.assert_equal(record.plan.sel(channel=["TV", "Radio"]), made.spend())
    # The baseline is spread over the dates as the plan is.
    np.testing.assert_array_equal(record.baseline.sel(channel="TV"), np.full(4, 2.0))
    assert record.planned is not None
    np.testing.assert_array_equal(record.planned.channel[:, ::-1], made.draws())


def test_a_plan_that_nobody_predicted_must_be_predicted_to_be_approved(kept):
    made.propose(kept, draws=None, model=None)
    assert np.isnan(kept.decisions().loc["q1", "predicted"])
    with pytest.raises(mj.LedgerError, match="Nobody has said what 'q1' should bring"):
        kept.approve("q1")
    kept.approve("q1", draws=made.draws(), model=made.MODEL)
    assert kept.decisions().loc["q1", "predicted"] == pytest.approx(60.0)
