"""The fit of many geos: draws of what they share and differ in, and each geo as a fit of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
import xarray as xr

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import AnyScales, GeoScales
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import MMMError, PanelError
from mmm_jax.fitting import forward, store, tables
from mmm_jax.fitting.abstract import AbstractFit
from mmm_jax.fitting.frequency import optimal_frequency
from mmm_jax.fitting.keys import Key, as_key, named_key
from mmm_jax.fitting.posterior import DEFAULT_MULTIPLIERS, Fit, per_spend
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_geo_model, resolved_priors
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.pooling import Pooled, pooled_parameters, shifted
from mmm_jax.model.spec import ModelSpec


class MarketFit(Fit):
    """One geo of a `GeoFit`: its panel, its scales, and its own parameters' draws."""

    def prior_to_posterior(self, **_: Any) -> Any:
        """Refused: one geo's parameters have no priors of their own.

        Raises:
            MMMError: always.
        """
        raise MMMError("The parameters of one geo have a joint prior with the others: ask the fit of all geos.")


@dataclass(frozen=True, eq=False, repr=False)
class GeoFit(AbstractFit):
    """A fitted model of many geos; it never changes.

    Made by `mmm_jax.fit` of a `GeoPanel`. Each geo is a fit of one market, `fit["north"]`, with everything that such a fit
    can say; the draws of all of them go together. `markets` is what `optimize_budget` plans.

    Attributes:
        spec: the user's choices.
        panel: the rows that were fitted.
        scales: what spend, target and controls of every geo were divided by.
        draws: by parameter name, shape (chain, draw, ...).
        sample_stats: by ArviZ's names, shape (chain, draw).
        diagnostics: whether the draws can be trusted.
        precision: in which the draws were made and all else is computed.
        experiments: lift tests and known costs that the fit has learned from, if any.
    """

    spec: ModelSpec
    panel: GeoPanel
    scales: GeoScales
    draws: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]
    diagnostics: Diagnostics | ApproximationDiagnostics
    precision: Precision
    experiments: LiftTests | None = None

    def __getitem__(self, geo: str) -> Fit:
        """The fit of one geo.

        Raises:
            PanelError: there is no such geo.
        """
        market = self.panel[geo]
        place = self.panel.geos.index(geo)
        with precision_scope(self.precision):
            draws = {part.name: self._own(part, place) for part in pooled_parameters(self.spec, self.panel)}
        scales = self.scales.markets[place]
        return MarketFit(self.spec, market, scales, draws, self.sample_stats, self.diagnostics, self.precision)

    @property
    def markets(self) -> dict[str, Fit]:
        """The fit of every geo, by name."""
        return {geo: self[geo] for geo in self.panel.geos}

    def model(self) -> GeoMMM:
        """The model over the training rows. Call it within `precision_scope`."""
        return build_geo_model(self.spec, self.panel, self.scales)

    def predict(self, panel: GeoPanel | None = None, *, key: Key = 0, carry_in: bool = True) -> xr.Dataset:
        """Predictive distribution of every geo, see `Fit.predict`; dimensions (chain, draw, date, geo).

        Args:
            panel: rows to predict, right after the training rows, of all geos; the training rows by default.
            key: random key or seed: the same key gives the same numbers.
            carry_in: let the spend before the first row work on.

        Raises:
            PredictionError: geos, columns or dates that do not continue the known ones.
        """
        rows = self._rows(panel)

        def one(geo: str, fit: Fit) -> xr.Dataset:
            return fit.predict(rows.get(geo), key=named_key(as_key(key), geo), carry_in=carry_in)

        return self._by_geo(one)

    def contributions(self, panel: GeoPanel | None = None, *, by_geo: bool = True) -> xr.Dataset:
        """What each component brought per period, see `Fit.contributions`; missing where a geo lacks the row.

        Args:
            panel: rows after the training rows; the training rows by default.
            by_geo: with `geo` as last dimension, or summed over the geos.
        """
        rows = self._rows(panel)

        def one(geo: str, fit: Fit) -> xr.Dataset:
            present = (rows.get(geo) or fit.panel).present
            found = fit.contributions(rows.get(geo))
            return found if present.all() else found.where(xr.DataArray(present, dims="date"))

        return self._added(one, by_geo)

    def contribution_totals(self, *, by_geo: bool = True) -> xr.Dataset:
        """`contributions` summed over the training rows that are there, without holding them per period."""
        return self._added(lambda _, fit: fit.contribution_totals(), by_geo)

    def contribution_shares(self, *, by_geo: bool = True) -> xr.DataArray:
        """Share of each channel in the media's total contribution over the training rows."""
        media = self.contribution_totals(by_geo=by_geo)["media"]
        return (media / media.sum("channel")).assign_attrs(long_name="share of media contribution", units="1")

    def roas(self, *, start: str | None = None, end: str | None = None, by_geo: bool = True) -> xr.DataArray:
        """Return on spend, (chain, draw, channel[, geo]): contribution in the window over the spend in it.

        Args:
            start: first date of the window; the first training row by default.
            end: last date of the window; the last training row by default.
            by_geo: of every geo, or of all of them together.
        """
        return self._returned("roas", start, end, by_geo)

    def incremental_roas(self, *, start: str | None = None, end: str | None = None, by_geo: bool = True) -> xr.DataArray:
        """What the window's spend brought over having spent nothing, its later effect included, per unit of spend."""
        return self._returned("incremental_roas", start, end, by_geo)

    def marginal_roas(self, *, start: str | None = None, end: str | None = None, by_geo: bool = True) -> xr.DataArray:
        """What one per cent more spend in the window would have brought, per unit of that spend."""
        return self._returned("marginal_roas", start, end, by_geo)

    def response_curves(
        self,
        multipliers: Sequence[float] = DEFAULT_MULTIPLIERS,
        *,
        start: str | None = None,
        end: str | None = None,
        by_geo: bool = True,
    ) -> xr.Dataset:
        """Contribution of each channel over the window when its spend there is multiplied, see `Fit.response_curves`.

        Summed over the geos, every geo's spend is multiplied by the same.
        """
        found = self._by_geo(lambda _, fit: fit.response_curves(multipliers, start=start, end=end))
        if by_geo:
            return found
        totals = found[["response", "spend"]].sum("geo")
        now = (found["response"] / found["relative_response"]).sum("geo")
        return totals.assign(relative_response=totals["response"] / now)

    def saturation_curves(self, *, points: int = 50, reach: float = 1.5) -> xr.Dataset:
        """Effect per period of adstocked spend in every geo, see `Fit.saturation_curves`."""
        return self._by_geo(lambda _, fit: fit.saturation_curves(points=points, reach=reach))

    def adstock_curves(self) -> xr.DataArray:
        """Weight of spend by its age in periods in every geo, (chain, draw, channel, lag, geo)."""
        return self._by_geo(lambda _, fit: fit.adstock_curves().to_dataset(name="weight"))["weight"]

    def optimal_frequency(self, *, points: int = 101, prob: float = 0.9, by_geo: bool = True) -> xr.Dataset:
        """Average frequency at which the same impressions would have brought most, see `Fit.optimal_frequency`.

        Args:
            points: of the grid, and of the finer one.
            prob: probability of the interval.
            by_geo: of every geo, NaN where it reached nobody, or one frequency for all of them together.
        """
        if by_geo:
            return self._by_geo(lambda _, fit: fit.optimal_frequency(points=points, prob=prob))
        return optimal_frequency(list(self.markets.values()), points, prob)

    def scores(self, *, held_out: bool = False, key: Key = 0, prob: float = 0.9) -> dict[str, dict[str, float]]:
        """Scores of every geo that has such rows, by name, see `Fit.scores`.

        Raises:
            PanelError: no geo has any.
        """
        found = {}
        for geo, fit in self.markets.items():
            rows = fit.panel.present & (~fit.panel.counted if held_out else fit.panel.counted)
            if rows.any():
                found[geo] = fit.scores(held_out=held_out, key=named_key(as_key(key), geo), prob=prob)
        if not found:
            raise PanelError("No row is held out. Keep some out of the likelihood with `GeoPanel.hold_out`.")
        return found

    def waterfall(self, *, prob: float = 0.9) -> Any:
        """Table of the components' total contributions and shares over the training rows of all geos."""
        return tables.waterfall_table(self.contribution_totals(by_geo=False), prob)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a fit of geos that `save` wrote, to a path or an address; it predicts bit for bit the same.

        Raises:
            StoreError: nothing is there, or it is no fit of geos.
        """
        return store.loaded(cls, path)

    def _own(self, part: Pooled, place: int) -> np.ndarray:
        """Draws of one geo's value of a parameter, (chain, draw, ...)."""
        common = self.draws[part.name]
        if part.how == "complete":
            return common
        if part.how == "none":
            return common[:, :, place]
        deviation = self.draws[f"{part.name}_eta"] * self.draws[f"{part.name}_eps"][:, :, place]
        arguments = resolved_priors(self.spec, self.panel)[part.name][1]
        low, high = jnp.asarray(arguments.get("low", 0.0)), jnp.asarray(arguments.get("high", 1.0))
        return np.asarray(shifted(jnp.asarray(common), jnp.asarray(deviation), part.link, low, high))

    def _rows(self, panel: GeoPanel | None) -> dict[str, Panel]:
        if panel is None:
            return {}
        forward.check_same_geos(panel.geos, self.panel.geos)
        return {geo: panel[geo] for geo in self.panel.geos}

    def _by_geo(self, of: Callable[[str, Fit], xr.Dataset]) -> xr.Dataset:
        parts = [of(geo, fit) for geo, fit in self.markets.items()]
        joined = xr.concat(parts, xr.DataArray(list(self.panel.geos), dims="geo", name="geo"))
        return joined.transpose(..., "geo")

    def _added(self, of: Callable[[str, Fit], xr.Dataset], by_geo: bool) -> xr.Dataset:
        if by_geo:
            return self._by_geo(of)
        # One after the other: all of them together may not fit.
        total: xr.Dataset | None = None
        for geo, fit in self.markets.items():
            part = of(geo, fit).fillna(0.0)
            total = part if total is None else total + part
        if total is None:
            raise PanelError("The fit has no geo.")
        return total

    def _returned(self, returned: str, start: str | None, end: str | None, by_geo: bool) -> xr.DataArray:
        if by_geo:
            every = self._by_geo(lambda _, fit: getattr(fit, returned)(start=start, end=end).to_dataset(name="found"))
            return every["found"].rename(every["found"].attrs["long_name"])
        brought = self._added(lambda _, fit: fit.brought(returned, start=start, end=end).to_dataset(name="found"), False)
        spend = sum(fit.panel.spend @ fit.window(start, end) for fit in self.markets.values())
        return per_spend(brought["found"], np.asarray(spend), returned)


AnyFit = Fit | GeoFit
"""A fit of one market, or of many."""


def fit_of(spec: ModelSpec, panel: AnyPanel, scales: AnyScales, *rest: Any) -> Fit | GeoFit:
    """A fit of its fields in their order, of one market or of many by the kind of its panel."""
    if isinstance(panel, GeoPanel) and isinstance(scales, GeoScales):
        return GeoFit(spec, panel, scales, *rest)
    if isinstance(panel, Panel) and isinstance(scales, Scales):
        return Fit(spec, panel, scales, *rest)
    raise PanelError(f"Scales of the kind {type(scales).__name__} do not fit a {type(panel).__name__}.")


def load_any(path: str | Path) -> AnyFit:
    """The fit that a path or an address holds, of one market or of many.

    Raises:
        StoreError: nothing is there, or it is no fit.
    """
    fields = store.load(path)
    return GeoFit(**fields) if isinstance(fields["panel"], GeoPanel) else Fit(**fields)
