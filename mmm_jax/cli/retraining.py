"""The steps of `mmm-jax retrain`: read, train, and show the challenger beside the champion."""

import warnings
from pathlib import Path
from typing import Any

from mmm_jax.cli import models_report, report, steps
from mmm_jax.cli.screen import Screen, amount, compact, percent, span
from mmm_jax.cli.words import counted
from mmm_jax.errors import ApproximationWarning, ConvergenceWarning
from mmm_jax.monitoring.challenge import Challenge
from mmm_jax.monitoring.ledger import Ledger
from mmm_jax.monitoring.registry import Registry
from mmm_jax.monitoring.retrain import Retraining, retrain

_SCORES = {"crps": "CRPS (less is better)", "elpd": "ELPD (more is better)"}


def run(
    screen: Screen,
    places: tuple[str, str | None],
    name: str,
    data: Path,
    config: Path,
    *,
    outcomes: bool,
    asked: dict[str, Any],
) -> dict[str, Any]:
    """Everything.

    Args:
        screen: where to write.
        places: of the database, and of the fits.
        name: of the model.
        data: the table.
        config: the configuration.
        outcomes: learn from the ledger's.
        asked: what else is asked of `retrain`.

    Returns:
        The result for machines.
    """
    registry = models_report.opened(*places)
    number = models_report.number_of(registry, name, asked["parent"])
    inputs = steps.read_inputs(config, data, screen)
    _notice_other_model(screen, registry, name, number, inputs)
    report.say_rows(screen, inputs.train, inputs.test, inputs.experiments)
    ledger = Ledger(places[0], create=False) if outcomes else None
    settings = {**asked, "parent": number, "trigger": asked["trigger"] or f"{len(inputs.train)} rows of {data.name}"}
    with warnings.catch_warnings(), screen.stage("retrain"):
        for kind in (ConvergenceWarning, ApproximationWarning):
            warnings.simplefilter("ignore", kind)
        known: Any = {**settings, **inputs.config.values.get("sampling", {}), "experiments": inputs.experiments.learned}
        done = retrain(name, inputs.train, registry=registry, ledger=ledger, later=inputs.test, **known)
    _show(screen, registry, done)
    return _as_json(registry, done)


def _notice_other_model(screen: Screen, registry: Registry, name: str, number: int, inputs: steps.Inputs) -> None:
    if registry.version(name, number).spec_hash != inputs.spec.content_hash():
        screen.notice(
            f"the configuration's model is not that of {name} {number}, which is what is fitted. For another model, use "
            "`mmm-jax fit` and `mmm-jax models register`."
        )


def _show(screen: Screen, registry: Registry, done: Retraining) -> None:
    learned, left_out = done.lessons.ledger_rows, done.lessons.left_out
    screen.say(f"{counted(len(learned), 'outcome')} of the ledger learned from, {len(left_out)} left out.")
    for row in left_out:
        what = f"{row['decision']} #{row['outcome']}" if "decision" in row else f"{row['channel']}, {row['start']}"
        screen.say(f"  {what}: {row['reason']}")
    report.say_verdict(screen, done.fit.diagnostics)
    if done.challenge is not None:
        _show_scores(screen, done.challenge)
        _show_returns(screen, done.challenge)
    words = models_report.in_words(registry, done.name, done.version)
    screen.say(f"\n{done.name} {done.version}, after {done.parent}: {words}.")
    if done.reason:
        screen.notice(f"it was not made the champion: {done.reason}")
    models_report.say_next_step(screen, registry.version(done.name, done.version))
    screen.say_seconds()


def _show_scores(screen: Screen, challenge: Challenge) -> None:
    rows = []
    table: Any = challenge.scores.iterrows()
    for score, row in table:
        numbers = [compact(row[column]) for column in ("champion", "challenger", "difference", "se")]
        rows.append([_SCORES[str(score)], *numbers, percent(row["better"])])
    if not rows:
        screen.say("\nNo later rows: champion and challenger are compared by their returns alone.")
        return
    columns = ("Score", "Champion", "Challenger", "Difference", "SE", "P(better)")
    screen.table(f"On {counted(len(challenge.rows), 'later row')} that neither has seen", columns, rows)


def _show_returns(screen: Screen, challenge: Challenge) -> None:
    rows = []
    table: Any = challenge.returns.iterrows()
    for channel, row in table:
        cells = []
        for who in ("champion", "challenger"):
            cells += [amount(row[who]), span(row[f"{who}_lower"], row[f"{who}_upper"])]
        rows.append([str(channel), *cells, percent(row["overlap"])])
    interval = f"{challenge.prob:.0%} interval"
    columns = ("Channel", "Champion", interval, "Challenger", interval, "Overlap")
    of = "the rows that both have learned from" if challenge.window else "the rows of each"
    screen.table(f"Return on spend, of {of}", columns, rows)


def _as_json(registry: Registry, done: Retraining) -> dict[str, Any]:
    return {
        **models_report.state(registry, done.name, done.version),
        "promoted": done.promoted,
        "not_promoted_because": done.reason or None,
        "learned": done.lessons.ledger_rows,
        "left_out": done.lessons.left_out,
        "comparison": None if done.challenge is None else done.challenge.to_dict(),
        "diagnostics": done.fit.diagnostics.to_dict(),
    }
