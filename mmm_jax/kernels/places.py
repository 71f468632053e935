"""Entries of an axis at places that are known when a program is compiled."""

import jax.numpy as jnp
from jaxtyping import Array

Places = tuple[int, ...]
"""Where something is along an axis."""


def taken(values: Array, places: Places | None, axis: int = 0) -> Array:
    """`values` at some places of an axis, or at all of them (`None`): by slices, whose derivatives are no sums over indices.

    Example:
        >>> taken(jnp.array([1, 2, 3, 4]), (1, 2, 0))
        Array([2, 3, 1], dtype=int32)
    """
    if places is None or places == tuple(range(values.shape[axis])):
        return values
    before = (slice(None),) * (axis % values.ndim)
    pieces = [values[(*before, slice(*run))] for run in _runs(places)]
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=axis)


def _runs(places: Places) -> list[tuple[int, int]]:
    """Places that follow each other, as ranges."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return found
