"""Which rows every fold of a time-slice cross-validation is fitted to, and which it is tested on."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.errors import PanelError, SpecError

Window = Literal["expanding", "rolling"]


class Fold(NamedTuple):
    """A cut through the rows of a panel: what was known at the cutoff, and what came right after it.

    Attributes:
        cutoff: last training date.
        train: training rows, from the first one to the one before `stop`.
        test: test rows, right after the training rows.
    """

    cutoff: np.datetime64
    train: range
    test: range

    @property
    def name(self) -> str:
        """The cutoff, such as `2016-01-31`."""
        return str(self.cutoff)

    def training_panel(self, panel: AnyPanel) -> Any:
        """The training rows, of the panel's kind."""
        return panel.take(slice(self.train.start, self.train.stop))

    def test_panel(self, panel: AnyPanel) -> Any:
        """The test rows, of the panel's kind."""
        return panel.take(slice(self.test.start, self.test.stop))


def folds_of(
    dates: np.ndarray, *, initial: int, horizon: int, step: int | None = None, window: Window = "expanding"
) -> tuple[Fold, ...]:
    """Folds from the oldest cutoff to the newest, each with a whole horizon after it.

    The newest rows, fewer than `step`, may be tested by no fold; choose `initial` such that the last horizon ends with the
    panel if they should be.

    Args:
        dates: of the panel, shape (time,).
        initial: training rows of the first fold; with a rolling window, of every fold.
        horizon: test rows of every fold.
        step: rows from one cutoff to the next; the horizon by default, so that every row is tested at most once.
        window: `expanding` keeps all rows up to the cutoff, `rolling` the last `initial` ones.

    Raises:
        SpecError: a setting is no whole number of at least 1, or the window is unknown.
        PanelError: the panel is too short for one fold.

    Example:
        >>> weeks = np.datetime64("2024-01-07") + 7 * np.arange(10)
        >>> [(list(fold.train), list(fold.test)) for fold in folds_of(weeks, initial=4, horizon=3, window="rolling")]
        [([0, 1, 2, 3], [4, 5, 6]), ([3, 4, 5, 6], [7, 8, 9])]
    """
    stride = horizon if step is None else step
    _check_settings({"initial": initial, "horizon": horizon, "step": stride}, window)
    if initial + horizon > len(dates):
        raise PanelError(
            f"A first fold of {initial} training and {horizon} test rows needs {initial + horizon} rows, but the panel has "
            f"{len(dates)}. Lower `initial` or `horizon`, or give more rows."
        )
    return tuple(
        Fold(dates[cut - 1], range(cut - initial if window == "rolling" else 0, cut), range(cut, cut + horizon))
        for cut in range(initial, len(dates) - horizon + 1, stride)
    )


def rows_without_test(folds: Sequence[Fold], rows: int) -> int:
    """How many of the newest rows are tested by no fold."""
    return rows - folds[-1].test.stop


def _check_settings(counts: dict[str, Any], window: str) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpecError(f"`{name}` must be a whole number of rows, at least 1; got {value!r}.")
    if window not in get_args(Window):
        raise SpecError(f"`window` must be one of {', '.join(get_args(Window))}; got {window!r}.")
