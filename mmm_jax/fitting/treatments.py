"""The fit's side of treatments: their reference in the design's units, and their place beside the controls."""

from typing import Any

import numpy as np

from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.data.treatments import reference_levels


def design_reference(panel: Panel, scales: Scales) -> tuple[np.ndarray, ...]:
    """Reference of every control as the design has them, shape (control,), 0 for plain ones; nothing without treatments.

    Args:
        panel: the training rows.
        scales: what its controls are divided by.
    """
    levels = reference_levels(panel)
    if not levels:
        return ()
    steps = zip(panel.control_names, scales.control_location, scales.control_scale, strict=True)
    return (np.array([(levels[n] - middle) / scale if n in levels else 0.0 for n, middle, scale in steps]),)


def told_apart(found: dict[str, np.ndarray], panel: Panel) -> dict[str, np.ndarray]:
    """Components with the treatments, (draw, treatment, ...), beside the plain controls, (draw, control, ...)."""
    treated = np.isin(panel.control_names, component_coords(panel)["treatment"])
    if not treated.any():
        return found
    controls = found["controls"]
    return {**found, "controls": controls[:, ~treated], "treatments": controls[:, treated]}


def component_coords(panel: Panel) -> dict[str, Any]:
    """Labels of the treatments and of the plain controls."""
    treated = [name for name, _ in panel.treatments]
    return {"treatment": treated, "control": [name for name in panel.control_names if name not in treated]}
