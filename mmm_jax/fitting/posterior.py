"""The fit: what was believed, what was seen, the draws, and everything that they say, on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
import xarray as xr

from mmm_jax.analysis import contributions as parts
from mmm_jax.analysis import response
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.scores import score_table
from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import PanelError
from mmm_jax.fitting import forward, store, tables
from mmm_jax.fitting.abstract import AbstractFit
from mmm_jax.fitting.frequency import optimal_frequency
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.labels import labelled
from mmm_jax.fitting.treatments import component_coords, design_reference, told_apart
from mmm_jax.fitting.units import media_axis, saturated
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_model, coordinates
from mmm_jax.model.mmm import MMM
from mmm_jax.model.spec import ModelSpec

DEFAULT_MULTIPLIERS = tuple(np.round(np.linspace(0.0, 2.0, 21), 10))

_FACTORS = {"incremental_roas": (1.0, 0.0), "marginal_roas": (1.01, 1.0)}
"""Of the spend in a window: what is compared with what."""

_LONG_NAMES = {
    "roas": "return on spend",
    "incremental_roas": "incremental return on spend",
    "marginal_roas": "marginal return on spend",
}

_COMPONENT_DIMS = {
    "media": ("channel", "date"),
    "controls": ("control", "date"),
    "treatments": ("treatment", "date"),
    "events": ("event", "date"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Fit(AbstractFit):
    """A fitted model; it never changes.

    Made by `mmm_jax.fit`. Draws hold the free parameters only; all else is computed when asked for, in chunks of draws.

    Attributes:
        spec: the user's choices.
        panel: the rows that were fitted.
        scales: what spend, target and controls were divided by.
        draws: by parameter name, shape (chain, draw, ...).
        sample_stats: by ArviZ's names, shape (chain, draw).
        diagnostics: whether the draws can be trusted.
        precision: in which the draws were made and all else is computed.
        experiments: lift tests and known costs that the fit has learned from, if any.
    """

    spec: ModelSpec
    panel: Panel
    scales: Scales
    draws: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]
    diagnostics: Diagnostics | ApproximationDiagnostics
    precision: Precision
    experiments: LiftTests | None = None

    def model(self, panel: Panel | None = None, *, carry_in: bool = True, history: Panel | None = None) -> MMM:
        """The model over the training rows, or over rows that come after them. Call it within `precision_scope`.

        Raises:
            PredictionError: the panel does not fit or does not continue what was fitted.
        """
        if panel is None:
            return build_model(self.spec, self.panel, self.scales)
        rows = forward.aligned(panel, self.panel)
        before = frequency = None
        if carry_in:
            before, frequency = forward.media_before(rows, self.panel, self.spec.l_max - 1, history)
        known = {"panel": rows, "history": before, "frequency_before": frequency}
        return build_model(self.spec, self.panel, self.scales, **known)

    def predict(
        self, panel: Panel | None = None, *, key: Key = 0, carry_in: bool = True, history: Panel | None = None
    ) -> xr.Dataset:
        """Predictive distribution, in units of the target.

        Args:
            panel: rows to predict, right after the training rows; the training rows themselves by default.
            key: random key or seed: the same key gives the same numbers.
            carry_in: let the spend before the first row work on.
            history: the rows right before the panel, if they are not the training rows.

        Returns:
            `y`: draws of the target, and `mean`: draws of its expected value, dimensions (chain, draw, date).

        Raises:
            PredictionError: unknown or missing columns, or dates that do not continue the known ones.
        """
        rows = self.panel if panel is None else panel
        with precision_scope(self.precision):
            model = self.model(panel, carry_in=carry_in, history=history)
            draws = self.flat_draws()
            keys = jax.random.split(as_key(key), len(draws["intercept"]))
            found = over_draws(parts.outcome, model, draws, each=keys)
        return xr.Dataset({name: self._labelled(values, ("date",), rows) for name, values in found.items()})

    def contributions(self, panel: Panel | None = None, *, history: Panel | None = None) -> xr.Dataset:
        """What each component brought per period, in units of the target.

        Returns:
            `intercept`, `media` (by channel), and where the model has them `controls` (by control), `treatments` (by
            treatment: against its reference level), `seasonality`, `trend`, `events` (by event), `interaction`; dimensions
            (chain, draw, ..., date). Their sum is the expected target.
        """
        rows = self.panel if panel is None else panel
        with precision_scope(self.precision):
            reference = design_reference(self.panel, self.scales)
            found = over_draws(parts.contributions, self.model(panel, history=history), self.flat_draws(), *reference)
        kept = self._components(found)
        return xr.Dataset({n: self._component(v, _COMPONENT_DIMS.get(n, ("date",)), rows) for n, v in kept.items()})

    def contribution_totals(self) -> xr.Dataset:
        """`contributions` summed over the training rows that are there, without holding them per period."""
        with precision_scope(self.precision):
            there = self.panel.present.astype(float)
            reference = design_reference(self.panel, self.scales)
            found = over_draws(parts.component_totals, self.model(), self.flat_draws(), there, *reference)
        kept = self._components(found)
        return xr.Dataset({n: self._component(v, _COMPONENT_DIMS.get(n, ("date",))[:-1]) for n, v in kept.items()})

    def contribution_shares(self) -> xr.DataArray:
        """Share of each channel in the media's total contribution over the training rows, (chain, draw, channel)."""
        media = self.contribution_totals()["media"]
        return (media / media.sum("channel")).assign_attrs(long_name="share of media contribution", units="1")

    def roas(self, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """Return on spend: contribution in the window over the spend in it, (chain, draw, channel); NaN without spend.

        Args:
            start: first date of the window; the first training row by default.
            end: last date of the window; the last training row by default.
        """
        return self._per_spend("roas", start, end)

    def incremental_roas(self, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """What the window's spend brought over having spent nothing, its later effect included, per unit of spend."""
        return self._per_spend("incremental_roas", start, end)

    def marginal_roas(self, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """What one per cent more spend in the window would have brought, per unit of that spend."""
        return self._per_spend("marginal_roas", start, end)

    def brought(self, returned: str, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """What a return on spend has above its fraction bar, (chain, draw, channel), in units of the target.

        Args:
            returned: `roas`, `incremental_roas` or `marginal_roas`.
            start: first date of the window.
            end: last date of the window.
        """
        rows = self.window(start, end)
        with precision_scope(self.precision):
            if returned == "roas":
                values = over_draws(parts.channel_totals, self.model(), self.flat_draws(), rows)
            else:
                high, low = _FACTORS[returned]
                factors = np.asarray(high), np.asarray(low)
                change = over_draws(response.outcome_change, self.model(), self.flat_draws(), rows, *factors)
                values = change / (high - low)
        return self._labelled(values, ("channel",))

    def response_curves(
        self,
        multipliers: Sequence[float] = DEFAULT_MULTIPLIERS,
        *,
        start: str | None = None,
        end: str | None = None,
    ) -> xr.Dataset:
        """Contribution of each channel over the window when its spend there is multiplied.

        Returns:
            `response` in units of the target and `relative_response` to the response at the observed spend, dimensions
            (chain, draw, channel, multiplier); `spend` in currency over the window, (channel, multiplier).
        """
        rows, grid = self.window(start, end), np.asarray(multipliers, float)
        if grid.ndim != 1 or len(grid) == 0 or grid.min() < 0:
            raise ValueError("`multipliers` must be a list of numbers of at least 0.")
        with precision_scope(self.precision):
            with_now = np.append(grid, 1.0)
            values = over_draws(response.response_curve, self.model(), self.flat_draws(), rows, with_now)
        found = self._labelled(values[..., :-1], ("channel", "multiplier")).assign_coords(multiplier=grid)
        now = self._labelled(values[..., -1], ("channel",))
        spend = xr.DataArray(
            np.outer(self.panel.spend @ rows, grid),
            dims=("channel", "multiplier"),
            coords={"channel": list(self.panel.channels), "multiplier": grid},
        )
        return xr.Dataset({"response": found, "relative_response": found / now, "spend": spend})

    def saturation_curves(self, *, points: int = 50, reach: float = 1.5) -> xr.Dataset:
        """Effect per period of adstocked spend, from 0 to `reach` times the largest spend that was observed.

        Of a channel with frequency, it is the effect of the reach that its media are divided by, the largest of training,
        against the frequency, from 0 to `reach` times the largest one.

        Returns:
            `effect` (chain, draw, channel, point) in units of the target (of its logarithm with a log link), `spend`
            (channel, point) in currency per period, and `observed` (channel): the largest spend of one period. Where the
            panel has units, the last two are in units; their attributes say which, as does the coordinate `unit`.
            Those of a channel with frequency are frequencies, as the coordinate `axis` says.
        """
        observed, scale = saturated(self.panel, self.scales)
        grid = np.linspace(0.0, reach, points) * observed[:, None]
        with precision_scope(self.precision):
            values = over_draws(response.saturation_curve, self.model(), self.flat_draws(), grid, scale)
        coords, attrs = media_axis(self.panel)
        return xr.Dataset(
            {
                "effect": self._labelled(values, ("channel", "point")),
                "spend": xr.DataArray(grid, dims=("channel", "point"), coords=coords, attrs=attrs),
                "observed": xr.DataArray(observed, dims=("channel",), coords=coords, attrs=attrs),
            }
        )

    def adstock_curves(self) -> xr.DataArray:
        """Weight of spend by its age in periods, (chain, draw, channel, lag)."""
        with precision_scope(self.precision):
            values = over_draws(response.adstock_curve, self.model(), self.flat_draws())
        return self._labelled(values, ("channel", "lag")).assign_coords(lag=np.arange(self.spec.l_max))

    def optimal_frequency(self, *, points: int = 101, prob: float = 0.9) -> xr.Dataset:
        """Average frequency at which the same impressions, at the same cost, would have brought most over the training rows.

        Fewer people, more often, or more people, less often: of every channel that comes as reach and frequency, one
        frequency in all periods. Looked for on a grid from 1 to the largest frequency that was observed, and then between
        the neighbours of its best point. Computed in float64.

        Args:
            points: of the grid, and of the finer one.
            prob: probability of the interval.

        Returns:
            By channel: `optimal_frequency`, which maximises the posterior mean of the contribution; `lower` and `upper`, the
            interval of the draws' own optima, which are `by_draw` (chain, draw, channel); `current_frequency`, impressions
            over people reached; `at_end`: `lowest` or `highest` where the optimum is an end of the grid, so that the best
            one may lie beyond what was observed, else nothing. `roas_optimal` and `roas_current`: return on spend at these
            two frequencies, (chain, draw, channel). Over the grid `frequency` (channel, point): `roas` and `contribution`,
            (chain, draw, channel, point). Returns are NaN for organic channels.

        Raises:
            PanelError: no channel has a frequency.
        """
        return optimal_frequency([self], points, prob)

    def scores(self, *, held_out: bool = False, key: Key = 0, prob: float = 0.9) -> dict[str, float]:
        """Scores of the predictive distribution over the training rows that were fitted, or over those held out.

        Args:
            held_out: of the rows that `Panel.hold_out` kept out of the likelihood, rather than of all others.
            key: random key or seed of the predictive draws.
            prob: probability of the interval whose coverage is reported.

        Returns:
            As `score_table`.

        Raises:
            PanelError: there are no such rows.
        """
        panel = self.panel
        rows = panel.present & (~panel.counted if held_out else panel.counted)
        if panel.target is None or not rows.any():
            raise PanelError("No row is held out. Keep some out of the likelihood with `Panel.hold_out`.")
        predicted = self.predict(key=key).isel(date=np.flatnonzero(rows))
        return score_table(panel.target[rows], predicted, prob)

    def waterfall(self, *, prob: float = 0.9) -> Any:
        """Table of the components' total contributions and shares over the training rows (pandas)."""
        return tables.waterfall_table(self.contribution_totals(), prob)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a fit of one market that `save` wrote, to a path or an address; it predicts bit for bit the same.

        Raises:
            StoreError: nothing is there, or it is no fit of one market.
        """
        return store.loaded(cls, path)

    def _components(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        spec, found = self.spec, told_apart(found, self.panel)
        absent = {
            "controls": not found["controls"].shape[1],
            "seasonality": not (spec.yearly_seasonality or spec.monthly_seasonality or spec.weekly_seasonality),
            "trend": spec.trend is None,
            "events": not spec.events,
        }
        order = ("intercept", "media", "controls", "treatments", "seasonality", "trend", "events", "interaction")
        return {name: found[name] for name in order if name in found and not absent.get(name, False)}

    def _component(self, values: np.ndarray, dims: tuple[str, ...], rows: Panel | None = None) -> xr.DataArray:
        coords = coordinates(self.spec, self.panel) | component_coords(self.panel)
        return labelled(values, dims, coords | self._dates(rows), self.num_chains)

    def _dates(self, rows: Panel | None) -> dict[str, np.ndarray]:
        return {"date": (rows or self.panel).dates.astype("datetime64[ns]")}

    def _labelled(self, values: np.ndarray, dims: tuple[str, ...], rows: Panel | None = None) -> xr.DataArray:
        coords = coordinates(self.spec, self.panel) | self._dates(rows)
        return labelled(values, dims, coords, self.num_chains)

    def window(self, start: str | None = None, end: str | None = None) -> np.ndarray:
        """1 for the training rows from `start` to `end` that are there, 0 for all others, shape (time,).

        Raises:
            PanelError: there is none.
        """
        dates = self.panel.dates
        first = dates[0] if start is None else np.datetime64(start, "D")
        last = dates[-1] if end is None else np.datetime64(end, "D")
        rows = ((dates >= first) & (dates <= last) & self.panel.present).astype(float)
        if not rows.any():
            raise PanelError(f"No training row lies between {first} and {last}; there are {dates[0]} to {dates[-1]}.")
        return rows

    def _per_spend(self, returned: str, start: str | None, end: str | None) -> xr.DataArray:
        spend = self.panel.spend @ self.window(start, end)
        return per_spend(self.brought(returned, start=start, end=end), spend, returned)


def per_spend(brought: xr.DataArray, spend: np.ndarray, returned: str) -> xr.DataArray:
    """A return on spend; missing where nothing was spent.

    Args:
        brought: as `Fit.brought` gives it.
        spend: by channel.
        returned: `roas`, `incremental_roas` or `marginal_roas`.
    """
    below = xr.DataArray(np.where(spend > 0, spend, np.nan), dims=("channel",), coords={"channel": brought["channel"]})
    return (brought / below).rename(_LONG_NAMES[returned]).assign_attrs(long_name=_LONG_NAMES[returned])
