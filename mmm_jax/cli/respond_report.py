"""What `mmm-jax respond` says: to people in tables, to machines as JSON."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli.report import say_verdict
from mmm_jax.cli.respond_fit import GUESS, OURS, REGRESSION, Judged, Verdict
from mmm_jax.cli.screen import Screen, amount, percent, span
from mmm_jax.cli.words import counted, listed
from mmm_jax.remarketing.audience import Audience
from mmm_jax.remarketing.scores import Scores

_NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss (less is better)",
    "brier": "Brier (less is better)",
    "calibration_error": "calibration error (less)",
    "accuracy": "accuracy at 0.5",
    "precision": "precision at 0.5",
    "recall": "recall at 0.5",
    "f1": "F1 at 0.5",
}
_PARTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Of the chosen number of contacts: what else is told."""

_OF_MEANS = "Values are of customers' mean probabilities, intervals of single draws, which often score worse."

_MOST = 12
"""Odds ratios, and customers, that are shown."""


def show_fit(screen: Screen, found: Judged, written: list[Path]) -> None:
    """Rows, verdict, scores side by side, uplift if there is some, and the strongest features."""
    fitted, verdict = found.fitted, found.verdict
    who = "customer" if fitted.control is None else "contacted customer"
    held = "" if verdict is None else f"; {counted(len(verdict.y), f'other {who}')} to judge by"
    rate = percent(found.responders / found.rows)
    screen.say(f"{counted(found.rows, who)}, of whom {found.responders:,} ({rate}) responded{held}.")
    dropped = [name for name, why in fitted.preparation.dropped_.items() if why.startswith("constant")]
    left_out = f"; left out as constant: {listed(dropped)}" if dropped else ""
    screen.say(f"{counted(len(fitted.model.columns_), 'feature')}{left_out}.")
    say_verdict(screen, fitted.model.diagnostics)
    if fitted.control is not None:
        screen.say(f"\nWithout contact, from {counted(found.left_alone, 'customer')}:")
        say_verdict(screen, fitted.control.diagnostics)
    if verdict is not None:
        _show_comparison(screen, verdict.comparison)
        _show_uplift(screen, verdict)
    _show_odds(screen, found.odds)
    screen.say_seconds()
    screen.say(f"Written: {', '.join(str(path) for path in written if path.parent.name != 'plots')}.")


def fit_as_json(found: Judged, written: list[Path]) -> dict[str, Any]:
    """The same for machines."""
    fitted, verdict = found.fitted, found.verdict
    return {
        "rows": found.rows,
        "responders": found.responders,
        "left_alone": found.left_alone,
        "held_out": 0 if verdict is None else len(verdict.y),
        "features": fitted.model.columns_,
        "dropped": fitted.preparation.dropped_,
        "diagnostics": fitted.model.diagnostics.to_dict(),
        "control_diagnostics": None if fitted.control is None else fitted.control.diagnostics.to_dict(),
        "scores": None if verdict is None else _scores_as_json(verdict.comparison),
        "uplift": None if verdict is None else _uplift_as_json(verdict),
        "odds_ratios": found.odds.to_dict("index"),
        "files": written,
    }


def show_scored(screen: Screen, table: pd.DataFrame, scores: Scores | None, out: Path) -> dict[str, Any]:
    """How many were scored, and how well where that can be known; returns the same for machines."""
    mean: float = table["probability"].mean()  # pyright: ignore[reportAssignmentType]
    top = table.nlargest(_MOST, "probability").to_dict("records")
    screen.say(f"{counted(len(table), 'customer')}, {amount(mean * len(table))} responses expected.")
    rows = [[str(one["customer"]), percent(one["probability"]), span(one["lower"], one["upper"], percent)] for one in top]
    screen.table("The likeliest", ["customer", "probability", "interval"], rows)
    result: dict[str, Any] = {"customers": len(table), "mean_probability": mean, "files": [out]}
    if "uplift" in table:
        result["mean_uplift"] = added = float(table["uplift"].to_numpy().mean())
        screen.say(f"\nContact adds {_points(added)} on average; the list says how much by customer.")
    if scores is None:
        screen.say("\nNo labels in the table: nothing to judge the probabilities by.")
    else:
        rows = [[_NAMES[name], _score(one.of_mean), span(one.lower, one.upper, _score)] for name, one in _rows(scores.table)]
        screen.table(f"Scores, {scores.responders} responders", ["score", "value", "interval"], rows)
        screen.say(_OF_MEANS)
        result["scores"] = scores.table.to_dict("index")
    screen.say(f"Written: {out}.")
    return result


def show_audience(screen: Screen, found: Audience, out: Path, plots: Path | None) -> dict[str, Any]:
    """Who is contacted and what may come of it; returns the same for machines."""
    low, high = found.interval
    screen.say(f"{found.contacts:,} of {counted(len(found.ids), 'customer')} to contact, {found.holdout:,} held out.")
    screen.say(
        f"Cost {amount(found.spent)}, expected profit {amount(found.expected)} ({found.prob:.0%} interval "
        f"{span(low, high)}), loss with probability {percent(found.loss)}."
    )
    _show_sensitivity(screen, found)
    if found.by_uplift:
        screen.say("\nThe profit is that of responses that contact adds.")
    else:
        screen.notice(
            "response is not uplift: part of these responses would come without contact, and are counted as profit here."
            + ("" if found.holdout else " Hold some customers out, by --holdout, to measure what contact adds.")
        )
    written = [out]
    if plots is not None:
        from mmm_jax.cli.pictures import save_audience_picture

        written += save_audience_picture(found, plots)
    screen.say(f"Written: {', '.join(map(str, written))}.")
    return {
        "customers": len(found.ids),
        "contacts": found.contacts,
        "holdout": found.holdout,
        "cost": found.spent,
        "expected_profit": found.expected,
        "interval": found.interval,
        "prob": found.prob,
        "probability_of_loss": found.loss,
        "by_uplift": found.by_uplift,
        "bound": found.bound,
        "table": found.table.to_dict("records"),
        "files": written,
    }


def _show_comparison(screen: Screen, table: pd.DataFrame) -> None:
    rows = []
    for name in _NAMES:
        ours = table.loc[name, OURS]
        others = [_score(table.loc[name, (other, "of_mean")]) for other in (REGRESSION, GUESS)]
        rows.append([_NAMES[name], _score(ours["of_mean"]), span(ours["lower"], ours["upper"], _score), *others])
    screen.table("Scores on the other customers", ["score", "model", "interval", "logistic", "guess"], rows)
    screen.say(_OF_MEANS)


def _show_uplift(screen: Screen, verdict: Verdict) -> None:
    if verdict.uplift is None or verdict.curve is None:
        return
    average, curve = verdict.uplift.average.to_dict(), verdict.curve
    interval = span(average["lower"], average["upper"], lambda value: f"{100 * value:+.1f}")
    screen.say(f"\nContact adds {_points(average['mean'])} ({interval}) to the probability of a response.")
    screen.say(
        f"In the order of the estimated uplift, the area above contacting at random is {_points(curve.area)}; chance alone "
        f"would reach that with probability {curve.p_value:.2g}."
    )


def _scores_as_json(comparison: Any) -> dict[str, Any]:
    return {name: comparison[name].to_dict("index") for name in (OURS, REGRESSION, GUESS)}


def _uplift_as_json(verdict: Verdict) -> dict[str, Any] | None:
    if verdict.uplift is None or verdict.curve is None:
        return None
    curve = verdict.curve
    return {"average": verdict.uplift.average.to_dict(), "area": curve.area, "p_value": curve.p_value}


def _show_odds(screen: Screen, table: pd.DataFrame) -> None:
    # The farthest from 1 in either direction.
    order = table.index[np.argsort(-np.abs(np.log(table["per_sd"].to_numpy())), kind="stable")]
    rows = [[str(name), *_ratio(table.loc[name])] for name in order[:_MOST]]
    title = f"Odds ratios per standard deviation, {len(rows)} of {len(table)}"
    screen.table(title, ["feature", "ratio", "interval", "raises the odds"], rows)


def _ratio(row: Any) -> list[str]:
    interval = span(row["per_sd_lower"], row["per_sd_upper"], _two_digits)
    return [_two_digits(row["per_sd"]), interval, percent(row["raises"])]


def _show_sensitivity(screen: Screen, found: Audience) -> None:
    """A few numbers of contacts about the chosen one."""
    chosen, table = found.contacts + found.holdout, found.table.set_index("contacts")
    places = np.unique([np.abs(table.index - part * chosen).argmin() for part in _PARTS])
    rows = []
    for count, row in table.iloc[places].iterrows():
        numbers = [*map(amount, row[["cost", "expected_profit"]]), span(row["lower"], row["upper"]), percent(row["loss"])]
        rows.append([f"{count:,}{' *' if count == chosen else ''}", *numbers])
    screen.table("More or fewer, nobody held out", ["contacts", "cost", "expected profit", "interval", "loss"], rows)


def _rows(table: pd.DataFrame) -> list[tuple[str, Any]]:
    return [(name, table.loc[name]) for name in _NAMES]


def _score(value: Any) -> str:
    return f"{float(value):.3f}"


def _points(share: float) -> str:
    """A difference of two shares."""
    return f"{100 * share:+.1f} points"


def _two_digits(value: float) -> str:
    return f"{value:.2f}"
