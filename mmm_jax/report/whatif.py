"""The part of the page in which people move spend: its controls, which the page's script brings to life."""

import numpy as np

from mmm_jax.report.curves import Curves
from mmm_jax.report.html import Html, tag, together
from mmm_jax.report.levels import Levels
from mmm_jax.report.words import INTERVAL, Words, number, share

STEPS = 1000
"""Of a slider, from end to end."""


def what_if(levels: Levels, words: Words, notes: Html) -> Html:
    """Results, a control per channel, room for the curve of one of them, and notes on the numbers."""
    with_reference = levels.reference is not None
    controls = tag("div", *(_control(levels, words, index) for index in range(len(levels.channels))), class_="controls")
    return tag(
        "section",
        tag("h2", "What if"),
        tag("p", "Move a slider or type an amount, and see what it would bring.", class_="lead"),
        tag("noscript", tag("p", "This part needs JavaScript, which is switched off here.", class_="note")),
        _results(words, with_reference=with_reference),
        _messages(),
        _buttons(words, with_reference=with_reference),
        tag("div", controls, _chart(levels, words), class_="columns"),
        notes,
        id="what-if",
    )


def method(levels: Levels, curves: Curves, words: Words, response: np.ndarray, error: float) -> Html:
    """How the numbers of the what-if come about, and how exact they are.

    Args:
        levels: of spend.
        curves: as they were put into the page.
        words: what things are called.
        response: the plan's, of all draws of the posterior.
        error: largest error of a draw's total that was found between the knots, in units of the target.
    """
    expected, knots = float(response.mean()), levels.positions.shape[1]
    cells = "dates and geos" if "geo" in levels.profile.dims else "dates"
    sentences = (
        f"The what-if computes with {_draws(levels, curves, words, response)}",
        "Each draw has its own curve for every channel, so that the intervals hold for all channels together.",
        f"The curves are known at {knots} levels of spend per channel and interpolated between them: held against the model "
        f"there, no draw's total was off by more than {_at_most(error / expected if expected else np.nan)} of the plan's "
        "response.",
        f"Each channel's spend is spread over the {cells} as in the plan.",
    )
    return tag("p", " ".join(sentences), class_="note")


def _draws(levels: Levels, curves: Curves, words: Words, response: np.ndarray) -> str:
    if curves.num_draws == len(response):
        return f"all {len(response):,} draws of the posterior."
    found = float(curves.at(levels.position(levels.plan)).total.mean())
    return (
        f"{curves.num_draws:,} of the posterior's {len(response):,} draws; at the plan, these give a mean response of "
        f"{number(found)} {words.target}, all draws {number(float(response.mean()))}."
    )


def _at_most(error: float) -> str:
    """A bound in round numbers: the error itself is no news."""
    bounds = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
    bound = next((bound for bound in bounds if abs(error) <= bound), None)
    return share(abs(error)) if bound is None else f"{100 * bound:g}%"


def _results(words: Words, *, with_reference: bool) -> Html:
    rows = [("response", "Expected response"), ("gain", "Against the plan")]
    rows += [("reference", f"Against {words.reference}")] if with_reference else []
    return tag("div", *(_result(name, title) for name, title in [*rows, ("spend", "Spend")]), class_="results")


def _messages() -> Html:
    """A warning for the eye, and a sentence for screen readers, which cannot follow every step of a slider."""
    spoken = tag("p", id="spoken", class_="hidden", role="status", aria_live="polite")
    return together(tag("p", id="warning", class_="warning", hidden=True), spoken)


def _result(name: str, title: str) -> Html:
    lines = (tag("p", id=f"{name}-{line}", class_=line) for line in ("value", "range", "chance"))
    return tag("div", tag("h3", title), *lines, class_="result")


def _buttons(words: Words, *, with_reference: bool) -> Html:
    names = [("reset", "Back to the plan"), ("rescale", "Scale to the plan's total")]
    names += [("to-reference", f"Spend of {words.reference}")] if with_reference else []
    hint = tag("span", "The page's address keeps the sliders: copy it to share them.", class_="note")
    return tag("p", *(tag("button", text, id=name, type="button") for name, text in names), hint, class_="buttons")


def _control(levels: Levels, words: Words, index: int) -> Html:
    name, highest = levels.channels[index], levels.highest[index]
    box = {"type": "number", "min": 0, "max": f"{highest:.15g}", "step": "any", "inputmode": "decimal"}
    slider = {"type": "range", "min": 0, "max": STEPS, "step": 1}
    spend = tag("input", id=f"spend-{index}", aria_label=f"Spend on {name} ({words.currency})", **box)
    # The page's script counts on a control for every channel; what is organic has none to see.
    return tag(
        "fieldset",
        tag("legend", name),
        tag("div", spend, tag("span", words.currency, class_="unit"), class_="amount"),
        tag("div", tag("input", id=f"slider-{index}", aria_label=f"Spend on {name}", **slider), _scale(), class_="track"),
        tag("p", id=f"note-{index}", class_="note"),
        tag("div", class_="bar", id=f"bar-{index}"),
        tag("p", id=f"brings-{index}", class_="brings"),
        hidden=name in levels.organic or None,
    )


def _scale() -> Html:
    """Room under the slider for its marks."""
    return tag("div", class_="scale", aria_hidden="true")


def _chart(levels: Levels, words: Words) -> Html:
    options = (tag("option", name, value=index) for index, name in enumerate(levels.channels) if name not in levels.organic)
    label = tag("label", "Response curve of ", tag("select", *options, id="shown"))
    return tag("div", tag("p", label), tag("div", id="curve"), _legend(levels, words), class_="chart")


def _legend(levels: Levels, words: Words) -> Html:
    marks = [("now", "Where the slider is"), ("plan", "Plan")]
    marks += [] if levels.reference is None else [("reference", words.reference)]
    marks += [("line", "Mean"), ("band", INTERVAL)]
    marks += [("beyond", "Beyond what was observed")] if (levels.observed < levels.highest).any() else []
    entries = (tag("li", tag("span", class_=f"swatch {kind}"), text) for kind, text in marks)
    return tag("ul", *entries, class_="legend")
