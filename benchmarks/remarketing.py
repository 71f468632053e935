"""Who will respond, out of sample: `python -m benchmarks.remarketing [--splits 5] [--seeds 0 1 2]`.

Stratified cross-validation on the public table of customers, or on the synthetic one where that is absent, of
`ResponseModel` (all folds in one batch) beside scikit-learn's `LogisticRegression`, whose `C` is tuned by cross-validation
within the training rows, on the same prepared features. Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

import mmm_jax as mj
from benchmarks.measure import machine
from mmm_jax.remarketing import Preparation, ResponseModel, fit_responses, load_marketing_campaign, make_customers

BINS = 10

Folds = dict[str, tuple[Any, Any]]
"""By name, features and labels."""


@dataclass(frozen=True)
class Row:
    """One line of the table: means over the folds."""

    seed: int
    name: str
    auc: float
    log_loss: float
    calibration_error: float
    seconds: float


def main() -> None:
    """Cross-validate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the splits")
    parser.add_argument("--raw", action="store_true", help="leave amounts and income as they are, instead of logarithms")
    options = parser.parse_args()
    mj.use_compilation_cache()
    table, name = customers()
    features = table if options.raw else with_logarithms(table)
    rows = [row for seed in options.seeds for row in compared(features, options.splits, seed)]
    print(f"{datetime.now(UTC):%Y-%m-%d}; {machine()}, scikit-learn {version('scikit-learn')}.")
    print(f"{name}: {len(table)} customers, {table['Response'].mean():.1%} responded; {options.splits} stratified folds.\n")
    print("\n".join(markdown(rows)))


def customers() -> tuple[pd.DataFrame, str]:
    """The public table, or the synthetic one."""
    try:
        return load_marketing_campaign(), "marketing_campaign.csv"
    except mj.DatasetError:
        return make_customers().table, "synthetic customers"


def with_logarithms(table: pd.DataFrame) -> pd.DataFrame:
    """`log(1 + x)` of what customers spent and earn: both have long tails."""
    skewed = [name for name in table if str(name).startswith("Mnt") or name == "Income"]
    return table.assign(**{str(name): np.log1p(table[name]) for name in skewed})


def compared(table: Any, splits: int, seed: int) -> list[Row]:
    """Both models on the folds of one seed."""
    train, test = prepared_folds(table, splits, seed)
    sklearn_, ours = "`LogisticRegression`, tuned", "`ResponseModel`"
    return [
        row_of(seed, sklearn_, tuned, train, test),
        row_of(seed, ours, lambda folds: fit_responses(folds, ResponseModel(), progress=False), train, test),
    ]


def prepared_folds(table: Any, splits: int, seed: int) -> tuple[Folds, Folds]:
    """Features by fold, for training and for scoring; everything is learned from the training rows."""
    train, test, labels = {}, {}, table["Response"]
    chosen = StratifiedKFold(splits, shuffle=True, random_state=seed).split(table, labels)
    for number, (inside, outside) in enumerate(chosen):
        ready = Preparation(label="Response", customer="ID").fit(table.iloc[inside], labels.iloc[inside])
        train[str(number)] = (ready.transform(table.iloc[inside]), labels.iloc[inside])
        test[str(number)] = (ready.transform(table.iloc[outside]), labels.iloc[outside].to_numpy())
    return train, test


def tuned(folds: Folds) -> dict[str, Any]:
    """A ridge-penalised logistic regression per fold, its penalty by the log loss of five inner folds."""
    grid = {"C": np.logspace(-3, 2, 11)}
    search = GridSearchCV(LogisticRegression(max_iter=5000), grid, scoring="neg_log_loss", cv=5)
    found: dict[str, Any] = {name: clone(search) for name in folds}
    return {name: model.fit(*folds[name]) for name, model in found.items()}


def row_of(seed: int, name: str, fit: Callable[[Folds], Any], train: Folds, test: Folds) -> Row:
    """Fit all folds, and score them on their held-out rows."""
    began = time.monotonic()
    models = fit(train)
    seconds = time.monotonic() - began
    found = [(labels, models[fold].predict_proba(rows)[:, 1]) for fold, (rows, labels) in test.items()]
    scores = [(roc_auc_score(*each), log_loss(*each)) for each in found]
    area, loss = np.mean(scores, axis=0)
    labels, chances = (np.concatenate(values) for values in zip(*found, strict=True))
    return Row(seed, name, float(area), float(loss), calibration_error(labels, chances), seconds)


def calibration_error(labels: np.ndarray, chances: np.ndarray) -> float:
    """Expected calibration error in bins of equal width, over all held-out rows: each is scored once."""
    place = np.minimum((chances * BINS).astype(int), BINS - 1)
    gaps = [np.abs(np.sum(labels[place == each] - chances[place == each])) for each in range(BINS)]
    return float(np.sum(gaps) / len(labels))


def markdown(rows: list[Row]) -> list[str]:
    """The table, a line per row."""
    lines = ["| split | model | ROC AUC | log loss | calibration error | seconds, all folds |", "|---|---|---|---|---|---|"]
    for row in rows:
        scores = f"{row.auc:.4f} | {row.log_loss:.4f} | {row.calibration_error:.4f} | {row.seconds:.1f}"
        lines.append(f"| {row.seed} | {row.name} | {scores} |")
    return lines


if __name__ == "__main__":
    main()
