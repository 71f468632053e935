"""Whitenings: affine maps, their inverses and transposes, and what they learn from draws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.inference import metric
from mmm_jax.inference.metric import DenseWhitening, LowRankWhitening, identity_whitening, refined

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
    return refined(whitening, whitening.to_u(draws), np.asarray(whitening.pull_back(jnp.asarray(slopes))))


def _spread_in(whitening, covariance):
    """Covariance of the target in the coordinates of every fit."""
    columns = whitening.to_u(np.linalg.cholesky(covariance).T + np.asarray(whitening.center)[:, None])
    return np.einsum("fki,fkj->fij", columns, columns)


def _covariance_of(whitening):
    """Covariance of the flat vector where the coordinates are standard normal."""
    columns = whitening.on_host().to_flat(np.broadcast_to(np.eye(SIZE), (FITS, SIZE, SIZE)))
    columns = columns - np.asarray(whitening.center)[:, None]
    return columns.swapaxes(1, 2) @ columns


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
    for seed in range(12):
        after = _refined(after, *_normal_draws(covariance, 3 * SIZE, seed))
    assert np.linalg.cond(_spread_in(before, covariance)).min() > 100.0
    np.testing.assert_allclose(_spread_in(after, covariance), np.broadcast_to(np.eye(SIZE), (FITS, SIZE, SIZE)), atol=0.01)
    np.testing.assert_allclose(after.center, 3.0, atol=1.5)


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
        after = refined(whitening, u, -u)
        np.testing.assert_allclose(_covariance_of(after), _covariance_of(whitening), atol=1e-9)
        np.testing.assert_allclose(after.center, np.asarray(whitening.to_flat(u)).mean(axis=1), atol=1e-9)


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
    whole, part = refined(whole, u, slope), refined(part, u[..., :4], slope[..., :4])
    flat = whole.to_flat(u)
    np.testing.assert_array_equal(flat[..., 4:], 0.0)
    np.testing.assert_allclose(flat[..., :4], part.to_flat(u[..., :4]), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_never_moved_gives_finite_coordinates(kind):
    still = np.ones((FITS, 10, SIZE))
    after = refined(KINDS[kind](), still, still)
    assert all(np.isfinite(values).all() for values in jax.tree.leaves(after))
    assert np.isfinite(after.to_u(np.asarray(after.center))).all()
    assert np.isfinite(after.log_determinant()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_with_numbers_that_are_none_keeps_its_coordinates_and_harms_no_other(kind):
    whitening = KINDS[kind]()
    u = np.random.default_rng(8).normal(size=(FITS, 10, SIZE))
    slope = -2.0 * u
    good = refined(whitening, u, slope)
    slope[0, 3, 2] = np.inf
    found = refined(whitening, u, slope)
    for new, old, other in zip(*map(jax.tree.leaves, (found, whitening, good)), strict=True):
        np.testing.assert_array_equal(new[0], old[0])
        np.testing.assert_array_equal(new[1], other[1])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_one_chain_lost_far_outside_does_not_narrow_the_directions_of_the_others(kind):
    rng, count = np.random.default_rng(9), 16
    u = rng.normal(size=(1, count, SIZE))
    slope = -u
    away = rng.normal(size=SIZE)
    slope[:, :4] += 1e9 * (1.0 + rng.normal(size=(4, 1))) * away / np.linalg.norm(away)
    whitening = (
        identity_whitening(jnp.zeros((1, SIZE)))
        if kind == "dense"
        else LowRankWhitening(jnp.zeros((1, SIZE)), jnp.ones((1, SIZE)), jnp.eye(SIZE, 4)[None], jnp.ones((1, 4)))
    )
    spread = np.linalg.eigvalsh(np.linalg.inv(_spread_in(refined(whitening, u, slope), np.eye(SIZE))))[0]
    # That direction is as narrow as it looks; all others stay, up to the coordinates' own scales.
    assert spread[0] < 1e-6
    if kind == "dense":
        assert (np.abs(spread[1:] - 1.0) < 0.5).all()


@pytest.mark.usefixtures("float64")
def test_many_draws_tell_how_far_long_tails_reach():
    """A t distribution with 5 degrees of freedom has the variance 5 / 3; by its gradients it would be 8 / 6."""
    whitening, u = identity_whitening(jnp.zeros((1, 2))), np.random.default_rng(11).standard_t(5, (1, 40_000, 2))
    found = refined(whitening, u, -6.0 * u / (5.0 + u**2))
    # Half of the logarithm of two variances.
    assert found.log_determinant()[0] == pytest.approx(np.log(5 / 3), abs=0.05)


def test_directions_too_narrow_for_the_precision_are_no_error():
    flat = DenseWhitening(jnp.zeros((1, 2)), jnp.asarray([[[1.0, 0.0], [-1.0, 0.0]]]))
    assert np.isfinite(flat.to_u(np.ones((1, 3, 2)))).all()


@pytest.mark.usefixtures("float64")
def test_low_rank_coordinates_keep_their_rank_however_few_the_draws():
    center = jnp.zeros((1, 40))
    before = LowRankWhitening(center, center + 1.0, jnp.eye(40, 24)[None], jnp.ones((1, 24)))
    u = np.random.default_rng(10).normal(size=(1, 6, 40))
    after = refined(before, u, -u)
    assert after.directions.shape == before.directions.shape
    np.testing.assert_allclose(after.directions[0].T @ after.directions[0], np.eye(24), atol=1e-9)


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
