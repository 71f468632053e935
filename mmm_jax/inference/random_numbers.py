"""Random numbers by counter, for loops whose iterations must be cheap.

JAX's own generator is a loop of its own inside of every program: on a CPU a hundred small steps at every leapfrog. The
same cipher, unrolled, becomes one step. A number depends on its seed and its counters only, so that a lane's numbers are
the same whatever runs beside it, and however long its vectors are.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_STEPS = 0
"""First counter of the numbers of a step; those of a momentum are counted from the next one."""


def seeds(keys: Array) -> UInt32[Array, "*shape 2"]:
    """Seeds of JAX keys of any kind."""
    bits = lambda key: jax.random.bits(key, (2,), jnp.uint32)  # noqa: E731
    for _ in range(keys.ndim):
        bits = jax.vmap(bits)
    return bits(keys)


def threefry(seed: UInt32[Array, "*shape 2"], first: Array, second: Array) -> tuple[Array, Array]:
    """Two random words for every seed and pair of counters, which broadcast against each other.

    Reference:
        Salmon et al. (2011), Parallel Random Numbers: As Easy as 1, 2, 3: Threefry-2x32 with 20 rounds.
    """
    key = (seed[..., 0], seed[..., 1], seed[..., 0] ^ seed[..., 1] ^ jnp.uint32(_PARITY))
    one, two = first.astype(jnp.uint32) + key[0], second.astype(jnp.uint32) + key[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            one = one + two
            two = one ^ (two << rotation | two >> (32 - rotation))
        one, two = one + key[(group + 1) % 3], two + key[(group + 2) % 3] + jnp.uint32(group + 1)
    return one, two


def step_numbers(
    seed: UInt32[Array, "*shape 2"], step: Array, dtype: jnp.dtype, rare: int
) -> tuple[Array, Array, Array, Array]:
    """Two uniform numbers in (0, 1), a fair direction of 1 or -1, and whether something that is as rare as 1 in `rare` is.

    Args:
        seed: of every lane.
        step: counter of the step.
        dtype: of the numbers.
        rare: at most 128.
    """
    one, two = threefry(seed, jnp.full_like(step, _STEPS), step)
    direction = jnp.where(one & 1, 1, -1).astype(dtype)
    # The last bits of a word are not in its uniform number.
    return _uniform(one, dtype), _uniform(two, dtype), direction, two % 128 < 128 // rare


def momentum(seed: UInt32[Array, "*shape 2"], draw: Array, size: int, dtype: jnp.dtype) -> Float[Array, "*shape flat"]:
    """Standard normal numbers of a draw; the first ones are the same for any size."""
    pairs = jnp.arange(1, size // 2 + size % 2 + 1, dtype=jnp.uint32)
    words = threefry(seed[..., None, :], pairs, draw[..., None])
    uniform = 2.0 * _uniform(jnp.stack(words, axis=-1), jnp.float32) - 1.0
    normal = math.sqrt(2.0) * jax.lax.erf_inv(uniform)
    return normal.reshape(*normal.shape[:-2], -1)[..., :size].astype(dtype)


def _uniform(word: Array, dtype: jnp.dtype) -> Array:
    """In (0, 1), from the first 23 bits: with the half, all that a float32 holds without rounding up to 1."""
    return ((word >> 9).astype(dtype) + 0.5) * jnp.asarray(2.0**-23, dtype)
