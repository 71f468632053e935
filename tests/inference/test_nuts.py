"""The state machine piece by piece, and lanes on their own: what each does must not depend on the others."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.inference import nuts
from mmm_jax.inference.adaptation import initial_step_size
from mmm_jax.inference.random_numbers import seeds as lane_seeds
from mmm_jax.kernels.numerics import precision_scope

LEAVES = 16


def quartic(flat, _):
    """Steeper than a Gaussian in the tails: the leapfrog's error does not vanish by symmetry."""
    return -0.5 * jnp.sum(flat**2) - 0.25 * jnp.sum(flat**4) - 0.3 * flat[0] * flat[1]


def walled(flat, value):
    """An exponential times a normal distribution; `value`, and a slope like it, where the first coordinate is negative."""
    inside = flat[0] > 0
    beyond = value * jnp.where(inside, 1.0, jnp.abs(flat[0]))
    return jnp.where(inside, -flat[0] - 0.5 * flat[1] ** 2, beyond)


def with_padding(flat, real):
    """The padding has a density of its own, as a prior does."""
    mask = jnp.arange(flat.shape[0]) < real
    return quartic(flat * mask, None) - 0.5 * jnp.sum(((flat - 1.0) * ~mask) ** 2)


def _gradient(density, data, active):
    value_and_grad = jax.value_and_grad(density)

    def masked(flat, active):
        value, slope = value_and_grad(flat, data)
        return value, slope * active

    lanes = jax.vmap(masked, (0, None))
    return lambda positions: jax.vmap(lanes)(positions, active)


@partial(jax.jit, static_argnames=("density", "total"))
def _run(density, keys, position, active, data=None, *, total=100):
    """All lanes of all fits for `total` draws, of which a fifth adapts; at most so many iterations that none is stuck."""
    gradient, dtype = _gradient(density, data, active), position.dtype
    step = initial_step_size(jnp.full(keys.shape[:2], 0.3, dtype), boldness=10.0)
    counts = (jnp.asarray(count, jnp.int32) for count in (total // 5, total // 5, total))
    schedule = nuts.Schedule(*counts, jnp.asarray(0.8, dtype), jnp.asarray(8, jnp.int32))
    state = nuts.start(keys, position, step, active, *gradient(position), capacity=total - total // 5, levels=8)
    return nuts.run(state, schedule, active, gradient, jnp.asarray(256 * total))


def _statistic(record, name):
    return np.asarray(record.statistics)[..., nuts.STATISTICS.index(name)]


def _keys(seeds, lanes):
    return jnp.stack([lane_seeds(jax.random.split(jax.random.key(seed), lanes)) for seed in seeds])


@jax.jit
def _turning_by_checkpoints(momenta, delays):
    """Whether a lane turns at its leaf `n`, for lanes that start `delays` iterations apart, shape (leaf, 1, lane).

    The sequence goes round twice, so that the second round meets the checkpoints that the first has left behind.
    """
    lanes, size = momenta.shape[2:]

    def body(carry, time):
        total, kept = carry
        leaf = (time - delays) % LEAVES
        momentum = jnp.take_along_axis(momenta, leaf[None, None, :, None], axis=0)[0]
        total = jnp.where(leaf[None, :, None] == 0, 0.0, total) + momentum
        subtree = nuts.Subtree(None, None, leaf[None], None, None, None, kept)
        kept, turning = nuts._checked(subtree, momentum, total)
        return (total, kept), turning

    first = (jnp.zeros((1, lanes, size)), jnp.zeros((8, 1, lanes, 2, size)))
    _, turning = jax.lax.scan(body, first, jnp.arange(3 * LEAVES))
    at = LEAVES + jnp.arange(LEAVES)[:, None] + delays
    return jnp.take_along_axis(turning[:, 0], at, axis=0)


def _turns_naively(momenta):
    """Whether the subtree of these leaves turns, or one of its halves does."""
    count, total = len(momenta), momenta.sum(axis=0)
    if count == 1:
        return False
    inner = total - 0.5 * (momenta[0] + momenta[-1])
    turns = momenta[0] @ inner <= 0 or momenta[-1] @ inner <= 0
    return bool(turns) or _turns_naively(momenta[: count // 2]) or _turns_naively(momenta[count // 2 :])


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
def test_checkpoints_find_every_turn_of_every_aligned_subtree():
    lanes = 300
    rng = np.random.default_rng(0)
    # From aimless to straight: subtrees that turn and that do not, at every depth.
    drift = np.linspace(0.0, 2.5, lanes)[:, None] * np.array([1.0, 0.0, 0.0])
    momenta = rng.normal(size=(LEAVES, 1, lanes, 3)) + drift
    turning = np.asarray(_turning_by_checkpoints(jnp.asarray(momenta), jnp.arange(lanes) % LEAVES))
    for count in (2, 4, 8, 16):
        expected = np.array([_turns_naively(momenta[:count, 0, lane]) for lane in range(lanes)])
        assert 0 < expected.sum() < lanes
        np.testing.assert_array_equal(turning[:count].any(axis=0), expected)


@pytest.mark.usefixtures("float64")
def test_a_turn_is_found_at_the_leaf_that_completes_it():
    momenta = np.ones((LEAVES, 1, 1, 1))
    momenta[6:] = -1.0
    turning = np.asarray(_turning_by_checkpoints(jnp.asarray(momenta), jnp.zeros(1, int)))[:, 0]
    # Leaf 7 completes the leaves 4 to 7 and 0 to 7; the first of these turns within.
    assert np.flatnonzero(turning)[0] == 7


@partial(jax.jit, static_argnames="count")
def _steps(position, momentum, direction, step_size, *, count):
    """Position, momentum and energy after `count` leapfrogs."""
    gradient = _gradient(quartic, None, jnp.ones((len(position), 1)))
    density, slope = gradient(position)
    point = jnp.stack([position, momentum, slope], axis=-2)

    def body(_, carry):
        subtree = nuts.Subtree(carry[0], direction, *(None,) * 5)
        reached, proposal = nuts._leapfrog(subtree, step_size, gradient)
        return reached, proposal.energy

    return jax.lax.fori_loop(0, count, body, (point, 0.5 * jnp.sum(momentum**2, axis=-1) - density))


def _random_points():
    position, momentum = jax.random.normal(jax.random.key(3), (2, 2, 3, 4))
    return position, momentum, jnp.ones((2, 3))


@pytest.mark.usefixtures("float64")
def test_leapfrog_error_falls_by_four_when_the_step_halves():
    position, momentum, forward = _random_points()
    exact = _steps(position, momentum, forward, 0.1 * forward, count=0)[1]
    coarse = _steps(position, momentum, forward, 0.02 * forward, count=20)[1] - exact
    fine = _steps(position, momentum, forward, 0.01 * forward, count=40)[1] - exact
    assert np.abs(coarse).max() < 0.01
    np.testing.assert_allclose(coarse / fine, 4.0, rtol=0.05)


@pytest.mark.usefixtures("float64")
def test_leapfrog_returns_where_it_came_from():
    position, momentum, forward = _random_points()
    there, _ = _steps(position, momentum, forward, 0.05 * forward, count=20)
    back, _ = _steps(there[..., 0, :], there[..., 1, :], -forward, 0.05 * forward, count=20)
    assert np.abs(there[..., 0, :] - position).max() > 0.3
    np.testing.assert_allclose(back[..., 0, :], position, atol=1e-12)
    np.testing.assert_allclose(back[..., 1, :], momentum, atol=1e-12)


@pytest.mark.smoke
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_the_density_is_not_a_number_no_lane_goes(value):
    keys, total = _keys([1], 16), 500
    state = _run(walled, keys, jnp.ones((1, 16, 2)), jnp.ones((1, 2)), jnp.asarray(value), total=total)
    draws, record = np.asarray(state.record.position[0], float), state.record
    assert (np.asarray(state.draws) >= total).all()
    assert np.isfinite(draws).all()
    assert (draws[..., 0] > 0).all()
    assert bool(_statistic(record, "diverging").any())
    assert np.isfinite(_statistic(record, "energy")).all()
    # Every lane's mean as one number: 16 independent estimates of the mean and the second moment of the law.
    for values, expected in ((draws[..., 0], 1.0), (draws[..., 0] ** 2, 2.0), (draws[..., 1] ** 2, 1.0)):
        means = values.mean(axis=1)
        assert means.mean() == pytest.approx(expected, abs=5 * float(means.std(ddof=1)) / 4)


@pytest.fixture(scope="module")
def alone():
    """Draws of three lanes of one fit, from given points."""
    with precision_scope("float64"):
        position = 0.5 * jax.random.normal(jax.random.key(7), (1, 3, 4))
        return position, _run(quartic, _keys([5], 3), position, jnp.ones((1, 4)))


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
def test_draws_of_a_lane_do_not_depend_on_its_neighbours(alone):
    position, state = alone
    keys = jnp.concatenate([_keys([5], 3), _keys([8], 2)], axis=1)
    others = jax.random.normal(jax.random.key(9), (1, 2, 4))
    beside = jnp.concatenate([position, others], axis=1)
    # A second fit, whose lanes are those of the first in another order.
    keys = jnp.concatenate([keys, keys[:, ::-1]])
    both = _run(quartic, keys, jnp.concatenate([beside, beside[:, ::-1]]), jnp.ones((2, 4)))
    for name, values in state.record._asdict().items():
        found = getattr(both.record, name)
        np.testing.assert_allclose(found[0, :3], values[0], rtol=1e-9, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(found[1, ::-1][:3], values[0], rtol=1e-9, atol=1e-11, err_msg=name)
    assert not np.allclose(both.record.position[0, 3], both.record.position[0, 4])


@pytest.mark.usefixtures("float64")
def test_padding_stays_where_it_is_and_changes_nothing_else(alone):
    """The momenta of the first coordinates are the same for any length: random numbers are counted, not streamed."""
    position, state = alone
    padded = jnp.concatenate([position, jnp.full((1, 3, 3), 0.7)], axis=2)
    active = jnp.asarray([[1.0] * 4 + [0.0] * 3])
    found = _run(with_padding, _keys([5], 3), padded, active, 4)
    np.testing.assert_array_equal(found.record.position[..., 4:], 0.7)
    np.testing.assert_allclose(found.record.position[..., :4], state.record.position, rtol=1e-9, atol=1e-11)
