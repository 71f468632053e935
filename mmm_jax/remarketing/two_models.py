"""Two response models, of customers who were contacted and of those who were not: an uplift for any customer."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from mmm_jax.fitting.keys import as_key
from mmm_jax.remarketing.uplift import Uplift, check_arms, estimate_uplift


@dataclass(frozen=True, eq=False)
class TwoModels:
    """Fitted models of both arms; they never change.

    Attributes:
        treated: learnt from customers who were contacted.
        control: learnt from those who were not.
    """

    treated: Any
    control: Any

    def uplift(self, X: Any, *, num_draws: int | None = None, prob: float = 0.9) -> Uplift:  # noqa: N803
        """What contact adds to the probability of a response of each of these customers; see `estimate_uplift`.

        Args:
            X: rows of the columns that were fitted.
            num_draws: at most so many draws.
            prob: probability of the intervals.
        """
        draws = (probabilities_of(model, X, num_draws=num_draws) for model in (self.treated, self.control))
        return estimate_uplift(*draws, prob=prob)


def fit_two_models(model: Any, X: Any, y: Any, treatment: Any) -> TwoModels:  # noqa: N803
    """Fit one model to the customers who were contacted at random, and one to those who were not.

    Args:
        model: a `ResponseModel`, or a pipeline that ends with one; it is cloned, and stays as it is. With one seed, the two
            posteriors still have random numbers of their own.
        X: features, without the treatment, shape (row, column).
        y: responses 0 and 1, shape (row,).
        treatment: 1 where a customer was contacted, 0 where not, at random.

    Raises:
        RemarketingError: the treatment is not binary, an arm is missing or too small, or has responders or others only; and
            as `ResponseModel.fit`.
    """
    treated, labels = check_arms(treatment, y), np.asarray(y)
    rows = {arm: np.flatnonzero(treated == arm) for arm in (True, False)}
    models: dict[bool, Any] = {arm: clone(model) for arm in rows}
    last = _last(models[False])
    last.set_params(key=jax.random.fold_in(as_key(last.key), 1))
    for arm, places in rows.items():
        models[arm].fit(X.iloc[places] if hasattr(X, "iloc") else np.asarray(X)[places], labels[places])
    return TwoModels(models[True], models[False])


def probabilities_of(model: Any, X: Any, *, num_draws: int | None = None) -> np.ndarray:  # noqa: N803
    """Posterior draws of the probabilities, shape (draw, row), of a `ResponseModel` or a pipeline that ends with one."""
    features = model[:-1].transform(X) if isinstance(model, Pipeline) and len(model) > 1 else X
    return _last(model).probabilities(features, num_draws=num_draws)


def _last(model: Any) -> Any:
    return model[-1] if isinstance(model, Pipeline) else model
