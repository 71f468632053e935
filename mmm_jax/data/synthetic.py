"""Panels with known truth, shaped like the case study: seven channels, holidays, a yearly wave, weekly sales.

Everything is plain NumPy, apart from the model's own kernels on purpose: truth that came from the code under test would
agree with its mistakes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmm_jax.data.calendar import Frequency, day_of_year
from mmm_jax.data.panel import Panel
from mmm_jax.data.synthetic_geos import GeoTruth, SyntheticGeoMarket, make_geo_market
from mmm_jax.errors import PanelError

__all__ = ["GeoTruth", "SyntheticGeoMarket", "SyntheticMarket", "Truth", "make_geo_market", "make_market"]

CHANNEL_SPEND = {
    "Direct Mail": 760_000.0,
    "Insert": 80_000.0,
    "Newspaper": 250_000.0,
    "Online Display": 215_000.0,
    "Radio": 120_000.0,
    "Social Media": 100_000.0,
    "TV": 170_000.0,
}
"""Mean spend per week, about that of the case study."""

HOLIDAYS = {"Easter": 15, "Memorial Day": 21, "July 4th": 27, "Labor Day": 36, "Black Friday": 47, "Christmas": 52}
"""Week of the year of each holiday."""

_SALES_UNIT = 2.0e8
_L_MAX = 6


@dataclass(frozen=True, eq=False)
class Truth:
    """What made a synthetic panel.

    Attributes:
        parameters: per channel `alpha` (retention), `lam` (saturation per unit of spend over its maximum) and `top`
            (largest weekly contribution in currency), shape (channel,) each.
        contributions: expected weekly sales by component, in currency, with the dates as index.
        roas: contribution over spend of each channel, over all weeks.
        noise: standard deviation of the weekly scatter, in currency.
    """

    parameters: Mapping[str, np.ndarray]
    contributions: pd.DataFrame
    roas: pd.Series
    noise: float


@dataclass(frozen=True, eq=False)
class SyntheticMarket:
    """A panel and the truth behind it."""

    panel: Panel
    truth: Truth


def make_market(*, seed: int = 0, weeks: int = 209, start: str = "2014-08-03", noise: float = 0.04) -> SyntheticMarket:
    """A retailer's weekly market with geometric adstock (6 weeks, normalised) and logistic saturation.

    Args:
        seed: of all random choices: the same seed gives the same market.
        weeks: number of rows, at least 52.
        start: first date.
        noise: standard deviation of the weekly scatter, relative to a usual week's sales.

    Example:
        >>> market = make_market(seed=1)
        >>> market.panel
        Panel(209 weekly rows, 2014-08-03 to 2018-07-29, 7 channels, 6 controls, target 'sales')
        >>> bool(np.isclose(market.truth.roas["TV"], market.truth.contributions["TV"].sum() / market.panel.spend[6].sum()))
        True
    """
    if weeks < 52:
        raise PanelError(f"A synthetic market needs at least 52 weeks, got {weeks}.")
    rng = np.random.default_rng(seed)
    dates = np.datetime64(start, "D") + np.arange(weeks) * np.timedelta64(7, "D")
    spend = _flighted_spend(rng, weeks)
    parameters = _draw_parameters(rng)
    media = _media_contributions(spend, parameters)
    holidays, uplift = _holiday_dummies(dates), rng.normal(0.0, 0.06, len(HOLIDAYS)) * _SALES_UNIT
    baseline = np.full(weeks, rng.uniform(0.35, 0.45) * _SALES_UNIT)
    seasonality = _SALES_UNIT * _yearly_wave(rng, dates)
    expected = baseline + seasonality + uplift @ holidays + media.sum(axis=0)
    scatter = noise * float(expected.mean())
    sales = np.maximum(expected + rng.normal(0.0, scatter, weeks), 0.0)
    panel = Panel(
        dates=dates,
        spend=spend,
        controls=holidays,
        target=sales,
        channels=tuple(CHANNEL_SPEND),
        control_names=tuple(HOLIDAYS),
        target_name="sales",
        frequency=Frequency.WEEKLY,
    )
    columns = {
        "baseline": baseline,
        "seasonality": seasonality,
        **dict(zip(HOLIDAYS, uplift[:, None] * holidays, strict=True)),
    }
    columns |= dict(zip(CHANNEL_SPEND, media, strict=True))
    roas = pd.Series(media.sum(axis=1) / spend.sum(axis=1), index=list(CHANNEL_SPEND), name="roas")
    contributions = pd.DataFrame(columns, index=pd.DatetimeIndex(dates, name="date"))
    return SyntheticMarket(panel, Truth(parameters, contributions, roas, scatter))


def _flighted_spend(rng: np.random.Generator, weeks: int) -> np.ndarray:
    """Bursts of some weeks over a low level, each channel in its own rhythm, a few weeks silent."""
    rows = []
    for mean in CHANNEL_SPEND.values():
        bursts = np.repeat(rng.random(weeks // 3 + 1) < 0.45, 3)[:weeks]
        level = np.where(bursts, rng.gamma(6.0, 0.3, weeks), rng.gamma(2.0, 0.15, weeks))
        level[rng.random(weeks) < 0.03] = 0.0
        rows.append(level * mean / level.mean())
    return np.round(np.stack(rows), 2)


def _draw_parameters(rng: np.random.Generator) -> dict[str, np.ndarray]:
    count = len(CHANNEL_SPEND)
    share = np.sqrt(np.array(list(CHANNEL_SPEND.values())))
    top = 0.8 * share / share.sum() * rng.uniform(0.6, 1.4, count)
    return {"alpha": rng.uniform(0.1, 0.6, count), "lam": rng.uniform(1.5, 4.0, count), "top": top * _SALES_UNIT}


def _media_contributions(spend: np.ndarray, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
    rows = []
    for row, alpha, lam, top in zip(spend, parameters["alpha"], parameters["lam"], parameters["top"], strict=True):
        weights = alpha ** np.arange(_L_MAX)
        carried = np.convolve(row / row.max(), weights / weights.sum())[: len(row)]
        rows.append(top * np.tanh(lam * carried / 2))
    return np.stack(rows)


def _holiday_dummies(dates: np.ndarray) -> np.ndarray:
    week = np.minimum((day_of_year(dates) - 1) // 7 + 1, 52)
    return np.stack([(week == number).astype(float) for number in HOLIDAYS.values()])


def _yearly_wave(rng: np.random.Generator, dates: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * day_of_year(dates) / 365.25
    sizes = rng.normal(0.0, [0.05, 0.05, 0.02, 0.02])
    return sizes @ np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)])
