"""Plans of channels with reach and frequency: money buys reach, at the frequency that the channel has."""

import equinox as eqx
import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest
import reached

import mmm_jax as mj
from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.reach import mean_frequency
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.cells import CellResponse
from mmm_jax.planning.curves import plan_curves
from mmm_jax.planning.horizon import horizon_panel
from mmm_jax.planning.levels import LevelResponse, horizon_windows
from mmm_jax.planning.response import plan_response

LATER = reached.panel(reached.table(kinds.WEEKS + kinds.HORIZON)).take(slice(kinds.WEEKS, None))
KINDS = ["logistic, saturation first", "log link", "log link, saturation first"]


def test_money_buys_reach_at_the_frequency_of_the_last_weeks():
    fit = reached.fit("s-shaped")
    rows = horizon_panel(fit, kinds.HORIZON)
    last = mean_frequency(fit.panel.exposure[:, -52:], fit.panel.average_frequency[:, -52:])
    np.testing.assert_allclose(rows.average_frequency[[0, 2]], last[[0, 2], None] * np.ones(kinds.HORIZON))
    assert not rows.average_frequency[1].any()
    stated = horizon_panel(fit, LATER)
    np.testing.assert_array_equal(stated.average_frequency, LATER.average_frequency)


@pytest.mark.parametrize("name", KINDS)
def test_fast_paths_are_the_models_own_response(name):
    """Value, Jacobian and curvature, by level and by cell, against the reference and its autodiff."""
    fit = reached.fit(name)
    with precision_scope("float64"):
        model = fit.model(horizon_panel(fit, LATER))
        draws = {n: jnp.asarray(v[:4]) for n, v in fit.flat_draws().items()}
        media = jax.random.uniform(jax.random.key(0), (3, kinds.HORIZON), minval=0.1, maxval=0.9)
        profile = np.asarray(media / media.mean(axis=1, keepdims=True))
        levels = jnp.array([0.4, 0.7, 0.2])
        naive = over_draws(plan_response, model, draws, media)["total"]
        cells = eqx.filter_jit(CellResponse.build)(model, draws)
        weights = jnp.array([0.1, 0.4, 0.2, 0.3])
        _check(cells, media, naive, weights)
        by_level = over_draws(plan_response, model, draws, levels[:, None] * profile)["total"]
        _check(eqx.filter_jit(LevelResponse.build)(model, draws, horizon_windows(model, profile)), levels, by_level, weights)


def _check(response, at, naive, weights) -> None:
    expansion = eqx.filter_jit(response.expand)(at)
    np.testing.assert_allclose(response(at), naive, rtol=1e-8)
    np.testing.assert_allclose(expansion.responses, naive, rtol=1e-8)
    jacobian = jax.jit(jax.jacobian(response))(at)
    np.testing.assert_allclose(expansion.jacobian, jacobian, rtol=1e-7, atol=1e-7 * np.abs(jacobian).max())
    hessian = jax.jit(jax.hessian(lambda x: weights @ response(x)))(at)
    found = eqx.filter_jit(response.curvature)(expansion, weights)
    np.testing.assert_allclose(found, hessian, rtol=1e-6, atol=1e-8 * max(1.0, float(np.abs(hessian).max())))
    alone = jnp.array([1.0, 0.0, 0.0])
    mask = alone[:, None] if at.ndim == 2 else alone
    np.testing.assert_allclose(response.only(alone)(at), response(at * mask), rtol=1e-8)


def test_flat_plans_count_periods_that_look_alike_once():
    fit = reached.fit("s-shaped")
    with precision_scope("float64"):
        model, draws = fit.model(horizon_panel(fit, 13)), {n: jnp.asarray(v) for n, v in fit.flat_draws().items()}
        few, all_of_them = (horizon_windows(model, np.ones((3, 13)), distinct=d) for d in (True, False))
        assert len(few.counts) < len(all_of_them.counts)
        found = [LevelResponse.build(model, draws, windows)(jnp.ones(3)) for windows in (few, all_of_them)]
    np.testing.assert_allclose(*found, rtol=1e-10)


@pytest.mark.parametrize("by", [("channel",), ("channel", "date")])
def test_a_response_that_is_linear_in_spend_is_planned_and_certified(by):
    """With reach alone, all money goes where the mean return is highest, up to the bound."""
    frame = reached.table().assign(radio_reach=lambda rows: rows["Radio"] / 3.0, radio_frequency=2.0)
    media = {"TV": "tv_grp", "Radio": "radio_reach"}
    frequency = {"TV": "tv_frequency", "Radio": "radio_frequency"}
    panel = reached.panel(frame, media=media, frequency=frequency, organic=[])
    fit = kinds.from_prior(panel, reached.fit("s-shaped").spec)
    bounds = {"TV": (0.0, 700.0), "Radio": (0.0, 700.0)}
    plan = mj.optimize_budget(fit, horizon=kinds.HORIZON, total=1000.0, bounds=bounds, by=by, num_starts=2)
    assert plan.certificate.optimal
    alone = [float(plan.respond(plan.spend * 0 + np.eye(2)[place] * 100.0)["total"].mean()) for place in (0, 1)]
    spent = plan.spend.sum("date").to_numpy()
    np.testing.assert_allclose(spent[int(np.argmax(alone))], 700.0, rtol=1e-4)
    np.testing.assert_allclose(spent.sum(), 1000.0)
    assert plan.problem.concave_curves
    curves = plan_curves(plan, [0.5, 1.0, 2.0])
    np.testing.assert_allclose(curves["response"].isel(multiplier=2), 2 * curves["response"].isel(multiplier=1), rtol=1e-8)


def test_geos_are_planned_at_their_own_frequency():
    fit = kinds.from_prior(reached.geo_panel(), reached.fit("logistic").spec)
    plan = mj.optimize_budget(fit, horizon=kinds.HORIZON, total=2000.0, by=("channel", "geo"), num_starts=1)
    assert plan.certificate.optimal
    rows = plan.problem.markets.rows
    assert rows["north"].average_frequency[0, 0] != rows["south"].average_frequency[0, 0]
    np.testing.assert_allclose(plan.respond(plan.spend)["total"], plan.response, rtol=1e-8)
