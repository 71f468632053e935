"""Keys: a seed and its key mean the same everywhere."""

import jax
import numpy as np
import pytest

from mmm_jax.fitting.keys import as_generator, as_key


@pytest.mark.parametrize("seed", [0, 1, 123_456, 2**31 - 1])
def test_a_seed_and_its_key_give_the_same_numbers(seed):
    np.testing.assert_array_equal(as_generator(seed).normal(size=5), as_generator(jax.random.key(seed)).normal(size=5))
    assert as_key(seed) == jax.random.key(seed)


@pytest.mark.parametrize("wrong", [0.5, True, "0", None])
def test_anything_else_is_refused(wrong):
    for verb in (as_key, as_generator):
        with pytest.raises(TypeError, match="`key` must be an integer or a JAX random key"):
            verb(wrong)
