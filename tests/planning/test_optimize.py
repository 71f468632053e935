"""Plans meet their constraints, beat all others, and their certificates say what finite differences say."""

from dataclasses import replace
from functools import cache
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from planning.fits import HORIZON, SPECS, fit_from_prior, over_horizon, planned_rows, usual_total

import mmm_jax as mj
from mmm_jax.errors import InfeasibleError, PlanError, PredictionError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.response import plan_response
from mmm_jax.planning.search import _best
from mmm_jax.planning.solver import Outcome, Solution

CONCAVE = ["logistic", "logistic, saturation first", "root"]
FIRST, SECOND, THIRD, FOURTH = planned_rows().channels


def optimize(fit: mj.Fit, **changes) -> mj.Allocation:
    statement = {"horizon": planned_rows(len(fit.panel.channels)), "total": usual_total(fit)}
    return mj.optimize_budget(fit, **(statement | changes))


@cache
def usual_plan(name: str) -> mj.Allocation:
    """Without bounds, for what was spent last."""
    return optimize(fit_from_prior(name))


def tight(total: float) -> dict[str, tuple[float, float]]:
    """Bounds that bind: one channel is pushed up, one is held down, one is locked."""
    return {FIRST: (0.3 * total, total), SECOND: (0.0, 0.05 * total), THIRD: (0.2 * total, 0.2 * total)}


def mean_response(plan: mj.Allocation, spend: xr.DataArray) -> float:
    return float(plan.respond(spend)["total"].mean())


def of_shares(fit: mj.Fit, shares: np.ndarray) -> np.ndarray:
    """Mean response of even plans that spend the usual total in these shares, (plan, channel); the plain path."""
    with precision_scope("float64"):
        model, draws = over_horizon(fit)
        unit = usual_total(fit) / HORIZON / fit.scales.channel

        @jax.jit
        def respond(share):
            planned = jnp.broadcast_to((share * unit)[:, None], (len(unit), HORIZON))
            return jax.vmap(lambda draw: plan_response(model, draw, planned)["total"])(draws).mean()

        return np.asarray(jax.lax.map(respond, jnp.asarray(shares)))


@pytest.mark.parametrize("bounded", [False, True], ids=["free", "bounded"])
@pytest.mark.parametrize("name", SPECS)
def test_plans_meet_the_constraints_and_the_conditions_of_an_optimum(make_fit, name, bounded):
    fit, total = make_fit(name), usual_total(make_fit(name))
    bounds = tight(total) if bounded else {}
    plan = optimize(fit, bounds=bounds) if bounded else usual_plan(name)
    certificate, spend = plan.certificate, plan.spend.sum("date")
    assert certificate.optimal
    assert certificate.outcome is Outcome.CONVERGED
    assert certificate.feasibility < 1e-9
    assert plan.total == pytest.approx(total, rel=1e-9)
    for channel in fit.panel.channels:
        low, high = bounds.get(channel, (0.0, total))
        assert low * (1 - 1e-12) <= spend.sel(channel=channel) <= high * (1 + 1e-12)
    by_state = certificate.marginal_return.groupby(certificate.state.rename("state"))
    returns = {state: values.to_numpy() for state, values in by_state}
    assert ("locked" in returns) == bounded
    tolerance = 2.01e-9 * float(np.abs(certificate.marginal_return).max())
    at_most = np.max(returns.get("at lower bound", -np.inf))
    least = np.min(returns.get("at upper bound", np.inf))
    inside = returns.get("interior", np.array([certificate.shadow_price]))
    assert np.ptp(inside) <= tolerance
    assert at_most - inside.max() <= tolerance
    assert inside.min() - least <= tolerance


@pytest.mark.parametrize("name", ["logistic", "linear", "s-shaped", "log link", "groups"])
def test_no_other_plan_brings_more(make_fit, name):
    fit, plan = make_fit(name), usual_plan(name)
    rng = np.random.default_rng(0)
    random = [rng.dirichlet(np.full(4, size)) for size in (0.2, 1.0, 5.0, 50.0) for _ in range(50)]
    as_before = fit.panel.spend[:, -HORIZON:].sum(axis=1) / usual_total(fit)
    others = of_shares(fit, np.stack([as_before, np.full(4, 0.25), *random]))
    best = float(plan.response.mean())
    assert best >= others.max() * (1 - 1e-12)
    assert best > others[0]


def test_the_best_of_many_local_optima_is_found(make_fit):
    """An S-shaped market against all plans in steps of a twentieth."""
    plan = usual_plan("s-shaped")
    shares = np.array([share for share in product(range(21), repeat=4) if sum(share) == 20]) / 20
    assert plan.certificate.start_spread > 1e-3
    assert float(plan.response.mean()) >= of_shares(make_fit("s-shaped"), shares).max()
    assert float(plan.response.mean()) == pytest.approx(max(plan.certificate.start_values), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "residuals", "kept"),
    [
        ([1.0, 3.0, 2.0], [0.0, 0.0, 0.0], 1),
        ([1.0, 3.0, 2.0], [0.0, 0.5, 0.0], 1),
        ([3.0, 3.0 + 1e-12, 3.0 - 1e-12], [1e-8, 1e-8, 1e-10], 2),
        ([np.nan, 3.0, np.inf, -np.inf], [0.0, 0.5, 0.0, 0.0], 1),
        ([-3.0, -2.0, -2.0], [0.0, np.nan, 0.1], 2),
        ([np.nan, np.nan], [np.nan, np.nan], 0),
    ],
)
def test_of_equal_runs_the_one_that_is_closest_to_an_optimum_is_kept(values, residuals, kept):
    count = len(values)
    runs = Solution(
        point=np.zeros((count, 1)),
        value=np.array(values),
        unmet=np.zeros(count),
        prices=np.zeros((count, 0)),
        residual=np.array(residuals),
        iterations=np.arange(count),
        stalled=np.zeros(count, bool),
    )
    assert _best(runs).iterations == kept


@pytest.mark.parametrize("name", CONCAVE)
@pytest.mark.parametrize("factor", [0.05, 1.0, 50.0])
def test_all_starts_lead_to_the_one_optimum_of_a_concave_market(make_fit, name, factor):
    fit = make_fit(name)
    plan = optimize(fit, total=factor * usual_total(fit))
    assert plan.certificate.optimal
    assert plan.certificate.start_spread < 1e-9


def test_no_channel_is_left_at_zero_where_its_first_unit_brings_most(make_fit):
    """A root is infinitely steep at 0, where its derivative is set to 0: an optimum must not be read from that."""
    plan = optimize(make_fit("root"), total=50 * usual_total(make_fit("root")))
    assert (plan.spend > 0).all()
    assert set(plan.certificate.state.values) == {"interior"}


@pytest.mark.parametrize("name", ["logistic", "root", "log link"])
def test_marginal_returns_are_finite_differences_in_currency(make_fit, name):
    plan = usual_plan(name)
    for channel in make_fit(name).panel.channels:
        now = plan.spend.sel(channel=channel)
        step = 1e-3 * max(float(now.sum()), 1e-3 * plan.total)
        change = xr.where(plan.spend["channel"] == channel, step / HORIZON, 0.0)
        if float(now.sum()) < step:
            found = (mean_response(plan, plan.spend + 1e-3 * change) - mean_response(plan, plan.spend)) / (1e-3 * step)
            tolerance = 1e-4
        else:
            found = (mean_response(plan, plan.spend + change) - mean_response(plan, plan.spend - change)) / (2 * step)
            tolerance = 3e-6
        assert float(plan.certificate.marginal_return.sel(channel=channel)) == pytest.approx(found, rel=tolerance)


@pytest.mark.parametrize("bounded", [False, True], ids=["free", "bounded"])
@pytest.mark.parametrize("name", ["logistic", "linear", "log link"])
def test_shadow_price_is_what_one_more_unit_of_the_total_brings(make_fit, name, bounded):
    fit = make_fit(name)
    total, step = usual_total(fit), 1e-4 * usual_total(fit)
    bounds = tight(total) if bounded else None
    less, plan, more = (optimize(fit, total=amount, bounds=bounds) for amount in (total - step, total, total + step))
    gain = float((more.response - less.response).mean()) / (2 * step)
    assert plan.certificate.shadow_price == pytest.approx(gain, rel=1e-5)
    assert plan.certificate.shadow_price > 0


@pytest.mark.parametrize("name", ["logistic", "s-shaped", "log link"])
def test_more_money_never_brings_less(make_fit, name):
    fit = make_fit(name)
    found = [float(optimize(fit, total=factor * usual_total(fit)).response.mean()) for factor in (0.1, 0.5, 1, 2, 10)]
    assert np.all(np.diff(found) > 0)


@pytest.mark.smoke
def test_numbers_per_period_are_those_of_the_horizon_over_its_length(make_fit):
    fit, total = make_fit("logistic"), usual_total(make_fit("logistic"))
    bounds = tight(total)
    whole = optimize(fit, total=total, bounds=bounds)
    scaled = {channel: (low / HORIZON, high / HORIZON) for channel, (low, high) in bounds.items()}
    per_period = optimize(fit, total=total / HORIZON, bounds=scaled, per="period")
    xr.testing.assert_allclose(per_period.spend, whole.spend, rtol=1e-9)
    xr.testing.assert_allclose(per_period.upper, whole.upper, rtol=1e-12)
    assert per_period.certificate.shadow_price == pytest.approx(whole.certificate.shadow_price, rel=1e-9)


def test_locked_channels_stay_where_they_are(make_fit):
    fit = make_fit("logistic")
    held = {FIRST: (1e6, 1e6), FOURTH: (0.0, 0.0)}
    plan = optimize(fit, bounds=held)
    spend = plan.spend.sum("date")
    assert float(spend.sel(channel=FIRST)) == pytest.approx(1e6, rel=1e-15)
    assert float(spend.sel(channel=FOURTH)) == 0.0
    assert plan.certificate.state.sel(channel=[FIRST, FOURTH]).values.tolist() == ["locked", "locked"]
    assert plan.certificate.optimal


def test_everything_locked_is_a_plan_as_well(make_fit):
    fit = make_fit("logistic")
    shares = dict(zip(fit.panel.channels, [0.1, 0.2, 0.3, 0.4], strict=True))
    plan = optimize(fit, total=10.0, bounds={channel: (10 * share, 10 * share) for channel, share in shares.items()})
    np.testing.assert_allclose(plan.spend.sum("date"), [1.0, 2.0, 3.0, 4.0], rtol=1e-14)
    assert plan.certificate.optimal
    assert plan.certificate.kkt_residual == 0
    assert set(plan.certificate.state.values) == {"locked"}


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_bounds_that_add_up_to_the_total_leave_one_plan(make_fit, side):
    """Last year's spend as the least or the most of each channel; its floats add up but for rounding."""
    fit = make_fit("logistic")
    for seed in range(10):
        amounts = np.random.default_rng(seed).lognormal(12, 1, 4)
        boxes = [(amount, 1e9) if side == "lower" else (0.0, amount) for amount in amounts]
        plan = optimize(fit, total=float(sum(amounts[::-1])), bounds=dict(zip(fit.panel.channels, boxes, strict=True)))
        np.testing.assert_allclose(plan.spend.sum("date"), amounts, rtol=1e-12)
        assert plan.certificate.optimal


def test_bounds_are_met_to_the_last_digit(make_fit):
    fit, total = make_fit("logistic"), usual_total(make_fit("logistic"))
    plan = optimize(fit, bounds=tight(total))
    levels = plan.spend.mean("date") * HORIZON
    assert float(levels.sel(channel=FIRST)) == pytest.approx(0.3 * total, rel=1e-15)
    assert float(levels.sel(channel=SECOND)) == pytest.approx(0.05 * total, rel=1e-15)
    assert plan.certificate.state.values.tolist() == ["at lower bound", "at upper bound", "locked", "interior"]


def test_a_single_channel_gets_everything(make_fit):
    fit = make_fit("logistic", channels=1)
    plan = optimize(fit)
    np.testing.assert_allclose(plan.spend, usual_total(fit) / HORIZON, rtol=1e-12)
    assert plan.certificate.optimal
    assert plan.certificate.state.values.tolist() == ["interior"]
    assert plan.certificate.shadow_price == pytest.approx(plan.certificate.marginal_return.item(), rel=1e-12)
    assert plan.certificate.shadow_price > 0


def test_a_profile_keeps_its_shape(make_fit, rows):
    fit = make_fit("logistic")
    shape = np.random.default_rng(0).integers(0, 4, (4, HORIZON)).astype(float)
    plan = optimize(fit, profile=dict(zip(rows.channels, shape, strict=True)))
    spend = plan.spend.transpose("channel", "date").to_numpy()
    expected = spend.sum(axis=1, keepdims=True) * shape / shape.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(spend, expected, rtol=1e-12)
    assert plan.total == pytest.approx(usual_total(fit), rel=1e-9)
    assert plan.certificate.optimal
    assert float(plan.response.mean()) == pytest.approx(plan.certificate.start_values[0], rel=1e-9)


def test_a_turned_panel_gives_the_same_plan(make_fit, rows):
    """Names decide, not places: of the panel's channels and of the profile."""
    fit = make_fit("logistic")
    profile = dict(zip(rows.channels, np.random.default_rng(0).uniform(size=(4, HORIZON)), strict=True))
    turned = replace(rows, spend=rows.spend[::-1], channels=rows.channels[::-1])
    plans = [optimize(fit, horizon=horizon, profile=profile) for horizon in (rows, turned)]
    xr.testing.assert_identical(plans[0].spend, plans[1].spend)


def test_dates_number_and_panel_give_the_same_plan(make_fit, rows):
    fit = make_fit("logistic")
    for horizon in (rows.dates, HORIZON):
        xr.testing.assert_identical(optimize(fit, horizon=horizon).spend, usual_plan("logistic").spend)


def test_the_training_rows_are_the_history_unless_another_is_given(make_fit):
    fit = make_fit("logistic")
    given = optimize(fit, horizon=HORIZON, history=fit.panel)
    xr.testing.assert_identical(given.spend, usual_plan("logistic").spend)
    later = optimize(fit, horizon=HORIZON, history=planned_rows())
    assert later.spend["date"].values[0] == usual_plan("logistic").spend["date"].values[-1] + np.timedelta64(7, "D")


def test_what_was_spent_before_changes_the_plan_unless_left_out(make_fit):
    fit = make_fit("logistic")
    assert not np.allclose(optimize(fit, carry_in=False).spend, usual_plan("logistic").spend, rtol=1e-6)


@pytest.mark.parametrize("name", ["logistic", "s-shaped"])
def test_the_same_key_gives_the_same_plan(make_fit, name):
    again = optimize(make_fit(name))
    xr.testing.assert_identical(again.spend, usual_plan(name).spend)
    xr.testing.assert_identical(again.response, usual_plan(name).response)
    assert again.certificate.start_values == usual_plan(name).certificate.start_values


def test_another_key_changes_the_starts_alone(make_fit):
    other, usual = optimize(make_fit("logistic"), key=1), usual_plan("logistic")
    xr.testing.assert_allclose(other.spend, usual.spend, rtol=1e-6, atol=1.0)
    as_key = optimize(make_fit("logistic"), key=jax.random.key(1))
    assert as_key.certificate.start_values == other.certificate.start_values


@pytest.mark.parametrize("count", [1, 9])
def test_as_many_starts_as_asked_for(make_fit, count):
    plan = optimize(make_fit("logistic"), num_starts=count)
    assert len(plan.certificate.start_values) == count
    assert plan.certificate.optimal


def test_a_single_precision_fit_is_planned_in_double_precision(make_fit):
    """As if its draws had been double all along; JAX's own setting stays as it was."""
    single = {name: values.astype(np.float32) for name, values in make_fit("logistic").draws.items()}
    plan = optimize(replace(make_fit("logistic"), draws=single, precision="float32"))
    assert plan.response.dtype == plan.spend.dtype == np.float64
    assert plan.certificate.optimal
    assert not jax.config.jax_enable_x64
    double = {name: values.astype(float) for name, values in single.items()}
    xr.testing.assert_identical(plan.spend, optimize(replace(make_fit("logistic"), draws=double)).spend)
    xr.testing.assert_identical(plan.respond(plan.spend)["total"], plan.response)


def test_another_objective_is_maximised_and_its_numbers_do_not_compile_anew(make_fit):
    traced = []

    class Cautious(AbstractObjective):
        """Mean less two standard deviations."""

        def __call__(self, responses, spend, temperature=None):
            traced.append(None)
            return responses.mean() - 2.0 * responses.std()

    def cautious(plan):
        return float(plan.response.mean() - 2.0 * plan.response.std())

    fit = make_fit("logistic")
    plan = optimize(fit, objective=Cautious())
    first = len(traced)
    assert plan.certificate.optimal
    assert cautious(plan) == pytest.approx(max(plan.certificate.start_values), rel=1e-9)
    assert cautious(plan) > cautious(usual_plan("logistic"))
    optimize(make_fit("logistic", seed=1), total=2e6, bounds=tight(2e6), objective=Cautious())
    assert len(traced) == first > 0


def test_draws_that_are_not_finite_are_never_called_optimal(make_fit):
    fit = make_fit("logistic")
    broken = fit.draws | {"saturation_beta": np.where(np.arange(5)[:, None] == 3, np.nan, fit.draws["saturation_beta"])}
    plan = optimize(replace(fit, draws=broken))
    assert plan.certificate.outcome is Outcome.STALLED
    assert not plan.certificate.optimal
    assert "NOT optimal (stalled)" in repr(plan)


def test_bounds_without_an_amount_reach_to_the_total(make_fit):
    plan = usual_plan("logistic")
    np.testing.assert_array_equal(plan.lower, np.zeros(4))
    np.testing.assert_array_equal(plan.upper, np.full(4, usual_total(make_fit("logistic"))))


DATES = planned_rows().dates


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ({"bounds": {"Cinema": (0, 1)}}, PlanError, "names the channel 'Cinema'"),
        ({"bounds": {FIRST: (-1, 1)}}, PlanError, "must be finite and at least 0"),
        ({"bounds": {FIRST: (0, np.nan)}}, PlanError, "must be finite and at least 0"),
        ({"bounds": {FIRST: (0, np.inf)}}, PlanError, "must be finite and at least 0"),
        ({"bounds": {FIRST: (2, 1)}}, InfeasibleError, r"lower bound of 'Direct Mail', 2\.00, is above its upper"),
        ({"total": 10.0, "bounds": {FIRST: (15, 20)}}, InfeasibleError, r"is 5\.00 more than the total of 10\.00"),
        (
            {"total": 10.0, "bounds": dict.fromkeys(planned_rows().channels, (0, 1))},
            InfeasibleError,
            r"is 6\.00 less than the total of 10\.00",
        ),
        ({"total": 0.0}, PlanError, "positive number, got 0"),
        ({"total": -5.0}, PlanError, "positive number, got -5"),
        ({"total": np.nan}, PlanError, "positive number, got nan"),
        ({"per": "week"}, PlanError, "`per` must be 'horizon' or 'period', got 'week'"),
        ({"num_starts": 0}, PlanError, "`num_starts` must be at least 1, got 0"),
        ({"horizon": []}, PlanError, "at least one date"),
        ({"horizon": DATES[::-1]}, PlanError, "increasing"),
        ({"horizon": DATES[[0, 1, 3]]}, PlanError, "1 weekly rows are missing"),
        (
            {"horizon": np.arange(DATES[0], DATES[0] + np.timedelta64(3, "D"))},
            PlanError,
            "must be weekly, as the fit's; they are daily",
        ),
        ({"horizon": DATES[1:]}, PredictionError, "rows are missing"),
        ({"horizon": DATES - np.timedelta64(7, "D")}, PredictionError, "are known already"),
        ({"profile": {FIRST: np.ones(HORIZON)}}, PlanError, "lacks the channel 'Insert'"),
        ({"key": "lucky"}, TypeError, "`key` must be an integer or a JAX random key"),
    ],
)
def test_problems_that_are_not_well_posed_say_why(make_fit, statement, error, message):
    with pytest.raises(error, match=message):
        optimize(make_fit("logistic"), **statement)


def test_a_log_link_with_controls_cannot_be_planned_by_dates(make_fit):
    with pytest.raises(PlanError, match="Pass `horizon=` as a Panel that holds them"):
        optimize(make_fit("log link"), horizon=DATES)


def test_a_gap_before_the_horizon_may_be_declared_empty(make_fit):
    assert optimize(make_fit("logistic"), horizon=DATES[1:], carry_in=False).certificate.optimal
