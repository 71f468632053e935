"""The media block's hand-written reverse-mode rule, against autodiff and against finite differences."""

from functools import cache

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies
from hypothesis import given

from mmm_jax.kernels.adstock import lagged
from mmm_jax.kernels.media import media_effects, media_total
from mmm_jax.model.components import SATURATIONS, LogisticSaturation, NoSaturation

CHANNELS, PERIODS, LAGS = 3, 8, 4
AUTODIFF = {"float32": 3e-5, "float64": 1e-12}
# Step and tolerance of central differences: the error is about step**2 + eps / step.
DIFFERENCE = {"float32": (1e-2, 3e-3), "float64": (1e-5, 1e-8)}

every_saturation = pytest.mark.parametrize("saturation", SATURATIONS, ids=lambda cls: cls.__name__)


def block(saturation: type, seed: int = 0) -> tuple:
    """Windows of positive spend, weights, parameters and a cotangent, all regular."""
    rng = np.random.default_rng(seed)
    windows = jnp.asarray(rng.uniform(0.2, 1.0, (CHANNELS, LAGS, PERIODS)))
    weights = jnp.asarray(rng.dirichlet(np.ones(LAGS), CHANNELS))
    parameters = tuple(jnp.asarray(rng.uniform(0.7, 1.2, CHANNELS)) for _ in saturation.parameters)
    return windows, weights, parameters, jnp.asarray(rng.normal(size=PERIODS))


@cache
def evaluated(saturation: type):
    """One program per curve, since compiling takes longest: value and gradient by hand, then by autodiff."""

    def by_hand(windows, weights, parameters, cotangent):
        return cotangent @ media_total(saturation.partials, windows, weights, parameters)

    def by_autodiff(windows, weights, parameters, cotangent):
        return cotangent @ media_effects(saturation.curve, windows, weights, parameters).sum(axis=0)

    return jax.jit(lambda *arguments: [jax.value_and_grad(rule, (0, 1, 2))(*arguments) for rule in (by_hand, by_autodiff)])


def assert_trees_close(found, expected, tolerance: float) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@every_saturation
@pytest.mark.parametrize("seed", range(5))
def test_value_and_gradient_equal_autodiff(precision, saturation, seed):
    by_hand, by_autodiff = evaluated(saturation)(*block(saturation, seed))
    assert_trees_close(by_hand, by_autodiff, AUTODIFF[precision])


@every_saturation
@pytest.mark.parametrize("argument", ["windows", "weights", "parameters"])
def test_gradient_equals_finite_differences(precision, saturation, argument):
    point = block(saturation)
    (_, gradient), _ = evaluated(saturation)(*point)
    place = ("windows", "weights", "parameters").index(argument)
    step, tolerance = DIFFERENCE[precision]
    for index, slopes in enumerate(jax.tree.leaves(gradient[place])):
        for seed in range(3):
            direction = np.random.default_rng([index, seed]).choice([-1.0, 1.0], slopes.shape)

            def along(distance, index=index, direction=direction):
                leaves, structure = jax.tree.flatten(point[place])
                leaves[index] = jnp.asarray(np.asarray(leaves[index]) + distance * direction)
                (value, _), _ = evaluated(saturation)(*point[:place], structure.unflatten(leaves), *point[place + 1 :])
                return float(value)

            expected = helpers.central_difference(along, step=step)
            np.testing.assert_allclose(np.vdot(slopes, direction), expected, rtol=tolerance, atol=tolerance)


@every_saturation
def test_under_vmap_it_is_a_loop(precision, saturation):
    points = [block(saturation, seed) for seed in range(3)]
    batch = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *points)
    together, _ = jax.jit(jax.vmap(evaluated(saturation)))(*batch)
    for index, point in enumerate(points):
        _, alone = evaluated(saturation)(*point)
        assert_trees_close(
            jax.tree.map(lambda leaf, index=index: np.asarray(leaf)[index], together), alone, AUTODIFF[precision]
        )


@pytest.mark.smoke
def test_without_jit_it_is_the_same(float64):
    windows, weights, parameters, cotangent = block(LogisticSaturation)
    value, pull = jax.vjp(lambda *inner: media_total(LogisticSaturation.partials, *inner), windows, weights, parameters)
    _, (expected, slopes) = evaluated(LogisticSaturation)(windows, weights, parameters, cotangent)
    np.testing.assert_allclose(cotangent @ value, expected, rtol=1e-12)
    assert_trees_close(pull(cotangent), slopes, 1e-12)


@every_saturation
def test_gradient_is_finite_without_spend(precision, saturation):
    windows, *rest = block(saturation)
    silent = np.array(windows)
    silent[0], silent[..., ::2] = 0.0, 0.0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(evaluated(saturation)(jnp.asarray(silent), *rest)))


@every_saturation
def test_channels_add_up(float64, saturation):
    windows, weights, parameters, _ = block(saturation)
    total = media_total(saturation.partials, windows, weights, parameters)
    effects = media_effects(saturation.curve, windows, weights, parameters)
    assert effects.shape == (CHANNELS, PERIODS)
    np.testing.assert_allclose(total, np.sum(effects, axis=0), rtol=1e-12)
    changed = media_effects(saturation.curve, windows.at[0].set(0.0), weights, parameters)
    assert not np.any(changed[0])
    np.testing.assert_array_equal(changed[1:], effects[1:])


@given(media=strategies.spend(), weights=strategies.between(0.0, 1.0, (2, 3)), beta=strategies.between(0.0, 3.0))
def test_linear_block_is_weighted_adstock(precision, media, weights, beta):
    total = linear_total(jnp.asarray(media), jnp.asarray(weights), jnp.asarray(beta))
    expected = sum(gain * helpers.adstock(row, lags) for gain, row, lags in zip(beta, media, weights, strict=True))
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5 if precision == "float32" else 1e-12)


@jax.jit
def linear_total(media, weights, beta):
    return media_total(NoSaturation.partials, lagged(media, 3), weights, (beta,))
