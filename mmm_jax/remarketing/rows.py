"""Rows as the estimator takes them: columns as they were fitted, the segment taken out, the rest to be standardised."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_array  # type: ignore[attr-defined]

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.checks import check_numbers
from mmm_jax.remarketing.kinds import some


class Rows(NamedTuple):
    """Numbers of shape (row, column), and the segments' labels, shape (row,), where the model has segments."""

    numbers: np.ndarray
    segments: np.ndarray | None


def rows_of(model: Any, X: Any, *, reset: bool) -> Rows:  # noqa: N803
    """The rows of a table or an array.

    Args:
        model: the estimator; with `reset`, it learns how many features there are and their names.
        X: rows of features, the segment's column among them.
        reset: whether the rows are those that are fitted.

    Raises:
        RemarketingError: a column is missing, unknown, or has no number in some row.
    """
    if isinstance(X, pd.DataFrame):
        check_numbers(X.drop(columns=_segment_columns(model, X)))
    try:
        _check_feature_names(model, X, reset=reset)
    except ValueError as error:
        raise RemarketingError(str(error)) from error
    place = _segment_place(model, X)
    segments, rest = (None, X) if place is None else _taken_apart(X, place)
    numbers = check_array(rest, dtype="float64", estimator=model, input_name="X", ensure_min_samples=2 if reset else 1)
    if place is None:
        _check_n_features(model, numbers, reset=reset)
    else:
        _check_n_features(model, X, reset=reset)
    return Rows(numbers, segments)


def column_names(model: Any) -> list[str]:
    """Names of the columns that have coefficients."""
    names = list(getattr(model, "feature_names_in_", [f"x{place}" for place in range(model.n_features_in_)]))
    if model.segment is not None:
        del names[names.index(model.segment) if isinstance(model.segment, str) else model.segment]
    return [str(name) for name in names]


class Scales(NamedTuple):
    """Of every column, shape (column,): what is subtracted, what it is then divided by, and its standard deviation."""

    center: np.ndarray
    scale: np.ndarray
    deviation: np.ndarray


def scales_of(numbers: np.ndarray) -> Scales:
    """Mean and unit of every column: its standard deviation, or half of the range of a column of two values.

    A dummy's deviation is the smaller, the rarer its word is: in units of it, a prior would let a word that three customers
    have change the odds by any factor. Half of the range is the deviation of a dummy that is 1 for every second customer. A
    constant column, up to rounding, has the unit 1.

    Reference:
        Gelman (2008), Scaling regression inputs by dividing by two standard deviations.
    """
    center, deviation = numbers.mean(axis=0), numbers.std(axis=0)
    low, high = numbers.min(axis=0), numbers.max(axis=0)
    two = ((numbers == low) | (numbers == high)).all(axis=0)
    scale = np.where(two, 0.5 * (high - low), deviation)
    # Of numbers that are all the same, the mean is off by some last digits, and the deviation no more than these.
    constant = deviation <= 1e-12 * np.maximum(np.abs(center), np.finfo(float).tiny)
    return Scales(center, np.where(constant, 1.0, scale), np.where(constant, 0.0, deviation))


def _segment_columns(model: Any, table: pd.DataFrame) -> list[Any]:
    place = _segment_place(model, table)
    return [] if place is None else [table.columns[place]]


def _segment_place(model: Any, X: Any) -> int | None:  # noqa: N803
    segment = model.segment
    if segment is None:
        return None
    if isinstance(segment, str):
        columns = list(getattr(X, "columns", ()))
        if segment not in columns:
            raise RemarketingError(
                f"The segment's column {segment!r} is not in the table; there are {some(columns) or 'no names'}."
            )
        return columns.index(segment)
    if not 0 <= segment < np.shape(X)[1]:
        raise RemarketingError(f"The segment is column {segment}, but the table has {np.shape(X)[1]} columns.")
    return int(segment)


def _taken_apart(X: Any, place: int) -> tuple[np.ndarray, Any]:  # noqa: N803
    if isinstance(X, pd.DataFrame):
        labels, rest = X.iloc[:, place], X.drop(columns=X.columns[place])
        name = repr(X.columns[place])
    else:
        labels, rest, name = pd.Series(np.asarray(X)[:, place]), np.delete(np.asarray(X), place, axis=1), str(place)
    missing = labels.isna()
    if missing.any():
        raise RemarketingError(
            f"The segment's column {name} is missing in {missing.sum()} of {len(labels)} rows. Name a segment for them, "
            "such as 'unknown'."
        )
    return labels.astype(str).to_numpy(dtype=object), rest
