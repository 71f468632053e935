"""Do new rows still look like the model's own, since when do they not, and what has changed."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.ticker import LogLocator, NullFormatter

from mmm_jax.monitoring.drift import LEVEL, RAMP, Drift
from mmm_jax.plots import style

_HEIGHTS = {"evidence": 2.4, "pit": 1.7, "crps": 1.5, "coverage": 1.5}
"""Inches of the axes over time."""

_LARGEST = 230.0
"""Logarithm of the largest evidence that is drawn: beyond 1e100, nothing more is told."""

_ROOM = 0.3
"""Of the height of the data, above them, for the legend."""

_OTHERS = "all others"


def plot_drift(drift: Drift, *, target: str = "target", most: int = 12) -> np.ndarray:
    """What `detect_drift` found, in one picture.

    Args:
        drift: what it returned.
        target: name and unit of the target.
        most: how many causes are shown; the share of all others together stands in the last row.

    Returns:
        Five axes, the first four over the same dates: the evidence so far on a logarithmic axis, with the threshold and
        the date of the alarm; the probability transform of every row (and geo), even between 0 and 1 while the model holds;
        CRPS and coverage of the last rows beside those of training; and the causes by their share of the evidence.
    """
    causes = _ranked(drift, most)
    heights = [*_HEIGHTS.values(), 0.6 + 0.27 * len(causes)]
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(style.WIDTH, sum(heights) + 2.2), height_ratios=heights, layout="constrained"
    )
    dates = drift.rows["date"].to_numpy()
    for draw, ax in zip((_draw_evidence, _draw_pit), axes, strict=False):
        draw(ax, drift, dates)
    _draw_crps(axes[2], drift, dates, target)
    _draw_coverage(axes[3], drift, dates)
    _draw_causes(axes[4], drift, causes)
    for ax in axes[:4]:
        _over_time(ax, drift, dates)
    for ax in axes[:3]:
        ax.tick_params(labelbottom=False)
        ax.xaxis.get_offset_text().set_visible(False)
    figure.align_ylabels(axes[:4])
    return axes


def _draw_evidence(ax: Axes, drift: Drift, dates: np.ndarray) -> None:
    looks = {
        "log_evidence": ("Any change", style.BLUE, 2.0),
        "log_level": ("Of the level", style.ORANGE, 1.1),
        "log_variance": ("Of the variance", style.GREEN, 1.1),
    }
    for order, (name, (label, colour, width)) in enumerate(looks.items()):
        values = np.exp(np.minimum(drift.rows[name].to_numpy(), _LARGEST))
        ax.plot(dates, values, color=colour, linewidth=width, marker=".", markersize=4, label=label, zorder=4 - order)
    words = f"Threshold {drift.threshold:.3g} (at most {100 * drift.alpha:.3g}% false alarms)"
    ax.axhline(drift.threshold, color=style.VERMILION, linestyle="--", linewidth=1.2, label=words)
    if drift.alarmed_on is not None:
        ax.axvline(float(date2num(drift.alarmed_on)), color=style.VERMILION, linewidth=1.2, label="Alarm")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    # What is far below 1 tells nothing more, and would press together what is above.
    low, high = max(low, 1e-3), max(high, 2 * drift.threshold)
    ax.set_ylim(low, high * (high / low) ** (1.4 * _ROOM))
    ax.yaxis.set_major_locator(LogLocator(numticks=7))
    ax.yaxis.set_minor_formatter(NullFormatter())
    found = f"Drift: alarm on {str(drift.alarmed_on)[:10]}" if drift.alarm else f"No drift in {style.length_of(dates)}"
    style.dress(ax, title=found, x="", y="Evidence (e-value)")
    if drift.needs_refit:
        words = f"The last {style.period_of(dates)} was judged by too few draws: fit the model anew"
        ax.set_title(f"{found}\n{words}", fontsize=style.TITLE)
    _legend(ax)


def _draw_pit(ax: Axes, drift: Drift, dates: np.ndarray) -> None:
    pit = drift.rows["pit"].transpose("date", ...).to_numpy().reshape(len(dates), -1)
    few = drift.rows["ess"].transpose("date", ...).to_numpy().reshape(len(dates), -1).min(axis=1) < drift.least_ess
    for chosen, face, label in ((~few, style.BLUE, "A row"), (few, "white", "Judged by too few draws")):
        if chosen.any():
            at = np.repeat(dates[chosen], pit.shape[1])
            ax.plot(at, pit[chosen].ravel(), "o", color=style.BLUE, markerfacecolor=face, markersize=4, label=label)
    ax.axhline(0.5, color=style.DARK, linestyle="--", linewidth=0.8, label="Middle of what was foreseen")
    ax.set_ylim(-0.04, 1.04 + _ROOM)
    ax.set_yticks([0.0, 0.5, 1.0])
    style.dress(ax, title="Where each row fell in its prediction", x="", y="Probability of less (PIT)")
    _legend(ax)


def _draw_crps(ax: Axes, drift: Drift, dates: np.ndarray, target: str) -> None:
    crps, trained = drift.rows["crps"].to_numpy(), drift.training["crps"]
    ax.plot(dates, crps, color=style.BLUE, linewidth=1.6, marker=".", markersize=4, label="Rolling")
    ax.axhline(trained, color=style.DARK, linestyle="--", linewidth=1.0, label="Training")
    ax.set_ylim(0.0, (1.05 + _ROOM) * max(np.nanmax(crps, initial=0.0), trained))
    style.compact_axis(ax, "y", ticks=4)
    style.dress(ax, title=f"Error of the predictions (CRPS, {target})", x="", y="CRPS")
    _legend(ax)


def _draw_coverage(ax: Axes, drift: Drift, dates: np.ndarray) -> None:
    ax.plot(dates, drift.rows["coverage"], color=style.BLUE, linewidth=1.6, marker=".", markersize=4, label="Rolling")
    ax.axhline(drift.training["coverage"], color=style.DARK, linestyle="--", linewidth=1.0, label="Training")
    ax.axhline(drift.prob, color=style.ORANGE, linestyle=":", linewidth=1.4, label="As it should be")
    ax.set_ylim(0.0, 1.05 + _ROOM)
    ax.set_yticks([0.0, 0.5, 1.0])
    style.percent_axis(ax, "y")
    style.dress(ax, title=f"Rows inside of their {style.percent(drift.prob)} interval", x="Date", y="Coverage")
    _legend(ax)


def _draw_causes(ax: Axes, drift: Drift, causes: dict[str, float]) -> None:
    colour = style.BLUE if drift.alarm and not drift.of_scatter else style.tint(style.GREY, 0.6)
    places, shares = np.arange(len(causes)), np.array(list(causes.values()))
    ax.barh(places, shares, color=colour, height=0.65)
    style.name_rows(ax, [_CAUSES.get(name, name) for name in causes])
    ax.set_xlim(0.0, max(1.0, shares.max()))
    style.percent_axis(ax, "x")
    style.dress(ax, title=_meaning(drift), x="Share of the evidence", y="Cause")
    ax.grid(visible=False, axis="y")
    style.write_beside(ax, [_told(share) for share in shares], shares, places)


_CAUSES = {LEVEL: "Level (a step)", RAMP: "Level (a ramp)", _OTHERS: "All others together"}


def _over_time(ax: Axes, drift: Drift, dates: np.ndarray) -> None:
    if drift.alarmed_on is not None:
        ax.axvline(float(date2num(drift.alarmed_on)), color=style.VERMILION, linewidth=0.9, zorder=0.5)
    style.date_axis(ax, ticks=(2, 7))
    # A single date has no width.
    step = np.timedelta64(4, "D")
    ax.set_xlim(float(date2num(dates[0] - step)), float(date2num(dates[-1] + step)))


def _legend(ax: Axes) -> None:
    """Above the data, where room was made: below the axes stand the next ones."""
    ax.legend(
        loc="upper left",
        ncols=3,
        fontsize=style.SMALL,
        framealpha=0.85,
        edgecolor="none",
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def _meaning(drift: Drift) -> str:
    if not drift.alarm:
        return "What would have changed: without an alarm, this means little"
    return "The scatter has changed, rather than one of these" if drift.of_scatter else "What has changed"


def _told(share: float) -> str:
    return style.percent(share) if share >= 0.0005 else "<0.1%"


def _ranked(drift: Drift, most: int) -> dict[str, float]:
    """Share of the evidence by cause, the likeliest first, what does not fit in added up."""
    shares: Any = drift.causes
    found = {str(name): float(share) for name, share in shares.items()}
    if len(found) <= most:
        return found
    kept = dict(list(found.items())[: most - 1])
    return {**kept, _OTHERS: 1.0 - sum(kept.values())}
