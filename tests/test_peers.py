"""Benchmarks of the peers, without the peers: tables, settings, extrapolation, Markdown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.peers import problems, settings
from benchmarks.peers.table import brief, inserted, markdown

ROLES = {"data": "made up", "date": "date", "target": "sales", "channels": ["TV", "Radio"], "controls": ["promo"]}


def _frame():
    dates = pd.date_range("2024-01-01", periods=30, freq="W-MON", name="date")
    columns = {"sales": np.linspace(10.0, 20.0, 30), "TV": 3.0, "Radio": np.arange(30.0), "promo": 1.0}
    return pd.DataFrame(columns, index=dates).reset_index()


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    monkeypatch.setattr(problems, "training_table", lambda: (_frame(), ROLES))


def _fit(seconds=2.0, ess=1500.0, rhat=1.002):
    return {"name": "f", "wall_seconds": seconds, "min_ess_bulk": ess, "min_ess_tail": 1234.0, "max_rhat": rhat}


def _run(fits, *, tool="peer", draws=500, startup=3.0, **more):
    about = {
        "tool": tool,
        "sampler": "nuts",
        "how": "as it is.",
        "dtype": "float64",
        "device": "cpu",
        "versions": {"p": "1"},
    }
    counts = {"chains": 4, "warmup": 500, "draws": draws, "target_accept": 0.9}
    return {**about, "settings": counts, "startup_seconds": startup, "peak_megabytes": 321.0, "fits": fits, **more}


def _section(runs, **more):
    bar = {"min_ess_bulk_above": 1000.0, "max_rhat_below": 1.01}
    about = {"date": "2026-01-01", "machine": "a machine", "data": "made up", "options": {"chains": 4}, "missing": []}
    return {**about, "bar": bar, "runs": runs, **more}


def test_a_smaller_batch_is_the_start_of_a_larger_one(tmp_path):
    small = problems.batch_problem(2, tmp_path / "small")
    large = problems.batch_problem(4, tmp_path / "large")
    assert [path.read_bytes() for path in small] == [path.read_bytes() for path in large[:2]]
    assert len({path.read_bytes() for path in large}) == 4
    assert json.loads((tmp_path / "small" / "roles.json").read_text()) == ROLES


def test_only_spend_and_sales_are_perturbed():
    before, after = _frame(), problems.perturbed(_frame(), ROLES, 3)
    pd.testing.assert_frame_equal(before[["date", "promo"]], after[["date", "promo"]])
    assert (after["TV"] != 3.0).all()
    assert after.loc[0, "Radio"] == 0.0
    assert np.abs(np.log(after["sales"] / before["sales"])).max() < 5 * problems.SALES_NOISE


def test_the_grid_says_what_is_wrong_with_a_setting():
    assert settings.parse_grid("200+250, 300+500@0.8") == [settings.Setting(200, 250), settings.Setting(300, 500, 0.8)]
    with pytest.raises(ValueError, match=r"WARMUP\+DRAWS"):
        settings.parse_grid("200")


@pytest.mark.parametrize(
    "spoiled", [_fit(ess=1000.0), _fit(rhat=1.01), _fit(rhat=float("nan")), {"wall_seconds": 1.0, "error": "no"}]
)
def test_one_fit_below_the_bar_spoils_the_setting(spoiled):
    assert settings.reaches_bar([_fit(), _fit()])
    assert not settings.reaches_bar([_fit(), spoiled])
    assert not settings.reaches_bar([])


def test_the_cheapest_setting_is_chosen_among_those_that_reach_the_bar():
    quick, good, slow = (
        settings.judged(_run([_fit(seconds, ess)], draws=draws), 1)
        for seconds, ess, draws in ((1.0, 900.0, 250), (2.0, 1100.0, 500), (9.0, 9000.0, 1000))
    )
    assert settings.cheapest([slow, quick, good]) is good
    assert settings.cheapest([quick]) is None


def test_the_first_fit_of_a_process_is_not_taken_for_the_later_ones():
    run = _run([_fit(10.0), _fit(2.0), _fit(4.0)])
    assert settings.seconds(run, 2) == 3.0 + 10.0 + 2.0
    assert settings.seconds(run, 13) == 3.0 + 16.0 + 10 * 3.0
    assert settings.judged(run, 13)["extrapolated"]
    assert not settings.judged(run, 3)["extrapolated"]


def test_the_single_table_shows_both_processes_and_the_agreement():
    ours, theirs = {"intercept": [0.2, 0.1]}, {"intercept": [0.25, 0.1]}
    runs = [
        _run([{**_fit(), "moments": ours}], tool="mmm_jax", caches="empty"),
        _run([{**_fit(1.0), "moments": ours}], tool="mmm_jax", caches="warm"),
        _run([{**_fit(20.0), "moments": theirs}], caches="empty"),
        {"tool": "peer", "sampler": "nuts", "settings": {"warmup": 1, "draws": 2}, "error": "stopped", "caches": "warm"},
    ]
    text = markdown({"single": _section(runs)})
    assert "| mmm_jax, nuts | 500 + 500 @ 0.9 | 5.0 | 4.0 |" in text
    assert "0.500 posterior standard deviations (`intercept`)" in text
    assert "failed: stopped" in text


def test_the_batch_table_marks_what_is_extrapolated_and_compares_with_both_processes():
    peer = _run([_fit(20.0), _fit(10.0)], caches="empty")
    cold, warm = (_run([_fit(wall)] * 4, tool="mmm_jax", caches=caches) for wall, caches in ((1.0, "empty"), (0.5, "warm")))
    entries = [settings.judged(run, 4) for run in (peer, cold, warm)]
    text = markdown({"batch": _section([peer, cold, warm], entries=entries)})
    assert "| 4 | mmm_jax, nuts | 500 + 500 @ 0.9 | 4 | 7.0 | 1.75 | 2057 |" in text
    assert "| 4 | mmm_jax, nuts, second process | 500 + 500 @ 0.9 | 4 | 5.0 | 1.25 | 2880 |" in text
    assert "| 53.0 *extrapolated* | 13.25 *extrapolated* | 272 | 7.6 x its time | 10.6 x its time |" in text


def test_the_readme_shows_the_recorded_run():
    root = Path(__file__).parents[1]
    document = json.loads((root / "benchmarks/results/peers.json").read_text())
    page = (root / "README.md").read_text()
    assert page == inserted(page, brief(document))
    assert (root / "benchmarks/results/peers.md").read_text() == markdown(document) + "\n"
    with pytest.raises(ValueError, match="no <!-- peers: begin"):
        inserted("# A page without marks", "text")


def test_a_batch_that_never_reaches_the_bar_has_no_number():
    poor = _run([_fit(ess=10.0)])
    text = markdown({"batch": _section([poor], entries=[settings.judged(poor, 1)])})
    assert "none of the grid reaches it" in text
    failed = {"tool": "peer", "sampler": "nuts", "settings": poor["settings"], "error": "ended with 1: no memory"}
    assert "failed: ended with 1" in markdown({"batch": _section([failed], entries=[settings.judged(failed, 1)])})
