"""Who will respond: how well a model ranks and calibrates, what it says of features, whom to contact and what it brings."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, StrMethodFormatter

from mmm_jax.errors import RemarketingError
from mmm_jax.plots import style
from mmm_jax.remarketing import curves
from mmm_jax.remarketing.audience import Audience
from mmm_jax.remarketing.uplift import UpliftCurve

_POINTS = 201
"""Places of a curve."""

_RATIO_LABELS = {"sd": "Odds ratio per standard deviation", "unit": "Odds ratio per unit"}

_SQUARE = (5.6, 5.2)
"""Inches of a picture whose axes both go from 0 to 1."""


def plot_roc(y: Any, p: Any, *, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """How many responders are found for how many others who are taken for responders.

    Args:
        y: labels 0 and 1, shape (rows,).
        p: posterior draws of the probabilities, shape (draws, rows); (rows,) without draws, and then without a band.
        prob: probability of the band.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: false positive rate against true positive rate; dashed, what guessing would find.
    """
    ax, at = style.axes_for(ax, size=_SQUARE), np.linspace(0, 1, _POINTS)
    _draw_curve(ax, at, y, p, curves.roc_curves, prob)
    ax.plot([0, 1], [0, 1], color=style.DARK, linestyle="--", linewidth=1, label="Guessing")
    x = "False positive rate (others who are chosen)"
    style.dress(ax, title="ROC curve", x=x, y="True positive rate (responders found)")
    return _finish_square(ax)


def plot_precision_recall(y: Any, p: Any, *, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """How many of the chosen respond, for how many of the responders are to be found.

    Args:
        y: as in `plot_roc`.
        p: likewise.
        prob: probability of the band.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: recall against precision; dashed, the share of responders, which is the precision of guessing.
    """
    ax, labels = style.axes_for(ax, size=_SQUARE), np.asarray(y, float)
    # Of fewer responders than points, the curve has no more steps than these.
    at = np.linspace(0, 1, min(_POINTS, int(labels.sum()) + 1))[1:]
    _draw_curve(ax, at, y, p, curves.precision_recall_curves, prob)
    rate = float(labels.mean())
    ax.axhline(rate, color=style.DARK, linestyle="--", linewidth=1, label=f"Guessing ({style.percent(rate)})")
    x, y_label = "Recall (share of responders who are chosen)", "Precision (share of the chosen who respond)"
    style.dress(ax, title="Precision and recall", x=x, y=y_label)
    return _finish_square(ax)


def plot_gain(y: Any, p: Any, *, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """How many of the responders are reached by contacting the likeliest customers first.

    Args:
        y: as in `plot_roc`.
        p: likewise.
        prob: probability of the band.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: share of customers against share of responders; dashed, contacting at random, dotted, knowing all
        responders.
    """
    ax, at = style.axes_for(ax, size=_SQUARE), np.linspace(0, 1, _POINTS)
    _draw_curve(ax, at, y, p, curves.gain_curves, prob)
    rate = float(np.asarray(y, float).mean())
    ax.plot([0, 1], [0, 1], color=style.DARK, linestyle="--", linewidth=1, label="At random")
    ax.plot([0, rate, 1], [0, 1, 1], color=style.GREY, linestyle=":", linewidth=1.2, label="Knowing them all")
    x = "Customers contacted, the likeliest first (share)"
    style.dress(ax, title="Responders reached", x=x, y="Responders reached (share)")
    return _finish_square(ax)


def plot_calibration_curve(
    y: Any, p: Any, *, bins: int = 10, equal_mass: bool = True, prob: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Do as many respond as the model says.

    Args:
        y: as in `plot_roc`.
        p: likewise; the posterior mean probability is what is judged.
        bins: groups of customers with similar probabilities.
        equal_mass: groups with equally many customers; else of equal width of probability.
        prob: probability of the intervals, of what such few customers tell of their share.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: mean probability of each group against the share that responded, with the number of customers; dashed, what
        a calibrated model would have.
    """
    table = curves.calibration_bins(y, p, bins=bins, equal_mass=equal_mass, prob=prob)
    ax, said = style.axes_for(ax, size=_SQUARE), table["predicted"].to_numpy()
    top = min(1.0, 1.15 * float(np.max([table["upper"], said])))
    ax.plot([0, top], [0, top], color=style.DARK, linestyle="--", linewidth=1, label="Calibrated")
    shade, label = style.tint(style.BLUE, 0.45), f"{style.percent(prob)} interval of the share"
    ax.vlines(said, table["lower"], table["upper"], color=shade, linewidth=4, label=label)
    ax.plot(said, table["observed"], "o", color=style.BLUE, markersize=5, label="Share that responded")
    _write_counts(ax, said, table)
    ax.set_xlim(0, top)
    # Room for a number over an interval that ends at the top.
    ax.set_ylim(0, 1.05 * top)
    style.percent_axis(ax, "x")
    style.percent_axis(ax, "y")
    words = _counts_in_words(table["customers"].to_numpy())
    style.dress(ax, title=f"Calibration, {words}", x="Predicted probability (mean of the group)", y="Share that responded")
    style.legend_below(ax, widest=3)
    return ax


def plot_odds_ratios(
    table: Any, *, per: str = "sd", prob: float | None = None, most: int = 30, ax: Axes | None = None
) -> Axes:
    """What the model says of features: by which factor the odds of a response change.

    Args:
        table: `model.odds_ratios(...)`: by feature, `per_sd`, `per_sd_lower` and `per_sd_upper`, and the same `per_unit`.
        per: `sd`, the change by one standard deviation, which makes features comparable; or `unit`.
        prob: probability of the intervals, for the legend.
        most: features that are shown, those with the largest effects.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: one row per feature, the largest effect at the top, on a logarithmic scale; hollow where the interval has
        1 in it.

    Raises:
        RemarketingError: the table has no such columns.
    """
    ratio, lower, upper = _ratios(table, per)
    order = np.argsort(-np.abs(np.log(ratio)), kind="stable")[:most]
    ratio, lower, upper = ratio[order], lower[order], upper[order]
    names = [str(table.index[row]) for row in order]
    ax, places = style.row_axes(ax, len(names)), np.arange(len(names))
    band = "Interval" if prob is None else f"{style.percent(prob)} interval"
    ax.hlines(places, lower, upper, color=style.tint(style.BLUE, 0.45), linewidth=4, label=band)
    clear = (lower > 1) | (upper < 1)
    for chosen, face, words in ((clear, style.BLUE, "Odds ratio"), (~clear, "white", "Interval has 1 in it")):
        if chosen.any():
            looks = {"markerfacecolor": face, "markeredgecolor": style.BLUE, "markersize": 5, "linestyle": "none"}
            ax.plot(ratio[chosen], places[chosen], marker="o", label=words, **looks)
    ax.axvline(1.0, color=style.DARK, linestyle="--", linewidth=1, label="No effect")
    _log_ratio_axis(ax)
    hidden = len(table) - len(names)
    title = "Odds ratios by feature" + (f", the {len(names)} largest of {len(table)}" if hidden else "")
    style.dress(ax, title=title, x=_RATIO_LABELS[per], y="Feature")
    style.name_rows(ax, names, width=40)
    style.legend_below(ax)
    return ax


def plot_audience(audience: Audience, *, currency: str = "currency", ax: Axes | None = None) -> Axes:
    """What contacting more or fewer customers would bring, and how many are contacted.

    Args:
        audience: what `choose_audience` returned.
        currency: name of the currency.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: number of contacts, the first to contact first, against the profit with its interval; a diamond at the
        audience, which lies below the line where a part of it is held out or is not the first in line.
    """
    ax, table = style.axes_for(ax), audience.table
    label, shade = f"{style.percent(audience.prob)} interval", style.tint(style.BLUE, 0.3)
    ax.fill_between(table["contacts"], table["lower"], table["upper"], color=shade, linewidth=0, label=label)
    ax.plot(table["contacts"], table["expected_profit"], color=style.BLUE, linewidth=1.6, label="Expected profit")
    ax.axhline(0.0, color=style.DARK, linewidth=0.8)
    contacts, low_high = audience.contacts, audience.interval
    ax.vlines([contacts], low_high[0], low_high[1], color=style.VERMILION, linewidth=1.2)
    held = f", {audience.holdout:,} held out" if audience.holdout else ""
    label = f"Audience: {contacts:,} contacts{held}"
    ax.plot([contacts], [audience.expected], "D", color=style.VERMILION, markersize=6, label=label, zorder=4)
    style.compact_axis(ax, "y")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.margins(x=0.01)
    y = f"Profit ({currency}{', of added responses' if audience.by_uplift else ''})"
    style.dress(ax, title="Profit by number of contacts", x="Customers contacted, the first in line first", y=y)
    style.legend_below(ax)
    return ax


def plot_uplift_curve(curve: UpliftCurve, *, ax: Axes | None = None) -> Axes:
    """Does a model of uplift find those whom contact moves.

    Args:
        curve: what `uplift_curve` returned.
        ax: axes to draw on; a new figure by default.

    Returns:
        The axes: share of customers against responses added per customer, with the band of the draws' own orders; dashed,
        contacting at random.
    """
    ax, table = style.axes_for(ax), curve.table
    label, shade = f"{style.percent(curve.prob)} interval over the draws' orders", style.tint(style.BLUE, 0.3)
    ax.fill_between(table["share"], table["lower"], table["upper"], color=shade, linewidth=0, label=label)
    ax.plot(table["share"], table["gain"], color=style.BLUE, linewidth=1.6, label="By estimated uplift")
    ax.plot(table["share"], table["random"], color=style.DARK, linestyle="--", linewidth=1, label="At random")
    style.percent_axis(ax, "x")
    style.percent_axis(ax, "y")
    ax.margins(x=0.01)
    title = f"Responses added: area {100 * curve.area:+.2f} points, by chance with probability {curve.p_value:.2g}"
    x = "Customers contacted, the largest uplift first (share)"
    style.dress(ax, title=title.replace("-", "\N{MINUS SIGN}"), x=x, y="Responses added (per customer)")
    style.legend_below(ax)
    return ax


def _draw_curve(ax: Axes, at: np.ndarray, y: Any, p: Any, curve: Any, prob: float) -> None:
    """The curve of the posterior mean probability, and the band of the draws'."""
    draws = np.atleast_2d(np.asarray(p))
    if len(draws) > 1:
        lower, upper = np.quantile(curve(y, draws, at), [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        label, shade = f"{style.percent(prob)} interval over the draws", style.tint(style.BLUE, 0.3)
        ax.fill_between(at, lower, upper, color=shade, linewidth=0, label=label)
    ax.plot(at, curve(y, draws.mean(axis=0, dtype=float), at)[0], color=style.BLUE, linewidth=1.6, label="Mean probability")


def _finish_square(ax: Axes) -> Axes:
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.005)
    style.percent_axis(ax, "x")
    style.percent_axis(ax, "y")
    style.legend_below(ax, widest=2)
    return ax


def _write_counts(ax: Axes, said: np.ndarray, table: Any) -> None:
    """Numbers of customers over the intervals, where groups do not have equally many."""
    counts = table["customers"].to_numpy()
    if np.ptp(counts) <= 1:
        return
    for at, top, count in zip(said, table["upper"], counts, strict=True):
        ax.annotate(f"{count:,}", (at, top), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=style.SMALL)


def _counts_in_words(counts: np.ndarray) -> str:
    if np.ptp(counts) <= 1:
        sizes = " or ".join(f"{size:,}" for size in np.unique(counts))
        return f"{len(counts)} groups of {sizes} customers"
    return f"{counts.sum():,} customers in {len(counts)} groups"


def _ratios(table: Any, per: str) -> tuple[np.ndarray, ...]:
    """Odds ratios with the ends of their intervals."""
    if per not in _RATIO_LABELS:
        raise RemarketingError(f"`per` must be one of {', '.join(map(repr, _RATIO_LABELS))}, got {per!r}.")
    columns = [f"per_{per}{end}" for end in ("", "_lower", "_upper")]
    missing = [name for name in columns if name not in table]
    if missing:
        raise RemarketingError(f"The table of odds ratios has no column {missing[0]!r}: give `model.odds_ratios(...)`.")
    return tuple(table[name].to_numpy(float) for name in columns)


def _log_ratio_axis(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
