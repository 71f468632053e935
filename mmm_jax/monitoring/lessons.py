"""What the next training learns from beside its rows: outcomes of a ledger, and experiments that were known already."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmm_jax.data.experiments import CostPerTarget, LiftTest, LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.monitoring.chain import Event
from mmm_jax.monitoring.ledger import Ledger

_OUTSIDE = "its dates are not all in the training window"


@dataclass(frozen=True)
class Lessons:
    """Experiments for a fit, and where they come from.

    Attributes:
        experiments: all of them.
        ledger_rows: of those of a ledger, `decision`, `outcome` (its number), `channel`, `se` (as it is used) and `event`,
            the hash of the event that said it last.
        left_out: what is not used, and the `reason`: outcomes of the ledger, by `decision` and `outcome`, and experiments
            of the parent, by `channel` and `start`.
    """

    experiments: LiftTests
    ledger_rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)


def still_known(experiments: LiftTests | None, panel: AnyPanel, ledger: Ledger | None) -> Lessons:
    """What an earlier fit knew and a new one still may: experiments within the panel's dates.

    Args:
        experiments: of the earlier fit.
        panel: the rows that the new one trains on.
        ledger: what has a source is taken from there, if there is one: as it was last restated, and not twice.
    """
    kept, left_out = [], []
    for one in () if experiments is None else experiments.rows:
        reason = "" if _within(one, panel.dates[0], panel.dates[-1]) else _OUTSIDE
        if ledger is not None and getattr(one, "source", None) is not None:
            reason = "it has a source: the ledger tells it anew"
        if reason:
            left_out.append({"channel": one.channel, "start": str(one.start or ""), "reason": reason})
        else:
            kept.append(one)
    tests = [one for one in kept if isinstance(one, LiftTest)]
    costs = [one for one in kept if isinstance(one, CostPerTarget)]
    return Lessons(LiftTests(tests, costs), left_out=left_out)


def with_ledger(known: Lessons, panel: AnyPanel, ledger: Ledger | None, asked: dict[str, Any]) -> Lessons:
    """The same with the outcomes of a ledger.

    Args:
        known: experiments that it does not hold.
        panel: the rows that the new fit trains on.
        ledger: outcomes, if there are any.
        asked: of `Ledger.calibration`: `since`, `independent`, `half_life`.

    Raises:
        LedgerError: an outcome would count twice.
    """
    if ledger is None:
        return known
    asked = {**asked, "training_window": (panel.dates[0], panel.dates[-1])}
    found: Any = ledger.calibration(**asked)
    table: Any = ledger.calibration_table(**asked)
    rows, left_out = [], list(known.left_out)
    for (decision, number), row in table.iterrows():
        name = {"decision": str(decision), "outcome": int(number)}
        if row["used"]:
            said = _last_said(ledger.record(str(decision)).decision.events, int(number))
            rows.append({**name, "channel": row["channel"], "se": float(row["se_used"]), "event": said})
        else:
            left_out.append({**name, "reason": row["reason"]})
    tests = [*known.experiments.tests, *found.tests]
    return Lessons(LiftTests(tests, known.experiments.costs), rows, left_out)


def _within(one: LiftTest | CostPerTarget, first: np.datetime64, last: np.datetime64) -> bool:
    dates = [one.start, one.end, getattr(one, "outcome_end", None)]
    return all(first <= date <= last for date in dates if date is not None)


def _last_said(events: Sequence[Event], number: int) -> str:
    """Hash of the last event that tells what an outcome is."""
    said = [one for one in events if one.sequence == number or _restates(one, number)]
    return said[-1].hash


def _restates(event: Event, number: int) -> bool:
    return event.kind == "restated" and event.content.get("outcome") == number
