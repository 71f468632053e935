"""The recovery benchmark, without the peers: what tools are shown, what they are scored on, Markdown."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import recovery
from benchmarks.recovery_scores import Truth, scores, worst

TRUTH = Truth(
    totals=np.array([[100.0, 40.0], [300.0, 60.0]]), target=np.array([[10.0, 12.0], [20.0, 30.0]]), channels=("TV", "Radio")
)


def _draws(totals, spread, count=4000):
    return totals * (1.0 + spread * np.linspace(-1.0, 1.0, count))[:, None, None]


def test_the_truth_scores_perfectly():
    found = scores(TRUTH, _draws(TRUTH.totals, 0.0), _draws(TRUTH.target, 0.0))
    assert found["mape"] == pytest.approx(0.0, abs=1e-12)
    assert found["crps"] == pytest.approx(0.0, abs=1e-9)
    assert found["width"] == 0.0


def test_errors_are_those_of_the_totals_over_all_geos():
    """20 % too much in one geo and as much too little in the other is no error of the channel's total."""
    shifted = TRUTH.totals + np.array([[30.0, 20.0], [-30.0, 0.0]])
    found = scores(TRUTH, _draws(shifted, 0.05), _draws(TRUTH.target, 0.1))
    assert found["errors"] == {"TV": pytest.approx(0.0, abs=1e-12), "Radio": pytest.approx(0.2)}
    assert found["mape"] == pytest.approx(0.1)
    assert worst(found["errors"], 1) == ["Radio"]
    assert found["coverage"] == 0.5
    assert found["coverage_by_geo"] == 0.25
    # Uniform draws over +-5 % of 400 and of 120; the middle 90 % of them.
    assert found["width"] == pytest.approx(0.9 * 0.1 * np.mean([1.0, 120 / 100]), rel=1e-3)


@pytest.fixture
def data(tmp_path, monkeypatch):
    dates, geos = ["2024-01-01", "2024-01-08", "2024-01-15"], ["b", "a"]
    index = pd.MultiIndex.from_product([geos, dates], names=["geo", "date"])
    columns = {"x1_TV": 1.0, "x2_Radio": 2.0, "c1": 3.0, "c1_effect": 4.0, "y": np.arange(6.0)}
    pd.DataFrame(columns, index=index).reset_index().to_csv(tmp_path / "made.csv", index=False)
    truth = {"contribution_x1_TV": np.arange(6.0), "contribution_x2_Radio": 1.0}
    pd.DataFrame(truth, index=index).reset_index().to_csv(tmp_path / "made_truth.csv", index=False)
    monkeypatch.setattr(recovery, "data_folder", lambda: tmp_path)
    return tmp_path


def test_tools_do_not_see_the_truth(data):
    path, truth = recovery.problem("made", data / "problem")
    assert list(pd.read_csv(path).columns) == ["date", "geo", "y", "x1_TV", "x2_Radio", "c1"]
    roles = json.loads((path.parent / "roles.json").read_text())
    assert roles["channels"] == ["x1_TV", "x2_Radio"]
    assert roles["controls"] == ["c1"]
    assert truth.channels == ("TV", "Radio")
    np.testing.assert_array_equal(truth.totals, [[12.0, 3.0], [3.0, 3.0]])
    np.testing.assert_array_equal(truth.target, [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]])


def test_draws_are_put_into_the_truths_order_of_geos(data, monkeypatch):
    _, truth = recovery.problem("made", data / "problem")

    def launch(tool, job, caches, timeout):
        swapped = Truth(truth.totals[::-1], truth.target[::-1], truth.channels)
        np.savez(
            job.more["keep"], totals=_draws(swapped.totals, 0.01), y=_draws(swapped.target, 0.0), geos=np.array(["b", "a"])
        )
        return {"tool": tool.name}

    monkeypatch.setattr(recovery, "launch", launch)
    tool = recovery.Tool("peer", data, "module", "own")
    found = recovery.recover(tool, recovery.Job(data, recovery.parse_grid("1+1")[0]), truth, data / "run", 1.0)
    assert found["scores"]["coverage_by_geo"] == 1.0
    assert found["scores"]["crps"] == pytest.approx(0.0, abs=1e-6)


def test_a_run_without_draws_says_why():
    settings = {"warmup": 10, "draws": 20, "target_accept": 0.9}
    run = {
        "data": "made",
        "variant": "",
        "tool": "peer",
        "sampler": "own",
        "settings": settings,
        "fits": [{"error": "no luck"}],
    }
    quality = {"min_ess_bulk": 512.3, "max_rhat": 1.004, "divergences": 2, "wall_seconds": 3.21}
    scored = {**run, "fits": [quality], "scores": scores(TRUTH, _draws(TRUTH.totals, 0.1), _draws(TRUTH.target, 0.1))}
    text = recovery.markdown({"machine": "a machine", "missing": ["a peer: no network"], "runs": [run, scored]})
    rows = [line for line in text.splitlines() if line.startswith("| made")]
    assert "no luck" in rows[0]
    assert "| 512 | 1.004 | 2 | 3.2 |" in rows[1]
    assert len({line.count("|") for line in rows}) == 1
    assert "Did not install: a peer: no network" in text
