"""Quick looks on the command line: said to be such on the screen, in the JSON and in the store."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.cli import main as entry
from mmm_jax.cli import report
from mmm_jax.cli.screen import Screen
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics

CONFIG = """\
data:
  date: week
  target: sales
  channels: [tv]
model:
  adstock: {kind: GeometricAdstock, l_max: 3}
  saturation: {kind: NoSaturation}
sampling: {engine: laplace, num_chains: 2, num_samples: 500, key: 3}
"""


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        entry.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0), out.getvalue(), " ".join(err.getvalue().split())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    (folder / "fit.yaml").write_text(CONFIG)
    (folder / "numpyro.yaml").write_text(CONFIG.replace("engine: laplace", "engine: numpyro"))
    (folder / "markets").mkdir()
    rng = np.random.default_rng(0)
    spend = rng.gamma(2.0, 50.0, 72)
    table = {"sales": 500 + 2 * spend + rng.normal(0, 20, 72), "tv": spend}
    weeks = pd.date_range("2022-01-02", periods=72, freq="7D").astype(str)
    pd.DataFrame({"week": weeks, **table}).to_csv(folder / "markets" / "bern.csv", index=False)
    return folder


def test_a_fit_is_said_to_be_a_quick_look(place):
    arguments = ("--data", place / "markets" / "bern.csv", "--config", place / "fit.yaml", "--out", place / "fit")
    code, out, err = run("fit", *arguments, "--no-plots", "--json")
    assert code == 0
    assert "quick look by 'laplace', not a sample of the posterior" in err
    found = json.loads(out, parse_constant=pytest.fail)["diagnostics"]
    assert found["engine"] == "laplace"
    assert found["pareto_k"] < 1
    assert found["max_rhat"] is None
    assert mj.Fit.load(place / "fit" / "fit.zarr").diagnostics.pareto_k == pytest.approx(found["pareto_k"])


def test_a_batch_of_quick_looks(place):
    arguments = ("--data", place / "markets", "--config", place / "fit.yaml", "--out", place / "fits")
    code, out, err = run("batch", *arguments)
    assert code == 0
    assert "fits per hour" in out
    assert "quick looks by 'laplace'" in err
    assert mj.Batch.open(place / "fits")["bern"].diagnostics.engine == "laplace"
    code, _, err = run("batch", "--data", place / "markets", "--config", place / "numpyro.yaml", "--out", place / "new")
    assert code == 2
    assert "lanes, laplace, svi only, not 'numpyro'" in err


@pytest.mark.parametrize(("k", "words"), [(0.4, "Quick look by svi"), (0.9, "Quick look, NOT TO BE BELIEVED by svi")])
def test_the_verdict_has_k_hat_in_the_place_of_r_hat(capsys, k, words):
    found = ApproximationDiagnostics(
        pareto_k=k,
        importance_ess=2000.0,
        num_proposals=8000,
        log_evidence=12.34,
        log_evidence_error=0.05,
        num_chains=4,
        num_samples=500,
        engine="svi",
    )
    report.say_verdict(Screen(), found)
    shown = capsys.readouterr()
    out, err = (" ".join(text.split()) for text in (shown.out, shown.err))
    assert words in out
    assert f"k-hat {k:.2f} (below 0.70), effective sample size 2,000, log evidence 12.3" in out
    assert "R-hat" not in out
    assert "quick look by 'svi'" in err
    assert ("Sample it instead" in err) == (k > 0.7)
