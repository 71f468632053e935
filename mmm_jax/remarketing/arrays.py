"""Labels and probabilities as people hand them in, checked once and turned into arrays."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmm_jax.errors import RemarketingError

Numbers = float | Sequence[float] | np.ndarray
"""One number for all customers, or one for each."""

_CELLS = 1_000_000
"""Cells of one block of draws: 8 MB, which stay in the processor's cache while they are worked on."""


def labels_of(y: Any, *, name: str = "y", both: bool = True) -> np.ndarray:
    """The labels as booleans, shape (rows,).

    Args:
        y: 0 and 1, or booleans.
        name: what they are called, for messages.
        both: whether both must occur.

    Raises:
        RemarketingError: not one-dimensional, missing, other than 0 and 1, or one of them only; names count and value.
    """
    try:
        values = np.asarray(y, float)
    except (TypeError, ValueError) as error:
        raise RemarketingError(f"`{name}` must be 0 or 1 in every row, but cannot be read as numbers: {error}.") from error
    if values.ndim != 1 or len(values) == 0:
        raise RemarketingError(f"`{name}` must have one entry per customer, shape (rows,), got shape {values.shape}.")
    missing = int(np.isnan(values).sum())
    if missing:
        raise RemarketingError(f"`{name}` is missing in {missing} of {len(values)} rows. Leave out rows that are not known.")
    bad = (values != 0) & (values != 1)
    if bad.any():
        raise RemarketingError(
            f"`{name}` must be 0 or 1, but {bad.sum()} of {len(values)} rows are neither; the first is row "
            f"{int(np.argmax(bad))}: got {values[bad][0]:g}. Recode it so that 1 means yes."
        )
    ones = int(values.sum())
    if both and ones in (0, len(values)):
        raise RemarketingError(
            f"`{name}` is {0 if ones == 0 else 1} in all {len(values)} rows: both 0 and 1 are needed. "
            "Take more rows, or check the column."
        )
    return values == 1


def draws_of(p: Any, rows: int | None = None, *, name: str = "p") -> np.ndarray:
    """Probabilities as an array of the shape (draws, rows); those of one model without draws count as one draw.

    Args:
        p: shape (draws, rows), or (rows,).
        rows: how many there must be.
        name: what they are called, for messages.

    Raises:
        RemarketingError: another shape, missing values, or values outside of 0 to 1; names count and value.
    """
    values = np.asarray(p)
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or values.size == 0 or not np.issubdtype(values.dtype, np.floating):
        values = _as_floats(values, name)
    if rows is not None and values.shape[1] != rows:
        raise RemarketingError(
            f"`{name}` has probabilities of {values.shape[1]} customers, but {rows} are needed: shape (draws, {rows}) "
            f"or ({rows},). Score the same rows, in the same order."
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        bad = ~((values >= 0) & (values <= 1))
        draw, row = np.argwhere(bad)[0]
        raise RemarketingError(
            f"`{name}` must lie between 0 and 1, but {bad.sum()} of {bad.size} values do not; the first is in draw {draw}, "
            f"row {row}: got {values[draw, row]:g}. Give probabilities, not scores or logits."
        )
    return values


def per_row(value: Any, rows: int, *, name: str, least: float | None = None) -> np.ndarray:
    """A number for every customer, shape (rows,), float64.

    Raises:
        RemarketingError: another shape, not finite, or below the least; names count and value.
    """
    try:
        values = np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise RemarketingError(f"`{name}` must be a number, or one per customer: {error}.") from error
    if values.shape not in ((), (rows,)):
        raise RemarketingError(f"`{name}` must be a number, or one for each of {rows} customers, got shape {values.shape}.")
    bad = ~np.isfinite(values) if least is None else ~(np.isfinite(values) & (values >= least))
    if bad.any():
        first, rule = int(np.argmax(bad)), "finite" if least is None else f"finite and at least {least:g}"
        raise RemarketingError(
            f"`{name}` must be {rule}, but {bad.sum()} of {bad.size} values are not; the first is in row {first}: "
            f"got {np.atleast_1d(values)[first]:g}. Correct it, or leave the customer out."
        )
    return np.broadcast_to(values, (rows,))


def share(value: Any, *, name: str) -> float:
    """A number strictly between 0 and 1, such as the probability of an interval."""
    number = float(value) if isinstance(value, (int, float, np.integer, np.floating)) else np.nan
    if not 0 < number < 1:
        raise RemarketingError(f"`{name}` must lie between 0 and 1, got {value!r}.")
    return number


def blocks(draws: int, rows: int) -> Iterator[slice]:
    """Slices of draws, each of a size that one works on at a time."""
    step = max(1, _CELLS // max(rows, 1))
    return (slice(start, min(start + step, draws)) for start in range(0, draws, step))


def ends_of(draws: np.ndarray, prob: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the central interval over the first axis."""
    low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return low, high


def _as_floats(values: np.ndarray, name: str) -> np.ndarray:
    try:
        found = values.astype(float)
    except (TypeError, ValueError) as error:
        raise RemarketingError(f"`{name}` must hold probabilities, but cannot be read as numbers: {error}.") from error
    if found.ndim != 2 or found.size == 0:
        raise RemarketingError(f"`{name}` must have the shape (draws, rows) or (rows,), got {found.shape}.")
    return found
