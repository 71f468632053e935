"""What people see: tables, notices, one spinner; or JSON for machines and nothing else on standard output."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHORT = 24
"""Characters of a name that a table does not break: its columns of numbers give way, by their titles."""


@dataclass
class Screen:
    """Where a command writes.

    Attributes:
        machine: print JSON only.
        seconds: wall time by stage, in the order in which the stages ran.
    """

    machine: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    def say(self, words: str = "", style: str | None = None) -> None:
        """A line for people."""
        if not self.machine:
            Console(highlight=False).print(escape(words), style=style)

    def notice(self, words: str) -> None:
        """Something to be aware of, on standard error."""
        Console(stderr=True, highlight=False).print(f"Notice: {escape(words)}", style="yellow")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A titled table; the first column is text, the others are numbers or short words."""
        if self.machine:
            return
        # The title is a line of its own: rich would wrap it to the table's width.
        self.say()
        self.say(title, style="bold")
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        short = max((len(row[0]) for row in rows), default=0) <= _SHORT
        for place, column in enumerate(columns):
            options: dict[str, Any] = {"no_wrap": short, "justify": "left"} if place == 0 else {"justify": "right"}
            table.add_column(escape(column), overflow="fold", **options)
        for row in rows:
            table.add_row(*map(escape, row))
        Console(highlight=False).print(table)

    def finish(self, result: Mapping[str, Any]) -> None:
        """The result for machines, if they are who asked."""
        if self.machine:
            print(to_json(result))

    @contextmanager
    def stage(self, name: str, words: str | None = None) -> Iterator[None]:
        """Context whose wall time is noted under the name; a spinner says what is done if a terminal watches."""
        console, began = Console(stderr=True), time.perf_counter()
        with console.status(words) if words and console.is_terminal else nullcontext():
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def say_seconds(self) -> None:
        """One line: wall time by stage and in total."""
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        self.say(f"\nSeconds: {parts}; {sum(self.seconds.values()):.1f} in all.", style="dim")


def to_json(values: Any) -> str:
    """Strict JSON: what is not finite becomes null."""
    return json.dumps(plain(values), indent=2, allow_nan=False, ensure_ascii=False)


def write_json(path: Path, values: Any) -> None:
    """The values as a JSON file."""
    path.write_text(to_json(values) + "\n", encoding="utf-8")


def plain(values: Any) -> Any:
    """Values that JSON knows: arrays become lists, paths text, NaN and infinity nothing."""
    if isinstance(values, Mapping):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [plain(value) for value in values]
    if isinstance(values, (np.generic, np.ndarray)):
        return plain(values.tolist())
    if isinstance(values, Path):
        return str(values)
    return None if isinstance(values, float) and not math.isfinite(values) else values


def amount(value: float) -> str:
    """A number with thousands separated, and as many digits as matter.

    Example:
        >>> amount(1234567.8), amount(12.345), amount(0.01234), amount(float("nan"))
        ('1,234,568', '12.3', '0.012', '-')
    """
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.{1 if abs(value) >= 10 else 2}f}"


def compact(value: float) -> str:
    """As `amount`, but four digits and a letter from a million on.

    Example:
        >>> compact(561_000_393.0), compact(-1_234_567_890.0), compact(999_999.0)
        ('561.0M', '-1.235B', '999,999')
    """
    letters = {"T": 1e12, "B": 1e9, "M": 1e6}
    for letter, size in letters.items():
        if size <= abs(value) < math.inf:
            return f"{value / size:#,.4g}".rstrip(".") + letter
    return amount(value)


def brief(value: float) -> str:
    """Three digits, and a letter from a thousand on, where there is room for no more.

    Example:
        >>> brief(66_715.0), brief(-1_234_567.0), brief(0.4567), brief(999.9)
        ('66.7k', '-1.23M', '0.46', '1.00k')
    """
    rounded = float(f"{value:.3g}") if math.isfinite(value) else value
    letters = {"T": 1e12, "B": 1e9, "M": 1e6, "k": 1e3}
    found = next((letter for letter, size in letters.items() if size <= abs(rounded) < math.inf), None)
    return amount(value) if found is None else f"{rounded / letters[found]:#.3g}".rstrip(".") + found


def percent(share: float, *, sign: bool = False) -> str:
    """A share in per cent.

    Example:
        >>> percent(0.1234), percent(0.05, sign=True)
        ('12.3%', '+5.0%')
    """
    return f"{100 * share:{'+' if sign else ''}.1f}%" if math.isfinite(share) else "-"


def span(lower: float, upper: float, words: Callable[[float], str] = amount) -> str:
    """An interval.

    Example:
        >>> span(1.5, 2000.0)
        '1.50 to 2,000'
    """
    return f"{words(lower)} to {words(upper)}"
