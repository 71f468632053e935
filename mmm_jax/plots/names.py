"""Names beside points, kept from covering each other as far as there is room."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from mmm_jax.plots import style

_CORNERS = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)])
_DISTANCES = (3, 9, 18, 30, 45, 65)
"""Points between a dot and its name, across and up; the nearer ones are tried first."""


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
    points = ax.transData.transform(np.column_stack([x, y]))
    pixels = ax.figure.dpi / 72
    taken = [Bbox([point - 4 * pixels, point + 4 * pixels]) for point in points]
    taken += [Bbox(ax.transData.transform(ends) + [[-pixels], [pixels]]) for ends in lines]
    for name, point in zip(names, points, strict=True):
        taken.append(_write(ax, name, point, taken, pixels))


def _write(ax: Axes, name: str, point: np.ndarray, taken: list[Bbox], pixels: float) -> Bbox:
    """Write one name and return the box that it takes."""
    note = ax.annotate(
        style.text(name, 24),
        tuple(ax.transData.inverted().transform(point)),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=style.SMALL,
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )
    box = note.get_window_extent()
    half = np.array([box.width, box.height]) / 2
    steps = [np.array(step) * pixels for step in itertools.product(_DISTANCES, _DISTANCES)]
    centres = [point + corner * (half + step) for step in sorted(steps, key=np.sum) for corner in _CORNERS]
    boxes = [Bbox([centre - half, centre + half]) for centre in centres]
    best = min(range(len(boxes)), key=lambda i: _cost(boxes[i], taken, ax.bbox))
    note.set_position(tuple((centres[best] - point) / pixels))
    return boxes[best]


def _cost(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Area that the box shares with others, or has outside of the axes."""
    return sum(_shared(box, other) for other in taken) + box.width * box.height - _shared(box, inside)


def _shared(one: Bbox, other: Bbox) -> float:
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height
