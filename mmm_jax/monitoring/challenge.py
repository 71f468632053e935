"""Two models on the same later weeks: which foresaw them better, and how far their returns agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jax
import numpy as np
import pandas as pd
from scipy.stats import norm

from mmm_jax.analysis.contributions import outcome
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.scores import crps
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.fitting.keys import Key, as_key, named_key
from mmm_jax.fitting.labels import interval
from mmm_jax.fitting.posterior import Fit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.monitoring.facts import plain
from mmm_jax.monitoring.new_rows import aligned, markets_of

_BETTER = {"crps": -1.0, "elpd": 1.0}
"""Sign of a better score."""


@dataclass(frozen=True, eq=False, repr=False)
class Challenge:
    """A challenger beside the champion.

    Attributes:
        rows: per later date `champion_crps`, `challenger_crps` (units of the target, of geos of their sum), `champion_elpd`,
            `challenger_elpd` (log predictive density per unit of the target, of geos jointly); empty where no later
            weeks were given.
        returns: return on spend by channel: `champion` and `challenger`, the means; `champion_lower`, `champion_upper` and
            so on, central intervals; `overlap` of the two, length of what they share over that of what they cover
            together: 1 if they are the same, 0 if they are apart.
        window: first and last date that the returns are over, the training rows that both have; `None` where they have
            none in common, and the returns are over each one's own.
        prob: probability of the intervals.
    """

    rows: pd.DataFrame
    returns: pd.DataFrame
    window: tuple[str, str] | None
    prob: float

    @property
    def scores(self) -> pd.DataFrame:
        """One row per score: mean of the `champion` and the `challenger`, mean `difference` with its `se`, `better`.

        The difference is the challenger's score minus the champion's, week by week; neighbouring weeks resemble each other,
        so that the standard error is rather too small. It is NaN for fewer than two weeks. `better` is the probability that
        the challenger is better on average, by the normal distribution of that difference.
        """
        columns = ["champion", "challenger", "difference", "se", "better"]
        rows = {score: _paired(self.rows, score, sign) for score, sign in _BETTER.items()} if len(self.rows) else {}
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("score")

    def __repr__(self) -> str:
        """One line: who foresaw the later weeks better, and the channel whose returns agree least."""
        least = self.returns["overlap"].astype(float).idxmin()
        words = f"returns agree least on {least}, overlap {self.returns.loc[least, 'overlap']:.2f}"
        if not len(self.rows):
            return f"Challenge(no later weeks; {words})"
        one = self.scores.loc["crps"]
        scores = f"CRPS {one['champion']:.4g} to {one['challenger']:.4g}, better with probability {one['better']:.2f}"
        return f"Challenge({len(self.rows)} later weeks: {scores}; {words})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        dates = [f"{date:%Y-%m-%d}" for date in self.rows.index]
        rows = self.rows.assign(date=dates).to_dict("records") if len(dates) else []
        scores = {str(name): dict(row) for name, row in self.scores.iterrows()}
        returns = {str(name): dict(row) for name, row in self.returns.iterrows()}
        return plain({"scores": scores, "returns": returns, "window": self.window, "prob": self.prob, "rows": rows})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; what follows from the rows is not read."""
        rows = pd.DataFrame(values["rows"])
        if len(rows):
            rows = rows.assign(date=pd.to_datetime(rows["date"])).set_index("date")
        returns = pd.DataFrame.from_dict(values["returns"], orient="index").astype(float).rename_axis("channel")
        return cls(rows, returns, values["window"] and tuple(values["window"]), values["prob"])


def challenged(
    champion: AnyFit,
    challenger: AnyFit,
    later: AnyPanel | None = None,
    *,
    history: AnyPanel | None = None,
    prob: float = 0.9,
    key: Key = 0,
) -> Challenge:
    """A challenger beside the champion, on weeks that neither has seen.

    Args:
        champion: the model in use.
        challenger: another one of the same channels and geos.
        later: the weeks; without them, only returns are compared.
        history: rows right before the later weeks, whose spend works on into them: the challenger's training rows by
            default.
        prob: probability of the intervals of returns.
        key: random key or seed of the predictive draws, the same for both.

    Raises:
        MonitoringError: one of the two has seen a later week, or none of these has an outcome.
        PredictionError: columns, geos or dates that do not fit.
    """
    rows = pd.DataFrame()
    if later is not None:
        before = challenger.panel if history is None else history
        check_unseen({"champion": champion.panel, "challenger": challenger.panel}, later)
        parts = {"champion": champion, "challenger": challenger}
        judged = {who: _judged(fit, later, before, key) for who, fit in parts.items()}
        columns = {f"{who}_{score}": judged[who][score] for score in _BETTER for who in parts}
        rows = pd.DataFrame(columns, index=pd.DatetimeIndex(later.dates, name="date")).dropna()
        if rows.empty:
            raise MonitoringError("No later week has an outcome, by which the two models could be compared.")
    window = _common(champion, challenger)
    return Challenge(rows, _returns(champion, challenger, window, prob), window, prob)


def check_unseen(learned: Mapping[str, AnyPanel], later: AnyPanel) -> None:
    """Raise a `MonitoringError` if a model has learned from a later week, or these have no outcome.

    Args:
        learned: training rows by what the model is called.
        later: the weeks.
    """
    for who, panel in learned.items():
        last = panel.dates[-1]
        if later.dates[0] <= last:
            raise MonitoringError(
                f"The later weeks begin on {later.dates[0]}, but the {who} has learned from rows up to {last}: models are "
                "compared on weeks that neither has seen. Begin them later, or train on fewer rows."
            )
    if later.target is None:
        raise MonitoringError("The later weeks have no target: what happened is what the two models are judged by.")


def _judged(fit: AnyFit, later: AnyPanel, history: AnyPanel, key: Key) -> dict[str, np.ndarray]:
    """CRPS and log predictive density per date; NaN where no market has an outcome."""
    rows, before = aligned(fit, later), aligned(fit, history)
    drawn = {"y": np.zeros(()), "log_density": np.zeros(())}
    happened, there = np.zeros(len(rows)), np.zeros(len(rows), bool)
    pairs = zip(markets_of(fit, rows), markets_of(fit, before), strict=True)
    for (geo, one, market), (*_, known) in pairs:
        found = _drawn(one, market, known, named_key(as_key(key), geo or ""))
        drawn = {name: drawn[name] + found[name] for name in drawn}
        happened += np.where(market.counted, np.asarray(market.target), 0.0)
        there |= market.counted
    scores = {"crps": crps(happened, drawn["y"]), "elpd": _log_mean(drawn["log_density"])}
    return {name: np.where(there, values, np.nan) for name, values in scores.items()}


def _drawn(fit: Fit, rows: Panel, history: Panel, key: jax.Array) -> dict[str, np.ndarray]:
    """Draws of the target and of its log density, per unit of it, (draw, date); 0 in rows that do not count."""
    with precision_scope(fit.precision):
        draws = fit.flat_draws()
        keys = jax.random.split(key, len(draws["intercept"]))
        found = over_draws(_foreseen, fit.model(rows, history=history), draws, each=keys)
    density = found["log_density"].astype(float) - np.log(fit.scales.target)
    return {
        "y": np.where(rows.counted, found["y"].astype(float), 0.0),
        "log_density": np.where(rows.counted, density, 0.0),
    }


def _foreseen(model: MMM, params: Params, key: jax.Array) -> dict[str, Any]:
    return {"y": outcome(model, params, key)["y"], "log_density": model.log_likelihood(params)}


def _log_mean(values: np.ndarray) -> np.ndarray:
    """Logarithm of the mean of `exp(values)` over the draws, shape (date,)."""
    largest = np.maximum(values.max(axis=0), np.finfo(float).min)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(values - largest).mean(axis=0))


def _paired(rows: pd.DataFrame, score: str, sign: float) -> tuple[float, ...]:
    ours, theirs = rows[f"challenger_{score}"].to_numpy(), rows[f"champion_{score}"].to_numpy()
    gaps, count = ours - theirs, len(rows)
    error = float(gaps.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    better = float(norm.cdf(sign * gaps.mean() / error)) if error > 0 else np.nan
    return float(theirs.mean()), float(ours.mean()), float(gaps.mean()), error, better


def _common(champion: AnyFit, challenger: AnyFit) -> tuple[str, str] | None:
    """First and last date that both have learned from, if there are any."""
    first = max(champion.panel.dates[0], challenger.panel.dates[0])
    last = min(champion.panel.dates[-1], challenger.panel.dates[-1])
    return (str(first), str(last)) if first <= last else None


def _returns(champion: AnyFit, challenger: AnyFit, window: tuple[str, str] | None, prob: float) -> pd.DataFrame:
    found = {"champion": _interval(champion, window, prob), "challenger": _interval(challenger, window, prob)}
    columns = {who: table["mean"] for who, table in found.items()}
    columns |= {f"{who}_{end}": table[end] for who, table in found.items() for end in ("lower", "upper")}
    table = pd.DataFrame(columns).reindex(found["challenger"].index)
    low, high = (table[[f"{who}_{end}" for who in found]] for end in ("lower", "upper"))
    shared, covered = high.min(axis=1) - low.max(axis=1), high.max(axis=1) - low.min(axis=1)
    table["overlap"] = (shared.clip(lower=0.0) / covered).where(covered > 0, 1.0)
    return table


def _interval(fit: AnyFit, window: tuple[str, str] | None, prob: float) -> pd.DataFrame:
    """Of the channels that have spend in the window: others have no return."""
    start, end = window or (None, None)
    by_geo = {"by_geo": False} if isinstance(fit, GeoFit) else {}
    draws: Any = fit.roas(start=start, end=end, **by_geo)
    known = draws.notnull().all(("chain", "draw"))
    return interval(draws.isel(channel=np.flatnonzero(known.to_numpy())), prob).to_dataframe()
