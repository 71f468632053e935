"""Elements and documents, in which text is always text: whatever is not made by `tag` is escaped."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_WITHOUT_END = {"input"}


class Html(str):
    """Markup that is safe to put into a page as it stands."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | float | bool | None) -> Html:
    """An element; text among its children is escaped.

    Args:
        name: of the element.
        children: text, or elements.
        attributes: underscores become hyphens, one at the end is dropped; `True` is an attribute without value, `None` and
            `False` are none.

    Example:
        >>> print(tag("p", "a < b", tag("b", "!"), class_="x"))
        <p class="x">a &lt; b<b>!</b></p>
    """
    start = f"<{name}{''.join(map(_attribute, attributes.items()))}>"
    return Html(start if name in _WITHOUT_END else f"{start}{together(*children)}</{name}>")


def together(*children: str) -> Html:
    """Text and elements one after the other."""
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children))


def resource(name: str) -> str:
    """Text of one of the files that pages are made of."""
    return files("mmm_jax.report").joinpath("page", name).read_text(encoding="utf-8")


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with `{{name}}` replaced, in one pass: what looks like a name within a value stays."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)


def script_json(values: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or opens a comment."""
    escapes = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
    return json.dumps(values, allow_nan=False, ensure_ascii=False, separators=(",", ":")).translate(escapes)


def content_hash(text: str) -> str:
    """What a content security policy names a script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _attribute(pair: tuple[str, Any]) -> str:
    name, value = pair[0].rstrip("_").replace("_", "-"), pair[1]
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
