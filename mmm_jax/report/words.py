"""Numbers and units in the page's sentences; `page/numbers.js` writes them likewise."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mmm_jax.plots.style import compact, percent, period_of

PROB = 0.9
"""Of all intervals on the page."""

INTERVAL = f"{percent(PROB)} interval"


@dataclass(frozen=True)
class Words:
    """What things are called.

    Attributes:
        target: name and unit of the target.
        currency: of spend.
        reference: name of the spend that the plan is compared with.
    """

    target: str
    currency: str
    reference: str


def number(value: float) -> str:
    """Three significant digits, or `unknown`."""
    return compact(value) if math.isfinite(value) else "unknown"


def signed(value: float) -> str:
    """The same with a plus sign where it is above 0.

    Example:
        >>> signed(1234.0), signed(0.0)
        ('+1.23k', '0')
    """
    return ("+" if value > 0 else "") + number(value)


def signed_share(value: float) -> str:
    """The same with a plus sign where it is above 0."""
    return ("+" if value > 0 else "") + share(value)


def share(value: float) -> str:
    """A percentage, or `unknown`."""
    return percent(value) if math.isfinite(value) else "unknown"


def chance(probability: float) -> str:
    """A probability as draws can show it: never a certain one.

    Example:
        >>> chance(0.5), chance(1.0), chance(0.001)
        ('50%', 'over 99%', 'under 1%')
    """
    if probability > 0.995:
        return "over 99%"
    return "under 1%" if probability < 0.005 else share(probability)


def change(new: float, old: float) -> str:
    """How much more or less than before.

    Example:
        >>> change(1.2, 1.0), change(1.0, 0.0), change(1.0, 1.0)
        ('+20%', 'new', 'unchanged')
    """
    if old == 0:
        return "new" if new > 0 else "unchanged"
    words = share(new / old - 1)
    return "unchanged" if words == "0.0%" else ("+" if new > old else "") + words


def span(draws: np.ndarray) -> str:
    """The central interval of draws."""
    low, high = np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2])
    return f"{number(float(low))} to {number(float(high))}"


def length_of(spend: xr.DataArray) -> str:
    """How many periods.

    Example:
        >>> length_of(xr.DataArray([1.0], dims="date", coords={"date": np.array(["2024-01-01"], "datetime64[ns]")}))
        '1 period'
    """
    count = spend.sizes["date"]
    return f"{count} {period_of(spend['date'].to_numpy())}{'' if count == 1 else 's'}"


def dates_of(spend: xr.DataArray) -> tuple[str, str]:
    """First and last date."""
    dates = spend["date"].to_numpy().astype("datetime64[D]")
    return str(dates[0]), str(dates[-1])
