"""Numbers in words, here and in the page's script."""

import numpy as np
import pytest

from mmm_jax.report import words
from mmm_jax.report.html import resource

TIES = [1_125_000.0, 1_135_000.0, 0.1125, 12.25, 1.115, 1.125, -1.125, -98_750.0, 2.5e-5, 0.5, 1.005]
EDGES = [0.0, -0.0, 999.5, 999_499.0, 999_500.0, 1e3, 1e15, 3.2e17, 1.234e-4, 9.996e-5, 1e-4, 1e-9, -4.5e-7]
STRANGE = [float("nan"), float("inf"), float("-inf")]
SHARES = [0.125, 0.135, 0.0125, 0.00125, 0.0995, 0.09949, 0.0005, -0.0004, -0.125, 0.345, 1.0, 12.5, 0.25, 1e-9]


@pytest.fixture(scope="module")
def script(browser, tmp_path_factory):
    """An empty page that knows the script's functions for numbers."""
    place = tmp_path_factory.mktemp("numbers") / "empty.html"
    place.write_text("<!doctype html><title>numbers</title>")
    page = browser.open(place)
    page.run(resource("numbers.js") + "; globalThis.known = { number, share, signed, change, chance }")
    return page


def _drawn(count: int) -> list[float]:
    generator = np.random.default_rng(0)
    return (generator.normal(size=count) * 10.0 ** generator.integers(-7, 14, count)).tolist()


@pytest.mark.parametrize("name", ["number", "signed", "share"])
def test_the_script_writes_numbers_as_python_does(script, name):
    values = TIES + EDGES + SHARES + _drawn(300)
    expected = [getattr(words, name)(value) for value in values]
    assert script.run(f"{values}.map(known.{name})") == expected


def test_the_script_knows_strange_numbers(script):
    assert script.run("[NaN, Infinity, -Infinity].map(known.number)") == [words.number(value) for value in STRANGE]
    assert script.run("[NaN, Infinity].map(known.share)") == ["unknown", "unknown"]


def test_the_script_writes_changes_as_python_does(script):
    pairs = [(1.2, 1.0), (1.0, 1.2), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1.0001, 1.0), (0.0, 3.0), (2.25, 2.0)]
    assert script.run(f"{[list(pair) for pair in pairs]}.map(([now, before]) => known.change(now, before))") == [
        words.change(*pair) for pair in pairs
    ]


def test_the_script_is_as_sure_as_python(script):
    values = [0.0, 0.004, 0.005, 0.5, 0.995, 0.996, 1.0]
    assert script.run(f"{values}.map(known.chance)") == [words.chance(value) for value in values]


def test_intervals_are_central():
    assert words.span(np.arange(101.0)) == "5.00 to 95.0"
    assert words.signed(-2500.0) == "\N{MINUS SIGN}2.50k"
