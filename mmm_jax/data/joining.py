"""Two panels one after the other, as one."""

from dataclasses import replace

import numpy as np

from mmm_jax.data.calendar import continues
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import BY_TIME, Panel
from mmm_jax.errors import PanelError


def joined(before: AnyPanel, after: AnyPanel) -> AnyPanel:
    """The rows of both.

    Args:
        before: older rows.
        after: rows right after them, with the same columns (and geos) in the same order; its names and heads are kept.

    Raises:
        PanelError: rows are missing between the two, or one is of geos and the other is not.
    """
    if isinstance(before, GeoPanel) and isinstance(after, GeoPanel):
        pairs = zip(before.markets, after.markets, strict=True)
        return replace(after, markets=tuple(_joined(old, new) for old, new in pairs))
    if isinstance(before, Panel) and isinstance(after, Panel):
        return _joined(before, after)
    raise PanelError("Rows of one market and rows of geos cannot be joined.")


def _joined(before: Panel, after: Panel) -> Panel:
    if not continues(before.dates, after.dates, after.frequency):
        raise PanelError(
            f"Rows are missing between {before.dates[-1]} and {after.dates[0]}, so that the two tables cannot be joined."
        )
    arrays = {name: _one(name, before, after) for name in ("dates", *BY_TIME)}
    return replace(after, **arrays)


def _one(name: str, before: Panel, after: Panel) -> np.ndarray | None:
    parts = [getattr(before, name), getattr(after, name)]
    if all(part is None for part in parts):
        return None
    # Whether rows count, and to which power: where nothing is said, all do, in full.
    if any(part is None for part in parts) and name not in ("observed", "powers"):
        raise PanelError(f"One of the two tables to be joined has no {name.replace('_', ' ')}.")
    kind = bool if name == "observed" else float
    filled = [np.ones(len(of), kind) if part is None else part for part, of in zip(parts, (before, after), strict=True)]
    return np.concatenate(filled, axis=-1)
