"""`mmm-jax validate` as a shell sees it."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.cli import backtest
from mmm_jax.cli import main as entry
from mmm_jax.cli.config import Config

CONFIG = """\
data:
  date: week
  target: sales
  channels: [tv]
  last_training_date: 2023-05-07
model:
  adstock: {kind: GeometricAdstock, l_max: 3}
sampling: {num_chains: 2, num_warmup: 60, num_samples: 60, key: 3}
validation: {initial: 65, horizon: 3}
"""


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        entry.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    spend = rng.gamma(2.0, 50.0, 76)
    sales = 500 + 200 * np.tanh(spend / 100) + rng.normal(0, 20, 76)
    return pd.DataFrame(
        {"week": pd.date_range("2022-01-02", periods=76, freq="7D").astype(str), "sales": sales, "tv": spend}
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validate")
    (folder / "fit.yaml").write_text(CONFIG)
    table().to_csv(folder / "sales.csv", index=False)
    return folder


def arguments(place, out, config="fit.yaml"):
    return "validate", "--data", place / "sales.csv", "--config", place / config, "--out", place / out


@pytest.mark.smoke
def test_help_teaches_by_an_example():
    code, out, _ = run("validate", "--help")
    assert code == 0
    assert "Example:\n    mmm-jax validate --" in out
    assert "initial: 130" in out
    assert max(map(len, out.splitlines())) <= 80


def test_tables_for_people_and_numbers_for_machines_are_those_of_the_package(place):
    code, out, err = run(*arguments(place, "checks"))
    assert code == 0, err
    assert "2 folds of 3 rows on 71 rows" in out
    assert "5 later rows held out, not touched" in out
    for words in ("Forecasts by fold", "Forecasts by how far ahead", "Least stable over the folds", "2023-03-26"):
        assert words in out
    # 120 draws can never have the effective sample size that the diagnostics ask for.
    assert "2 of 2 folds (*) have not converged: 2023-03-26, 2023-04-16" in err
    assert max(map(len, out.splitlines())) <= 80
    assert "2023-03-26 *" in out
    found = json.loads((place / "checks" / "validation.json").read_text(), parse_constant=pytest.fail)
    assert {path.stem for path in (place / "checks" / "plots").iterdir()} == {"folds", "scores_by_horizon", "roas_by_fold"}
    panel = mj.Panel.from_frame(table()[:71], date="week", target="sales", channels=["tv"])
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3))
    with pytest.warns(mj.ConvergenceWarning):
        cv = mj.cross_validate(panel, spec, initial=65, horizon=3, num_chains=2, num_warmup=60, num_samples=60, key=3)
    scores = cv.scores()
    assert {name: fold["crps"] for name, fold in found["folds"].items()} == scores["crps"].to_dict()
    assert found["validation"] == {"initial": 65, "horizon": 3, "step": 3, "window": "expanding"}
    assert found["stability"]["roas[tv]"]["mean"] == cv.stability().loc["roas[tv]", "mean"]


def test_defaults_are_two_thirds_of_the_rows_and_eight_ahead():
    panel = mj.Panel.from_frame(table(), date="week", target="sales", channels=["tv"])
    found = backtest._slices(Config(Path("fit.yaml"), {}, {}), panel)
    assert found == {"initial": 51, "horizon": 8, "step": 8, "window": "expanding"}


def test_json_is_all_there_is(place):
    rolling = "{initial: 65, window: rolling, horizon: 6}"
    (place / "few.yaml").write_text(CONFIG.replace("{initial: 65, horizon: 3}", rolling))
    code, out, _ = run(*arguments(place, "few", "few.yaml"), "--json", "--no-plots")
    assert code == 0
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["validation"] == {"initial": 65, "horizon": 6, "step": 6, "window": "rolling"}
    assert found["rows_without_test"] == 0
    assert found["horizon"]["1"]["folds"] == 1
    assert found["stability"]["intercept"]["spread"] is None
    assert not (place / "few" / "plots").exists()
    assert json.loads((place / "few" / "validation.json").read_text()) == found


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("initial: 65", "initial: 70", "validation: A first fold of 70 training and 3 test rows"),
        ("initial: 65", "inital: 65", "did you mean 'initial'?"),
        ("horizon: 3", "horizon: 0", "validation.horizon: must be at least 1, got 0"),
        ("horizon: 3", "window: growing", "must be one of expanding, rolling"),
        ("key: 3", "key: 3, engine: numpyro", "engines lanes, laplace, svi only"),
    ],
)
def test_bad_input_is_one_line(place, old, new, words):
    (place / "bad.yaml").write_text(CONFIG.replace(old, new))
    code, out, err = run(*arguments(place, "new", "bad.yaml"))
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (place / "new").exists()
