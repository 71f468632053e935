"""The ledger's picture."""

import numpy as np
import pytest
from monitoring import made

import mmm_jax as mj
from mmm_jax import plots


def test_the_ledgers_picture_shows_every_outcome_and_channel(tmp_path):
    ledger = mj.Ledger(tmp_path / "ledger.db")
    made.measure(ledger, "$5 test", value=61.0)
    ledger.outcome("$5 test", 5.0, 1.0, method="geo test", independent=True, channel="TV")
    upper, lower = plots.plot_ledger(ledger)
    assert [label.get_text() for label in upper.get_yticklabels()] == [r"\$5 test", r"\$5 test: TV"]
    assert [label.get_text() for label in lower.get_yticklabels()] == ["TV", "Radio"]
    measured = {line.get_label(): line.get_xdata() for line in upper.lines}
    np.testing.assert_array_equal(measured["Measured"], [61.0])
    np.testing.assert_array_equal(measured["Measured, outside"], [5.0])
    table = ledger.bias()
    (medians,) = [line.get_xdata() for line in lower.lines if line.get_label() == "Median"]
    np.testing.assert_array_equal(medians, table["median"])
    upper.figure.draw_without_rendering()


def test_an_empty_ledger_says_so(tmp_path):
    for ax in plots.plot_ledger(mj.Ledger(tmp_path / "ledger.db"), target="sales, EUR"):
        assert [text.get_text() for text in ax.texts] == ["No outcome has been recorded yet"]


@pytest.mark.parametrize("most", [1, 3])
def test_the_latest_outcomes_are_shown(tmp_path, most):
    ledger = mj.Ledger(tmp_path / "ledger.db")
    for number in range(4):
        made.measure(ledger, f"d{number}", value=60.0)
    upper, _ = plots.plot_ledger(ledger, most=most)
    assert [label.get_text() for label in upper.get_yticklabels()] == [f"d{number}" for number in range(4 - most, 4)]
