"""Batched forms that merge lanes, against a plain `vmap` of what they batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.kernels.lanes import lane_batched
from mmm_jax.kernels.media import media_effects, media_total
from mmm_jax.model.components import SATURATIONS, LogisticSaturation, NoSaturation

ROWS, LANES, PERIODS, LAGS = 3, 2, 5, 4
TOLERANCE = {"float32": 3e-5, "float64": 1e-12}

# The axes of every `vmap`, innermost first, of a function of something shared and of two other arguments.
LANE, FIT = (None, 0, 0), (0, 0, 0)
NESTINGS = {
    "lanes": [LANE],
    "fits": [FIT],
    "lanes twice": [LANE, LANE],
    "lanes in fits": [LANE, FIT],
    "fits in lanes": [FIT, LANE],
    "lanes twice in fits": [LANE, LANE, FIT],
    "fits twice": [FIT, FIT],
    "only the first": [(None, 0, None)],
    "only the second": [(None, None, 0)],
    "only the shared": [(0, None, None)],
    "one in each": [(None, 0, None), (None, None, 0)],
    "one in lanes in fits": [(None, None, 0), LANE, (0, 0, None)],
}
every_nesting = pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)


def mapped(function, nesting: list):
    """The function under one `vmap` after the other."""
    for axes in nesting:
        function = jax.vmap(function, axes)
    return function


def arguments(shapes: tuple, nesting: list, seed: int = 0) -> list:
    """Regular numbers of these shapes, with an axis in front for every `vmap` that maps them; no two lengths agree."""
    rng, sizes = np.random.default_rng(seed), (6, 7, 8)
    found = []
    for place, shape in enumerate(shapes):
        lead = [size for size, axes in zip(sizes, nesting, strict=False) if axes[place] is not None]
        found.append(jnp.asarray(rng.uniform(0.7, 1.2, (*reversed(lead), *shape))))
    return found


def assert_trees_close(found, expected, tolerance: float) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


# Any kernel.

SHAPES = ((ROWS, PERIODS), (ROWS, LANES), (LANES,))


def kernel(shared, gains, offsets):
    """Lanes last and first among the arguments, first and second among the results, nowhere linear."""
    total = jnp.sin(jnp.einsum("rb,rt->bt", gains, shared)) + offsets[:, None]
    return total, gains**2 * offsets * shared.sum(axis=1)[:, None]


batched = lane_batched(kernel, (1, 0), (0, 1))


@every_nesting
def test_it_is_a_plain_vmap_of_the_kernel(precision, nesting):
    values = arguments(SHAPES, nesting)
    expected = mapped(kernel, nesting)(*values)
    assert_trees_close(mapped(batched, nesting)(*values), expected, TOLERANCE[precision])
    assert_trees_close(jax.jit(mapped(batched, nesting))(*values), expected, TOLERANCE[precision])


def test_without_vmap_it_is_the_kernel(precision):
    values = arguments(SHAPES, [])
    assert_trees_close(batched(*values), kernel(*values), TOLERANCE[precision])


def test_the_mapped_axis_may_stand_anywhere(float64):
    shared, gains, offsets = arguments(SHAPES, [LANE])
    moved = jax.vmap(batched, (None, 2, 1), (2, 0))(shared, jnp.moveaxis(gains, 0, 2), offsets.T)
    assert_trees_close(moved, jax.vmap(kernel, LANE, (2, 0))(shared, gains, offsets), 1e-12)


@pytest.mark.parametrize(
    ("nesting", "lanes"),
    [([LANE], 6 * LANES), ([LANE, LANE], 6 * 7 * LANES), ([LANE, FIT], 6 * LANES), ([FIT], LANES)],
    ids=["lanes", "lanes twice", "lanes in fits", "fits"],
)
def test_the_kernel_sees_the_lanes_of_one_shared_argument_together(nesting, lanes):
    seen = []

    def spy(shared, gains, offsets):
        seen.append((shared.shape, gains.shape, offsets.shape))
        return kernel(shared, gains, offsets)

    mapped(lane_batched(spy, (1, 0), (0, 1)), nesting)(*arguments(SHAPES, nesting))
    assert seen[-1] == ((ROWS, PERIODS), (ROWS, lanes), (lanes,))


@pytest.mark.parametrize("argument", [0, 1, 2])
def test_forward_derivatives_are_those_of_the_kernel(float64, argument):
    values = arguments(SHAPES, [])
    assert_trees_close(jax.jacfwd(batched, argument)(*values), jax.jacfwd(kernel, argument)(*values), 1e-12)


# The media block, which is built on it.


def by_hand(saturation: type, windows, weights, parameters):
    return media_total(saturation.partials, windows, weights, tuple(parameters))


def by_autodiff(saturation: type, windows, weights, parameters):
    return media_effects(saturation.curve, windows, weights, tuple(parameters)).sum(axis=0)


def block_shapes(saturation: type) -> tuple:
    return (ROWS, LAGS, PERIODS), (ROWS, LAGS), (len(saturation.parameters), ROWS)


def scalar(rule, saturation: type):
    """A number whose derivatives by the spend differ from period to period and are not constant."""
    return lambda *values: jnp.sum(jnp.cos(jnp.arange(PERIODS)) * rule(saturation, *values) ** 2)


@every_nesting
@pytest.mark.parametrize("saturation", [LogisticSaturation, NoSaturation])
def test_media_total_and_its_gradient_are_a_plain_vmap_of_the_effects(precision, saturation, nesting):
    values = arguments(block_shapes(saturation), nesting)
    hand, automatic = (
        jax.jit(mapped(jax.value_and_grad(scalar(rule, saturation), (0, 1, 2)), nesting)) for rule in (by_hand, by_autodiff)
    )
    assert_trees_close(hand(*values), automatic(*values), TOLERANCE[precision])


@pytest.mark.parametrize("nesting", [[LANE], [LANE, FIT]], ids=["lanes", "lanes in fits"])
def test_gradient_of_a_mapped_media_total_is_that_of_the_effects(float64, nesting):
    """With `vmap` inside of the derivative, where lanes share a derivative by the spend."""
    values = arguments(block_shapes(LogisticSaturation), nesting)

    def total(rule, *values):
        return (mapped(scalar(rule, LogisticSaturation), nesting)(*values) ** 2).sum()

    hand, automatic = (jax.jit(jax.grad(partial(total, rule), (0, 1, 2))) for rule in (by_hand, by_autodiff))
    assert_trees_close(hand(*values), automatic(*values), 1e-11)


@pytest.mark.parametrize("saturation", SATURATIONS)
def test_hessian_of_media_total_is_that_of_the_effects(precision, saturation):
    values = arguments(block_shapes(saturation), [])
    hand, automatic = (jax.jit(jax.hessian(scalar(rule, saturation), (1, 2))) for rule in (by_hand, by_autodiff))
    assert_trees_close(hand(*values), automatic(*values), 10 * TOLERANCE[precision])


@pytest.mark.parametrize("nesting", [[LANE], [FIT], [LANE, FIT]], ids=["lanes", "fits", "lanes in fits"])
def test_hessian_of_media_total_is_a_loop_over_lanes(float64, nesting):
    values = arguments(block_shapes(LogisticSaturation), nesting)
    hand, automatic = (
        jax.jit(mapped(jax.hessian(scalar(rule, LogisticSaturation), (1, 2)), nesting)) for rule in (by_hand, by_autodiff)
    )
    assert_trees_close(hand(*values), automatic(*values), 1e-11)
