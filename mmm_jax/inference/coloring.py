"""Hessians with blocks that do not matter to each other, by as few differences of the gradient as possible.

Given what all geos share, one geo's parameters say nothing of another's: their part of the Hessian is 0. So one difference
of the gradient along the first coordinate of every geo at once tells that coordinate's row for each of them.

Reference:
    Curtis, Powell and Reid (1974), On the estimation of sparse Jacobian matrices.
"""

from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float, Int

SHARED = -1
"""The block of coordinates that matter to all."""


class Coloring(NamedTuple):
    """Which coordinates are stepped along together, and what that tells.

    Attributes:
        color: number of the step that every coordinate is part of, shape (flat,).
        told: whether a coordinate's step tells the Hessian's entry in its row and a column, shape (flat, flat).
    """

    color: Int[np.ndarray, " flat"]
    told: Bool[np.ndarray, "flat flat"]

    @classmethod
    def of(cls, blocks: Int[np.ndarray, " flat"]) -> Self:
        """Coloring of a flat vector's coordinates.

        Args:
            blocks: number of every coordinate's block, `SHARED` for those that matter to all.
        """
        shared = blocks == SHARED
        color = np.zeros(len(blocks), int)
        for block in np.unique(blocks[~shared]):
            color[blocks == block] = np.arange(np.sum(blocks == block))
        count = 0 if shared.all() else color.max() + 1
        color[shared] = count + np.arange(shared.sum())
        return cls(color, shared[:, None] | (blocks[:, None] == blocks))

    @property
    def count(self) -> int:
        """Steps of the gradient that the whole Hessian takes."""
        return int(self.color.max()) + 1

    @property
    def steps(self) -> Float[np.ndarray, "color flat"]:
        """What is stepped along: 1 for every coordinate of a color."""
        return (np.arange(self.count)[:, None] == self.color).astype(float)

    def hessian(self, changes: Float[np.ndarray, "fit color flat"]) -> Float[np.ndarray, "fit flat flat"]:
        """The symmetric Hessian, by the gradient's change along every step."""
        rows = np.where(self.told, changes[:, self.color], 0.0)
        # What only one of two coordinates' steps tells, holds for both.
        twice = self.told.astype(float) + self.told.T
        return (rows + rows.swapaxes(1, 2)) / np.where(twice > 0.0, twice, 1.0)


def uncolored(size: int) -> Coloring:
    """Coloring of coordinates that may all matter to each other."""
    return Coloring.of(np.full(size, SHARED))
