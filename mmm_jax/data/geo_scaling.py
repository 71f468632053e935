"""The scales of a panel of geos: each geo's own, those per head, or the largest of any geo for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales, counted_target, frequency_scale, no_scale
from mmm_jax.errors import PanelError


@dataclass(frozen=True, eq=False)
class GeoScales:
    """What spend, target and controls of every geo are divided by.

    Attributes:
        geos: names.
        markets: by geo, in that order.
    """

    geos: tuple[str, ...]
    markets: tuple[Scales, ...]

    @classmethod
    def from_panel(cls, panel: GeoPanel, *, scale: str = "geo", standardize_controls: bool = False) -> Self:
        """Scales over the rows of the panel that count.

        A channel that a geo never used has the largest scale that it has in any geo.

        Args:
            panel: training rows.
            scale: `geo`, `population` or `panel`, see `ModelSpec.scale`.
            standardize_controls: by the mean and deviation over all geos.

        Raises:
            PanelError: a scale is 0, or the population is needed and not known.
        """
        heads = _heads(panel, scale)
        channel = panel.exposure.max(axis=2) / heads
        outcomes = [counted_target(market) for market in panel.markets]
        target = np.array([np.abs(outcome).max() for outcome in outcomes]) / heads
        if scale != "geo":
            channel, target = (
                np.broadcast_to(channel.max(axis=1, keepdims=True), channel.shape),
                np.full_like(target, target.max()),
            )
        _check_positive(panel, channel, target)
        channel = np.where(channel > 0, channel, channel.max(axis=1, keepdims=True)) * heads
        location, spread = _standards(panel) if standardize_controls else _standards(panel.take(slice(0)))
        means, frequency = [float(outcome.mean()) for outcome in outcomes], frequency_scale(panel.markets)
        made = zip(channel.T, target * heads, means, strict=True)
        return cls(panel.geos, tuple(Scales(c, float(t), location, spread, mean, frequency) for c, t, mean in made))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {"geos": {geo: scales.to_dict() for geo, scales in zip(self.geos, self.markets, strict=True)}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(tuple(values["geos"]), tuple(Scales.from_dict(scales) for scales in values["geos"].values()))

    def check_fits(self, panel: GeoPanel) -> None:
        """Raise a `PanelError` unless every geo of the panel has scales that fit it."""
        if self.geos != panel.geos:
            raise PanelError(f"The scales are for the geos {list(self.geos)}, the panel has {list(panel.geos)}.")
        for scales, market in zip(self.markets, panel.markets, strict=True):
            scales.check_fits(market)


AnyScales = Scales | GeoScales


def scales_of(panel: Panel | GeoPanel, *, scale: str, standardize_controls: bool) -> AnyScales:
    """The scales of a panel, of one market or of several.

    Raises:
        PanelError: see `Scales.from_panel` and `GeoScales.from_panel`.
    """
    if isinstance(panel, GeoPanel):
        return GeoScales.from_panel(panel, scale=scale, standardize_controls=standardize_controls)
    return Scales.from_panel(panel, standardize_controls=standardize_controls)


def scales_from_dict(values: Mapping[str, Any]) -> AnyScales:
    """The inverse of either `to_dict`."""
    return GeoScales.from_dict(values) if "geos" in values else Scales.from_dict(values)


def _heads(panel: GeoPanel, scale: str) -> np.ndarray:
    if scale != "population":
        return np.ones(len(panel.geos))
    if panel.population is None:
        raise PanelError("Scaling by heads needs the geos' population. Give `population=` to `Panel.from_frame`.")
    return panel.population


def _check_positive(panel: GeoPanel, channel: np.ndarray, target: np.ndarray) -> None:
    silent = np.flatnonzero(channel.max(axis=1) == 0)
    if len(silent):
        raise no_scale(panel, panel.channels[silent[0]])
    flat = np.flatnonzero(target == 0)
    if len(flat):
        raise PanelError(
            f"Target {panel.target_name!r} is 0 in all training rows of geo {panel.geos[flat[0]]!r}, so that it has no "
            "scale. Leave the geo out."
        )


def _standards(panel: GeoPanel) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of every control over all geos' rows; 0 and 1 where there are none."""
    joined = np.concatenate([market.controls for market in panel.markets], axis=1)
    if not joined.shape[1]:
        return np.zeros(len(joined)), np.ones(len(joined))
    varies = np.ptp(joined, axis=1) > 0
    return joined.mean(axis=1), np.where(varies, joined.std(axis=1), 1.0)
