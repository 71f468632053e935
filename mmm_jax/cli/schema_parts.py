"""JSON schemas (Draft 2020-12) of single values, and of objects as the fields of their classes tell them.

A class with fields of the types below needs no line here.
"""

import types
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from mmm_jax.cli.options import LARGEST_KEY

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

TEXT: Schema = {"type": "string", "minLength": 1}
DATE: Schema = {"type": "string", "format": "date"}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
NUMBERS: Schema = {"type": ["number", "array"], "minItems": 1, "items": NUMBER}
AMOUNT: Schema = {"type": "number", "minimum": 0}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
AMOUNTS: Schema = {"type": ["number", "array"], "minimum": 0, "minItems": 1, "items": AMOUNT}
SHARE: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
KEY: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_KEY}

_TYPES: dict[Any, Schema] = {int: {"type": "integer"}, float: NUMBER, bool: BOOLEAN, str: TEXT}
_UNWRITTEN = (types.NoneType, np.ndarray)
"""Types that a file writes as another one of their union, or by leaving the key out."""


def keys(properties: dict[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """An object with these entries and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def count(least: int) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least}


def items(entry: Schema, least: int = 0, most: int | None = None) -> Schema:
    """A list."""
    return {"type": "array", "minItems": least, **({} if most is None else {"maxItems": most}), "items": entry}


def by_name(entry: Schema) -> Schema:
    """An object whose entries have any names."""
    return {"type": "object", "minProperties": 1, "additionalProperties": entry}


def options(kind: type, known: Mapping[Any, Schema] | None = None, *, optional: Container[str] = ()) -> Schema:
    """An object with the fields of a dataclass.

    Args:
        kind: the class.
        known: schemas of types that this file does not know.
        optional: fields that may be left out although they have no default.
    """
    given = [item for item in fields(kind) if item.init]  # pyright: ignore[reportArgumentType]
    needed = [item for item in given if item.default is MISSING and item.default_factory is MISSING]
    return keys(
        {item.name: of_type(item.type, known or {}) for item in given},
        required=[item.name for item in needed if item.name not in optional],
    )


def of_type(kind: Any, known: Mapping[Any, Schema]) -> Schema:
    """A value of a type; anything where the type is none that a file can be checked for."""
    if kind in known or kind in _TYPES:
        return known[kind] if kind in known else _TYPES[kind]
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        return _one_of([of_type(part, known) for part in parts if part not in _UNWRITTEN])
    if origin is Sequence:
        return {"type": "array", "minItems": 1, "items": of_type(parts[0], known)}
    if origin is Mapping:
        return by_name(of_type(parts[1], known))
    return {}


def _one_of(parts: list[Schema]) -> Schema:
    """One schema for values of several types: `anyOf` would leave people with no word about what is wrong."""
    together = {name: value for part in parts for name, value in part.items()}
    named = [part["type"] for part in parts if "type" in part]
    each = [name for one in named for name in ([one] if isinstance(one, str) else one)]
    return together if len(each) < 2 else {**together, "type": list(dict.fromkeys(each))}


def tagged(tag: str, variants: dict[str, Schema]) -> Schema:
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
                "if": {"type": "object", "required": [tag], "properties": {tag: {"const": name}}},
                "then": {**variant, "properties": {tag: {}, **variant["properties"]}},
            }
            for name, variant in variants.items()
        ],
    }
