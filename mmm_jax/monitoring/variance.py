"""Why an outcome is not what was planned: other spend, or a model that was wrong."""

from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.errors import LedgerError
from mmm_jax.monitoring.decisions import Outcome
from mmm_jax.monitoring.records import Record, part

COLUMNS = (
    "outcome", "method", "planned", "delivered", "measured", "se",
    "difference", "execution", "execution_sd", "model", "model_sd",
)  # fmt: skip


def variance_table(record: Record) -> pd.DataFrame:
    """See `Ledger.variance`.

    Raises:
        LedgerError: nothing was delivered yet, or the decision is void.
    """
    decision = record.decision
    if record.delivered is None or decision.state == "voided":
        raise LedgerError(f"The decision {decision.name!r} is {decision.state}: there is no variance to explain.")
    rows = [_row(record, one, part_of) for part_of in (None, *decision.channels) for one in _outcomes(record, part_of)]
    return pd.DataFrame(rows, columns=["part", *COLUMNS]).set_index("part").astype({"outcome": "Int64"})


def _outcomes(record: Record, channel: str | None) -> list[Outcome | None]:
    """The outcomes of a part, or one that is not known."""
    return [one for one in record.decision.outcomes.values() if one.channel == channel] or [None]


def _row(record: Record, outcome: Outcome | None, channel: str | None) -> tuple[Any, ...]:
    assert record.planned is not None  # noqa: S101
    assert record.delivered is not None  # noqa: S101
    planned, delivered = (part(one, record.decision.channels, channel) for one in (record.planned, record.delivered))
    expected = float(planned.mean()), float(delivered.mean())
    value, se = (np.nan, np.nan) if outcome is None else (outcome.value, outcome.se)
    return (
        channel or "total",
        None if outcome is None else outcome.number,
        None if outcome is None else outcome.method,
        *expected,
        value,
        se,
        value - expected[0],
        expected[1] - expected[0],
        float((delivered - planned).std()),
        value - expected[1],
        float(np.hypot(delivered.std(), se)),
    )
