"""Treatments: controls such as price or promotion, whose effect is told against a reference level."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_jax.errors import PanelError

if TYPE_CHECKING:
    from mmm_jax.data.panel import Panel

RULES = {"max": np.max, "mean": np.mean, "min": np.min}
"""References that are known once there are training rows."""

Treatments = tuple[tuple[str, str | float], ...]
"""Name and reference of each: one of `RULES`, or a level in the treatment's own unit."""


def checked_treatments(given: Mapping[str, str | float] | None) -> Treatments:
    """The treatments in their order.

    Raises:
        PanelError: no mapping, or a reference that is neither a rule nor a finite number.
    """
    if not isinstance(given, Mapping | None):
        raise PanelError(f"`treatments` must map columns to their reference levels, got {type(given).__name__}.")
    return tuple((name, _reference(name, level)) for name, level in (given or {}).items())


def reference_levels(panel: "Panel") -> dict[str, float]:
    """Reference level of every treatment, in its own unit, over the rows of the panel that count."""
    rows = dict(zip(panel.control_names, panel.controls, strict=True))
    return {
        name: float(RULES[level](rows[name][panel.counted])) if isinstance(level, str) else level
        for name, level in panel.treatments
    }


def _reference(name: str, level: Any) -> str | float:
    if isinstance(level, str) and level in RULES:
        return level
    if isinstance(level, (int, float, np.integer, np.floating)) and not isinstance(level, bool) and np.isfinite(level):
        return float(level)
    raise PanelError(f"The reference of treatment {name!r} must be 'max', 'mean', 'min' or a finite number, got {level!r}.")
