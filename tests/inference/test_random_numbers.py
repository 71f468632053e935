"""The unrolled cipher against JAX's own, and what is made of its words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.extend.random import threefry_2x32

from mmm_jax.inference.random_numbers import _uniform, momentum, seeds, step_numbers, threefry


@pytest.mark.smoke
def test_the_cipher_is_the_one_of_jax():
    rng = np.random.default_rng(0)
    seed = jnp.asarray(rng.integers(0, 2**32, (5, 2), dtype=np.uint32))
    counters = jnp.asarray(rng.integers(0, 2**32, (5, 2), dtype=np.uint32))
    found = jnp.stack(threefry(seed, counters[:, 0], counters[:, 1]), axis=-1)
    theirs = [threefry_2x32(key, counter) for key, counter in zip(seed, counters, strict=True)]
    np.testing.assert_array_equal(found, jnp.stack(theirs))


def test_the_cipher_gives_its_published_answer():
    """Known answers of Salmon et al. (2011) for 20 rounds."""
    zeros, ones = jnp.zeros(2, jnp.uint32), jnp.full(2, 0xFFFFFFFF, jnp.uint32)
    assert [int(word) for word in threefry(zeros, zeros[0], zeros[1])] == [0x6B200159, 0x99BA4EFE]
    assert [int(word) for word in threefry(ones, ones[0], ones[1])] == [0x1CB996FC, 0xBB002BE7]


def test_seeds_of_keys_differ_and_do_not_depend_on_their_neighbours():
    keys = jax.random.split(jax.random.key(3), 6)
    found = np.asarray(seeds(keys.reshape(2, 3)))
    assert found.shape == (2, 3, 2)
    assert len(np.unique(found.reshape(6, 2), axis=0)) == 6
    np.testing.assert_array_equal(found[1, 2], seeds(keys[5]))


@pytest.mark.smoke
def test_numbers_of_steps_are_uniform_and_independent(precision):
    count, seed = 40_000, seeds(jax.random.key(1))
    one, two, direction, rare = step_numbers(jnp.broadcast_to(seed, (count, 2)), jnp.arange(count), jnp.dtype(precision), 8)
    assert one.dtype == two.dtype == direction.dtype == precision
    for numbers in (one, two):
        assert float(numbers.min()) > 0.0
        assert float(numbers.max()) < 1.0
        assert scipy.stats.kstest(np.asarray(numbers, float), "uniform").pvalue > 0.001
    assert set(np.unique(direction)) == {-1.0, 1.0}
    assert abs(float(direction.mean())) < 4 / np.sqrt(count)
    assert float(rare.mean()) == pytest.approx(1 / 8, abs=4 * np.sqrt(7 / 64 / count))
    columns = np.stack([np.asarray(values, float) for values in (one, two, direction, rare)])
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 4.5 / np.sqrt(count)


@pytest.mark.smoke
def test_momenta_are_standard_normal_and_counted_not_streamed(precision):
    seed = seeds(jax.random.split(jax.random.key(2), 200))
    found = momentum(seed, jnp.full(200, 7), 101, jnp.dtype(precision))
    assert found.shape == (200, 101)
    assert found.dtype == precision
    assert scipy.stats.kstest(np.asarray(found, float).ravel(), "norm").pvalue > 0.001
    np.testing.assert_array_equal(momentum(seed, jnp.full(200, 7), 60, jnp.dtype(precision)), found[:, :60])
    other = momentum(seed, jnp.full(200, 8), 101, jnp.dtype(precision))
    assert abs(float(jnp.corrcoef(found.ravel(), other.ravel())[0, 1])) < 4 / np.sqrt(found.size)


def test_the_largest_word_is_not_rounded_up_to_1():
    words = jnp.asarray([0, 2**32 - 1], jnp.uint32)
    found = np.asarray(_uniform(words, jnp.dtype("float32")))
    assert 0.0 < found[0] < found[1] < 1.0
    assert np.isfinite(jax.lax.erf_inv(2.0 * found - 1.0)).all()
