"""What spend is predicted to bring, by draw: from a fit, from a plan, or from draws that somebody hands in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.errors import LedgerError
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.posterior import Fit
from mmm_jax.monitoring.versions import fingerprint
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.costs import expected_costs
from mmm_jax.planning.decisions import National
from mmm_jax.planning.markets import Fits, Markets
from mmm_jax.planning.prices import Price, Rates
from mmm_jax.planning.scope import planning_scope

Answering = Fits | Allocation
"""What can be asked what spend brings: a fit, or a plan with the fit, prices, horizon and history that it was made with."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Incremental outcome against the baseline, in units of the target.

    Attributes:
        total: (draw,).
        channel: what each channel adds to all others, (draw, channel); the draws are those of `total`.
    """

    total: np.ndarray
    channel: np.ndarray

    def minus(self, other: "Prediction") -> "Prediction":
        """The difference, draw by draw."""
        return Prediction(self.total - other.total, self.channel - other.channel)

    def summary(self) -> dict[str, float]:
        """Mean, sd and central 90 % interval of the total."""
        low, high = np.quantile(self.total, [0.05, 0.95])
        return {"mean": float(self.total.mean()), "sd": float(self.total.std()), "lower": float(low), "upper": float(high)}

    def arrays(self) -> dict[str, np.ndarray]:
        """For the ledger."""
        return {"total": self.total, "channel": self.channel}


@dataclass(frozen=True, eq=False)
class Predictor:
    """A fit over the dates of a plan.

    Attributes:
        markets: fits and models.
        rates: what currency buys.
        model: fingerprint of the fits.
    """

    markets: Markets
    rates: Rates
    model: str

    @classmethod
    def build(cls, source: Answering, dates: np.ndarray, *, carry_in: bool, prices: Mapping[str, Price]) -> "Predictor":
        """From a fit and the dates, or from a plan.

        Raises:
            LedgerError: neither a fit nor a plan, or a plan over other dates.
            PredictionError: the dates do not continue the fit's.
        """
        if isinstance(source, Allocation):
            problem = source.problem
            if not np.array_equal(problem.markets.dates, dates):
                raise LedgerError(f"The plan's dates begin {problem.markets.dates[0]}, the decision's {dates[0]}.")
            return cls(problem.markets, problem.rates, fingerprint(problem.markets.fits))
        check_answers(source)
        with planning_scope():
            markets = Markets.build(source, dates, carry_in=carry_in, history=None)
            costs = expected_costs((fit.panel for fit in markets.fits.values()), prices)
            rates = Rates.build(prices, markets.first.panel.channels, len(dates), markets.scales, costs)
        return cls(markets, rates, fingerprint(markets.fits))

    @property
    def channels(self) -> tuple[str, ...]:
        """The fit's channels, in its order."""
        return self.markets.first.panel.channels

    def incremental(self, spend: xr.DataArray, baseline: xr.DataArray) -> Prediction:
        """What spend brings more than the baseline, both over (date, channel[, geo]) in any order of the channels.

        Raises:
            LedgerError: channels or geos that the fit has not.
        """
        return self._response(spend).minus(self._response(baseline))

    def _response(self, spend: xr.DataArray) -> Prediction:
        channels = list(self.channels)
        asked = [str(name) for name in spend["channel"].values]
        unknown = sorted(set(asked) - set(channels))
        if unknown:
            raise LedgerError(f"The plan has the channel {unknown[0]!r}; the fit has {', '.join(channels)}.")
        table = self._in_order(spend).reindex(channel=channels).fillna(0.0)
        every = np.arange(self.markets.num_draws)
        # Channels that a decision does not name are not spent on, as far as it is concerned.
        found = self.markets.respond(table, self.rates, every, 1)
        by_channel = found["by_channel"].sum([name for name in found["by_channel"].dims if name == "geo"])
        return Prediction(found["total"].to_numpy()[0], by_channel.sel(channel=asked).to_numpy()[0])

    def _in_order(self, spend: xr.DataArray) -> xr.DataArray:
        """The spend with the fit's order of geos."""
        geos = list(self.markets.geos)
        given = [str(name) for name in spend["geo"].values] if "geo" in spend.dims else [National]
        if sorted(given) != sorted(geos):
            raise LedgerError(f"The plan has the geos {', '.join(given)}; the fit has {', '.join(geos)}.")
        return spend.sel(geo=geos) if "geo" in spend.dims else spend


def check_answers(source: Any) -> None:
    """Raise a `LedgerError` unless the source can be asked what spend brings."""
    by_geo = isinstance(source, Mapping) and bool(source) and all(isinstance(one, Fit) for one in source.values())
    if not (by_geo or isinstance(source, (Fit, GeoFit, Allocation))):
        raise LedgerError(f"`fit` must be a fit, fits by geo, or a plan of optimize_budget; got {type(source).__name__}.")


def read_draws(draws: Any, channels: list[str], what: str) -> Prediction:
    """A prediction that somebody hands in.

    Args:
        draws: incremental outcome by channel, an array over `channel` and any dimensions of draws; or a dataset with this
            as `by_channel`, and its `total` where that is not the sum.
        channels: the plan's.
        what: it is, for messages.

    Raises:
        LedgerError: other channels, fewer than 2 draws, or a draw that is not finite.
    """
    part = draws["by_channel"] if isinstance(draws, xr.Dataset) and "by_channel" in draws else draws
    if not isinstance(part, xr.DataArray) or "channel" not in part.coords:
        raise LedgerError(f"{what} must be an array with the labelled dimension `channel`, or a dataset of `by_channel`.")
    found = [str(name) for name in part["channel"].values]
    if sorted(found) != sorted(channels):
        raise LedgerError(f"{what} have the channels {', '.join(found)}, the plan {', '.join(channels)}.")
    over = [name for name in part.dims if name != "channel"]
    channel = part.sel(channel=channels).transpose(*over, "channel").to_numpy().astype(float).reshape(-1, len(channels))
    given = (
        draws["total"].transpose(*over).to_numpy() if isinstance(draws, xr.Dataset) and "total" in draws else channel.sum(1)
    )
    total = np.asarray(given, float).reshape(-1)
    if len(channel) < 2 or total.shape != (len(channel),) or not (np.isfinite(channel).all() and np.isfinite(total).all()):
        raise LedgerError(f"{what} must be at least 2 finite draws per channel, and as many of the total.")
    return Prediction(total, channel)


def prices_to_dict(prices: Mapping[str, Price]) -> dict[str, Any]:
    """Prices as plain values, for JSON."""
    return {name: {**asdict(price), "cost": np.asarray(price.cost, float).tolist()} for name, price in prices.items()}


def prices_from_dict(values: Mapping[str, Any]) -> dict[str, Price]:
    """The inverse of `prices_to_dict`."""
    return {name: Price(**price) for name, price in values.items()}
