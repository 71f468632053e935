"""Cells of the training rows that a newer table has other values for."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from mmm_jax.data.panel import Panel

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Restated:
    """A cell whose value has changed since training.

    Attributes:
        date: of its row, such as 2024-01-31.
        column: channel, control or target.
        before: the value that the model was fitted to.
        now: the value of the newer table.
        geo: whose row it is; `None` in a panel of one market.
    """

    date: str
    column: str
    before: float
    now: float
    geo: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**values)


def restated_cells(fitted: Panel, newer: Panel, geo: str | None = None) -> Iterator[Restated]:
    """Cells of rows that both panels have, of one market, in the order of dates.

    Args:
        fitted: the training rows.
        newer: a panel with the same channels and controls in the same order.
        geo: whose rows they are.
    """
    shared = np.intersect1d(fitted.dates, newer.dates)
    old, new = _table(fitted, shared), _table(newer, shared)
    for place, date in enumerate(shared):
        for column in old:
            before, now = old[column][place], new[column][place]
            if np.isfinite(before) and np.isfinite(now) and not np.isclose(before, now, rtol=_ROUNDING, atol=0.0):
                yield Restated(str(date), column, float(before), float(now), geo)


def _table(panel: Panel, dates: np.ndarray) -> dict[str, np.ndarray]:
    rows = np.isin(panel.dates, dates)
    found = dict(zip(panel.channels, panel.spend[:, rows], strict=True))
    found |= dict(zip(panel.control_names, panel.controls[:, rows], strict=True))
    target = np.full(rows.sum(), np.nan) if panel.target is None else panel.target[rows]
    return found | {panel.target_name or "target": target}
