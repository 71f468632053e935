"""How far the page can move each channel's spend, and at which levels of it the response is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.errors import PlanError

_BEYOND_REFERENCE = 1.25
"""How far a slider goes beyond the reference's spend, where that is more than twice the plan's."""

_NEAR_ZERO = 0.125, 0.25, 0.5
"""Knots in parts of the first even step."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of spend per channel, in currency over the horizon.

    Attributes:
        channels: names.
        plan: shape (channel,).
        reference: likewise; `None` without a reference.
        highest: end of the slider, positive, shape (channel,).
        observed: level at which the channel's largest period, spread as the plan is, reaches the largest that was
            observed; infinite where that is not known; shape (channel,).
        positions: where the response is computed, as `sqrt(level / highest)`, shape (channel, knot): dense near 0, where
            curves bend most, with the plan and the reference among them.
        profile: each cell's share in its channel's spend, with the dimensions of the plan's spend.
        organic: channels that have no spend.
    """

    channels: tuple[str, ...]
    plan: np.ndarray
    reference: np.ndarray | None
    highest: np.ndarray
    observed: np.ndarray
    positions: np.ndarray
    profile: xr.DataArray
    organic: tuple[str, ...] = ()

    def spend_at(self, positions: np.ndarray) -> xr.DataArray:
        """Spend with each channel at its position, with the dimensions of the plan's spend."""
        return self.profile * self.profile["channel"].copy(data=self.highest * positions**2)

    def position(self, level: np.ndarray) -> np.ndarray:
        """Where levels lie between the knots."""
        return np.sqrt(level / self.highest)


def page_levels(
    plan: Any, *, reference: np.ndarray | None, observed_peak: Mapping[str, float] | None = None, knots: int
) -> Levels:
    """Levels for a plan.

    Args:
        plan: an `Allocation`.
        reference: spend to compare with, in currency over the horizon, shape (channel,).
        observed_peak: largest spend of a period that was observed, by channel; summed over all but the dates. The plan's
            own comparison with what was observed by default.
        knots: how many.

    Raises:
        PlanError: `observed_peak` names a channel that the plan does not have, or is not a number above 0.
    """
    channels = tuple(str(name) for name in plan.spend["channel"].to_numpy())
    planned, profile = per_channel(plan.spend).to_numpy(), _profile(plan.spend)
    observed = _as_the_plan_says(plan) if observed_peak is None else _observed(profile, channels, observed_peak)
    highest = _highest(planned, reference, observed)
    marks = [planned] if reference is None else [reference, planned]
    positions = _knots(np.sqrt(np.stack(marks) / highest), knots)
    return Levels(channels, planned, reference, highest, observed, positions, profile, plan.organic)


def per_channel(values: xr.DataArray) -> xr.DataArray:
    """Sums over all dimensions but the channels."""
    return values.sum([dim for dim in values.dims if dim != "channel"])


def _profile(spend: xr.DataArray) -> xr.DataArray:
    """As the plan spreads each channel's spend; evenly where it spends nothing."""
    sums = per_channel(spend)
    even = spend.sizes["channel"] / spend.size
    return xr.where(sums > 0, spend / sums.where(sums > 0, 1.0), even).transpose(*spend.dims)


def _as_the_plan_says(plan: Any) -> np.ndarray:
    """By the planned and observed peaks, the nearest of all geos; unknown for a channel that the plan spends nothing on."""
    planned, observed = plan.extrapolation["planned_peak"], plan.extrapolation["observed_peak"]
    ratio = xr.where(planned > 0, observed / planned.where(planned > 0, 1.0), np.inf)
    nearest = ratio.min([dim for dim in ratio.dims if dim != "channel"]).sel(channel=plan.spend["channel"]).to_numpy()
    spent = per_channel(plan.spend).to_numpy()
    return np.where(spent > 0, nearest, 1.0) * np.where(spent > 0, spent, np.inf)


def _observed(profile: xr.DataArray, channels: tuple[str, ...], peaks: Mapping[str, float]) -> np.ndarray:
    given = {str(name): peak for name, peak in peaks.items()}
    unknown = sorted(set(given) - set(channels))
    if unknown:
        raise PlanError(f"`observed_peak` names the channel {unknown[0]!r}; the plan has {', '.join(channels)}.")
    wrong = [name for name, peak in given.items() if not peak > 0]
    if wrong:
        raise PlanError(f"`observed_peak` must be above 0, got {given[wrong[0]]} for {wrong[0]!r}.")
    largest = profile.sum([dim for dim in profile.dims if dim not in ("date", "channel")]).max("date")
    return np.array([given.get(name, np.inf) for name in channels]) / largest.to_numpy()


def _highest(plan: np.ndarray, reference: np.ndarray | None, observed: np.ndarray) -> np.ndarray:
    known = 2.0 * plan if reference is None else np.maximum(2.0 * plan, _BEYOND_REFERENCE * reference)
    # For a channel that neither spends on: what was observed, or else an even part of the total.
    fallback = np.where(np.isfinite(observed), observed, plan.mean())
    return np.where(known > 0, known, fallback)


def _knots(marks: np.ndarray, count: int) -> np.ndarray:
    """Positions from 0 to 1, those next to a mark moved onto it; where two marks meet, the last one has it.

    They are even but for a few more near 0, where curves such as roots rise without limit.

    Args:
        marks: shape (mark, channel).
        count: of knots, at least 6.
    """
    even = np.linspace(0.0, 1.0, count - len(_NEAR_ZERO))
    positions = np.tile(np.sort([*even, *(even[1] * np.array(_NEAR_ZERO))]), (marks.shape[1], 1))
    for places in marks:
        for row, place in zip(positions, places, strict=True):
            if 0 < place < 1:
                # The ends stay where they are, since sliders go from end to end.
                row[np.clip(np.argmin(np.abs(row - place)), 1, count - 2)] = place
    return positions
