"""`mmm-jax ledger` from proposal to report: what people read, what machines read, exit codes."""

import io
import json
import sqlite3
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from monitoring import made
from planning.fits import fit_from_prior

import mmm_jax as mj
from mmm_jax.cli import main as entry

FIT = fit_from_prior("root", channels=2)
FIRST, SECOND = FIT.panel.channels


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """Runs a command as a terminal of 80 columns; returns code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MMM_JAX_LEDGER", "decisions.db")
    FIT.save("fit.zarr")
    dates = (FIT.panel.dates[-1] + 7 * np.arange(1, 5)).astype(str)
    spend = pd.DataFrame({FIRST: 8e5, SECOND: 9e4}, index=pd.Index(dates, name="date"))
    Path("plan.json").write_text(json.dumps({"dates": list(dates), "spend": spend.to_dict("list")}))
    spend.assign(**{FIRST: 7e5}).to_csv("spent.csv")
    (spend / 2).to_csv("usual.csv")
    spend.to_csv("undated.csv", index=False)

    def ledger(*words: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            entry.main(["ledger", *map(str, words)])
        assert max(map(len, out.getvalue().splitlines()), default=0) <= 80 or "--json" in words
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    return ledger


def _measured(ledger) -> None:
    base = ("--name", "q3")
    for words in (
        ("propose", *base, "--plan", "plan.json", "--fit", "fit.zarr", "--baseline", "usual.csv", "--currency", "USD"),
        ("approve", *base, "--by", "the board"),
        ("deliver", *base, "--spend", "spent.csv", "--fit", "fit.zarr", "--currency", "USD"),
        ("outcome", *base, "--value", "1e8", "--se", "2e7", "--method", "geo test", "--independent", "--end", "2016-04-03"),
    ):
        code, _, error = ledger(*words)
        assert (code, error) == (0, "")


@pytest.mark.smoke
def test_a_decision_from_files_to_a_report(ledger):
    _measured(ledger)
    code, out, _ = ledger("report", "--plots", "plots")
    assert code == 0
    assert "q3         measured   2016-02-14   3.560M      3.160M" in out
    assert "1 outcome inside of the 90% interval" in out
    assert Path("plots/ledger.png").stat().st_size > 10_000
    assert "+- 20,000,000" in ledger("report", "--name", "q3")[1]
    found = json.loads(ledger("report", "--json")[1], parse_constant=pytest.fail)
    total = found["variance"]["q3"][0]
    assert total["difference"] == pytest.approx(total["execution"] + total["model"], rel=1e-12)
    assert found["decisions"][0]["baseline"] == 1.78e6
    assert {row["channel"] for row in found["bias"]} == {FIRST, SECOND}
    ledger("restate", "--name", "q3", "--value", "9e7", "--reason", "typo")
    for words in (("--fit", "fit.zarr"), ("--fit", "fit.zarr", "--value", "1")):
        code, out, error = ledger("restate", "--name", "q3", "--reason", "late invoice", "--spend", "usual.csv", *words)
        told = "Spent 1,780,000 USD of 3,560,000 planned from 2016-02-14 to 2016-03-06." in out
        assert (code, told) == ((2, False) if "--value" in words else (0, True))
    assert "one after the other" in error
    assert json.loads(ledger("void", "--name", "q3", "--reason", "cancelled", "--json")[1])["state"] == "voided"
    history = json.loads(ledger("report", "--name", "q3", "--json")[1])["history"]
    kinds = ["proposed", "approved", "delivered", "outcome", "restated", "restated", "voided"]
    assert [row["kind"] for row in history] == kinds


def test_decisions_by_geo(ledger):
    """A fit of many geos predicts a plan of `optimize`, whose table of what was spent has a column `geo`."""
    panel = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=60).panel
    fit = made.fit(panel, mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4)))
    fit.save("geos.zarr")
    dates = list((panel.dates[-1] + 7 * np.arange(1, 5)).astype(str))
    spend = {channel: {geo: [100.0] * 4 for geo in panel.geos} for channel in panel.channels}
    Path("geos.json").write_text(json.dumps({"dates": dates, "spend": spend}))
    rows = [(date, geo, 100.0, 50.0) for geo in reversed(panel.geos) for date in dates]
    pd.DataFrame(rows, columns=["date", "geo", *panel.channels]).to_csv("spent_by_geo.csv", index=False)
    for words in (
        ("propose", "--plan", "geos.json", "--fit", "geos.zarr"),
        ("approve",),
        ("deliver", "--spend", "spent_by_geo.csv", "--fit", "geos.zarr"),
    ):
        code, out, error = ledger(*words, "--name", "regions")
        assert (code, error) == (0, "")
    assert "Spent 1,200 of 1,600 planned" in out
    predicted = mj.Ledger("decisions.db").decisions().loc["regions", "predicted"]
    plan = xr.DataArray(np.full((4, 2, 2), 100.0), dims=("date", "channel", "geo"),
                        coords={"date": dates, "channel": list(panel.channels), "geo": list(panel.geos)})  # fmt: skip
    other = mj.Ledger("other.db", create=True)
    other.propose(plan, name="regions", fit=fit)
    assert predicted == pytest.approx(other.decisions().loc["regions", "predicted"], rel=1e-9)


def test_verify_fails_on_a_changed_event(ledger):
    _measured(ledger)
    code, out, _ = ledger("verify")
    assert code == 0
    assert out.startswith("Intact: 4 events.")
    head = json.loads(ledger("verify", "--json")[1])["head"]
    assert ledger("verify", "--head", head)[0] == 0
    with sqlite3.connect("decisions.db") as connection:
        connection.execute("UPDATE ledger_events SET decision = 'q4' WHERE sequence = 3")
    connection.close()
    code, out, _ = ledger("verify")
    assert code == 1
    assert "event 3 (delivered of 'q4') was changed" in " ".join(out.split())
    assert json.loads(ledger("verify", "--json")[1])["first_fault"] == 3


BAD = {
    "no ledger": (("approve", "--name", "q3"), "There is no database at"),
    "nothing": (("propose", "--name", "q3"), "Say what is proposed"),
    "both": (("propose", "--name", "q3", "--plan", "plan.json", "--spend", "spent.csv"), "not both"),
    "no plan": (("propose", "--name", "q3", "--plan", "spent.csv"), "no plan that `mmm-jax optimize` wrote"),
    "no date": (("propose", "--name", "q3", "--spend", "undated.csv"), "no column 'date'"),
    "no table": (("propose", "--name", "q3", "--spend", "absent.csv"), "absent.csv: the table does not exist"),
    "no number": (("outcome", "--name", "q3", "--value", "much"), "valid number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_code_2_and_says_why(ledger, case):
    words, told = BAD[case]
    code, out, error = ledger(*words)
    assert code == 2
    assert out == ""
    assert told in " ".join(error.split())
