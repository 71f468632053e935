r"""By which factor channels bring more than was predicted.

`O_d ~ Normal(sum_c kappa_c D_dc, se_d^2)` with `log kappa_c ~ Normal(0, tau^2)`: a factor below 1 says that the model
promises too much. Its posterior has as many dimensions as there are channels: draws from t-distributions around its mode,
with the weights that they need.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmm_jax.errors import ApproximationWarning, LedgerError
from mmm_jax.inference.psis import k_threshold, psis
from mmm_jax.monitoring.records import Measurement

_DRAWS = 8000
_STEPS = 200


class Rows(NamedTuple):
    """Measurements as arrays.

    Attributes:
        channels: names.
        design: predicted mean by channel, as far as the measurement holds it, (row, channel).
        offset: what of the predicted mean belongs to no channel alone, (row,).
        value: measured, (row,).
        se: its standard error, (row,).
    """

    channels: list[str]
    design: np.ndarray
    offset: np.ndarray
    value: np.ndarray
    se: np.ndarray


def channel_bias(measurements: Sequence[Measurement], *, tau: float, prob: float, key: int) -> pd.DataFrame:
    """See `Ledger.bias`.

    Returns:
        One row per channel of the decisions that were measured: posterior `mean`, `sd`, `lower`, `median`, `upper` of the
        factor, `below_one` (the probability that the model promises too much) and the number of `outcomes` that hold the
        channel; a channel that none holds has its prior.

    Raises:
        LedgerError: `tau` is not positive, or `prob` not between 0 and 1.
    """
    if not (np.isfinite(tau) and tau > 0 and 0 < prob < 1):
        raise LedgerError(f"`tau` must be positive and `prob` between 0 and 1, got {tau!r} and {prob!r}.")
    rows = read_rows(measurements)
    draws, weights, pareto_k = _posterior(rows, tau, np.random.default_rng(key))
    if rows.channels and pareto_k > k_threshold(_DRAWS):
        warnings.warn(
            f"The channels' bias is a rough guess: its importance weights have k-hat {pareto_k:.2f}. Fewer channels, or "
            f"more outcomes, would help.",
            ApproximationWarning,
            stacklevel=3,
        )
    found = pd.DataFrame(_summary(draws, weights, prob), index=pd.Index(rows.channels, name="channel"))
    found["outcomes"] = (rows.design != 0).sum(axis=0).astype(int)
    found.attrs.update(prob=prob, tau=tau, pareto_k=float(pareto_k))
    return found


def read_rows(measurements: Sequence[Measurement]) -> Rows:
    """The measurements as arrays; channels in the order in which they first appear."""
    channels = list(dict.fromkeys(name for one in measurements for name in one.channels))
    design, offset = np.zeros((len(measurements), len(channels))), np.zeros(len(measurements))
    for row, one in enumerate(measurements):
        means = one.delivered.channel.mean(axis=0)
        if one.outcome.channel is None:
            design[row, [channels.index(name) for name in one.channels]] = means
            # With a log link, what channels add to each other does not add up to the total.
            offset[row] = one.delivered.total.mean() - means.sum()
        else:
            design[row, channels.index(one.outcome.channel)] = means[one.channels.index(one.outcome.channel)]
    value, se = (np.array([getattr(one.outcome, name) for one in measurements], float) for name in ("value", "se"))
    return Rows(channels, design, offset, value, se)


def _posterior(rows: Rows, tau: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws of the logarithms, (draw, channel), their weights, and the weights' k-hat."""
    if not rows.channels:
        return np.zeros((1, 0)), np.ones(1), 0.0
    proposals = _proposals(rows, tau)
    drawn = [proposal.draw(_DRAWS // len(proposals), rng) for proposal in proposals]
    draws = np.concatenate(drawn)
    with np.errstate(invalid="ignore"):  # What is not positive is NaN, and has no weight.
        proposed = np.logaddexp(*(proposal.log_density(draws) for proposal in proposals))
    smoothed = psis(_log_density(rows, tau, draws) - proposed)
    return draws, np.exp(smoothed.log_weights), float(smoothed.pareto_k)


class _Proposal(NamedTuple):
    """A t-distribution around the mode: of the logarithms, or of the factors themselves.

    Where the data are weak, the logarithms are nearly normal, as their prior is. Where an outcome of several channels is
    precise, it leaves a thin ridge, which is straight in the factors alone.
    """

    center: np.ndarray
    factor: np.ndarray
    freedom: float
    of_logs: bool

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Logarithms, (draw, channel); NaN for factors that are not positive."""
        normal = rng.standard_normal((count, len(self.center)))
        steps = normal / np.sqrt(rng.chisquare(self.freedom, count) / self.freedom)[:, None]
        found = self.center + np.linalg.solve(self.factor.T, steps.T).T
        return found if self.of_logs else np.log(np.where(found > 0, found, np.nan))

    def log_density(self, logs: np.ndarray) -> np.ndarray:
        """Of logarithms, up to a constant that both proposals share."""
        at = logs if self.of_logs else np.exp(logs)
        distance = (((at - self.center) @ self.factor) ** 2).sum(axis=1)
        scale = np.log(np.diag(self.factor)).sum() + (0.0 if self.of_logs else logs.sum(axis=1))
        return scale - (self.freedom + len(self.center)) / 2 * np.log1p(distance / self.freedom)


def _proposals(rows: Rows, tau: float) -> list[_Proposal]:
    mode, precision = _mode(rows, tau)
    factors, freedom = np.exp(mode), 5.0 + len(mode)
    per_se = rows.design / rows.se[:, None]
    straight = per_se.T @ per_se + np.diag(1.0 / (tau * factors) ** 2)
    centers = ((mode, precision, True), (factors, straight, False))
    return [_Proposal(center, np.linalg.cholesky(curved), freedom, logs) for center, curved, logs in centers]


def _log_density(rows: Rows, tau: float, logs: np.ndarray) -> np.ndarray:
    """Up to a constant, for logarithms (..., channel)."""
    # Where a draw is absurdly large, its density is 0, not a warning.
    with np.errstate(over="ignore", invalid="ignore"):
        errors = (rows.value - rows.offset - np.exp(logs) @ rows.design.T) / rows.se
        return -0.5 * (errors**2).sum(axis=-1) - 0.5 * (logs**2).sum(axis=-1) / tau**2


def _mode(rows: Rows, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the density is largest, and its curvature there (Gauss and Newton's part of it)."""
    logs, precision = np.zeros(len(rows.channels)), np.empty(0)
    for _ in range(_STEPS):
        slope = rows.design * np.exp(logs) / rows.se[:, None]
        errors = (rows.value - rows.offset - rows.design @ np.exp(logs)) / rows.se
        precision = slope.T @ slope + np.eye(len(logs)) / tau**2
        step = np.linalg.solve(precision, slope.T @ errors - logs / tau**2)
        logs = _climbed(rows, tau, logs, step)
        if np.abs(step).max() < 1e-9:
            break
    return logs, precision


def _climbed(rows: Rows, tau: float, logs: np.ndarray, step: np.ndarray) -> np.ndarray:
    """As far along the step as the density rises."""
    now, size = _log_density(rows, tau, logs), 1.0
    while size > 1e-10 and not _log_density(rows, tau, logs + size * step) >= now:
        size /= 2
    return logs + size * step if size > 1e-10 else logs


def _summary(logs: np.ndarray, weights: np.ndarray, prob: float) -> dict[str, np.ndarray]:
    factors = np.exp(np.nan_to_num(logs))
    mean = weights @ factors
    quantiles = np.array([[_quantile(column, weights, at) for column in factors.T] for at in _levels(prob)])
    return {
        "mean": mean,
        "sd": np.sqrt(np.maximum(weights @ (factors - mean) ** 2, 0.0)),
        **dict(zip(("lower", "median", "upper"), quantiles, strict=True)),
        "below_one": weights @ (factors < 1.0),
    }


def _levels(prob: float) -> tuple[float, float, float]:
    return (1 - prob) / 2, 0.5, (1 + prob) / 2


def _quantile(values: np.ndarray, weights: np.ndarray, at: float) -> float:
    order = np.argsort(values)
    return float(np.interp(at, np.cumsum(weights[order]) - weights[order] / 2, values[order]))
