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
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import PanelError
from mmm_jax.fitting import forward, store, tables
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.labels import labelled
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import Precision, precision_scope
from mmm_jax.model.build import build_model, coordinates
from mmm_jax.model.mmm import MMM
from mmm_jax.model.spec import ModelSpec

DEFAULT_MULTIPLIERS = tuple(np.round(np.linspace(0.0, 2.0, 21), 10))

_COMPONENT_DIMS = {"media": ("channel", "date"), "controls": ("control", "date"), "events": ("event", "date")}


@dataclass(frozen=True, eq=False)
class Fit:
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
    """

    spec: ModelSpec
    panel: Panel
    scales: Scales
    draws: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]
    diagnostics: Diagnostics | ApproximationDiagnostics
    precision: Precision

    def __repr__(self) -> str:
        """One line: how many draws of what, and whether they converged or can be believed."""
        state = _state(self.diagnostics)
        chains, draws = next(iter(self.draws.values())).shape[:2]
        return f"Fit({chains} x {draws} draws, {self.diagnostics.engine}, {self.precision}, {state}; {self.panel})"

    @property
    def posterior(self) -> xr.DataTree:
        """Draws, sample statistics and data as an ArviZ-like tree."""
        return store.to_tree(self)

    @property
    def num_chains(self) -> int:
        """Number of chains."""
        return next(iter(self.draws.values())).shape[0]

    def flat_draws(self) -> dict[str, np.ndarray]:
        """Draws of shape (chain * draw, ...)."""
        # Spelt out, since -1 cannot be told for a parameter of size 0, such as the controls' where there are none.
        return {name: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for name, v in self.draws.items()}

    def model(self, panel: Panel | None = None, *, carry_in: bool = True, history: Panel | None = None) -> MMM:
        """The model over the training rows, or over rows that come after them. Call it within `precision_scope`.

        Raises:
            PredictionError: the panel does not fit or does not continue what was fitted.
        """
        if panel is None:
            return build_model(self.spec, self.panel, self.scales)
        rows = forward.aligned(panel, self.panel)
        before = None
        if carry_in:
            before = forward.spend_before(rows, self.panel, self.spec.adstock.l_max - 1, history)
        return build_model(self.spec, self.panel, self.scales, panel=rows, history=before)

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
            `intercept`, `media` (by channel), and where the model has them `controls` (by control), `seasonality`,
            `trend`, `events` (by event), `interaction`; dimensions (chain, draw, ..., date). Their sum is the expected
            target.
        """
        rows = self.panel if panel is None else panel
        with precision_scope(self.precision):
            found = over_draws(parts.contributions, self.model(panel, history=history), self.flat_draws())
        kept = {name: found[name] for name in self._components(found)}
        return xr.Dataset({n: self._labelled(v, _COMPONENT_DIMS.get(n, ("date",)), rows) for n, v in kept.items()})

    def contribution_totals(self) -> xr.Dataset:
        """`contributions` summed over the training rows, without holding them per period."""
        with precision_scope(self.precision):
            found = over_draws(parts.component_totals, self.model(), self.flat_draws())
        kept = {name: found[name] for name in self._components(found)}
        return xr.Dataset({n: self._labelled(v, _COMPONENT_DIMS.get(n, ("date",))[:-1]) for n, v in kept.items()})

    def contribution_shares(self) -> xr.DataArray:
        """Share of each channel in the media's total contribution over the training rows, (chain, draw, channel)."""
        media = self.contribution_totals()["media"]
        return (media / media.sum("channel")).assign_attrs(long_name="share of media contribution", units="1")

    def roas(self, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """Return on spend: contribution in the window over the spend in it, (chain, draw, channel).

        Args:
            start: first date of the window; the first training row by default.
            end: last date of the window; the last training row by default.
        """
        rows = self._rows(start, end)
        with precision_scope(self.precision):
            totals = over_draws(parts.channel_totals, self.model(), self.flat_draws(), rows)
        return self._per_spend(totals, rows, "return on spend")

    def incremental_roas(self, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """What the window's spend brought over having spent nothing, its later effect included, per unit of spend."""
        return self._changed_roas(start, end, 1.0, 0.0, "incremental return on spend")

    def marginal_roas(self, *, start: str | None = None, end: str | None = None) -> xr.DataArray:
        """What one per cent more spend in the window would have brought, per unit of that spend."""
        return self._changed_roas(start, end, 1.01, 1.0, "marginal return on spend")

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
        rows, grid = self._rows(start, end), np.asarray(multipliers, float)
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

        Returns:
            `effect` (chain, draw, channel, point) in units of the target (of its logarithm with a log link), `spend`
            (channel, point) in currency per period, and `observed` (channel): the largest spend of one period.
        """
        observed = self.panel.spend.max(axis=1)
        grid = np.linspace(0.0, reach, points) * observed[:, None]
        with precision_scope(self.precision):
            values = over_draws(response.saturation_curve, self.model(), self.flat_draws(), grid)
        coords = {"channel": list(self.panel.channels)}
        return xr.Dataset(
            {
                "effect": self._labelled(values, ("channel", "point")),
                "spend": xr.DataArray(grid, dims=("channel", "point"), coords=coords),
                "observed": xr.DataArray(observed, dims=("channel",), coords=coords),
            }
        )

    def adstock_curves(self) -> xr.DataArray:
        """Weight of spend by its age in periods, (chain, draw, channel, lag)."""
        with precision_scope(self.precision):
            values = over_draws(response.adstock_curve, self.model(), self.flat_draws())
        return self._labelled(values, ("channel", "lag")).assign_coords(lag=np.arange(self.spec.adstock.l_max))

    def summary(self, *, prob: float = 0.9) -> Any:
        """Table of the parameters: mean, sd, interval, R-hat, effective sample sizes, Monte Carlo error (pandas)."""
        return tables.parameter_table(self, prob)

    def waterfall(self, *, prob: float = 0.9) -> Any:
        """Table of the components' total contributions and shares over the training rows (pandas)."""
        return tables.waterfall_table(self.contribution_totals(), prob)

    def prior_to_posterior(self, *, key: Key = 0, num_samples: int = 2000) -> Any:
        """Table of prior and posterior mean and sd of every parameter, and the contraction `1 - var / prior var`."""
        return tables.prior_to_posterior_table(self, as_key(key), num_samples)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fit to one Zarr folder (`.zarr`) or NetCDF file (`.nc`).

        Raises:
            StoreError: another suffix, or the path exists and `overwrite` is not set.
        """
        store.save(self, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a fit that `save` wrote; it predicts bit for bit the same.

        Raises:
            StoreError: nothing is there, or it is no fit.
        """
        return cls(**store.load(Path(path)))

    def _components(self, found: dict[str, np.ndarray]) -> list[str]:
        spec = self.spec
        absent = {
            "controls": not self.panel.control_names,
            "seasonality": not (spec.yearly_seasonality or spec.monthly_seasonality or spec.weekly_seasonality),
            "trend": spec.trend is None,
            "events": not spec.events,
        }
        order = ("intercept", "media", "controls", "seasonality", "trend", "events", "interaction")
        return [name for name in order if name in found and not absent.get(name, False)]

    def _labelled(self, values: np.ndarray, dims: tuple[str, ...], rows: Panel | None = None) -> xr.DataArray:
        coords = coordinates(self.spec, self.panel) | {"date": (rows or self.panel).dates.astype("datetime64[ns]")}
        return labelled(values, dims, coords, self.num_chains)

    def _rows(self, start: str | None, end: str | None) -> np.ndarray:
        dates = self.panel.dates
        first = dates[0] if start is None else np.datetime64(start, "D")
        last = dates[-1] if end is None else np.datetime64(end, "D")
        rows = ((dates >= first) & (dates <= last)).astype(float)
        if not rows.any():
            raise PanelError(f"No training row lies between {first} and {last}; there are {dates[0]} to {dates[-1]}.")
        return rows

    def _changed_roas(self, start: str | None, end: str | None, high: float, low: float, name: str) -> xr.DataArray:
        rows = self._rows(start, end)
        with precision_scope(self.precision):
            factors = (np.asarray(high), np.asarray(low))
            change = over_draws(response.outcome_change, self.model(), self.flat_draws(), rows, *factors)
        return self._per_spend(change / (high - low), rows, name)

    def _per_spend(self, totals: np.ndarray, rows: np.ndarray, name: str) -> xr.DataArray:
        spend = self.panel.spend @ rows
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(spend > 0, totals / spend, np.nan)
        return self._labelled(ratio, ("channel",)).rename(name).assign_attrs(long_name=name)


def _state(diagnostics: Diagnostics | ApproximationDiagnostics) -> str:
    if isinstance(diagnostics, ApproximationDiagnostics):
        doubt = "" if diagnostics.converged else " NOT to be believed"
        return f"approximation{doubt}, k-hat {diagnostics.pareto_k:.2f}"
    return "converged" if diagnostics.converged else "NOT converged"
