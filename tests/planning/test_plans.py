"""What users ask of plans: dates, geos, locked channels, prices, targets, risk; and laws that all plans obey."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from planning.made import made_fit

import mmm_jax as mj
from mmm_jax.errors import InfeasibleError, PlanError
from mmm_jax.planning import batch
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.solver import Outcome

DATES, DRAWS = 6, 40
FIRST, SECOND, THIRD = NAMES = ("channel 1", "channel 2", "channel 3")
TOTAL = 18.0
BY_DATE = ("channel", "date")


def market(seed: int = 0, channels: int = 3) -> mj.Fit:
    """Concave curves, geometric carry-over, draws that scatter."""
    rng = np.random.default_rng(seed)
    shape = (DRAWS, channels)
    parameters = {
        "lam": rng.gamma(3.0, 0.3, channels) * rng.lognormal(0.0, 0.2, shape),
        "beta": rng.lognormal(0.0, 0.5, channels) * rng.lognormal(0.0, 0.3, shape),
    }
    return made_fit(mj.LogisticSaturation(), parameters, alpha=rng.uniform(0.2, 0.7, shape), l_max=3)


FIT = market()


def plan_of(fit=FIT, **changes) -> mj.Allocation:
    return mj.optimize_budget(fit, **({"horizon": DATES, "total": TOTAL} | changes))


def mean(plan: mj.Allocation) -> float:
    return float(plan.response.mean())


@pytest.fixture(scope="module")
def weekly() -> mj.Allocation:
    """With boxes, a group and steps that bind."""
    constraints = [
        mj.Box(lower=0.1, upper=2.0),
        mj.Group([FIRST, SECOND], lower=0.75 * TOTAL, label="brand"),
        mj.Step(THIRD, up=0.1, down=0.1),
    ]
    return plan_of(by=BY_DATE, constraints=constraints)


def test_weekly_decisions_meet_all_constraints(weekly):
    spend = weekly.spend
    assert weekly.certificate.optimal
    assert weekly.certificate.concave
    assert weekly.certificate.kkt_residual < 1e-10
    assert float(spend.sum()) == pytest.approx(TOTAL, rel=1e-12)
    assert float(spend.min()) >= 0.1 * (1 - 1e-12)
    assert float(spend.max()) <= 2.0 * (1 + 1e-12)
    assert float(spend.sel(channel=[FIRST, SECOND]).sum()) >= 0.75 * TOTAL * (1 - 1e-12)
    assert float(np.abs(spend.sel(channel=THIRD).diff("date")).max()) <= 0.1 + 1e-12
    assert set(weekly.certificate.state.dims) == {"date", "channel"}


def test_the_certificate_explains_every_marginal_return(weekly):
    """Interior cells of channels without a binding constraint of their own bring what the total's price says."""
    prices = weekly.certificate.shadow_prices
    assert prices["the total of 18.00"] == weekly.certificate.shadow_price > 0
    free = weekly.certificate.marginal_return.where(weekly.certificate.state == "interior").sel(channel=FIRST)
    expected = weekly.certificate.shadow_price + prices["brand"]
    np.testing.assert_allclose(free.dropna("date"), expected, rtol=1e-8)


def test_a_shadow_price_is_what_moving_the_bound_brings(weekly):
    def moved(amount):
        constraints = list(weekly.problem.statement.constraints)
        constraints[1] = replace(constraints[1], lower=0.75 * TOTAL + amount)
        return mean(plan_of(by=BY_DATE, constraints=constraints))

    step = 1e-3
    price = weekly.certificate.shadow_prices["brand"]
    assert price <= 0
    assert (moved(step) - moved(-step)) / (2 * step) == pytest.approx(price, rel=1e-4, abs=1e-8)


def test_finer_decisions_never_bring_less():
    assert mean(plan_of(by=BY_DATE)) >= mean(plan_of()) * (1 - 1e-12)


def test_more_budget_never_lowers_the_optimum():
    frontier = mj.budget_frontier(FIT, totals=[36.0, 9.0, 18.0, 3.0], horizon=DATES)
    table = frontier.to_frame()
    assert table.index.tolist() == pytest.approx([3.0, 9.0, 18.0, 36.0])
    assert (np.diff(table["response"]) > 0).all()
    assert (np.diff(table["marginal_return"]) < 0).all()
    assert table["optimal"].all()
    np.testing.assert_allclose(table.filter(like="spend ").sum(axis=1), table.index)


def test_permuting_channels_permutes_the_plan():
    order = [2, 0, 1]
    draws = {name: values[..., order] if values.shape[-1] == 3 else values for name, values in FIT.draws.items()}
    panel = replace(FIT.panel, spend=FIT.panel.spend[order])
    turned = plan_of(replace(FIT, draws=draws, panel=panel), carry_in=False)
    expected = plan_of(carry_in=False).channel_spend.values[order]
    np.testing.assert_allclose(turned.channel_spend.values, expected, rtol=1e-9)


def test_scaling_the_currency_scales_the_plan():
    factor = 1e5
    scales = mj.Scales(factor * FIT.scales.channel, FIT.scales.target, np.zeros(0), np.ones(0))
    panel = replace(FIT.panel, spend=factor * FIT.panel.spend)
    scaled, plain = plan_of(replace(FIT, scales=scales, panel=panel), total=factor * TOTAL), plan_of()
    np.testing.assert_allclose(scaled.channel_spend, factor * plain.channel_spend, rtol=1e-9)
    assert scaled.certificate.shadow_price == pytest.approx(plain.certificate.shadow_price / factor, rel=1e-9)


def test_locked_channels_spend_what_is_given_on_every_date():
    given = [0.0, 1.0, 2.0, 0.5, 0.0, 0.3]
    plan = plan_of(by=BY_DATE, locked={SECOND: given})
    np.testing.assert_allclose(plan.spend.sel(channel=SECOND), given, atol=1e-15)
    assert set(plan.certificate.state.sel(channel=SECOND).values) == {"locked"}
    assert plan.certificate.optimal
    level = plan_of(locked={SECOND: given})
    np.testing.assert_allclose(level.spend.sel(channel=SECOND), given, atol=1e-12)
    whole = plan_of(locked={SECOND: 3.8})
    assert float(whole.channel_spend.sel(channel=SECOND)) == pytest.approx(3.8, rel=1e-14)


def test_media_bought_in_units_at_a_price():
    """Two currency per unit halve what a currency buys: the plan is that of half the total, in units."""
    prices = {name: mj.Price(2.0) for name in NAMES}
    priced, plain = plan_of(prices=prices, total=2 * TOTAL), plan_of()
    np.testing.assert_allclose(priced.spend, 2 * plain.spend, rtol=1e-9)
    np.testing.assert_allclose(priced.response, plain.response, rtol=1e-9)


def test_a_rising_price_moves_spend_to_other_channels_and_dates():
    rising = {SECOND: mj.Price(cost=1.0, rise=1.5, base=0.5)}
    plan, plain = plan_of(by=BY_DATE, prices=rising), plan_of(by=BY_DATE)
    assert plan.certificate.optimal
    assert mean(plan) < mean(plain)
    dear = plan_of(by=BY_DATE, prices={SECOND: mj.Price([1.0, 1.0, 5.0, 1.0, 1.0, 1.0])}).spend.sel(channel=SECOND)
    assert float(dear[2]) < float(dear.mean())


def test_geos_are_planned_together_under_one_total():
    fits = {"north": market(1), "south": market(2)}
    apart = plan_of(fits, by=("channel", "geo"))
    assert apart.spend.dims == ("date", "channel", "geo")
    assert apart.certificate.optimal
    split = [float(apart.spend.sel(geo=geo).sum()) for geo in fits]
    alone = [plan_of(fit, total=amount) for fit, amount in zip(fits.values(), split, strict=True)]
    assert mean(apart) == pytest.approx(sum(map(mean, alone)), rel=1e-9)
    assert alone[0].certificate.shadow_price == pytest.approx(alone[1].certificate.shadow_price, rel=1e-6)
    everything = plan_of(fits, by=("channel", "geo", "date"))
    assert mean(everything) >= mean(apart) * (1 - 1e-12)
    together = plan_of(fits)
    assert mean(together) <= mean(apart) * (1 + 1e-12)
    same = plan_of(fits, by=("channel", "geo"), constraints=[mj.SameAcrossGeos()])
    np.testing.assert_allclose(same.spend.sel(geo="north"), same.spend.sel(geo="south"), rtol=1e-9)


@pytest.mark.parametrize("at_least", [1.0, 1.3])
def test_target_return_is_met_where_it_binds(at_least):
    usual = plan_of(total=mj.Total(200.0, at_most=True))
    target = at_least * mean(usual) / usual.total
    plan = plan_of(total=mj.Total(200.0, at_most=True), constraints=[mj.TargetRoas(target)])
    assert plan.certificate.optimal
    assert mean(plan) / plan.total >= target * (1 - 1e-6)
    if at_least > 1:
        assert mean(plan) / plan.total == pytest.approx(target, rel=1e-6)


def test_target_returns_of_channels_and_margins():
    usual = plan_of()
    spent = float(usual.channel_spend.sel(channel=FIRST))
    less = usual.spend * xr.where(usual.spend["channel"] == FIRST, 0.5, 1.0)
    roas = float(usual.respond(less)["by_channel"].sel(channel=FIRST).mean()) / (0.5 * spent)
    plan = plan_of(constraints=[mj.TargetRoas(roas, channels=FIRST)])
    brought = float(plan.channel_response.sel(channel=FIRST).mean())
    assert plan.certificate.optimal
    assert float(plan.channel_spend.sel(channel=FIRST)) == pytest.approx(0.5 * spent, rel=1e-6)
    assert brought / float(plan.channel_spend.sel(channel=FIRST)) == pytest.approx(roas, rel=1e-6)
    asked = 1.2 * usual.certificate.shadow_price
    marginal = plan_of(constraints=[mj.TargetMarginalRoas(asked, channels=SECOND)])
    assert marginal.certificate.optimal
    assert float(marginal.certificate.marginal_return.sel(channel=SECOND)) == pytest.approx(asked, rel=1e-6)


def test_targets_out_of_reach_are_never_called_optimal():
    plan = plan_of(constraints=[mj.TargetOutcome(100 * mean(plan_of()))])
    assert plan.certificate.outcome is Outcome.UNMET
    assert not plan.certificate.optimal
    assert "targets" in plan.certificate.outcome.advice


def test_a_probability_is_a_target_in_its_own_unit():
    """Of the order of 1, where responses may be of the order of billions."""
    even = plan_of(bounds={name: (TOTAL / 3, TOTAL / 3) for name in NAMES})
    usual, surest = plan_of(), plan_of(objective=mj.ProbabilityToBeat(even.response))
    likely = usual.compare(even.spend).probability_better
    assert likely < surest.value.value
    asked = 0.5 * (likely + surest.value.value)
    plan = plan_of(constraints=[mj.RiskFloor(mj.ProbabilityToBeat(even.response), asked)])
    assert plan.certificate.optimal
    assert plan.compare(even.spend).probability_better >= asked
    assert list(plan.certificate.targets.values()) == [pytest.approx(plan.compare(even.spend).probability_better)]
    assert mean(surest) * (1 - 1e-9) <= mean(plan) < mean(usual)
    beyond = plan_of(constraints=[mj.RiskFloor(mj.ProbabilityToBeat(3 * usual.response), 0.9)])
    assert beyond.certificate.outcome is Outcome.UNMET


@pytest.mark.parametrize("probability", [0.3, 0.9])
def test_no_plan_is_likely_to_beat_the_best_one(probability):
    """Both the same plan, told in two ways: their differences are rounding."""
    usual = plan_of()
    plan = plan_of(constraints=[mj.RiskFloor(mj.ProbabilityToBeat(usual.response), probability)])
    assert not plan.certificate.optimal or list(plan.certificate.targets.values())[0] >= probability
    same = plan_of(bounds={name: (float(x), float(x)) for name, x in zip(NAMES, usual.channel_spend.values, strict=True)})
    assert same.compare(usual.spend).probability_better == 0
    locked = plan_of(
        locked=dict(zip(NAMES, map(float, usual.channel_spend), strict=True)),
        total=None,
        objective=mj.ProbabilityToBeat(usual.response),
    )
    assert locked.value.value == 0


def test_a_floor_that_does_not_bind_changes_nothing():
    """Though its smooth version asks for more: a plan of nearly the same draws is beaten for sure, by little."""
    usual = plan_of()
    plan = plan_of(constraints=[mj.RiskFloor(mj.ProbabilityToBeat(0.99 * usual.response.values.ravel()), 0.95)])
    assert plan.certificate.optimal
    assert mean(plan) == pytest.approx(mean(usual), rel=1e-6)


def test_kinked_targets_that_bind_have_nothing_to_spare():
    usual, safest = plan_of(), plan_of(objective=mj.CVaR(0.1))
    least = np.sort(np.ravel(usual.response))[: DRAWS // 10].mean()
    floor = 0.5 * (least + safest.value.value)
    plan = plan_of(constraints=[mj.RiskFloor(mj.CVaR(0.1), floor)])
    assert plan.certificate.optimal
    assert least < floor
    assert list(plan.certificate.targets.values())[0] == pytest.approx(floor, rel=1e-6)
    assert np.isnan(plan.certificate.smoothing_gap)


def test_the_price_of_a_target_is_in_its_own_unit():
    """Against plans with a little more and less of it."""
    usual = plan_of(total=mj.Total(200.0, at_most=True))
    level = 1.3 * mean(usual) / usual.total

    def brought(target, **changes):
        return plan_of(total=mj.Total(200.0, at_most=True), constraints=[target], **changes)

    near = 1e-4 * level
    plan, low, high = (brought(mj.TargetRoas(level + step, label="return")) for step in (0.0, -near, near))
    assert plan.certificate.shadow_prices["return"] == pytest.approx((mean(high) - mean(low)) / (2 * near), rel=1e-3)


def test_another_level_of_a_target_compiles_nothing():
    traced = []

    class Counted(AbstractObjective):
        """The mean, which says when it is traced."""

        def __call__(self, responses, spend, temperature=None):
            traced.append(None)
            return responses.mean()

    plan_of(constraints=[mj.RiskFloor(Counted(), 0.1)])
    first = len(traced)
    plan_of(constraints=[mj.RiskFloor(Counted(), 0.2)])
    assert len(traced) == first > 0


def test_targets_of_one_name_are_told_apart():
    usual = plan_of()
    floors = [mj.RiskFloor(mj.CVaR(prob), 0.1) for prob in (0.1, 0.2)]
    plan = plan_of(constraints=floors)
    assert list(plan.certificate.targets) == ["CVaR of at least 0.1", "CVaR of at least 0.1 (2)"]
    assert set(plan.certificate.targets) <= set(plan.certificate.shadow_prices)
    with pytest.raises(PlanError, match="holds 20 responses of another plan, but the fit has 40 draws"):
        plan_of(objective=mj.ProbabilityToBeat(np.ravel(usual.response)[:20]))


def test_an_outcome_with_a_probability_holds_exactly_over_the_draws():
    usual = plan_of()
    level = float(usual.response.quantile(0.25))
    plan = plan_of(objective=mj.Profit(1.0), total=None, constraints=[mj.TargetOutcome(level, probability=0.8)])
    assert float((plan.response >= level).mean()) >= 0.8


def test_profit_needs_no_total():
    margin = 3.0 / plan_of().certificate.shadow_price
    plan = plan_of(total=None, objective=mj.Profit(margin))
    assert plan.certificate.optimal
    inside = plan.certificate.state == "interior"
    np.testing.assert_allclose(plan.certificate.marginal_return.where(inside, 0.0), 0.0, atol=1e-9)
    again = plan_of(total=plan.total)
    assert again.certificate.shadow_price == pytest.approx(1.0 / margin, rel=1e-6)


def test_risk_is_lowered_at_the_price_of_the_mean():
    usual = plan_of()
    for objective in (mj.CVaR(0.2), mj.MeanMinusSd(2.0), mj.Quantile(0.1)):
        plan = plan_of(objective=objective)
        assert plan.certificate.optimal
        assert mean(plan) <= mean(usual) * (1 + 1e-12)
        assert plan.value.name == type(objective).__name__
        spread = [float(one.response.std()) / mean(one) for one in (plan, usual)]
        assert spread[0] <= spread[1] + 1e-12


def test_a_plan_is_found_that_is_likely_to_beat_another():
    even = plan_of(bounds={name: (TOTAL / 3, TOTAL / 3) for name in NAMES})
    plan = plan_of(objective=mj.ProbabilityToBeat(even.response))
    assert plan.value.value == float((plan.response > even.response.values).mean())
    assert plan.value.value >= plan_of().compare(even.spend).probability_better - 1e-12


def test_what_is_told_by_other_draws_is_not_flattered():
    plan = plan_of(split_draws=True)
    assert plan.response.sizes["draw"] == DRAWS // 2
    assert not plan.value.same_draws
    assert plan.value.value == pytest.approx(mean(plan))
    assert plan.value.error > 0
    few = plan_of(max_draws=10)
    assert few.response.size == DRAWS
    assert mean(few) <= mean(plan_of()) * (1 + 1e-12)


def test_the_cheapest_plan_reaches_its_goal_exactly():
    goal = 0.8 * mean(plan_of())
    plan = mj.goal_seek(FIT, outcome=goal, horizon=DATES)
    assert mean(plan) == pytest.approx(goal, rel=1e-6)
    assert mean(plan_of(total=plan.total * 0.999)) < goal
    sure = mj.goal_seek(FIT, outcome=goal, probability=0.8, horizon=DATES)
    assert float((sure.response >= goal).mean()) >= 0.8
    assert sure.total > plan.total
    with pytest.raises(InfeasibleError, match="No total reaches a response"):
        mj.goal_seek(FIT, outcome=100 * goal, horizon=DATES, bounds={name: (0.0, 10.0) for name in NAMES})


def test_scenarios_are_compared_draw_by_draw():
    plan = plan_of()
    even = {name: TOTAL / 3 for name in NAMES}
    table = mj.compare_plans(plan, {"even": even, "again": plan})
    assert table.index.tolist() == ["plan", "even", "again"]
    assert table.loc["even", "difference"] == pytest.approx(-float(plan.compare(even).difference.mean()))
    assert table.loc["again", "difference"] == 0
    assert table.loc["plan", "response"] == pytest.approx(mean(plan))


def test_wider_bounds_bring_what_their_price_says():
    plan = plan_of(bounds={FIRST: (0.0, 3.0), SECOND: (5.0, 10.0)})
    table = mj.bound_sensitivity(plan, change=1e-3)
    assert table.loc["the total of 18.00", "gain"] == pytest.approx(0.018 * plan.certificate.shadow_price, rel=1e-2)
    assert (table["gain"] >= -1e-12).all()


def test_plans_beyond_what_was_observed_are_flagged_and_refused_on_request():
    plan = plan_of(total=300.0)
    assert bool(plan.extrapolation["beyond"].any())
    assert plan.to_frame()["beyond_observed"].any()
    with pytest.raises(PlanError, match="more in a period than was ever observed"):
        plan_of(total=300.0, extrapolate=False)
    assert not plan_of(total=3.0, extrapolate=False).extrapolation["beyond"].any()


@pytest.mark.parametrize("together", [False, True])
def test_a_batch_gives_every_fit_its_own_plan(monkeypatch, together):
    """One by one, as on CPUs, and side by side, as on accelerators."""
    monkeypatch.setattr(batch, "_side_by_side", lambda: together)
    fits = {name: market(seed) for seed, name in enumerate("abc")}
    totals = {"a": 5.0, "b": 18.0, "c": 40.0}
    plans = mj.optimize_budget_batch(fits, horizon=DATES, total=totals)
    for name, plan in plans.items():
        alone = plan_of(fits[name], total=totals[name])
        assert plan.certificate.optimal
        xr.testing.assert_allclose(plan.spend, alone.spend, rtol=1e-9)
    with pytest.raises(InfeasibleError, match="The plan of 'a' cannot be made"):
        mj.optimize_budget_batch(fits, horizon=DATES, total=totals, bounds={FIRST: (17.0, 30.0), SECOND: (10.0, 20.0)})


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({"total": None}, "would spend without end"),
        ({"by": ("date",)}, "must hold 'channel'"),
        ({"by": ("channel", "week")}, "must name some of"),
        ({"by": ("channel", "geo")}, "there is one market"),
        ({"by": BY_DATE, "profile": {name: np.ones(DATES) for name in NAMES}}, "every date has its own number"),
        ({"locked": {"Cinema": 1.0}}, "names the channel 'Cinema'"),
        ({"locked": {FIRST: [1.0, 2.0]}}, "has 2 values, the horizon 6 dates"),
        ({"locked": {FIRST: 1.0}, "bounds": {FIRST: (0.0, 1.0)}}, "locked and has bounds"),
        ({"prices": {"Cinema": mj.Price(1.0)}}, "names the channel 'Cinema'"),
        ({"prices": {FIRST: mj.Price([1.0, 2.0])}}, "has 2 costs"),
        ({"constraints": ["cheap"]}, "must hold objects"),
        ({"constraints": [mj.Group("Cinema", upper=1.0)]}, "no channel 'Cinema'"),
        ({"constraints": [mj.SameAcrossGeos()]}, "needs a plan of several geos"),
        ({"objective": "mean"}, "`objective` must be an object"),
        ({"max_draws": 1}, "`max_draws` must be at least 2"),
    ],
)
def test_statements_that_cannot_be_used_say_why(statement, message):
    with pytest.raises(PlanError, match=message):
        plan_of(**statement)
