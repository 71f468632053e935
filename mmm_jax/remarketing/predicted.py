"""Log odds and probabilities of rows, from the draws of a fitted model; always in float64."""

from typing import Any

import numpy as np
from scipy.special import expit

from mmm_jax.errors import SpecError
from mmm_jax.fitting.keys import as_generator, named_key
from mmm_jax.remarketing.density import COEFFICIENT, DEVIATIONS, INTERCEPT, SPREADS
from mmm_jax.remarketing.rows import Rows

_NUMBERS = 2**23
"""Log odds that are in memory together."""

Draws = dict[str, np.ndarray]


def thinned(model: Any, num_draws: int | None = None) -> Draws:
    """Draws of shape (draw, ...), at most so many, evenly spread over all."""
    flat = {name: values.reshape(-1, *values.shape[2:]).astype(float) for name, values in model.draws_.items()}
    count = len(flat[INTERCEPT])
    if num_draws is None or num_draws >= count:
        return flat
    if num_draws < 1:
        raise SpecError(f"num_draws must be at least 1, got {num_draws}.")
    kept = np.arange(num_draws) * count // num_draws
    return {name: values[kept] for name, values in flat.items()}


def log_odds(model: Any, rows: Rows, draws: Draws) -> np.ndarray:
    """Log odds of a response, shape (draw, row)."""
    columns = (rows.numbers - model.center_) / model.scale_
    if rows.segments is None:
        return draws[INTERCEPT][:, None] + draws[COEFFICIENT] @ columns.T
    found = np.empty((len(draws[INTERCEPT]), len(columns)))
    for label in np.unique(rows.segments):
        own = rows.segments == label
        intercept, slopes = _of_segment(model, str(label), draws)
        found[:, own] = intercept[:, None] + slopes @ columns[own].T
    return found


def mean_probabilities(model: Any, rows: Rows) -> np.ndarray:
    """Posterior mean probability of a response, shape (row,), without holding all draws of all rows."""
    draws = thinned(model)
    at_once = max(1, _NUMBERS // len(draws[INTERCEPT]))
    parts = []
    for first in range(0, len(rows.numbers), at_once):
        part = Rows(*(None if values is None else values[first : first + at_once] for values in rows))  # type: ignore[arg-type]
        parts.append(expit(log_odds(model, part, draws)).mean(axis=0))
    return np.concatenate(parts)


def _of_segment(model: Any, label: str, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Intercept, shape (draw,), and coefficients, shape (draw, column), of one segment."""
    known = np.flatnonzero(model.segments_ == label)
    found = []
    for name, spread, deviation in zip((INTERCEPT, COEFFICIENT), SPREADS, DEVIATIONS, strict=True):
        own = draws[name]
        if spread in draws:
            drawn = draws[deviation][:, known[0]] if len(known) else _fresh(model, f"{label}, {name}", own.shape)
            own = own + draws[spread] * drawn
        found.append(own)
    return found[0], found[1]


def _fresh(model: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Deviations of a segment that was not fitted, the same whenever it is asked for."""
    return as_generator(named_key(model._own_key(), name)).normal(size=shape)
