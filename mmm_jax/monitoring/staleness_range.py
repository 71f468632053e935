"""The third sign of staleness: a plan goes where the model has seen nothing, and what it says there is its prior."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import jax
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.analysis.draws import over_draws, prior_draws
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.media import unit_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit, MarketFit
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.monitoring.staleness_plan import Planned, media_before
from mmm_jax.monitoring.staleness_reasons import Action, Reason, exceeds, listed, number
from mmm_jax.monitoring.versions import markets_of

MEASURES = ("period", "adstock", "total")
"""What of a plan is held against training."""


@dataclass(frozen=True)
class ChannelRange:
    """A channel's plan beside what training held, in units of the model's media; of one geo if there are several.

    Attributes:
        channel: its name.
        geo: of which geo; `None` for one market.
        unit: `currency`, or the name of the units.
        planned: by measure: the largest amount of a `period`; of `adstock`, what the weights' posterior mean carries over,
            with what was known before the plan; and the `total` over the horizon.
        observed: likewise of training: the largest one of a period, the quantile of what is carried over, the largest total
            of as many rows in a row (of all rows, stretched to the horizon, where there are fewer).
        with_recent: the same of training and the recent rows.
        beyond: measures of which the plan is beyond the threshold, and `still_beyond` those of which it would be with the
            recent rows.
        sd_ratio: posterior over prior standard deviation of what the plan brings on this channel, on the scale on which
            channels add up; near 1, the data say nothing there. `None` where the prior has no spread or nothing is planned.
    """

    channel: str
    geo: str | None
    unit: str
    planned: Mapping[str, float]
    observed: Mapping[str, float]
    with_recent: Mapping[str, float]
    beyond: tuple[str, ...]
    still_beyond: tuple[str, ...]
    sd_ratio: float | None


@dataclass(frozen=True)
class PlannedRange:
    """Where a plan lies beside what training held.

    Attributes:
        threshold: planned over observed, beyond which a measure counts.
        quantile: of what is carried over in training.
        sd_ratio_threshold: from which on the data are said to say nothing.
        periods: length of the plan.
        first: its first date.
        last: its last date.
        channels: one per channel and geo.
        unknown: planned spend by channel of those that the fit does not know.
    """

    threshold: float
    quantile: float
    sd_ratio_threshold: float
    periods: int
    first: str
    last: str
    channels: tuple[ChannelRange, ...]
    unknown: Mapping[str, float]

    @property
    def stale(self) -> bool:
        """Whether the plan is beyond the threshold somewhere."""
        return bool(self.unknown) or any(one.beyond for one in self.channels)

    def reasons(self) -> list[Reason]:
        """One per channel that the plan goes too far on."""
        names = dict.fromkeys(one.channel for one in self.channels if one.beyond)
        found = [self._reason(name, [one for one in self.channels if one.channel == name and one.beyond]) for name in names]
        return [*found, *(self._unknown(name, amount) for name, amount in self.unknown.items())]

    def _reason(self, channel: str, rows: list[ChannelRange]) -> Reason:
        worst = max(rows, key=lambda one: max(_times(one, measure) for measure in one.beyond))
        where = "" if worst.geo is None else f" in {worst.geo}{_others(rows)}"
        told = "; ".join(self._words(worst, measure) for measure in worst.beyond)
        ratios = [one.sd_ratio for one in rows if one.sd_ratio is not None]
        ratio = max(ratios, default=None)
        action, advice = self._advice(channel, rows, ratio)
        sure = "" if ratio is None else f"; posterior over prior sd of what it brings there: {ratio:.2f}"
        return Reason("range", channel, f"{channel}{where}: {told}{sure}", action, advice)

    def _advice(self, channel: str, rows: list[ChannelRange], ratio: float | None) -> tuple[Action, str]:
        if ratio is not None and ratio >= self.sd_ratio_threshold:
            words = f"Run an experiment on {channel} at what is planned: the data say nothing there, the prior alone does."
            return "run an experiment", words
        if not any(one.still_beyond for one in rows):
            return "refit", f"Refit with the recent rows: they hold as much of {channel} as is planned."
        words = f"Extend training by rows with as much of {channel}, such as older ones, or plan less of it at first."
        return "extend training", words

    def _unknown(self, channel: str, amount: float) -> Reason:
        found = f"{channel}: {number(amount)} planned on a channel that the model knows nothing of"
        advice = f"Run an experiment on {channel}, and add it to the panel."
        return Reason("range", channel, found, "run an experiment", advice)

    def _words(self, one: ChannelRange, measure: str) -> str:
        known = {
            "period": "the largest of one period in training",
            "adstock": f"the {100 * self.quantile:g}th percentile of training",
            "total": f"the largest total of {self.periods} periods in training",
        }[measure]
        what = {"period": "up to {} in a period", "adstock": "up to {} carried over", "total": "{} in all"}[measure]
        amount = f"{number(one.planned[measure])} {one.unit}" if one.unit != "currency" else number(one.planned[measure])
        times = _times(one, measure)
        compared = f"{times:.2f} times {known}" if np.isfinite(times) else "where training has none"
        return f"{what.format(amount)}, {compared}"

    def lines(self) -> list[str]:
        """In words."""
        far = dict.fromkeys([*(one.channel for one in self.channels if one.beyond), *self.unknown])
        found = f"beyond what training held on {listed(list(far))}" if far else "within what training held"
        return [f"Range, plan of {self.first} to {self.last}: {found}."]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [{**asdict(one), "beyond": list(one.beyond), "still_beyond": list(one.still_beyond)} for one in self.channels]
        return {**asdict(self), "channels": rows, "stale": self.stale}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        kept = {name: value for name, value in values.items() if name != "stale"}
        rows = tuple(
            ChannelRange(**{**one, **{name: tuple(one[name]) for name in ("beyond", "still_beyond")}})
            for one in kept["channels"]
        )
        return cls(**{**kept, "channels": rows})


def compare_range(
    fit: AnyFit,
    planned: Planned,
    recent: dict[str, Panel],
    *,
    threshold: float,
    quantile: float,
    sd_ratio_threshold: float,
    num_prior_draws: int,
    key: Key,
) -> PlannedRange:
    """The plan beside training, see `PlannedRange`.

    Args:
        fit: the model.
        planned: the plan's rows.
        recent: recent rows of every market, of the fit's channels.
        threshold: see `PlannedRange`.
        quantile: likewise.
        sd_ratio_threshold: likewise.
        num_prior_draws: how many draws tell the prior's spread.
        key: random key or seed of these draws.

    Raises:
        MonitoringError: the fit is one geo of many, whose prior is that of all.
    """
    if isinstance(fit, MarketFit):
        raise MonitoringError("The parameters of one geo have a joint prior with the others: check the fit of all geos.")
    markets, prior = markets_of(fit), markets_of(with_prior_draws(fit, key, num_prior_draws))
    rows = []
    for name, own in markets.items():
        geo = name if isinstance(fit, GeoFit) else None
        held = _amounts(own, planned.rows[name], recent[name], quantile)
        rows += _channel_ranges(own.panel, geo, *held, threshold, _sd_ratios(own, prior[name], planned.rows[name]))
    dates = next(iter(planned.rows.values())).dates
    ends = len(dates), str(dates[0]), str(dates[-1])
    return PlannedRange(threshold, quantile, sd_ratio_threshold, *ends, tuple(rows), planned.unknown)


_Amounts = dict[str, np.ndarray]
"""By measure, shape (channel,)."""


def _amounts(fit: Fit, planned: Panel, recent: Panel, quantile: float) -> tuple[_Amounts, _Amounts, _Amounts]:
    """Of the plan, of training, and of training with the recent rows."""
    weights, trained = fit.adstock_curves().mean(("chain", "draw")).to_numpy(), fit.panel
    before = media_before(planned, [trained, recent], weights.shape[1] - 1)
    later = np.concatenate([trained.exposure, recent.exposure], axis=1)
    there = np.concatenate([trained.present, recent.present])
    observed = observed_amounts(trained.exposure, weights, trained.present, len(planned), quantile)
    return (
        planned_amounts(planned.exposure, before, weights),
        observed,
        observed_amounts(later, weights, there, len(planned), quantile),
    )


def _channel_ranges(
    training: Panel,
    geo: str | None,
    planned: _Amounts,
    observed: _Amounts,
    with_recent: _Amounts,
    threshold: float,
    sd_ratios: list[float | None],
) -> list[ChannelRange]:
    rows = []
    for place, channel in enumerate(training.channels):
        if channel not in training.organic:
            plan, held, more = ({m: float(of[m][place]) for m in MEASURES} for of in (planned, observed, with_recent))
            beyond = _exceeded(plan, held, threshold), _exceeded(plan, more, threshold)
            unit = unit_of(training, channel)
            rows.append(ChannelRange(channel, geo, unit, plan, held, more, *beyond, sd_ratios[place]))
    return rows


def _exceeded(planned: Mapping[str, float], held: Mapping[str, float], threshold: float) -> tuple[str, ...]:
    return tuple(measure for measure in MEASURES if exceeds(planned[measure], threshold * held[measure]))


def planned_amounts(media: np.ndarray, before: np.ndarray, weights: np.ndarray) -> _Amounts:
    """Of planned media, with those before them, both (channel, time); the adstock's weights are (channel, lag)."""
    carried = _carried_over(np.concatenate([before, media], axis=1), weights)[:, before.shape[1] :]
    return {"period": media.max(axis=1), "adstock": carried.max(axis=1), "total": media.sum(axis=1)}


def observed_amounts(media: np.ndarray, weights: np.ndarray, there: np.ndarray, periods: int, quantile: float) -> _Amounts:
    """Of media, (channel, time), that a plan of so many periods is held against; `there` are rows that the market has."""
    sums = np.cumsum(np.pad(media, ((0, 0), (1, 0))), axis=1)
    length = min(periods, media.shape[1])
    rolling = (sums[:, length:] - sums[:, : sums.shape[1] - length]).max(axis=1) * (periods / length)
    carried = np.quantile(_carried_over(media, weights)[:, there], quantile, axis=1)
    return {"period": media.max(axis=1), "adstock": carried, "total": rolling}


def _carried_over(media: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Adstocked media, shape (channel, time), with nothing before the first column."""
    lags = weights.shape[1]
    padded = np.pad(media, ((0, 0), (lags - 1, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, lags, axis=1)
    return np.einsum("ctl,cl->ct", windows[..., ::-1], weights)


def _sd_ratios(fit: Fit, prior: Fit, planned: Panel) -> list[float | None]:
    """Of what the plan brings by itself, without what was spent before it."""
    own, count = fit.flat_draws(), fit.draws["intercept"].size
    # In one go, so that one program is compiled.
    joined = {name: np.concatenate([own[name], values]) for name, values in prior.flat_draws().items()}
    with precision_scope(fit.precision):
        brought = over_draws(planned_effect, fit.model(planned, carry_in=False), joined)
    spreads = zip(brought[:count].std(axis=0), brought[count:].std(axis=0), strict=True)
    return [float(after / before) if before > 0 else None for after, before in spreads]


def planned_effect(model: MMM, params: Params) -> Float[Array, " channel"]:
    """What each channel adds to the linear predictor over the model's rows, for one draw."""
    return model.media_effects(params).sum(axis=1)


def with_prior_draws(fit: AnyFit, key: Key, count: int) -> AnyFit:
    """The fit with draws from its prior, as one chain."""
    with precision_scope(fit.precision):
        drawn = prior_draws(fit.model(), jax.random.split(as_key(key), count))
    return replace(fit, draws={name: np.asarray(drawn[name])[None] for name in fit.draws})


def _times(one: ChannelRange, measure: str) -> float:
    return one.planned[measure] / one.observed[measure] if one.observed[measure] > 0 else float("inf")


def _others(rows: list[ChannelRange]) -> str:
    return "" if len(rows) == 1 else f" and {len(rows) - 1} more geo{'s' if len(rows) > 2 else ''}"


def markets_rows(panel: Panel | GeoPanel, names: list[str]) -> dict[str, Panel]:
    """The panel of every market, by the names that fits have."""
    return {name: panel[name] if isinstance(panel, GeoPanel) else panel for name in names}
