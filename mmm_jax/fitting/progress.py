"""A progress bar for people; nothing where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmm_jax.inference.samples import Progress


@contextmanager
def progress_bar(wanted: bool, title: str) -> Iterator[Progress | None]:
    """Context that gives a function to report iterations to; it draws on standard error if that is a terminal."""
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
