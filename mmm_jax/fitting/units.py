"""What a fit's media are counted in, on the axes of its curves and in its files."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.media import unit_of
from mmm_jax.data.panel import Panel
from mmm_jax.data.reach import frequency_of, largest_frequency
from mmm_jax.data.scaling import Scales

_NAMES = ("units", "organic", "frequency_columns")
"""Fields of a panel that name columns."""


def media_axis(panel: Panel) -> tuple[dict[str, Any], dict[str, str]]:
    """Coordinates and attributes of what saturates by channel: media, or frequency; without units, those of spend."""
    coords: dict[str, Any] = {"channel": list(panel.channels)}
    if not panel.units:
        return coords, {}
    units = {name: frequency_of(panel, name) or unit_of(panel, name) for name in panel.channels}
    named, long_name = ", ".join(f"{name}: {unit}" for name, unit in units.items()), "media per period"
    coords |= {"unit": ("channel", list(units.values()))}
    if panel.frequency_columns:
        coords |= {"axis": ("channel", ["frequency" if column else "media" for column in panel.frequency_columns])}
        long_name = "media per period, or frequency"
    return coords, {"long_name": long_name, "units": named}


def saturated(panel: Panel, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
    """What saturates, largest amount and scale, shape (channel,) each: media per period, or frequency."""
    largest = panel.exposure.max(axis=1)
    if scales.frequency is None or not panel.frequency_columns:
        return largest, scales.channel
    own = np.array([bool(column) for column in panel.frequency_columns])
    return np.where(own, largest_frequency(panel), largest), np.where(own, scales.frequency, scales.channel)


def kinds_attributes(panel: AnyPanel) -> dict[str, str]:
    """Units, organic channels, columns of frequency and treatments as text, of those that there are."""
    kinds = {name: getattr(panel, name) for name in (*_NAMES, "treatments")}
    return {name: json.dumps(kind) for name, kind in kinds.items() if kind}


def kinds_from(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `kinds_attributes`."""
    names = {name: tuple(json.loads(attributes.get(name, "[]"))) for name in _NAMES}
    return {**names, "treatments": tuple((name, level) for name, level in json.loads(attributes.get("treatments", "[]")))}
