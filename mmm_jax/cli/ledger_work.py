"""What the ledger's commands share: files that they read, and what they say when an event is written."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mmm_jax.cli.screen import Screen, amount, span
from mmm_jax.cli.table import read_table
from mmm_jax.errors import LedgerError
from mmm_jax.fitting.posterior import Fit
from mmm_jax.monitoring.ledger import Ledger


def opened(place: str, *, create: bool = False) -> Ledger:
    """The ledger at a place; only a proposal may begin a new one."""
    return Ledger(place, create=create)


def read_fit(path: Path | None) -> Fit | None:
    """A saved fit, if one is named."""
    return None if path is None else Fit.load(path)


def read_plan(plan: Path | None, spend: Path | None) -> pd.DataFrame:
    """Spend by date and channel, from a plan or a table.

    Raises:
        LedgerError: none or both are given, or the file is no plan.
    """
    if plan is None and spend is None:
        raise LedgerError("Say what is proposed: --plan plan.json of `mmm-jax optimize`, or --spend with a table.")
    if plan is None or spend is not None:
        if plan is not None:
            raise LedgerError("Give --plan or --spend, not both.")
        assert spend is not None  # noqa: S101
        return read_spend(spend)
    try:
        found = json.loads(plan.read_text(encoding="utf-8"))
        return pd.DataFrame(found["spend"], index=pd.Index(found["dates"], name="date"))
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{plan}: this is no plan that `mmm-jax optimize` wrote ({error}).") from error


def read_spend(path: Path) -> pd.DataFrame:
    """A table of spend by date and channel.

    Raises:
        LedgerError: it has no column `date`.
        PanelError: it cannot be read.
    """
    table = read_table(path)
    if "date" not in table.columns:
        raise LedgerError(f"{path}: there is no column 'date'; the table has {', '.join(map(str, table.columns))}.")
    return table.set_index("date")


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
