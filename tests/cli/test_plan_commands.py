"""`mmm-jax optimize` from file to file: all tables, plans by date, goals, conflicts; for people and for machines."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
from planning.fits import fit_from_prior

import mmm_jax as mj
from mmm_jax.cli import main as entry

FIT = fit_from_prior("root", channels=2)
FIRST, SECOND = FIT.panel.channels
USUAL = float(FIT.panel.spend.mean(axis=1).sum())
TOTAL = round(4 * USUAL, 2)

TABLES = f"""\
horizon: 4
total: {TOTAL}
bounds: {{{SECOND}: [{0.1 * TOTAL}, {0.5 * TOTAL}]}}
scenarios:
  bold: {{{FIRST}: 0, {SECOND}: {TOTAL}}}
  thrifty: {{{FIRST}: {0.1 * TOTAL}, {SECOND}: {0.1 * TOTAL}}}
frontier: {{from: {TOTAL}, to: {2 * TOTAL}, steps: 2}}
sensitivity: 0.1
"""

BY_DATE = f"""\
horizon: 4
total: {{amount: {TOTAL}, at_most: true}}
by: [channel, date]
constraints:
  - {{kind: Step, channels: {SECOND}, up: 0.1, relative: true, from_before: true, label: slowly}}
  - {{kind: Group, channels: {FIRST}, lower: {0.8 * TOTAL}, dates: [2016-02-21, 2016-02-28]}}
  - {{kind: TargetRoas, at_least: 1e-3, label: a fair return}}
objective: {{kind: MeanMinusSd, k: 0.5}}
"""

CONFLICT = f"""\
horizon: 4
total: {TOTAL}
constraints:
  - {{kind: Group, channels: {FIRST}, lower: {TOTAL}}}
  - {{kind: Box, channels: {FIRST}, upper: {2 * TOTAL}}}
  - {{kind: Ratio, channels: {SECOND}, lower: 0.2}}
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A saved fit."""
    path = tmp_path_factory.mktemp("plans") / "fit.zarr"
    FIT.save(path)
    return path


@pytest.fixture
def optimize(saved, tmp_path, monkeypatch):
    """Runs the command on a configuration, as a terminal of 80 columns; returns code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def optimize(plan: str, *options: object) -> tuple[int, str, str]:
        Path("plan.yaml").write_text(plan)
        given = ["optimize", "--fit", saved, "--config", "plan.yaml", "--out", "plan.json", *options]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            entry.main([str(word) for word in given])
        assert max(map(len, out.getvalue().splitlines()), default=0) <= 80 or "--json" in options
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    return optimize


def strict_json() -> dict:
    return json.loads(Path("plan.json").read_text(), parse_constant=pytest.fail)


def test_all_tables_for_people_and_machines(optimize):
    code, out, err = optimize(TABLES, "--csv", "plan.csv", "--plots", "plots")
    assert code == 0, err
    for words in (
        "What binds",
        "Scenarios",
        "bold",
        "The best plans for other totals",
        "One bound at a time wider by 10.0%",
    ):
        assert words in out
    found = strict_json()
    assert set(found["scenarios"]) == {"plan", "reference", "bold", "thrifty"}
    assert found["scenarios"]["bold"]["spend"] == pytest.approx(TOTAL)
    assert found["scenarios"]["thrifty"]["difference"] < 0
    assert [row["total"] for row in found["frontier"]] == pytest.approx([TOTAL, 2 * TOTAL])
    assert sum(found["frontier"][1]["spend_by_channel"].values()) == pytest.approx(2 * TOTAL)
    assert found["frontier"][0]["response"] == pytest.approx(found["response"]["mean"])
    assert f"the bounds of {SECOND!r}" in found["sensitivity"]
    assert all(row["gain"] >= 0 for row in found["sensitivity"].values())
    table = pd.read_csv("plan.csv").set_index("channel")
    assert table["spend"].to_dict() == pytest.approx(found["spend_by_channel"])
    assert (Path("plots") / "frontier.png").exists()


def test_plans_by_date_have_a_row_per_date_and_channel(optimize):
    code, out, err = optimize(BY_DATE, "--csv", "plan.csv")
    assert code == 0, err
    for words in ("Dates at", "Maximised: MeanMinusSd (k 0.5)", "Reached: a fair return: ", "What binds", "slowly"):
        assert words in out
    found, table = strict_json(), pd.read_csv("plan.csv", parse_dates=["date"])
    assert list(table) == ["date", "channel", "spend", "state", "marginal_return"]
    assert len(table) == 4 * 2
    spend = table.pivot(index="date", columns="channel", values="spend")
    assert spend[FIRST].tolist() == pytest.approx(found["spend"][FIRST])
    before = [FIT.panel.spend[1, -1], *spend[SECOND]]
    assert all(now <= 1.1 * last * (1 + 1e-9) for last, now in zip(before, spend[SECOND], strict=False))
    assert spend[FIRST].iloc[1:3].sum() >= 0.8 * TOTAL * (1 - 1e-9)
    assert found["certificate"]["shadow_prices"]["slowly"] > 0
    assert found["objective"]["name"] == "MeanMinusSd"


def test_a_goal_takes_the_least_total(optimize):
    goal = float(mj.optimize_budget(FIT, horizon=4, total=TOTAL).response.mean())
    code, out, err = optimize(f"horizon: 4\ngoal: {{outcome: {goal}}}\nfrontier: [{TOTAL}]\n", "--page", "plan.html")
    assert code == 0, err
    assert "is the least total that brings" in out
    found = strict_json()
    assert found["goal"]["total"] == found["total"] == pytest.approx(TOTAL, rel=1e-5)
    assert found["frontier"][0]["response"] == pytest.approx(goal)
    page = Path("plan.html").read_text()
    assert page.startswith("<!doctype html>")
    assert SECOND in page


def test_the_probability_to_beat_the_reference_is_what_the_comparison_says(optimize):
    plan = f"horizon: 4\ntotal: {TOTAL}\nobjective: {{kind: ProbabilityToBeat}}\n"
    code, out, err = optimize(plan, "--json")
    assert code == 0, err
    found = json.loads(out, parse_constant=pytest.fail)
    assert found == strict_json()
    assert found["objective"]["value"] == found["comparison"]["probability_better"]


def test_a_conflict_names_its_constraints_and_their_places(optimize):
    code, out, err = optimize(CONFLICT)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: plan.yaml, line 4, constraints[0]: No plan satisfies these constraints together:")
    assert err.endswith("See also constraints[2] in line 6, total in line 2.\n")
    assert not Path("plan.json").exists()


@pytest.mark.parametrize(
    ("plan", "where", "words"),
    [
        ("horizon: 4\n", "total", "Without a total"),
        ("horizon: 4\ntotal: 1e12\nextrapolate: false\n", "line 3, extrapolate", "more in a period than was ever observed"),
        ("horizon: 4\ngoal: {outcome: 1e15}\nbounds_around_mean: 0.1\n", "line 2, goal", "No total reaches"),
        (TABLES.replace("{from", "[1, 2]\n#"), "frontier", "lower bounds"),
    ],
)
def test_what_cannot_be_planned_is_named_with_its_key(optimize, plan, where, words):
    code, _, err = optimize(plan)
    assert code == 2
    assert f"{where}: " in err
    assert words in err


def test_what_exists_is_not_overwritten_unasked(optimize):
    Path("plan.csv").write_text("mine")
    code, _, err = optimize(TABLES, "--csv", "plan.csv")
    assert code == 2
    assert "plan.csv exists already" in err
    assert Path("plan.csv").read_text() == "mine"


def test_what_lies_beyond_the_observed_is_marked(optimize):
    code, out, err = optimize(f"horizon: 4\ntotal: {20 * TOTAL}\n")
    assert code == 0, err
    assert f"{SECOND}*" in out
    assert "* More in a period than ever observed" in out
    assert strict_json()["peaks_by_channel"][SECOND]["beyond"] is True
