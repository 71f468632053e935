"""The whole page, put together from the plan's own words and the what-if."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.plots import style
from mmm_jax.report import effects, html
from mmm_jax.report.curves import Curves
from mmm_jax.report.effects import flat
from mmm_jax.report.geos import geo_table
from mmm_jax.report.levels import Levels, page_levels, per_channel
from mmm_jax.report.payload import payload
from mmm_jax.report.sections import certificate, channel_table, headline
from mmm_jax.report.whatif import method, what_if
from mmm_jax.report.words import Words, length_of, number

_COLOURS = {
    "blue": style.BLUE,
    "orange": style.ORANGE,
    "green": style.GREEN,
    "vermilion": style.VERMILION,
    "sky": style.SKY,
}
_SCRIPTS = "numbers.js", "curves.js", "charts.js", "whatif.js"


def plan_document(
    plan: Any,
    words: Words,
    *,
    title: str | None,
    reference: Any,
    observed_peak: Mapping[str, float] | None,
    num_draws: int,
) -> str:
    """The page as text; see `write_plan_page`.

    Args:
        plan: an `Allocation`.
        words: what things are called.
        title: of the page; says how much is spent on which dates by default.
        reference: spend to compare with, or `None`.
        observed_peak: largest observed spend of a period by channel, or `None`.
        num_draws: at most so many draws for the what-if.
    """
    comparison = None if reference is None else plan.compare(reference)
    levels, curves, draws, additive = _curves(plan, _spend_of(reference, plan), observed_peak, num_draws)
    error = effects.interpolation_error(plan, levels, curves, draws)
    response, other = flat(plan.response), None if comparison is None else flat(comparison.other_response)[draws]
    name = html.together(_title(plan, words) if title is None else title)
    body = [
        html.tag("h1", name),
        headline(plan, comparison, words),
        channel_table(plan, levels, words, adds_up=additive),
        *geo_table(plan, reference, words),
        what_if(levels, words, method(levels, curves, words, response, error)),
        certificate(plan.certificate, words),
    ]
    return _page(name, html.Html("\n".join(body)), payload(levels, curves, words, other))


def _curves(
    plan: Any,
    reference: np.ndarray | None,
    observed_peak: Mapping[str, float] | None,
    num_draws: int,
) -> tuple[Levels, Curves, np.ndarray, bool]:
    """Levels, curves of a subset of the draws, which draws these are, and whether channels add up."""
    draws = effects.thinned(plan.response.size, num_draws)
    levels = _levels(plan, reference, observed_peak, effects.KNOTS)
    additive = effects.adds_up(plan, levels)
    if additive:
        curves = effects.added_curves(plan, levels, draws)
    else:
        levels = _levels(plan, reference, observed_peak, effects.KNOTS_OF_PERIODS)
        curves = effects.multiplied_curves(plan, levels, draws)
    effects.check_against(plan, levels, curves, draws)
    kept = effects.fitting(curves)
    return levels, curves.take(kept), draws[kept], additive


def _levels(plan: Any, reference: np.ndarray | None, observed_peak: Mapping[str, float] | None, knots: int) -> Levels:
    return page_levels(plan, reference=reference, observed_peak=observed_peak, knots=knots)


def _spend_of(reference: Any, plan: Any) -> np.ndarray | None:
    """The reference's spend in the plan's order of channels, which `plan.compare` has checked."""
    if reference is None:
        return None
    channels = plan.spend["channel"].to_numpy()
    if isinstance(reference, xr.DataArray):
        return per_channel(reference).sel(channel=channels).to_numpy().astype(float)
    given = {str(name): float(amount) for name, amount in dict(reference).items()}
    # Of what is organic, it need not say that it has no spend.
    return np.array([0.0 if name in plan.organic else given[str(name)] for name in channels])


def _title(plan: Any, words: Words) -> str:
    return f"Budget plan: {number(plan.total)} {words.currency} over {length_of(plan.spend)}"


def _page(title: str, body: str, values: Mapping[str, Any]) -> str:
    look = html.filled(html.resource("page.css"), _COLOURS)
    # A function around the scripts keeps their names to themselves.
    script = '(() => {\n"use strict";\n' + "\n".join(map(html.resource, _SCRIPTS)) + "})();"
    parts = {"title": title, "body": body, "style": look, "script": script, "data": html.script_json(values)}
    hashes = {"style_hash": html.content_hash(look), "script_hash": html.content_hash(script)}
    return html.filled(html.resource("page.html"), {**parts, **hashes})
