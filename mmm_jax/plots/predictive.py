"""What the model expects of the target, before and after it has seen it, against what happened."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import date2num

from mmm_jax.analysis.scores import score_table
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError
from mmm_jax.fitting.labels import interval
from mmm_jax.plots import multiples, style
from mmm_jax.plots.data import observed_target, target_label
from mmm_jax.plots.geos import predicted_together, together


def plot_predictive(
    predicted: xr.Dataset,
    panel: AnyPanel,
    *,
    probs: Sequence[float] = (0.5, 0.9),
    ax: Axes | None = None,
    title: str = "Predictive distribution and what happened",
    target: str | None = None,
) -> Axes:
    """Intervals of the predictive distribution over time, with the observed target.

    It serves the prior predictive (`sample_prior(...)["prior_predictive"].to_dataset()`) and the posterior predictive
    (`fit.predict()`).

    Args:
        predicted: draws `y` in units of the target, dimensions (chain, draw, date); geos are added up.
        panel: the same rows; the target is drawn if there is one.
        probs: probabilities of the central intervals.
        ax: axes to draw on; a new figure by default.
        title: title of the picture.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        The axes: date against the target per period; the line is the median of the draws.
    """
    predicted, panel = predicted_together(predicted, panel), together(panel)
    ax = style.axes_for(ax)
    _draw_distribution(ax, predicted, probs, style.BLUE)
    if panel.target is not None:
        _draw_observed(ax, panel)
    _finish(ax, title, target_label(panel, target), predicted["y"].to_numpy())
    style.legend_below(ax)
    return ax


def plot_forecast(
    train_predicted: xr.Dataset,
    test_predicted: xr.Dataset,
    train_panel: AnyPanel,
    test_panel: AnyPanel,
    *,
    prob: float = 0.9,
    ax: Axes | None = None,
    title: str = "Forecast and what happened",
    target: str | None = None,
) -> Axes:
    """The training rows' fit and the forecast of the rows after them, with their scores.

    Args:
        train_predicted: `fit.predict()`: `y` and `mean` in units of the target, dimensions (chain, draw, date); geos are
            added up, here and in the others.
        test_predicted: `fit.predict(test_panel)`.
        train_panel: the rows that were fitted.
        test_panel: the rows after them; without a target, nothing is scored.
        prob: probability of the central interval.
        ax: axes to draw on; a new figure by default.
        title: title of the picture.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        The axes: date against the target per period, a dashed line where the forecast begins. The legend holds the
        mean CRPS in units of the target and the share of observations inside of the interval.

    Raises:
        PanelError: a panel's dates are not those of its predictions.
    """
    train_predicted, test_predicted = (
        predicted_together(predicted, panel)
        for predicted, panel in ((train_predicted, train_panel), (test_predicted, test_panel))
    )
    train_panel, test_panel = together(train_panel), together(test_panel)
    ax = style.axes_for(ax)
    parts = ((train_predicted, train_panel, style.BLUE, "Training"), (test_predicted, test_panel, style.VERMILION, "Test"))
    for predicted, panel, colour, name in parts:
        _draw_distribution(ax, predicted, (prob,), colour, label=_scored(name, predicted, panel, prob))
    known = [panel for panel in (train_panel, test_panel) if panel.target is not None]
    for number, panel in enumerate(known):
        _draw_observed(ax, panel, label="Observed" if number == 0 else None)
    ax.axvline(
        float(date2num(_between(train_panel, test_panel))),
        color=style.DARK,
        linestyle="--",
        linewidth=1,
        label="Forecast begins",
    )
    both = [part["y"].to_numpy() for part in (train_predicted, test_predicted)]
    _finish(ax, title, target_label(train_panel, target), *both)
    style.legend_below(ax, widest=2)
    return ax


def plot_residuals(predicted: xr.Dataset, panel: AnyPanel, *, prob: float = 0.9, target: str | None = None) -> np.ndarray:
    """What the model did not expect: observed minus expected target, over time and against the expectation.

    Runs of one sign over time hint at a missing trend or control; a funnel, at another likelihood.

    Args:
        predicted: `fit.predict(...)`: `y` and `mean` in units of the target, dimensions (chain, draw, date); geos are added
            up.
        panel: the same rows, with a target.
        prob: probability of the central interval of `y`; observations outside of it are marked.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        Two axes: date, and the expected target per period, against the residual in units of the target.

    Raises:
        PanelError: the panel has no target, or its dates are not those of the predictions.
    """
    predicted, panel = predicted_together(predicted, panel), together(panel)
    _check_same_dates(predicted, panel)
    observed, band = observed_target(panel), interval(predicted["y"], prob)
    expected = predicted["mean"].mean(("chain", "draw")).to_numpy()
    outside = (observed < band["lower"].to_numpy()) | (observed > band["upper"].to_numpy())
    figure, (over_time, against) = style.plt.subplots(
        1, 2, figsize=(style.WIDTH, style.HEIGHT), width_ratios=(3, 2), sharey=True, layout="constrained"
    )
    label = target_label(panel, target)
    for ax, x in ((over_time, panel.dates), (against, expected)):
        _draw_residuals(ax, x, observed - expected, outside, prob)
    style.date_axis(over_time)
    style.compact_axis(over_time, "y")
    style.compact_axis(against, "x", ticks=4)
    style.dress(over_time, title="Over time", x="Date", y=f"Observed minus expected: {_lower_first(label)}")
    style.dress(against, title="Against the expectation", x=f"Expected: {_lower_first(label)}", y="")
    axes = np.array([over_time, against])
    multiples.figure_legend(figure, axes)
    return axes


def _draw_distribution(
    ax: Axes, predicted: xr.Dataset, probs: Sequence[float], colour: str, label: str | None = None
) -> None:
    dates, draws = predicted["date"].to_numpy(), predicted["y"].where(np.isfinite(predicted["y"]))
    widest_first = sorted(probs, reverse=True)
    for prob, strength in zip(widest_first, np.linspace(0.25, 0.5, len(widest_first)), strict=True):
        band = interval(draws, prob)
        shade = style.tint(colour, strength)
        name = label or f"{style.percent(prob)} interval"
        ax.fill_between(dates, band["lower"], band["upper"], color=shade, linewidth=0, label=name)
    # The median lies inside of every central interval; the mean of a skewed distribution may not.
    median = draws.median(("chain", "draw"))
    ax.plot(dates, median, color=colour, linewidth=1.2, label="_median" if label else "Median")
    lost = float(draws.isnull().mean())
    if lost:
        # A wide prior reaches beyond the largest number.
        ax.plot([], [], " ", label=f"{style.percent(lost)} of the draws are infinite, left out")


def _draw_observed(ax: Axes, panel: Panel, label: str | None = "Observed") -> None:
    ax.plot(panel.dates, observed_target(panel), color=style.BLACK, linewidth=0.8, marker=".", markersize=3, label=label)


def _draw_residuals(ax: Axes, x: np.ndarray, residual: np.ndarray, outside: np.ndarray, prob: float) -> None:
    ax.axhline(0.0, color=style.DARK, linewidth=1)
    inside, name = ~outside, f"the {style.percent(prob)} interval"
    ax.scatter(x[inside], residual[inside], s=14, color=style.BLUE, linewidths=0, label=f"Inside {name}")
    ax.scatter(x[outside], residual[outside], s=24, color=style.VERMILION, marker="D", linewidths=0, label=f"Outside {name}")


def _scored(name: str, predicted: xr.Dataset, panel: Panel, prob: float) -> str:
    _check_same_dates(predicted, panel)
    drawn = f"{name}: median and {style.percent(prob)} interval"
    if panel.target is None:
        return drawn
    scores = score_table(panel.target, predicted, prob)
    return f"{drawn}; covers {style.percent(scores['coverage'])}, CRPS {style.compact(scores['crps'])}"


def _between(train: Panel, test: Panel) -> np.datetime64:
    last, first = (date.astype("datetime64[h]") for date in (train.dates[-1], test.dates[0]))
    return last + (first - last) // 2


def _check_same_dates(predicted: xr.Dataset, panel: Panel) -> None:
    dates = predicted["date"].to_numpy().astype("datetime64[D]")
    if not np.array_equal(dates, panel.dates):
        raise PanelError(
            f"The predictions are for {len(dates)} rows from {dates[0]} to {dates[-1]}, the panel has {len(panel)} from "
            f"{panel.dates[0]} to {panel.dates[-1]}. Give the panel that was predicted."
        )


def _finish(ax: Axes, title: str, label: str, *draws: np.ndarray) -> None:
    style.from_zero(ax, *draws)
    style.date_axis(ax)
    style.compact_axis(ax, "y")
    style.dress(ax, title=title, x="Date", y=label)


def _lower_first(words: str) -> str:
    return words[:1].lower() + words[1:]
