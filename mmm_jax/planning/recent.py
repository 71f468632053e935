"""The rows of the last year of training, which plans take prices and frequencies from."""

import numpy as np

from mmm_jax.data.panel import Panel

LATELY = 364
"""Days of the last training rows whose mean cost a plan expects to pay: 52 weeks."""


def lately(panel: Panel) -> np.ndarray:
    """Whether a row is one of the last 52 weeks, shape (time,)."""
    return panel.dates > panel.dates[-1] - np.timedelta64(LATELY, "D")
