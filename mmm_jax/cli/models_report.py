"""Versions of models on the screen and as JSON."""

from pathlib import Path
from typing import Any

import pandas as pd

from mmm_jax.cli.ledger_report import records
from mmm_jax.cli.screen import Screen, compact, percent
from mmm_jax.fitting.geo_fit import load_any
from mmm_jax.monitoring.registry import Registry
from mmm_jax.monitoring.registry_states import ModelVersion

_WORDS = {"needs_review": "needs review", "training_in_progress": "training"}


def opened(place: str, models: str | None, *, create: bool = False) -> Registry:
    """The registry at a place; only a first version may begin a new one."""
    return Registry(place, artefacts=models, create=create)


def number_of(registry: Registry, name: str, version: str) -> int:
    """A version's number, from what people write: it, or an alias.

    Raises:
        RegistryError: there is no such version.
    """
    return registry.version(name, int(version) if version.isdecimal() else version).version


def show(registry: Registry, name: str | None, *, machine: bool) -> None:
    """All versions, or those of a name."""
    screen, table = Screen(machine), registry.versions(name)
    rows = [[model, *_cells(version, row)] for (model, version), row in _rows(table)]
    if rows:
        columns = ("Model", "Version", "Alias", "Status", "Parent", "Trained to", "CRPS", "In 90%")
        screen.table("Versions of models", columns, rows)
    else:
        screen.say("No version has been registered yet.")
    for (model, version), row in _rows(table):
        if row["error"]:
            screen.say(f"{model} {version} failed: {row['error']}", style="red")
    screen.finish({"versions": records(table)})


def show_history(registry: Registry, name: str, *, machine: bool) -> None:
    """What happened to a name's versions."""
    screen, table = Screen(machine), registry.history(name)
    events: Any = table.itertuples()
    rows = [
        [f"{row.version}", f"{row.recorded:%Y-%m-%d %H:%M}", _WORDS.get(row.event, row.event), row.by, row.reason]
        for row in events
    ]
    screen.table(f"What happened to {name} (UTC)", ("Version", "When", "What", "By", "Why"), rows)
    screen.finish({"events": records(table)})


def registered(
    registry: Registry, fit: Path, name: str, *, trigger: str, promote: bool, by: str, reason: str, machine: bool
) -> None:
    """Keep a saved fit, and say so."""
    number = registry.register(load_any(fit), name, trigger=trigger, by=by, reason=reason)
    if promote:
        registry.promote(name, number, by=by, reason=reason)
    say_state(registry, name, number, machine=machine)


def say_state(registry: Registry, name: str, number: int, *, machine: bool) -> None:
    """Where a version stands now."""
    screen = Screen(machine)
    screen.say(f"{name} {number}: {in_words(registry, name, number)}.")
    screen.finish(state(registry, name, number))


def say_recovered(registry: Registry, name: str, number: int | None, *, machine: bool) -> None:
    """Which version was declared failed, if there was one."""
    if number is not None:
        say_state(registry, name, number, machine=machine)
        return
    screen = Screen(machine)
    screen.say(f"No version of {name} is being trained.")
    screen.finish({"name": name, "version": None})


def say_exported(registry: Registry, name: str, number: int, tracking: str, *, machine: bool) -> None:
    """Copy a version to MLflow, and say so."""
    screen = Screen(machine)
    with screen.stage("export", "Copying to MLflow ..."):
        theirs = registry.export_mlflow(name, number, tracking_uri=tracking)
    screen.say(f"{name} {number} is version {theirs} of MLflow's model {name}.")
    screen.finish({**state(registry, name, number), "mlflow_version": theirs})


def in_words(registry: Registry, name: str, number: int) -> str:
    """Status and aliases of a version."""
    found = registry.version(name, number)
    aliases = [alias for alias, version in registry.aliases(name).items() if version == number]
    return ", ".join([_status(found.job, found.review), *aliases])


def state(registry: Registry, name: str, number: int) -> dict[str, Any]:
    """A version for machines."""
    return records(registry.versions(name).loc[[(name, number)]])[0]


def say_next_step(screen: Screen, found: ModelVersion) -> None:
    """What people are to do with a version that nobody has looked at."""
    if found.review == "needs_review":
        screen.say(f"It needs review: mmm-jax models promote {found.name} {found.version}, or reject.")


def _rows(table: pd.DataFrame) -> Any:
    return table.iterrows()


def _cells(version: int, row: Any) -> list[str]:
    parent = "-" if pd.isna(row["parent"]) else f"{row['parent']:.0f}"
    trained = "-" if pd.isna(row["end"]) else f"{row['end']:%Y-%m-%d}"
    scores = [compact(row["crps"]), percent(row["coverage"])]
    return [f"{version}", row["alias"], _status(row["job"], row["review"]), parent, trained, *scores]


def _status(job: str, review: str) -> str:
    words = review if job == "success" else job
    return _WORDS.get(words, words)
