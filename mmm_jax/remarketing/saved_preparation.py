"""A fitted `Preparation` as JSON: what it learned of the columns, no customer's row, and no pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from mmm_jax.errors import StoreError
from mmm_jax.remarketing.kinds import Kinds
from mmm_jax.remarketing.prepare import Preparation, _transformer

FORMAT = "mmm_jax.preparation"
FORMAT_VERSION = 1


def save_preparation(preparation: Preparation, path: str | Path) -> None:
    """Write what a fitted preparation has learned.

    Raises:
        NotFittedError: `fit` has not been called.
    """
    Path(path).write_text(json.dumps(to_dict(preparation), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_preparation(path: str | Path) -> Preparation:
    """The preparation that `save_preparation` wrote; it transforms as the original does.

    Raises:
        StoreError: nothing is there, or it is no preparation.
    """
    if not Path(path).is_file():
        raise StoreError(f"There is no file {path}.")
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        known = isinstance(values, dict) and (values.get("format"), values.get("format_version"))
        if known != (FORMAT, FORMAT_VERSION):
            raise StoreError(f"{path} is no preparation of this version: expected the format {FORMAT!r}, {FORMAT_VERSION}.")
        return from_dict(values)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error


def to_dict(preparation: Preparation) -> dict[str, Any]:
    """Options and what was learned, as plain values."""
    check_is_fitted(preparation, "transformer_")
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "options": {name: _plain(value) for name, value in preparation.get_params().items()},
        "columns": list(preparation.feature_names_in_),
        "kinds": preparation.kinds_._asdict(),
        "dropped": preparation.dropped_,
        "latest_date": {name: date.isoformat() for name, date in preparation.latest_date_.items()},
        "numbers": _numbers(preparation),
        "words": _words(preparation),
    }


def from_dict(values: dict[str, Any]) -> Preparation:
    """The inverse of `to_dict`."""
    found = Preparation(**values["options"])
    found.feature_names_in_ = np.asarray(values["columns"], object)
    found.n_features_in_ = len(values["columns"])
    found.kinds_ = Kinds(**values["kinds"])
    found.dropped_ = values["dropped"]
    found.latest_date_ = {name: pd.Timestamp(date) for name, date in values["latest_date"].items()}
    # scikit-learn makes its own state, from a table with every word once; the learned numbers then take their place.
    table = found._typed(_table_of(found, values["words"]))
    found.transformer_ = _transformer(found.kinds_, found.keep, found.scale).fit(table)
    _set_numbers(found, values["numbers"])
    found.units_ = found._units()
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, np.ndarray, pd.Index)) else value


def _numbers(preparation: Preparation) -> dict[str, list[float]]:
    """Median, mean and standard deviation of the numbers' columns."""
    steps = preparation.transformer_.named_transformers_.get("numbers")
    if steps is None:
        return {}
    found = {"median": steps[0].statistics_.tolist()}
    return found | ({"mean": steps[-1].mean_.tolist(), "sd": steps[-1].scale_.tolist()} if preparation.scale else {})


def _set_numbers(preparation: Preparation, learned: dict[str, list[float]]) -> None:
    if not learned:
        return
    steps = preparation.transformer_.named_transformers_["numbers"]
    steps[0].statistics_ = np.asarray(learned["median"])
    if preparation.scale:
        steps[-1].mean_, steps[-1].scale_ = np.asarray(learned["mean"]), np.asarray(learned["sd"])
        steps[-1].var_ = steps[-1].scale_ ** 2


def _words(preparation: Preparation) -> dict[str, list[str]]:
    """Words of each column."""
    steps = preparation.transformer_.named_transformers_.get("words")
    if steps is None:
        return {}
    return {name: list(words) for name, words in zip(preparation.kinds_.words, steps[-1].categories_, strict=True)}


def _table_of(preparation: Preparation, words: dict[str, list[str]]) -> pd.DataFrame:
    """Rows in which every word stands at least once, and numbers and dates whatever they are."""
    rows = max(2, *map(len, words.values())) if words else 2
    columns: dict[str, Any] = {name: [known[row % len(known)] for row in range(rows)] for name, known in words.items()}
    columns |= {name: np.arange(float(rows)) for name in preparation.kinds_.numbers}
    columns |= {name: [date] * rows for name, date in preparation.latest_date_.items()}
    return pd.DataFrame(columns | {name: [""] * rows for name in preparation.keep})
