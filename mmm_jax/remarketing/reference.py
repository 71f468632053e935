"""What a response model is compared with: rows it has not seen, and scikit-learn's tuned logistic regression."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from mmm_jax.errors import RemarketingError
from mmm_jax.fitting.keys import Key, as_generator
from mmm_jax.remarketing.arrays import labels_of, share

_PENALTIES = np.logspace(-3, 2, 11)
"""Inverse strengths of the penalty that are tried."""


def stratified_split(y: Any, *, test_share: float = 0.3, key: Key = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to be judged by, chosen at random, with the same share of responders.

    Args:
        y: labels 0 and 1, shape (rows,).
        test_share: share of the rows to be judged by.
        key: random key or seed.

    Returns:
        Places of both, in growing order.

    Raises:
        RemarketingError: labels are not binary, or so few that one of the parts would lack responders or others.
    """
    labels, part, generator = labels_of(y), share(test_share, name="test_share"), as_generator(key)
    test = np.zeros(len(labels), bool)
    for kind, name in ((True, "responders"), (False, "others")):
        places = np.flatnonzero(labels == kind)
        count = round(part * len(places))
        if not 0 < count < len(places):
            raise RemarketingError(
                f"There are {len(places)} {name}: a share of {part:g} of them is {count}, but both parts need some. "
                "Take more rows, or another share."
            )
        test[generator.choice(places, count, replace=False)] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def tuned_logistic_regression(features: Any, y: Any, others: Any, *, folds: int = 5, key: int = 0) -> np.ndarray:
    """Probabilities by scikit-learn's `LogisticRegression`, whose penalty has the best log loss over folds, shape (rows,).

    Args:
        features: training rows, numbers on one scale, shape (row, column).
        y: their labels 0 and 1.
        others: rows to be predicted.
        folds: of the stratified cross-validation.
        key: seed of the folds.
    """
    splits = StratifiedKFold(folds, shuffle=True, random_state=key)
    search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": _PENALTIES}, scoring="neg_log_loss", cv=splits)
    with warnings.catch_warnings():
        # Of the weakest penalties only, which are then not chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(features, labels_of(y))
    return search.predict_proba(others)[:, 1]
