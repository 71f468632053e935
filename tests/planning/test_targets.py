"""Targets as functions of the responses: what the solver sees, and what people are told."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmm_jax as mj
from mmm_jax.errors import PlanError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.targets import LeastGain

RIVAL = np.random.default_rng(0).normal(10.0, 2.0, 50)


@given(seed=st.integers(0, 10_000), probability=st.floats(0.02, 1.0), level=st.floats(8.0, 14.0))
def test_the_least_gain_is_positive_where_the_probability_is_reached(seed, probability, level):
    responses = np.random.default_rng(seed).normal(level, 2.0, len(RIVAL))
    with precision_scope("float64"):
        measure = LeastGain(RIVAL, probability)
        gain = float(measure(jnp.asarray(responses), jnp.zeros(()), None))
        reached = float(measure.reached(jnp.asarray(responses), jnp.zeros(())))
    assert reached == pytest.approx((responses > RIVAL).mean(), rel=1e-12)
    assert (gain > 0) == (reached >= probability - 1e-9)


@pytest.mark.parametrize("probability", [0.3, 0.9, 1.0])
def test_as_much_in_every_draw_is_not_more(float64, probability):
    assert LeastGain(RIVAL, probability)(jnp.asarray(RIVAL), jnp.zeros(()), None) < 0


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.97])
def test_the_smooth_gain_meets_the_exact_one_as_it_cools(float64, probability):
    responses = jnp.asarray(np.random.default_rng(1).normal(11.0, 2.0, len(RIVAL)))
    measure, gains = LeastGain(RIVAL, probability), np.sort(np.asarray(responses) - RIVAL)
    exact, smooth = (float(measure(responses, jnp.zeros(()), warmth)) for warmth in (None, jnp.asarray(1e-5)))
    # A quantile between two draws is anything between them.
    assert abs(smooth - exact) <= np.diff(gains).max() + 1e-4


@pytest.mark.parametrize("at_least", [0.0, 1.01, -1.0])
@pytest.mark.parametrize("objective", [mj.ProbabilityToBeat(RIVAL), mj.Profit(2.0, of=mj.ProbabilityToBeat(RIVAL))])
def test_a_floor_of_a_probability_is_one(objective, at_least):
    with pytest.raises(PlanError, match="must lie above 0 and be at most 1"):
        mj.RiskFloor(objective, at_least)


def test_a_probable_profit_is_told_as_a_probability(float64):
    floor = mj.RiskFloor(mj.Profit(2.0, of=mj.ProbabilityToBeat(5.0)), 0.6)
    requirement = floor.requirement(None, None, additive=True)
    responses, amounts = jnp.linspace(0.0, 10.0, 11), jnp.asarray([1.0, 2.0])
    assert requirement.reached(amounts, responses) == pytest.approx(6 / 11)  # 2 * response - 3 > 5
    assert requirement.measure(responses, amounts.sum(), None) < 0
    less = mj.RiskFloor(mj.Profit(2.0, of=mj.ProbabilityToBeat(5.0)), 0.5).requirement(None, None, additive=True)
    assert less.measure(responses, amounts.sum(), None) == pytest.approx(2.0)


def test_magnitudes_are_in_the_unit_of_the_values(float64):
    response = jnp.asarray(1e9)
    assert mj.ProbabilityToBeat(RIVAL).magnitude(response) == mj.Sharpe().magnitude(response) == 1
    assert mj.CVaR(0.1).magnitude(response) == 1e9
    assert mj.Profit(0.5).magnitude(response) == 5e8
    assert mj.Profit(0.5, of=mj.ProbabilityToBeat(3.0)).magnitude(response) == 1
