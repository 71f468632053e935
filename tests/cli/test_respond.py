"""`mmm-jax respond`: what people read, what machines read, the files, and what becomes of bad input."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_jax.cli import main as entry
from mmm_jax.remarketing import make_customers, stratified_split

MADE = make_customers(customers=600, response_rate=0.3, seed=1)
NEW = make_customers(customers=300, response_rate=0.3, seed=2).table
COLUMNS = ("--label", "Response", "--customer", "ID", "--leaks", "Z_Revenue", "--leaks", "Z_CostContact")


def run(*words: object) -> tuple[int, str, str]:
    """Code, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        entry.main(["respond", *map(str, words)])
    return int(ended.value.code or 0), out.getvalue(), " ".join(err.getvalue().split())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Folder with tables and a fitted model, and what the command said."""
    folder = tmp_path_factory.mktemp("respond")
    for name, table in MADE.tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    NEW.to_csv(folder / "next.csv")
    NEW.drop(columns="Response").to_csv(folder / "unlabelled.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.chdir(folder)
        joins = ("--join", "purchases.csv", "--join", "campaigns.csv")
        said = run("fit", "--data", "customers.csv", *joins, *COLUMNS, "--out", "model")
    return folder, said


@pytest.fixture
def respond(fitted, monkeypatch):
    """Runs a command in that folder, as a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(fitted[0])

    def respond(*words: object) -> tuple[int, str, str]:
        code, out, error = run(*words)
        assert max(map(len, out.splitlines()), default=0) <= 80 or "--json" in words
        return code, out, error

    return respond


def test_fit_says_how_good_the_model_is_and_keeps_it(fitted):
    folder, (code, out, error) = fitted
    assert code == 0, error
    train, test = stratified_split(MADE.table["Response"], test_share=0.3, key=0)
    assert out.startswith(f"{len(train)} customers, of whom ")
    assert f"{len(test)} other customers to judge by" in out
    assert "left out as constant" not in out
    for words in ("Converged", "ROC AUC", "logistic", "guess", "Odds ratios per standard deviation"):
        assert words in out
    found = json.loads((folder / "model/respond.json").read_text(), parse_constant=pytest.fail)
    scores = found["scores"]
    assert scores["model"]["roc_auc"]["of_mean"] > scores["guess"]["roc_auc"]["of_mean"] == 0.5
    assert abs(scores["model"]["log_loss"]["of_mean"] - scores["logistic"]["log_loss"]["of_mean"]) < 0.05
    assert all(Path(folder / name).exists() for name in found["files"])
    assert len(list((folder / "model/plots").glob("*.png"))) == 5


def test_random_contact_makes_two_models_and_an_audience_by_uplift(respond):
    made = make_customers(customers=900, response_rate=0.3, treated_share=0.5, uplift=1.5, seed=4).table
    made.to_csv("trial.csv", index=False)
    words = ("fit", "--data", "trial.csv", *COLUMNS, "--out", "both", "--no-plots")
    code, out, error = respond(*words, "--treatment", "Treated")
    assert code == 0, error
    for line in ("contacted customers, of whom", "Without contact, from", "Contact adds +", "In the order of the"):
        assert line in out
    found = json.loads(Path("both/respond.json").read_text(), parse_constant=pytest.fail)
    assert found["rows"] + found["left_alone"] == len(stratified_split(made["Response"], test_share=0.3, key=0)[0])
    assert found["uplift"]["average"]["mean"] > 0
    money = ("--margin", 11, "--cost", 1)
    code, out, error = respond("audience", "--model", "both", "--data", "next.csv", *money, "--out", "u.csv")
    assert code == 0, error
    assert "responses that contact adds" in out
    assert not error
    table = pd.read_csv("u.csv")
    np.testing.assert_allclose(table["expected_profit"], 11 * table["uplift"] - 1, atol=1e-4)
    code, out, _ = respond("score", "--model", "both", "--data", "unlabelled.csv", "--out", "v.csv")
    scored = pd.read_csv("v.csv").set_index("customer")["uplift"]
    np.testing.assert_allclose(scored[table["customer"]], table["uplift"], rtol=1e-4)
    # Another fit in its place has one model only.
    code, out, _ = respond(*words, "--leaks", "Treated", "--overwrite")
    assert (code, Path("both/control.zarr").exists()) == (0, False)


def test_an_earlier_model_is_not_replaced_by_chance(respond):
    code, _, error = respond("fit", "--data", "next.csv", *COLUMNS, "--out", "model")
    assert code == 2
    assert "model.zarr exists already" in error


def test_customers_are_scored_and_judged_where_labels_are_known(respond):
    code, out, _ = respond("score", "--model", "model", "--data", "next.csv", "--out", "scores.csv")
    assert code == 0
    assert "Scores, " in out
    table = pd.read_csv("scores.csv")
    np.testing.assert_array_equal(table["customer"], NEW["ID"])
    assert ((table["lower"] < table["probability"]) & (table["probability"] < table["upper"])).all()
    code, out, _ = respond("score", "--model", "model", "--data", "unlabelled.csv", "--out", "others.csv")
    assert code == 0
    assert "No labels in the table" in out
    pd.testing.assert_frame_equal(pd.read_csv("others.csv"), table)
    code, out, _ = respond("score", "--model", "model", "--data", "next.csv", "--out", "scores.csv", "--overwrite", "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["customers"] == 300
    assert 0.5 < found["scores"]["roc_auc"]["of_mean"] < 1


def test_an_audience_is_listed_with_its_holdout(respond):
    words = ("audience", "--model", "model", "--data", "unlabelled.csv", "--cost", "Z_CostContact")
    code, out, error = respond(
        *words, "--margin", 11, "--contacts", 60, "--holdout", 0.1, "--out", "a.csv", "--plots", "pics"
    )
    assert code == 0, error
    assert out.startswith("54 of 300 customers to contact, 6 held out.")
    assert "60 *" in out
    assert "response is not uplift" in error
    table = pd.read_csv("a.csv")
    assert list(table["group"].value_counts()[["contact", "holdout"]]) == [54, 6]
    np.testing.assert_allclose(table["expected_profit"], 11 * table["score"] - 3, atol=1e-4)
    assert Path("pics/audience.png").stat().st_size > 10_000
    code, out, _ = respond(*words, "--margin", "Z_Revenue", "--out", "b.csv", "--base-rate", 0.1, "--lift", 0.3, "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["holdout"] > 0
    assert len(pd.read_csv("b.csv")) == found["contacts"] + found["holdout"]
    assert found["cost"] == 3 * found["contacts"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "--data", "next.csv", "--label", "Respons", "--out", "m"), "no column 'Respons'; did you mean 'Response'?"),
        (("fit", "--data", "next.csv", "--label", "Education", "--out", "m"), "the label 'Education' has 5 values"),
        (("fit", "--data", "next.csv", "--join", "purchases.csv", "--label", "Response", "--out", "m"), "needs --customer"),
        (("fit", "--data", "next.csv", *COLUMNS, "--out", "m", "--test", 1.5), "`test_share` must lie between 0 and 1"),
        (("fit", "--data", "next.csv", *COLUMNS, "--out", "m", "--treatment", "Recency"), "`Recency` must be 0 or 1"),
        (("fit", "--data", "next.csv", *COLUMNS, "--out", "m", "--treatment", "T"), "--treatment: the table has no column"),
        (("fit", "--data", "none.csv", *COLUMNS, "--out", "m"), "No such file"),
        (("score", "--model", "pics", "--data", "next.csv", "--out", "s.csv"), "holds no model.zarr"),
        (("score", "--model", "model", "--data", "customers.csv", "--out", "s.csv"), "needed columns are not in the table"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_names_it(respond, words, message):
    code, _, error = respond(*words)
    assert code == (1 if "none.csv" in words else 2)
    assert message in error
    assert error.count("error:") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--margin", 11, "--holdout", 0.1, "--lift", 0.1, "--base-rate", 0.1), "give --holdout, or"),
        (("--margin", 11, "--lift", 0.1), "together"),
        (("--margin", "Profit"), "--margin: the table has no column 'Profit'"),
        (("--margin", 0.1), "Nobody of 300 customers has a positive expected profit"),
        (("--margin", 11, "--holdout", 2.5), "--holdout must be a share below 1, or a whole number"),
        (("--margin", 11, "--budget", 10, "--contacts", 3), "`budget` or `contacts`, not both"),
    ],
)
def test_audiences_that_cannot_be_are_refused(respond, words, message):
    code, _, error = respond("audience", "--model", "model", "--data", "next.csv", "--cost", 3, *words, "--out", "none.csv")
    assert code == 2
    assert message in error
    assert not Path("none.csv").exists()


def test_help_teaches_by_an_example(respond):
    code, out, _ = respond("--help")
    assert code == 0
    assert "mmm-jax respond audience --model model" in out
    assert "Response is not uplift" in " ".join(out.split())


def test_splits_keep_the_share_of_responders():
    y = np.repeat([0, 1], [850, 150])
    train, test = stratified_split(y, test_share=0.2, key=3)
    assert (y[test].sum(), y[train].sum(), len(test)) == (30, 120, 200)
    assert sorted([*train, *test]) == list(range(1000))
    np.testing.assert_array_equal(test, stratified_split(y, test_share=0.2, key=3)[1])
