"""How many customers of an audience to leave alone, so that what the campaign adds can be measured afterwards."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.arrays import share


@dataclass(frozen=True)
class HoldoutSize:
    """A design of two groups.

    Attributes:
        holdout: customers who are left alone.
        contacts: customers who are contacted.
        power: probability that the test of the two shares finds the lift, if it is there.
        rate: share of responses without contact that this is for.
        lift: difference of the shares that is to be found.
    """

    holdout: int
    contacts: int
    power: float
    rate: float
    lift: float


def holdout_size(
    rate: float,
    lift: float,
    *,
    audience: int | None = None,
    ratio: float = 1.0,
    power: float = 0.8,
    alpha: float = 0.05,
    two_sided: bool = True,
) -> HoldoutSize:
    """Smallest holdout with which a campaign's lift can be told from chance, by the test of two proportions.

    With `audience`, the smallest holdout out of so many customers, of whom all others are contacted; else the groups for
    `ratio` contacts to one customer left alone.

    Args:
        rate: share of customers who would respond without contact: buy without the email, for example.
        lift: by how much contact raises that share, as a difference: 0.02 from 10 % to 12 %. Negative if it lowers it.
        audience: customers of both groups together.
        ratio: contacts per customer left alone, where no audience is given.
        power: probability of finding the lift if it is there.
        alpha: probability of finding one if there is none.
        two_sided: whether a lift of the other sign would be found, too.

    Raises:
        RemarketingError: a share, the power or the ratio is out of range, or the audience is too small for the lift; names
            the size that is not.

    Reference:
        Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, 3rd edition, section 4.4 (unequal
        groups; without the correction for continuity).

    Example:
        >>> design = holdout_size(0.10, 0.05)
        >>> design.holdout, design.contacts
        (686, 686)
        >>> holdout_size(0.10, 0.05, audience=5000).holdout
        391
    """
    treated = rate + lift
    for name, value in {"rate": rate, "rate + lift": treated}.items():
        if not 0 <= value <= 1:
            raise RemarketingError(f"`{name}` is a share of customers, between 0 and 1, got {value!r}.")
    if lift == 0:
        raise RemarketingError("`lift` is 0: no holdout is large enough to find nothing. Give the least lift that matters.")
    if not (math.isfinite(ratio) and ratio > 0):
        raise RemarketingError(f"`ratio` is contacts per customer left alone, a positive number, got {ratio!r}.")
    power, level = share(power, name="power"), share(alpha, name="alpha") / (2 if two_sided else 1)
    if audience is None:
        holdout = math.ceil(_least(rate, treated, ratio, power, level))
        contacts = math.ceil(ratio * holdout)
    else:
        holdout, contacts = _out_of(int(audience), rate, treated, power, level)
    reached = float(power_of(rate, treated, holdout, contacts, level))
    return HoldoutSize(holdout, contacts, reached, float(rate), float(lift))


def power_of(rate: float, treated: float, holdout: int | np.ndarray, contacts: int | np.ndarray, level: float) -> np.ndarray:
    """Probability that the test finds a difference of two shares, in the normal approximation.

    Args:
        rate: share of responses in the holdout.
        treated: that among those who are contacted.
        holdout: number of customers left alone.
        contacts: number of those contacted.
        level: probability of the test's error on that side.
    """
    pooled = (holdout * rate + contacts * treated) / (holdout + contacts)
    under_none = np.sqrt(pooled * (1 - pooled) * (1 / holdout + 1 / contacts))
    spread = np.sqrt(rate * (1 - rate) / holdout + treated * (1 - treated) / contacts)
    distance = abs(treated - rate) - ndtri(1 - level) * under_none
    # Shares of exactly 0 and 1 do not spread.
    return ndtr(distance / np.maximum(spread, np.finfo(float).tiny))


def _least(rate: float, treated: float, ratio: float, power: float, level: float) -> float:
    """Customers of the holdout, with `ratio` contacts to each."""
    pooled = (rate + ratio * treated) / (1 + ratio)
    under_none = ndtri(1 - level) * math.sqrt((1 + ratio) * pooled * (1 - pooled))
    spread = ndtri(power) * math.sqrt(ratio * rate * (1 - rate) + treated * (1 - treated))
    return max((under_none + spread) ** 2 / (ratio * (treated - rate) ** 2), 1.0)


def _out_of(audience: int, rate: float, treated: float, power: float, level: float) -> tuple[int, int]:
    """The smallest holdout of an audience with enough power, and the rest."""
    # More than one half left alone would be a smaller campaign, not a better measurement of this one.
    sizes = np.arange(1, audience // 2 + 1)
    enough = power_of(rate, treated, sizes, audience - sizes, level) >= power if len(sizes) else np.array([], bool)
    if not enough.any():
        needed = 2 * math.ceil(_least(rate, treated, 1.0, power, level))
        raise RemarketingError(
            f"An audience of {audience} customers is too small to find a lift of {treated - rate:+.3g} on {rate:.3g}: it "
            f"takes {needed}, one half left alone. Enlarge it, look for a larger lift, or pool several campaigns."
        )
    holdout = int(sizes[np.argmax(enough)])
    return holdout, audience - holdout
