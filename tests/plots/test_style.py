"""Words and numbers on pictures."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mmm_jax.plots import style


@pytest.mark.parametrize(
    "ticks",
    [[0.0, 5e7, 1e8], [-2e6, 0.0, 2e6], [0.0, 0.25, 0.5], [9.98e5, 9.99e5, 1e6], [1e3, 1e4], [0.0], [0.0, 2e-7, 4e-7]],
)
def test_ticks_read_back_as_the_numbers_they_stand_for(ticks):
    words = style.CompactFormatter().format_ticks(ticks)
    sizes = {"k": 1e3, "M": 1e6, "B": 1e9}
    plain = [word.replace("\N{MINUS SIGN}", "-").replace(",", "") for word in words]
    read = [float(word.rstrip("kMB")) * sizes.get(word[-1], 1.0) for word in plain]
    np.testing.assert_allclose(read, ticks, atol=1e-12)


def test_shares_read_back_as_well():
    assert style.PercentTicks().format_ticks([0.0, 0.025, 0.05]) == ["0", "2.5%", "5.0%"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (2e9, "2.00B"),
        (158_373_400.0, "158M"),
        (999_950.0, "1.00M"),
        (-85_000.0, "\N{MINUS SIGN}85.0k"),
    ],
)
def test_compact_numbers(value, words):
    assert style.compact(value) == words


def test_users_words_are_shown_as_they_stand():
    _, ax = plt.subplots()
    shown = ax.set_title(style.text("Spend $ and $ again"))
    assert not shown._preprocess_math(shown.get_text())[1]
    assert style.text("_tv").strip() == "_tv"
    assert style.text("a" * 30 + " long name, north") != style.text("a" * 30 + " long name, south")


@pytest.mark.parametrize("ticks", [(4, 9), (2, 5)])
@pytest.mark.parametrize("weeks", [2, 10, 60, 90, 110, 150, 300])
def test_every_span_of_dates_has_its_ticks(ticks, weeks):
    """Without Matplotlib's warning that it has no fitting interval."""
    _, ax = plt.subplots()
    ax.plot(np.datetime64("2022-10-02") + 7 * np.arange(weeks), np.zeros(weeks))
    style.date_axis(ax, ticks=ticks)
    ax.figure.draw_without_rendering()
    assert 2 <= len(ax.get_xticks()) <= ticks[1] + 1


def test_importing_the_package_imports_no_pictures():
    code = "import sys, mmm_jax; sys.exit('matplotlib.pyplot' in sys.modules or 'mmm_jax.plots' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
