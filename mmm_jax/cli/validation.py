"""Checking a configuration file against its schema, and saying in words what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

from mmm_jax.cli.config import Config, Keys, parse_config
from mmm_jax.cli.schema_parts import Schema
from mmm_jax.cli.words import did_you_mean, listed, shown

Error = Any
"""A `ValidationError`, whose attributes are declared as possibly not set."""

_MISSING = "the key is missing."
_TYPE_WORDS = {
    "object": "keys with values",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def _is_integer(_: Any, value: Any) -> bool:
    # JSON schema counts 4.0 as an integer; the sampler does not.
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = extend(Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer))


def read_config(path: Path, schema: Schema) -> Config:
    """The configuration, checked against its schema.

    Raises:
        ConfigError: as `parse_config`, or a value that the schema does not allow; names the first one's key and line.
    """
    config = parse_config(path)
    validator = _Validator(schema, format_checker=FormatChecker(["date"]))
    problems = [problem for error in validator.iter_errors(config.values) for problem in _problems(error)]
    if problems:
        # What is missing comes last: a misspelt key often explains it.
        keys, message = min(problems, key=lambda found: (found[1] == _MISSING, config.line(*found[0]) or 0))
        more = len(problems) - 1
        others = f" (The file has {more} more {'problem' if more == 1 else 'problems'}.)" if more else ""
        raise config.error(message + others, *keys)
    return config


def _problems(error: Error) -> list[tuple[Keys, str]]:
    """Key path and message of everything that one error of the validator stands for."""
    keys = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        return [((*keys, key), _unknown(key, known)) for key in error.instance if key not in known]
    if error.validator == "required":
        missing = next(key for key in error.validator_value if error.message.startswith(repr(key)))
        return [((*keys, missing), _MISSING)]
    return [(keys, _MESSAGES.get(str(error.validator), _plain)(error))]


def _unknown(key: str, known: dict[str, Any]) -> str:
    return f"unknown key{did_you_mean(key, known) or '.'} Known keys: {listed(known)}."


def _type(error: Error) -> str:
    if error.instance is None:
        return "the key has no value: write one, or remove the key."
    allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    found = f"{'the text ' if isinstance(error.instance, str) else ''}{shown(error.instance)}"
    return f"must be {' or '.join(_TYPE_WORDS[name] for name in allowed)}, got {found}."


def _enum(error: Error) -> str:
    known = [str(value) for value in error.validator_value]
    guess = did_you_mean(str(error.instance), known)
    return f"must be one of {listed(known, 20)}; got {shown(error.instance)}{guess or '.'}"


def _limit(relation: str) -> Callable[[Error], str]:
    return lambda error: f"must be {relation} {error.validator_value}, got {error.instance}."


def _length(relation: str) -> Callable[[Error], str]:
    def message(error: Error) -> str:
        count = error.validator_value
        return f"must have {relation} {count} {'entry' if count == 1 else 'entries'}, got {len(error.instance)}."

    return message


def _date(error: Error) -> str:
    return f"must be a date such as 2018-02-01, got {shown(error.instance)}."


def _plain(error: Error) -> str:
    return f"{error.message}."


_MESSAGES: dict[str, Callable[[Error], str]] = {
    "type": _type,
    "enum": _enum,
    "minimum": _limit("at least"),
    "maximum": _limit("at most"),
    "exclusiveMinimum": _limit("above"),
    "exclusiveMaximum": _limit("below"),
    "minItems": _length("at least"),
    "minProperties": _length("at least"),
    "maxItems": _length("at most"),
    "minLength": lambda _: "must not be empty.",
    "format": _date,
}
