"""Objectives over the draws: exact values by naive counts, smooth versions that meet them as they cool, derivatives."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmm_jax.errors import PlanError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.objectives import (
    CVaR,
    MeanMinusSd,
    MeanResponse,
    ProbabilityToBeat,
    Profit,
    Quantile,
    Sharpe,
    smooth_quantile,
)

pytestmark = pytest.mark.usefixtures("float64")

DRAWS = 40
RIVAL = np.random.default_rng(9).normal(10.0, 1.0, DRAWS)
SPEND = 3.0

OBJECTIVES = {
    "mean": MeanResponse(),
    "mean less risk": MeanMinusSd(k=0.7),
    "sharpe": Sharpe(threshold=2.0),
    "quantile": Quantile(prob=0.25),
    "cvar": CVaR(prob=0.2),
    "cvar of all": CVaR(prob=1.0),
    "probability": ProbabilityToBeat(RIVAL),
    "probability of a threshold": ProbabilityToBeat(10.0),
    "profit": Profit(margin=2.5),
    "profit's cvar": Profit(margin=2.5, of=CVaR(prob=0.3)),
    "profit's probability": Profit(margin=2.5, of=ProbabilityToBeat(20.0)),
    "profit's risk": Profit(margin=2.5, of=MeanMinusSd(k=0.5)),
}
KINKED = [name for name, objective in OBJECTIVES.items() if objective.kinked]
CONCAVE = [name for name, objective in OBJECTIVES.items() if objective.concave]


def some_responses(seed=0, spread=2.0):
    return jnp.asarray(np.random.default_rng(seed).normal(10.0, spread, DRAWS))


@eqx.filter_jit
def value(objective, responses, spend=SPEND, temperature=None):
    return objective(responses, jnp.asarray(spend, float), temperature)


class Slopes(NamedTuple):
    """Value, slope and bend along a direction of responses and spend, and the value's gradient by the responses."""

    value: jax.Array
    slope: jax.Array
    bend: jax.Array
    gradient: jax.Array


@eqx.filter_jit
def slopes(objective, responses, way, temperature):
    """As the solver takes them: the gradient, and its change along a direction."""

    def of(at, spend):
        return objective(at, spend, temperature)

    spend, one = jnp.asarray(SPEND), jnp.asarray(1.0)
    (by_draw, by_spend), (change, across) = jax.jvp(jax.grad(of, (0, 1)), (responses, spend), (way, one))
    return Slopes(of(responses, spend), by_draw @ way + by_spend, change @ way + across, by_draw)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_derivatives_are_those_of_finite_differences(name):
    objective, responses, way = OBJECTIVES[name], some_responses(), some_responses(1) - 9.0
    warmth = jnp.asarray(0.8)

    def along(distance):
        # The same compiled program everywhere: spend moves with the responses.
        return float(value(objective, responses + distance * way, SPEND + distance, warmth))

    found, near = slopes(objective, responses, way, warmth), 1e-3
    before, at, after = along(-near), along(0.0), along(near)
    assert found.value == pytest.approx(at, rel=1e-13)
    fourth = (-along(2 * near) + 8 * after - 8 * before + along(-2 * near)) / (12 * near)
    np.testing.assert_allclose(found.slope, fourth, rtol=1e-8, atol=1e-9)
    bend = (-along(2 * near) + 16 * after - 30 * at + 16 * before - along(-2 * near)) / (12 * near**2)
    np.testing.assert_allclose(found.bend, bend, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_order_of_the_draws_is_of_no_account(name):
    objective, responses = OBJECTIVES[name], some_responses()
    order = np.random.default_rng(2).permutation(DRAWS)
    moved = jax.tree.map(lambda leaf: leaf[order] if np.shape(leaf) == (DRAWS,) else leaf, objective)
    for warmth in (None, jnp.asarray(0.5)):
        expected = value(objective, responses, SPEND, warmth)
        np.testing.assert_allclose(value(moved, responses[order], SPEND, warmth), expected, rtol=1e-12)


@pytest.mark.parametrize("name", KINKED)
def test_smooth_versions_meet_the_exact_one_as_they_cool(name):
    objective, responses = OBJECTIVES[name], some_responses()
    exact = value(objective, responses)
    off = [abs(float(value(objective, responses, SPEND, jnp.asarray(warmth)) - exact)) for warmth in (1.0, 0.1, 1e-5)]
    # A quantile between two draws is anything between them.
    between = np.diff(np.sort(responses)).max() if name == "quantile" else 0.0
    assert off[2] <= between + 1e-4
    assert off[2] <= off[0] + 1e-9


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in KINKED])
def test_smooth_objectives_know_no_temperature(name):
    responses = some_responses()
    expected = value(OBJECTIVES[name], responses)
    np.testing.assert_array_equal(value(OBJECTIVES[name], responses, SPEND, jnp.asarray(0.5)), expected)


@pytest.mark.parametrize("name", CONCAVE)
def test_concave_objectives_never_fall_and_lie_above_their_chords(name):
    objective = OBJECTIVES[name]
    for warmth in (None, jnp.asarray(0.5)):
        ends = some_responses(3, 4.0), some_responses(4, 4.0)
        values = [float(value(objective, end, SPEND, warmth)) for end in ends]
        for share in (0.2, 0.5, 0.9):
            middle = value(objective, share * ends[0] + (1 - share) * ends[1], SPEND, warmth)
            assert middle >= share * values[0] + (1 - share) * values[1] - 1e-9
        rise = jnp.abs(some_responses(5))
        assert value(objective, ends[0] + rise, SPEND, warmth) >= values[0]


@pytest.mark.parametrize("name", [name for name, objective in OBJECTIVES.items() if objective.linear])
def test_linear_objectives_weigh_all_draws_alike(name):
    responses, way = some_responses(), some_responses(1)
    found = slopes(OBJECTIVES[name], responses, way, jnp.asarray(0.5))
    np.testing.assert_allclose(found.gradient, found.gradient[0], rtol=1e-12)
    np.testing.assert_allclose(found.bend, 0.0, atol=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_profit_may_gain_from_less_spend(name):
    """Where more spend is free, a plan needs a total."""
    objective, responses = OBJECTIVES[name], some_responses()
    by_spend = value(objective, responses, SPEND + 1.0) - value(objective, responses)
    if objective.needs_total:
        np.testing.assert_array_equal(by_spend, 0.0)
    else:
        assert by_spend <= 0.0


def test_simple_values():
    responses = some_responses()
    mean, spread = np.mean(responses), np.std(responses)
    np.testing.assert_allclose(value(OBJECTIVES["mean"], responses), mean, rtol=1e-13)
    np.testing.assert_allclose(value(OBJECTIVES["mean less risk"], responses), mean - 0.7 * spread, rtol=1e-13)
    np.testing.assert_allclose(value(OBJECTIVES["sharpe"], responses), (mean - 2.0) / spread, rtol=1e-13)
    np.testing.assert_allclose(value(OBJECTIVES["quantile"], responses), np.quantile(responses, 0.25), rtol=1e-13)
    better = sum(ours > theirs for ours, theirs in zip(np.asarray(responses), RIVAL, strict=True))
    np.testing.assert_allclose(value(OBJECTIVES["probability"], responses), better / DRAWS, rtol=1e-13)
    np.testing.assert_allclose(value(OBJECTIVES["profit"], responses), 2.5 * mean - SPEND, rtol=1e-13)


def test_a_plan_never_beats_itself():
    """Also where the objective was made outside of double precision, as users make it."""
    responses = np.asarray(some_responses())
    with precision_scope("float32"):
        objective = ProbabilityToBeat(responses)
    assert value(objective, jnp.asarray(responses)) == 0.0
    # The same plan computed in another way differs in the last digits.
    assert value(objective, jnp.asarray(responses * (1 + 1e-12))) == 0.0
    assert value(objective, jnp.asarray(responses * (1 + 1e-6))) == 1.0


def worst_mean(responses, prob):
    """Mean of the worst share of the draws, the last of which counts in part."""
    left, total = prob * len(responses), 0.0
    for response in sorted(np.asarray(responses)):
        total += min(left, 1.0) * response
        left = max(left - 1.0, 0.0)
    return total / (prob * len(responses))


@pytest.mark.parametrize("prob", [0.01, 0.1, 0.2, 0.33, 0.5, 0.975, 1.0])
def test_cvar_is_the_mean_of_the_worst_draws(prob):
    """Also where the share is no whole number of draws, or less than one."""
    objective = CVaR(prob=jnp.asarray(prob)) if prob < 1 else CVaR(prob=jnp.asarray(1.0))
    np.testing.assert_allclose(value(objective, some_responses()), worst_mean(some_responses(), prob), rtol=1e-12)


@pytest.mark.parametrize("warmth", [3.0, 0.5, 0.01])
@pytest.mark.parametrize("prob", [0.05, 0.2, 0.7])
def test_smooth_cvar_lies_below_by_no_more_than_its_gap(prob, warmth):
    objective = CVaR(prob=jnp.asarray(prob))
    for seed in range(5):
        exact = float(value(objective, some_responses(seed)))
        smooth = float(value(objective, some_responses(seed), SPEND, jnp.asarray(warmth)))
        assert smooth <= exact + 1e-12
        assert exact <= smooth + objective.smoothing_gap(warmth) + 1e-12


def test_the_gap_of_profit_is_in_currency():
    objective, warmth = OBJECTIVES["profit's cvar"], 1.5
    assert objective.smoothing_gap(warmth) == pytest.approx(2.5 * objective.of.smoothing_gap(warmth))
    exact = float(value(objective, some_responses()))
    smooth = float(value(objective, some_responses(), SPEND, jnp.asarray(warmth)))
    assert smooth <= exact <= smooth + objective.smoothing_gap(warmth)


def test_gaps_without_a_bound_are_not_numbers():
    assert np.isnan(Quantile().smoothing_gap(1.0))
    assert np.isnan(Profit(margin=2.0, of=ProbabilityToBeat(1.0)).smoothing_gap(1.0))


@pytest.mark.parametrize("warmth", [None, 0.5])
def test_quantiles_and_tail_means_rise_with_their_probability(warmth):
    temperature = None if warmth is None else jnp.asarray(warmth)
    for kind in (Quantile, CVaR):
        found = [float(value(kind(prob=jnp.asarray(prob)), some_responses(), SPEND, temperature)) for prob in PROBS]
        assert np.all(np.diff(found) >= 0)


PROBS = (0.05, 0.1, 0.3, 0.5, 0.8, 0.95)

solved = jax.jit(smooth_quantile)


@settings(max_examples=30)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=DRAWS, max_size=DRAWS),
    st.floats(0.01, 0.99),
    st.floats(0.01, 100.0),
)
def test_smooth_quantile_solves_its_equation(values, prob, warmth):
    with precision_scope("float64"):
        level = float(solved(jnp.asarray(values), jnp.asarray(prob), jnp.asarray(warmth)))
    below = 0.5 * (1 + np.tanh((level - np.asarray(values)) / (2 * warmth)))
    # The level is known to rounding; the probability changes by 1 / (4 warmth) per unit of it at most.
    np.testing.assert_allclose(below.mean(), prob, atol=1e-11 + 1e-12 / warmth)


def test_draws_that_are_all_alike_have_no_risk_and_finite_slopes():
    alike, way = jnp.full(DRAWS, 5.0), some_responses(1)
    for name, expected in {"mean less risk": 5.0, "sharpe": 0.0, "cvar": 5.0, "quantile": 5.0}.items():
        np.testing.assert_allclose(value(OBJECTIVES[name], alike), expected, rtol=1e-12)
        found = slopes(OBJECTIVES[name], alike, way, jnp.asarray(0.8))
        assert np.all(np.isfinite(found.gradient))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeanMinusSd(k=-0.1), "`k` of MeanMinusSd must be at least 0, got -0.1"),
        (lambda: MeanMinusSd(k=np.inf), "`k` of MeanMinusSd"),
        (lambda: Quantile(prob=0.0), "`prob` of Quantile must lie between 0 and 1, got 0.0"),
        (lambda: Quantile(prob=1.0), "`prob` of Quantile"),
        (lambda: CVaR(prob=0.0), "`prob` of CVaR must lie above 0 and be at most 1, got 0.0"),
        (lambda: CVaR(prob=1.1), "`prob` of CVaR"),
        (lambda: CVaR(prob=np.nan), "`prob` of CVaR"),
        (lambda: Profit(margin=0.0), "`margin` must be positive, got 0.0"),
        (lambda: Profit(margin=np.nan), "`margin` must be positive"),
    ],
)
def test_numbers_without_meaning_are_refused(make, message):
    with pytest.raises(PlanError, match=message):
        make()
