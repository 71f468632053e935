"""How well outcomes were foreseen: the measurement's own error belongs to what was predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from mmm_jax.analysis.scores import crps
from mmm_jax.monitoring.records import Measurement

_DRAWS = 4000


def score_outcomes(measurements: Sequence[Measurement], prob: float) -> pd.DataFrame:
    """See `Ledger.scores`."""
    columns = ["decision", "outcome", "channel", "measured", "predicted", "lower", "upper", "inside", "pit", "crps"]
    return pd.DataFrame([_row(one, prob) for one in measurements], columns=columns).set_index(["decision", "outcome"])


def pit(measurement: Measurement) -> float:
    """Probability that the predictive distribution gives to less than was measured."""
    outcome = measurement.outcome
    return float(ndtr((outcome.value - measurement.predicted) / outcome.se).mean())


def predictive(measurement: Measurement) -> np.ndarray:
    """Draws of what a measurement would show if the model were right, (draw,); the same ones each time."""
    draws = np.repeat(measurement.predicted, -(-_DRAWS // len(measurement.predicted)))
    # Errors at even probabilities, in an order that has nothing to do with the draws': less noise than random ones.
    errors = ndtri((np.arange(len(draws)) + 0.5) / len(draws))
    return draws + measurement.outcome.se * np.random.default_rng(0).permutation(errors)


def _row(measurement: Measurement, prob: float) -> tuple[Any, ...]:
    outcome, draws = measurement.outcome, predictive(measurement)
    lower, upper = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2])
    return (
        outcome.decision,
        outcome.number,
        outcome.channel or "total",
        outcome.value,
        float(measurement.predicted.mean()),
        float(lower),
        float(upper),
        bool(lower <= outcome.value <= upper),
        pit(measurement),
        float(crps(np.array([outcome.value]), draws[:, None])[0]),
    )
