"""Whether a model can be believed: forecasts of the past, their scores, what the folds agree on, ranks of known truths."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.ticker import MaxNLocator

from mmm_jax.fitting.labels import interval
from mmm_jax.plots import multiples, style
from mmm_jax.plots.data import observed_target, target_label
from mmm_jax.validation.calibration import Calibration
from mmm_jax.validation.cross_validation import CrossValidation
from mmm_jax.validation.ranks import counts_up_to, simultaneous_band

_REFERENCES = {"last": "Last value", "seasonal": "Same period last year"}
_MOST_NAMED = 5
"""Quantities that are told apart by colour."""


def plot_folds(
    cv: CrossValidation, *, prob: float = 0.9, geo: str | None = None, ax: Axes | None = None, target: str | None = None
) -> Axes:
    """What each fold foresaw, against what happened.

    Args:
        cv: what `cross_validate` returned.
        prob: probability of the central interval.
        geo: of one geo; of all of them together by default.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        The axes: date against the target per period; folds in turns of two colours, a dotted line at each cutoff.
    """
    ax, predictions, panel = style.axes_for(ax), cv.of(geo).predictions, cv.rows_of(geo)
    for number, fold in enumerate(cv.folds):
        colour = (style.VERMILION, style.BLUE)[number % 2]
        ax.axvline(
            float(date2num(fold.cutoff)), color=style.GREY, linestyle=":", linewidth=0.8, label=_once("Cutoff", number)
        )
        if cv.status[fold.name] != "failed":
            _draw_forecast(ax, predictions.sel(fold=fold.name), prob, colour, number)
    # Of the rows before, enough to see what the forecasts follow.
    shown = slice(max(0, cv.folds[0].test.start - 3 * len(cv.folds[0].test)), cv.folds[-1].test.stop)
    dates, observed = panel.dates[shown], observed_target(panel)[shown]
    ax.plot(dates, observed, color=style.BLACK, linewidth=0.8, marker=".", markersize=3, label="Observed")
    style.from_zero(ax, observed[np.isfinite(observed)], predictions["y"].fillna(0.0).to_numpy())
    style.date_axis(ax)
    style.compact_axis(ax, "y")
    where = "" if geo is None else f" in {geo}"
    style.dress(ax, title=f"Forecasts of every fold and what happened{where}", x="Date", y=target_label(panel, target))
    style.legend_below(ax, widest=5)
    return ax


def plot_scores_by_horizon(
    cv: CrossValidation, *, geo: str | None = None, ax: Axes | None = None, target: str | None = None
) -> Axes:
    """How good the forecasts are by how far they look ahead, beside naive ones.

    Args:
        cv: what `cross_validate` returned.
        geo: of one geo; of all of them together by default.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        The axes: periods ahead against the mean CRPS over folds in units of the target; lower is better. A naive forecast
        whose past is too short to know its errors is left out.
    """
    ax, table = style.axes_for(ax), cv.scores_by_horizon(geo=geo)
    ahead = table.index.to_numpy()
    ax.plot(ahead, table["crps"], "o-", color=style.BLUE, linewidth=1.6, markersize=5, label="Model")
    looks = zip(_REFERENCES.items(), (style.ORANGE, style.GREEN), ("s", "^"), strict=True)
    for (name, label), colour, marker in looks:
        values = table[f"{name}_crps"].to_numpy()
        if np.isfinite(values).any():
            ax.plot(ahead, values, marker=marker, color=colour, linewidth=1.2, markersize=4, label=label)
    period = cv.panel.frequency.period
    style.compact_axis(ax, "y")
    ax.set_ylim(bottom=0.0)
    ax.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    label = target or cv.panel.target_name
    where = "" if geo is None else f" in {geo}"
    style.dress(ax, title=f"Error by how far ahead{where}", x=f"{style.sentence(period)}s ahead", y=f"Mean CRPS: {label}")
    style.legend_below(ax)
    return ax


def plot_stability(
    found: xr.Dataset, *, title: str = "Return on spend, fold by fold", y: str = "Return on spend (target per currency)"
) -> np.ndarray:
    """Does the model say the same each time more is known.

    Args:
        found: `cv.roas()`, or `cv.parameters()`, or some of it such as `.sel(parameter=["intercept", "y_sigma"])`: `mean`,
            `lower` and `upper` by fold.
        title: title of the picture.
        y: label of the vertical axes, with their unit.

    Returns:
        One axes per channel or parameter: cutoff against the mean with its interval, and a dashed line at the mean of the
        last fold.
    """
    dim = next(str(name) for name in found["mean"].dims if name != "fold")
    names = [str(name) for name in found[dim].to_numpy()]
    figure, axes = multiples.small_multiples(names, share_y=False)
    dates = found["fold"].to_numpy().astype("datetime64[D]")
    for ax, name in zip(axes, names, strict=True):
        _draw_over_folds(ax, dates, found.sel({dim: name}))
    multiples.label_figure(figure, title=title, x="Last training date", y=y)
    multiples.figure_legend(figure, axes)
    return axes


def plot_ranks(calibration: Calibration, *, prob: float = 0.95, ax: Axes | None = None) -> Axes:
    """Are the ranks of known truths uniform.

    The empirical distribution of the ranks of every quantity, minus that of uniform ranks. A line that leaves the dark
    band is one that chance alone would make leave it with probability `1 - prob`; the light band holds for all quantities
    at once. A line that leaves the light band upwards on the left: the posterior lies too high; an S that rises first:
    the posterior is too narrow.

    Args:
        calibration: what `simulate_calibrate` returned.
        prob: probability that uniform ranks stay inside of a band.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: rank as a fraction of the largest against the difference of the distributions. Named are the quantities
        that leave the light band, or else the one that strays most.
    """
    ax = style.axes_for(ax)
    count, largest = calibration.ranks.sizes["simulation"], calibration.num_ranks
    names = [str(name) for name in calibration.ranks["quantity"].to_numpy()]
    uniform = np.arange(1, largest + 1) / (largest + 1)
    joint = 1 - (1 - prob) / len(names)
    for level, shade, words in ((joint, 0.18, "of all together"), (prob, 0.4, "of one alone")):
        low, high = (edge / count - uniform for edge in simultaneous_band(count, largest, level))
        ax.fill_between(uniform, low, high, step="mid", color=style.tint(style.GREY, shade), linewidth=0,
                        label=f"{style.percent(prob)} band {words}")  # fmt: skip
    loud = _told_apart(calibration, 1 - prob)
    for name in sorted(names, key=lambda name: name in loud):
        counts = counts_up_to(calibration.ranks.sel(quantity=name).to_numpy(), largest)[:-1]
        looks = {"color": style.COLOURS[loud.index(name)], "linewidth": 1.8, "label": style.text(name, 40)} if name in loud \
            else {"color": style.DARK, "linewidth": 0.5, "alpha": 0.6}  # fmt: skip
        ax.plot(uniform, counts / count - uniform, **looks)
    ax.axhline(0.0, color=style.BLACK, linewidth=0.8)
    words = f"Ranks of {count} known truths, {len(names)} quantities"
    style.dress(ax, title=words, x="Rank (fraction of the largest)", y="Distribution minus uniform")
    style.legend_below(ax, widest=3)
    return ax


def _told_apart(calibration: Calibration, alpha: float) -> list[str]:
    table = calibration.p_values()
    loud = [str(name) for name in table.index[len(table) * table["p_value"] < alpha]]
    return loud[:_MOST_NAMED] or [calibration.worst]


def _draw_forecast(ax: Axes, predicted: xr.Dataset, prob: float, colour: str, number: int) -> None:
    dates, band = predicted["date"].to_numpy(), interval(predicted["y"], prob)
    label = f"{style.percent(prob)} interval, folds in turn"
    shade = style.tint(colour, 0.35)
    # A fold of one period would have no width.
    ax.vlines(dates, band["lower"], band["upper"], color=shade, linewidth=3, label=_once(label, number))
    ax.fill_between(dates, band["lower"], band["upper"], color=shade, linewidth=0)
    ax.plot(dates, band["median"], color=colour, linewidth=1.2, marker=".", markersize=2, label=_once("Median", number))


def _draw_over_folds(ax: Axes, dates: np.ndarray, band: xr.Dataset) -> None:
    known = np.isfinite(band["mean"].to_numpy())
    at, mean = dates[known], band["mean"].to_numpy()[known]
    low, high = band["lower"].to_numpy()[known], band["upper"].to_numpy()[known]
    prob = f"{style.percent(band.attrs['prob'])} interval" if "prob" in band.attrs else "Interval"
    ax.vlines(at, low, high, color=style.tint(style.BLUE, 0.45), linewidth=4, label=prob)
    ax.plot(at, mean, "o", color=style.BLUE, markersize=4, label="Mean")
    if len(mean):
        ax.axhline(mean[-1], color=style.DARK, linestyle="--", linewidth=0.8, label="Mean of the last fold")
    style.date_axis(ax, ticks=(2, 5))
    ax.margins(x=0.1)


def _once(label: str, number: int) -> str:
    return label if number == 0 else f"_{label}"
