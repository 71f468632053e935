"""What the commands of `mmm-jax respond` share: tables, saved models, probabilities, audiences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli.words import did_you_mean, listed
from mmm_jax.errors import RemarketingError, StoreError
from mmm_jax.remarketing import ResponseModel, merge_tables
from mmm_jax.remarketing.arrays import ends_of, share
from mmm_jax.remarketing.audience import Audience, choose_audience
from mmm_jax.remarketing.checks import checked_labels
from mmm_jax.remarketing.holdout import holdout_size
from mmm_jax.remarketing.saved_preparation import load_preparation
from mmm_jax.remarketing.scores import Scores, score_responses

MODEL_FILE, CONTROL_FILE = "model.zarr", "control.zarr"
PREPARATION_FILE, SUMMARY_FILE = "preparation.json", "respond.json"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model that was fitted or loaded.

    Attributes:
        preparation: of the tables.
        model: of responses, on what it prepares.
        control: of responses without contact, where a table with random contact was learned from; else `None`.
    """

    preparation: Any
    model: Any
    control: Any

    @property
    def customer(self) -> str | None:
        """Column of the customers' ids."""
        return self.preparation.customer

    def probabilities(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """Draws of both models, shape (draw, row)."""
        features = self.preparation.transform(table)
        return self.model.probabilities(features), None if self.control is None else self.control.probabilities(features)

    def scores(self, table: pd.DataFrame, draws: np.ndarray, prob: float) -> Scores | None:
        """How good the probabilities are, where the labels are known."""
        label = self.preparation.label
        if label not in table or bool(table[label].isna().all()):
            return None
        classes, responded = checked_labels(table[label])
        if list(classes) != list(self.model.classes_):
            raise RemarketingError(
                f"Column {label!r} holds {listed(map(repr, classes))}, but the model learned from "
                f"{listed(map(repr, self.model.classes_))}. Recode it."
            )
        return score_responses(responded, draws, prob=prob)


def read_customers(data: Path, joins: Sequence[Path], customer: str | None) -> pd.DataFrame:
    """The customers' table, with the columns of the others beside it."""
    table = _read(data)
    if not joins:
        return table
    if customer is None:
        raise RemarketingError("--join needs --customer: the column by which the tables are merged.")
    return merge_tables(table, {path.name: _read(path) for path in joins}, on=customer)


def load(folder: Path) -> Fitted:
    """What `respond fit` wrote."""
    if not (folder / MODEL_FILE).exists():
        raise StoreError(f"{folder} holds no {MODEL_FILE}. Name the folder that `mmm-jax respond fit` wrote.")
    control = ResponseModel.load(folder / CONTROL_FILE) if (folder / CONTROL_FILE).exists() else None
    return Fitted(load_preparation(folder / PREPARATION_FILE), ResponseModel.load(folder / MODEL_FILE), control)


def scored(loaded: Fitted, table: pd.DataFrame, draws: np.ndarray, control: np.ndarray | None, prob: float) -> pd.DataFrame:
    """Every customer's probability with its interval, and the uplift where it is known."""
    share(prob, name="--prob")
    columns = {"customer": _ids(loaded, table), **_interval("probability", "", draws, prob)}
    if control is not None:
        columns |= _interval("uplift", "uplift_", draws - control, prob)
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
    draws, control = loaded.probabilities(table)
    options = {**money, **limits, "ids": _ids(loaded, table), "control": control}
    size: Any = holdout if holdout < 1 else _whole(holdout)
    if design is not None:
        everybody = choose_audience(draws, **options)
        size = holdout_size(*design, audience=everybody.contacts)
    return choose_audience(draws, holdout=size, **options)


def check_column(table: pd.DataFrame, name: str, option: str) -> None:
    """Raise a `RemarketingError` that names the option, unless the table has the column."""
    if name not in table:
        known = list(map(str, table.columns))
        close = did_you_mean(name, known)
        raise RemarketingError(f"{option}: the table has no column {name!r}{close}. It has {listed(known)}.")


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise RemarketingError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if table.empty:
        raise RemarketingError(f"{path} has no rows.")
    # What pandas writes as an index, and reads as a column without a name, numbers the rows.
    return table.drop(columns=[name for name in table if str(name).startswith("Unnamed:")])


def _interval(name: str, before: str, draws: np.ndarray, prob: float) -> dict[str, np.ndarray]:
    lower, upper = ends_of(draws, prob)
    return {name: draws.mean(axis=0), f"{before}lower": lower, f"{before}upper": upper}


def _ids(loaded: Fitted, table: pd.DataFrame) -> np.ndarray:
    if loaded.customer is None:
        return np.arange(len(table))
    check_column(table, loaded.customer, "--data")
    return table[loaded.customer].to_numpy()


def _number_or_column(table: pd.DataFrame, given: str, option: str) -> float | np.ndarray:
    try:
        return float(given)
    except ValueError:
        check_column(table, given, option)
        return table[given].to_numpy()


def _whole(number: float) -> int:
    if number != int(number):
        raise RemarketingError(f"--holdout must be a share below 1, or a whole number of customers; got {number:g}.")
    return int(number)
