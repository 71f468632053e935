"""A plan with its proof: what to spend, what it should bring, and why no other plan is better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.errors import PlanError
from mmm_jax.fitting.labels import interval
from mmm_jax.planning.solver import Outcome

Spend = Mapping[str, float] | xr.DataArray
"""Spend to compare with: currency over the horizon by channel, or an array over (date, channel)."""

INTERIOR, AT_LOWER, AT_UPPER, LOCKED = "interior", "at lower bound", "at upper bound", "locked"


@dataclass(frozen=True, eq=False)
class Certificate:
    """Why the plan is an optimum.

    Attributes:
        outcome: why the solver ended; `outcome.advice` says what to do.
        feasibility: largest violation of the total or of a bound, relative to the total.
        kkt_residual: how far the marginal returns are from an optimum's, relative to the largest of them: equal among
            interior channels, not higher at lower bounds, not lower at upper bounds.
        shadow_price: what one more unit of total spend would bring, in units of the target.
        marginal_return: the same for each channel's own spend, (channel,).
        state: `interior`, `at lower bound`, `at upper bound`, or `locked` where the two are equal, (channel,).
        iterations: of the best run.
        start_values: objective that each start arrived at.
        start_spread: difference between best and worst of these, relative to the best: above about 1e-6 there are
            several local optima, and the best of them was taken.
    """

    outcome: Outcome
    feasibility: float
    kkt_residual: float
    shadow_price: float
    marginal_return: xr.DataArray
    state: xr.DataArray
    iterations: int
    start_values: tuple[float, ...]
    start_spread: float

    @property
    def optimal(self) -> bool:
        """Whether the plan satisfies its constraints and the conditions of an optimum."""
        return self.outcome is Outcome.CONVERGED and self.feasibility < 1e-9

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        channels = [str(channel) for channel in self.marginal_return["channel"].values]
        return {
            "optimal": self.optimal,
            "outcome": self.outcome.value,
            "advice": self.outcome.advice,
            "feasibility": self.feasibility,
            "kkt_residual": self.kkt_residual,
            "shadow_price": self.shadow_price,
            "marginal_return": dict(zip(channels, self.marginal_return.values.tolist(), strict=True)),
            "state": dict(zip(channels, self.state.values.tolist(), strict=True)),
            "iterations": self.iterations,
            "start_values": list(self.start_values),
            "start_spread": self.start_spread,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """A plan against another one, draw by draw: what both share cancels.

    Attributes:
        difference: response of the plan minus that of the other, (chain, draw), in units of the target.
        plan_response: (chain, draw).
        other_response: (chain, draw).
    """

    difference: xr.DataArray
    plan_response: xr.DataArray
    other_response: xr.DataArray

    @property
    def probability_better(self) -> float:
        """Posterior probability that the plan brings more than the other."""
        return float((self.difference > 0).mean())

    @property
    def relative_gain(self) -> xr.DataArray:
        """Difference over the other's response, (chain, draw); NaN where the other brings nothing."""
        return self.difference / self.other_response.where(self.other_response != 0)

    def to_frame(self, *, prob: float = 0.9) -> Any:
        """Posterior mean, sd and interval of both responses, their difference and the relative gain (pandas).

        The relative gain is NaN unless the other brings something in every draw.
        """
        rows = {
            "plan": self.plan_response,
            "other": self.other_response,
            "difference": self.difference,
            "relative_gain": self.relative_gain,
        }
        draws = xr.concat(list(rows.values()), xr.Variable("quantity", list(rows)), coords="minimal", compat="override")
        known = draws.notnull().all(("chain", "draw"))
        return interval(draws.fillna(0.0), prob).where(known).to_dataframe()


@dataclass(frozen=True, eq=False)
class Allocation:
    """The best plan found.

    Attributes:
        spend: currency per period, (date, channel).
        response: total response of the plan per posterior draw, (chain, draw), in units of the target.
        channel_response: by channel, (chain, draw, channel).
        certificate: the proof.
        lower, upper: bounds in currency over the horizon, (channel,).
        respond: response of any spend over the same horizon; takes (date, channel), returns `total` and `by_channel`.
    """

    spend: xr.DataArray
    response: xr.DataArray
    channel_response: xr.DataArray
    certificate: Certificate
    lower: xr.DataArray
    upper: xr.DataArray
    respond: Callable[[xr.DataArray], xr.Dataset]

    @property
    def total(self) -> float:
        """Total spend over the horizon."""
        return float(self.spend.sum())

    def __repr__(self) -> str:
        """One line: how much, over which dates, what it should bring, whether it is optimal."""
        dates = self.spend["date"].values.astype("datetime64[D]")
        state = "optimal" if self.certificate.optimal else f"NOT optimal ({self.certificate.outcome})"
        return (
            f"Allocation({self.total:,.0f} over {len(dates)} dates from {dates[0]} to {dates[-1]}, "
            f"mean response {float(self.response.mean()):,.0f}, {state})"
        )

    def compare(self, spend: Spend) -> Comparison:
        """The plan against other spend over the same horizon.

        Args:
            spend: currency over the horizon by channel, spread over the dates as the plan spreads it; or an array over
                (date, channel).

        Raises:
            PlanError: channels or dates do not match the plan's, or spend is negative or not finite.
        """
        other = self.respond(self._as_spend(spend))["total"]
        return Comparison(self.response - other, self.response, other)

    def to_frame(self, *, prob: float = 0.9) -> Any:
        """One row per channel: spend, bounds, state, marginal return, response with its interval (pandas)."""
        table = interval(self.channel_response, prob).rename({"mean": "response"})[["response", "lower", "upper"]]
        table = table.rename({"lower": "response_lower", "upper": "response_upper"})
        columns = {
            "spend": self.spend.sum("date"),
            "share": self.spend.sum("date") / self.total,
            "lower_bound": self.lower,
            "upper_bound": self.upper,
            "state": self.certificate.state,
            "marginal_return": self.certificate.marginal_return,
        }
        return xr.Dataset({**columns, **dict(table.data_vars)}).drop_attrs().to_dataframe()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: spend by date and channel, response, certificate."""
        dates = [str(date) for date in self.spend["date"].values.astype("datetime64[D]")]
        channels = [str(channel) for channel in self.spend["channel"].values]
        response = interval(self.response)
        return {
            "total": self.total,
            "dates": dates,
            "spend": {channel: self.spend.sel(channel=channel).values.tolist() for channel in channels},
            "spend_by_channel": {channel: float(self.spend.sel(channel=channel).sum()) for channel in channels},
            "response": {name: float(response[name]) for name in ("mean", "sd", "lower", "median", "upper")},
            "response_by_channel": {
                channel: float(self.channel_response.sel(channel=channel).mean()) for channel in channels
            },
            "certificate": self.certificate.to_dict(),
        }

    def _as_spend(self, spend: Spend) -> xr.DataArray:
        found = self._aligned(spend) if isinstance(spend, xr.DataArray) else self._spread(spend)
        if not (np.isfinite(found) & (found >= 0)).all():
            raise PlanError("Spend must be finite and at least 0 everywhere.")
        return found

    def _aligned(self, spend: xr.DataArray) -> xr.DataArray:
        if dict(spend.sizes) != dict(self.spend.sizes):
            raise PlanError(f"Spend must have the dimensions {dict(self.spend.sizes)}, got {dict(spend.sizes)}.")
        if not {"date", "channel"} <= set(spend.coords):
            raise PlanError("Spend must have labels for its dimensions date and channel.")
        try:
            return spend.sel(date=self.spend["date"], channel=self.spend["channel"]).transpose("date", "channel")
        except KeyError as error:
            raise PlanError(f"Spend lacks a date or channel of the plan: {error}.") from error

    def _spread(self, spend: Mapping[str, float]) -> xr.DataArray:
        channels = [str(channel) for channel in self.spend["channel"].values]
        try:
            given = {str(channel): float(amount) for channel, amount in dict(spend).items()}
        except (TypeError, ValueError) as error:
            raise PlanError(f"Spend must be a mapping of channel to number, or a DataArray; got {spend!r}.") from error
        if set(given) != set(channels):
            raise PlanError(f"Spend must name each of the channels {', '.join(channels)}; got {', '.join(given)}.")
        totals = [given[channel] for channel in channels]
        return self._profile() * xr.DataArray(totals, dims="channel", coords={"channel": channels})

    def _profile(self) -> xr.DataArray:
        """Share of each date in the channel's spend; even for a channel without any."""
        sums = self.spend.sum("date")
        return xr.where(sums > 0, self.spend / sums.where(sums > 0, 1.0), 1.0 / self.spend.sizes["date"]).transpose(
            "date", "channel"
        )
