"""Reading a page as a browser would: its text, its elements, and the data of its script."""

import base64
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np

VOID = {"meta", "link", "input"}


class Elements(HTMLParser):
    """All elements with their attributes, and the text within each id."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of this name."""
        return [attributes for name, attributes in self.found if name == tag]

    def within(self, tag: str) -> str:
        """Text directly within elements of this name."""
        return "\n".join(text for name, text in self.texts if name == tag)

    @property
    def text(self) -> str:
        """All that a person reads, with single blanks."""
        return " ".join(" ".join(text for name, text in self.texts if name not in ("script", "style", "title")).split())


def page_data(page: str) -> dict[str, Any]:
    """What the script computes with; packed numbers as arrays."""
    start = page.index('id="plan-data">') + len('id="plan-data">')
    values = json.loads(page[start : page.index("</script>", start)])
    for name in ("effects", "baseline", "referenceResponse"):
        if values[name] is not None:
            values[name] = np.frombuffer(base64.b64decode(values[name]), "<f4").astype(float)
    return values
