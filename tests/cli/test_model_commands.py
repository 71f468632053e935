"""`mmm-jax models` and `mmm-jax retrain`: from a saved fit to a new champion; what people read, what machines read."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import kinds
import pytest
from monitoring.test_retrain import decide, first

import mmm_jax as mj
from mmm_jax.cli import main as entry

CONFIG = """\
data:
  date: week
  target: sales
  channels: [TV, Radio]
  controls: [rain]
  last_training_date: 2022-12-19
model:
  adstock: {kind: NoAdstock}
  saturation: {kind: NoSaturation}
sampling: {engine: laplace, num_chains: 2, num_samples: 50}
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Runs a command as a terminal of 80 columns; returns code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MMM_JAX_LEDGER", "loop.db")
    monkeypatch.delenv("MMM_JAX_MODELS", raising=False)
    first().save("fit.zarr")
    kinds.table().iloc[6:].to_csv("newer.csv", index=False)
    Path("fit.yaml").write_text(CONFIG)
    Path("other.yaml").write_text(CONFIG.replace("NoSaturation", "RootSaturation"))

    def program(*words: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            entry.main([*map(str, words)])
        assert max(map(len, out.getvalue().splitlines()), default=0) <= 80 or "--json" in words
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    return program


RETRAIN = ("retrain", "brand", "--data", "newer.csv", "--config")


@pytest.mark.smoke
def test_from_a_saved_fit_to_a_new_champion(program):
    assert program("models")[0] == 2  # Nothing is made up where nothing is.
    code, out, _ = program("models", "register", "brand", "--fit", "fit.zarr", "--promote", "--by", "Ada")
    assert (code, out) == (0, "brand 1: approved, champion.\n")
    ledger = mj.Ledger("loop.db")
    decide(ledger, "more TV", slice(20, 24))
    decide(ledger, "late", slice(58, 60))
    code, out, err = program(*RETRAIN, "other.yaml", "--trigger", "new quarter")
    assert code == 0
    assert "the configuration's model is not that of brand 1" in " ".join(err.split())
    assert "1 outcome of the ledger learned from, 1 left out.\n  late #8: its dates are not all in" in out
    assert "On 9 later rows that neither has seen" in out
    assert "brand 2, after 1: needs review, challenger." in out
    code, out, err = program(*RETRAIN, "fit.yaml", "--promote", "--json")
    assert "the configuration's model" not in err
    found = json.loads(out, parse_constant=pytest.fail)
    assert (found["version"], found["parent"], found["alias"], found["promoted"]) == (3, 1, "champion", True)
    assert [row["decision"] for row in found["learned"]] == ["more TV"]
    assert found["comparison"]["scores"]["crps"]["better"] > 0.9
    rows = [line.split() for line in program("models")[1].splitlines()]
    assert ["brand", "2", "needs", "review", "1", "2022-12-19"] in [row[:6] for row in rows]
    assert ["brand", "3", "champion", "approved", "1", "2022-12-19"] in [row[:6] for row in rows]
    code, out, _ = program(*RETRAIN, "fit.yaml", "--no-outcomes", "--json")
    assert [json.loads(out)[name] for name in ("version", "parent", "learned", "left_out")] == [4, 3, [], []]
    assert program("models", "reject", "brand", "2", "--by", "Ben", "--reason", "odd")[1] == "brand 2: rejected.\n"
    table = json.loads(program("models", "--name", "brand", "--json")[1], parse_constant=pytest.fail)["versions"]
    assert [row["review"] for row in table] == ["approved", "rejected", "approved", "needs_review"]
    events = json.loads(program("models", "history", "brand", "--json")[1], parse_constant=pytest.fail)["events"]
    assert [events[-1][name] for name in ("version", "event", "by", "reason")] == [2, "rejected", "Ben", "odd"]
    assert "rejected" in program("models", "history", "brand")[1]
    assert program("models", "recover", "brand")[1] == "No version of brand is being trained.\n"


def test_bad_input_ends_with_code_2_and_says_why(program):
    program("models", "register", "brand", "--fit", "fit.zarr", "--json")
    cases = [
        (("models", "approve", "brand", "7"), "has no version 7; it has 1 to 1"),
        (("models", "approve", "brand", "best"), "give its number, champion or challenger"),
        (("models", "promote", "other", "1"), "There is no model 'other'; there are 'brand'"),
        (("models", "register", "a/b", "--fit", "fit.zarr"), "letters A to Z"),
        (("models", "register", "brand", "--fit", "absent.zarr"), "no fit at absent.zarr"),
        (("models", "register", "brand"), "--fit"),
        ((*RETRAIN, "fit.yaml"), "has no champion"),
        ((*RETRAIN, "fit.yaml", "--parent", "1", "--ledger", "absent.db"), "no database at"),
    ]
    for words, told in cases:
        code, out, error = program(*words)
        assert (code, out) == (2, "")
        assert told in " ".join(error.split())
    assert program("models", "approve", "brand", "challenger")[1] == "brand 1: approved, challenger.\n"
    code, _, error = program("models", "approve", "brand", "1")
    assert code == 2
    assert "was approved already" in error


def test_models_without_a_place_asks_for_one(program, monkeypatch):
    monkeypatch.delenv("MMM_JAX_LEDGER")
    code, _, error = program("models")
    assert code == 2
    assert "MMM_JAX_LEDGER" in error
