"""What the page says of the geos of a plan."""

from typing import Any

import numpy as np

from mmm_jax.report.html import Html, tag
from mmm_jax.report.words import INTERVAL, Words, change, number, span


def geo_table(plan: Any, reference: Any, words: Words) -> list[Html]:
    """One row per geo, all channels together, the largest first; nothing for a plan of one market.

    Args:
        plan: an `Allocation`.
        reference: spend to compare with, or `None`.
        words: what things are called.
    """
    if "geo" not in plan.spend.dims:
        return []
    planned = _by_geo(plan.spend)
    before = None if reference is None else _by_geo(plan.aligned(reference))
    response = plan.channel_response.sum("channel").transpose("geo", "chain", "draw")
    order = np.argsort(-planned.to_numpy(), kind="stable")
    rows = [_row(int(place), planned, before, response) for place in order]
    compared = [] if before is None else [f"{words.reference} ({words.currency})", "Change"]
    head = ["Geo", f"Plan ({words.currency})", *compared, f"Expected response ({words.target})", INTERVAL]
    names = (tag("th", name, scope="col", class_="text" if name == "Geo" else None) for name in head)
    lines = [tag("tr", *map(_cell, head, row)) for row in rows]
    table = tag("table", tag("thead", tag("tr", *names)), tag("tbody", *lines))
    note = "All channels together. Where channels multiply, a geo's response is the sum of what each adds to the others."
    return [tag("section", tag("h2", "Geo by geo"), table, tag("p", note, class_="note"))]


def _by_geo(spend: Any) -> Any:
    return spend.sum(["date", "channel"])


def _row(place: int, planned: Any, before: Any, response: Any) -> list[str]:
    geo, new, draws = str(planned["geo"].values[place]), float(planned[place]), response[place].to_numpy().ravel()
    old = [] if before is None else [float(before[place])]
    compared = [words for amount in old for words in (number(amount), change(new, amount))]
    return [geo, number(new), *compared, number(float(draws.mean())), span(draws)]


def _cell(name: str, content: str) -> Html:
    if name == "Geo":
        return tag("th", content, scope="row", class_="text")
    # On narrow screens rows become blocks, in which every cell names its column.
    return tag("td", content, data_name=name)
