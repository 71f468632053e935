"""What a fit's media are counted in, on the axes of its curves and in its files."""

import json
from collections.abc import Mapping
from typing import Any

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.media import unit_of
from mmm_jax.data.panel import Panel


def media_axis(panel: Panel) -> tuple[dict[str, Any], dict[str, str]]:
    """Coordinates and attributes of amounts of media by channel; without units, those of spend."""
    coords: dict[str, Any] = {"channel": list(panel.channels)}
    if not panel.units:
        return coords, {}
    units = {name: unit_of(panel, name) for name in panel.channels}
    named = ", ".join(f"{name}: {unit}" for name, unit in units.items())
    return coords | {"unit": ("channel", list(units.values()))}, {"long_name": "media per period", "units": named}


def kinds_attributes(panel: AnyPanel) -> dict[str, str]:
    """Units, organic channels and treatments as text, of those that there are."""
    kinds = {"units": panel.units, "organic": panel.organic, "treatments": panel.treatments}
    return {name: json.dumps(kind) for name, kind in kinds.items() if kind}


def kinds_from(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `kinds_attributes`."""
    units, organic, treatments = (json.loads(attributes.get(n, "[]")) for n in ("units", "organic", "treatments"))
    return {"units": tuple(units), "organic": tuple(organic), "treatments": tuple((n, level) for n, level in treatments)}
