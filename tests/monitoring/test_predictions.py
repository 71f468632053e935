"""Decisions predicted by fits: plans of the planner, saved fits, geos, and which model it was."""

import numpy as np
import pytest
import xarray as xr
from planning.fits import HORIZON, fit_from_prior, market, usual_total

import mmm_jax as mj
from mmm_jax.monitoring.versions import fingerprint

FIT = fit_from_prior("logistic", channels=2)
OTHER = fit_from_prior("logistic", channels=2, seed=1)
FIRST, SECOND = FIT.panel.channels


def _plan(fit: mj.Fit = FIT, **options) -> mj.Allocation:
    return mj.optimize_budget(fit, horizon=HORIZON, total=usual_total(fit), **options)


@pytest.fixture(scope="module")
def plan() -> mj.Allocation:
    return _plan()


@pytest.fixture
def baseline() -> dict[str, float]:
    return {
        name: float(spent) for name, spent in zip(FIT.panel.channels, FIT.panel.spend[:, -HORIZON:].sum(axis=1), strict=True)
    }


def test_variance_of_a_plan_closes_and_is_what_the_planner_says(kept, plan, baseline, tmp_path):
    kept.propose(plan, name="q1", baseline=baseline, currency="EUR")
    kept.approve("q1", fit=FIT)
    FIT.save(tmp_path / "fit.zarr")
    delivered = plan.spend * xr.DataArray([0.8, 1.1], dims="channel", coords={"channel": list(FIT.panel.channels)})
    # Months later, the fit comes from a file.
    kept.deliver("q1", spend=delivered, fit=mj.Fit.load(tmp_path / "fit.zarr"))
    kept.outcome("q1", 123456.789, 1000.0, method="geo test", independent=True)
    kept.outcome("q1", 4321.0, 500.0, method="lift test", independent=True, channel=FIRST)
    table = kept.variance("q1")
    measured = table.dropna(subset=["measured"])
    assert list(measured.index) == ["total", FIRST]
    gap = measured["difference"] - measured["execution"] - measured["model"]
    assert (gap.abs() <= 1e-9 * measured["difference"].abs()).all()
    compared = plan.respond(plan.aligned(baseline))
    expected = plan.response - compared["total"], plan.respond(delivered)["total"] - compared["total"]
    assert table.loc["total", "planned"] == pytest.approx(float(expected[0].mean()), rel=1e-9)
    assert table.loc["total", "execution"] == pytest.approx(float((expected[1] - expected[0]).mean()), rel=1e-9)
    assert table.loc["total", "execution_sd"] == pytest.approx(float((expected[1] - expected[0]).std()), rel=1e-9)
    # Effects add up with this likelihood, and so do the parts of the variance.
    assert table.loc[[FIRST, SECOND], "execution"].sum() == pytest.approx(table.loc["total", "execution"], rel=1e-9)
    assert kept.decisions().loc["q1", "target"] == FIT.panel.target_name


def test_another_model_version_is_refused_at_every_step(kept, plan):
    with pytest.raises(mj.LedgerError, match="plan was made with the model version"):
        kept.propose(plan, name="q0", fit=OTHER)
    kept.propose(plan, name="q1")
    with pytest.raises(mj.LedgerError, match="proposed with the model version"):
        kept.approve("q1", fit=OTHER)
    kept.approve("q1")
    with pytest.raises(mj.LedgerError, match="approved with the model version .*Use the fit of then"):
        kept.deliver("q1", spend=plan.spend, fit=OTHER)
    with pytest.raises(mj.LedgerError, match="`fit` must be a fit"):
        kept.deliver("q1", spend=plan.spend, fit={"Texas": "no fit"})
    assert kept.decisions().loc["q1", "state"] == "approved"
    kept.deliver("q1", spend=plan.spend, fit=plan)
    assert kept.variance("q1")["execution"].abs().max() == 0.0


def test_plain_spend_is_predicted_by_a_fit_and_prices_are_remembered(kept, plan):
    prices = {FIRST: mj.Price(cost=2.0, rise=0.5, base=1e5)}
    kept.propose(plan.spend, name="q1", fit=FIT, prices=prices, carry_in=False)
    kept.approve("q1", fit=FIT)
    kept.deliver("q1", spend=plan.spend, fit=FIT)
    assert kept.variance("q1")["execution"].abs().max() == 0.0
    dear = kept.record("q1").planned
    kept.propose(plan.spend, name="q2", fit=FIT, carry_in=False)
    cheap = kept.record("q2").planned
    assert dear is not None
    assert cheap is not None
    # At a higher price, the same money brings less.
    assert (dear.channel[:, 0] < cheap.channel[:, 0]).all()
    np.testing.assert_allclose(dear.channel[:, 1], cheap.channel[:, 1])


def test_a_fit_that_does_not_repeat_the_prediction_is_refused_and_the_plan_taken(kept):
    fit = fit_from_prior("logistic", channels=2)
    rows = market(90, 2).take(slice(80, 84))
    plan = mj.optimize_budget(fit, horizon=4, total=usual_total(fit), history=rows)
    kept.propose(plan, name="q1")
    kept.approve("q1")
    with pytest.raises(mj.MMMError, match="history"):
        kept.deliver("q1", spend=plan.spend, fit=fit)
    kept.deliver("q1", spend=plan.spend, fit=plan)
    assert kept.decisions().loc["q1", "state"] == "delivered"


def test_plans_of_several_geos(kept):
    fits = {"north": FIT, "south": OTHER}
    plan = mj.optimize_budget(fits, horizon=4, total=usual_total(FIT), by=("channel", "geo"))
    kept.propose(plan, name="q1")
    kept.approve("q1", fit=dict(reversed(fits.items())))
    kept.deliver("q1", spend=plan.spend.transpose("geo", "channel", "date"), fit=fits)
    table = kept.variance("q1")
    assert table["execution"].abs().max() == 0.0
    assert table.loc["total", "planned"] == pytest.approx(float(plan.response.mean()), rel=1e-9)
    with pytest.raises(mj.LedgerError, match="has the dimensions date, channel, the plan date, channel, geo"):
        kept.restate("q1", spend=plan.spend.sum("geo"), fit=fits, reason="national")


def test_fingerprints_tell_versions_apart(tmp_path):
    FIT.save(tmp_path / "fit.nc")
    assert fingerprint(mj.Fit.load(tmp_path / "fit.nc")) == fingerprint(FIT)
    assert fingerprint({"a": FIT, "b": OTHER}) == fingerprint({"b": OTHER, "a": FIT})
    assert len({fingerprint(one) for one in (FIT, OTHER, {"a": FIT}, {"a": FIT, "b": OTHER})}) == 4
