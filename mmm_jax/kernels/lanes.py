"""Batched forms that keep the lanes where a kernel wants them.

`vmap` puts the new axis first, and contractions then transpose what they read. A kernel that is written for an explicit
lane axis becomes, by `lane_batched`, a function whose `vmap` merges the mapped axis into the kernel's own lane axis.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array


def lane_batched(kernel: Callable[..., tuple[Array, ...]], axes: tuple[int, ...], out_axes: tuple[int, ...]) -> Any:
    """The kernel with `vmap` over everything but its first argument merged into its own lane axis.

    Args:
        kernel: `kernel(shared, *arguments)` returns a tuple; arguments and results have a lane axis, `shared` has none.
            Each lane's result depends on that lane's arguments and on `shared` only.
        axes: the lane axis of each argument.
        out_axes: the lane axis of each result.

    Returns:
        A function of the same signature. Mapped over `shared` as well, it is the kernel over that axis, such as one of
        geos or of fits, which takes lanes as before.
    """

    @custom_vmap
    def function(shared: Array, *arguments: Array) -> tuple[Array, ...]:
        return kernel(shared, *arguments)

    @function.def_vmap
    def rule(axis_size: int, in_batched: list[bool], shared: Array, *arguments: Array) -> tuple[Any, Any]:
        shared_batched, *batched = in_batched
        if not any(in_batched):
            # So asked by forward-mode differentiation, which maps over the tangents alone.
            return kernel(shared, *arguments), (False,) * len(out_axes)
        if shared_batched:
            over = (0, *(0 if mapped else None for mapped in batched))
            inner = tuple(axis + mapped for axis, mapped in zip(axes, batched, strict=True))
            outer = tuple(axis + 1 for axis in out_axes)
            found = lane_batched(jax.vmap(kernel, over), inner, outer)(shared, *arguments)
        else:
            merged = map(_merged, arguments, axes, batched, [axis_size] * len(axes))
            # Itself, for the next `vmap` around this one.
            results = function(shared, *merged)
            found = tuple(_split(result, axis, axis_size) for result, axis in zip(results, out_axes, strict=True))
        return found, (True,) * len(out_axes)

    return function


def _merged(argument: Array, axis: int, mapped: bool, axis_size: int) -> Array:
    """The mapped axis, first so far, in front of the lane axis and merged into it."""
    if not mapped:
        argument = jnp.broadcast_to(argument, (axis_size, *argument.shape))
    moved = jnp.moveaxis(argument, 0, axis)
    return moved.reshape(*moved.shape[:axis], -1, *moved.shape[axis + 2 :])


def _split(result: Array, axis: int, axis_size: int) -> Array:
    """The inverse of `_merged`."""
    split = result.reshape(*result.shape[:axis], axis_size, -1, *result.shape[axis + 1 :])
    return jnp.moveaxis(split, axis, 0)
