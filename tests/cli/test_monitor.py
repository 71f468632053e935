"""`mmm-jax monitor`: what people read, what machines read, and the exit codes that a scheduler goes by."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from monitoring import made
from planning.fits import WEEKS, fit_from_prior, market

import mmm_jax as mj
from mmm_jax.cli import main as entry
from mmm_jax.cli.monitor_work import read_new
from mmm_jax.cli.screen import Screen
from mmm_jax.cli.spend_files import SpendPlan

NEW = 8
FIT = fit_from_prior("root", channels=2)
FIRST, SECOND = FIT.panel.channels

CONFIG = f"""\
data:
  date: date
  target: sales
  channels: ["{FIRST}", "{SECOND}"]
  controls: [{", ".join(FIT.panel.control_names)}]
"""


def table() -> pd.DataFrame:
    """Training rows and rows after them in which the model holds: drawn from it, spent on as a year before."""
    later = market(WEEKS + NEW, 2).take(slice(WEEKS, None)).with_spend(FIT.panel.spend[:, WEEKS - 52 : WEEKS - 52 + NEW])
    later = replace(later, target=FIT.predict(later, key=1)["y"].to_numpy()[0, 3])
    return pd.concat([FIT.panel.to_frame(), later.to_frame()]).reset_index()


TABLE = table()


@pytest.fixture
def monitor(tmp_path, monkeypatch):
    """Runs the command as a terminal of 80 columns; returns code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    FIT.save("fit.zarr")
    Path("fit.yaml").write_text(CONFIG)
    TABLE.to_csv("sales.csv", index=False)

    def monitor(*words: object, data: object = "sales.csv", config: str = "fit.yaml") -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        given = ("monitor", "--fit", "fit.zarr", "--data", data, "--config", config, *words)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            entry.main(list(map(str, given)))
        assert max(map(len, out.getvalue().splitlines()), default=0) <= 80 or "--json" in words
        return int(ended.value.code or 0), out.getvalue(), " ".join(err.getvalue().split())

    return monitor


def drifted(rows: pd.DataFrame) -> pd.DataFrame:
    """Sales that no draw of the model foresees."""
    return rows.assign(sales=rows["sales"].where(np.arange(len(rows)) < WEEKS, 40 * rows["sales"].max()))


def plan_of(level: float, place: str = "plan.csv") -> str:
    """A plan that spends so many times the largest amount of training, long after it."""
    dates = (FIT.panel.dates[-1] + 7 * np.arange(20, 26)).astype(str)
    largest = dict(zip(FIT.panel.channels, level * FIT.panel.spend.max(axis=1), strict=True))
    pd.DataFrame({"date": dates, **largest}).to_csv(place, index=False)
    return place


@pytest.mark.smoke
def test_nothing_to_report_is_code_0(monitor):
    code, out, _ = monitor("--plan", plan_of(0.1))
    assert code == 0, out
    assert out.startswith(f"{NEW} rows after training, 2016-02-14 to 2016-04-03.")
    assert "No drift: evidence" in out
    assert "Not stale." in out
    assert "0.10" in out
    assert out.endswith("No alarm.\n")


def test_drift_is_code_3_with_its_cause_a_picture_and_a_file(monitor):
    drifted(TABLE).to_csv("drifted.csv", index=False)
    code, out, _ = monitor("--out", "checks", data="drifted.csv")
    assert code == 3
    assert "DRIFT since 2016-0" in out
    assert "Likeliest causes" in out
    assert "ALARM: the new rows are not the model's own any more." in out
    assert Path("checks/plots/drift.png").stat().st_size > 10_000
    found = json.loads(Path("checks/monitor.json").read_text(), parse_constant=pytest.fail)
    assert (found["alarm"], found["rows"], found["staleness"]["stale"]) == (True, NEW, False)
    assert mj.Drift.from_dict(found["drift"]).alarm
    code, out, error = monitor("--out", "checks", data="drifted.csv")
    assert code == 2
    assert "monitor.json exists already" in error
    code, out, _ = monitor("--json", "--out", "checks", "--overwrite", "--no-plots", data="drifted.csv")
    assert code == 3
    assert json.loads(out, parse_constant=pytest.fail) == {**found, "files": ["checks/monitor.json"]}
    assert not list(Path("checks/plots").glob("*"))


def test_a_stale_verdict_is_code_3_unless_told_otherwise(monitor):
    ledger = mj.Ledger("decisions.db")
    made.measure(ledger, value=12.0, se=2.0, channel="TV")
    words = ("--plan", plan_of(2.0), "--ledger", "decisions.db")
    code, out, _ = monitor(*words)
    assert code == 3
    assert "ALARM: the model is stale." in out
    assert "2.00 !" in out
    assert "less than predicted" in out
    assert "1. TV brings less than was predicted" in out
    assert f"2. {FIRST}: up to" in out
    code, out, _ = monitor(*words, "--stale-ok")
    assert code == 0
    assert "the stale verdict was told to be none" in out
    code, out, _ = monitor("--ledger", "decisions.db", "--own-outcomes", "--json")
    assert code == 0
    assert json.loads(out)["staleness"]["errors"]["measured"] == 0
    assert monitor("--mix", "0.9", "--recent", "4", "--alpha", "0.01")[0] == 0


def test_channels_that_came_and_went(monitor):
    other = TABLE.rename(columns={SECOND: "Podcast"})
    other.loc[: WEEKS - 1, "Podcast"] = 0.0
    other.to_csv("other.csv", index=False)
    Path("other.yaml").write_text(CONFIG.replace(SECOND, "Podcast"))
    code, out, error = monitor("--mix", "1.0", data="other.csv", config="other.yaml")
    assert code == 0, out
    assert "the fit does not know Podcast" in error
    assert f"the configuration has no {SECOND}" in error
    assert "restated" not in error
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(("Podcast", SECOND))] == ["new", "dropped"]


def test_rows_whose_target_is_not_known_and_cells_that_were_restated(monitor):
    rows = TABLE.copy()
    rows.loc[[WEEKS + 2, WEEKS + 6, WEEKS + 7], "sales"] = np.nan
    rows.loc[4, "sales"] *= 2
    rows.to_csv("some.csv", index=False)
    code, out, error = monitor("--json", data="some.csv")
    assert code == 0
    assert "2 rows after the last one whose target is known, left out" in error
    assert "1 training cell restated since: sales on" in error
    found = json.loads(out)
    assert (found["rows"], found["last_date"]) == (NEW - 2, "2016-03-20")
    assert [value is None for value in found["drift"]["rows"]["data"]["pit"]["values"]] == [False] * 2 + [True] + [False] * 3


def test_one_new_row_is_enough(monitor):
    TABLE.iloc[[WEEKS]].to_csv("one.csv", index=False)
    code, out, _ = monitor("--mix", "1", data="one.csv")
    assert code == 0
    assert out.startswith("1 row after training, 2016-02-14.")


def test_rows_of_geos_with_a_target_that_is_not_known_in_one_of_them(tmp_path):
    panel = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=64).panel
    fitted: Any = SimpleNamespace(panel=panel.take(slice(0, 60)))
    rows = panel.take(slice(60, None)).to_frame().reset_index().assign(heads=5.0)
    rows.loc[(rows["geo"] == "geo_2") & (rows["date"] == panel.dates[62]), "sales"] = np.nan
    rows.to_csv(tmp_path / "geos.csv", index=False)
    words = {"channels": panel.channels, "controls": panel.control_names}
    lists = "".join(f"  {name}: [{', '.join(names)}]\n" for name, names in words.items())
    config = f"data:\n  date: date\n  target: sales\n{lists}  geo: geo\n  population: heads\n"
    (tmp_path / "geos.yaml").write_text(config)
    found = read_new(tmp_path / "geos.yaml", tmp_path / "geos.csv", fitted, Screen(machine=True))
    assert isinstance(found, mj.GeoPanel)
    np.testing.assert_array_equal(found.dates, panel.dates[60:])
    np.testing.assert_allclose(found.spend, panel.spend[:, :, 60:])
    assert np.argwhere(~found.observed).tolist() == [[1, 2]]
    assert np.argwhere(np.isnan(found.target)).tolist() == [[1, 2]]


def test_plans_of_optimize_with_and_without_geos(tmp_path):
    path = tmp_path / "plan.json"
    base = {"dates": ["2024-01-07", "2024-01-14"], "unit_costs": {"TV": {"cost": 12.0, "unit": "grp"}}}
    path.write_text(json.dumps({**base, "spend": {"TV": [1.0, 2.0], "Radio": [3.0, 4.0]}}))
    found = SpendPlan.read(path)
    assert found.spend.sel(channel="TV").values.tolist() == [1.0, 2.0]
    assert found.prices == {"TV": mj.Price(12.0)}
    path.write_text(json.dumps({**base, "spend": {"TV": {"north": [1.0, 2.0], "south": [3.0, 4.0]}}}))
    by_geo = SpendPlan.read(path).spend
    assert by_geo.sel(channel="TV", geo="south").values.tolist() == [3.0, 4.0]
    rows = [
        (date, geo, by_geo.sel(date=date, geo=geo, channel="TV").item())
        for date in base["dates"]
        for geo in ("south", "north")
    ]
    csv = tmp_path / "plan.csv"
    pd.DataFrame(rows, columns=["date", "geo", "TV"]).to_csv(csv, index=False)
    table = SpendPlan.read(csv).spend
    np.testing.assert_array_equal(table.sel(geo=["north", "south"]), by_geo.transpose(*table.dims))
    pd.DataFrame([*rows, rows[0]], columns=["date", "geo", "TV"]).to_csv(csv, index=False)
    with pytest.raises(mj.LedgerError, match="the geo 'south' twice"):
        SpendPlan.read(csv)


BAD = {
    "nothing new": ({"data": "old.csv"}, (), "no row with a target comes after 2016-02-07"),
    "gap": ({"data": "gap.csv"}, (), "Dates must have no gaps"),
    "no plan": ({}, ("--plan", "absent.json"), "absent.json: the plan does not exist"),
    "plan": ({}, ("--plan", "fit.yaml"), "this is no plan that `mmm-jax optimize` wrote"),
    "ledger": ({}, ("--ledger", "absent.db"), "There is no database at"),
    "alpha": ({}, ("--alpha", "1.5"), "`alpha` must be a probability"),
    "mix": ({}, ("--mix", "15"), "`mix_threshold` must lie between 0 and 1"),
    "recent": ({}, ("--recent", "0"), "`window` must be a whole number"),
    "geos": ({"config": "geos.yaml"}, (), "is of one market, but the configuration names geos"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_code_2_and_says_why(monitor, case):
    TABLE.iloc[:WEEKS].to_csv("old.csv", index=False)
    TABLE.iloc[WEEKS + 2 :].to_csv("gap.csv", index=False)
    TABLE.assign(place="north").to_csv("geos.csv", index=False)
    Path("geos.yaml").write_text(CONFIG + "  geo: place\n")
    options, words, told = BAD[case]
    options = {"data": "geos.csv", **options} if case == "geos" else options
    code, out, error = monitor(*words, **options)
    assert (code, out) == (2, "")
    assert told in error


def test_help_teaches_by_an_example_and_tells_the_exit_codes():
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        entry.main(["monitor", "--help"])
    assert not ended.value.code
    words = out.getvalue()
    assert "Example:\n    mmm-jax monitor --fit" in words
    assert "3   an alarm: drift, or a stale verdict (not with --stale-ok)" in words
    assert max(map(len, words.splitlines())) <= 80
