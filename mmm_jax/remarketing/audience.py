"""Whom to contact: customers by expected profit under a budget, what may come of it, and a holdout to measure it by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.errors import RemarketingError
from mmm_jax.fitting.keys import Key, as_generator, as_key, named_key
from mmm_jax.remarketing.arrays import Numbers, draws_of, ends_of, per_row, share
from mmm_jax.remarketing.holdout import HoldoutSize
from mmm_jax.remarketing.profit import (
    Offer,
    affordable,
    budget_bound,
    contact_counts,
    priority,
    profit_table,
    simulated,
)

CONTACT, HOLDOUT, NOT_CHOSEN = "contact", "holdout", "not chosen"


@dataclass(frozen=True, eq=False, repr=False)
class Audience:
    """Customers to contact, and those left alone to measure by; it never changes.

    Attributes:
        ids: of all customers, shape (rows,).
        score: posterior mean probability of a response, or of one more response (uplift), shape (rows,).
        expected_profit: of contacting each of them, in the margin's currency, shape (rows,).
        cost: of contacting each of them.
        group: `contact`, `holdout` or `not chosen`, shape (rows,).
        profit: draws of the total profit of the contacts, shape (draws,).
        table: what contacting more or fewer would bring. One row per number of contacts, the first to contact first:
            `contacts`, `cost`, `responses` (expected; with uplift, more of them), `least_score` and `last_expected_profit`
            (of these customers), `expected_profit`, and of the profit's draws `mean`, `lower`, `upper` and `loss`, the
            probability of a loss. Nobody is held out in it.
        bound: no choice within the budget has a greater expected profit than this, the holdout counted as if contacted.
        by_uplift: whether responses without contact were subtracted.
        prob: probability of the intervals.
        order: places of all customers, the first to contact first.
    """

    ids: np.ndarray
    score: np.ndarray
    expected_profit: np.ndarray
    cost: np.ndarray
    group: np.ndarray
    profit: np.ndarray
    table: pd.DataFrame
    bound: float
    by_uplift: bool
    prob: float
    order: np.ndarray

    @property
    def contacts(self) -> int:
        """How many customers are contacted."""
        return int((self.group == CONTACT).sum())

    @property
    def holdout(self) -> int:
        """How many are left alone to measure by."""
        return int((self.group == HOLDOUT).sum())

    @property
    def spent(self) -> float:
        """Cost of all contacts."""
        return float(self.cost[self.group == CONTACT].sum())

    @property
    def loss(self) -> float:
        """Probability that the contacts bring less than they cost."""
        return float((self.profit < 0).mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Central interval of the total profit."""
        lower, upper = ends_of(self.profit, self.prob)
        return float(lower), float(upper)

    @property
    def expected(self) -> float:
        """Expected total profit of the contacts."""
        return float(self.expected_profit[self.group == CONTACT].sum())

    def __repr__(self) -> str:
        """One line: how many, what is expected, and the probability of a loss."""
        low, high = self.interval
        found = f"expected profit {self.expected:.6g} ({low:.6g} to {high:.6g}), loss with probability {self.loss:.2g}"
        return f"Audience({self.contacts} contacts, {self.holdout} held out of {len(self.ids)} customers; {found})"

    def to_frame(self, *, everybody: bool = False) -> pd.DataFrame:
        """The list, the first to contact first: `customer`, `group`, `score`, `expected_profit` and `cost`.

        Args:
            everybody: with the customers that are not chosen.
        """
        score = "uplift" if self.by_uplift else "score"
        columns = {"customer": self.ids, "group": self.group, score: self.score}
        table = pd.DataFrame({**columns, "expected_profit": self.expected_profit, "cost": self.cost}).iloc[self.order]
        return (table if everybody else table[table["group"] != NOT_CHOSEN]).reset_index(drop=True)

    def to_csv(self, path: str | Path, *, everybody: bool = False) -> None:
        """Write the list of `to_frame` as CSV in UTF-8. Keep it: with the holdout's responses, the campaign is measured."""
        self.to_frame(everybody=everybody).to_csv(path, index=False, float_format="%.6g")


def choose_audience(
    p: Any,
    *,
    margin: Numbers,
    cost: Numbers,
    budget: float | None = None,
    contacts: int | None = None,
    control: Any = None,
    ids: Sequence[Any] | np.ndarray | None = None,
    holdout: int | float | HoldoutSize = 0,
    profitable_only: bool = True,
    prob: float = 0.9,
    key: Key = 0,
) -> Audience:
    """Choose whom to contact, by the expected profit `p * margin - cost`.

    Response is not uplift: a customer who would have bought anyway responds well and brings nothing more. The profit here is
    that of *all* responses, unless `control` says what would come without contact. A holdout measures what the campaign adds
    in truth; a table with randomised contact allows to choose by uplift, see `mmm_jax.remarketing.uplift`.

    Under a number of contacts, no other choice has a greater expected profit. Under money, customers are taken by expected
    profit per cost; with unequal costs another choice can be a little better, by `bound` minus the expected profit at most.

    Args:
        p: posterior draws of the probability of a response to contact, shape (draws, rows); (rows,) without draws.
        margin: profit of a response before the cost of contact, in currency; one number, or one per customer.
        cost: of contacting a customer, in currency, at least 0; likewise.
        budget: money that contacts may cost; at most one of `budget` and `contacts` is given.
        contacts: how many may be contacted.
        control: draws of the probability of a response *without* contact, of the shape of `p`; those responses are
            subtracted.
        ids: of the customers, each once; 0, 1, ... by default.
        holdout: of the chosen, how many are left alone at random to measure the campaign by: a number, a share below 1, or a
            `holdout_size`. They count towards the budget, whose rest remains.
        profitable_only: leave out customers whose expected profit is not positive, even if the budget would pay for them.
        prob: probability of the intervals.
        key: random key or seed of the holdout and of the simulated responses.

    Raises:
        RemarketingError: an argument has another length than `p`, is out of range, ids stand twice, both budgets are given,
            nobody is chosen, or the holdout takes everybody.

    Example:
        >>> found = choose_audience([0.5, 0.1, 0.3], margin=10.0, cost=2.0, ids=["ann", "bob", "cid"])
        >>> found.to_frame()["customer"].tolist()
        ['ann', 'cid']
    """
    offer = _offer(p, control, margin, cost)
    names, prob = _ids(ids, len(offer.cost)), share(prob, name="prob")
    expected, most = offer.expected(), _limit(budget, contacts)
    order = priority(expected, offer.cost, per_cost=budget is not None)
    chosen = _chosen(order, expected, offer.cost, budget, contacts, profitable_only)
    group = np.full(len(names), NOT_CHOSEN, dtype=object)
    group[chosen] = CONTACT
    group[_held_out(chosen, holdout, as_generator(named_key(as_key(key), "holdout")))] = HOLDOUT
    counts = contact_counts(len(order), len(chosen))
    generator = as_generator(named_key(as_key(key), "responses"))
    along, total = simulated(offer, order, counts, group == CONTACT, generator)
    bound = float(expected[chosen].sum()) if budget is None else budget_bound(order, expected, offer.cost, most)
    table = profit_table(offer, order, counts, along, prob)
    return Audience(
        names, offer.score(), expected, np.array(offer.cost), group, total, table, bound, control is not None, prob, order
    )  # fmt: skip


def _offer(p: Any, control: Any, margin: Any, cost: Any) -> Offer:
    draws = draws_of(p)
    rows = draws.shape[1]
    without = None if control is None else draws_of(control, rows, name="control")
    if without is not None and len(without) != len(draws):
        raise RemarketingError(
            f"`p` has {len(draws)} draws and `control` {len(without)}; they must have equally many. Thin the longer one."
        )
    return Offer(draws, without, per_row(margin, rows, name="margin"), per_row(cost, rows, name="cost", least=0.0))


def _ids(ids: Any, rows: int) -> np.ndarray:
    names = np.arange(rows) if ids is None else np.asarray(ids)
    if names.shape != (rows,):
        raise RemarketingError(f"`ids` must name each of {rows} customers, got shape {names.shape}.")
    twice = pd.Index(names).duplicated()
    if twice.any():
        raise RemarketingError(
            f"`ids` must name every customer once, but {twice.sum()} of {rows} stand there again; the first is "
            f"{names[twice][0]!r}. Keep one row per customer."
        )
    return names


def _limit(budget: float | None, contacts: int | None) -> float:
    if budget is not None and contacts is not None:
        raise RemarketingError(f"Give `budget` or `contacts`, not both; got {budget!r} and {contacts!r}.")
    for name, value in {"budget": budget, "contacts": contacts}.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise RemarketingError(f"`{name}` must be a positive number, got {value!r}.")
    if contacts is not None and contacts != int(contacts):
        raise RemarketingError(f"`contacts` must be a whole number, got {contacts!r}.")
    return np.inf if budget is None else float(budget)


def _chosen(
    order: np.ndarray,
    expected: np.ndarray,
    cost: np.ndarray,
    budget: float | None,
    contacts: int | None,
    profitable_only: bool,
) -> np.ndarray:
    """Places of the chosen, the first to contact first."""
    worth = order[expected[order] > 0] if profitable_only else order
    if len(worth) == 0:
        raise RemarketingError(
            f"Nobody of {len(order)} customers has a positive expected profit; the best has {expected.max():.3g}. "
            "Check `margin` and `cost`, or pass profitable_only=False."
        )
    found = worth[: len(worth) if contacts is None else int(contacts)]
    if budget is not None:
        found = affordable(worth, cost, budget)
    if len(found) == 0:
        raise RemarketingError(
            f"The budget of {budget:g} pays for nobody: the cheapest of {len(worth)} customers costs {cost[worth].min():g}."
        )
    return found


def _held_out(chosen: np.ndarray, holdout: int | float | HoldoutSize, generator: np.random.Generator) -> np.ndarray:
    """Places of a random part of the chosen."""
    size = holdout.holdout if isinstance(holdout, HoldoutSize) else holdout
    if not isinstance(size, (int, float, np.integer, np.floating)) or not (np.isfinite(size) and size >= 0):
        raise RemarketingError(f"`holdout` must be a number of customers or a share below 1, got {holdout!r}.")
    count = round(size * len(chosen)) if size < 1 else size
    if (size >= 1 and not isinstance(size, (int, np.integer))) or count >= len(chosen):
        raise RemarketingError(
            f"`holdout` must be a whole number below the {len(chosen)} chosen customers, or a share below 1, got {size!r}."
        )
    return generator.choice(chosen, int(count), replace=False)
