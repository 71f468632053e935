"""Response of every draw at any levels of spend, from curves between a few of them: as the page's script does."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.interpolate import CubicHermiteSpline


class Response(NamedTuple):
    """Per draw, in units of the target."""

    total: np.ndarray
    by_channel: np.ndarray
    """Shape (draw, channel)."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What each channel does at a few levels, for draws that belong together over all channels.

    Attributes:
        positions: places of the knots, shape (channel, knot), increasing from 0 to 1.
        effects: shape (channel, draw, period, knot). Where responses add up, they are the responses, of one period.
            Where they multiply, they are the logarithms of the factors on the expected target.
        baseline: where effects multiply, the expected target without media, shape (draw, period); else `None`.
    """

    positions: np.ndarray
    effects: np.ndarray
    baseline: np.ndarray | None = None

    @property
    def num_draws(self) -> int:
        """Number of draws."""
        return self.effects.shape[1]

    def take(self, draws: np.ndarray) -> Self:
        """The curves of some draws."""
        return replace(
            self, effects=self.effects[:, draws], baseline=None if self.baseline is None else self.baseline[draws]
        )

    def at(self, positions: np.ndarray) -> Response:
        """Response with each channel at its position, shape (channel,)."""
        if self.baseline is None:
            found = self._between(positions)[..., 0].T
            return Response(found.sum(axis=1), found)
        return _multiplied(self._between(positions), self.effects[..., 0], self.baseline)

    def _between(self, positions: np.ndarray) -> np.ndarray:
        pairs = zip(self.positions, self.effects.astype(float), positions, strict=True)
        splines = (
            CubicHermiteSpline(knots, values, slopes(knots, values), axis=-1)(place) for knots, values, place in pairs
        )
        return np.stack(list(splines))


def slopes(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slopes at the knots of a cubic that turns nowhere between them, so that no curve turns where its model's does not.

    Args:
        knots: shape (knot,), at least 3.
        values: shape (..., knot).

    Reference:
        Steffen (1990), A simple method for monotonic interpolation in one dimension, eqs. 11, 24 and 25.
    """
    width = np.diff(knots)
    rise = np.diff(values) / width
    left, right, before, after = width[:-1], width[1:], rise[..., :-1], rise[..., 1:]
    parabola = (before * right + after * left) / (left + right)
    inner = (np.sign(before) + np.sign(after)) * np.minimum(np.minimum(np.abs(before), np.abs(after)), np.abs(parabola) / 2)
    return np.concatenate([_end_slope(width, rise), inner, _end_slope(width[::-1], rise[..., ::-1])], axis=-1)


def _end_slope(width: np.ndarray, rise: np.ndarray) -> np.ndarray:
    (near, far), first, second = width[:2], rise[..., :1], rise[..., 1:2]
    parabola = first + (first - second) * near / (near + far)
    held = np.minimum(np.abs(parabola), 2 * np.abs(first))
    return np.where(parabola * first > 0, np.sign(first) * held, 0.0)


def _multiplied(effects: np.ndarray, carried: np.ndarray, baseline: np.ndarray) -> Response:
    """The expected target with the effects, less that without all of them, or without one channel's."""
    together = effects.sum(axis=0)
    mean = baseline * np.exp(together)
    total = (mean - baseline * np.exp(carried.sum(axis=0, dtype=float))).sum(axis=-1)
    without = baseline * np.exp(together - effects + carried)
    return Response(total, (mean - without).sum(axis=-1).T)
