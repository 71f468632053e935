"""Mapping a function of one draw over thousands: jitted, without a Python loop, in chunks sized to memory."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from mmm_jax.model.components import Params
from mmm_jax.model.mmm import AbstractMMM

CHUNK_BYTES = 64 * 2**20
"""Memory that the intermediates of one chunk of draws may take."""

_WORKSPACE_FACTOR = 4
"""Intermediates per byte of result, a bound found by looking at the compiled programs' temporary memory."""


def over_draws(
    function: Callable[..., Any], model: AbstractMMM, draws: Mapping[str, Any], *arguments: Any, each: Any = None
) -> Any:
    """`function(model, draw, *arguments)` for every draw.

    Args:
        function: a module-level function of the model, one draw, then `each` (if given) and `arguments`.
        model: the model; an argument of the compiled program, like all arrays.
        draws: arrays with the draws as first axis.
        arguments: further arrays, the same for every draw.
        each: further arrays with the draws as first axis, such as keys.

    Returns:
        The function's result with the draws as first axis, as NumPy arrays.
    """
    first = jax.tree.map(lambda values: values[0], (draws, each))
    shapes = eqx.filter_eval_shape(_traced_once, function, model, first, arguments)
    bytes_per_draw = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
    # Of the model's arrays, every draw has one the size of the largest: the spend laid out by lag.
    largest = max(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    working = max(bytes_per_draw, largest) * _WORKSPACE_FACTOR
    count = jax.tree.leaves(draws)[0].shape[0]
    chunk = int(np.clip(CHUNK_BYTES // working, 1, count))
    found = jax.tree.map(np.asarray, _mapped(function, model, (draws, each), arguments, chunk))
    return eqx.combine(found, jax.tree.map(lambda leaf: np.zeros((count, *leaf.shape), leaf.dtype), shapes))


@eqx.filter_jit
def prior_draws(model: AbstractMMM, keys: jax.Array) -> Params:
    """One draw of all parameters from their priors per key, with the draws as first axis."""
    return jax.vmap(model.sample_prior)(keys)


@eqx.filter_jit
def _mapped(function: Callable[..., Any], model: AbstractMMM, mapped: Any, arguments: Any, chunk: int) -> Any:
    def one(draw: Any) -> Any:
        # `lax.map` cannot put chunks of size 0 together: the caller fills them in.
        return eqx.filter(_one(function, model, draw, arguments), lambda leaf: leaf.size > 0)

    return jax.lax.map(one, mapped, batch_size=chunk)


def _one(function: Callable[..., Any], model: AbstractMMM, mapped: Any, arguments: Any) -> Any:
    draw, each = mapped
    return function(model, draw, *(() if each is None else (each,)), *arguments)


_traced_once = eqx.filter_jit(_one)
"""The same, whose shapes are found without tracing it anew each time."""
