"""A plan's curves pass through what `respond` says, and their slopes are those of the certificate."""

from functools import cache

import numpy as np
import pytest
import xarray as xr
from planning.fits import HORIZON, fit_from_prior, planned_rows, usual_total

import mmm_jax as mj
from mmm_jax.errors import PlanError
from mmm_jax.planning.curves import plan_curves
from mmm_jax.planning.extrapolation import extrapolation

FIRST, SECOND, THIRD, FOURTH = planned_rows().channels
SHAPE = dict(zip(planned_rows().channels, np.random.default_rng(0).integers(0, 4, (4, HORIZON)), strict=True))


@cache
def a_plan(name: str = "logistic") -> mj.Allocation:
    """Uneven over the dates, without spend in the first channel."""
    fit = fit_from_prior(name)
    total = usual_total(fit)
    bounds = {FIRST: (0.0, 0.0), SECOND: (0.1 * total, total), THIRD: (0.1 * total, total), FOURTH: (0.1 * total, total)}
    return mj.optimize_budget(fit, horizon=planned_rows(), total=total, bounds=bounds, profile=SHAPE, num_starts=1)


@cache
def of_two_geos() -> mj.Allocation:
    fits = {"north": fit_from_prior("logistic"), "south": fit_from_prior("logistic", seed=1)}
    prices = {SECOND: mj.Price(2.0), THIRD: mj.Price(1.0, rise=0.5, base=2e4)}
    bounds = dict.fromkeys(planned_rows().channels, (2e5, 1e6))
    return mj.optimize_budget(fits, horizon=4, total=2e6, bounds=bounds, by=("channel", "geo"), prices=prices, num_starts=1)


def with_one_changed(plan: mj.Allocation, channel: str, factor: float) -> xr.DataArray:
    return plan.spend * xr.where(plan.spend["channel"] == channel, factor, 1.0)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["logistic", "log link"])
def test_curves_are_what_changed_plans_bring_in_addition(name):
    plan = a_plan(name)
    curves = plan_curves(plan, [0.5, 1.0, 1.7])
    summed = plan.channel_response.sum([dim for dim in plan.channel_response.dims if dim == "geo"])
    planned = curves["response"].sel(multiplier=1.0, drop=True).where(curves["channel"] != FIRST, 0.0)
    xr.testing.assert_allclose(planned, summed, rtol=1e-9)
    for channel, factor in ((SECOND, 0.5), (FOURTH, 1.7)):
        whole, without = (plan.respond(with_one_changed(plan, channel, by))["total"] for by in (factor, 0.0))
        found = curves["response"].sel(channel=channel, multiplier=factor, drop=True)
        xr.testing.assert_allclose(found, (whole - without).drop_attrs(), rtol=1e-6)


@pytest.mark.parametrize("plan", [lambda: a_plan("log link"), of_two_geos], ids=["log link", "geos and prices"])
def test_marginal_returns_are_finite_differences_of_the_response(plan):
    for middle in (1e-3, 0.5, 2.0):
        curves = plan_curves(plan(), [middle * (1 - 1e-4), middle, middle * (1 + 1e-4)])
        low, high = (curves[["response", "spend"]].isel(multiplier=end) for end in (0, 2))
        found = curves["marginal_return"].isel(multiplier=1)
        expected = (high["response"] - low["response"]) / (high["spend"] - low["spend"])
        np.testing.assert_allclose(found, expected.transpose(*found.dims), rtol=1e-5)


@pytest.mark.parametrize("plan", [lambda: a_plan("logistic"), lambda: a_plan("root")], ids=["logistic", "root"])
def test_at_the_plan_the_marginal_returns_are_the_certificates(plan):
    curves = plan_curves(plan(), [0.0, 1.0, 2.0])
    found = curves["marginal_return"].sel(multiplier=1.0).mean(("chain", "draw"))
    with_spend = [SECOND, THIRD, FOURTH]
    expected = plan().certificate.marginal_return.sel(channel=with_spend)
    np.testing.assert_allclose(found.sel(channel=with_spend), expected, rtol=1e-6)
    assert not curves["response"].sel(multiplier=0.0).any()
    assert (curves["marginal_return"].sel(channel=FIRST).diff("multiplier") < 0).all()


def test_geos_and_prices_add_up():
    plan = of_two_geos()
    curves = plan_curves(plan, [0.5, 1.0, 2.0])
    for factor in (0.5, 1.0):
        expected = plan.respond(factor * plan.spend)["by_channel"].sum("geo")
        xr.testing.assert_allclose(curves["response"].sel(multiplier=factor, drop=True), expected.drop_attrs(), rtol=1e-9)
    np.testing.assert_allclose(curves["spend"].sel(multiplier=0.5), 0.5 * plan.spend.sum(["date", "geo"]))


def test_without_planned_spend_the_usual_one_is_multiplied_or_the_references():
    plan = a_plan()
    usual = HORIZON * fit_from_prior().panel.spend[0].mean()
    assert plan_curves(plan, [0.5, 1.0, 2.0])["base"].sel(channel=FIRST) == pytest.approx(usual)
    planned = plan.channel_spend
    reference = {FIRST: 5e5, SECOND: 1.5 * planned[1], THIRD: 3.0 * planned[2], FOURTH: 0.0}
    base = plan_curves(plan, [0.5, 1.0, 2.0], reference=reference)["base"]
    np.testing.assert_allclose(base, [5e5, planned[1], 3.0 * planned[2], planned[3]])


@pytest.mark.parametrize("plan", [a_plan, of_two_geos], ids=["one market", "geos and prices"])
def test_the_observed_limit_is_where_a_peak_passes_the_observed_one(plan):
    plan = plan()
    curves = plan_curves(plan, np.geomspace(1.0, 1000.0, 120))
    assert np.isfinite(curves["observed_limit"]).all()
    for channel in plan.spend["channel"].values.tolist()[1:]:
        factor = float((curves["observed_limit"] / curves["base"]).sel(channel=channel))
        peaks = extrapolation(plan.problem, factor * plan.spend).sel(channel=channel)
        assert float((peaks["planned_peak"] / peaks["observed_peak"]).max()) == pytest.approx(1.0, rel=1e-3)
    assert np.isinf(plan_curves(plan, [1e-9, 2e-9, 3e-9])["observed_limit"]).all()


@pytest.mark.parametrize("wrong", [[], [0.0], [1.0, 0.5], [-1.0, 1.0], [1.0, np.nan], [[1.0]]], ids=str)
def test_multipliers_that_are_no_grid_are_refused(wrong):
    with pytest.raises(PlanError, match="must be increasing numbers of at least 0"):
        plan_curves(a_plan(), wrong)
