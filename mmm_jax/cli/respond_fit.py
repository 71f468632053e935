"""`mmm-jax respond fit`: a model, or two where contact was random, and how good they are on rows that they have not seen."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli.respond_work import CONTROL_FILE, MODEL_FILE, PREPARATION_FILE, Fitted, check_column
from mmm_jax.cli.screen import Screen
from mmm_jax.errors import ApproximationWarning, ConvergenceWarning
from mmm_jax.model.horseshoe import RegularizedHorseshoe
from mmm_jax.remarketing import Preparation, ResponseModel
from mmm_jax.remarketing.arrays import labels_of, share
from mmm_jax.remarketing.checks import checked_labels
from mmm_jax.remarketing.reference import stratified_split, tuned_logistic_regression
from mmm_jax.remarketing.saved_preparation import save_preparation
from mmm_jax.remarketing.scores import compare_responses, majority_guess
from mmm_jax.remarketing.two_models import fit_two_models
from mmm_jax.remarketing.uplift import Uplift, UpliftCurve, estimate_uplift, uplift_curve

_SLAB = 2.0
"""Size, in log odds per standard deviation, that the coefficients of columns that matter may have."""

OURS, REGRESSION, GUESS = "model", "logistic", "guess"


@dataclass(frozen=True)
class Asked:
    """What `mmm-jax respond fit` is told; see its options."""

    label: str
    customer: str | None
    treatment: str | None
    leaks: tuple[str, ...]
    segment: str | None
    nonzero: float | None
    test: float
    prob: float
    key: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """How good a model is on rows that it has not seen.

    Attributes:
        y: what these customers did.
        p: draws of their probabilities.
        comparison: scores side by side.
        uplift: of all these rows, contacted or not, where there are two models.
        curve: whether its order finds those whom contact moves.
    """

    y: np.ndarray
    p: np.ndarray
    comparison: pd.DataFrame
    uplift: Uplift | None
    curve: UpliftCurve | None


@dataclass(frozen=True, eq=False)
class Judged:
    """A model with what was found when it was fitted.

    Attributes:
        fitted: the model.
        rows: number of customers that it has learned from; of the contacted, where there are two.
        responders: of these, how many responded.
        left_alone: number of customers that the model without contact has learned from.
        odds: table of odds ratios.
        verdict: on other rows, if some were kept for it.
    """

    fitted: Fitted
    rows: int
    responders: int
    left_alone: int
    odds: pd.DataFrame
    verdict: Verdict | None


@dataclass(frozen=True, eq=False)
class _Rows:
    """Labels, and places of the rows; `treated` is true everywhere in a table without treatment."""

    y: np.ndarray
    treated: np.ndarray
    train: np.ndarray
    test: np.ndarray

    def contacted(self, places: np.ndarray) -> np.ndarray:
        """Those of the places whose customers were contacted."""
        return places[self.treated[places]]


def fit_and_judge(table: pd.DataFrame, asked: Asked, screen: Screen) -> Judged:
    """Fit to the training rows, and judge by the others."""
    share(asked.prob, name="--prob")
    rows, labels = _rows_of(table, asked), pd.Series(table[asked.label])
    # Where contact was random, it is what tells the models apart, not a feature.
    leaks = [*asked.leaks, *([asked.treatment] if asked.treatment else [])]
    preparation = Preparation(
        label=asked.label, customer=asked.customer, leaks=leaks, keep=[asked.segment] if asked.segment else []
    ).fit(table.iloc[rows.train], labels.iloc[rows.train])
    features = preparation.transform(table)
    with screen.stage("fit"):
        fitted = Fitted(preparation, *_models(features, labels, rows, asked, screen))
    learned = rows.y[rows.contacted(rows.train)]
    odds = fitted.model.odds_ratios(prob=asked.prob, units=preparation.units_)
    counts = (len(learned), int(learned.sum()), len(rows.train) - len(learned))
    if len(rows.test) == 0:
        return Judged(fitted, *counts, odds, None)
    with screen.stage("judge"):
        return Judged(fitted, *counts, odds, _verdict(fitted, features, rows, asked))


def save_fit(found: Judged, out: Path, prob: float, screen: Screen, *, plots: bool) -> list[Path]:
    """Write the model and what was found; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    # An earlier run's model without contact would be taken for this one's.
    shutil.rmtree(out / CONTROL_FILE, ignore_errors=True)
    models = {MODEL_FILE: found.fitted.model, CONTROL_FILE: found.fitted.control}
    written = [out / name for name, model in models.items() if model is not None]
    for path in written:
        models[path.name].save(path, overwrite=True)
    save_preparation(found.fitted.preparation, out / PREPARATION_FILE)
    found.odds.to_csv(out / "odds_ratios.csv")
    written += [out / PREPARATION_FILE, out / "odds_ratios.csv"]
    if found.verdict is not None:
        table = found.verdict.comparison
        table.set_axis([" ".join(names) for names in table.columns], axis=1).to_csv(out / "scores.csv")
        written.append(out / "scores.csv")
    if plots:
        from mmm_jax.cli.pictures import save_response_pictures

        with screen.stage("pictures"):
            written += save_response_pictures(found.odds, found.verdict, out / "plots", prob)
    return written


def _rows_of(table: pd.DataFrame, asked: Asked) -> _Rows:
    check_column(table, asked.label, "--label")
    y = checked_labels(table[asked.label])[1].astype(bool)
    treated = np.ones(len(y), bool)
    if asked.treatment is not None:
        check_column(table, asked.treatment, "--treatment")
        treated = labels_of(table[asked.treatment], name=asked.treatment, both=False)
    train, test = np.arange(len(y)), np.array([], int)
    if asked.test != 0:
        train, test = stratified_split(y, test_share=asked.test, key=asked.key)
    return _Rows(y, treated, train, test)


def _models(features: pd.DataFrame, labels: pd.Series, rows: _Rows, asked: Asked, screen: Screen) -> tuple[Any, Any]:
    """The model of customers who were contacted, and that of the others, if contact was random."""
    prior = None if asked.nonzero is None else RegularizedHorseshoe(asked.nonzero, slab_scale=_SLAB)
    model = ResponseModel(prior=prior, segment=asked.segment, key=asked.key, progress=not screen.machine)
    seen = features.iloc[rows.train], labels.iloc[rows.train]
    with warnings.catch_warnings():
        # The verdict is told by the report.
        for kind in (ConvergenceWarning, ApproximationWarning):
            warnings.simplefilter("ignore", kind)
        if asked.treatment is None:
            return model.fit(*seen), None
        both = fit_two_models(model, *seen, rows.treated[rows.train])
    return both.treated, both.control


def _verdict(fitted: Fitted, features: pd.DataFrame, rows: _Rows, asked: Asked) -> Verdict:
    train, test = (features.iloc[rows.contacted(places)] for places in (rows.train, rows.test))
    learned, y = (rows.y[rows.contacted(places)] for places in (rows.train, rows.test))
    numbers = [name for name in features if name != asked.segment]
    p = fitted.model.probabilities(test)
    models = {
        OURS: p,
        REGRESSION: tuned_logistic_regression(train[numbers], learned, test[numbers], key=asked.key),
        GUESS: majority_guess(learned, len(y)),
    }
    comparison = compare_responses(models, y, prob=asked.prob)
    if fitted.control is None:
        return Verdict(y, p, comparison, None, None)
    everybody = features.iloc[rows.test]
    draws = (model.probabilities(everybody) for model in (fitted.model, fitted.control))
    uplift = estimate_uplift(*draws, prob=asked.prob)
    curve = uplift_curve(uplift, rows.y[rows.test], rows.treated[rows.test], prob=asked.prob, key=asked.key)
    return Verdict(y, p, comparison, uplift, curve)
