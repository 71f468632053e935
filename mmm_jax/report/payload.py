"""What the page's script computes with: names and levels as JSON, draws as packed 32-bit numbers."""

import base64
from typing import Any

import numpy as np

from mmm_jax.report.curves import Curves
from mmm_jax.report.levels import Levels
from mmm_jax.report.words import PROB, Words


def payload(levels: Levels, curves: Curves, words: Words, reference_response: np.ndarray | None) -> dict[str, Any]:
    """Plain values.

    Args:
        levels: of spend.
        curves: of the draws that the page gets.
        words: what things are called.
        reference_response: of the same draws, shape (draw,), in units of the target; `None` without a reference.
    """
    return {
        "channels": list(levels.channels),
        "plan": levels.plan.tolist(),
        "reference": None if levels.reference is None else levels.reference.tolist(),
        "highest": levels.highest.tolist(),
        "observed": [float(level) if np.isfinite(level) else None for level in levels.observed],
        "positions": levels.positions.tolist(),
        "draws": curves.num_draws,
        "periods": curves.effects.shape[2],
        "effects": packed(curves.effects),
        "baseline": None if curves.baseline is None else packed(curves.baseline),
        "referenceResponse": None if reference_response is None else packed(reference_response),
        "prob": PROB,
        "target": words.target,
        "currency": words.currency,
        "referenceName": words.reference,
    }


def packed(values: np.ndarray) -> str:
    """Little-endian 32-bit floats in C order, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()
