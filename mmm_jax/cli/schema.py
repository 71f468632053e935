"""JSON schemas (Draft 2020-12) of the configuration files, made from the parts that the package has.

A new component, likelihood or prior family needs no line here.
"""

import inspect
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, get_args

from mmm_jax.fitting.engines import Engine
from mmm_jax.kernels.numerics import Precision
from mmm_jax.model.components import ADSTOCKS, SATURATIONS, TRENDS
from mmm_jax.model.likelihoods import LIKELIHOODS
from mmm_jax.model.priors import FAMILIES, SpendShare
from mmm_jax.model.spec import SCHEMA_VERSION
from mmm_jax.validation.folds import Window

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LARGEST_KEY = 2**32 - 1

_TEXT: Schema = {"type": "string", "minLength": 1}
_DATE: Schema = {"type": "string", "format": "date"}
_BOOLEAN: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_NUMBERS: Schema = {"type": ["number", "array"], "minItems": 1, "items": _NUMBER}
_AMOUNT: Schema = {"type": "number", "minimum": 0}
_KEY: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_KEY}
_TYPES: dict[Any, Schema] = {int: {"type": "integer"}, float: _NUMBER, bool: _BOOLEAN, str: _TEXT}


def fit_schema() -> Schema:
    """Schema of the file that `mmm-jax fit`, `batch`, `predict` and `validate` read."""
    properties = {"data": _data(), "model": _model(), "sampling": _sampling(), "validation": _validation()}
    return {"$schema": DIALECT, "title": "mmm-jax fit", **_keys(properties, required=["data"])}


def plan_schema() -> Schema:
    """Schema of the file that `mmm-jax optimize` reads."""
    box = {"type": "array", "minItems": 2, "maxItems": 2, "items": _AMOUNT}
    properties = {
        "horizon": {"type": ["integer", "array"], "minimum": 1, "minItems": 1, "items": _DATE},
        "total": {"type": "number", "exclusiveMinimum": 0},
        "per": {"enum": ["horizon", "period"]},
        "bounds": {"type": "object", "additionalProperties": box},
        "bounds_around_mean": _AMOUNT,
        "num_starts": _count(1),
        "key": _KEY,
        "reference": {"type": "object", "minProperties": 1, "additionalProperties": _AMOUNT},
    }
    return {"$schema": DIALECT, "title": "mmm-jax optimize", **_keys(properties, required=["horizon", "total"])}


def _data() -> Schema:
    channels = {
        "type": ["object", "array"],
        "minProperties": 1,
        "minItems": 1,
        "items": _TEXT,
        "additionalProperties": _TEXT,
    }
    properties = {
        "date": _TEXT,
        "target": _TEXT,
        "channels": channels,
        "controls": {"type": "array", "items": _TEXT},
        "last_training_date": _DATE,
    }
    return _keys(properties, required=["date", "target", "channels"])


def _model() -> Schema:
    properties = {
        "schema_version": {"const": SCHEMA_VERSION},
        "adstock": _part(ADSTOCKS),
        "saturation": _part(SATURATIONS),
        "adstock_first": _BOOLEAN,
        "yearly_seasonality": _count(0),
        "trend": {**_part(TRENDS), "type": ["object", "null"]},
        "likelihood": _part(LIKELIHOODS),
        "priors": {"type": "object", "additionalProperties": _prior()},
        "standardize_controls": _BOOLEAN,
    }
    return _keys(properties)


def _sampling() -> Schema:
    properties = {
        "num_chains": _count(1),
        "num_warmup": _count(1),
        "num_samples": _count(4),
        "target_accept": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "max_tree_depth": _count(1),
        "key": _KEY,
        "engine": {"enum": list(get_args(Engine))},
        "precision": {"enum": list(get_args(Precision))},
    }
    return _keys(properties)


def _validation() -> Schema:
    counts = {name: _count(1) for name in ("initial", "horizon", "step")}
    return _keys({**counts, "window": {"enum": list(get_args(Window))}})


def _part(kinds: Iterable[type]) -> Schema:
    """A component: its kind, and the options which that kind has."""
    return _tagged("kind", {kind.__name__: _options(kind) for kind in kinds})


def _options(kind: type) -> Schema:
    options = [item for item in fields(kind) if item.init]  # pyright: ignore[reportArgumentType]
    return _keys(
        {item.name: _TYPES.get(item.type, {}) for item in options},
        required=[item.name for item in options if item.default is MISSING and item.default_factory is MISSING],
    )


def _prior() -> Schema:
    families = {name: _arguments(family) for name, family in FAMILIES.items()}
    return _tagged("dist", {**families, SpendShare.__name__: _keys({"scale": {"type": "number", "exclusiveMinimum": 0}})})


def _arguments(family: Any) -> Schema:
    known = inspect.signature(family.__init__).parameters
    needed = [name for name in family.arg_constraints if known[name].default is inspect.Parameter.empty]
    return _keys(dict.fromkeys(family.arg_constraints, _NUMBERS), required=needed)


def _tagged(tag: str, variants: dict[str, Schema]) -> Schema:
    """An object whose entry `tag` says which of the variants it is; without it, it may have any variant's entries."""
    every = {name: {} for variant in variants.values() for name in (tag, *variant["properties"])}
    return {
        "type": "object",
        "required": [tag],
        "properties": {tag: {"enum": list(variants)}},
        "if": {"required": [tag]},
        "else": {"properties": every, "additionalProperties": False},
        "allOf": [
            {
                "if": {"required": [tag], "properties": {tag: {"const": name}}},
                "then": {**variant, "properties": {tag: {}, **variant["properties"]}},
            }
            for name, variant in variants.items()
        ],
    }


def _keys(properties: dict[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _count(least: int) -> Schema:
    return {"type": "integer", "minimum": least}
