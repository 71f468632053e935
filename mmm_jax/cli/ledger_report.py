"""The ledger on the screen and as JSON: decisions, variances, bias, evidence, and whether the chain holds."""

from pathlib import Path
from typing import Any

import pandas as pd

from mmm_jax.cli import pictures
from mmm_jax.cli.screen import Screen, amount, compact, percent, span
from mmm_jax.cli.words import counted
from mmm_jax.monitoring.ledger import Ledger

ALPHA = 0.05


def show(ledger: Ledger, name: str | None, plots: Path | None, *, machine: bool) -> None:
    """Everything that the ledger says, or what it says of one decision."""
    screen = Screen(machine)
    result = _one(screen, ledger, name) if name is not None else _all(screen, ledger)
    if plots is not None:
        written = pictures.save_ledger_picture(ledger, plots)
        result["files"] = written
        screen.say(f"\nWritten: {', '.join(map(str, written))}.")
    screen.finish(result)


def verified(ledger: Ledger, head: str | None, *, machine: bool) -> bool:
    """Say whether the chain holds."""
    screen, found = Screen(machine), ledger.verify(head=head)
    if found.intact:
        screen.say(f"Intact: {counted(found.count, 'event')}.", style="green")
        screen.say(f"Head, to be noted elsewhere: {found.head}")
    else:
        screen.say(f"NOT INTACT: {found.reason}.", style="bold red")
    columns = {"intact": found.intact, "events": found.count, "head": found.head}
    screen.finish({**columns, "first_fault": found.sequence, "reason": found.reason or None})
    return found.intact


def _all(screen: Screen, ledger: Ledger) -> dict[str, Any]:
    decisions: Any = ledger.decisions()
    scores: Any = ledger.scores()
    bias: Any = ledger.bias()
    errors: Any = ledger.one_sided_errors(ALPHA)
    _show_decisions(screen, decisions)
    variances = {str(name): ledger.variance(str(name)) for name in decisions.index[decisions["state"] == "measured"]}
    _show_outcomes(screen, variances, scores)
    _show_bias(screen, bias, errors)
    coverage = float(scores["inside"].mean()) if len(scores) else None
    return {
        "decisions": records(decisions),
        "variance": {name: records(table) for name, table in variances.items()},
        "scores": records(scores),
        "coverage": coverage,
        "bias": records(bias),
        "one_sided_errors": records(errors),
    }


def _one(screen: Screen, ledger: Ledger, name: str) -> dict[str, Any]:
    history = ledger.history(name)
    rows = [
        [f"{number}", row.kind, f"{row.recorded:%Y-%m-%d %H:%M}", _words(row.payload)] for number, row in history.iterrows()
    ]
    screen.table(f"Events of {name} (UTC)", ("Event", "Kind", "Recorded", "Says"), rows)
    decided = ledger.decisions().loc[name, "state"]
    variance: Any = ledger.variance(name) if decided in ("delivered", "measured") else None
    if variance is not None:
        _show_variance(screen, name, variance)
    return {"history": records(history), "variance": None if variance is None else records(variance)}


def records(table: Any) -> list[dict[str, Any]]:
    """A table's rows as plain values: dates as text, nothing where nothing is known."""
    found = table.reset_index()
    return [{str(name): _plain(value) for name, value in row.items()} for row in found.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat() if value.tz is None else value.isoformat()
    if isinstance(value, (dict, list)):
        return value
    return None if pd.isna(value) else value


def _show_decisions(screen: Screen, table: Any) -> None:
    if len(table) == 0:
        screen.say("No decision has been proposed yet.")
        return
    rows = [
        [str(name), row.state, f"{row.start:%Y-%m-%d}", compact(row.spend), compact(row.delivered), compact(row.predicted)]
        for name, row in table.iterrows()
    ]
    screen.table("Decisions", ("Decision", "State", "From", "Spend", "Delivered", "Predicted"), rows)


def _show_outcomes(screen: Screen, variances: dict[str, Any], scores: Any) -> None:
    rows = []
    for name, table in variances.items():
        for part, row in table.dropna(subset=["measured"]).iterrows():
            pit = float(scores.loc[(name, int(row.outcome)), "pit"])
            parts = [compact(value) for value in (row.planned, row.measured, row.difference, row.execution, row.model)]
            rows.append([name if part == "total" else f"{name}: {part}", *parts, f"{pit:.2f}"])
    if not rows:
        return
    columns = ("Outcome of", "Planned", "Measured", "Difference", "Other spend", "Model", "PIT")
    screen.table("Why outcomes were not as planned", columns, rows)
    inside = int(scores["inside"].sum())
    screen.say(
        f"{inside} of {counted(len(scores), 'outcome')} inside of the 90% interval. PIT near 0 or 1: hardly foreseen."
    )


def _show_bias(screen: Screen, bias: Any, errors: Any) -> None:
    if len(bias) == 0:
        return
    rows = []
    for name, row in bias.iterrows():
        known = name in errors.index
        e_value = amount(float(errors.loc[name, "e_value"])) if known else "-"
        flag = f"{errors.loc[name, 'direction']} than predicted" if known and errors.loc[name, "flagged"] else ""
        factor = [f"{row['median']:.2f}", span(row["lower"], row["upper"], lambda x: f"{x:.2f}"), percent(row["below_one"])]
        rows.append([str(name), *factor, e_value, flag])
    columns = ("Channel", "Factor", "90% interval", "P(below 1)", "E-value", "Brings")
    screen.table("What channels bring, over what was predicted", columns, rows)
    if errors["flagged"].any():
        screen.notice(
            "the model errs in one direction on some channels: refit it with these outcomes, or measure them anew."
        )


def _show_variance(screen: Screen, name: str, table: Any) -> None:
    columns = ("planned", "delivered", "measured", "difference", "execution", "model")
    rows = [[str(part), *(compact(float(row[column])) for column in columns)] for part, row in table.iterrows()]
    titles = ("Part", "Planned", "Delivered", "Measured", "Difference", "Other spend", "Model")
    screen.table(f"Variance of {name}", titles, rows)


def _words(payload: dict[str, Any]) -> str:
    if "value" in payload:
        of = f" of {payload['channel']}" if payload.get("channel") else ""
        return f"{amount(payload['value'])} +- {amount(payload['se'])}{of}"
    if "reason" in payload and "spend_by_channel" not in payload:
        return payload["reason"]
    spent = amount(sum(payload["spend_by_channel"].values())) if "spend_by_channel" in payload else ""
    told = payload.get("predicted")
    return ", ".join(filter(None, [spent and f"spend {spent}", told and f"brings {amount(told['mean'])}"]))
