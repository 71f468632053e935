"""Fast responses and their derivatives by hand: equal to the reference in `response` and to automatic differentiation."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planning.fits import COUPLED, HORIZON, SPECS, fit_from_prior, over_horizon

from mmm_jax.planning.cells import CellResponse
from mmm_jax.planning.decided import DecidedResponse
from mmm_jax.planning.levels import LevelResponse, horizon_windows
from mmm_jax.planning.prices import Price, Rates
from mmm_jax.planning.response import plan_response

pytestmark = pytest.mark.usefixtures("float64")

CHANNELS, DRAWS = 4, 10


class Derived(NamedTuple):
    """Response, Jacobian and curvature of a weighted sum: by hand, and by automatic differentiation."""

    by_hand: tuple
    reference: tuple


@eqx.filter_jit
def derived(response, planned, weights):
    at = response.expand(planned)
    by_hand = at.responses, at.jacobian, response.curvature(at, weights)
    reference = response(planned), jax.jacrev(response)(planned), jax.hessian(lambda x: response(x) @ weights)(planned)
    return Derived(by_hand, reference)


@eqx.filter_jit
def per_draw(model, draws, planned):
    return jax.vmap(lambda draw: plan_response(model, draw, planned)["total"])(draws)


def assert_alike(found, tolerance=1e-9):
    for by_hand, reference in zip(*found, strict=True):
        size = np.abs(reference).max() + 1e-300
        np.testing.assert_allclose(by_hand / size, reference / size, atol=tolerance)


def some_numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.1, 1.5, shape))


def some_weights(seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=DRAWS))


ONE_OF_TWO = jnp.asarray([1.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize("name", SPECS | COUPLED)
def test_cells(name):
    """Against the reference; for all channels, and for some alone, as the others' plan of nothing."""
    model, draws = over_horizon(fit_from_prior(name))
    planned, weights = some_numbers(CHANNELS, HORIZON), some_weights()
    response = eqx.filter_jit(CellResponse.build)(model, draws)
    every = derived(response, planned, weights)
    np.testing.assert_allclose(every.by_hand[0], per_draw(model, draws, planned), rtol=1e-10)
    assert_alike(every)
    alone = derived(response.only(ONE_OF_TWO), planned, weights)
    assert_alike(alone)
    np.testing.assert_allclose(alone.by_hand[0], per_draw(model, draws, planned * ONE_OF_TWO[:, None]), rtol=1e-10)
    np.testing.assert_array_equal(np.asarray(alone.by_hand[1])[:, 1::2], 0.0)


@pytest.mark.parametrize("name", SPECS)
def test_levels(name):
    """Against the reference, for an uneven profile; for all channels, and for some alone."""
    model, draws = over_horizon(fit_from_prior(name))
    profile = np.random.default_rng(2).uniform(0.5, 1.5, (CHANNELS, HORIZON))
    levels, weights = some_numbers(CHANNELS, seed=3), some_weights()
    response = eqx.filter_jit(LevelResponse.build)(model, draws, horizon_windows(model, profile))
    every = derived(response, levels, weights)
    np.testing.assert_allclose(every.by_hand[0], per_draw(model, draws, levels[:, None] * profile), rtol=1e-10)
    assert_alike(every)
    alone = derived(response.only(ONE_OF_TWO), levels, weights)
    assert_alike(alone)
    planned = (levels * ONE_OF_TWO)[:, None] * profile
    np.testing.assert_allclose(alone.by_hand[0], per_draw(model, draws, planned), rtol=1e-10)


@pytest.mark.parametrize("name", ["logistic", "log link"])
def test_nothing_planned_brings_nothing_and_keeps_its_slope(name):
    model, draws = over_horizon(fit_from_prior(name))
    response = eqx.filter_jit(CellResponse.build)(model, draws)
    found = derived(response, jnp.zeros((CHANNELS, HORIZON)), some_weights())
    np.testing.assert_allclose(found.by_hand[0], 0.0, atol=1e-9)
    assert_alike(found)
    assert np.all(np.asarray(found.by_hand[1]) > 0)


def test_equal_periods_counted_are_all_periods_summed():
    model, draws = over_horizon(fit_from_prior())
    flat, levels, weights = np.ones((CHANNELS, HORIZON)), some_numbers(CHANNELS), some_weights()
    found = []
    for distinct in (True, False):
        windows = horizon_windows(model, flat, distinct=distinct)
        found.append(eqx.filter_jit(LevelResponse.build)(model, draws, windows))
    assert found[0].parts[0].plan.shape[2] < found[1].parts[0].plan.shape[2]
    few, all_ = (derived(response, levels, weights) for response in found)
    for one, other in zip(few.by_hand, all_.by_hand, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("name", ["logistic, saturation first", "log link"])
def test_a_level_is_worth_what_its_dates_are_together(name):
    """By the chain rule: a level moves all of its dates."""
    model, draws = over_horizon(fit_from_prior(name))
    profile = np.random.default_rng(2).uniform(0.5, 1.5, (CHANNELS, HORIZON))
    levels, weights = some_numbers(CHANNELS, seed=3), some_weights()
    response = eqx.filter_jit(LevelResponse.build)(model, draws, horizon_windows(model, profile))
    by_level = derived(response, levels, weights).by_hand
    cells = eqx.filter_jit(CellResponse.build)(model, draws)
    by_cell = derived(cells, levels[:, None] * profile, weights).by_hand
    np.testing.assert_allclose(by_level[1], np.einsum("sct,ct->sc", by_cell[1], profile), rtol=1e-9)
    curved = np.einsum("citj,ci,tj->ct", by_cell[2], profile, profile)
    np.testing.assert_allclose(by_level[2], curved, rtol=1e-8, atol=1e-9 * np.abs(curved).max())


def stacked(parts):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)


RISING = {"cost": 2.0, "rise": 0.7, "base": 300.0}


def decided(kind, name="logistic"):
    """A response to numbers, its numbers' count, and the media of each geo that they stand for.

    Kinds: levels by channel and geo; by channel alone, over dates and geos; by date with prices that rise; the same in one
    market, where every cell has its own number.
    """
    geos = 1 if kind == "identity" else 2
    models, draws = zip(*(over_horizon(fit_from_prior(name, seed=seed)) for seed in range(geos)), strict=True)
    rng = np.random.default_rng(4)
    if kind == "levels":
        profile = rng.uniform(0.5, 1.5, (geos, CHANNELS, HORIZON))
        windows = [horizon_windows(model, one, distinct=False) for model, one in zip(models, profile, strict=True)]
        parts = [LevelResponse.build(*part) for part in zip(models, draws, windows, strict=True)]
        index, ones = np.arange(geos * CHANNELS).reshape(geos, CHANNELS), np.ones((geos, CHANNELS))
        response = DecidedResponse(stacked(parts), None, jnp.asarray(index), jnp.asarray(ones), index.size, True)
        return response, models, draws, lambda amounts: amounts[index][..., None] * profile
    shape = (geos, CHANNELS, HORIZON)
    channels = [f"channel {number}" for number in range(CHANNELS)]
    # What is bought per date is of the order of 1 in scaled media.
    scales = rng.uniform(50.0, 200.0, (geos, CHANNELS))
    rates = Rates.build({channels[0]: Price(**RISING), channels[1]: Price(3.0)}, channels, HORIZON, scales)
    index = np.broadcast_to(np.arange(CHANNELS)[:, None], shape) if kind == "channel" else np.arange(np.prod(shape))
    index = index.reshape(shape)
    shares = rng.uniform(0.5, 1.5, shape) if kind == "channel" else np.ones(shape)
    if kind == "channel":
        shares = shares / shares.sum(axis=(0, 2), keepdims=True)
    count = int(index.max()) + 1
    laid_out = stacked([CellResponse.build(model, one) for model, one in zip(models, draws, strict=True)])
    parts = jax.tree.map(jnp.asarray, (rates, index, shares))
    response = DecidedResponse(laid_out, *parts, count, kind != "channel")
    return response, models, draws, lambda amounts: rates.media(shares * amounts[index])


@pytest.mark.parametrize("kind", ["levels", "channel", "date", "identity"])
def test_decided_numbers(kind):
    """Every number moves its cells of all geos, through the price of its media."""
    response, models, draws, media = decided(kind)
    spend = 1.0 if kind == "levels" else 150.0 * (2 * HORIZON if kind == "channel" else 1)
    amounts = spend * some_numbers(response.count, seed=5)
    weights = some_weights()
    found = derived(response, amounts, weights)
    assert_alike(found)
    expected = sum(per_draw(*part) for part in zip(models, draws, jnp.asarray(media(amounts)), strict=True))
    np.testing.assert_allclose(found.by_hand[0], expected, rtol=1e-10)


def test_decided_numbers_of_some_channels():
    response, models, draws, media = decided("channel")
    amounts = 1000.0 * some_numbers(CHANNELS, seed=5)
    alone = derived(response.only(ONE_OF_TWO), amounts, some_weights())
    assert_alike(alone)
    parts = zip(models, draws, jnp.asarray(media(amounts * ONE_OF_TWO)), strict=True)
    np.testing.assert_allclose(alone.by_hand[0], sum(per_draw(*part) for part in parts), rtol=1e-10)


def test_expansion_belongs_to_its_point():
    """Weights of draws come later than the point: curvature is linear in them."""
    model, draws = over_horizon(fit_from_prior())
    response = eqx.filter_jit(CellResponse.build)(model, draws)
    planned = some_numbers(CHANNELS, HORIZON)
    one, other = (derived(response, planned, some_weights(seed)).by_hand[2] for seed in (1, 2))
    both = derived(response, planned, 2.0 * some_weights(1) + some_weights(2)).by_hand[2]
    np.testing.assert_allclose(both, 2.0 * one + other, atol=1e-9 * np.abs(both).max())
