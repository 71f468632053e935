"""A plan with its proof: what to spend, what it should bring, and why no other plan is better."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.errors import PlanError
from mmm_jax.fitting.labels import interval
from mmm_jax.planning.certificate import Certificate
from mmm_jax.planning.costs import unit_costs
from mmm_jax.planning.extrapolation import extrapolation
from mmm_jax.planning.objectives import ROUNDING
from mmm_jax.planning.problem import Problem

Spend = Mapping[str, float] | xr.DataArray
"""Spend to compare with: currency over the horizon by channel, or an array over the plan's dimensions."""


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
        """Posterior probability that the plan brings more than the other, by more than rounding."""
        return float((self.difference > ROUNDING * np.abs(self.plan_response).max()).mean())

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


@dataclass(frozen=True)
class Value:
    """What was maximised, and how sure it is.

    Attributes:
        name: of the objective.
        value: exact, over the draws that tell the plan's response.
        error: its Monte Carlo standard error, draws taken as independent.
        found_on: the same over the draws that the plan was found on, and `found_error` its error.
        same_draws: whether these are the same draws: then the value is flattered a little by the choice.
    """

    name: str
    value: float
    error: float
    found_on: float
    found_error: float
    same_draws: bool


@dataclass(frozen=True, eq=False)
class Allocation:
    """The best plan found. What it brings is computed when it is asked for first.

    Attributes:
        spend: currency per period, (date, channel), or (date, channel, geo) of several geos.
        certificate: the proof.
        value: the objective with its Monte Carlo error.
        problem: what was solved; it answers what other spend would bring.
        amounts: currency by number that is decided, in the problem's order.
    """

    spend: xr.DataArray
    certificate: Certificate
    value: Value
    problem: Problem
    amounts: np.ndarray

    @property
    def response(self) -> xr.DataArray:
        """Total response of the plan per posterior draw, (chain, draw), in units of the target."""
        return self._responses["total"]

    @property
    def channel_response(self) -> xr.DataArray:
        """The same by channel, (chain, draw, channel), or (chain, draw, channel, geo)."""
        return self._responses["by_channel"]

    @property
    def lower(self) -> xr.DataArray:
        """Least spend of each channel, currency over the horizon, (channel,)."""
        return self._bounds["lower"]

    @property
    def upper(self) -> xr.DataArray:
        """Most spend of each channel, currency over the horizon, (channel,)."""
        return self._bounds["upper"]

    @property
    def organic(self) -> tuple[str, ...]:
        """Channels without spend, held as the horizon's panel says, or at their usual level."""
        return self.problem.markets.organic

    @property
    def unit_costs(self) -> dict[str, tuple[float, str]]:
        """What planned money pays for a first unit of media, mean over dates and geos, and the unit's name, by channel.

        Of channels whose media the fit has in units: from `prices`, or else the cost of the last 52 weeks of training.
        """
        return unit_costs(self.problem.rates, self.problem.markets)

    @cached_property
    def extrapolation(self) -> xr.Dataset:
        """Planned against observed peaks by channel, and whether the plan's is `beyond`."""
        return extrapolation(self.problem, self.spend)

    @cached_property
    def _bounds(self) -> xr.Dataset:
        return self.problem.channel_bounds()

    @cached_property
    def _responses(self) -> xr.Dataset:
        return self.respond(self.spend)

    def respond(self, spend: xr.DataArray) -> xr.Dataset:
        """Response of any spend over the plan's dimensions: `total` and `by_channel`, per posterior draw."""
        return self.problem.respond(spend)

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
        other = self.respond(self.aligned(spend))["total"]
        return Comparison(self.response - other, self.response, other)

    @property
    def channel_spend(self) -> xr.DataArray:
        """Spend of each channel over all dates and geos, (channel,)."""
        return self.spend.sum([name for name in self.spend.dims if name != "channel"])

    def to_frame(self, *, prob: float = 0.9) -> Any:
        """One row per channel: spend, bounds, state, marginal return, response with its interval (pandas).

        Where a channel has several numbers, its state says how many are at a bound, and its marginal return is their mean,
        each weighted with its spend.
        """
        response = self.channel_response.sum([name for name in self.channel_response.dims if name == "geo"])
        table = interval(response, prob).rename({"mean": "response"})[["response", "lower", "upper"]]
        table = table.rename({"lower": "response_lower", "upper": "response_upper"})
        columns = {
            "spend": self.channel_spend,
            "share": self.channel_spend / self.total,
            "lower_bound": self.lower,
            "upper_bound": self.upper,
            "state": self.channel_state,
            "marginal_return": self.channel_marginal_return,
            "beyond_observed": self._beyond(),
        }
        return xr.Dataset({**columns, **dict(table.data_vars)}).drop_attrs().to_dataframe()

    def cells_to_frame(self) -> Any:
        """One row per number that is decided: spend, state, marginal return (pandas)."""
        spend = self.problem.decisions.labelled(self.amounts)
        table = {"spend": spend, "state": self.certificate.state, "marginal_return": self.certificate.marginal_return}
        return xr.Dataset(table).drop_attrs().to_dataframe().reset_index()

    @property
    def channel_state(self) -> xr.DataArray:
        """State of each channel in words, (channel,)."""
        state = self.certificate.state
        if state.dims == ("channel",):
            return state
        words = [_states_in_words(state.sel(channel=name).values.ravel()) for name in state["channel"].values]
        return xr.DataArray(words, dims="channel", coords={"channel": state["channel"]})

    @property
    def channel_marginal_return(self) -> xr.DataArray:
        """Marginal return of each channel, weighted with the spend of its numbers, (channel,)."""
        marginal = self.certificate.marginal_return
        if marginal.dims == ("channel",):
            return marginal
        spend = self.problem.decisions.labelled(self.amounts)
        weight, over = xr.where(spend > 0, spend, 1e-300), [name for name in marginal.dims if name != "channel"]
        return (marginal * weight).sum(over) / weight.sum(over)

    def _beyond(self) -> xr.DataArray:
        beyond = self.extrapolation["beyond"]
        return beyond.any([name for name in beyond.dims if name != "channel"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: spend by date and channel (and geo), response, certificate."""
        dates = [str(date) for date in self.spend["date"].values.astype("datetime64[D]")]
        response, channels = interval(self.response), [str(channel) for channel in self.spend["channel"].values]
        by_channel = self.channel_response.mean([name for name in ("chain", "draw") if name in self.channel_response.dims])
        by_channel = by_channel.sum([name for name in by_channel.dims if name == "geo"])
        return {
            "total": self.total,
            "dates": dates,
            "spend": {channel: _by_geo(self.spend.sel(channel=channel)) for channel in channels},
            "spend_by_channel": {channel: float(self.channel_spend.sel(channel=channel)) for channel in channels},
            "response": {name: float(response[name]) for name in ("mean", "sd", "lower", "median", "upper")},
            "response_by_channel": {channel: float(by_channel.sel(channel=channel)) for channel in channels},
            "organic": list(self.organic),
            "unit_costs": {channel: {"cost": cost, "unit": unit} for channel, (cost, unit) in self.unit_costs.items()},
            "objective": asdict(self.value),
            "beyond_observed": [channel for channel in channels if bool(self._beyond().sel(channel=channel))],
            "certificate": self.certificate.to_dict(),
        }

    def aligned(self, spend: Spend) -> xr.DataArray:
        """Spend in the plan's own dimensions and order; see `compare`.

        Raises:
            PlanError: channels or dates do not match the plan's, or spend is negative or not finite.
        """
        found = self._aligned(spend) if isinstance(spend, xr.DataArray) else self._spread(spend)
        moved = [name for name in self.organic if found.sel(channel=name).any()]
        if moved:
            raise PlanError(f"{moved[0]!r} is organic: it has no spend. Leave it out, or give 0.")
        if not (np.isfinite(found) & (found >= 0)).all():
            raise PlanError("Spend must be finite and at least 0 everywhere.")
        return found

    def _aligned(self, spend: xr.DataArray) -> xr.DataArray:
        if dict(spend.sizes) != dict(self.spend.sizes):
            raise PlanError(f"Spend must have the dimensions {dict(self.spend.sizes)}, got {dict(spend.sizes)}.")
        dims = [str(name) for name in self.spend.dims]
        if not set(dims) <= set(spend.coords):
            raise PlanError(f"Spend must have labels for its dimensions {' and '.join(dims)}.")
        try:
            return spend.sel({name: self.spend[name] for name in dims}).transpose(*dims)
        except KeyError as error:
            raise PlanError(f"Spend lacks a date or channel of the plan: {error}.") from error

    def _spread(self, spend: Mapping[str, float]) -> xr.DataArray:
        channels = [str(channel) for channel in self.spend["channel"].values]
        try:
            given = {str(channel): float(amount) for channel, amount in dict(spend).items()}
            given = dict.fromkeys(self.organic, 0.0) | given
        except (TypeError, ValueError) as error:
            raise PlanError(f"Spend must be a mapping of channel to number, or a DataArray; got {spend!r}.") from error
        if set(given) != set(channels):
            raise PlanError(f"Spend must name each of the channels {', '.join(channels)}; got {', '.join(given)}.")
        totals = [given[channel] for channel in channels]
        return self._profile() * xr.DataArray(totals, dims="channel", coords={"channel": channels})

    def _profile(self) -> xr.DataArray:
        """Share of each cell in the channel's spend; even for a channel without any."""
        sums, cells = self.channel_spend, self.spend.size / self.spend.sizes["channel"]
        return xr.where(sums > 0, self.spend / sums.where(sums > 0, 1.0), 1.0 / cells).transpose(*self.spend.dims)


def _states_in_words(states: np.ndarray) -> str:
    kinds, counts = np.unique(states, return_counts=True)
    if len(kinds) == 1:
        return str(kinds[0])
    held = [f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True) if kind != "interior"]
    return f"{', '.join(held)} of {len(states)}"


def _by_geo(spend: xr.DataArray) -> Any:
    if "geo" not in spend.dims:
        return spend.values.tolist()
    return {str(geo): spend.sel(geo=geo).values.tolist() for geo in spend["geo"].values}
