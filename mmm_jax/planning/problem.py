"""A planning problem laid out once: fits, decisions, constraints and objective, ready to be solved for any numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.fitting.keys import Key
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.cells import CellResponse
from mmm_jax.planning.constraints import AbstractConstraint, Bounds, Rows, Total, checked_bounds, checked_total
from mmm_jax.planning.costs import expected_costs, in_currency
from mmm_jax.planning.decided import DecidedResponse
from mmm_jax.planning.decisions import Decisions, checked_by
from mmm_jax.planning.feasibility import FeasibleSet, feasible_set, linear_system
from mmm_jax.planning.horizon import Horizon, Profile, spend_profile
from mmm_jax.planning.levels import HorizonWindows, LevelResponse, horizon_windows
from mmm_jax.planning.markets import Fits, Known, Markets
from mmm_jax.planning.objectives import AbstractObjective, MeanResponse
from mmm_jax.planning.organic import check_paid, check_plannable
from mmm_jax.planning.prices import Price, Rates
from mmm_jax.planning.targets import AbstractTarget, PlanRequirement, Requirement, RiskFloor

Locked = Mapping[str, float | Sequence[float] | np.ndarray | xr.DataArray]
"""Given spend by channel: over the horizon, or by date."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Statement:
    """A problem as the user states it; the arguments of `mmm_jax.optimize_budget`, where they are explained."""

    horizon: Horizon | GeoPanel | Mapping[str, Panel]
    total: float | Total | None = None
    bounds: Bounds | None = None
    per: Literal["horizon", "period"] = "horizon"
    by: str | Sequence[str] = ("channel",)
    profile: Profile = None
    locked: Locked | None = None
    prices: Mapping[str, Price] | None = None
    constraints: Sequence[AbstractConstraint | AbstractTarget] = ()
    objective: AbstractObjective | None = None
    num_starts: int | None = None
    key: Key = 0
    carry_in: bool = True
    history: Known | None = None
    max_draws: int | None = None
    split_draws: bool = False
    extrapolate: bool = True

    def __post_init__(self) -> None:
        if self.per not in ("horizon", "period"):
            raise PlanError(f"`per` must be 'horizon' or 'period', got {self.per!r}.")
        if self.num_starts is not None and self.num_starts < 1:
            raise PlanError(f"`num_starts` must be at least 1, got {self.num_starts}.")
        if self.max_draws is not None and self.max_draws < 2:
            raise PlanError(f"`max_draws` must be at least 2, got {self.max_draws}.")
        for constraint in self.constraints:
            if not isinstance(constraint, (AbstractConstraint, AbstractTarget)):
                raise PlanError(f"`constraints` must hold objects such as Group, Ratio or TargetRoas, got {constraint!r}.")
        if self.objective is not None and not isinstance(self.objective, AbstractObjective):
            raise PlanError(f"`objective` must be an object such as MeanResponse(), got {self.objective!r}.")


@dataclass(frozen=True, eq=False)
class Problem:
    """A problem laid out.

    Attributes:
        statement: what was asked for.
        markets: fits and models.
        decisions: numbers and cells.
        rates: prices.
        feasible: the linear constraints.
        targets: the requirements on the response, as stated.
        reference: currency that the whole plan is of the order of.
        draws: which draws the plan is made from; `reported`: which ones its response is told by.
    """

    statement: Statement
    markets: Markets
    decisions: Decisions
    rates: Rates
    feasible: FeasibleSet
    targets: tuple[AbstractTarget, ...]
    reference: float
    draws: np.ndarray
    reported: np.ndarray

    @property
    def units_per_currency(self) -> np.ndarray:
        """Units of the table that currency buys on the first date, (geo, channel); 0 for organic media."""
        return units_bought(self.rates, self.markets)

    @property
    def objective(self) -> AbstractObjective:
        """What is maximised, with its numbers as arrays, so that others do not compile anew."""
        return as_arrays(self.statement.objective or MeanResponse())

    @property
    def target_names(self) -> list[str]:
        """What the targets are called, each by another name."""
        names: list[str] = []
        for target in self.targets:
            count = sum(name == target.name or name.startswith(f"{target.name} (") for name in names)
            names.append(f"{target.name} ({count + 1})" if count else target.name)
        return names

    @property
    def reported_chains(self) -> int:
        """Number of chains that the reported draws are shown in."""
        return self.markets.first.num_chains

    def response(self, draws: np.ndarray) -> DecidedResponse:
        """The response of some draws. Call it in double precision."""
        models, params = list(self.markets.models.values()), self.markets.draws(draws)
        index, shares = jnp.asarray(self.decisions.index), jnp.asarray(self.decisions.shares)
        if "date" in self.decisions.by or self.rates.rises:
            markets = _lay_out_cells(models, params)
            return DecidedResponse(markets, self.rates, index, shares, self.decisions.count, self.decisions.identity)
        windows = self._windows(models)
        markets = _lay_out_levels(models, params, windows)
        one = jnp.ones(index.shape[:2])
        identity = self.decisions.count == one.size
        return DecidedResponse(markets, None, index[:, :, 0], one, self.decisions.count, identity)

    def requirements(self, response: DecidedResponse, draws: np.ndarray) -> tuple[Requirement, ...]:
        """The targets as functions of the response of some draws."""
        additive = self.markets.additive
        made = [target.requirement(response, self.decisions, additive=additive) for target in self.targets]
        return tuple(self._over(as_arrays(requirement), draws) for requirement in made)

    def _over(self, requirement: Requirement, draws: np.ndarray) -> Requirement:
        if not isinstance(requirement, PlanRequirement):
            return requirement
        return replace(requirement, measure=self.over_draws(requirement.measure, draws))

    def over_draws(self, objective: AbstractObjective, draws: np.ndarray) -> AbstractObjective:
        """The objective with what it holds by draw, if anything, reduced to some draws."""
        return jax.tree.map(lambda leaf: leaf[draws] if leaf.shape == (self.markets.num_draws,) else leaf, objective)

    def respond(self, spend: xr.DataArray) -> xr.Dataset:
        """Response of the reported draws to any spend."""
        return self.markets.respond(spend, self.rates, self.reported, self.reported_chains)

    def channel_bounds(self) -> xr.Dataset:
        """Bounds of each channel's spend, the tightest: what its numbers' add up to, its `bounds`, and the whole plan."""
        system, decisions = self.feasible.system, self.decisions
        upper = np.where(np.isfinite(system.box_upper), system.box_upper, np.inf)
        table = xr.Dataset({"lower": decisions.labelled(system.box_lower), "upper": decisions.labelled(upper)})
        table = table.sum([name for name in table.dims if name != "channel"])
        factor = decisions.shares.shape[2] if self.statement.per == "period" else 1.0
        low, high = table["lower"].to_numpy().copy(), table["upper"].to_numpy().copy()
        for channel, (least, most) in (self.statement.bounds or {}).items():
            place = decisions.channels.index(channel)
            low[place], high[place] = max(low[place], factor * least), min(high[place], factor * most)
        coords = {"channel": list(decisions.channels)}
        most = self.reference if self.statement.total is not None else np.inf
        return xr.Dataset({"lower": ("channel", low), "upper": ("channel", np.minimum(high, most))}, coords=coords)

    def concave(self) -> bool:
        """Whether every plan that meets the conditions of an optimum is proven to be the best one."""
        convex_set = all(target.convex for target in self.targets)
        return convex_set and self.objective.concave and self.concave_curves

    @property
    def concave_curves(self) -> bool:
        """Whether more spend never brings more per unit, for any draw."""
        return self.markets.concave

    def _windows(self, models: list[MMM]) -> list[HorizonWindows]:
        profile = self.decisions.shares * np.asarray(self.rates.per_currency)
        alone = len(models) == 1  # Else the markets' periods must stay as many as each other.
        return [horizon_windows(model, one, distinct=alone) for model, one in zip(models, profile, strict=True)]


def lay_out(fits: Fits, statement: Statement, *, free: bool = False) -> Problem:
    """The problem of a statement. Call it in double precision.

    Args:
        fits: one market, or several by geo.
        statement: what is asked for.
        free: allow what has no end without a total.

    Raises:
        PlanError: a statement of the problem that cannot be used; says which.
        InfeasibleError: constraints that exclude each other; names them.
        PredictionError: the horizon does not continue the known rows.
    """
    markets = Markets.build(fits, statement.horizon, carry_in=statement.carry_in, history=statement.history)
    channels, dates = markets.first.panel.channels, markets.dates
    check_plannable(channels, markets.organic)
    check_paid(markets.organic, locked=statement.locked, bounds=statement.bounds, prices=statement.prices)
    if not free:
        _check_ends(statement, [name for name in channels if name not in markets.organic])
    by = checked_by(statement.by, geographic=len(markets.geos) > 1)
    shares = _shares(statement, markets, by, _locked_cells(statement, markets))
    decisions = Decisions(by, dates, channels, markets.geos, shares)
    prices = statement.prices or {}
    costs = expected_costs((fit.panel for fit in markets.fits.values()), prices)
    rates = Rates.build(prices, channels, len(dates), markets.scales, costs)
    return _stated(statement, markets, decisions, rates)


def restated(problem: Problem, **changes: Any) -> Problem:
    """The same problem with other numbers: fits, horizon and decisions stay laid out. Call it in double precision."""
    return _stated(replace(problem.statement, **changes), problem.markets, problem.decisions, problem.rates)


def _stated(statement: Statement, markets: Markets, decisions: Decisions, rates: Rates) -> Problem:
    units_per_currency = units_bought(rates, markets)
    reference = _reference(statement, markets, units_per_currency)
    rows = _rows(statement, markets, decisions, units_per_currency)
    feasible = feasible_set(linear_system(rows, decisions), reference, lambda number: describe(decisions, number))
    targets = tuple(item for item in statement.constraints if isinstance(item, AbstractTarget))
    draws, reported = _chosen_draws(statement, markets)
    _check_rivals(statement, markets.num_draws)
    return Problem(statement, markets, decisions, rates, feasible, targets, reference, draws, reported)


def units_bought(rates: Rates, markets: Markets) -> np.ndarray:
    """Units of the table that currency buys on the first date, (geo, channel)."""
    return np.asarray(rates.per_currency)[:, :, 0] * markets.scales


def describe(decisions: Decisions, number: int) -> str:
    """The words for one number of a plan, such as `TV on 2024-01-07`."""
    geo, channel, date = np.argwhere(decisions.index == number)[0]
    words = str(decisions.channels[channel])
    words += f" in {decisions.geos[geo]}" if "geo" in decisions.by else ""
    return words + (f" on {decisions.dates[date]}" if "date" in decisions.by else "")


def as_arrays(tree: Any) -> Any:
    """Numbers as arrays: compiled programs then take others as well."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float) if isinstance(leaf, (int, float, np.ndarray)) else leaf, tree)


def _rows(statement: Statement, markets: Markets, decisions: Decisions, units_per_currency: np.ndarray) -> list[Rows]:
    """All linear constraints; `units_per_currency` are those of the table, (geo, channel), on the first date."""
    factor = len(markets.dates) if statement.per == "period" else 1.0
    before = in_currency(markets.last(), units_per_currency)
    linear = [item for item in statement.constraints if isinstance(item, AbstractConstraint)]
    total = statement.total
    if total is not None:
        given = total if isinstance(total, Total) else Total(checked_total(total) * factor)
        linear = [given, *linear]
    bounds = checked_bounds(statement.bounds, decisions.channels, factor)
    rows = [item.rows(decisions, before) for item in [*linear, *bounds]]
    rows += [_locking(channel, cells, decisions) for channel, cells in _locked_cells(statement, markets).items()]
    return rows


def _check_ends(statement: Statement, channels: Sequence[str]) -> None:
    """Without a total, something else must keep the plan from spending without end."""
    objective = statement.objective or MeanResponse()
    bounded = set(statement.bounds or {}) | set(statement.locked or {}) >= set(channels)
    if statement.total is None and objective.needs_total and not statement.constraints and not bounded:
        raise PlanError(
            "Without a total, the plan would spend without end. Give `total=`, constraints, or the objective Profit."
        )


def _check_rivals(statement: Statement, draws: int) -> None:
    """What objectives hold by draw must be of the fit's draws, or it would be held against the wrong ones."""
    floors = [item.objective for item in statement.constraints if isinstance(item, RiskFloor)]
    for leaf in jax.tree.leaves([statement.objective, *floors]):
        if np.size(leaf) not in (1, draws):
            raise PlanError(
                f"An objective holds {np.size(leaf)} responses of another plan, but the fit has {draws} draws: give one "
                f"response per draw, in the fit's order, or one number. A plan with `split_draws` tells half of them only."
            )


def _locking(channel: str, cells: np.ndarray, decisions: Decisions) -> Rows:
    own = decisions.selected(channel)
    numbers = np.unique(decisions.index[own > 0])
    coefficients = np.stack([own * (decisions.index == number) for number in numbers])
    amounts = np.array([(cells * (decisions.index == number)).sum() for number in numbers])
    return Rows(coefficients, amounts, amounts, f"the locked spend of {channel!r}")


def _locked_cells(statement: Statement, markets: Markets) -> dict[str, np.ndarray]:
    """Given spend by channel, (geo, channel, date), 0 for all other channels; none for organic ones."""
    channels, dates = markets.first.panel.channels, markets.dates
    found = {}
    for channel, given in (statement.locked or {}).items():
        if channel not in channels:
            raise PlanError(f"`locked` names the channel {channel!r}; the fit has {', '.join(channels)}.")
        if statement.bounds and channel in statement.bounds:
            raise PlanError(f"{channel!r} is locked and has bounds: give one of them.")
        by_date = _by_date(channel, given, len(dates), statement.per)
        place = channels.index(channel)
        cells = np.zeros((len(markets.geos), len(channels), len(dates)))
        cells[:, place] = _split(markets)[:, place, None] * by_date
        found[channel] = cells
    return found | {name: np.zeros((len(markets.geos), len(channels), len(dates))) for name in markets.organic}


def _by_date(channel: str, given: Any, dates: int, per: str) -> np.ndarray:
    amounts = np.asarray(given, float)
    if amounts.ndim == 0:
        amounts = np.full(dates, float(amounts) if per == "period" else float(amounts) / dates)
    if amounts.shape != (dates,):
        raise PlanError(f"The locked spend of {channel!r} has {amounts.size} values, the horizon {dates} dates.")
    if not (np.isfinite(amounts) & (amounts >= 0)).all():
        raise PlanError(f"The locked spend of {channel!r} must be finite and at least 0 on all dates.")
    return amounts


def _split(markets: Markets) -> np.ndarray:
    """Usual share of each geo in a channel's spend, (geo, channel); equal where there was none."""
    usual = np.stack([fit.panel.spend.mean(axis=1) for fit in markets.fits.values()])
    sums = usual.sum(axis=0)
    return np.where(sums > 0, usual / np.where(sums > 0, sums, 1.0), 1.0 / len(usual))


def _shares(statement: Statement, markets: Markets, by: tuple[str, ...], locked: dict[str, np.ndarray]) -> np.ndarray:
    """Share that each cell gets of its number, (geo, channel, date)."""
    rows = next(iter(markets.rows.values()))
    if "date" in by and statement.profile is not None:
        raise PlanError("`profile` spreads a level over the dates, but `by` holds 'date': every date has its own number.")
    profile = spend_profile(statement.profile, rows) / len(rows)
    shares = np.ones((len(markets.geos), *profile.shape))
    shares = shares if "date" in by else shares * profile
    if "date" not in by:
        for cells in locked.values():
            spent = cells.sum(axis=2, keepdims=True)
            shares = np.where(spent > 0, cells / np.where(spent > 0, spent, 1.0), shares)
    if "geo" not in by and len(markets.geos) > 1:
        shares = shares * _split(markets)[:, :, None]
    return shares


def _reference(statement: Statement, markets: Markets, units_per_currency: np.ndarray) -> float:
    total, periods = statement.total, len(markets.dates)
    if isinstance(total, Total):
        return float(total.amount) * (periods if total.per == "period" else 1)
    if total is not None:
        return checked_total(total) * (periods if statement.per == "period" else 1)
    return float(in_currency(markets.usual(), units_per_currency).sum()) * periods


def _chosen_draws(statement: Statement, markets: Markets) -> tuple[np.ndarray, np.ndarray]:
    """Draws that the plan is made from, and draws that tell its response."""
    every = np.arange(markets.num_draws)
    made, told = every, every
    if statement.split_draws:
        per_chain = every.reshape(markets.first.num_chains, -1)
        half = per_chain.shape[1] // 2
        if half < 1:
            raise PlanError("`split_draws` needs at least 2 draws per chain.")
        made, told = per_chain[:, 0 : 2 * half : 2].ravel(), per_chain[:, 1 : 2 * half : 2].ravel()
    if statement.max_draws is not None and statement.max_draws < len(made):
        made = made[np.linspace(0, len(made) - 1, statement.max_draws).round().astype(int)]
    return made, told


@eqx.filter_jit
def _lay_out_cells(models: list[MMM], draws: list[Params]) -> CellResponse:
    return _stacked([CellResponse.build(model, one) for model, one in zip(models, draws, strict=True)])


@eqx.filter_jit
def _lay_out_levels(models: list[MMM], draws: list[Params], windows: list[HorizonWindows]) -> LevelResponse:
    parts = zip(models, draws, windows, strict=True)
    return _stacked([LevelResponse.build(model, one, window) for model, one, window in parts])


def _stacked(markets: list[Any]) -> Any:
    """One pytree of all markets, with the geo as first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *markets)
