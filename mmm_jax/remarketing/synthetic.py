"""Customers with known truth, in the columns of the public table `marketing_campaign.csv`: 2,240 of them, 15 % respond.

Plain NumPy, apart from the model on purpose. Incomes decide on purchases and on where they are made, households shrink
both, and a customer who took part in earlier campaigns takes part again: the columns are as correlated as a shop's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.errors import RemarketingError

EDUCATION = {"2n Cycle": 0.09, "Basic": 0.02, "Graduation": 0.50, "Master": 0.17, "PhD": 0.22}
MARITAL = {"Married": 0.39, "Together": 0.26, "Single": 0.21, "Divorced": 0.10, "Widow": 0.04}
"""Share of the customers."""

AMOUNTS = {
    "Wines": 0.50,
    "Fruits": 0.045,
    "MeatProducts": 0.27,
    "FishProducts": 0.06,
    "SweetProducts": 0.045,
    "GoldProds": 0.08,
}
"""Share of each kind of goods in what a customer spends."""

PLACES = {"Web": 0.33, "Catalog": 0.20, "Store": 0.47}
CAMPAIGNS = {"AcceptedCmp3": 0.07, "AcceptedCmp4": 0.07, "AcceptedCmp5": 0.07, "AcceptedCmp1": 0.06, "AcceptedCmp2": 0.015}
"""Share of the customers who took part in earlier campaigns."""

COEFFICIENTS = {
    "Income": 5e-6,
    "Kidhome": 0.1,
    "Teenhome": -0.7,
    "Recency": -0.025,
    "MntWines": 0.0,
    "MntMeatProducts": 0.002,
    "NumCatalogPurchases": 0.08,
    "NumStorePurchases": -0.12,
    "NumWebVisitsMonth": 0.1,
    "AcceptedCmp3": 1.6,
    "AcceptedCmp4": 0.9,
    "AcceptedCmp5": 1.6,
    "AcceptedCmp1": 1.2,
    "Dt_Customer_days": 0.004,
    "Education_PhD": 0.7,
    "Partner": -0.9,
}
"""Change of the log odds of a response per unit of each feature; `Partner` is 1 for `Married` and `Together`."""

_LAST_DAY = np.datetime64("2014-06-29")
_DAYS = 700


@dataclass(frozen=True, eq=False)
class CustomerTruth:
    """What made a synthetic table.

    Attributes:
        intercept: log odds of a response where all features are 0, without treatment.
        coefficients: change of the log odds per unit of a feature.
        features: of every customer, without missing values, as the truth uses them.
        probabilities: of a response, as things are: with treatment for those who were treated.
        uplift: how much treatment adds to the probability of a response; 0 in a table without treatment.
    """

    intercept: float
    coefficients: pd.Series
    features: pd.DataFrame
    probabilities: np.ndarray
    uplift: np.ndarray


@dataclass(frozen=True, eq=False)
class SyntheticCustomers:
    """A table of customers, the same as raw tables, and the truth behind it."""

    table: pd.DataFrame
    truth: CustomerTruth

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables `customers`, `purchases` and `campaigns`, one row per customer each, in different orders; key `ID`."""
        table: Any = self.table
        purchases = ["ID", "Recency", *[name for name in self.table if name.startswith(("Mnt", "Num"))]]
        campaigns = [name for name in self.table if name.startswith(("AcceptedCmp", "Z_", "Treated", "Response"))]
        own = [name for name in self.table if name == "ID" or name not in {*purchases, *campaigns}]
        return {
            "customers": table[own].copy(),
            "purchases": table[purchases].sort_values("ID", ignore_index=True),
            "campaigns": table[["ID", *campaigns]].iloc[::-1].reset_index(drop=True),
        }


def make_customers(
    *,
    seed: int = 0,
    customers: int = 2240,
    response_rate: float = 0.15,
    missing_incomes: int | None = None,
    treated_share: float | None = None,
    uplift: float = 0.8,
    coefficients: Mapping[str, float] = COEFFICIENTS,
) -> SyntheticCustomers:
    """Customers of a food retailer and who of them responded to its last campaign.

    Args:
        seed: of all random choices: the same seed gives the same customers.
        customers: number of rows, at least 50.
        response_rate: mean probability of a response, without treatment.
        missing_incomes: how many incomes are missing; about 1 % of them by default, 24 of 2,240.
        treated_share: share of the customers that a coin chose for treatment; the table then has a column `Treated`. By
            default there is none, as in the public table.
        uplift: change of the log odds by treatment, of a customer of average income and recency; richer customers and those
            who bought long ago are moved more. Uplift and response are different things: who responds anyway is moved less.
        coefficients: change of the log odds per unit of each feature.

    Raises:
        RemarketingError: a size or a share out of range, or a coefficient of an unknown feature.

    Example:
        >>> made = make_customers(seed=1)
        >>> made.table.shape, int(made.table["Income"].isna().sum())
        ((2240, 29), 24)
        >>> bool(0.1 < made.table["Response"].mean() < 0.2)
        True
    """
    missing = round(customers * 24 / 2240) if missing_incomes is None else missing_incomes
    _check(customers, response_rate, missing, treated_share)
    rng = np.random.default_rng(seed)
    table = _customers(rng, customers)
    features = _features(table)
    unknown = sorted(set(coefficients) - set(features))
    if unknown:
        raise RemarketingError(f"There is no feature {unknown[0]!r}; there are {', '.join(features)}.")
    chosen = pd.Series(dict(coefficients), dtype=float)
    score = features[list(chosen.index)].to_numpy(float) @ chosen.to_numpy()
    intercept = _intercept(score, response_rate)
    truth, treated = _truth(rng, features, chosen, intercept, score, treated_share, uplift)
    if treated is not None:
        table["Treated"] = treated.astype(int)
    table["Response"] = (rng.random(customers) < truth.probabilities).astype(int)
    table.loc[rng.choice(customers, missing, replace=False), "Income"] = np.nan
    return SyntheticCustomers(table, truth)


def _truth(
    rng: np.random.Generator,
    features: Any,
    coefficients: pd.Series,
    intercept: float,
    score: np.ndarray,
    treated_share: float | None,
    uplift: float,
) -> tuple[CustomerTruth, np.ndarray | None]:
    without = _sigmoid(intercept + score)
    used = features[list(coefficients.index)]
    if treated_share is None:
        return CustomerTruth(intercept, coefficients, used, without, np.zeros(len(score))), None
    moved = uplift * (1.0 + 0.5 * _standardized(np.log(features["Income"])) + 0.5 * _standardized(features["Recency"]))
    added = _sigmoid(intercept + score + moved) - without
    treated = rng.random(len(score)) < treated_share
    return CustomerTruth(intercept, coefficients, used, without + treated * added, added), treated


def _customers(rng: np.random.Generator, count: int) -> pd.DataFrame:
    income = np.clip(np.round(np.exp(rng.normal(10.8, 0.42, count))), 4_000, 170_000)
    rich = _standardized(np.log(income))
    kids = rng.binomial(2, np.clip(0.22 - 0.10 * rich, 0.02, 0.6))
    teens = rng.binomial(2, 0.25, count)
    spent = np.exp(5.8 + 1.05 * rich - 0.45 * kids - 0.2 * teens + rng.normal(0.0, 0.5, count))
    spent = np.minimum(spent, 2_400.0)
    visits = np.clip(rng.poisson(np.exp(1.65 - 0.28 * rich)), 0, 20)
    earlier = _campaigns(rng, rich, spent)
    columns = {
        "ID": rng.choice(5 * count, count, replace=False),
        "Year_Birth": np.clip(np.round(rng.normal(1969, 12, count)), 1940, 1996).astype(int),
        "Education": rng.choice(list(EDUCATION), count, p=_shares(EDUCATION)),
        "Marital_Status": rng.choice(list(MARITAL), count, p=_shares(MARITAL)),
        "Income": income,
        "Kidhome": kids,
        "Teenhome": teens,
        "Dt_Customer": (_LAST_DAY - rng.integers(0, _DAYS, count).astype("timedelta64[D]")).astype(str),
        "Recency": rng.integers(0, 100, count),
        **_amounts(rng, spent),
        "NumDealsPurchases": np.minimum(rng.poisson(1.2 + 0.9 * kids + 0.9 * teens), 15),
        **_purchases(rng, spent),
        "NumWebVisitsMonth": visits,
        **earlier,
        "Complain": (rng.random(count) < 0.01).astype(int),
        "Z_CostContact": np.full(count, 3),
        "Z_Revenue": np.full(count, 11),
    }
    table = pd.DataFrame(columns)
    # Of the latest date there is at least one customer, as tenure counts from it.
    table.loc[0, "Dt_Customer"] = str(_LAST_DAY)
    return table


def _features(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers of the table, and the dummies and the tenure that coefficients may be of."""
    numbers = table.select_dtypes("number").drop(columns=["ID", "Z_CostContact", "Z_Revenue"])
    days = (_LAST_DAY - table["Dt_Customer"].to_numpy("datetime64[D]")).astype(int)
    dummies = {f"Education_{name}": table["Education"] == name for name in EDUCATION}
    dummies |= {f"Marital_Status_{name}": table["Marital_Status"] == name for name in MARITAL}
    dummies["Partner"] = table["Marital_Status"].isin(["Married", "Together"])
    return numbers.assign(Dt_Customer_days=days, **dummies).astype(float)


def _amounts(rng: np.random.Generator, spent: np.ndarray) -> dict[str, np.ndarray]:
    shares = np.array([rng.dirichlet(np.array(list(AMOUNTS.values())) * 8.0) for _ in spent])
    return {f"Mnt{name}": np.round(spent * shares[:, place]).astype(int) for place, name in enumerate(AMOUNTS)}


def _purchases(rng: np.random.Generator, spent: np.ndarray) -> dict[str, np.ndarray]:
    total = 2.2 * np.sqrt(spent / 20.0)
    catalog = spent / (spent + 600.0)
    size = {"Web": 1.0, "Catalog": 2.2 * catalog, "Store": 1.0}
    return {f"Num{name}Purchases": np.minimum(rng.poisson(total * share * size[name]), 28) for name, share in PLACES.items()}


def _campaigns(rng: np.random.Generator, rich: np.ndarray, spent: np.ndarray) -> dict[str, np.ndarray]:
    """Earlier campaigns: the same customers again, the big spenders above all, but of the first of the list."""
    willing = rng.normal(size=len(rich))
    scores = {
        name: 0.9 * willing + (0.0 if name == "AcceptedCmp3" else 0.7) * _standardized(np.log(spent)) for name in CAMPAIGNS
    }
    chances = {name: _sigmoid(_intercept(scores[name], share) + scores[name]) for name, share in CAMPAIGNS.items()}
    return {name: (rng.random(len(rich)) < chance).astype(int) for name, chance in chances.items()}


def _intercept(score: np.ndarray, rate: float) -> float:
    """Where the mean probability is the rate, by bisection."""
    low, high = -60.0 - score.max(), 60.0 - score.min()
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _sigmoid(middle + score).mean() < rate else (low, middle)
    return float(0.5 * (low + high))


def _sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def _standardized(values: np.ndarray | pd.Series) -> np.ndarray:
    array = np.asarray(values, float)
    return (array - array.mean()) / array.std()


def _shares(given: Mapping[str, float]) -> np.ndarray:
    values = np.array(list(given.values()))
    return values / values.sum()


def _check(customers: int, rate: float, missing: int, treated_share: float | None) -> None:
    if customers < 50:
        raise RemarketingError(f"A synthetic table needs at least 50 customers, got {customers}.")
    if not 0 < rate < 1:
        raise RemarketingError(f"response_rate must lie between 0 and 1, got {rate}.")
    if not 0 <= missing < customers:
        raise RemarketingError(f"missing_incomes must lie between 0 and {customers - 1}, got {missing}.")
    if treated_share is not None and not 0 < treated_share < 1:
        raise RemarketingError(f"treated_share must lie between 0 and 1, got {treated_share}.")
