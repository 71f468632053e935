r"""Channels whose outcomes err in one direction: evidence that may be looked at as often as one likes.

For each channel, the outcomes that tell of it alone: of the channel, or of a decision that moves no other. Under the model
they follow `p_1(O) = mean_s prod_d Normal(O_d; D_d^s, se_d^2)` over the joint draws `s` of the fit that predicted them: the
error that predictions of one fit share is part of it. Where the channel brings `kappa` times as much,
`p_kappa(O) = mean_s prod_d Normal(O_d; kappa D_d^s, se_d^2)`. The ratio, averaged over `kappa` on one side of 1, is an
e-process: whenever one looks, the chance that it ever was above `1 / alpha` is at most alpha. The e-Benjamini-Hochberg
procedure keeps the share of false discoveries among the channels below alpha, however they depend on each other.

Reference:
    Wang and Ramdas (2022), False discovery rate control with e-values.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp, ndtri

from mmm_jax.errors import LedgerError
from mmm_jax.monitoring.records import Measurement

_GRID = 64
_LARGEST = 700.0
"""Logarithm up to which an e-value is shown."""


def one_sided_errors(measurements: Sequence[Measurement], *, alpha: float, tau: float) -> pd.DataFrame:
    """Evidence per channel that the model errs there in one direction.

    Args:
        measurements: outcomes with their predictions. Those of one model version share their draws.
        alpha: false discovery rate over the channels, between 0 and 1.
        tau: standard deviation of `log kappa`, its sign given, where a channel is wrong.

    Returns:
        One row per channel with such outcomes, the strongest evidence first: `outcomes`, `ratio` of what was measured to
        what was predicted, `e_value`, `direction` (`less` or `more` than was predicted), `flagged`, and `draws`: how many
        draws of the fits the outcomes leave in effect; where that is few, the e-value is rough.

    Raises:
        LedgerError: `alpha` or `tau` out of range.
    """
    if not (0 < alpha < 1 and np.isfinite(tau) and tau > 0):
        raise LedgerError(f"`alpha` must lie between 0 and 1 and `tau` be positive, got {alpha!r} and {tau!r}.")
    by_channel: dict[str, list[Measurement]] = {}
    for one in measurements:
        if one.about is not None:
            by_channel.setdefault(one.about, []).append(one)
    rows = {channel: _row(found, channel, tau) for channel, found in by_channel.items()}
    columns = ["outcomes", "ratio", "e_value", "direction", "draws"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("channel")
    table = table.sort_values("e_value", ascending=False, kind="stable")
    table["flagged"] = discoveries(table["e_value"].to_numpy(float), alpha)
    return table


def discoveries(e_values: np.ndarray, alpha: float) -> np.ndarray:
    """Which hypotheses the e-Benjamini-Hochberg procedure rejects: the `k` largest, each at least `count / (alpha k)`.

    Example:
        >>> discoveries(np.array([100.0, 45.0, 2.0]), 0.05).tolist()
        [True, True, False]
    """
    order = np.argsort(-e_values, kind="stable")
    count = len(e_values)
    enough = e_values[order] >= count / (alpha * np.arange(1, count + 1))
    rejected = int(np.flatnonzero(enough).max() + 1) if enough.any() else 0
    return np.isin(np.arange(count), order[:rejected])


def log_evidence(value: np.ndarray, se: np.ndarray, draws: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Log density of measurements whose predictions are wrong by each of some factors, up to a constant, (factor,).

    Args:
        value: measured, (row,).
        se: standard errors, (row,).
        draws: joint draws of the predictions, (draw, row).
        factors: `kappa`, (factor,).
    """
    return np.asarray(logsumexp(_log_densities(value, se, draws, factors), axis=1)) - np.log(len(draws))


def log_e_values(blocks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], tau: float) -> tuple[float, float]:
    """Log e-values of a channel that brings less, and of one that brings more, than was predicted.

    Args:
        blocks: measured values, standard errors and joint draws of each model version.
        tau: standard deviation of `log kappa`.
    """
    sizes = tau * ndtri(0.5 + (np.arange(_GRID) + 0.5) / (2 * _GRID))
    factors = np.exp(np.concatenate([[0.0], -sizes, sizes]))
    found = np.sum([log_evidence(*block, factors) for block in blocks], axis=0)
    less, more = (float(logsumexp(side) - np.log(_GRID) - found[0]) for side in (found[1 : _GRID + 1], found[_GRID + 1 :]))
    return less, more


def _row(measurements: Sequence[Measurement], channel: str, tau: float) -> tuple[Any, ...]:
    blocks = _blocks(measurements)
    less, more = log_e_values(blocks, tau)
    e_value = float(np.exp(min(np.logaddexp(less, more) - np.log(2.0), _LARGEST)))
    value, se, mean = (np.concatenate(parts) for parts in zip(*((v, s, d.mean(axis=0)) for v, s, d in blocks), strict=True))
    size = float((mean**2 / se**2).sum())
    ratio = float((value * mean / se**2).sum()) / size if size > 0 else np.nan
    draws = min(_effective(_log_densities(*block, np.ones(1))[0]) for block in blocks)
    return len(measurements), ratio, e_value, "less" if less > more else "more", draws


def _blocks(measurements: Sequence[Measurement]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Measurements by the model version whose draws their predictions share."""
    found: dict[tuple[str, int], list[Measurement]] = {}
    for one in measurements:
        found.setdefault((one.model, len(one.predicted)), []).append(one)
    return [
        (
            np.array([one.outcome.value for one in block]),
            np.array([one.outcome.se for one in block]),
            np.stack([one.predicted for one in block], axis=1),
        )
        for block in found.values()
    ]


def _log_densities(value: np.ndarray, se: np.ndarray, draws: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Of every factor and draw, (factor, draw): a square in the factor."""
    scaled, measured = draws / se, value / se
    linear, square = scaled @ measured, (scaled**2).sum(axis=1)
    return -0.5 * (measured @ measured - 2 * factors[:, None] * linear + factors[:, None] ** 2 * square)


def _effective(log_weights: np.ndarray) -> float:
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())
