"""Panels of geos with known truth: heads, media and effects that differ by geo around common values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmm_jax.data.calendar import Frequency, day_of_year
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError

_L_MAX = 6
_SALES_PER_HEAD = 10.0


@dataclass(frozen=True, eq=False)
class GeoTruth:
    """What made a synthetic panel of geos.

    Attributes:
        parameters: `alpha` and `lam` (channel,), `top` (geo, channel): the largest effect over the geo's usual sales,
            `intercept` (geo,) over the same.
        contributions: of every channel, in the target's units, shape (channel, geo, time).
        noise: standard deviation of the scatter by geo, in the target's units.
    """

    parameters: Mapping[str, np.ndarray]
    contributions: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True, eq=False)
class SyntheticGeoMarket:
    """A panel of geos and the truth behind it."""

    panel: GeoPanel
    truth: GeoTruth

    @property
    def roas(self) -> np.ndarray:
        """Contribution over spend, shape (geo, channel), over all rows."""
        return (self.truth.contributions.sum(axis=2) / self.panel.spend.sum(axis=2)).T


def make_geo_market(
    *,
    geos: int = 8,
    channels: int = 4,
    weeks: int = 156,
    seed: int = 0,
    start: str = "2021-01-03",
    spread: float = 0.3,
    noise: float = 0.05,
) -> SyntheticGeoMarket:
    """Weekly sales of geos of different size, with two controls and a yearly wave.

    Adstock is geometric over 6 weeks, normalised; saturation is logistic in the spend over the geo's own maximum.

    Args:
        geos: how many.
        channels: how many.
        weeks: rows per geo, at least 52.
        seed: of all random choices: the same seed gives the same market.
        start: first date.
        spread: standard deviation of the logarithm of a channel's effect over the geos.
        noise: standard deviation of the weekly scatter, relative to usual sales.

    Example:
        >>> make_geo_market(geos=3, weeks=60).panel
        GeoPanel(3 geos, 60 weekly rows, 2021-01-03 to 2022-02-20, 4 channels, 2 controls, target 'sales')
    """
    if weeks < 52 or geos < 1 or channels < 1:
        raise PanelError(f"At least 52 weeks, a geo and a channel are needed; got {weeks}, {geos} and {channels}.")
    rng = np.random.default_rng(seed)
    dates = np.datetime64(start, "D") + np.arange(weeks) * np.timedelta64(7, "D")
    heads = np.round(np.exp(rng.normal(12.0, 0.7, geos)))
    spend = _spend(rng, channels, geos, weeks) * heads[:, None]
    parameters = {
        "alpha": rng.uniform(0.1, 0.6, channels),
        "lam": rng.uniform(1.5, 4.0, channels),
        "top": rng.uniform(0.5, 1.5, channels) * 0.5 / channels * np.exp(spread * rng.normal(size=(geos, channels))),
        "intercept": rng.uniform(0.4, 0.7, geos),
    }
    usual = _SALES_PER_HEAD * heads
    media = usual[:, None] * _effects(spend, parameters)
    controls = rng.normal(size=(2, geos, weeks))
    wave = 0.06 * np.sin(2 * np.pi * day_of_year(dates) / 365.25 + rng.uniform(0, 2 * np.pi))
    rest = parameters["intercept"][:, None] + wave + np.tensordot(rng.normal(0.0, 0.03, 2), controls, 1)
    scatter = noise * usual
    sales = np.maximum(media.sum(axis=0) + usual[:, None] * rest + scatter[:, None] * rng.normal(size=(geos, weeks)), 0.0)
    names = tuple(f"channel_{k + 1}" for k in range(channels))
    markets = tuple(
        Panel(dates, spend[:, g], controls[:, g], sales[g], names, ("price", "weather"), "sales", Frequency.WEEKLY)
        for g in range(geos)
    )
    panel = GeoPanel(tuple(f"geo_{k + 1}" for k in range(geos)), markets, heads)
    return SyntheticGeoMarket(panel, GeoTruth(parameters, media, scatter))


def _spend(rng: np.random.Generator, channels: int, geos: int, weeks: int) -> np.ndarray:
    """Bursts of some weeks over a low level, in currency per head: flights are the market's, their size the geo's."""
    flights = np.repeat(rng.random((channels, 1, weeks // 3 + 1)) < 0.45, 3, axis=2)[:, :, :weeks]
    high, low = rng.gamma(6.0, 0.1, (channels, geos, weeks)), rng.gamma(2.0, 0.05, (channels, geos, weeks))
    silent = rng.random((channels, geos, weeks)) < 0.03
    return np.where(silent, 0.0, np.where(flights, high, low)) * rng.uniform(0.5, 1.5, (channels, geos, 1))


def _effects(spend: np.ndarray, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Effect of every channel over usual sales, shape (channel, geo, time)."""
    scaled, found = spend / spend.max(axis=2, keepdims=True), np.zeros_like(spend)
    for lag in range(_L_MAX):
        weight = parameters["alpha"] ** lag / (parameters["alpha"][:, None] ** np.arange(_L_MAX)).sum(axis=1)
        found[:, :, lag:] += weight[:, None, None] * scaled[:, :, : spend.shape[2] - lag]
    return parameters["top"].T[:, :, None] * np.tanh(0.5 * parameters["lam"][:, None, None] * found)
