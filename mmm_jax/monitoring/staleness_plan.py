"""A plan as media of the fit's channels, whatever people hand in, and what was known right before it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from mmm_jax.data.calendar import Frequency, infer_frequency
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.media import CURRENCY, unit_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import LedgerError, MonitoringError
from mmm_jax.fitting.forward import aligned
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.monitoring.spend import read_spend
from mmm_jax.monitoring.versions import markets_of
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.costs import expected_costs
from mmm_jax.planning.decisions import National
from mmm_jax.planning.organic import held_media
from mmm_jax.planning.prices import Price, Rates
from mmm_jax.planning.reach import usual_frequency

PlannedSpend = Allocation | xr.DataArray | pd.DataFrame | Panel | GeoPanel
"""A plan of `optimize_budget`; spend by date and channel (and geo), an array or a table; or a panel of the planned rows."""


@dataclass(frozen=True, eq=False)
class Planned:
    """Planned rows of every market.

    Attributes:
        rows: by geo, under `National` for one market; channels in the fit's order, media as the model sees them.
        unknown: planned spend by channel of those that the fit does not know.
    """

    rows: dict[str, Panel]
    unknown: dict[str, float]


def read_plan(plan: PlannedSpend, fit: AnyFit, prices: Mapping[str, Price] | None) -> Planned:
    """The planned rows.

    Args:
        plan: what is planned.
        fit: the model.
        prices: of channels whose media the fit has in units, where the plan has none of its own.

    Raises:
        MonitoringError: it cannot be read, is not of the fit's geos or frequency, or begins before training ends.
        PlanError: what a unit costs is not known.
    """
    spend = _spend_of(plan)
    markets = markets_of(fit)
    _check_geos(spend, fit)
    _check_dates(spend, fit.panel)
    channels = fit.panel.channels
    _check_paid(spend, fit.panel)
    costs = plan.problem.statement.prices if isinstance(plan, Allocation) and prices is None else prices
    table = spend if "geo" in spend.dims else spend.expand_dims(geo=[National])
    known = table.reindex(channel=list(channels)).fillna(0.0).sel(geo=list(markets)).transpose("geo", "channel", "date")
    rows = _bought(list(markets.values()), known.to_numpy(), spend["date"].values.astype("datetime64[D]"), costs or {})
    if isinstance(plan, (Panel, GeoPanel)):
        rows = [_with_own_media(one, _market(plan, geo)) for one, geo in zip(rows, markets, strict=True)]
    sums = spend.sum([name for name in spend.dims if name != "channel"])
    unknown = {str(name): float(sums.sel(channel=name)) for name in sums["channel"].values if name not in channels}
    return Planned(dict(zip(markets, rows, strict=True)), {name: amount for name, amount in unknown.items() if amount > 0})


def media_before(planned: Panel, known: list[Panel], periods: int) -> np.ndarray:
    """Media of the periods right before the plan, shape (channel, periods); 0 in those that no known row is of.

    Args:
        planned: the plan's rows.
        known: rows of the same channels; where several are of the same date, the last panel's counts.
        periods: how many.
    """
    found = np.zeros((len(planned.channels), periods))
    for panel in known:
        back = _periods_back(panel.dates, planned.dates[0], planned.frequency)
        chosen = (back >= 1) & (back <= periods)
        found[:, periods - back[chosen]] = panel.exposure[:, chosen]
    return found


def _spend_of(plan: PlannedSpend) -> xr.DataArray:
    """Spend over (date, channel[, geo]), in the order of the dates."""
    if isinstance(plan, Panel):
        given = _as_array(plan.spend.T, plan, {})
    elif isinstance(plan, GeoPanel):
        given = _as_array(plan.spend.transpose(2, 0, 1), plan, {"geo": list(plan.geos)})
    else:
        given = plan.spend if isinstance(plan, Allocation) else plan
    try:
        return read_spend(given, "The plan").sortby("date")
    except LedgerError as error:
        raise MonitoringError(str(error)) from error


def _as_array(values: np.ndarray, panel: AnyPanel, geo: dict[str, list[str]]) -> xr.DataArray:
    coords = {"date": panel.dates, "channel": list(panel.channels), **geo}
    return xr.DataArray(values, dims=list(coords), coords=coords)


def _bought(fits: list[Fit], spend: np.ndarray, dates: np.ndarray, prices: Mapping[str, Price]) -> list[Panel]:
    """Rows of every market with the media that the spend buys; (geo, channel, date)."""
    panels, frequency = [fit.panel for fit in fits], usual_frequency([fit.panel for fit in fits])
    scales = np.stack([fit.scales.channel for fit in fits])
    rates = Rates.build(prices, panels[0].channels, len(dates), scales, expected_costs(panels, prices))
    with precision_scope("float64"):
        media = np.asarray(rates.media(jnp.asarray(spend))) * scales[..., None]
    usual = [None] * len(fits) if frequency is None else list(frequency)
    return [
        _rows(*of_market) for of_market in zip(panels, dates[None].repeat(len(fits), 0), spend, media, usual, strict=True)
    ]


def _rows(training: Panel, dates: np.ndarray, spend: np.ndarray, media: np.ndarray, frequency: np.ndarray | None) -> Panel:
    paid = tuple(name for name in training.channels if name not in training.organic)
    empty = Panel(
        dates=dates,
        spend=np.zeros((len(paid), len(dates))),
        controls=np.zeros((len(training.control_names), len(dates))),
        target=None,
        channels=paid,
        control_names=training.control_names,
        target_name=training.target_name,
        frequency=training.frequency,
    )
    rows = aligned(held_media(empty, training, frequency), training)
    if rows.media is None:
        return replace(rows, spend=media)
    organic = np.isin(training.channels, training.organic)[:, None]
    return replace(rows, spend=spend, media=np.where(organic, rows.media, media))


def _with_own_media(rows: Panel, plan: Panel) -> Panel:
    """Units and frequency of a panel of planned rows are what it says, of channels that it has them of."""
    if rows.media is None or plan.media is None:
        return rows
    media, order = rows.media.copy(), np.argsort(plan.dates)
    frequency = None if rows.average_frequency is None else rows.average_frequency.copy()
    for place, name in enumerate(rows.channels):
        if name in plan.channels and unit_of(plan, name) == unit_of(rows, name) != CURRENCY:
            own = plan.channels.index(name)
            media[place] = plan.media[own][order]
            if frequency is not None and plan.average_frequency is not None:
                given = plan.average_frequency[own][order]
                frequency[place] = np.where(given > 0, given, frequency[place])
    return replace(rows, media=media, average_frequency=frequency)


def _market(plan: Panel | GeoPanel, geo: str) -> Panel:
    return plan[geo] if isinstance(plan, GeoPanel) else plan


def _check_geos(spend: xr.DataArray, fit: AnyFit) -> None:
    if not isinstance(fit, GeoFit):
        if "geo" in spend.dims:
            raise MonitoringError("The plan is of geos, the fit is of one market: add its geos up, or take one of them.")
        return
    known = list(fit.panel.geos)
    if "geo" not in spend.dims:
        raise MonitoringError(
            f"The fit is of geos ({', '.join(known)}), and each one's plan is held against its own training rows: give the "
            "plan by geo, with a dimension `geo`."
        )
    given = [str(name) for name in spend["geo"].values]
    if sorted(given) != sorted(known):
        raise MonitoringError(f"The plan has the geos {', '.join(given)}; the fit has {', '.join(known)}.")


def _check_dates(spend: xr.DataArray, training: AnyPanel) -> None:
    dates, frequency = spend["date"].values.astype("datetime64[D]"), training.frequency
    if dates[0] <= training.dates[-1]:
        raise MonitoringError(
            f"The plan begins on {dates[0]}, but the fit has seen rows up to {training.dates[-1]} already."
        )
    found = infer_frequency(dates) if len(dates) > 1 else frequency
    if found is not frequency:
        raise MonitoringError(f"The fit is on {frequency} rows, the plan on {found} ones. Give it by {frequency.period}.")


def _check_paid(spend: xr.DataArray, training: AnyPanel) -> None:
    for name in training.organic:
        if name in spend["channel"].values and bool(spend.sel(channel=name).any()):
            raise MonitoringError(
                f"The plan spends on {name!r}, which is organic to the fit: it has no spend. Leave it out."
            )


def _periods_back(dates: np.ndarray, first: np.datetime64, frequency: Frequency) -> np.ndarray:
    """How many periods before a date others are."""
    if frequency is Frequency.MONTHLY:
        return (first.astype("datetime64[M]") - dates.astype("datetime64[M]")).astype(int)
    days = (first - dates).astype(int)
    return np.round(days / (7 if frequency is Frequency.WEEKLY else 1)).astype(int)
