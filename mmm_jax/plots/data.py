"""A look at the data before any model."""

import numpy as np
from matplotlib.axes import Axes

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.media import unit_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError
from mmm_jax.plots import multiples, style
from mmm_jax.plots.geos import together


def observed_target(panel: Panel) -> np.ndarray:
    """The panel's target.

    Raises:
        PanelError: the panel has none.
    """
    if panel.target is None:
        raise PanelError("The panel has no target to draw. Give `target=` to `Panel.from_frame`.")
    return panel.target


def target_label(panel: Panel, target: str | None) -> str:
    """Label of an axis in units of the target per period."""
    return f"{style.sentence(target or panel.target_name)} per {panel.frequency.period}"


def plot_target(panel: AnyPanel, *, ax: Axes | None = None, target: str | None = None) -> Axes:
    """The target over time.

    Args:
        panel: rows with a target; geos are added up.
        ax: axes to draw on; a new figure by default.
        target: name and unit of the target, such as "sales (USD)"; the panel's name for it by default.

    Returns:
        The axes: date against the target in its own units per period.

    Raises:
        PanelError: the panel has no target.
    """
    panel = together(panel)
    observed, ax = observed_target(panel), style.axes_for(ax)
    ax.plot(panel.dates, observed, color=style.BLACK, linewidth=1.2)
    style.from_zero(ax, observed)
    style.date_axis(ax)
    style.compact_axis(ax, "y")
    title = f"{style.sentence(panel.target_name)}, {panel.dates[0]} to {panel.dates[-1]}"
    return style.dress(ax, title=title, x="Date", y=target_label(panel, target))


def plot_spend_shares(panel: AnyPanel, *, ax: Axes | None = None, currency: str = "currency") -> Axes:
    """Share of each channel in the total spend, the largest at the top.

    Args:
        panel: rows with spend in currency per period; geos are added up.
        ax: axes to draw on; a new figure by default.
        currency: name of the currency.

    Returns:
        The axes: one bar per channel, its length the share of spend in per cent, its total in currency beside it.
    """
    panel = together(panel)
    totals = panel.spend.sum(axis=1)
    order, shares = np.argsort(-totals, kind="stable"), totals / (totals.sum() or 1.0)
    ax = style.row_axes(ax, len(order))
    places = range(len(order))
    ax.barh(places, shares[order], color=style.BLUE, height=0.7)
    ax.set_xlim(left=0.0)
    style.percent_axis(ax, "x")
    title = f"Spend by channel, {style.compact(totals.sum())} {currency} in total"
    style.dress(ax, title=title, x=f"Share of total spend (%), total in brackets ({currency})", y="Channel")
    style.name_rows(ax, [panel.channels[i] for i in order])
    amounts = [f"{style.percent(float(shares[i]))} ({style.compact(float(totals[i]))})" for i in order]
    style.write_beside(ax, amounts, shares[order], places)
    return ax


def plot_spend_against_target(panel: AnyPanel, *, currency: str = "currency", target: str | None = None) -> np.ndarray:
    """Spend of each channel (or media, in units or organic) against the target of the same period, one picture each.

    The correlation `r` above each is what a first look shows; it is no effect.

    Args:
        panel: rows with a target; geos are added up.
        currency: name of the currency.
        target: name and unit of the target; the panel's name for it by default.

    Returns:
        One axes per channel, in the panel's order: spend in currency per period against the target per period. Where the
        panel has units, media in what the titles name.

    Raises:
        PanelError: the panel has no target.
    """
    panel = together(panel)
    observed, correlation = observed_target(panel), panel.describe()["correlation"].to_numpy()
    figure, axes = multiples.small_multiples(panel.channels, share_y=True)
    for ax, channel, media, r in zip(axes, panel.channels, panel.exposure, correlation, strict=True):
        ax.scatter(media, observed, s=10, color=style.BLUE, alpha=0.5, linewidths=0)
        unit = f"\n{style.text(unit_of(panel, channel), 24)}" if panel.units else ""
        ax.set_title(f"{ax.get_title()}{unit}\nr = {style.decimals(r)}", fontsize=ax.title.get_fontsize())
    style.from_zero(axes[0], observed)
    spend, y = style.spend_label(currency, panel.frequency.period), target_label(panel, target)
    what, x = ("Media", f"Media (units above per {panel.frequency.period})") if panel.units else ("Spend", spend)
    multiples.label_figure(figure, title=f"{what} and target of the same period", x=x, y=y)
    return axes
