"""Simulated years of weekly monitoring whose truth is known: how often drift is seen where there is some, and where not.

Every year is a national market of its own: parameters drawn from the prior, two years of training, then 52 weeks. These
come in three worlds with the same noise: nothing changes; the level shifts by one deviation of the residual in the first
week; one channel, any of them, loses 70 % of its effect in that week. One fit per year is held against all three.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import numpyro.distributions as dist
import xarray as xr
from scipy.special import ndtri

import mmm_jax as mj
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.predictive_density import row_predictors, row_probabilities
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model
from mmm_jax.monitoring import drift
from mmm_jax.monitoring.evidence import level_evidence, mixed, variance_evidence

TRAINING, NEW = 104, 52
SHIFT, LOST = 1.0, 0.7
AT_A_TIME = 100
"""Fits that are held in memory at once."""

SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=4),
    yearly_seasonality=1,
    likelihood=mj.Normal(),
    priors={
        "intercept": dist.Normal(0.5, 0.1),
        "saturation_beta": dist.HalfNormal(0.2),
        "gamma_fourier": dist.Normal(0.0, 0.05),
        "y_sigma": dist.LogNormal(np.log(0.04), 0.3),
    },
)
SAMPLER = {"num_chains": 4, "num_warmup": 150, "num_samples": 400, "progress": False}


@dataclass(frozen=True, eq=False)
class Year:
    """One simulated market.

    Attributes:
        train: the rows that are fitted.
        worlds: new rows by what has changed in them: `nothing`, `level`, `channel`.
        channel: which channel loses its effect in the last of these.
    """

    train: mj.Panel
    worlds: dict[str, mj.Panel]
    channel: str


@dataclass(frozen=True)
class Rates:
    """Counts over all years.

    Attributes:
        years: how many there were.
        false: alarms where nothing has changed.
        fixed: the same by probability transforms of the posterior as it was fitted, which never learns from new rows.
        level: alarms after the level's shift.
        channel: alarms after the channel's loss, and `right` of them with that channel as the likeliest cause.
        not_converged: fits that did not converge; they are counted like all others.
    """

    years: int
    false: int
    fixed: int
    level: int
    channel: int
    right: int
    not_converged: int

    def __str__(self) -> str:
        """One line per rate, with its binomial standard error."""
        rows = {
            "false alarms": (self.false, self.years),
            "false alarms, fixed posterior": (self.fixed, self.years),
            "level shift of one sd found": (self.level, self.years),
            "channel down 70 % found": (self.channel, self.years),
            "right channel first, of these": (self.right, self.channel),
        }
        lines = [_line(name, *counts) for name, counts in rows.items()]
        return "\n".join([*lines, f"{self.not_converged} of {self.years} fits did not converge"])


def rates(years: int, *, training: int = TRAINING, seed: int = 0) -> Rates:
    """Counts of so many simulated years, after so many weeks of training."""
    # Half of the time would go into the plain scores, which have no part in alarms and causes.
    with patch.object(drift, "rolling_scores", _no_scores):
        found = [_judged(year, fit, converged) for year, fit, converged in _fitted(years, training, seed)]
    sums = {name: sum(one[name] for one in found) for name in found[0]}
    return Rates(years=years, **{name: int(count) for name, count in sums.items()})


def simulated_years(years: int, training: int, seed: int) -> list[Year]:
    """Markets whose parameters are the prior's."""
    rows = market(training)
    scales = scales_of(rows)
    with precision_scope("float64"):
        model = build_model(SPEC, rows, scales)
        draws = jax.jit(jax.vmap(model.sample_prior))(jax.random.split(jax.random.key(seed), years))
        parts = over_draws(row_predictors, model, draws)
        return [
            _year(rows, scales.target, {name: values[number] for name, values in parts.items()}, (seed, number))
            for number in range(years)
        ]


def market(training: int) -> mj.Panel:
    """Media and dates of all years; the target gives their scale."""
    panel = mj.synthetic.make_market(weeks=training + NEW).panel
    return replace(panel, controls=np.zeros((0, training + NEW)), control_names=())


def scales_of(rows: mj.Panel) -> mj.Scales:
    """The same in all years: the prior is stated in them."""
    return mj.Scales.from_panel(rows.take(slice(None, -NEW)))


def fixed_alarm(fit: mj.Fit, rows: mj.Panel, alpha: float = 0.05) -> bool:
    """Whether the same evidence would alarm on transforms of a posterior that never learns from new rows."""
    with precision_scope("float64"):
        model, draws = fit.model(rows), fit.flat_draws()
        mu = over_draws(row_predictors, model, draws)["mu"]
        below = over_draws(row_probabilities, model, draws, each=mu)["below"].mean(axis=0)
    z = ndtri(np.clip(below, 1e-12, 1 - 1e-12))
    evidence = mixed({"level": (2 / 3, level_evidence(z, 1.0)), "variance": (1 / 3, variance_evidence(z))})
    return bool((evidence >= -np.log(alpha)).any())


def _year(rows: mj.Panel, scale: float, parts: dict[str, np.ndarray], seed: tuple[int, int]) -> Year:
    rng = np.random.default_rng(seed)
    mu, noise, training = parts["mu"], parts["noise"], len(rows) - NEW
    scatter, later = noise * rng.standard_normal(len(mu)), np.arange(len(mu)) >= training
    place = int(rng.integers(len(rows.channels)))
    changes = {"nothing": 0.0, "level": SHIFT * noise, "channel": -LOST * parts["media"][place]}
    whole = {name: replace(rows, target=scale * (mu + scatter + later * change)) for name, change in changes.items()}
    worlds = {name: panel.take(slice(training, None)) for name, panel in whole.items()}
    return Year(whole["nothing"].take(slice(None, training)), worlds, rows.channels[place])


def _fitted(years: int, training: int, seed: int) -> Iterator[tuple[Year, mj.Fit, bool]]:
    """Every year with its fit, and whether that converged."""
    every, scales = simulated_years(years, training, seed), scales_of(market(training))
    for first in range(0, years, AT_A_TIME):
        some = {f"year {first + place}": year for place, year in enumerate(every[first : first + AT_A_TIME])}
        panels = {name: year.train for name, year in some.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mj.ConvergenceWarning)
            # Targets were simulated in these scales, and priors are stated in them.
            batch = mj.fit_batch(panels, SPEC, key=seed, scales=dict.fromkeys(some, scales), **SAMPLER)
        for name, year in some.items():
            yield year, batch[name], batch.status[name] == "success"


def _no_scores(fit: mj.Fit, rows: mj.Panel, **_: Any) -> tuple[xr.Dataset, dict[str, float]]:
    return xr.Dataset(coords={"date": rows.dates}), {}


def _judged(year: Year, fit: mj.Fit, converged: bool) -> dict[str, bool]:
    found = {name: mj.detect_drift(fit, rows) for name, rows in year.worlds.items()}
    return {
        "false": found["nothing"].alarm,
        "fixed": fixed_alarm(fit, year.worlds["nothing"]),
        "level": found["level"].alarm,
        "channel": found["channel"].alarm,
        "right": found["channel"].alarm and found["channel"].causes.index[0] == year.channel,
        "not_converged": not converged,
    }


def _line(name: str, count: int, of: int) -> str:
    rate = count / of if of else float("nan")
    return (
        f"{name:<32}{count:>5} of {of:>4}  {100 * rate:5.1f} % +- {100 * np.sqrt(rate * (1 - rate) / of) if of else 0:.1f}"
    )
