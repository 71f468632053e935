"""Progress bars for people; nothing where nobody watches."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmm_jax.inference.samples import Progress


@contextmanager
def progress_bar(wanted: bool, title: str) -> Iterator[Progress | None]:
    """Context that gives a function to report iterations to; it draws on standard error if that is a terminal."""
    if not wanted:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text, clock = TextColumn("{task.description}"), (TimeElapsedColumn(), TimeRemainingColumn())
    with _bar(text, BarColumn(), MofNCompleteColumn(), *clock) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class BatchBar:
    """Counts fits that are done, and the draws of those under way; reported to from several threads."""

    def __init__(self, bar: Any, fits: int) -> None:
        self._bar, self._fits, self._lock = bar, fits, threading.Lock()
        self._task = None if bar is None else bar.add_task("", total=fits)
        self._done, self._made, self._began = 0, 0, time.perf_counter()
        self._under_way: dict[int, float] = {}

    def skip(self, fits: int) -> None:
        """Fits that were done before."""
        with self._lock:
            self._done += fits
            self._draw()

    def finish(self, fits: int) -> None:
        """Fits that are done now."""
        with self._lock:
            self._done, self._made = self._done + fits, self._made + fits
            self._draw()

    def part(self, fits: int) -> Progress:
        """A function for the draws of a chunk of fits."""

        def report(done: int, total: int) -> None:
            with self._lock:
                # A chunk that is done counts its fits by `finish`.
                self._under_way[id(report)] = fits * done / total if done < total else 0.0
                self._draw()

        return report

    def _draw(self) -> None:
        if self._bar is not None:
            hours = (time.perf_counter() - self._began) / 3600
            rate = f"{self._made / hours:,.0f} fits per hour" if self._made else "compiling and sampling"
            text = f"{self._done} of {self._fits} fits, {rate}"
            self._bar.update(self._task, completed=self._done + sum(self._under_way.values()), description=text)


@contextmanager
def batch_bar(wanted: bool, fits: int) -> Iterator[BatchBar]:
    """Context that counts fits, with their rate and the time left on standard error if that is a terminal."""
    if not wanted:
        yield BatchBar(None, fits)
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    with _bar(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as bar:
        yield BatchBar(bar, fits)


def _bar(*columns: Any) -> Any:
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    return Bar(*columns, console=console, disable=not console.is_terminal)
