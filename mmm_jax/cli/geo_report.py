"""Tables on the screen with one row per geo."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmm_jax.cli.results import PROB, ByGeo, by_channel
from mmm_jax.cli.screen import Screen, amount, percent
from mmm_jax.cli.words import counted
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.validation.cross_validation import CrossValidation

MOST = 20
"""Geos that a table shows, the largest spenders first; the JSON files have all of them."""

_WIDE = 6
"""Channels that one table has room for."""


def counted_geos(panel: GeoPanel) -> str:
    """How many geos there are, and how many of their rows are missing, as the beginning of a sentence."""
    lacking = int((~panel.present).sum())
    missing = f" ({counted(lacking, 'row')} of theirs missing)" if lacking else ""
    return f"{counted(len(panel.geos), 'geo')}{missing}, each with "


def show_roas(screen: Screen, found: ByGeo, panel: AnyPanel) -> None:
    """Mean return of every channel, one row per geo, in tables of a few channels each."""
    if not isinstance(panel, GeoPanel):
        return
    spend = dict(zip(panel.geos, panel.spend.sum(axis=(0, 2)).tolist(), strict=True))
    order = sorted(spend, key=lambda geo: -spend[geo])
    paid = [name for name in panel.channels if name not in panel.organic]
    total = sum(spend.values()) or 1.0
    means = {geo: by_channel(found.roas.sel(geo=geo, channel=paid)) for geo in order[:MOST]}
    for first in range(0, len(paid), _WIDE):
        some = paid[first : first + _WIDE]
        rows = [
            [geo, percent(spend[geo] / total), *(amount(own[name]["mean"]) for name in some)] for geo, own in means.items()
        ]
        screen.table("Return on spend by geo, posterior means", ["Geo", "Spend share", *some], rows)
    _say_rest(screen, order)


def show_scores(screen: Screen, scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Scores of the held-out rows beside those of the training rows, one row per geo."""
    rows = [
        [geo, *(_score(own.get(name, {}), score) for score in ("coverage", "mape") for name in ("train", "test"))]
        for geo, own in scores.items()
        if any(own.values())
    ]
    if not rows:
        return
    held = any(own.get("test") for own in scores.values())
    columns = ["Geo", f"In {PROB:.0%} interval", "held out", "MAPE", "held out"]
    kept = [0, 1, 2, 3, 4] if held else [0, 1, 3]
    cut = [[row[place] for place in kept] for row in rows[:MOST]]
    screen.table("Scores of the predictions by geo", [columns[place] for place in kept], cut)
    _say_rest(screen, rows)


def show_totals(
    screen: Screen, expected: Mapping[str, Mapping[str, float]], observed: Mapping[str, float], prob: float
) -> None:
    """What is expected of every geo in all, beside what came where all of it is known."""
    known = any(np.isfinite(value) for value in observed.values())
    rows = [
        [geo, amount(own["mean"]), f"{amount(own['lower'])} to {amount(own['upper'])}"]
        + ([amount(observed.get(geo, np.nan))] if known else [])
        for geo, own in expected.items()
    ]
    columns = ["Geo", "Expected", f"{prob:.0%} interval", *(["Observed"] if known else [])]
    screen.table("Expected in all, by geo", columns, rows[:MOST])
    _say_rest(screen, rows)


def show_validation(screen: Screen, cv: CrossValidation) -> None:
    """Mean scores over the folds of every geo, and its skill over the naive forecasts."""
    rows = [
        [
            str(geo),
            amount(row["crps"]),
            percent(row["coverage_90"]),
            percent(row["mape"]),
            percent(row["last_skill"], sign=True),
            percent(row["seasonal_skill"], sign=True),
        ]
        for geo, row in cv.scores_by_geo().iterrows()
    ]
    columns = ["Geo", "CRPS", "in 90%", "MAPE", "skill over last value", "over last year"]
    screen.table("Forecasts by geo, mean over the folds", columns, rows[:MOST])
    _say_rest(screen, rows)


def show_spend(screen: Screen, plan: Any, reference: Any) -> None:
    """Planned spend of every geo over all channels, beside the reference; nothing for a plan of one market."""
    if "geo" not in plan.spend.dims:
        return
    planned, before = (table.sum(["date", "channel"]) for table in (plan.spend, reference))
    response = plan.channel_response.mean(["chain", "draw"]).sum("channel")
    order = [str(geo) for geo in planned["geo"].values[np.argsort(-planned.values, kind="stable")]]
    rows = []
    for geo in order[:MOST]:
        new, old = float(planned.sel(geo=geo)), float(before.sel(geo=geo))
        change = percent(new / old - 1, sign=True) if old else "-"
        rows.append([geo, amount(old), amount(new), change, amount(float(response.sel(geo=geo)))])
    screen.table("The plan by geo, all channels together", ["Geo", "Reference", "Plan", "Change", "Response"], rows)
    _say_rest(screen, order)


def _score(own: Mapping[str, float], name: str) -> str:
    return percent(own[name]) if own else "-"


def _say_rest(screen: Screen, everything: Sequence[Any]) -> None:
    rest = len(everything) - MOST
    if rest > 0:
        screen.say(f"and {counted(rest, 'more geo')}; the JSON file has them all.")
