"""Uplift: how many responses contact adds, where a table says who was contacted at random.

Response is not uplift. A model of responses finds who responds; to be contacted is who responds *because* of it, which only
a randomised comparison can tell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.errors import RemarketingError
from mmm_jax.fitting.keys import Key, as_generator
from mmm_jax.remarketing.arrays import blocks, draws_of, ends_of, labels_of, share
from mmm_jax.remarketing.audience import Audience, choose_audience
from mmm_jax.remarketing.ranked import ranked


@dataclass(frozen=True, eq=False, repr=False)
class Uplift:
    """What two models say of the same customers, one of them with contact, one without; it never changes.

    Attributes:
        treated: draws of the probability of a response to contact, shape (draws, rows).
        control: of a response without contact, likewise.
        prob: probability of the intervals.
    """

    treated: np.ndarray
    control: np.ndarray
    prob: float

    @property
    def draws(self) -> np.ndarray:
        """What contact adds to each customer's probability, shape (draws, rows)."""
        return self.treated - self.control

    @property
    def average(self) -> pd.Series:
        """Average uplift of these customers: `mean`, `sd`, `lower`, `upper`, and the probability that it is `positive`."""
        over = self.draws.mean(axis=1, dtype=float)
        lower, upper = ends_of(over, self.prob)
        found = {"mean": over.mean(), "sd": over.std(), "lower": lower, "upper": upper, "positive": (over > 0).mean()}
        return pd.Series(found)

    @property
    def table(self) -> pd.DataFrame:
        """The same by customer, in the order of the rows, with `treated` and `control`, the mean probabilities."""
        draws = self.draws
        lower, upper = ends_of(draws, self.prob)
        return pd.DataFrame(
            {
                "treated": self.treated.mean(axis=0, dtype=float),
                "control": self.control.mean(axis=0, dtype=float),
                "mean": draws.mean(axis=0, dtype=float),
                "lower": lower,
                "upper": upper,
                "positive": (draws > 0).mean(axis=0),
            }
        )

    def audience(self, **options: Any) -> Audience:
        """Whom to contact by expected profit of what contact *adds*; `options` are those of `choose_audience`."""
        return choose_audience(self.treated, control=self.control, **{"prob": self.prob, **options})

    def __repr__(self) -> str:
        """One line: the average uplift with its interval."""
        of = self.average
        found = f"average {of['mean']:+.4f} ({of['lower']:+.4f} to {of['upper']:+.4f})"
        return f"Uplift({self.treated.shape[1]} customers; {found})"


def estimate_uplift(p_treated: Any, p_control: Any, *, prob: float = 0.9) -> Uplift:
    """Uplift by two models: one learnt from customers who were contacted, one from those who were not.

    Contact must have been randomised among them, see `check_arms`; else what the models differ by is also what contacted
    customers differ by from the others.

    Args:
        p_treated: draws of the probabilities by the first model, shape (draws, rows).
        p_control: those by the second model of the same rows, likewise; the two posteriors are independent, so that any draw
            of one goes with any of the other.
        prob: probability of the intervals.

    Raises:
        RemarketingError: probabilities are none, or shapes differ.

    Reference:
        Kunzel et al. (2019), Metalearners for estimating heterogeneous treatment effects: the T-learner.

    Example:
        >>> found = estimate_uplift([[0.3, 0.2], [0.5, 0.2]], [[0.1, 0.2], [0.1, 0.2]])
        >>> found.table["mean"].round(3).tolist()
        [0.3, 0.0]
    """
    treated = draws_of(p_treated, name="p_treated")
    control = draws_of(p_control, treated.shape[1], name="p_control")
    if len(treated) != len(control):
        raise RemarketingError(
            f"`p_treated` has {len(treated)} draws and `p_control` {len(control)}; they must have equally many. "
            "Thin the longer one."
        )
    return Uplift(treated, control, share(prob, name="prob"))


def check_arms(treatment: Any, y: Any = None, *, least: int = 20) -> np.ndarray:
    """Who was contacted, as booleans of the shape (rows,), if the table can tell two models apart.

    Args:
        treatment: 1 where a customer was contacted, 0 where not; at random.
        y: labels 0 and 1, shape (rows,), of which both must occur in both arms.
        least: customers that each arm must have.

    Raises:
        RemarketingError: the treatment is not binary, an arm is missing or too small, or has responders or others only; says
            how many are where.
    """
    treated = labels_of(treatment, name="treatment", both=False)
    for name, size in {"contacted (1)": int(treated.sum()), "not contacted (0)": int((~treated).sum())}.items():
        if size < least:
            raise RemarketingError(
                f"`treatment` has {size} of {len(treated)} customers {name}, but {least} are needed: two models need both "
                "arms. Without customers left alone at random, uplift cannot be told from response."
            )
    if y is None:
        return treated
    labels = labels_of(y, both=False)
    if len(labels) != len(treated):
        raise RemarketingError(
            f"`treatment` has {len(treated)} rows, but `y` {len(labels)}. Give both of the same customers."
        )
    for name, arm in {"contacted": treated, "not contacted": ~treated}.items():
        responders = int(labels[arm].sum())
        if responders in (0, int(arm.sum())):
            raise RemarketingError(
                f"Of {int(arm.sum())} customers who were {name}, {responders} responded: a model needs both responders and "
                "others in each arm. Take more rows, or a response that is possible without contact."
            )
    return treated


@dataclass(frozen=True, eq=False, repr=False)
class UpliftCurve:
    """Responses that are added by contacting customers in the order of a model's uplift, on a randomised test table.

    Attributes:
        table: by `share` of the customers who are contacted: `gain` (responses added in the order of the mean uplift, per
            customer of the whole table), `lower` and `upper` (in the orders of the draws), and `random`, that of contacting
            as many at random.
        area: between `gain` and `random` (Qini coefficient), in responses per customer; 0 for a model that orders at random.
        draws: the same in the orders of the draws, shape (draws,).
        p_value: probability that random orders reach such an area.
        prob: probability of the intervals.
    """

    table: pd.DataFrame
    area: float
    draws: np.ndarray
    p_value: float
    prob: float

    def __repr__(self) -> str:
        """One line: the area, and how likely it is by chance."""
        total = self.table["random"].iloc[-1]
        return (
            f"UpliftCurve(area {self.area:+.4f}, by chance with probability {self.p_value:.2g}; all contacted: {total:+.4f})"
        )


def uplift_curve(
    uplift: Any,
    y: Any,
    treatment: Any,
    *,
    points: int = 101,
    permutations: int = 1000,
    prob: float = 0.9,
    key: Key = 0,
) -> UpliftCurve:
    """Does an estimated uplift find those whom contact moves: the Qini curve on customers it was not learnt from.

    Among the first customers in the order of the uplift, those contacted responded `R_t` times out of `N_t`, those left
    alone `R_c` out of `N_c`. Contact added `R_t - R_c N_t / N_c` responses, divided here by all who were contacted, so that
    the curve ends at the average uplift.

    Args:
        uplift: an `Uplift`, or scores of the shape (draws, rows) or (rows,), higher for whom to contact first.
        y: responses 0 and 1 of the same customers, shape (rows,).
        treatment: 1 where a customer was contacted, 0 where not, at random.
        points: places of the curve.
        permutations: random orders that the area is compared with.
        prob: probability of the intervals.
        key: random key or seed of these orders.

    Raises:
        RemarketingError: labels or treatment are not binary, an arm is missing, or shapes differ.

    Reference:
        Radcliffe (2007), Using Control Groups to Target on Predicted Lift: Building and Assessing Uplift Models.
    """
    treated, labels = check_arms(treatment, least=1), labels_of(y, both=False)
    scores, prob = _scores_of(uplift, labels, treated), share(prob, name="prob")
    at = np.linspace(0.0, 1.0, points)
    of_draws = _gains(scores, labels, treated, at)
    of_mean = _gains(scores.mean(axis=0)[None], labels, treated, at)[0]
    by_chance = _gains(as_generator(key).random((permutations, len(labels))), labels, treated, at)
    random = at * of_mean[-1]
    area, areas, none = (np.trapezoid(gains - random, at, axis=-1) for gains in (of_mean, of_draws, by_chance))
    lower, upper = ends_of(of_draws, prob)
    table = pd.DataFrame({"share": at, "gain": of_mean, "lower": lower, "upper": upper, "random": random})
    # The order that was found is one of those that chance might have given.
    p_value = (1 + (none >= area).sum()) / (1 + permutations)
    return UpliftCurve(table, float(area), areas, float(p_value), prob)


def _scores_of(uplift: Any, y: np.ndarray, treated: np.ndarray) -> np.ndarray:
    scores = np.atleast_2d(np.asarray(uplift.draws if isinstance(uplift, Uplift) else uplift, float))
    if scores.ndim != 2 or scores.shape[1] != len(y) or len(treated) != len(y):
        raise RemarketingError(
            f"`uplift`, `y` and `treatment` must be of the same customers: got {scores.shape[-1]}, {len(y)} and "
            f"{len(treated)} of them."
        )
    bad = ~np.isfinite(scores)
    if bad.any():
        raise RemarketingError(f"`uplift` must be finite, but {bad.sum()} of {bad.size} values are not.")
    return scores


def _gains(scores: np.ndarray, y: np.ndarray, treated: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Added responses per contacted customer at shares of the customers, shape (draws, at)."""
    parts = [_block_gains(scores[block], y, treated, at) for block in blocks(*scores.shape)]
    return np.concatenate(parts)


def _block_gains(scores: np.ndarray, y: np.ndarray, treated: np.ndarray, at: np.ndarray) -> np.ndarray:
    rows = len(y)
    # Equals share the mean of what is counted, so that the curve is straight between the ends of their group.
    counted = [y & treated, y & ~treated, treated]
    hits_t, hits_c, seen_t = (_cumulated(scores, values) for values in counted)
    seen_c = np.arange(rows + 1) - seen_t
    lost = np.divide(hits_c * seen_t, seen_c, out=np.zeros_like(hits_c), where=seen_c > 0)
    gains = (hits_t - lost) / treated.sum()
    ends = np.linspace(0.0, 1.0, rows + 1)
    return np.stack([np.interp(at, ends, row) for row in gains])


def _cumulated(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of them are among the first customers, shape (draws, rows + 1)."""
    counts = np.cumsum(ranked(values, scores).labels, axis=1)
    return np.concatenate([np.zeros((len(scores), 1)), counts], axis=1)
