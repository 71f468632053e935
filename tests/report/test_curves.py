"""Curves between a few levels against the model itself."""

from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
from planning.fits import fit_from_prior, over_horizon, planned_rows, usual_total
from report.plans import ADDITIVE, MULTIPLIED, RootPlan, plan_of

import mmm_jax as mj
from mmm_jax.errors import PlanError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.report import effects
from mmm_jax.report.curves import Curves, slopes
from mmm_jax.report.effects import by_channel, flat
from mmm_jax.report.levels import page_levels

DRAWS = np.arange(10)
TOLERANCES = {"root": 0.2, "hill": 0.05, "log link": 3e-4, "log link, saturation first": 3e-4}
"""In parts of the largest draw's response: prior draws of roots and slopes near 0 are all but steps."""


@cache
def levels_of(name, knots):
    return page_levels(plan_of(name), reference=None, knots=knots)


@cache
def curves_of(name, levels):
    if name in ADDITIVE:
        return effects.added_curves(plan_of(name), levels, DRAWS)
    return effects.multiplied_curves(plan_of(name), levels, DRAWS)


def knots_of(name):
    return effects.KNOTS if name in ADDITIVE else effects.KNOTS_OF_PERIODS


@pytest.mark.parametrize("name", ADDITIVE + MULTIPLIED)
def test_interpolation_errs_about_as_much_as_the_page_says(name):
    plan, levels = plan_of(name), levels_of(name, knots_of(name))
    curves = curves_of(name, levels)
    said = effects.interpolation_error(plan, levels, curves, DRAWS)
    generator = np.random.default_rng(0)
    errors = []
    for positions in [*generator.uniform(size=(12, 4)), *generator.uniform(size=(4, 4)) ** 3]:
        exact = plan.respond(levels.spend_at(positions))["total"]
        errors.append(np.abs(curves.at(positions).total - flat(exact)).max())
    size = np.abs(flat(plan.response)).max()
    assert max(errors) <= 3 * said + 1e-6 * size
    assert max(errors) <= TOLERANCES.get(name, 1e-4) * size


@pytest.mark.parametrize("name", ADDITIVE + MULTIPLIED)
def test_curves_give_the_plan_itself(name):
    plan, levels = plan_of(name), levels_of(name, knots_of(name))
    found = curves_of(name, levels).at(levels.position(levels.plan))
    size = np.abs(flat(plan.response)).max()
    np.testing.assert_allclose(found.total, flat(plan.response), rtol=1e-5, atol=1e-6 * size)
    np.testing.assert_allclose(found.by_channel, by_channel(plan.channel_response), rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("name", MULTIPLIED)
def test_periods_of_equal_effects_are_shipped_once(name):
    curves = curves_of(name, levels_of(name, 8))
    # With spend that is the same on all dates, only the first l_max - 1 of 13 weeks differ, by what they carry over.
    assert curves.effects.shape[2] == 4
    with precision_scope("float64"):
        model, draws = over_horizon(fit_from_prior(name))
        expected = sum(
            effects.expected_baseline(model, {key: values[0] for key, values in draws.items()}), start=jnp.zeros(())
        )
    np.testing.assert_allclose(curves.baseline[0].sum(), expected, rtol=1e-6)


def test_only_models_whose_channels_add_up_are_added_up():
    for name in ADDITIVE:
        assert effects.adds_up(plan_of(name), levels_of(name, 8))
    for name in MULTIPLIED:
        assert not effects.adds_up(plan_of(name), levels_of(name, 8))


def test_cubics_hit_their_knots_keep_straight_lines_and_turn_nowhere():
    generator = np.random.default_rng(0)
    knots = np.cumsum(generator.uniform(0.1, 1.0, 12))
    steps = generator.gamma(0.3, size=(50, 11))
    values = np.concatenate([np.zeros((50, 1)), np.cumsum(steps, axis=1)], axis=1)
    curves = Curves((knots - knots[0])[None] / np.ptp(knots), values[None, :, None])
    dense = np.stack([curves.at(np.array([place])).total for place in np.linspace(0, 1, 500)], axis=1)
    assert (np.diff(dense, axis=1) >= -1e-12).all()
    at_knots = np.stack([curves.at(curves.positions[:, knot]).total for knot in range(12)], axis=1)
    np.testing.assert_allclose(at_knots, values, atol=1e-12)
    np.testing.assert_allclose(slopes(knots, 3 * knots + 1), 3.0)
    np.testing.assert_allclose(slopes(np.arange(5.0), np.arange(5.0) ** 2), [0, 2, 4, 6, 8], atol=1e-12)


def test_draws_are_spread_evenly_and_no_more_than_there_are():
    np.testing.assert_array_equal(effects.thinned(10, 4), [0, 3, 6, 9])
    np.testing.assert_array_equal(effects.thinned(3, 400), [0, 1, 2])


def test_many_channels_and_periods_leave_room_for_fewer_draws():
    curves = Curves(np.tile(np.linspace(0, 1, 17), (10, 1)), np.zeros((10, 400, 8, 17), np.float32))
    assert len(effects.fitting(curves)) == effects.MOST_VALUES // (10 * 8 * 17)
    large = replace(curves, effects=np.zeros((10, 200, 52, 17), np.float32))
    assert len(effects.fitting(large)) == effects.FEWEST_DRAWS
    assert curves.take(effects.fitting(curves)).num_draws == len(effects.fitting(curves))


def test_a_plan_by_geo_is_summed_over_the_geos():
    plan, whole = RootPlan(geos=3), RootPlan()
    levels = page_levels(plan, reference=None, knots=12)
    found = effects.added_curves(plan, levels, np.arange(20)).at(levels.position(levels.plan))
    np.testing.assert_allclose(found.by_channel, by_channel(whole.channel_response) * np.sqrt(3), rtol=1e-6)


def test_geos_of_a_log_link_are_periods_of_their_own():
    fits = {"north": fit_from_prior("log link"), "south": fit_from_prior("log link", seed=1)}
    rows = dict.fromkeys(fits, planned_rows())
    plan = mj.optimize_budget(fits, horizon=rows, total=usual_total(fits["north"]), num_starts=1)
    levels = page_levels(plan, reference=None, knots=20)
    curves = effects.multiplied_curves(plan, levels, DRAWS)
    assert curves.effects.shape[2] == 2 * 4
    effects.check_against(plan, levels, curves, DRAWS)
    found = curves.at(levels.position(levels.plan)).by_channel
    np.testing.assert_allclose(found, by_channel(plan.channel_response), rtol=1e-4, atol=1e-6 * found.max())


def test_curves_that_are_not_the_plans_are_refused():
    levels, curves = levels_of("log link", 8), curves_of("log link", levels_of("log link", 8))
    other = replace(curves, baseline=1.001 * curves.baseline)
    with pytest.raises(PlanError, match="do not give the plan's response"):
        effects.check_against(plan_of("log link"), levels, other, DRAWS)
