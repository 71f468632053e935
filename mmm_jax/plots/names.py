"""Names beside points, kept from covering each other as far as there is room."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import BboxBase

from mmm_jax.plots import style

_CORNERS = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)])
_STEPS = np.array([(across, up) for across in (3, 9, 18, 30, 45, 65) for up in (3, 9, 18, 30, 45, 65)])
"""Points between a dot and its name, across and up."""

Boxes = np.ndarray
"""Lower left and upper right corners in pixels, shape (box, 2, 2)."""


def write_names(ax: Axes, names: Sequence[str], x: np.ndarray, y: np.ndarray, lines: np.ndarray) -> None:
    """Write each name beside its point, at the first place around it that is free, or else at the least covered one.

    Args:
        ax: axes on which all else is drawn: the places hold for its present limits.
        names: one per point.
        x: places of the points, in data coordinates.
        y: places of the points, in data coordinates.
        lines: upright or flat lines to keep clear of, shape (line, 2, 2): two ends each, in data coordinates.
    """
    # Where the axes end up, and so what overlaps, is known once the figure is laid out.
    ax.figure.figure.draw_without_rendering()
    points, ends = ax.transData.transform(np.column_stack([x, y])), ax.transData.transform(lines.reshape(-1, 2))
    pixels = ax.figure.dpi / 72
    corners = np.sort(ends.reshape(-1, 2, 2), axis=1) + pixels * np.array([[-1.0], [1.0]])
    taken = np.concatenate([np.stack([points - 4 * pixels, points + 4 * pixels], axis=1), corners])
    for name, point in zip(names, points, strict=True):
        taken = np.concatenate([taken, _write(ax, name, point, taken, pixels)[None]])


def _write(ax: Axes, name: str, point: np.ndarray, taken: Boxes, pixels: float) -> np.ndarray:
    """Write one name and return the box that it takes."""
    note = ax.annotate(
        style.text(name, 20),
        tuple(ax.transData.inverted().transform(point)),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=style.SMALL,
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )
    half = np.array(note.get_window_extent().size) / 2
    centres = point + (_CORNERS[:, None] * (half + pixels * _STEPS)).reshape(-1, 2)
    boxes = np.stack([centres - half, centres + half], axis=1)
    # A way from the point counts a little: as much as covering two pixels' width of something else.
    costs = _covered(boxes, taken) + _outside(boxes, ax.bbox) + 2 * pixels * np.tile(_STEPS.sum(axis=1), len(_CORNERS))
    best = int(np.argmin(costs))
    note.set_position(tuple((centres[best] - point) / pixels))
    return boxes[best]


def _covered(boxes: Boxes, others: Boxes) -> np.ndarray:
    """Area of each box that others lie in, one above another counting twice."""
    low = np.maximum(boxes[:, None, 0], others[None, :, 0])
    high = np.minimum(boxes[:, None, 1], others[None, :, 1])
    return np.maximum(high - low, 0.0).prod(axis=-1).sum(axis=1)


def _outside(boxes: Boxes, inside: BboxBase) -> np.ndarray:
    """Area of each box outside of the axes."""
    return (boxes[:, 1] - boxes[:, 0]).prod(axis=-1) - _covered(boxes, np.array([inside.get_points()]))
