"""The verb `check_staleness`: has the world moved away from what the model learned from, and what is to be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.fitting.keys import Key
from mmm_jax.monitoring.ledger import Ledger
from mmm_jax.monitoring.staleness_errors import Errors, find_errors
from mmm_jax.monitoring.staleness_mix import Mix, compare_mix
from mmm_jax.monitoring.staleness_plan import PlannedSpend, read_plan
from mmm_jax.monitoring.staleness_range import PlannedRange, compare_range, markets_rows
from mmm_jax.monitoring.staleness_reasons import Reason
from mmm_jax.monitoring.staleness_rows import as_fitted, recent_rows
from mmm_jax.monitoring.versions import markets_of
from mmm_jax.planning.prices import Price


@dataclass(frozen=True, repr=False)
class Staleness:
    """Three signs that a model is out of date; it never changes. `print` it for the verdict with its reasons.

    Attributes:
        mix: shares of spend, recent against training.
        errors: one-directional errors by channel; `None` without a ledger.
        range: where the plan lies; `None` without a plan.
    """

    mix: Mix
    errors: Errors | None = None
    range: PlannedRange | None = None

    @property
    def stale(self) -> bool:
        """The verdict: whether any sign is beyond its threshold."""
        return any(sign.stale for sign in self._signs)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What is beyond its threshold, and what to do; empty if nothing is."""
        return tuple(reason for sign in self._signs for reason in sign.reasons())

    @property
    def actions(self) -> dict[str, tuple[str, ...]]:
        """Channels by what is to be done (`refit`, `extend training`, `run an experiment`), for all of them a `*`."""
        found: dict[str, dict[str, None]] = {}
        for reason in self.reasons:
            found.setdefault(reason.action, {})[reason.channel or "*"] = None
        return {action: tuple(channels) for action, channels in found.items()}

    @property
    def _signs(self) -> list[Mix | Errors | PlannedRange]:
        return [sign for sign in (self.mix, self.errors, self.range) if sign is not None]

    def __repr__(self) -> str:
        """One line: the verdict, and which signs say so."""
        names = ("mix", "errors", "range")
        looked = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        found = [name for name, sign in looked.items() if sign.stale]
        return f"Staleness({'STALE: ' + ', '.join(found) if found else 'fresh'}; looked at {', '.join(looked)})"

    def __str__(self) -> str:
        """The verdict, every sign in a line, and every reason with what to do."""
        lines = ["The model is STALE." if self.stale else "The model is not stale."]
        lines += [line for sign in self._signs for line in sign.lines()]
        for place, reason in enumerate(self.reasons, start=1):
            lines += [f"{place}. {reason.found}.", f"   {reason.advice}"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        parts = {name: getattr(self, name) for name in ("mix", "errors", "range")}
        return {
            "stale": self.stale,
            "reasons": [reason.to_dict() for reason in self.reasons],
            **{name: None if part is None else part.to_dict() for name, part in parts.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; what follows from the numbers is not read."""
        errors, planned = values["errors"], values["range"]
        return cls(
            Mix.from_dict(values["mix"]),
            None if errors is None else Errors.from_dict(errors),
            None if planned is None else PlannedRange.from_dict(planned),
        )


def check_staleness(
    fit: AnyFit,
    recent: AnyPanel,
    *,
    plan: PlannedSpend | None = None,
    ledger: Ledger | None = None,
    window: int | None = None,
    prices: Mapping[str, Price] | None = None,
    own_outcomes: bool = False,
    mix_threshold: float = 0.15,
    alpha: float = 0.05,
    tau: float = 0.5,
    range_threshold: float = 1.0,
    quantile: float = 0.99,
    sd_ratio_threshold: float = 0.9,
    num_prior_draws: int = 2000,
    key: Key = 0,
) -> Staleness:
    """Whether the model is out of date, by three signs, and what to do about each.

    1. Mix: `1/2 sum_c |share_now - share_train|` of spend is beyond `mix_threshold`. The recent rows are compared with
       training rows of the same weeks of the year, where training has all of these, else with all of training; the result
       says which. Of geos, the shares are those of all of them together.
    2. Errors: the ledger's outcomes say that the model errs on a channel in one direction, with false discovery control.
    3. Range: the plan goes beyond what training held, of every channel (and geo): in a period, adstocked, or in all.

    A sign is beyond its threshold where it exceeds it by more than rounding.

    Args:
        fit: the model.
        recent: rows after training, or all rows with them. Channels that the fit does not know are new, those that it lacks,
            or has no spend of, are dropped. The target is not needed.
        plan: a plan of `optimize_budget`; spend by date and channel (of geos: and geo) as an array or a table; or a panel of
            the planned rows. Reach is taken to be bought at the usual frequency, unless a panel says otherwise. Spend of
            periods between the known rows and the plan counts as 0.
        ledger: decisions and their outcomes.
        window: how many of the last rows are recent; all that come after training by default. Shares of a few rows move by
            themselves: a quarter or more tells of a budget.
        prices: of channels whose media the fit has in units; a plan of `optimize_budget` knows its own, and else the cost of
            the last 52 weeks of training holds.
        own_outcomes: look only at outcomes that this very fit predicted: once it was made anew with what the earlier ones
            taught, these say nothing of it any more.
        mix_threshold: largest part of the budget that may have moved, between 0 and 1.
        alpha: false discovery rate over the channels of the ledger.
        tau: standard deviation of the logarithm of the factor by which a channel is wrong, as in `Ledger.bias`.
        range_threshold: largest amount planned over the largest one in training.
        quantile: of adstocked media in training, that those of the plan are held against.
        sd_ratio_threshold: posterior over prior standard deviation of what a channel brings as planned, from which on
            the data are said to say nothing there, and an experiment is advised.
        num_prior_draws: how many draws tell the prior's.
        key: random key or seed of these.

    Raises:
        MonitoringError: an option out of range, no recent row, no spend, or a plan that does not fit; says what to do.
        PredictionError: other geos, or media of another kind than the fit's.
        PlanError: what a unit of media costs is not known.
    """
    _check_options(
        window=window,
        num_prior_draws=num_prior_draws,
        at_most_one={"mix_threshold": mix_threshold, "quantile": quantile},
        positive={"tau": tau, "range_threshold": range_threshold, "sd_ratio_threshold": sd_ratio_threshold},
        alpha=alpha,
    )
    rows = recent_rows(fit, recent, window)
    mix = compare_mix(fit.panel, rows, mix_threshold)
    errors = None
    if ledger is not None:
        errors = find_errors(fit, ledger, alpha=alpha, tau=tau, own_outcomes=own_outcomes)
    if plan is None:
        return Staleness(mix, errors)
    later = markets_rows(as_fitted(recent_rows(fit, recent, None), fit.panel), list(markets_of(fit)))
    limits = {"threshold": range_threshold, "quantile": quantile, "sd_ratio_threshold": sd_ratio_threshold}
    found = compare_range(fit, read_plan(plan, fit, prices), later, **limits, num_prior_draws=num_prior_draws, key=key)
    return Staleness(mix, errors, found)


def _check_options(
    *,
    window: int | None,
    num_prior_draws: int,
    at_most_one: Mapping[str, float],
    positive: Mapping[str, float],
    alpha: float,
) -> None:
    if window is not None and (not isinstance(window, int) or window < 1):
        raise MonitoringError(f"`window` must be a whole number of rows, at least 1; got {window!r}.")
    if not isinstance(num_prior_draws, int) or num_prior_draws < 2:
        raise MonitoringError(f"`num_prior_draws` must be a whole number, at least 2; got {num_prior_draws!r}.")
    if not 0.0 < alpha < 1.0:
        raise MonitoringError(f"`alpha` must be a probability between 0 and 1, got {alpha!r}.")
    for name, value in at_most_one.items():
        if not 0.0 <= value <= 1.0:
            raise MonitoringError(f"`{name}` must lie between 0 and 1, got {value!r}.")
    for name, value in positive.items():
        if not (np.isfinite(value) and value > 0):
            raise MonitoringError(f"`{name}` must be positive, got {value!r}.")
