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


def _normal_draws(covariance, count, seed=0):
    """Draws of a normal distribution about 3, shape (fit, draw, flat), and the gradients there."""
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_normal(3.0 * np.ones(len(covariance)), covariance, (FITS, count))
    return draws, -(draws - 3.0) @ np.linalg.inv(covariance)


def _refined(whitening, draws, slopes):
    return whitening.refined(whitening.to_u(draws), np.asarray(whitening.pull_back(jnp.asarray(slopes))))


def _spread_in(whitening, covariance):
    """Covariance of the target in the coordinates of every fit."""
    columns = whitening.to_u(np.linalg.cholesky(covariance).T + np.asarray(whitening.center)[:, None])
    return np.einsum("fki,fkj->fij", columns, columns)


def _hard_covariance():
    """Deviations from 0.02 to 2, correlated."""
    rng = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    return rotation @ np.diag(np.geomspace(4e-4, 4.0, SIZE)) @ rotation.T


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["identity", "dense"])
def test_draws_and_gradients_make_a_normal_target_round_once_there_are_more_of_them_than_coordinates(kind):
    covariance = _hard_covariance()
    before = identity_whitening(jnp.zeros((FITS, SIZE))) if kind == "identity" else _dense()
    after = before
    # Every round is drawn towards the coordinates so far; a sample covariance would need thousands of draws.
    for seed in range(6):
        after = _refined(after, *_normal_draws(covariance, 4 * SIZE, seed))
    assert np.linalg.cond(_spread_in(before, covariance)).min() > 100.0
    np.testing.assert_allclose(_spread_in(after, covariance), np.broadcast_to(np.eye(SIZE), (FITS, SIZE, SIZE)), atol=0.01)
    np.testing.assert_allclose(after.center, 3.0, atol=4.0)


@pytest.mark.usefixtures("float64")
def test_low_rank_coordinates_take_scales_and_the_longest_directions():
    """One factor behind all coordinates: what is left is about round, though the draws are fewer than it would take."""
    size, scales = 40, np.geomspace(0.01, 100.0, 40)
    covariance = scales[:, None] * (0.05 * np.eye(size) + 0.95) * scales
    center = jnp.zeros((FITS, size))
    before = LowRankWhitening(center, center + 1.0, jnp.broadcast_to(jnp.eye(size, 4), (FITS, size, 4)), jnp.ones((FITS, 4)))
    after = before
    for seed in range(4):
        after = _refined(after, *_normal_draws(covariance, 30, seed))
    assert np.linalg.cond(_spread_in(before, covariance)).min() > 1e8
    assert np.linalg.cond(_spread_in(after, covariance)).max() < 15.0
    inner = after.directions.swapaxes(1, 2) @ after.directions
    np.testing.assert_allclose(inner, np.broadcast_to(np.eye(4), (FITS, 4, 4)), atol=1e-9)


@pytest.mark.usefixtures("float64")
def test_what_is_round_already_stays_round_however_few_the_draws(monkeypatch):
    u = np.random.default_rng(6).normal(size=(FITS, 4, SIZE))
    made = [_dense(), identity_whitening(jnp.zeros((FITS, SIZE)))]
    monkeypatch.setattr(metric, "DENSE_UP_TO", 1)
    for whitening in [*made, identity_whitening(jnp.zeros((FITS, SIZE)))]:
        refined = whitening.refined(u, -u)
        np.testing.assert_allclose(_spread_in(refined, np.eye(SIZE)), _spread_in(whitening, np.eye(SIZE)), atol=1e-9)
        np.testing.assert_allclose(refined.center, np.asarray(whitening.to_flat(u)).mean(axis=1), atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_padding_that_never_moves_does_not_change_what_is_learnt_of_the_others(kind):
    rng = np.random.default_rng(7)
    u, slope = (rng.normal(size=(1, 60, 8)) @ (np.eye(8) + 0.1) for _ in range(2))
    u[..., 4:], slope[..., 4:] = 0.0, 0.0
    if kind == "dense":
        whole, part = (identity_whitening(jnp.zeros((1, size))) for size in (8, 4))
    else:
        whole, part = (
            LowRankWhitening(jnp.zeros((1, n)), jnp.ones((1, n)), jnp.eye(n, 2)[None], jnp.ones((1, 2))) for n in (8, 4)
        )
    whole, part = whole.refined(u, slope), part.refined(u[..., :4], slope[..., :4])
    flat = whole.to_flat(u)
    np.testing.assert_array_equal(flat[..., 4:], 0.0)
    np.testing.assert_allclose(flat[..., :4], part.to_flat(u[..., :4]), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_never_moved_and_slopes_that_are_no_numbers_give_finite_coordinates(kind):
    whitening = KINDS[kind]()
    still = np.ones((FITS, 10, SIZE))
    moving = np.random.default_rng(8).normal(size=still.shape)
    huge = moving * 1e9
    broken = huge.copy()
    broken[0, 3, 2] = np.inf
    for u, slope in ((still, still), (moving, huge), (moving, broken)):
        refined = whitening.refined(u, slope)
        assert all(np.isfinite(values).all() for values in jax.tree.leaves(refined))
        assert np.isfinite(refined.to_u(np.asarray(refined.center))).all()
        assert np.isfinite(refined.log_determinant()).all()


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
