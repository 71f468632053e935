"""JSON schema (Draft 2020-12) of the plan's configuration, made from the parts that the planner has."""

from dataclasses import fields
from typing import Any

from mmm_jax.cli.plan_parts import CONSTRAINTS, FROM_REFERENCE, OBJECTIVES, TARGETS
from mmm_jax.cli.schema_parts import (
    AMOUNT,
    AMOUNTS,
    BOOLEAN,
    DATE,
    DIALECT,
    KEY,
    POSITIVE,
    SHARE,
    Schema,
    by_name,
    count,
    keys,
    options,
    tagged,
)
from mmm_jax.planning.constraints import Dates, Total
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.prices import Price

DECIDED = ("channel", "date", "geo")
"""What the plan of one fit can decide apart."""

_OBJECTIVE: Schema = {"$ref": "#/$defs/objective"}
# An objective may hold another one, so that it is defined once and referred to.


def plan_schema() -> Schema:
    """Schema of the file that `mmm-jax optimize` reads."""
    properties = {**_statement(), **_comparisons()}
    objective = _part(*OBJECTIVES)
    top = keys(properties, required=["horizon"])
    return {"$schema": DIALECT, "title": "mmm-jax optimize", **top, "$defs": {"objective": objective}}


def _statement() -> dict[str, Schema]:
    """What is planned."""
    return {
        "horizon": {"type": ["integer", "array"], "minimum": 1, "minItems": 1, "items": DATE},
        "total": {**options(Total), **POSITIVE, "type": ["number", "object"]},
        "per": {"enum": ["horizon", "period"]},
        "bounds": {"type": "object", "additionalProperties": _pair(AMOUNT)},
        "bounds_around_mean": AMOUNT,
        "by": {"type": "array", "minItems": 1, "items": {"enum": list(DECIDED)}},
        "profile": by_name({"type": "array", "minItems": 1, "items": AMOUNT}),
        "locked": by_name(AMOUNTS),
        "prices": by_name(options(Price)),
        "objective": _OBJECTIVE,
        "constraints": {"type": "array", "items": _part(*CONSTRAINTS, *TARGETS)},
        "num_starts": count(1),
        "key": KEY,
        "max_draws": count(2),
        "split_draws": BOOLEAN,
        "extrapolate": BOOLEAN,
    }


def _comparisons() -> dict[str, Schema]:
    """What the plan is held against, and plans for other totals."""
    ends = keys({"from": POSITIVE, "to": POSITIVE, "steps": count(2)}, required=["from", "to", "steps"])
    return {
        "reference": by_name(AMOUNTS),
        "scenarios": by_name(by_name(AMOUNTS)),
        "frontier": {**ends, "type": ["array", "object"], "minItems": 1, "items": POSITIVE},
        "goal": keys({"outcome": POSITIVE, "probability": SHARE}, required=["outcome"]),
        "sensitivity": POSITIVE,
    }


def _part(*kinds: type) -> Schema:
    """One of several classes: its kind, and the fields of that kind."""
    known: dict[Any, Schema] = {Dates: _pair(DATE), AbstractObjective: _OBJECTIVE, **_from_reference()}
    optional = FROM_REFERENCE.values()
    return tagged("kind", {kind.__name__: options(kind, known, optional=optional) for kind in kinds})


def _from_reference() -> dict[Any, Schema]:
    """Fields by draw: a file can give them as one number."""
    pairs = [(item, name) for kind, name in FROM_REFERENCE.items() for item in fields(kind)]
    return {item.type: {"type": "number"} for item, name in pairs if item.name == name}


def _pair(entry: Schema) -> Schema:
    return {"type": "array", "minItems": 2, "maxItems": 2, "items": entry}
