"""Whitenings: affine maps, their inverses and transposes, and what they learn from draws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.inference import metric
from mmm_jax.inference.metric import DenseWhitening, LowRankWhitening, identity_whitening

FITS, SIZE, RANK = 2, 6, 3


def _dense():
    keys = jax.random.split(jax.random.key(0), 2)
    factor = jnp.eye(SIZE) + 0.3 * jax.random.normal(keys[1], (FITS, SIZE, SIZE))
    return DenseWhitening(jax.random.normal(keys[0], (FITS, SIZE)), factor)


def _low_rank():
    keys = jax.random.split(jax.random.key(1), 4)
    directions, _ = jnp.linalg.qr(jax.random.normal(keys[2], (FITS, SIZE, RANK)))
    return LowRankWhitening(
        jax.random.normal(keys[0], (FITS, SIZE)),
        jnp.exp(jax.random.normal(keys[1], (FITS, SIZE))),
        directions,
        1.0 + jnp.exp(jax.random.normal(keys[3], (FITS, RANK))),
    )


KINDS = {"dense": _dense, "low rank": _low_rank}


@pytest.mark.smoke
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lanes", [(3,), (2, 3)])
def test_to_u_inverts_to_flat_with_any_axes_for_the_lanes(kind, lanes, precision):
    whitening = KINDS[kind]()
    u = jax.random.normal(jax.random.key(2), (FITS, *lanes, SIZE))
    flat = whitening.to_flat(u)
    assert flat.shape == u.shape
    np.testing.assert_allclose(whitening.to_u(flat), u, atol=1e-11 if precision == "float64" else 1e-4)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_pull_back_is_the_transposed_map(kind):
    whitening = KINDS[kind]()
    u, slope = jax.random.normal(jax.random.key(3), (2, FITS, 4, SIZE))
    _, transposed = jax.vjp(whitening.to_flat, u)
    np.testing.assert_allclose(whitening.pull_back(slope), transposed(slope)[0], atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_log_determinant_is_that_of_the_map_s_jacobian(kind):
    whitening = KINDS[kind]()
    jacobians = jax.vmap(jax.jacobian(lambda u: whitening.to_flat(jnp.broadcast_to(u, (FITS, 1, SIZE)))[:, 0]))(
        jnp.zeros((1, SIZE))
    )[0]
    np.testing.assert_allclose(whitening.log_determinant(), jnp.linalg.slogdet(jacobians)[1], atol=1e-12)


@eqx.filter_jit
def _refined(whitening, u, weight):
    return whitening.refined(u, weight)


def _exact_draws(covariance, count, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.multivariate_normal(3.0 * np.ones(len(covariance)), covariance, (FITS, count)))


def _spread_in(whitening, covariance):
    """Covariance of the target in the coordinates of every fit."""
    columns = whitening.to_u(jnp.asarray(np.linalg.cholesky(covariance).T) + whitening.center[:, None])
    return np.einsum("fki,fkj->fij", columns, columns)


def _hard_covariance():
    """Deviations from 0.02 to 2, correlated."""
    rng = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    return rotation @ np.diag(np.geomspace(4e-4, 4.0, SIZE)) @ rotation.T


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["identity", "dense"])
def test_dense_coordinates_from_many_draws_make_the_target_round(kind):
    covariance = _hard_covariance()
    before = identity_whitening(jnp.zeros((FITS, SIZE))) if kind == "identity" else _dense()
    draws = _exact_draws(covariance, 20_000)
    after = before
    # Shrinkage is towards the coordinates so far: the narrowest directions come closer with every round.
    for _ in range(5):
        after = _refined(after, after.to_u(draws), jnp.ones(20_000))
    assert np.linalg.cond(_spread_in(before, covariance)).min() > 100.0
    np.testing.assert_allclose(_spread_in(after, covariance), np.broadcast_to(np.eye(SIZE), (FITS, SIZE, SIZE)), atol=0.06)
    np.testing.assert_allclose(after.center, 3.0, atol=0.1)


@pytest.mark.usefixtures("float64")
def test_low_rank_coordinates_take_scales_and_the_longest_directions():
    """One factor behind all coordinates: its direction is stretched most, and what is left is about round."""
    size, scales = 12, np.geomspace(0.01, 100.0, 12)
    covariance = scales[:, None] * (0.2 * np.eye(size) + 0.8) * scales
    center = jnp.zeros((FITS, size))
    before = LowRankWhitening(center, center + 1.0, jnp.broadcast_to(jnp.eye(size, 2), (FITS, size, 2)), jnp.ones((FITS, 2)))
    draws = _exact_draws(covariance, 20_000)
    after = _refined(before, before.to_u(draws), jnp.ones(20_000))
    assert np.linalg.cond(_spread_in(before, covariance)).min() > 1e6
    assert np.linalg.cond(_spread_in(after, covariance)).max() < 6.0
    np.testing.assert_allclose(after.scale / scales, 1.0, atol=0.05)
    np.testing.assert_allclose(np.abs(after.directions[..., 0]), np.sqrt(1 / size), atol=0.02)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_draws_of_weight_0_are_ignored(kind):
    whitening = KINDS[kind]()
    u = jax.random.normal(jax.random.key(5), (FITS, 40, SIZE))
    weight = jnp.arange(40) < 30
    found = _refined(whitening, jnp.where(weight[:, None], u, 1e3), weight.astype(float))
    other = _refined(whitening, u, weight.astype(float))
    expected = _refined(whitening, u[:, :30], jnp.ones(30))
    for one, two in ((found, expected), (other, expected)):
        # As maps: the sign of a direction is arbitrary.
        np.testing.assert_allclose(one.to_flat(u), two.to_flat(u), atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_few_draws_leave_the_coordinates_nearly_as_they_are_and_invertible(kind):
    """Fewer draws than coordinates: the sample covariance is singular, the refined coordinates must not be."""
    whitening = KINDS[kind]()
    u = jax.random.normal(jax.random.key(6), (FITS, 4, SIZE))
    refined = _refined(whitening, u, jnp.ones(4))
    assert (
        np.linalg.cond(_spread_in(refined, np.eye(SIZE))).max()
        < 1e4 * np.linalg.cond(_spread_in(whitening, np.eye(SIZE))).max()
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_padding_that_never_moves_does_not_change_what_is_learnt_of_the_others(kind):
    # Nearly as believed, with one long direction: where shrinkage and noise matter.
    u = jax.random.normal(jax.random.key(7), (1, 60, 8)) @ (jnp.eye(8) + 0.1)
    u = u.at[..., 4:].set(0.0)
    if kind == "dense":
        whole, part = (identity_whitening(jnp.zeros((1, size))) for size in (8, 4))
    else:
        whole, part = (
            LowRankWhitening(jnp.zeros((1, n)), jnp.ones((1, n)), jnp.eye(n, 2)[None], jnp.ones((1, 2))) for n in (8, 4)
        )
    whole, part = _refined(whole, u, jnp.ones(60)), _refined(part, u[..., :4], jnp.ones(60))
    flat = whole.to_flat(u)
    np.testing.assert_array_equal(flat[..., 4:], 0.0)
    np.testing.assert_allclose(flat[..., :4], part.to_flat(u[..., :4]), atol=1e-10)


def test_a_chain_that_never_moved_gives_finite_coordinates():
    for whitening in (_dense(), _low_rank()):
        refined = _refined(whitening, jnp.ones((FITS, 10, SIZE)), jnp.ones(10))
        assert all(np.isfinite(values).all() for values in jax.tree.leaves(refined))
        assert np.isfinite(refined.to_u(refined.center)).all()


def test_long_vectors_get_low_rank_coordinates(monkeypatch):
    monkeypatch.setattr(metric, "DENSE_UP_TO", 8)
    center = jax.random.normal(jax.random.key(8), (1, 9))
    long, short = identity_whitening(center), identity_whitening(center[:, :8])
    assert isinstance(long, LowRankWhitening)
    assert isinstance(short, DenseWhitening)
    for whitening, at in ((long, center), (short, center[:, :8])):
        np.testing.assert_allclose(whitening.to_flat(jnp.ones_like(at)), at + 1.0, rtol=1e-6)
    scaled = eqx.tree_at(lambda whitening: whitening.scale, long, 2.0 * jnp.ones_like(center))
    np.testing.assert_allclose(scaled.to_flat(jnp.ones_like(center)), center + 2.0, rtol=1e-6)
