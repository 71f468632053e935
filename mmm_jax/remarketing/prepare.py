"""From a table of customers to numbers: imputed, scaled, words as dummies, dates as tenure, by training rows only."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.kinds import Kinds, as_dates, as_numbers, as_words, check_no_leak, kinds_of, some
from mmm_jax.remarketing.tables import check_customers

_MISSING = "missing"
"""Category of words that are missing."""


class Preparation(TransformerMixin, BaseEstimator):
    """What a table goes through before `ResponseModel`; a transformer of scikit-learn, for DataFrames.

    Missing numbers become the training rows' median, missing words a category `missing`; numbers are standardised; every
    word of a column becomes a column of 0 and 1, and a word that was not in the training rows is 0 in all of them; dates
    become days before the latest date of the training rows (negative after it). Columns that are constant in the training
    rows are left out, and `dropped_` says so.

    Args:
        label: column of the response, if it is in the table: never a feature.
        customer: column of the customer's id, if it is in the table: never a feature; fitted rows must have one each.
        leaks: columns that are known only after the campaign was sent, such as later campaigns, or that shall not be
            used: never features.
        dates: columns that are dates, besides those of a date's type and those whose words are all ISO dates.
        keep: columns that are passed through as they are, such as the segment of a `ResponseModel`.
        allow: columns that tell the label in every training row, and are known before: without this, they are refused.
        scale: whether numbers are standardised; the model standardises in any case.
        max_words: most different words that a column may have.

    Attributes:
        dropped_: why columns are left out, by name.
        kinds_: names of the columns that are used, by kind.
        latest_date_: by date column, the latest of the training rows.
        units_: by feature, how many units of the table's column are one of the feature's; for `ResponseModel.odds_ratios`.
        transformer_: the fitted `ColumnTransformer`.

    Example:
        >>> table = pd.DataFrame({"ID": [1, 2, 3], "Income": [10.0, None, 30.0], "Education": ["PhD", "Basic", None]})
        >>> Preparation(customer="ID").fit_transform(table).columns.tolist()
        ['Income', 'Education_Basic', 'Education_PhD', 'Education_missing']
    """

    def __init__(
        self,
        *,
        label: str | None = None,
        customer: str | None = None,
        leaks: Sequence[str] = (),
        dates: Sequence[str] = (),
        keep: Sequence[str] = (),
        allow: Sequence[str] = (),
        scale: bool = True,
        max_words: int = 50,
    ) -> None:
        self.label = label
        self.customer = customer
        self.leaks = leaks
        self.dates = dates
        self.keep = keep
        self.allow = allow
        self.scale = scale
        self.max_words = max_words

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: N803
        """Learn medians, scales, words and dates of training rows.

        Args:
            X: training rows.
            y: labels, if columns are to be refused that tell them in every row.

        Raises:
            RemarketingError: a column is missing, missing throughout, an id, a leak, or has values of another kind; ids
                that appear twice. Names the column and the count.
        """
        table = self._checked(X, y)
        features = table.drop(columns=[*self._left_out(table), *self.keep])
        kinds = kinds_of(features, self.dates, self.max_words)
        if y is not None:
            check_no_leak(features[[*kinds.numbers, *kinds.words]], _responded(y), self.allow)
        self.feature_names_in_ = np.asarray(table.columns, object)
        self.n_features_in_ = table.shape[1]
        self.kinds_ = kinds
        self.dropped_ = {**self._left_out(table), **kinds.dropped}
        self.latest_date_ = {name: as_dates(features[name]).max() for name in kinds.dates}
        self.transformer_ = _transformer(kinds, self.keep, self.scale).fit(self._typed(table))
        self.units_ = self._units()
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        """The features of any rows, with the table's index.

        Raises:
            RemarketingError: a needed column is not there, or has values of another kind than in training.
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self, "transformer_")
        found: Any = self.transformer_.transform(self._typed(_frame(X)))
        return found

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features, in order."""
        check_is_fitted(self, "transformer_")
        return self.transformer_.get_feature_names_out()

    def _checked(self, X: Any, y: Any) -> pd.DataFrame:  # noqa: N803
        table = _frame(X)
        if not len(table):
            raise RemarketingError("The table has no row.")
        repeated = table.columns[table.columns.duplicated()]
        if len(repeated):
            raise RemarketingError(f"{len(repeated)} names of columns appear twice: {some(repeated)}.")
        for option in ("dates", "keep", "leaks", "allow"):
            if isinstance(getattr(self, option), str):
                raise RemarketingError(f"{option} must be a list of columns, got the text {getattr(self, option)!r}.")
        named = [*self.dates, *self.keep, *self.leaks, *self.allow, *([self.customer] if self.customer else [])]
        _check_there(table, named)
        if self.customer is not None:
            check_customers(table, self.customer)
        name = getattr(y, "name", None)
        if name is not None and name in table.columns and name not in self._left_out(table):
            raise RemarketingError(f"The label {name!r} is also a column of the table. Pass label={name!r}, or drop it.")
        return table

    def _left_out(self, table: pd.DataFrame) -> dict[str, str]:
        """Columns that are there but no features, and why."""
        reasons = {
            **dict.fromkeys(self.leaks, "named in leaks"),
            self.customer: "the customer's id",
            self.label: "the label",
        }
        return {name: why for name, why in reasons.items() if name is not None and name in table.columns}

    def _typed(self, table: pd.DataFrame) -> pd.DataFrame:
        """The columns that are used, each of its kind, dates as days."""
        kinds = self.kinds_
        _check_there(table, [*kinds.numbers, *kinds.words, *kinds.dates, *self.keep])
        columns = {name: as_numbers(table[name]) for name in kinds.numbers}
        for name in kinds.dates:
            days = (self.latest_date_[name] - as_dates(table[name])) / pd.Timedelta(days=1)
            columns[f"{name}_days"] = days
        columns |= {name: as_words(table[name]) for name in kinds.words}
        columns |= {name: table[name] for name in self.keep}
        return pd.DataFrame(columns, table.index)

    def _units(self) -> pd.Series:
        units = pd.Series(1.0, index=self.get_feature_names_out(), name="units")
        numbers = _numeric(self.kinds_)
        if self.scale and numbers:
            units[numbers] = self.transformer_.named_transformers_["numbers"][-1].scale_
        return units


def _transformer(kinds: Kinds, keep: Sequence[str], scale: bool) -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), *([StandardScaler()] if scale else []))
    words: Pipeline = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=_MISSING, missing_values=None),  # type: ignore[arg-type]
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    parts = [("numbers", numbers, _numeric(kinds)), ("words", words, kinds.words), ("keep", "passthrough", list(keep))]
    used = [part for part in parts if part[2]]
    return ColumnTransformer(used, verbose_feature_names_out=False).set_output(transform="pandas")


def _numeric(kinds: Kinds) -> list[str]:
    return [*kinds.numbers, *(f"{name}_days" for name in kinds.dates)]


def _frame(X: Any) -> pd.DataFrame:  # noqa: N803
    if not isinstance(X, pd.DataFrame):
        raise RemarketingError(f"Preparation takes a DataFrame with named columns, got {type(X).__name__}.")
    return X


def _check_there(table: pd.DataFrame, named: Sequence[str]) -> None:
    absent = [name for name in dict.fromkeys(named) if name not in table.columns]
    if absent:
        raise RemarketingError(
            f"{len(absent)} needed columns are not in the table: {some(absent)}. It has {table.shape[1]} columns: "
            f"{some(table.columns)}."
        )


def _responded(y: Any) -> np.ndarray:
    """1 for the larger of two labels, else all 0, of which no column can tell anything."""
    labels = np.asarray(y)
    if pd.isna(labels).any() or len(classes := np.unique(labels)) != 2:
        return np.zeros(len(labels))
    return (labels == classes[1]).astype(float)
