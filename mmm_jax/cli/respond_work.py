"""The steps of `mmm-jax respond`: read customers, fit and judge, save and load, choose."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli.screen import Screen
from mmm_jax.cli.words import did_you_mean, listed
from mmm_jax.errors import ApproximationWarning, ConvergenceWarning, RemarketingError, StoreError
from mmm_jax.model.horseshoe import RegularizedHorseshoe
from mmm_jax.remarketing import Preparation, ResponseModel, merge_tables
from mmm_jax.remarketing.arrays import share
from mmm_jax.remarketing.audience import Audience, choose_audience
from mmm_jax.remarketing.checks import checked_labels
from mmm_jax.remarketing.holdout import holdout_size
from mmm_jax.remarketing.reference import stratified_split, tuned_logistic_regression
from mmm_jax.remarketing.saved_preparation import load_preparation, save_preparation
from mmm_jax.remarketing.scores import Scores, compare_responses, majority_guess, score_responses

MODEL_FILE, PREPARATION_FILE, SUMMARY_FILE = "model.zarr", "preparation.json", "respond.json"
_SLAB = 2.0
"""Size, in log odds per standard deviation, that the coefficients of columns that matter may have."""

OURS, REGRESSION, GUESS = "model", "logistic", "guess"


@dataclass(frozen=True)
class Asked:
    """What `mmm-jax respond fit` is told; see its options."""

    label: str
    customer: str | None
    leaks: tuple[str, ...]
    segment: str | None
    nonzero: float | None
    test: float
    prob: float
    key: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model that was fitted or loaded.

    Attributes:
        preparation: of the tables.
        model: on what it prepares.
    """

    preparation: Any
    model: Any

    @property
    def customer(self) -> str | None:
        """Column of the customers' ids."""
        return self.preparation.customer

    def probabilities(self, table: pd.DataFrame) -> np.ndarray:
        """Draws, shape (draw, row)."""
        return self.model.probabilities(self.preparation.transform(table))

    def responded(self, table: pd.DataFrame) -> np.ndarray | None:
        """Labels of the table, if it has them."""
        label = self.preparation.label
        if label not in table or bool(table[label].isna().all()):
            return None
        classes, responded = checked_labels(table[label])
        if list(classes) != list(self.model.classes_):
            raise RemarketingError(
                f"Column {label!r} holds {listed(map(repr, classes))}, but the model learned from "
                f"{listed(map(repr, self.model.classes_))}. Recode it."
            )
        return responded

    def scores(self, table: pd.DataFrame, draws: np.ndarray, prob: float) -> Scores | None:
        """How good the probabilities are, where the labels are known."""
        responded = self.responded(table)
        return None if responded is None else score_responses(responded, draws, prob=prob)


@dataclass(frozen=True, eq=False)
class Judged(Fitted):
    """A model with what was found when it was fitted.

    Attributes:
        rows: number of training rows.
        responders: of these, how many responded.
        y: labels of the rows that it was judged by; `None` without any.
        p: draws of their probabilities.
        comparison: scores side by side.
        odds: table of odds ratios.
    """

    rows: int
    responders: int
    y: np.ndarray | None
    p: np.ndarray | None
    comparison: pd.DataFrame | None
    odds: pd.DataFrame


def read_customers(data: Path, joins: Sequence[Path], customer: str | None) -> pd.DataFrame:
    """The customers' table, with the columns of the others beside it."""
    table = _read(data)
    if not joins:
        return table
    if customer is None:
        raise RemarketingError("--join needs --customer: the column by which the tables are merged.")
    return merge_tables(table, {path.name: _read(path) for path in joins}, on=customer)


def fitted(table: pd.DataFrame, asked: Asked, screen: Screen) -> Judged:
    """Fit to the training rows, and judge by the others."""
    share(asked.prob, name="--prob")
    y = _labels(table, asked.label)
    train, test = np.arange(len(y)), np.array([], int)
    if asked.test != 0:
        train, test = stratified_split(y, test_share=asked.test, key=asked.key)
    options = {"label": asked.label, "customer": asked.customer, "leaks": list(asked.leaks)}
    preparation = Preparation(**options, keep=[asked.segment] if asked.segment else [])
    features = preparation.fit(table.iloc[train], table[asked.label].iloc[train]).transform(table.iloc[train])
    prior = None if asked.nonzero is None else RegularizedHorseshoe(asked.nonzero, slab_scale=_SLAB)
    model = ResponseModel(prior=prior, segment=asked.segment, key=asked.key, progress=not screen.machine)
    with warnings.catch_warnings(), screen.stage("fit"):
        # The verdict is told by the report.
        for kind in (ConvergenceWarning, ApproximationWarning):
            warnings.simplefilter("ignore", kind)
        model.fit(features, table[asked.label].iloc[train])
    odds = model.odds_ratios(prob=asked.prob, units=preparation.units_)
    found = (preparation, model, len(train), int(y[train].sum()))
    if len(test) == 0:
        return Judged(*found, None, None, None, odds)
    with screen.stage("judge"):
        p, comparison = _compared(found, table, y, train, test, asked)
    return Judged(*found, y[test], p, comparison, odds)


def save_fit(found: Judged, out: Path, prob: float, screen: Screen, *, plots: bool) -> list[Path]:
    """Write the model and what was found; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    found.model.save(out / MODEL_FILE, overwrite=True)
    save_preparation(found.preparation, out / PREPARATION_FILE)
    found.odds.to_csv(out / "odds_ratios.csv")
    written = [out / MODEL_FILE, out / PREPARATION_FILE, out / "odds_ratios.csv"]
    if found.comparison is not None:
        flat = found.comparison.set_axis([" ".join(names) for names in found.comparison.columns], axis=1)
        flat.to_csv(out / "scores.csv")
        written.append(out / "scores.csv")
    if plots:
        from mmm_jax.cli.pictures import save_response_pictures

        with screen.stage("pictures"):
            written += save_response_pictures(found.y, found.p, found.odds, out / "plots", prob)
    return written


def load(folder: Path) -> Fitted:
    """What `respond fit` wrote."""
    if not (folder / MODEL_FILE).exists():
        raise StoreError(f"{folder} holds no {MODEL_FILE}. Name the folder that `mmm-jax respond fit` wrote.")
    return Fitted(load_preparation(folder / PREPARATION_FILE), ResponseModel.load(folder / MODEL_FILE))


def scored(loaded: Fitted, table: pd.DataFrame, draws: np.ndarray, prob: float) -> pd.DataFrame:
    """Every customer's probability with its interval."""
    half = (1 - share(prob, name="--prob")) / 2
    lower, upper = np.quantile(draws, [half, 1 - half], axis=0)
    columns = {"customer": _ids(loaded, table), "probability": draws.mean(axis=0), "lower": lower, "upper": upper}
    return pd.DataFrame(columns)


def chosen(
    loaded: Fitted,
    table: pd.DataFrame,
    margin: str,
    cost: str,
    *,
    holdout: float,
    design: tuple[float, float] | None,
    limits: Mapping[str, Any],
) -> Audience:
    """Whom to contact; with a design, with a holdout large enough for it."""
    money = {"margin": _number_or_column(table, margin, "--margin"), "cost": _number_or_column(table, cost, "--cost")}
    options = {**money, **limits, "ids": _ids(loaded, table)}
    draws = loaded.probabilities(table)
    size: Any = holdout if holdout < 1 else _whole(holdout)
    if design is not None:
        everybody = choose_audience(draws, **options)
        size = holdout_size(*design, audience=everybody.contacts)
    return choose_audience(draws, holdout=size, **options)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise RemarketingError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if table.empty:
        raise RemarketingError(f"{path} has no rows.")
    # What pandas writes as an index, and reads as a column without a name, numbers the rows.
    return table.drop(columns=[name for name in table if str(name).startswith("Unnamed:")])


def _labels(table: pd.DataFrame, label: str) -> np.ndarray:
    _check_column(table, label, "--label")
    return checked_labels(table[label])[1]


def _check_column(table: pd.DataFrame, name: str, option: str) -> None:
    if name not in table:
        known = list(map(str, table.columns))
        close = did_you_mean(name, known)
        raise RemarketingError(f"{option}: the table has no column {name!r}{close}. It has {listed(known)}.")


def _compared(
    found: tuple[Any, Any, int, int], table: pd.DataFrame, y: np.ndarray, train: np.ndarray, test: np.ndarray, asked: Asked
) -> tuple[np.ndarray, pd.DataFrame]:
    preparation, model = found[:2]
    seen, unseen = (preparation.transform(table.iloc[rows]) for rows in (train, test))
    p = model.probabilities(unseen)
    numbers = [name for name in seen if name != asked.segment]
    models = {
        OURS: p,
        REGRESSION: tuned_logistic_regression(seen[numbers], y[train], unseen[numbers], key=asked.key),
        GUESS: majority_guess(y[train], len(test)),
    }
    return p, compare_responses(models, y[test], prob=asked.prob)


def _ids(loaded: Fitted, table: pd.DataFrame) -> np.ndarray:
    if loaded.customer is None:
        return np.arange(len(table))
    _check_column(table, loaded.customer, "--data")
    return table[loaded.customer].to_numpy()


def _number_or_column(table: pd.DataFrame, given: str, option: str) -> float | np.ndarray:
    try:
        return float(given)
    except ValueError:
        _check_column(table, given, option)
        return table[given].to_numpy()


def _whole(number: float) -> int:
    if number != int(number):
        raise RemarketingError(f"--holdout must be a share below 1, or a whole number of customers; got {number:g}.")
    return int(number)
