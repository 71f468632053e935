"""What the ledger's commands share: files that they read, and what they say when an event is written."""

from pathlib import Path
from typing import Any

import pandas as pd

from mmm_jax.cli.screen import Screen, amount, span
from mmm_jax.cli.spend_files import SpendPlan, read_spend
from mmm_jax.errors import LedgerError
from mmm_jax.fitting.geo_fit import AnyFit, load_any
from mmm_jax.monitoring.ledger import Ledger


def opened(place: str, *, create: bool = False) -> Ledger:
    """The ledger at a place; only a proposal may begin a new one."""
    return Ledger(place, create=create)


def read_fit(path: Path | None) -> AnyFit | None:
    """A saved fit, if one is named."""
    return None if path is None else load_any(path)


def read_plan(plan: Path | None, spend: Path | None) -> SpendPlan:
    """What is proposed, from a plan or a table.

    Raises:
        LedgerError: none or both are given, or the file is no plan.
        PanelError: the table cannot be read.
    """
    if plan is not None and spend is not None:
        raise LedgerError("Give --plan or --spend, not both.")
    if spend is not None:
        return SpendPlan(read_spend(spend), {})
    if plan is None:
        raise LedgerError("Say what is proposed: --plan plan.json of `mmm-jax optimize`, or --spend with a table.")
    return SpendPlan.read_json(plan)


def window_of(ledger: Ledger, name: str, start: str | None, end: str | None) -> tuple[str, str] | None:
    """The window of a measurement, whose ends are the plan's by default."""
    if start is None and end is None:
        return None
    dates = ledger.record(name).decision.proposal["dates"]
    return start or dates[0], end or dates[-1]


def say_state(ledger: Ledger, name: str, machine: bool) -> None:
    """What the ledger now says of a decision."""
    screen = Screen(machine)
    row: Any = ledger.decisions().loc[name]
    events: Any = ledger.history(name)
    number, kind = int(events.index[-1]), str(events["kind"].iloc[-1])
    screen.say(f"Event {number}: {name} is {row['state']}.")
    target = "" if row["target"] is None else f" {row['target']}"
    currency = "" if row["currency"] is None else f" {row['currency']}"
    spend = f"Spend {amount(row['spend'])}{currency}"
    if pd.notna(row["delivered"]):
        spend = f"Spent {amount(row['delivered'])}{currency} of {amount(row['spend'])} planned"
    screen.say(f"{spend} from {row['start']:%Y-%m-%d} to {row['end']:%Y-%m-%d}.")
    if pd.notna(row["predicted"]):
        band = f"90% interval {span(row['lower'], row['upper'])}"
        screen.say(f"Predicted to bring {amount(row['predicted'])}{target} more than the baseline ({band}).")
    screen.finish(
        {
            "event": number,
            "kind": kind,
            "decision": name,
            "state": row["state"],
            "spend": row["spend"],
            "delivered": row["delivered"],
            "predicted": row["predicted"],
            "lower": row["lower"],
            "upper": row["upper"],
        }
    )
