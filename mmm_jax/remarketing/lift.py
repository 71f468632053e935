"""What a campaign was worth, from its holdout, as a lift test that the marketing-mix model learns from."""

from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.data.experiment_places import places_of, windows_of
from mmm_jax.data.experiments import Day, LiftTest, LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.arrays import per_row

_LEAST = 5
"""Responses, and customers without one, to be expected in a group for its share to be about normal (Cochran's rule)."""


def campaign_lift(
    *,
    channel: str,
    start: Day,
    end: Day,
    contacts: int,
    responses: int,
    holdout: int,
    holdout_responses: int,
    value: float,
    cost: float,
    periods: int | AnyPanel,
    value_se: float = 0.0,
    in_panel: bool = True,
    outcome_end: Day | None = None,
    geo: str | None = None,
    source: str | None = None,
) -> pd.DataFrame:
    """The outcome that contact added, with its standard error, as one row of `mj.LiftTests.from_frame`.

    Of the contacts, `holdout_responses / holdout` would have responded anyway; the others did because of the campaign. The
    holdout must be a random part of the same audience.

    A lift test says how the outcome changes if spend is changed from that *in the panel*. If the campaign's cost and sales
    are in the panel, as they are once it has run, the row states the way back: spend is taken away, and the outcome with it,
    both negative. Else it states the campaign as it was, both positive.

    Args:
        channel: the panel's name of the channel that the campaign belongs to, such as `"email"`.
        start: first date of the campaign, a panel's row or its first day.
        end: last date on which its cost stands in the panel.
        contacts: customers who were contacted.
        responses: how many of them responded until `outcome_end`.
        holdout: customers of the same audience who were left alone at random.
        holdout_responses: how many of *them* responded in the same time.
        value: of a response, in units of the panel's target: revenue if the target is revenue, margin if it is margin, 1 if
            it is a number of orders.
        cost: of the whole campaign, in the panel's currency.
        periods: number of the panel's rows from `start` to `end`, which the cost is spread over; or the panel itself, which
            counts them and checks that the row fits it.
        value_se: standard error of `value`, if it is an average itself.
        in_panel: whether the panel's spend and target contain the campaign.
        outcome_end: last date until which responses were counted; `end` by default.
        geo: where, for a panel with geos.
        source: where the measurement is recorded.

    Returns:
        One row with the columns `channel, start, end, delta_spend, delta_outcome, se`, and `outcome_end`, `geo`, `source`
        where given. `delta_spend` is per period, `delta_outcome` and `se` are of the whole window.

    Raises:
        RemarketingError: a count is no whole number, responses exceed a group, or a group is too small for a standard error;
            names the group and the number that it takes.
        ExperimentError: a date cannot be read, a window ends before it starts, or the row does not fit the panel.

    Reference:
        Agresti and Caffo (2000), Simple and Effective Confidence Intervals for Proportions and Differences of Proportions,
        for the standard error, which stays positive if nobody of the holdout responded.

    Example:
        >>> row = campaign_lift(channel="email", start="2024-03-03", end="2024-03-03", contacts=9000, responses=720,
        ...                     holdout=1000, holdout_responses=50, value=40.0, cost=900.0, periods=1)
        >>> row[["delta_spend", "delta_outcome"]].values.tolist()
        [[-900.0, -10800.0]]
    """
    groups = {"contacts": (contacts, responses), "holdout": (holdout, holdout_responses)}
    for name, (size, hits) in groups.items():
        _check_counts(name, size, hits)
    _check_large_enough(groups)
    added, se = added_responses(contacts, responses, holdout, holdout_responses)
    worth, worth_se, paid = (
        float(per_row(number, 1, name=name, least=least)[0])
        for name, number, least in (("value", value, None), ("value_se", value_se, 0.0), ("cost", cost, 0.0))
    )
    # Of a product of two independent numbers (Goodman 1960).
    total_se = float(np.sqrt((worth * se) ** 2 + (added * worth_se) ** 2 + (se * worth_se) ** 2))
    sign, place = (-1.0 if in_panel else 1.0), {"channel": channel, "start": start, "end": end}
    measured = {"delta_spend": sign * paid / _rows(periods, place | {"geo": geo})}
    measured |= {"delta_outcome": sign * added * worth, "se": total_se}
    known = {"outcome_end": outcome_end, "geo": geo, "source": source}
    table = pd.DataFrame([place | measured | {name: given for name, given in known.items() if given is not None}])
    _check_row(table, periods)
    return table


def added_responses(contacts: int, responses: int, holdout: int, holdout_responses: int) -> tuple[float, float]:
    """Responses that contact added, and the standard error of that number; see `campaign_lift`."""
    added = responses - contacts * holdout_responses / holdout
    shares = [((hits + 1) / (size + 2), size + 2) for size, hits in ((contacts, responses), (holdout, holdout_responses))]
    return added, contacts * float(np.sqrt(sum(share * (1 - share) / size for share, size in shares)))


def _check_row(table: pd.DataFrame, periods: int | AnyPanel) -> None:
    """By the rules of those who will read it."""
    found = LiftTests.from_frame(table)
    if isinstance(periods, (Panel, GeoPanel)):
        places_of(found, periods)


def _check_counts(name: str, size: Any, hits: Any) -> None:
    what = "responses" if name == "contacts" else f"{name}_responses"
    for label, count in {name: size, what: hits}.items():
        if isinstance(count, bool) or not isinstance(count, (int, float, np.integer, np.floating)) or count != count // 1:
            raise RemarketingError(f"`{label}` must be a whole number of customers, got {count!r}.")
    if size < 1 or not 0 <= hits <= size:
        raise RemarketingError(
            f"`{what}` is {hits} of {size} customers in `{name}`: it must lie between 0 and their number. Count every "
            "customer once, even with several orders."
        )


def _check_large_enough(groups: dict[str, tuple[int, int]]) -> None:
    sizes, hits = (sum(group[place] for group in groups.values()) for place in (0, 1))
    rarer = min(hits, sizes - hits) / sizes
    for name, (size, _) in groups.items():
        if size * rarer < _LEAST:
            needed = f"at least {ceil(_LEAST / rarer)} customers" if rarer > 0 else "some responses, and some without"
            raise RemarketingError(
                f"`{name}` is too small: with {hits} responses of {sizes} customers in all, {size * rarer:.1f} responses, "
                f"or customers without one, are expected among its {size}, and a standard error takes {_LEAST}: {needed}. "
                "See `holdout_size` before the next campaign."
            )


def _rows(periods: int | AnyPanel, place: dict[str, Any]) -> int:
    """Rows of the panel in the campaign's window."""
    if isinstance(periods, (Panel, GeoPanel)):
        nothing = LiftTest(**place, delta_spend=0.0, delta_outcome=0.0, se=1.0)
        ((first, last),) = windows_of(LiftTests([nothing]), periods)
        return 1 if first is None or last is None else last - first + 1
    if isinstance(periods, bool) or not isinstance(periods, (int, np.integer)) or periods < 1:
        raise RemarketingError(
            f"`periods` must be the number of the panel's rows in the window or the panel, got {periods!r}."
        )
    return int(periods)
