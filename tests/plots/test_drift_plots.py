"""The picture of drift: evidence against its threshold, rows, scores and causes, with and without an alarm."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import mmm_jax as mj
from mmm_jax import plots

DATES = np.datetime64("2024-01-07") + 7 * np.arange(8)
CAUSES = ["level", "ramp", "$5 TV", "Radio"]


def drift(log_evidence: np.ndarray, *, geos: int = 0) -> mj.Drift:
    """What `detect_drift` might have found."""
    rng = np.random.default_rng(0)
    count = len(log_evidence)
    dims, shape = (("date", "geo"), (count, geos)) if geos else (("date",), (count,))
    pit = rng.uniform(size=shape)
    pit[1:2] = np.nan
    rows = {
        **{f"log_{name}": ("date", log_evidence) for name in ("evidence", "level", "variance")},
        "evidence": ("date", np.exp(np.minimum(log_evidence, 700.0))),
        "log_targeted": (("cause", "date"), np.outer([1.0, 0.0, 2.0, -9.0], np.ones(count))),
        "ess": ("date", np.linspace(400.0, 50.0, count)),
        "pit": (dims, pit),
        "z": (dims, pit),
        "crps": ("date", np.where(np.arange(count) == 0, np.nan, 2e6)),
        "coverage": ("date", np.where(np.arange(count) == 0, np.nan, 0.8)),
        "crps_ratio": ("date", np.ones(count)),
    }
    coords = {"date": DATES[:count], "cause": CAUSES} | ({"geo": [f"g{place}" for place in range(geos)]} if geos else {})
    return mj.Drift(xr.Dataset(rows, coords), 0.05, 100.0, {"crps": 1e6, "coverage": 0.93}, 0.9, ())


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in ax.lines}


@pytest.mark.parametrize("geos", [0, 3])
def test_an_alarm_shows_when_and_what(geos):
    found = drift(np.linspace(-1.0, 800.0, 8), geos=geos)
    axes = plots.plot_drift(found, target="sales, EUR")
    axes[0].figure.draw_without_rendering()
    evidence, pit, crps, coverage, causes = axes
    assert evidence.get_yscale() == "log"
    assert evidence.get_title().splitlines() == [
        "Drift: alarm on 2024-01-14",
        "The last week was judged by too few draws: fit the model anew",
    ]
    drawn = np.minimum(found.rows["evidence"], np.exp(230.0))
    np.testing.assert_allclose(lines(evidence)["Any change"], drawn, rtol=1e-12)
    assert lines(evidence)["Threshold 20 (at most 5% false alarms)"][0] == pytest.approx(20.0)
    assert "Alarm" in lines(evidence)
    seen = np.concatenate([lines(pit)["A row"], lines(pit)["Judged by too few draws"]])
    np.testing.assert_array_equal(seen, found.rows["pit"].to_numpy().ravel())
    assert "sales, EUR" in crps.get_title()
    assert (lines(crps)["Training"][0], lines(coverage)["Training"][0]) == (1e6, 0.93)
    assert lines(coverage)["As it should be"][0] == 0.9
    assert crps.get_ylim()[1] > 2e6
    assert [label.get_text() for label in causes.get_yticklabels()] == [
        r"\$5 TV",
        "Level (a step)",
        "Level (a ramp)",
        "Radio",
    ]
    np.testing.assert_allclose([bar.get_width() for bar in causes.patches], found.causes.to_numpy())


def test_without_an_alarm_the_picture_says_so_and_other_causes_are_added_up():
    calm = drift(np.zeros(8))
    calm = replace(calm, least_ess=1.0)
    axes = plots.plot_drift(calm, most=2)
    assert axes[0].get_title() == "No drift in 8 weeks"
    assert "Alarm" not in lines(axes[0])
    assert "means little" in axes[4].get_title()
    assert [label.get_text() for label in axes[4].get_yticklabels()] == [r"\$5 TV", "All others together"]
    assert sum(bar.get_width() for bar in axes[4].patches) == pytest.approx(1.0)


def test_where_the_scatter_has_changed_the_causes_are_told_to_be_none():
    found = drift(np.linspace(-1.0, 8.0, 8))
    assert found.of_scatter is False
    assert plots.plot_drift(found)[4].get_title() == "What has changed"
    wider = replace(found, rows=found.rows.assign(log_variance=found.rows["log_variance"] + 3.0))
    assert wider.to_dict()["of_scatter"] is True
    assert plots.plot_drift(wider)[4].get_title() == "The scatter has changed, rather than one of these"


def test_one_row_can_be_drawn():
    axes = plots.plot_drift(drift(np.zeros(1)))
    axes[0].figure.draw_without_rendering()
    assert axes[0].get_title().startswith("No drift in 1 period")
