"""Figures of many axes: one small picture per name, or a pair of them, with one title, label and legend for all."""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmm_jax.plots.style import HEIGHT, LABEL, SMALL, TITLE, WIDTH, compact_axis, plain, text


def small_multiples(names: Sequence[str], *, share_y: bool) -> tuple[Figure, np.ndarray]:
    """A new figure with one titled pair of axes per name, as a flat array in the order of the names."""
    rows, columns = _rows_and_columns(len(names))
    height = HEIGHT if rows == 1 else 0.9 + rows * (1.9 if columns <= 3 else 1.6)
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", sharey=share_y, squeeze=False)
    for unused in grid.flat[len(names) :]:
        unused.remove()
    for ax, name in zip(grid.flat, names, strict=False):
        _name(ax, name, columns, ticked=not share_y)
        _dress(ax, columns, ticks=4)
    return figure, grid.ravel()[: len(names)]


def paired_multiples(names: Sequence[str], *, share_upper: bool) -> tuple[Figure, np.ndarray]:
    """A new figure with two axes per name, one above the other, shape (name, 2); all lower ones share their scale."""
    rows, columns = _rows_and_columns(len(names))
    looks = {"figsize": (WIDTH, 1.2 + rows * (2.5 if columns <= 3 else 2.2)), "height_ratios": (1.4, 1.0) * rows}
    figure, grid = plt.subplots(2 * rows, columns, layout="constrained", squeeze=False, **looks)
    pairs = grid.reshape(rows, 2, columns).swapaxes(1, 2).reshape(-1, 2)
    for unused in pairs[len(names) :].flat:
        unused.remove()
    for place, (name, pair) in enumerate(zip(names, pairs, strict=False)):
        _name(pair[0], name, columns, ticked=not share_upper)
        _dress_pair(pair, pairs[0], columns, place, share_upper=share_upper)
    return figure, pairs[: len(names)]


def label_figure(figure: Figure, *, title: str, x: str, y: str) -> None:
    """Title and labels that hold for all axes of a figure."""
    figure.suptitle(text(title, 80), fontsize=TITLE)
    # An empty line under the label: the layout reserves no room for a legend besides it.
    figure.supxlabel(text(x, 80) + "\n", fontsize=LABEL, linespacing=1.7)
    figure.supylabel("\n".join(text(line, 50) for line in y.splitlines()), fontsize=LABEL)


def figure_legend(figure: Figure, axes: np.ndarray, *, widest: int = 4) -> None:
    """One legend under all axes, in rows of `widest` entries at most; what several axes show is named once."""
    pairs = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    known = {label: handle for handle, label in reversed(pairs)}
    order = sorted(known, key=[label for _, label in pairs].index)
    handles, rows = [known[label] for label in order], max(1, math.ceil(len(order) / widest))
    if figure.get_supxlabel():
        # As in `label_figure`: an empty line for every row of the legend, the first of which is there.
        figure.supxlabel(figure.get_supxlabel() + "\n" * (rows - 1), fontsize=LABEL, linespacing=1.7)
    place = {"loc": "outside lower center", "ncols": max(1, math.ceil(len(order) / rows))}
    figure.legend(handles, order, fontsize=SMALL, frameon=False, **place)


def _rows_and_columns(count: int) -> tuple[int, int]:
    columns = count if count <= 3 else min(5, math.ceil(math.sqrt(count)))
    return math.ceil(count / columns), columns


def _name(ax: Axes, name: str, columns: int, *, ticked: bool) -> None:
    """A title within the axes' width, of which numbers along every vertical axis leave less."""
    # At this size a letter is about 0.07 inches wide, and a tick's number with its margin half an inch.
    room = WIDTH / columns - (0.5 if ticked else 0.0)
    ax.set_title(text(name, int(room / 0.075)), fontsize=SMALL + 0.5)


def _dress(ax: Axes, columns: int, *, ticks: int) -> None:
    """Plain axes with as many ticks as there is room for."""
    plain(ax)
    compact_axis(ax, "x", ticks=max(2, int((WIDTH - 0.7) / columns / 0.5)))
    compact_axis(ax, "y", ticks=ticks)


def _dress_pair(pair: np.ndarray, leaders: np.ndarray, columns: int, place: int, *, share_upper: bool) -> None:
    for ax, leader, ticks, shared in zip(pair, leaders, (4, 3), (share_upper, True), strict=True):
        _dress(ax, columns, ticks=ticks)
        if shared and ax is not leader:
            ax.sharey(leader)
        ax.tick_params(labelleft=not shared or place % columns == 0)
    pair[0].sharex(pair[1])
    pair[0].tick_params(labelbottom=False)
