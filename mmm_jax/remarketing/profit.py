"""Profit of contacting customers: what is expected, in which order to contact them, and what may come of it."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mmm_jax.remarketing.arrays import blocks, ends_of

_NEAR, _FAR = 40, 20
"""Numbers of contacts at which the profit is told: about the chosen number, and up to all customers."""


class Offer(NamedTuple):
    """What is known before anybody is chosen.

    Attributes:
        p: draws of the probability of a response to contact, shape (draws, rows).
        control: of a response without contact, likewise; `None` if those responses are not to be subtracted.
        margin: profit of a response before the cost of contact, shape (rows,).
        cost: of contacting a customer, shape (rows,).
    """

    p: np.ndarray
    control: np.ndarray | None
    margin: np.ndarray
    cost: np.ndarray

    def score(self) -> np.ndarray:
        """Posterior mean probability of a response, or of one more response, shape (rows,)."""
        mean = self.p.mean(axis=0, dtype=float)
        return mean if self.control is None else mean - self.control.mean(axis=0, dtype=float)

    def expected(self) -> np.ndarray:
        """Expected profit of contacting each customer, shape (rows,)."""
        return self.score() * self.margin - self.cost


def priority(expected: np.ndarray, cost: np.ndarray, *, per_cost: bool) -> np.ndarray:
    """Customers, the first to contact first: by expected profit, or by that per unit of cost where money is short.

    Equals stay in the order of the table. Customers who cost nothing come before all others if they bring something, and
    after them if not.
    """
    if not per_cost:
        return np.argsort(-expected, kind="stable")
    endless = np.where(expected > 0, np.inf, -np.inf)
    worth = np.divide(expected, cost, out=endless, where=cost > 0)
    # What costs nothing is the better, the more it brings.
    return np.lexsort((-expected, -worth))


def affordable(order: np.ndarray, cost: np.ndarray, budget: float) -> np.ndarray:
    """Those who are contacted, in that order, passing over whoever costs more than is left."""
    chosen, left = [], budget * (1 + 1e-12)
    for row in order:
        if cost[row] <= left:
            chosen.append(row)
            left -= cost[row]
    return np.array(chosen, int)


def budget_bound(order: np.ndarray, expected: np.ndarray, cost: np.ndarray, budget: float) -> float:
    """More than this no choice within the budget can bring: customers in that order, the last of them in part.

    Reference:
        Dantzig (1957), Discrete-Variable Extremum Problems, on the knapsack problem.
    """
    worth = order[expected[order] > 0]
    spent = np.cumsum(cost[worth])
    left, whole = budget - (spent - cost[worth]), np.ones(len(worth))
    part = np.divide(left, cost[worth], out=whole, where=cost[worth] > 0)
    return float(np.clip(part, 0.0, 1.0) @ expected[worth])


def contact_counts(rows: int, chosen: int) -> np.ndarray:
    """Numbers of contacts at which the profit is told, from 1 to all customers, the chosen number among them."""
    near, far = np.linspace(1, min(2 * chosen, rows), _NEAR), np.linspace(1, rows, _FAR)
    return np.unique(np.round([*near, *far, chosen]).astype(int))


def simulated(
    offer: Offer, order: np.ndarray, counts: np.ndarray, contacted: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the profit that may come: of unknown probabilities, and of the chance that is left if they were known.

    Each draw of the probabilities has its own responses, one Bernoulli trial per customer. With `control`, those with and
    without contact are independent given the probabilities; since nobody is ever seen in both, their correlation cannot be
    known, and a positive one would make the profit less uncertain than this.

    Args:
        offer: the probabilities, margins and costs.
        order: customers, the first to contact first.
        counts: numbers of first customers of that order, growing.
        contacted: those who are contacted, shape (rows,), bool.
        rng: generator of the responses.

    Returns:
        Profit of contacting so many first customers, shape (draws, counts), and of the contacted, shape (draws,).
    """
    starts = np.append(0, counts[:-1])
    along, total = [], []
    for block in blocks(*offer.p.shape):
        responses = _responses(offer.p[block], rng)
        if offer.control is not None:
            responses -= _responses(offer.control[block], rng)
        gained = responses * offer.margin - offer.cost
        total.append(gained @ contacted)
        along.append(np.cumsum(np.add.reduceat(gained[:, order[: counts[-1]]], starts, axis=1), axis=1))
    return np.concatenate(along), np.concatenate(total)


def profit_table(offer: Offer, order: np.ndarray, counts: np.ndarray, along: np.ndarray, prob: float) -> pd.DataFrame:
    """One row per number of contacts, see `Audience.table`."""
    expected, first = offer.expected()[order], counts - 1
    lower, upper = ends_of(along, prob)
    return pd.DataFrame(
        {
            "contacts": counts,
            "cost": np.cumsum(offer.cost[order])[first],
            "responses": np.cumsum(offer.score()[order])[first],
            "least_score": np.minimum.accumulate(offer.score()[order])[first],
            "last_expected_profit": expected[first],
            "expected_profit": np.cumsum(expected)[first],
            "mean": along.mean(axis=0),
            "lower": lower,
            "upper": upper,
            "loss": (along < 0).mean(axis=0),
        }
    )


def _responses(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(p.shape) < p).astype(float)
