"""Hessians by blocks: the same as without, from fewer gradients, and what the engine makes of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmm_jax.inference import metric
from mmm_jax.inference.coloring import SHARED, Coloring, uncolored
from mmm_jax.inference.laplace import laplace, whitening_of
from mmm_jax.inference.metric import DenseWhitening, LowRankWhitening

BLOCKS = np.array([0, 1, SHARED, 0, 1, 2, SHARED, 0])


def arrow(rng: np.random.Generator, blocks: np.ndarray) -> np.ndarray:
    """A positive definite matrix without entries between different blocks."""
    made = rng.normal(size=(len(blocks), len(blocks)))
    apart = (blocks[:, None] != blocks) & (blocks[:, None] != SHARED) & (blocks != SHARED)
    symmetric = np.where(apart, 0.0, made + made.T)
    return symmetric + (np.abs(symmetric).sum(axis=1).max() + 1.0) * np.eye(len(blocks))


def test_every_block_takes_its_steps_together():
    coloring = Coloring.of(BLOCKS)
    assert coloring.count == 3 + 2
    np.testing.assert_array_equal(coloring.steps.sum(axis=0), 1.0)
    for step in coloring.steps:
        own = BLOCKS[step > 0]
        assert len(np.unique(own)) == len(own)


@pytest.mark.parametrize("blocks", [BLOCKS, np.full(5, SHARED), np.zeros(5, int), np.arange(5)])
def test_the_steps_tell_the_whole_hessian(blocks):
    hessian, coloring = arrow(np.random.default_rng(3), blocks), Coloring.of(blocks)
    found = coloring.hessian((coloring.steps @ hessian)[None])
    np.testing.assert_allclose(found[0], hessian, atol=1e-13)


def test_without_blocks_rows_and_columns_are_averaged():
    changes = np.random.default_rng(4).normal(size=(2, 6, 6))
    np.testing.assert_array_equal(uncolored(6).hessian(changes), 0.5 * (changes + changes.swapaxes(1, 2)))


def normal(flat, precision):
    return -0.5 * (flat - 1.0) @ precision @ (flat - 1.0) - 0.01 * jnp.sum((flat - 1.0) ** 4)


def test_long_vectors_of_blocks_have_dense_coordinates(monkeypatch):
    """Longer than what is dense without blocks: the mode's curvature is known whole, not only its diagonal."""
    monkeypatch.setattr(metric, "DENSE_UP_TO", 6)
    precision = arrow(np.random.default_rng(5), BLOCKS)
    data, active = jnp.asarray(precision)[None], np.ones((1, 8))
    found = laplace(normal, data, active, Coloring.of(BLOCKS))
    assert found.arrived.all()
    np.testing.assert_allclose(found.mode, 1.0, atol=1e-3)
    np.testing.assert_allclose(found.factor[0] @ found.factor[0].T, np.linalg.inv(precision), atol=1e-5)
    assert isinstance(whitening_of(found, jnp.float32), DenseWhitening)
    alone = laplace(normal, data, active)
    assert alone.factor.shape == (1, 8)
    assert isinstance(whitening_of(alone, jnp.float32), LowRankWhitening)
    monkeypatch.setattr(metric, "DENSE_BY_BLOCKS_UP_TO", 7)
    assert not metric.is_dense(Coloring.of(BLOCKS))
