"""Plans of units with a cost, and of organic media, which no plan moves."""

import kinds
import numpy as np
import pytest
import xarray as xr
from planning.fits import SPECS

import mmm_jax as mj
from mmm_jax import PlanError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.costs import expected_costs
from mmm_jax.planning.curves import plan_curves
from mmm_jax.planning.horizon import horizon_panel
from mmm_jax.planning.prices import Price
from mmm_jax.planning.problem import Statement, lay_out
from mmm_jax.planning.scope import planning_scope

TOTAL = 2000.0
LATER = kinds.panel(kinds.table(kinds.WEEKS + kinds.HORIZON)).take(slice(kinds.WEEKS, None))


def planned(link: str = "logistic", **stated) -> mj.Allocation:
    given = {"horizon": LATER, "total": TOTAL, "num_starts": 1, **stated}
    return mj.optimize_budget(kinds.fit(link), **given)


def lately(panel: mj.Panel) -> float:
    """The cost of a unit of TV in the last 52 of the 60 weeks."""
    return panel.spend[0, -52:].sum() / panel.exposure[0, -52:].sum()


@pytest.mark.parametrize("by", [("channel",), ("channel", "date")])
def test_money_adds_up_and_none_goes_to_what_is_organic(by):
    plan = planned(by=by)
    assert plan.total == pytest.approx(TOTAL)
    assert not plan.spend.sel(channel="newsletter").any()
    assert not plan.channel_response.sel(channel="newsletter").any()
    assert plan.certificate.optimal
    assert plan.organic == ("newsletter",)
    assert plan.to_dict()["organic"] == ["newsletter"]


def test_units_are_bought_at_the_cost_of_the_last_weeks():
    plan, fit = planned(), kinds.fit()
    cost, unit = plan.unit_costs["TV"]
    assert (cost, unit) == (pytest.approx(lately(fit.panel)), "tv_grp")
    assert plan.to_dict()["unit_costs"] == {"TV": {"cost": cost, "unit": "tv_grp"}}
    same = planned(prices={"TV": Price(cost)})
    xr.testing.assert_allclose(plan.spend, same.spend, rtol=1e-4)
    dear = planned(prices={"TV": Price(2 * cost)})
    assert dear.unit_costs["TV"][0] == pytest.approx(2 * cost)
    xr.testing.assert_allclose(dear.respond(2 * plan.spend * [1.0, 0.5, 0.0])["total"], plan.response, rtol=1e-8)


def test_units_that_all_cost_the_same_are_planned_as_spend():
    frame = kinds.table().assign(tv_grp=lambda rows: rows["TV"] / 4.0)
    plans = []
    for media in (None, {"TV": "tv_grp"}):
        rows = kinds.panel(frame, media=media, organic=[], treatments=None)
        fit = kinds.from_prior(rows, SPECS["logistic"])
        plans.append(mj.optimize_budget(fit, horizon=kinds.HORIZON, total=TOTAL, num_starts=1))
    xr.testing.assert_allclose(plans[0].spend, plans[1].spend, rtol=1e-5)
    np.testing.assert_allclose(plans[0].response, plans[1].response, rtol=1e-6)
    np.testing.assert_array_equal(plans[0].extrapolation["beyond"], plans[1].extrapolation["beyond"])


def naive_response(fit: mj.Fit, spend: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Expected target with the plan minus without it, both with the organic media: maths.md section 12, log link."""
    with precision_scope("float64"):
        rows = horizon_panel(fit, LATER)
    bought = np.stack([spend[0] / lately(fit.panel), spend[1], held])
    means = [fit.predict(mj.Panel(**{**vars(rows), "media": m}))["mean"] for m in (bought, bought * [[0], [0], [1]])]
    return (means[0] - means[1]).sum("date").to_numpy()


def test_with_a_log_link_organic_media_multiply_what_is_planned():
    plan, fit = planned("log link"), kinds.fit("log link")
    spend = plan.spend.transpose("channel", "date").to_numpy()
    np.testing.assert_allclose(plan.response, naive_response(fit, spend, LATER.exposure[2]), rtol=1e-7)
    levels = lay_out_response(fit, ("channel",), plan)
    cells = lay_out_response(fit, ("channel", "date"), plan)
    for found in (levels, cells):
        np.testing.assert_allclose(found, plan.response.to_numpy().ravel(), rtol=1e-7)


def lay_out_response(fit: mj.Fit, by: tuple[str, ...], plan: mj.Allocation) -> np.ndarray:
    """The fast path's response to the plan."""
    with planning_scope():
        problem = lay_out(fit, Statement(horizon=LATER, total=TOTAL, by=by))
        cells = plan.spend.transpose("channel", "date").to_numpy()
        amounts = cells.ravel() if "date" in by else cells.sum(axis=1)
        return np.asarray(problem.response(problem.reported)(amounts))


def test_organic_media_are_at_the_usual_level_where_no_panel_says_more():
    fit = kinds.fit()
    usual = horizon_panel(fit, kinds.HORIZON)
    np.testing.assert_allclose(usual.exposure[2], fit.panel.exposure[2].mean())
    assert not usual.exposure[:2].any()
    np.testing.assert_array_equal(horizon_panel(fit, LATER).exposure[2], LATER.exposure[2])
    # The plan decides units and spend: a table of the planned weeks need not have them.
    spend_only = kinds.panel(kinds.table(kinds.WEEKS + kinds.HORIZON), media=None, organic=[])
    found = horizon_panel(fit, spend_only.take(slice(kinds.WEEKS, None)))
    np.testing.assert_array_equal(found.exposure, usual.exposure)


def test_curves_do_not_move_what_is_organic():
    plan = planned()
    curves = plan_curves(plan, [0.0, 1.0, 2.0])
    assert not curves["response"].sel(channel="newsletter").any()
    assert curves["marginal_return"].sel(channel="newsletter").isnull().all()
    assert not curves["spend"].sel(channel="newsletter").any()


def test_a_plan_is_compared_without_naming_what_is_organic():
    plan = planned()
    assert float(plan.compare({"TV": 1000.0, "Radio": 1000.0}).difference.mean()) >= 0
    with pytest.raises(PlanError, match="'newsletter' is organic: it has no spend"):
        plan.compare({"TV": 1000.0, "Radio": 900.0, "newsletter": 100.0})


@pytest.mark.parametrize(
    "stated",
    [
        {"bounds": {"newsletter": (0.0, 1.0)}},
        {"locked": {"newsletter": 1.0}},
        {"prices": {"newsletter": Price(1.0)}},
    ],
)
def test_no_statement_speaks_of_what_is_organic(stated):
    with pytest.raises(PlanError, match=f"`{next(iter(stated))}` names 'newsletter', which is organic"):
        planned(**stated)


def test_organic_media_alone_are_nothing_to_plan():
    fit = kinds.from_prior(kinds.panel(channels=[], media=None), SPECS["logistic"])
    with pytest.raises(PlanError, match="All channels are organic .newsletter.: there is no spend to plan"):
        mj.optimize_budget(fit, horizon=kinds.HORIZON, total=1.0)


def test_costs_of_geos_are_their_own_or_those_of_all():
    panel = kinds.panel(kinds.geo_table(), geo="geo")
    costs = expected_costs(panel.markets, {})
    ratios = [m.spend[0, -52:].sum() / m.exposure[0, -52:].sum() for m in panel.markets]
    np.testing.assert_allclose(costs, [[ratios[0], 1.0, np.inf], [ratios[1], 1.0, np.inf]])
    frame = kinds.geo_table()
    frame.loc[frame["geo"] == "south", ["TV", "tv_grp"]] = 0.0
    silent = expected_costs(kinds.panel(frame, geo="geo").markets, {})
    np.testing.assert_allclose(silent[1, 0], panel["north"].spend[0].sum() / panel["north"].exposure[0].sum())


def test_a_unit_that_was_never_paid_for_needs_a_price():
    panel = kinds.panel()
    unpaid = mj.Panel(**{**vars(panel), "spend": panel.spend * [[0], [1], [1]]})
    with pytest.raises(PlanError, match="No unit of 'TV' was paid for in the training rows"):
        expected_costs([unpaid], {})
    assert expected_costs([unpaid], {"TV"})[0, 0] == 1.0


def test_geos_are_planned_together():
    fit = kinds.from_prior(kinds.panel(kinds.geo_table(), geo="geo"), SPECS["logistic"])
    plan = mj.optimize_budget(fit.markets, horizon=kinds.HORIZON, total=TOTAL, by=("channel", "geo"), num_starts=1)
    assert plan.total == pytest.approx(TOTAL)
    assert not plan.spend.sel(channel="newsletter").any()


def test_the_page_says_what_a_unit_costs_and_what_is_organic(tmp_path):
    page = mj.write_plan_page(planned(), tmp_path / "plan.html", reference={"TV": 1000.0, "Radio": 1000.0}).read_text()
    assert "currency per tv_grp" in page
    assert "Organic, without spend: newsletter" in page
    assert "organic, not planned" in page
    assert '<option value="2">' not in page
