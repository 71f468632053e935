"""A configuration file as plain values that remember their lines."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmm_jax.errors import ConfigError, MMMError

Keys = tuple[str | int, ...]
"""Where a value stands: keys and places in lists, from the top."""

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Config:
    """A configuration file.

    Attributes:
        path: the file, as the user named it.
        values: what it says.
        lines: line of every key and list entry, counted from 1.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[Keys, int]

    def line(self, *keys: str | int) -> int | None:
        """Line of a key, or of the nearest key around it that the file has; `None` if it has none of them."""
        return next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), None)

    def error(self, message: str, *keys: str | int, line: int | None = None) -> ConfigError:
        """The error that names file, line (that of the keys unless given) and key path."""
        line = line or self.line(*keys)
        where = [str(self.path), *([] if line is None else [f"line {line}"]), *([dotted(keys)] if keys else [])]
        return ConfigError(f"{', '.join(where)}: {message}")

    @contextmanager
    def at(self, *keys: str | int, errors: type[MMMError] = MMMError) -> Iterator[None]:
        """Context in which an error of the package comes from the value at these keys, and says so."""
        try:
            yield
        except ConfigError:
            raise
        except errors as error:
            raise self.error(str(error), *keys) from error


def dotted(keys: Keys) -> str:
    """A key path for people.

    Example:
        >>> dotted(("data", "controls", 2))
        'data.controls[2]'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def parse_config(path: Path) -> Config:
    """The file's values and lines; what they mean is not checked yet.

    Raises:
        ConfigError: no such file, not UTF-8, empty, not YAML, a list at the top, a key that stands twice or is no text,
            a number that is not finite; names the line.
    """
    text = _read_text(path)
    try:
        loader = _Loader(text)
        top = loader.get_single_node()
        return _walked(path, top, loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_yaml_line(error, text)}: this YAML cannot be read: {_yaml_problem(error)}.") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: lists and keys are nested too deeply.") from error


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, closer to YAML 1.2: dates stay text, `38e6` is a number; no aliases, which could be endless."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="an alias (*name) is not supported, write the value out", problem_mark=mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def _read_text(path: Path) -> str:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigError(f"{path}: the configuration file {what}.")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: this is not UTF-8 text. Save the file with the encoding UTF-8.") from error


def _walked(path: Path, top: yaml.Node | None, loader: _Loader) -> Config:
    if top is None:
        raise ConfigError(f"{path}: the configuration file is empty.")
    if not isinstance(top, yaml.MappingNode):
        raise ConfigError(f"{path}, line {_line(top)}: the file must hold keys with values, such as `key: value`.")
    walk = _Walk(Config(path, {}, {}), loader)
    values = walk.mapping(top, ())
    return Config(path, values, walk.lines)


class _Walk:
    """Turns nodes into values and notes their lines on the way."""

    def __init__(self, config: Config, loader: _Loader) -> None:
        self.lines: dict[Keys, int] = {}
        self._config, self._loader = Config(config.path, {}, self.lines), loader

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, keys)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._entry(item, (*keys, place)) for place, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise self._config.error(f"the tag {node.tag!r} is not supported.", *keys)
        return self._scalar(node, keys)

    def mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, keys)
            here = (*keys, key)
            if key in found:
                raise self._config.error(f"the key stands twice, here and in line {_line(key_node)}.", *here)
            self.lines[here] = _line(key_node)
            found[key] = self.value(value_node, here)
        return found

    def _entry(self, node: yaml.Node, keys: Keys) -> Any:
        self.lines[keys] = _line(node)
        return self.value(node, keys)

    def _key(self, node: yaml.Node, keys: Keys) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag in (f"{_TAG}str", f"{_TAG}merge"):
            return node.value
        written = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        message = f"a key must be text, but YAML reads {written} as something else: put it in quotes."
        raise self._config.error(message, *keys, line=_line(node))

    def _scalar(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        try:
            value = self._loader.construct_object(node, deep=True)
        except (ValueError, TypeError, yaml.constructor.ConstructorError) as error:
            raise self._config.error(f"{node.value!r} cannot be read as {node.tag!r}.", *keys) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._config.error(f"must be a finite number, got {node.value}.", *keys)
        return value


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _yaml_line(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f", line {error.problem_mark.line + 1}"
    if isinstance(error, yaml.reader.ReaderError):
        return f", line {text[: error.position].count(chr(10)) + 1}"
    return ""


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"it holds the character {error.character:#x}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    problem = ", ".join(filter(None, [error.context, error.problem]))
    hints = {"'\\t'": "indent with spaces, not tabs", "mapping values": "text that holds a colon needs quotes"}
    return problem + "".join(f" ({hint})" for sign, hint in hints.items() if sign in problem)
