"""Decisions and their events as tables for people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.monitoring.chain import Event
from mmm_jax.monitoring.decisions import Decision, folded


def by_decision(events: Sequence[Event]) -> list[Decision]:
    """All decisions, in the order in which they were proposed."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.decision, []).append(event)
    return [folded(one) for one in found.values()]


def decision_table(decisions: Sequence[Decision]) -> pd.DataFrame:
    """One row per decision."""
    rows = {one.name: _row(one) for one in decisions}
    columns = list(_row_names())
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("decision")


def history_table(events: Sequence[Event]) -> pd.DataFrame:
    """One row per event, with its payload."""
    rows = [(one.sequence, one.kind, pd.Timestamp(one.recorded), one.content) for one in events]
    return pd.DataFrame(rows, columns=["number", "kind", "recorded", "payload"]).set_index("number")


def _row_names() -> tuple[str, ...]:
    return (
        "state", "start", "end", "spend", "baseline", "delivered", "predicted", "lower", "upper",
        "outcomes", "outcome", "se", "currency", "target", "model", "recorded",
    )  # fmt: skip


def _row(decision: Decision) -> tuple[Any, ...]:
    stated, predicted = decision.proposal, decision.predicted
    told = {} if predicted is None else predicted.content["predicted"]
    spent = None if decision.delivered is None else decision.delivered.content["spend_by_channel"]
    whole = [one for one in decision.outcomes.values() if one.channel is None]
    return (
        decision.state,
        pd.Timestamp(stated["dates"][0]),
        pd.Timestamp(stated["dates"][-1]),
        sum(stated["spend_by_channel"].values()),
        sum(stated["baseline_by_channel"].values()),
        np.nan if spent is None else sum(spent.values()),
        *(told.get(name, np.nan) for name in ("mean", "lower", "upper")),
        len(decision.outcomes),
        whole[-1].value if whole else np.nan,
        whole[-1].se if whole else np.nan,
        stated["currency"],
        stated["target"],
        "" if predicted is None else predicted.content["model"][:12],
        pd.Timestamp(decision.events[-1].recorded),
    )
