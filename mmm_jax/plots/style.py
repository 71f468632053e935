"""How all pictures look: colours that colour-blind readers tell apart, compact numbers, labelled axes.

Every setting is an argument of a call: the user's own matplotlib style is never changed.
"""

import math
import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import Formatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from mmm_jax.data.calendar import infer_frequency

BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW = COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
)
"""Okabe and Ito (2008), Color Universal Design, without black."""

BLACK, DARK, GREY, LIGHT = "#000000", "#4D4D4D", "#8C8C8C", "#D0D0D0"
WIDTH, HEIGHT = 7.0, 4.0
"""Inches of a picture in a report."""

TITLE, LABEL, SMALL = 11.0, 9.5, 8.5
"""Font sizes in points."""

Places = Sequence[float] | Sequence[int] | np.ndarray
"""Data coordinates."""

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def compact(value: float) -> str:
    """Three significant digits and a letter for thousands, millions, billions or trillions.

    Example:
        >>> compact(1_234_567.0), compact(999_999.0), compact(0.125), compact(0.0)
        ('1.23M', '1.00M', '0.125', '0')
    """
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    size, letter = _unit(rounded)
    # The alternate form keeps the zeros, so that amounts in a column compare, but also a bare point.
    return _minus(f"{rounded / size:#.3g}".rstrip(".") + letter)


def percent(share: float) -> str:
    """A share as a percentage, with a digit after the point where it is below 10 %.

    Example:
        >>> percent(0.5), percent(0.034)
        ('50%', '3.4%')
    """
    return _minus(f"{share:z.1%}" if abs(share) < 0.0995 else f"{share:.0%}")


def decimals(value: float) -> str:
    """Two digits after the point.

    Example:
        >>> decimals(0.125), decimals(-0.001), decimals(float("nan"))
        ('0.12', '0.00', 'unknown')
    """
    return _minus(f"{value:z.2f}") if math.isfinite(value) else "unknown"


class CompactFormatter(Formatter):
    """Ticks such as 0, 0.5M, 1.0M: one unit for the whole axis, and as many digits as tell the ticks apart."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The number by itself, as a cursor shows it."""
        return compact(x)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The numbers of all ticks of an axis."""
        ticks = np.asarray(values, float)
        size, letter = _unit(float(np.abs(ticks).max(initial=0.0)))
        return _told_apart(ticks / size, letter)


class PercentTicks(Formatter):
    """Ticks such as 0, 20%, 40%, of shares, with as many digits as tell the ticks apart."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The share by itself, as a cursor shows it."""
        return percent(x)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The shares of all ticks of an axis."""
        return _told_apart(100 * np.asarray(values, float), "%")


def tint(colour: str, strength: float) -> str:
    """The colour mixed with white: opaque, so that it prints, and looks in the legend, as it does in the picture."""
    red, green, blue = to_rgb(colour)
    return to_hex((1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue)))


def text(words: str, width: int = 30) -> str:
    """A user's words as a label: wrapped, cut in the middle if very long, since names often differ at their ends.

    They are read as they stand: dollar signs begin no mathematics, and a leading underscore hides no legend entry.
    """
    room = int(1.7 * width)
    if len(words) > room:
        words = words[: room // 2].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + words[-(room // 2) + 1 :].lstrip()
    lines = textwrap.fill(words, width).replace("$", r"\$")
    return f" {lines}" if lines.startswith("_") else lines


def sentence(words: str) -> str:
    """The words with a capital first letter."""
    return words[:1].upper() + words[1:]


def period_of(dates: np.ndarray) -> str:
    """The word for the step between regular dates: day, week or month; period where there is one date only."""
    return infer_frequency(dates.astype("datetime64[D]")).period if len(dates) > 1 else "period"


def length_of(dates: np.ndarray) -> str:
    """How long regular dates last, such as `26 weeks`."""
    return f"{len(dates)} {period_of(dates)}{'s' if len(dates) > 1 else ''}"


def spend_label(currency: str, period: str | None = None) -> str:
    """Label of an axis of spend, per period or in total."""
    return f"Spend ({currency} per {period})" if period else f"Spend ({currency})"


def axes_for(ax: Axes | None, *, size: tuple[float, float] = (WIDTH, HEIGHT)) -> Axes:
    """The given axes, or those of a new figure."""
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def row_axes(ax: Axes | None, rows: int, *, each: float = 0.3) -> Axes:
    """The given axes, or those of a new figure that is high enough for so many named rows."""
    return axes_for(ax, size=(WIDTH, max(2.2, 1.2 + each * rows)))


def plain(ax: Axes) -> None:
    """No frame, a faint grid behind the data, small ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(color=LIGHT, linewidth=0.5)
    ax.tick_params(labelsize=SMALL)


def dress(ax: Axes, *, title: str, x: str, y: str) -> Axes:
    """Title, labels and plain axes."""
    ax.set_title(text(title, 80), fontsize=TITLE)
    ax.set_xlabel(text(x, 80), fontsize=LABEL)
    ax.set_ylabel(text(y, 45), fontsize=LABEL)
    plain(ax)
    return ax


def legend_below(ax: Axes, *, widest: int = 4) -> None:
    """A legend under the axes and their label, where it hides no data, in rows of `widest` entries at most."""
    count = max(len(ax.get_legend_handles_labels()[1]), 1)
    rows = math.ceil(count / widest)
    # In points, so that it keeps its distance on axes of any height.
    place = ax.transAxes + ScaledTranslation(0.0, -38 / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=place,
        ncols=math.ceil(count / rows),
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0.0,
    )


def date_axis(ax: Axes, *, ticks: tuple[int, int] = (4, 9)) -> None:
    """Dates along the horizontal axis, each year and month named once; at least and at most so many.

    Fewer than 5 as the most leave Matplotlib without an interval for one and a half years, of which it warns.
    """
    locator = AutoDateLocator(minticks=ticks[0], maxticks=ticks[1])
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.xaxis.get_offset_text().set_fontsize(SMALL)
    ax.margins(x=0.01)


def compact_axis(ax: Axes, *which: str, ticks: int = 6) -> None:
    """Compact numbers along the axes named `x` or `y`."""
    for name in which:
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_formatter(CompactFormatter())
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))


def percent_axis(ax: Axes, which: str) -> None:
    """Shares as percentages along the axis named `x` or `y`."""
    (ax.xaxis if which == "x" else ax.yaxis).set_major_formatter(PercentTicks())


def name_rows(ax: Axes, names: Sequence[str], *, width: int = 30) -> None:
    """Names along the vertical axis, the first one at the top."""
    ax.set_yticks(range(len(names)), [text(name, width) for name in names], fontsize=SMALL)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")


def write_beside(ax: Axes, words: Sequence[str], x: Places, y: Places) -> None:
    """Words a little to the right of places in data coordinates, with room made for them in the axes."""
    notes = [
        ax.annotate(word, (at, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=SMALL)
        for word, at, row in zip(words, x, y, strict=True)
    ]
    for note in notes:
        # They will lie inside of the axes; until then, the layout would shrink the axes for them.
        note.set_in_layout(False)
    # How wide the words are beside the axes is known once the figure is laid out.
    ax.figure.figure.draw_without_rendering()
    left, right = ax.get_xlim()
    width = ax.bbox.width
    free = [max(width - note.get_window_extent().width - 8 / 72 * ax.figure.dpi, 0.2 * width) for note in notes]
    needed = [(place - left) * width / room for place, room in zip(x, free, strict=True)]
    ax.set_xlim(left, max(right, left + max(needed)))


def write_inside(ax: Axes, words: str) -> None:
    """Words in the middle of axes that have nothing to show."""
    ax.annotate(words, (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=SMALL)


def from_zero(ax: Axes, *values: np.ndarray) -> None:
    """Begin the vertical axis at 0 unless some value is negative, so that heights compare."""
    if min(float(np.min(array)) for array in values) >= 0:
        ax.set_ylim(bottom=0.0)


def _unit(value: float) -> tuple[float, str]:
    return next((unit for unit in _UNITS if abs(value) >= unit[0]), _UNITS[-1])


def _told_apart(ticks: np.ndarray, suffix: str) -> list[str]:
    """The ticks with the fewest digits after the point that still show each of them as it is."""
    steps = np.diff(ticks)
    tolerance = 1e-3 * float(np.abs(steps[steps != 0]).min(initial=1.0))
    errors = (np.abs(np.round(ticks, digits) - ticks).max(initial=0.0) for digits in range(9))
    digits = next((count for count, error in enumerate(errors) if error <= tolerance), 9)
    if digits > 4:
        return [_minus(f"{tick:.3g}{suffix}") for tick in ticks]
    return ["0" if abs(tick) <= tolerance else _minus(f"{tick:,.{digits}f}{suffix}") for tick in ticks]


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")
