"""What tables and labels must be before anything is fitted; each rule says which column, how many rows, and what to do."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.kinds import shown


def checked_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """The two classes in sorted order, and 1 for every row of the second one, 0 for all others.

    Args:
        y: labels, shape (row,), of any kind that can be sorted.

    Raises:
        RemarketingError: no labels, missing labels, one class only, or labels that are not two classes.
    """
    if y is None:
        raise RemarketingError("ResponseModel needs labels: requires y to be passed, but the target y is None.")
    name = _named(y)
    _check_complete(y, name)
    labels = column_or_1d(y, warn=True)
    kind = type_of_target(labels, input_name="y", raise_unknown=True)
    classes, codes = np.unique(labels, return_inverse=True)
    if kind != "binary":
        some = ", ".join(repr(value) for value in classes[:5].tolist())
        raise RemarketingError(
            f"Only binary classification is supported. The type of the target is {kind}: {name} has {len(classes)} values "
            f"({some}{', ...' if len(classes) > 5 else ''}). Say who responded by two of them, such as 0 and 1."
        )
    if len(classes) < 2:
        raise RemarketingError(
            f"Two classes are needed, but {name} has only one class: {classes.tolist()[0]!r} in all {len(labels)} rows. "
            "Take rows of customers who responded and of customers who did not."
        )
    return classes, codes.astype(float)


def _named(y: Any) -> str:
    name = getattr(y, "name", None)
    return "the label" if name is None else f"the label {name!r}"


def _check_complete(y: Any, name: str) -> None:
    values = np.asarray(y)
    missing = pd.isna(values)
    if missing.any():
        raise RemarketingError(
            f"{name[0].upper()}{name[1:]} is missing in {missing.sum()} of {len(values)} rows (Input y contains NaN), the "
            f"first is row {np.flatnonzero(missing.reshape(len(values), -1).any(axis=1))[0]}. Leave out rows whose response "
            "is not known yet."
        )
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise RemarketingError(f"{name[0].upper()}{name[1:]} contains infinity in {np.isinf(values).sum()} rows.")


def check_numbers(table: Any) -> None:
    """Raise a `RemarketingError` that names the first column with words, or with missing or infinite numbers."""
    for column, values in table.items():
        if values.dtype.kind not in "fiub":
            _check_no_words(values)
            continue
        missing, infinite = int(values.isna().sum()), int(np.isinf(values.to_numpy(float)).sum())
        if missing or infinite:
            what, count = (
                ("missing (Input X contains NaN)", missing)
                if missing
                else ("infinity (Input X contains infinity)", infinite)
            )
            raise RemarketingError(
                f"Column {column!r} is {what} in {count} of {len(values)} rows. Impute it first: Preparation does."
            )


def _check_no_words(values: Any) -> None:
    numbers: Any = pd.to_numeric(values, errors="coerce")
    words = values[numbers.isna() & values.notna()]
    if len(words):
        raise RemarketingError(
            f"Column {values.name!r} has no number in {len(words)} of {len(values)} rows; the first is "
            f"{shown(words.iloc[0])}. Preparation makes numbers of words and of dates; name segments by segment=."
        )
