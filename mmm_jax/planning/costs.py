"""Between currency and media that the fits have in units: what a unit cost of late, unless a price is given."""

from collections.abc import Container, Iterable

import numpy as np

from mmm_jax.data.media import CURRENCY, mean_cost, unit_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.planning.markets import Markets
from mmm_jax.planning.prices import Rates
from mmm_jax.planning.recent import lately


def expected_costs(panels: Iterable[Panel], priced: Container[str]) -> np.ndarray:
    """Currency per unit that planned money buys media at, shape (geo, channel).

    1 where media are spend; infinite for organic media, which no money buys. Else the channel's spend over its units in
    the last 52 weeks of training (in all rows if there are fewer); where one of them is 0, in all rows, then in all geos.

    Args:
        panels: the training rows of every geo.
        priced: channels with prices of their own, whose cost is not looked up.

    Raises:
        PlanError: a unit's cost is not known from any row.
    """
    markets = list(panels)
    together = [np.concatenate([getattr(one, part) for one in markets], axis=1) for part in ("spend", "exposure")]
    known = np.stack([_own(panel) for panel in markets])
    costs = np.where(np.isfinite(known), known, mean_cost(*together))
    for place, name in enumerate(markets[0].channels):
        if unit_of(markets[0], name) == CURRENCY or name in priced:
            costs[:, place] = 1.0
        elif name in markets[0].organic:
            costs[:, place] = np.inf
        elif not np.isfinite(costs[:, place]).all():
            raise PlanError(f"No unit of {name!r} was paid for in the training rows: give its price in `prices=`.")
    return costs


def in_currency(units: np.ndarray, per_currency: np.ndarray) -> np.ndarray:
    """What units cost, 0 for media that no money buys.

    Args:
        units: any amounts.
        per_currency: units that one unit of currency buys, likewise.
    """
    return np.divide(units, per_currency, out=np.zeros(np.shape(units)), where=per_currency > 0)


def unit_costs(rates: Rates, markets: Markets) -> dict[str, tuple[float, str]]:
    """Currency per unit (mean over geos and dates) and the unit's name, of channels with spend whose media are units."""
    panel, found = markets.first.panel, {}
    bought = np.asarray(rates.per_currency) * markets.scales[..., None]
    for place, name in enumerate(panel.channels):
        unit = unit_of(panel, name)
        if unit != CURRENCY and name not in panel.organic:
            found[name] = (float(np.mean(1.0 / bought[:, place])), unit)
    return found


def _own(panel: Panel) -> np.ndarray:
    late = lately(panel)
    cost = mean_cost(panel.spend[:, late], panel.exposure[:, late])
    return np.where(np.isfinite(cost), cost, mean_cost(panel.spend, panel.exposure))
