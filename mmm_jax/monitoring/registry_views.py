"""Versions and what happened to them as tables for people."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmm_jax.monitoring.registry_states import ModelVersion

if TYPE_CHECKING:
    from mmm_jax.monitoring.registry_store import Change

SCORES = ("crps", "coverage")


def version_table(versions: Sequence[ModelVersion], aliases: Mapping[tuple[str, str], int]) -> pd.DataFrame:
    """One row per version.

    Args:
        versions: in order.
        aliases: version by name and alias.
    """
    named: dict[tuple[str, int], list[str]] = {}
    for (name, alias), version in sorted(aliases.items()):
        named.setdefault((name, version), []).append(alias)
    rows = {(one.name, one.version): _row(one, named.get((one.name, one.version), [])) for one in versions}
    index = pd.MultiIndex.from_tuples(list(rows), names=["name", "version"]) if rows else _EMPTY
    return pd.DataFrame(list(rows.values()), index=index, columns=list(_COLUMNS)).astype({"parent": "Int64"})


def change_table(changes: Sequence["Change"]) -> pd.DataFrame:
    """One row per event, by its number."""
    rows = []
    for one in changes:
        rows.append((one.sequence, pd.Timestamp(one.recorded), one.version, one.kind, one.said.by, one.said.reason))
    columns = ["number", "recorded", "version", "event", "by", "reason"]
    return pd.DataFrame(rows, columns=columns).set_index("number")


_EMPTY = pd.MultiIndex.from_arrays([[], []], names=["name", "version"])

_COLUMNS = (
    "alias", "job", "review", "parent", "trigger", "start", "end", "converged", *SCORES, "ledger_rows",
    "spec_hash", "panel_fingerprint", "model", "artefact", "error", "created", "finished",
)  # fmt: skip


def _row(one: ModelVersion, aliases: Sequence[str]) -> tuple[object, ...]:
    facts = one.facts
    start, end = facts.get("window", [None, None])
    scores = facts.get("scores", {})
    return (
        ", ".join(aliases), one.job, one.review, one.parent, one.trigger, pd.Timestamp(start), pd.Timestamp(end),
        facts.get("diagnostics", {}).get("converged"),
        *(np.nan if scores.get(name) is None else scores[name] for name in SCORES),
        len(facts.get("ledger_rows", [])),
        one.spec_hash, one.panel_fingerprint, one.model, one.artefact, one.error,
        pd.Timestamp(one.created), pd.Timestamp(one.finished or None),
    )  # fmt: skip
