"""Randomness by explicit keys; the public verbs also take a seed."""

import hashlib

import jax
import numpy as np

Key = int | jax.Array
"""A seed or a JAX random key."""


def as_key(key: Key) -> jax.Array:
    """The JAX key of a seed, or the key itself.

    Raises:
        TypeError: neither an integer nor a key.
    """
    if isinstance(key, bool) or not isinstance(key, (int, jax.Array)):
        raise TypeError(f"`key` must be an integer or a JAX random key, got {type(key).__name__}.")
    return jax.random.key(key) if isinstance(key, int) else key


def as_generator(key: Key) -> np.random.Generator:
    """NumPy's generator seeded by a key, for random numbers that no compiled program needs.

    Raises:
        TypeError: neither an integer nor a key.
    """
    if isinstance(key, int) and not isinstance(key, bool):
        # The two words that `jax.random.key` makes of a seed.
        return np.random.default_rng([key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF])
    return np.random.default_rng(jax.random.key_data(as_key(key)).tolist())


def named_key(key: jax.Array, name: str) -> jax.Array:
    """The key of one of many, such as a fit of a batch or a geo: it depends on its name, not on its place."""
    return jax.random.fold_in(key, int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
