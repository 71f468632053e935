"""How good probabilities of responses are, as posterior distributions; and side by side with other models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.arrays import Numbers, blocks, draws_of, ends_of, labels_of, per_row, share
from mmm_jax.remarketing.ranked import average_precision, equal_mass_error, equal_width_error, ranked, roc_auc

SCORES = ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier", "calibration_error")
"""Names of all scores; of the last three, less is better."""

_CELLS = ("true_negative", "false_positive", "false_negative", "true_positive")


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """Scores of one model on one table; they never change.

    Attributes:
        draws: one row per posterior draw, one column per score.
        of_mean: the scores of the posterior mean probability, which is what one decides by; by score.
        counts: cells of the confusion matrix, likewise one row per draw.
        counts_of_mean: those of the posterior mean probability.
        prob: probability of the intervals.
        rows: number of customers.
        responders: of these, how many responded.
    """

    draws: pd.DataFrame
    of_mean: pd.Series
    counts: pd.DataFrame
    counts_of_mean: pd.Series
    prob: float
    rows: int
    responders: int

    @property
    def table(self) -> pd.DataFrame:
        """By score: `of_mean`, and over the draws `mean`, `sd` and the central interval `lower`, `upper`.

        A draw is one parameter vector that may be true; their average is a better forecast than most of them, so `of_mean`
        may lie outside of the interval. The interval says what the posterior leaves open, not what another sample of
        customers would give.
        """
        return _summary(self.draws, self.of_mean, self.prob)

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts by (`actual`, `predicted`), with the columns of `table`; `confusion["of_mean"].unstack()` is the matrix."""
        cells = pd.MultiIndex.from_product([("no", "yes")] * 2, names=("actual", "predicted"))
        return _summary(self.counts, self.counts_of_mean, self.prob).set_axis(cells, axis=0)

    def __repr__(self) -> str:
        """One line: on what, and the two scores that need no threshold and no costs."""
        auc, loss = self.of_mean["roc_auc"], self.of_mean["log_loss"]
        return f"Scores({self.rows} customers, {self.responders} responders; ROC AUC {auc:.3f}, log loss {loss:.4f})"


def score_responses(
    y: Any, p: Any, *, threshold: Numbers = 0.5, prob: float = 0.9, bins: int = 10, equal_mass: bool = True
) -> Scores:
    """Score probabilities of responses against what happened, draw by draw.

    Accuracy, precision, recall and F1 depend on the threshold; that of expected profit is `cost / margin`. Where nobody
    reaches it, precision counts as 0. The calibration error is the mean absolute difference of the responders' share and the
    mean probability over bins, weighted by their customers.

    Args:
        y: labels 0 and 1, shape (rows,).
        p: posterior draws of the probabilities, shape (draws, rows); (rows,) for a model without draws.
        threshold: probability from which on a response is predicted; one number, or one per customer.
        prob: probability of the intervals.
        bins: of the calibration error.
        equal_mass: bins with equally many customers; else of equal width of probability.

    Raises:
        RemarketingError: labels are not binary or all the same, probabilities are none or not of these rows, or an option is
            out of range.

    Reference:
        Naeini, Cooper and Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning, for the
        calibration error; Davis and Goadrich (2006), The Relationship Between Precision-Recall and ROC Curves.

    Example:
        >>> found = score_responses([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], bins=2)
        >>> found.of_mean["roc_auc"], found.of_mean["accuracy"]
        (np.float64(0.75), np.float64(0.75))
    """
    labels, prob = labels_of(y), share(prob, name="prob")
    rows = len(labels)
    draws = draws_of(p, rows)
    cuts = per_row(threshold, rows, name="threshold")
    if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= rows:
        raise RemarketingError(f"`bins` must be a whole number from 1 to the {rows} customers, got {bins!r}.")
    options = (cuts, bins, equal_mass)
    found = [_scored(labels, draws[block], *options) for block in blocks(*draws.shape)]
    scores, counts = (pd.concat(parts, ignore_index=True) for parts in zip(*found, strict=True))
    of_mean, counts_of_mean = _scored(labels, draws.mean(axis=0, dtype=float)[None], *options)
    return Scores(
        scores, of_mean.iloc[0].rename(None), counts, counts_of_mean.iloc[0].rename(None), prob, rows, int(labels.sum())
    )  # fmt: skip


def compare_responses(
    models: Mapping[str, Any],
    y: Any,
    *,
    threshold: Numbers = 0.5,
    prob: float = 0.9,
    bins: int = 10,
    equal_mass: bool = True,
) -> pd.DataFrame:
    """Scores of several models on the same customers, side by side.

    Args:
        models: probabilities by the model's name, each as in `score_responses`; see `majority_guess` for the least that a
            model must beat.
        y: labels 0 and 1, shape (rows,).
        threshold: as in `score_responses`, for all models; so are the other options.
        prob: probability of the intervals.
        bins: of the calibration error.
        equal_mass: as there.

    Returns:
        One row per score; for each model the columns `of_mean`, `lower` and `upper`, which are all the same for one without
        draws.

    Raises:
        RemarketingError: as `score_responses` does, with the model's name.
    """
    if not models:
        raise RemarketingError("There is no model to compare: give probabilities by name, {'ours': p, ...}.")
    labels, options = labels_of(y), {"threshold": threshold, "prob": prob, "bins": bins, "equal_mass": equal_mass}
    tables = {}
    for name, p in models.items():
        try:
            tables[name] = score_responses(labels, p, **options).table[["of_mean", "lower", "upper"]]
        except RemarketingError as error:
            raise RemarketingError(f"Model {name!r}: {error}") from error
    return pd.concat(tables, axis=1, names=["model", ""])


def majority_guess(y_train: Any, rows: int) -> np.ndarray:
    """The responders' share in the training rows, as everybody's probability, shape (rows,).

    At a threshold of 0.5 it predicts what the majority did; of guesses that know nothing of a customer, none has a smaller
    log loss on the training rows.
    """
    return np.full(rows, labels_of(y_train, name="y_train", both=False).mean())


def _scored(
    y: np.ndarray, p: np.ndarray, threshold: np.ndarray, bins: int, equal_mass: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and cells of a block of draws."""
    p = p.astype(float)
    order = ranked(y, p)
    counts = _counts(y, p, threshold)
    error = equal_mass_error(order, bins) if equal_mass else equal_width_error(y, p, bins)
    found = (
        *_at_threshold(*counts),
        roc_auc(order),
        average_precision(order),
        _log_loss(y, p),
        np.square(p - y).mean(axis=1),
        error,
    )
    return pd.DataFrame(dict(zip(SCORES, found, strict=True))), pd.DataFrame(dict(zip(_CELLS, counts, strict=True)))


def _counts(y: np.ndarray, p: np.ndarray, threshold: np.ndarray) -> tuple[np.ndarray, ...]:
    chosen = p >= threshold
    true_positive, chosen_ones = chosen[:, y].sum(axis=1), chosen.sum(axis=1)
    false_positive, false_negative = chosen_ones - true_positive, int(y.sum()) - true_positive
    return len(y) - y.sum() - false_positive, false_positive, false_negative, true_positive


def _at_threshold(tn: np.ndarray, fp: np.ndarray, fn: np.ndarray, tp: np.ndarray) -> tuple[np.ndarray, ...]:
    """Accuracy, precision, recall and F1."""
    precision = tp / np.maximum(tp + fp, 1)
    return (tp + tn) / (tp + tn + fp + fn), precision, tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)


def _log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    # A probability of exactly 0 or 1 that fails costs 36, not infinitely much, as in scikit-learn.
    tiny = np.finfo(float).eps
    said = np.clip(np.where(y, p, 1 - p), tiny, 1 - tiny)
    return -np.log(said).mean(axis=1)


def _summary(draws: pd.DataFrame, of_mean: pd.Series, prob: float) -> pd.DataFrame:
    lower, upper = ends_of(draws.to_numpy(float), prob)
    columns = {"of_mean": of_mean.to_numpy(float), "mean": draws.mean().to_numpy(), "sd": draws.std(ddof=0).to_numpy()}
    return pd.DataFrame({**columns, "lower": lower, "upper": upper}, index=draws.columns)
