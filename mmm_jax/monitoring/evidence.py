"""Evidence that may be looked at after every row: processes that stay small for ever while the model holds.

An e-value is what a bet at fair odds has made of 1: under the model its expectation is 1, so that it reaches `1 / alpha`
with a chance of at most `alpha`. The processes here are averages of such bets over the row from which on something may have
changed and over how much it may have changed by; the chance that one of them *ever* reaches `1 / alpha` is at most `alpha`.

Reference:
    Ramdas, Grunwald, Vovk and Shafer (2023), Game-theoretic statistics and safe anytime-valid inference.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, logsumexp

_SHAPE = 2.0
"""Of the inverse-gamma mixture of variances around 1: half of it lies between 0.75 and 2."""


def level_evidence(z: Float[np.ndarray, " row"], tau: float) -> Float[np.ndarray, " row"]:
    """Logarithm of the evidence for a lasting shift of the mean, in deviations, from some row on.

    `E_{j:t} = (1 + k tau^2)^(-1/2) exp(tau^2 S^2 / (2 (1 + k tau^2)))` of the `k` rows from `j` to `t` and their sum `S`.

    Args:
        z: standard normal under the model, NaN in rows that were not seen.
        tau: standard deviation of the shift that is looked for.
    """
    return directed_evidence(z, np.ones((len(z), len(z))), tau)


def directed_evidence(
    z: Float[np.ndarray, " row"], direction: Float[np.ndarray, "start row"], tau: float, *, late: bool = False
) -> Float[np.ndarray, " row"]:
    """Logarithm of the evidence for a shift of the mean along a direction, of unknown size, from some row on.

    `E_{j:t} = (1 + tau^2 u'u)^(-1/2) exp(tau^2 (u'z)^2 / (2 (1 + tau^2 u'u)))` of the rows from `j` to `t`.

    Args:
        z: standard normal under the model, NaN in rows that were not seen.
        direction: what a shift of size 1 from a starting row on adds to every `z`; must not depend on that row's outcome.
        tau: standard deviation of the size that is looked for.
        late: every row so far is as likely to be the first: for comparing causes, at one row. It is no process: looked at
            after every row, it may exceed a threshold more often than it promises at each.
    """
    seen = np.isfinite(z)
    along = np.where(seen, direction, 0.0) * (np.arange(len(z)) >= np.arange(len(z))[:, None])
    sums, squares = np.cumsum(along * np.where(seen, z, 0.0), axis=1), np.cumsum(along**2, axis=1)
    spread = 1.0 + tau**2 * squares
    by_start = 0.5 * tau**2 * sums**2 / spread - 0.5 * np.log(spread)
    return _over_starts_so_far(by_start) if late else _over_starts(by_start)


def variance_evidence(z: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Logarithm of the evidence for another variance from some row on, larger or smaller.

    Args:
        z: standard normal under the model, NaN in rows that were not seen.
    """
    seen = np.isfinite(z)
    after = np.arange(len(z)) >= np.arange(len(z))[:, None]
    count = np.cumsum(after * seen, axis=1)
    squares = np.cumsum(after * np.where(seen, z, 0.0) ** 2, axis=1)
    shape, rate = _SHAPE + 0.5 * count, _SHAPE + 0.5 * squares
    own = _SHAPE * np.log(_SHAPE) - gammaln(_SHAPE)
    return _over_starts(0.5 * squares + own + gammaln(shape) - shape * np.log(rate))


def mixed(parts: dict[str, tuple[float, Float[np.ndarray, " row"]]]) -> Float[np.ndarray, " row"]:
    """Logarithm of the weighted mean of several processes, itself one.

    Args:
        parts: by name, its weight and the logarithm of its evidence; the weights sum to 1.
    """
    return np.asarray(logsumexp([np.log(weight) + log_evidence for weight, log_evidence in parts.values()], axis=0))


def _over_starts(by_start: Float[np.ndarray, "start row"]) -> Float[np.ndarray, " row"]:
    """Mean over the row from which something changed, `1 / (j (j + 1))` for row `j`; what starts later counts as 1."""
    number = np.arange(1, len(by_start) + 1)
    weight = np.where(number[:, None] <= number, -np.log(number * (number + 1.0))[:, None], -np.inf)
    return np.logaddexp(np.asarray(logsumexp(weight + by_start, axis=0)), -np.log(number + 1.0))


def _over_starts_so_far(by_start: Float[np.ndarray, "start row"]) -> Float[np.ndarray, " row"]:
    number = np.arange(1, len(by_start) + 1)
    return logsumexp(np.where(number[:, None] <= number, by_start, -np.inf), axis=0) - np.log(number)
