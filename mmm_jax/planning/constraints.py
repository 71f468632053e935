"""The set that a plan is chosen from: a total and a box per channel, checked before anything is solved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmm_jax.errors import InfeasibleError, PlanError

Bounds = Mapping[str, tuple[float, float]]
"""Lowest and highest spend by channel."""

SMALLEST_SHARE = 1e-12
"""Share of the total that the solver leaves to a channel that may go to 0: at 0 itself a root has no slope to climb."""


@dataclass(frozen=True, eq=False)
class Budget:
    """Total spend over the horizon, and the box of each channel's part of it.

    Attributes:
        total: currency over the horizon.
        lower, upper: currency over the horizon, shape (channel,); infinite where there is no upper bound.
    """

    total: float
    lower: np.ndarray
    upper: np.ndarray

    @property
    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The box relative to the total: the solver's own scale."""
        upper = np.minimum(self.upper / self.total, 1.0)
        return np.minimum(np.maximum(self.lower / self.total, SMALLEST_SHARE), upper), upper


def checked_budget(total: float, bounds: Bounds | None, channels: Sequence[str], factor: float) -> Budget:
    """The budget of a problem as the user states it.

    Args:
        total: total spend, positive.
        bounds: boxes; channels that are not named may have anything.
        channels: all channels of the fit.
        factor: horizon's currency per unit of `total` and `bounds`.

    Raises:
        PlanError: unknown channel, or a bound or total that is not a usable number.
        InfeasibleError: no spend lies in all boxes and sums to the total; says by how much.
    """
    total, given = _checked_total(total), dict(bounds or {})
    unknown = sorted(set(given) - set(channels))
    if unknown:
        raise PlanError(f"`bounds` names the channel {unknown[0]!r}; the fit has {', '.join(channels)}.")
    boxes = [_checked_box(channel, given[channel]) if channel in given else (0.0, np.inf) for channel in channels]
    lower, upper = np.array(boxes).T
    if lower.sum() > total * (1 + 1e-12):
        raise InfeasibleError(
            f"The lower bounds sum to {lower.sum():,.2f}, which is {lower.sum() - total:,.2f} more than the total of "
            f"{total:,.2f}. The largest are {_largest(channels, lower)}. Lower them, or raise the total."
        )
    if upper.sum() < total * (1 - 1e-12):
        raise InfeasibleError(
            f"The upper bounds sum to {upper.sum():,.2f}, which is {total - upper.sum():,.2f} less than the total of "
            f"{total:,.2f}. The smallest are {_largest(channels, -upper)}. Raise them, or lower the total."
        )
    return Budget(total * factor, lower * factor, upper * factor)


def _checked_total(total: float) -> float:
    try:
        amount = float(total)
    except (TypeError, ValueError) as error:
        raise PlanError(f"`total` must be a positive number, got {total!r}.") from error
    if not (np.isfinite(amount) and amount > 0):
        raise PlanError(f"`total` must be a positive number, got {amount:g}.")
    return amount


def _checked_box(channel: str, box: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in box)
    except (TypeError, ValueError) as error:
        raise PlanError(f"The bounds of {channel!r} must be two numbers (lowest, highest), got {box!r}.") from error
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise PlanError(f"The bounds of {channel!r} must be finite and at least 0, got ({low}, {high}).")
    if low > high:
        raise InfeasibleError(f"The lower bound of {channel!r}, {low:,.2f}, is above its upper bound, {high:,.2f}.")
    return low, high


def _largest(channels: Sequence[str], values: np.ndarray) -> str:
    order = np.argsort(-values)[:3]
    return ", ".join(f"{channels[i]} ({abs(values[i]):,.2f})" for i in order)
