"""From axes to a file, without leaving the figure open."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

DOTS_PER_INCH = 150


def save_picture(axes: Axes | np.ndarray, path: str | Path) -> None:
    """Write the figure that the axes belong to, in the format of the suffix, and close it.

    Args:
        axes: what a function of this package returned.
        path: of the file, such as `roas.png`.
    """
    figure = np.ravel(np.asarray(axes, dtype=object))[0].get_figure(root=True)
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    finally:
        plt.close(figure)
