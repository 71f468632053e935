"""Scores of predictive draws against what happened. Pure NumPy: they serve any draws."""

import numpy as np
import xarray as xr

Values = np.ndarray | xr.DataArray
Observed = Values | None
"""A panel's target: `None`, where it is not known, is an error."""


def crps(y: Observed, draws: Values) -> np.ndarray:
    """Continuous ranked probability score per observation, in the units of `y`; less is better.

    `mean_s |y_s - y| - 1/2 mean_{s,s'} |y_s - y_{s'}|`, by sorting in O(S log S).

    Args:
        y: observed values, shape (time,).
        draws: predictive draws, shape (..., time); all leading axes (chain, draw) count as draws.

    Reference:
        Gneiting and Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation.

    Example:
        >>> crps(np.array([0.0]), np.array([[1.0], [3.0]]))
        array([1.5])
    """
    observed, flat = _aligned(y, draws)
    count = len(flat)
    ranks = 2 * np.arange(1, count + 1) - count - 1
    spread = ranks @ np.sort(flat, axis=0) / count**2
    return np.abs(flat - observed).mean(axis=0) - spread


def coverage(y: Observed, draws: Values, prob: float = 0.9) -> float:
    """Share of observations inside of the central interval of the given probability."""
    observed, flat = _aligned(y, draws)
    low, high = np.quantile(flat, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return float(np.mean((observed >= low) & (observed <= high)))


def mape(y: Observed, draws: Values) -> np.ndarray:
    """Mean absolute percentage error of every draw, as a fraction; infinite where an observation is 0."""
    observed, flat = _aligned(y, draws)
    return _relative(np.abs(flat - observed), np.abs(observed)).mean(axis=1)


def nrmse(y: Observed, draws: Values) -> np.ndarray:
    """Root mean squared error of every draw, divided by the range of the observations; infinite where all are equal."""
    observed, flat = _aligned(y, draws)
    return _relative(np.sqrt(np.mean((flat - observed) ** 2, axis=1)), np.ptp(observed))


def r2(y: Observed, draws: Values) -> np.ndarray:
    """Share of the observations' variance that every draw explains, `1 - SSE / SST`; negative if worse than the mean.

    Minus infinity where all observations are equal.
    """
    observed, flat = _aligned(y, draws)
    # Rounding leaves a sum of squares even of equal observations.
    total = np.sum((observed - observed.mean()) ** 2) if np.ptp(observed) > 0 else np.float64(0.0)
    return 1 - _relative(np.sum((flat - observed) ** 2, axis=1), total)


def score_table(y: Observed, predicted: xr.Dataset, prob: float = 0.9) -> dict[str, float]:
    """All scores in one: CRPS and coverage of the predictive draws, the others of the expected values' posterior mean.

    Args:
        y: observed values, shape (time,).
        predicted: as `Fit.predict` returns it, with `y` and `mean`.
        prob: probability of the interval whose coverage is reported.
    """
    centre = predicted["mean"].mean(("chain", "draw"))
    return {
        "crps": float(crps(y, predicted["y"]).mean()),
        "coverage": coverage(y, predicted["y"], prob),
        "mape": float(mape(y, centre)[0]),
        "nrmse": float(nrmse(y, centre)[0]),
        "r2": float(r2(y, centre)[0]),
    }


def _aligned(y: Observed, draws: Values) -> tuple[np.ndarray, np.ndarray]:
    if y is None:
        raise ValueError("`y` is None: a panel without a target cannot be scored.")
    observed, values = np.asarray(y, float), np.asarray(draws, float)
    if np.isnan(observed).any():
        raise ValueError("`y` has rows that are not there. Leave them out of it and of `draws`, or see `Fit.scores`.")
    if observed.ndim != 1 or values.shape[-1:] != observed.shape:
        raise ValueError(
            "`y` must have shape (time,) and `draws` (..., time) with the same time, "
            f"got {observed.shape} and {values.shape}."
        )
    return observed, values.reshape(-1, observed.shape[0])


def _relative(error: np.ndarray, size: np.ndarray | np.floating) -> np.ndarray:
    """`error / size`; infinite where there is nothing to compare with."""
    return np.divide(error, size, out=np.full_like(error, np.inf), where=size > 0)
