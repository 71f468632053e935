"""The verb `detect_drift`: do new rows still look like the model's own, and if not, what has changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy.linalg import solve_triangular

from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.predictive_density import row_predictors, row_probabilities, row_residuals
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.keys import Key, as_generator, as_key, named_key
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.monitoring.evidence import directed_evidence, level_evidence, mixed, variance_evidence
from mmm_jax.monitoring.new_rows import markets_of, new_rows
from mmm_jax.monitoring.prequential import conditioned, effective_draws, transformed
from mmm_jax.monitoring.restated import Restated
from mmm_jax.monitoring.rolling import rolling_scores

LEVEL, RAMP = "level", "ramp"
"""Names of causes that are no channels."""

_SHIFT = 1.0
"""Standard deviation of the shift that is looked for, in deviations of one row's noise."""

_RAMP_ROWS = 13
"""Rows after which a ramp of size 1 has grown to one deviation of the noise: a quarter of weeks."""

_FADE = 0.5
"""Standard deviation of the share of its effect that a channel is thought to lose or to gain."""

_LARGEST = 700.0
"""Logarithm of the largest evidence that is told as a number."""

_WEIGHTS = {"level": 0.5, "variance": 0.25, "channels": 0.25}
"""Of the evidence, what is staked on each kind of change; any weights keep the promise on false alarms."""


@dataclass(frozen=True, eq=False, repr=False)
class Drift:
    """What new rows say of a model; it never changes.

    Attributes:
        rows: by date `evidence` (the e-value so far, of any change) and logarithms of it: `log_evidence`, its parts
            `log_level` and `log_variance`, and by `cause` `log_targeted`; `ess` (draws that the row was judged by), `crps`,
            `coverage` and `crps_ratio` (of the last rows, over training's); by date (and geo) `pit` and `z`.
        alpha: chance of ever alarming while nothing has changed is at most this.
        least_ess: floor of `ess`.
        training: `crps` and `coverage` over the training rows.
        prob: probability of the intervals whose coverage is told.
        restated: training rows that the new panel has other values for.
    """

    rows: xr.Dataset
    alpha: float
    least_ess: float
    training: Mapping[str, float]
    prob: float
    restated: tuple[Restated, ...]

    @property
    def threshold(self) -> float:
        """Evidence at which the alarm is raised."""
        return 1.0 / self.alpha

    @property
    def alarmed_on(self) -> np.datetime64 | None:
        """First date on which the evidence reached the threshold, if it did."""
        over = np.flatnonzero(self.rows["evidence"].to_numpy() >= self.threshold)
        dates: Any = self.rows["date"].to_numpy()
        return dates[over[0]] if len(over) else None

    @property
    def alarm(self) -> bool:
        """Whether something has changed."""
        return self.alarmed_on is not None

    @property
    def needs_refit(self) -> bool:
        """Whether the last rows have been judged by too few draws to be believed: the posterior has moved too far."""
        return bool(self.rows["ess"].to_numpy()[-1] < self.least_ess)

    @property
    def causes(self) -> pd.Series:
        """Share of the evidence of each cause, the likeliest first, after all rows; without an alarm, it means little."""
        evidence = self.rows["log_targeted"].isel(date=-1)
        share = np.exp(evidence - evidence.max())
        found = (share / share.sum()).to_pandas().sort_values(ascending=False, kind="stable")
        return found.rename("share of evidence")

    @property
    def of_scatter(self) -> bool:
        """Whether it is the scatter that has changed: its evidence exceeds that of every cause, after all rows."""
        last = self.rows.isel(date=-1)
        return bool(last["log_variance"] > max(float(last["log_level"]), float(last["log_targeted"].max())))

    def __repr__(self) -> str:
        """One line: whether there is an alarm, since when, and the likeliest cause."""
        count, last = self.rows.sizes["date"], float(self.rows["evidence"][-1])
        if not self.alarm:
            return f"Drift(none found in {count} rows; evidence {last:.3g} of {self.threshold:.3g})"
        cause, share = self.causes.index[0], self.causes.iloc[0]
        found = f"ALARM on {str(self.alarmed_on)[:10]}, likeliest cause {cause!r} with {share:.0%} of the evidence"
        return f"Drift({found}; {count} rows)"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "alpha": self.alpha,
            "least_ess": self.least_ess,
            "prob": self.prob,
            "training": dict(self.training),
            "alarm": self.alarm,
            "alarmed_on": None if self.alarmed_on is None else str(self.alarmed_on)[:10],
            "causes": self.causes.to_dict(),
            "of_scatter": self.of_scatter,
            "needs_refit": self.needs_refit,
            "restated": [one.to_dict() for one in self.restated],
            "rows": _plain(self.rows),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; what follows from the rows is not read."""
        kept = {name: values[name] for name in ("alpha", "least_ess", "training", "prob")}
        restated = tuple(Restated.from_dict(one) for one in values["restated"])
        return cls(rows=_from_plain(values["rows"]), restated=restated, **kept)


def detect_drift(
    fit: Fit | GeoFit,
    panel: AnyPanel,
    *,
    alpha: float = 0.05,
    least_ess: float = 100.0,
    window: int = 13,
    prob: float = 0.9,
    key: Key = 0,
) -> Drift:
    """Whether rows after training still look like the model's own, and what has changed if they do not.

    May be asked after every new row, for as long as one likes: the chance of *ever* alarming while the model holds is at
    most `alpha`. Rows that were held out or are missing tell nothing, and are passed over.

    Args:
        fit: the model.
        panel: rows right after training. It may begin with training rows, in which cells that differ are named as restated;
            the model is judged as it was fitted.
        alpha: that chance.
        least_ess: floor of the effective number of draws that a row is judged by; below, the fit needs to be made anew.
        window: rows of the rolling scores.
        prob: probability of the intervals whose coverage is told.
        key: random key or seed of the predictive draws, and of the place of counts within their probability.

    Raises:
        MonitoringError: nothing new is in the panel, an option is out of range, or it is not of the fit's kind.
        PredictionError: the rows do not continue the training rows.

    Reference:
        Dawid (1984), the prequential approach; Ramdas et al. (2023), Game-theoretic statistics and safe anytime-valid
        inference.
    """
    _check_options(alpha, least_ess, window, prob)
    new, restated = new_rows(fit, panel)
    judged = _judged(markets_of(fit, new), as_generator(named_key(as_key(key), "counts")))
    log_evidence = _log_evidence(judged, fit.panel.channels)
    scores, training = rolling_scores(fit, new, window=window, prob=prob, key=key)
    rows = _as_rows(judged, log_evidence, new).merge(scores)
    return Drift(rows, alpha, least_ess, training, prob, restated)


@dataclass(frozen=True, eq=False)
class _Judged:
    """Rows of all markets in one sequence, by date and then by market.

    Attributes:
        pit: probability of less than was seen, to a model that had seen the rows before, shape (row,).
        z: the same in deviations of a standard normal.
        ess: draws that reweighing would have left.
        date: number of each row's date.
        whitening: lower triangular factor of the outcomes' predictive covariance at training, in units of the linear
            predictor.
        noise: deviation of one row's noise, likewise.
        media: expected effect of every channel, likewise, shape (channel, row).
    """

    pit: np.ndarray
    z: np.ndarray
    ess: np.ndarray
    date: np.ndarray
    whitening: np.ndarray
    noise: np.ndarray
    media: np.ndarray


def _judged(markets: list[tuple[str | None, Fit, Panel]], random: np.random.Generator) -> _Judged:
    # Far out in a tail, float32 no longer tells how far.
    with precision_scope("float64"):
        models = [_Market(fit, rows) for _, fit, rows in markets]
        # Time first, then markets: what one geo has shown on a date is known to the next.
        joined = {name: _interleaved([one.predictors[name] for one in models]) for name in models[0].predictors}
        observed = _interleaved([rows.counted for *_, rows in markets])
        mu, noise = joined["mu"], np.sqrt(np.mean(joined["noise"] ** 2, axis=0))
        middle, covariance = mu.mean(axis=0), np.atleast_2d(np.cov(mu, rowvar=False))
        count = len(models)
        known = conditioned(
            middle, covariance, noise, observed, lambda row, mean: models[row % count].residual(row // count, mean)
        )
        # The draws, moved to where the rows before have moved them.
        moved = known.mean + known.deviation / np.sqrt(np.diag(covariance)) * (mu - middle)
        chances = [one.probabilities(moved[:, place::count]) for place, one in enumerate(models)]
    below, mass = (_interleaved([one[name] for one in chances]) for name in ("below", "mass"))
    pit, z = transformed((below + random.uniform(size=mass.shape[1]) * mass).mean(axis=0), observed)
    whitening = np.linalg.cholesky(covariance + np.diag(noise**2))
    date = np.repeat(np.arange(len(markets[0][2])), count)
    ess = effective_draws(joined["log_density"], observed)
    return _Judged(pit, z, ess, date, whitening, noise, joined["media"].mean(axis=0))


class _Market:
    """One market's model over its new rows, and its draws."""

    def __init__(self, fit: Fit, rows: Panel) -> None:
        self._model, self._draws = fit.model(rows), fit.flat_draws()
        self._middle = {name: jnp.asarray(values.mean(axis=0), float) for name, values in self._draws.items()}
        self.predictors = over_draws(row_predictors, self._model, self._draws)

    def residual(self, row: int, mean: float) -> float:
        """How far a row's outcome alone would move its linear predictor from here, by the mean of all other parameters."""
        return float(_residuals(self._model, self._middle, jnp.full(self._model.windows.shape[-1], mean))[row])

    def probabilities(self, mu: np.ndarray) -> dict[str, np.ndarray]:
        """Of less than what was seen, and of exactly that, given linear predictors of shape (draw, time)."""
        return over_draws(row_probabilities, self._model, self._draws, each=jnp.asarray(mu))


_residuals = eqx.filter_jit(row_residuals)


def _interleaved(parts: list[np.ndarray]) -> np.ndarray:
    return np.stack(parts, axis=-1).reshape(*parts[0].shape[:-1], -1)


def _log_evidence(judged: _Judged, channels: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Of any change, of level and variance, and of every cause."""
    z, by_cause = judged.z, {}
    kinds = {"level": level_evidence(z, _SHIFT), "variance": variance_evidence(z)}
    parts = {name: (_WEIGHTS[name], values) for name, values in kinds.items()}
    share = _WEIGHTS["channels"] / len(channels)
    after = np.maximum(judged.date - judged.date[:, None], 0.0)
    directions = {LEVEL: np.broadcast_to(judged.noise, after.shape), RAMP: judged.noise * after / _RAMP_ROWS}
    directions |= {name: np.broadcast_to(row, after.shape) for name, row in zip(channels, judged.media, strict=True)}
    for name, direction in directions.items():
        size = _SHIFT if name in (LEVEL, RAMP) else _FADE
        whitened = _whitened(judged, direction)
        by_cause[name] = directed_evidence(z, whitened, size, late=True)
        if name in channels:
            parts[f"channel {name}"] = share, directed_evidence(z, whitened, size)
    return {"evidence": mixed(parts), **kinds, **{f"cause {name}": values for name, values in by_cause.items()}}


def _whitened(judged: _Judged, direction: np.ndarray) -> np.ndarray:
    """What a change along the direction from every starting row on adds to `z`, shape (start, row)."""
    started = np.where(judged.date >= judged.date[:, None], direction, 0.0)
    return solve_triangular(judged.whitening, started.T, lower=True).T


def _as_rows(judged: _Judged, log_evidence: dict[str, np.ndarray], panel: AnyPanel) -> xr.Dataset:
    """The evidence by date, and every row's probability transform."""
    last = np.flatnonzero(np.diff(judged.date, append=judged.date[-1] + 1))
    causes = [name.removeprefix("cause ") for name in log_evidence if name.startswith("cause ")]
    targeted = np.stack([log_evidence[f"cause {name}"][last] for name in causes])
    geos = panel.geos if isinstance(panel, GeoPanel) else None
    dims = ("date",) if geos is None else ("date", "geo")
    shape = (len(last), -1) if geos is not None else (len(last),)
    coords = {"date": panel.dates, "cause": causes} | ({} if geos is None else {"geo": list(geos)})
    return xr.Dataset(
        {
            **{f"log_{name}": ("date", log_evidence[name][last]) for name in ("evidence", "level", "variance")},
            "evidence": ("date", np.exp(np.minimum(log_evidence["evidence"][last], _LARGEST))),
            "log_targeted": (("cause", "date"), targeted),
            "ess": ("date", judged.ess[last]),
            "pit": (dims, judged.pit.reshape(shape)),
            "z": (dims, judged.z.reshape(shape)),
        },
        coords,
    )


def _check_options(alpha: float, least_ess: float, window: int, prob: float) -> None:
    for name, value in {"alpha": alpha, "prob": prob}.items():
        if not 0.0 < value < 1.0:
            raise MonitoringError(f"`{name}` must be a probability between 0 and 1, got {value!r}.")
    if not least_ess > 0:
        raise MonitoringError(f"`least_ess` must be a positive number of draws, got {least_ess!r}.")
    if not isinstance(window, int) or window < 1:
        raise MonitoringError(f"`window` must be a whole number of rows, at least 1; got {window!r}.")


def _plain(rows: xr.Dataset) -> dict[str, Any]:
    """As JSON has it: dates as text, what is not known as null."""
    coords = {str(name): [str(label) for label in rows[name].to_numpy()] for name in rows.coords if name != "date"}
    coords["date"] = [str(date)[:10] for date in rows["date"].to_numpy()]
    data = {
        name: {"dims": list(values.dims), "values": _without_nan(values.to_numpy())}
        for name, values in rows.data_vars.items()
    }
    return {"coords": coords, "data": data}


def _without_nan(values: np.ndarray) -> list[Any]:
    kept = values.astype(object)
    kept[~np.isfinite(values)] = None
    return kept.tolist()


def _from_plain(values: Mapping[str, Any]) -> xr.Dataset:
    coords = {name: labels for name, labels in values["coords"].items() if name != "date"}
    coords["date"] = np.array(values["coords"]["date"], "datetime64[D]")
    return xr.Dataset({name: (one["dims"], np.array(one["values"], float)) for name, one in values["data"].items()}, coords)
