"""The fits that are planned together, one per geo, over the same dates: models, draws and what is known of their past."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.labels import labelled
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.media import joined, media_parts
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.decisions import National
from mmm_jax.planning.horizon import Horizon, horizon_panel
from mmm_jax.planning.prices import Rates
from mmm_jax.planning.reach import usual_frequency
from mmm_jax.planning.response import plan_response

Fits = Fit | GeoFit | Mapping[str, Fit]
"""One market, or several: a fit of all of them, or fits by the name of their geo."""

Known = Panel | GeoPanel | Mapping[str, Panel]
"""Of one market or for all, or by geo."""


@dataclass(frozen=True, eq=False)
class Markets:
    """What is planned together.

    Attributes:
        fits: by geo; one under `National` for a plan without geos.
        rows: the planned rows of each, with the same dates.
        models: over these rows, in double precision; their own media are what is there whatever the plan: organic ones.
        before: last known rows of each.
    """

    fits: dict[str, Fit]
    rows: dict[str, Panel]
    models: dict[str, MMM]
    before: dict[str, Panel]

    @classmethod
    def build(
        cls, fits: Fits, horizon: Horizon | GeoPanel | Mapping[str, Panel], *, carry_in: bool, history: Known | None
    ) -> "Markets":
        """Models over the horizon. Call it in double precision.

        Raises:
            PlanError: fits that cannot be planned together, or a horizon that cannot be read.
            PredictionError: a horizon that does not continue the known rows.
        """
        by_geo = _checked(fits)
        rows, models, before = {}, {}, {}
        frequency = usual_frequency([fit.panel for fit in by_geo.values()])
        for place, (geo, fit) in enumerate(by_geo.items()):
            known = of_geo(history, geo)
            dates = horizon[geo] if isinstance(horizon, (GeoPanel, Mapping)) else horizon
            rows[geo] = horizon_panel(fit, dates, known, None if frequency is None else frequency[place])
            models[geo] = fit.model(rows[geo], carry_in=carry_in, history=known)
            before[geo] = fit.panel if known is None else known
        if any(not np.array_equal(panel.dates, next(iter(rows.values())).dates) for panel in rows.values()):
            raise PlanError("All geos must be planned over the same dates.")
        return cls(by_geo, rows, models, before)

    @property
    def first(self) -> Fit:
        """The fit that names channels and draws."""
        return next(iter(self.fits.values()))

    @property
    def geos(self) -> tuple[str, ...]:
        """Names."""
        return tuple(self.fits)

    @property
    def dates(self) -> np.ndarray:
        """Planned dates."""
        return next(iter(self.rows.values())).dates

    @property
    def scales(self) -> np.ndarray:
        """Units of the table per unit of scaled media, (geo, channel)."""
        return np.stack([fit.scales.channel for fit in self.fits.values()])

    @property
    def organic(self) -> tuple[str, ...]:
        """Channels without spend, which no plan moves."""
        return self.first.panel.organic

    @property
    def additive(self) -> bool:
        """Whether effects of channels add up."""
        return self.first.spec.likelihood.additive

    @cached_property
    def concave(self) -> bool:
        """Whether effects of channels add up and, for any draw, more spend never brings more per unit."""
        if not self.additive:
            return False
        models = self.models.values()
        return all(bool(_concave(model, draws)) for model, draws in zip(models, self._every, strict=True))

    @property
    def num_draws(self) -> int:
        """Draws of every fit."""
        return self.first.draws["intercept"].size

    def usual(self) -> np.ndarray:
        """Mean of the table's units per period in the training rows, (geo, channel)."""
        return np.stack([fit.panel.exposure.mean(axis=1) for fit in self.fits.values()])

    def peaks(self) -> np.ndarray:
        """Largest units of one period in the training rows and the last known ones, (geo, channel)."""
        trained = np.stack([fit.panel.exposure.max(axis=1) for fit in self.fits.values()])
        known = np.stack([self._ordered(panel).max(axis=1) for panel in self.before.values()])
        return np.maximum(trained, known)

    def last(self) -> np.ndarray:
        """The table's units in the last known period, (geo, channel)."""
        return np.stack([self._ordered(panel)[:, -1] for panel in self.before.values()])

    def _ordered(self, panel: Panel) -> np.ndarray:
        """A panel's media in the fits' order of channels, (channel, time)."""
        return panel.exposure[[panel.channels.index(name) for name in self.first.panel.channels]]

    def draws(self, chosen: np.ndarray) -> list[Params]:
        """Chosen draws of every fit, flat. Call it in double precision."""
        if np.array_equal(chosen, np.arange(self.num_draws)):
            return self._every
        return _taken(self._every, jnp.asarray(chosen))

    @cached_property
    def _every(self) -> list[Params]:
        """All draws of every fit, flat, in double precision."""
        flat = [fit.flat_draws() for fit in self.fits.values()]
        with precision_scope("float64"):  # They are kept, whoever asks for them first.
            return jax.device_put([{name: values.astype(float) for name, values in one.items()} for one in flat])

    def respond(self, spend: xr.DataArray, rates: Rates, chosen: np.ndarray, num_chains: int) -> xr.Dataset:
        """Response of the chosen draws to any spend over (date, channel) or (date, channel, geo).

        Returns:
            `total` (chain, draw) and `by_channel` (chain, draw, channel[, geo]), in units of the target.
        """
        geographic = self.geos != (National,)
        table = spend if geographic else spend.expand_dims(geo=1)
        cells = table.transpose("geo", "channel", "date").to_numpy()
        with precision_scope("float64"):
            media = np.asarray(rates.media(jnp.asarray(cells)))
            found = [
                over_draws(plan_response, model, draws, planned)
                for model, draws, planned in zip(self.models.values(), self.draws(chosen), media, strict=True)
            ]
        total = np.sum([one["total"] for one in found], axis=0)
        channel = np.stack([one["channel"] for one in found], axis=-1)
        coords = {"channel": list(self.first.panel.channels), "geo": list(self.geos)}
        by_channel = labelled(channel, ("channel", "geo"), coords, num_chains)
        return xr.Dataset(
            {
                "total": labelled(total, (), coords, num_chains),
                "by_channel": by_channel if geographic else by_channel.isel(geo=0, drop=True),
            }
        )


@jax.jit
def _taken(draws: list[Params], chosen: Array) -> list[Params]:
    return jax.tree.map(lambda values: values[chosen], draws)


@eqx.filter_jit
def _concave(model: MMM, draws: Params) -> Array:
    each = [part.saturation.concave(*jax.vmap(part.arguments)(draws)) for part in model.parts]
    if model.frequency is None:
        return jnp.stack([jnp.all(one) for one in each]).all()
    # Whatever frequency does, twice the reach at the same frequency brings twice as much.
    return joined(model.parts, each, axis=1).at[:, model.frequency.places].set(True).all()


def of_geo(rows: Known | None, geo: str) -> Panel | None:
    """One geo's rows, as far as there are any."""
    if isinstance(rows, GeoPanel):
        return rows[geo]
    return rows.get(geo) if isinstance(rows, Mapping) else rows


def _checked(fits: Fits) -> dict[str, Fit]:
    if isinstance(fits, Fit):
        return {National: fits}
    if isinstance(fits, GeoFit):
        return fits.markets
    by_geo = {str(geo): fit for geo, fit in fits.items()}
    if not by_geo:
        raise PlanError("A plan of several geos needs at least one fit.")
    name, first = next(iter(by_geo.items()))
    for geo, fit in by_geo.items():
        if not isinstance(fit, Fit):
            raise PlanError(f"The geo {geo!r} must be a Fit, got {type(fit).__name__}.")
        for what, ours, theirs in _compared(fit, first):
            if ours != theirs:
                raise PlanError(f"The fits of {geo!r} and {name!r} differ in their {what}: {ours} and {theirs}.")
    return by_geo


def _kinds(panel: Panel) -> tuple[tuple[str, ...], ...]:
    return panel.units, panel.organic, panel.frequency_columns


def _compared(fit: Fit, first: Fit) -> list[tuple[str, Any, Any]]:
    """What fits must share to be planned together."""
    parts = [media_parts(one.spec, one.panel.channels) for one in (fit, first)]
    shape = [jax.tree.structure((own, one.spec.likelihood)) for own, one in zip(parts, (fit, first), strict=True)]
    draws = [f"{one.num_chains} x {one.draws['intercept'].shape[1]}" for one in (fit, first)]
    return [
        ("channels", list(fit.panel.channels), list(first.panel.channels)),
        ("kinds of media", _kinds(fit.panel), _kinds(first.panel)),
        ("frequency", fit.panel.frequency, first.panel.frequency),
        ("model", shape[0], shape[1]),
        ("numbers of draws", draws[0], draws[1]),
    ]
