"""The scales that a model works in: part of the fitted artefact, reusable so that priors do not move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mmm_jax.data.media import CURRENCY, unit_of
from mmm_jax.data.panel import Panel
from mmm_jax.data.reach import largest_frequency, with_frequency
from mmm_jax.errors import PanelError

if TYPE_CHECKING:
    from mmm_jax.data.geo_panel import GeoPanel


@dataclass(frozen=True, eq=False)
class Scales:
    """What spend, target and controls are divided by.

    Attributes:
        channel: currency per period, or units where the panel has them, shape (channel,).
        target: units of the target.
        control_location: subtracted from the controls, shape (control,); 0 unless standardised.
        control_scale: divides the controls, shape (control,); 1 unless standardised.
        target_mean: units of the target; what a channel's share of the outcome refers to, so that a prior on the share
            stays where it is under other data. `None` for the mean of whatever panel is trained on.
        frequency: divides the average frequency, shape (channel,): the largest one, over all geos if there are several; 1
            for channels without one. `None` if no channel has one.
    """

    channel: np.ndarray
    target: float
    control_location: np.ndarray
    control_scale: np.ndarray
    target_mean: float | None = None
    frequency: np.ndarray | None = None

    @classmethod
    def from_panel(cls, panel: Panel, *, standardize_controls: bool = False) -> Self:
        """Largest spend (or units) per channel and largest absolute target over the rows of the panel.

        Raises:
            PanelError: a scale is 0; names the channel or the target.
        """
        outcome = counted_target(panel)
        channel = panel.exposure.max(axis=1)
        for name, scale in zip(panel.channels, channel, strict=True):
            if scale == 0:
                raise no_scale(panel, name)
        target = float(np.abs(outcome).max())
        if target == 0:
            raise PanelError(f"Target {panel.target_name!r} is 0 in all training rows, so that it has no scale.")
        count = len(panel.control_names)
        location, spread = np.zeros(count), np.ones(count)
        if standardize_controls and count:
            # Of a constant control, rounding may leave a tiny deviation, by which nothing may be divided.
            varies = np.ptp(panel.controls, axis=1) > 0
            location, spread = panel.controls.mean(axis=1), np.where(varies, panel.controls.std(axis=1), 1.0)
        return cls(channel, target, location, spread, float(outcome.mean()), frequency_scale([panel]))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        frequency = {} if self.frequency is None else {"frequency": self.frequency.tolist()}
        return {
            "channel": self.channel.tolist(),
            "target": self.target,
            "control_location": self.control_location.tolist(),
            "control_scale": self.control_scale.tolist(),
            "target_mean": self.target_mean,
            # Written only where there is one, so that other scales are what they were.
            **frequency,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(
            np.asarray(values["channel"], float),
            float(values["target"]),
            np.asarray(values["control_location"], float),
            np.asarray(values["control_scale"], float),
            values.get("target_mean"),
            np.asarray(values["frequency"], float) if "frequency" in values else None,
        )

    def check_fits(self, panel: Panel) -> None:
        """Raise a `PanelError` unless there is one positive scale per channel and one per control of the panel."""
        shifts, controls = len(self.control_location), len(self.control_scale)
        if shifts != controls:
            raise PanelError(f"Every control needs a location and a scale, but there are {shifts} and {controls}.")
        if len(self.channel) != len(panel.channels) or controls != len(panel.control_names):
            raise PanelError(
                f"The scales are for {len(self.channel)} channels and {controls} controls, "
                f"the panel has {len(panel.channels)} and {len(panel.control_names)}."
            )
        self._check_frequency(panel)
        frequency = np.ones(0) if self.frequency is None else self.frequency
        values = np.concatenate([self.channel, [self.target], self.control_scale, frequency])
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise PanelError("All scales must be positive and finite.")
        if not np.isfinite(self.control_location).all():
            raise PanelError("All locations of the controls must be finite.")

    def _check_frequency(self, panel: Panel) -> None:
        places, known = with_frequency(panel), 0 if self.frequency is None else len(self.frequency)
        if places and known != len(panel.channels):
            raise PanelError(
                f"Channel {panel.channels[places[0]]!r} has a frequency (column {panel.frequency_columns[places[0]]!r}), "
                "but the scales have none. Take the scales of this panel, or of an earlier fit with frequency."
            )


def frequency_scale(markets: Sequence[Panel]) -> np.ndarray | None:
    """Largest average frequency of any market, shape (channel,), 1 for channels without one; `None` if none has any.

    The same in every market: frequency is per person already, and so are the parameters of what it saturates.
    """
    if not markets[0].frequency_columns:
        return None
    largest = np.stack([largest_frequency(market) for market in markets]).max(axis=0)
    return np.where(largest > 0, largest, 1.0)


def no_scale(panel: "Panel | GeoPanel", channel: str) -> PanelError:
    """The error of a channel without any media."""
    what = "no spend" if unit_of(panel, channel) == CURRENCY else f"no media (column {unit_of(panel, channel)!r})"
    return PanelError(f"Channel {channel!r} has {what} in the training rows, so that it has no scale. Leave it out.")


def counted_target(panel: Panel) -> np.ndarray:
    """The target in the rows that count.

    Raises:
        PanelError: the panel has no target.
    """
    if panel.target is None:
        raise PanelError("A panel without a target has no target scale. Give `target=` to `Panel.from_frame`.")
    return panel.target[panel.counted]
