"""The commands as a shell sees them: files, exit codes, what is on standard output and what on standard error."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.cli import main as entry
from mmm_jax.cli import showcase, steps
from mmm_jax.cli.table import read_panel, read_roles, read_table
from mmm_jax.cli.validation import read_config

TRAINING_ROWS, HELD_OUT = 64, 8

CONFIG = """\
data:
  date: week
  target: sales
  channels: {TV: spend_tv, Radio: spend_radio}
  controls: ["holiday_*"]
  last_training_date: 2023-03-19
model:
  adstock: {kind: GeometricAdstock, l_max: 3}
  likelihood: {kind: TruncatedNormal, lower: 0.0}
  priors:
    intercept: {dist: Normal, loc: 0.4, scale: 0.2}
    saturation_beta: {dist: HalfNormal, scale: 0.3}
sampling: {num_chains: 2, num_warmup: 150, num_samples: 100, key: 3}
"""

PLAN = """\
horizon: 8
total: 2400
bounds: {TV: [400, 1900], Radio: [300, 2000]}
reference: {TV: 1200, Radio: 1200}
"""


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output as strict JSON."""
        return json.loads(self.out, parse_constant=pytest.fail)


def run(*arguments: object) -> Finished:
    """Run the program as a shell would, without a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        entry.main([str(argument) for argument in arguments])
    return Finished(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def make_table() -> pd.DataFrame:
    """Weekly sales of two channels with a holiday."""
    rng = np.random.default_rng(0)
    weeks = TRAINING_ROWS + HELD_OUT
    spend = rng.gamma(2.0, 50.0, (2, weeks))
    holiday = (np.arange(weeks) % 26 == 5).astype(float)
    sales = 500 + 200 * np.tanh(spend[0] / 100) + 100 * np.tanh(spend[1] / 200) + 80 * holiday + rng.normal(0, 20, weeks)
    dates = pd.date_range("2022-01-02", periods=weeks, freq="7D").astype(str)
    columns = {"spend_tv": spend[0], "spend_radio": spend[1], "holiday_spring": holiday}
    return pd.DataFrame({"week": dates, "sales": sales, **columns})


class Workplace(NamedTuple):
    """A folder with table, configurations and a fit."""

    folder: Path
    fitted: Finished

    @property
    def fit(self) -> Path:
        """The saved fit."""
        return self.folder / "results" / "fit.zarr"

    def fit_arguments(self, out: object) -> tuple[object, ...]:
        """The command that fits into another folder."""
        return "fit", "--data", self.folder / "table.csv", "--config", self.folder / "fit.yaml", "--out", out

    def predict_arguments(self, table: object, out: object) -> tuple[object, ...]:
        """The command that predicts a table's rows."""
        return "predict", "--fit", self.fit, "--data", table, "--config", self.folder / "fit.yaml", "--out", out


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Workplace:
    """The folder after one fit with pictures, whose command printed JSON."""
    folder = tmp_path_factory.mktemp("cli")
    make_table().to_csv(folder / "table.csv", index=False)
    (folder / "fit.yaml").write_text(CONFIG)
    (folder / "plan.yaml").write_text(PLAN)
    unfitted = Workplace(folder, Finished(0, "", ""))
    return Workplace(folder, run(*unfitted.fit_arguments(folder / "results"), "--json"))


@pytest.mark.smoke
@pytest.mark.parametrize("command", ["fit", "predict", "optimize", "demo"])
def test_help_teaches_by_an_example(command):
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"Example:\n    mmm-jax {command} --" in ended.out
    assert "--json" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


def test_help_of_the_program_names_all_commands():
    ended = run("--help")
    assert ended.code == 0
    assert all(f"\n  {command} " in ended.out for command in ("demo", "fit", "validate", "predict", "optimize", "monitor"))
    assert "mmm-jax demo --out demo" in ended.out


def test_version():
    ended = run("--version")
    assert (ended.code, ended.out) == (0, "mmm-jax 0.1.0\n")


def test_fit_writes_what_it_says(place):
    assert place.fitted.code == 0, place.fitted.err
    results = place.folder / "results"
    assert place.fitted.json == json.loads((results / "summary.json").read_text())
    pictures = {path.stem for path in (results / "plots").glob("*.png")}
    assert {"predictive", "forecast", "roas", "contributions", "saturation_curves", "waterfall"} <= pictures
    assert mj.Fit.load(place.fit).panel.channels == ("TV", "Radio")


def test_summary_holds_what_is_documented(place):
    summary, fit = place.fitted.json, mj.Fit.load(place.fit)
    assert summary["spec_hash"] == fit.spec.content_hash()
    assert summary["data"] == {
        "rows": TRAINING_ROWS,
        "first_date": "2022-01-02",
        "last_date": "2023-03-19",
        "frequency": "weekly",
        "target": "sales",
        "channels": ["TV", "Radio"],
        "controls": ["holiday_spring"],
        "organic": [],
        "treatments": {},
        "units": {},
        "fingerprint": fit.panel.fingerprint(),
        "test_rows": HELD_OUT,
    }
    assert set(summary["scores"]) == {"train", "test"}
    assert set(summary["scores"]["test"]) == {"crps", "coverage", "mape", "nrmse", "r2"}
    stages = {"read", "compile", "sample", "diagnose", "predict", "contributions", "plots", "save"}
    assert set(summary["wall_seconds"]) == stages | {"total"}
    assert summary["wall_seconds"]["total"] == pytest.approx(sum(summary["wall_seconds"][stage] for stage in stages))
    expected = mj.interval(fit.roas(), 0.9)
    for name in ("mean", "sd", "lower", "median", "upper"):
        assert summary["roas"]["Radio"][name] == pytest.approx(float(expected[name].sel(channel="Radio")))
    assert sum(row["mean"] for row in summary["contribution_shares"].values()) == pytest.approx(1, abs=1e-5)


def test_fit_is_that_of_the_package(place):
    config = read_config(place.folder / "fit.yaml", steps.fit_schema())
    frame = read_table(place.folder / "table.csv")
    panel = read_panel(place.folder / "table.csv", frame, read_roles(config, frame)).take(slice(0, TRAINING_ROWS))
    saved = mj.Fit.load(place.fit)
    assert saved.panel.fingerprint() == panel.fingerprint()
    assert saved.diagnostics.num_chains == 2
    assert saved.draws["intercept"].shape == (2, 100)


def test_convergence_is_a_notice_and_no_python_warning(place):
    assert place.fitted.json["diagnostics"]["converged"] is False
    assert place.fitted.err.startswith("Notice: the fit has not converged")
    assert "ConvergenceWarning" not in place.fitted.err


def test_fit_for_people_and_no_plots(place, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "fit_model", lambda *_, **__: mj.Fit.load(place.fit))
    ended = run(*place.fit_arguments(tmp_path / "deep" / "down"), "--no-plots")
    assert ended.code == 0, ended.err
    for words in ("NOT CONVERGED: 2 chains of 100 draws", "Return on spend", "90% interval", "Held out", "Seconds:"):
        assert words in ended.out
    assert sorted(path.name for path in (tmp_path / "deep" / "down").iterdir()) == ["fit.zarr", "summary.json"]


def never(*_: object, **__: object) -> None:
    raise AssertionError("sampling must not begin")


def test_what_exists_is_not_overwritten_unasked(place, monkeypatch):
    monkeypatch.setattr(steps, "fit_model", never)
    ended = run(*place.fit_arguments(place.folder / "results"))
    assert ended.code == 2
    assert ended.err.endswith("fit.zarr exists already. Choose another folder, or pass --overwrite.\n")
    with pytest.raises(AssertionError, match="sampling must not begin"):
        run(*place.fit_arguments(place.folder / "results"), "--overwrite", "--debug")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit --data none.csv --config {0}/fit.yaml --out {1}/x", "none.csv: the table does not exist."),
        ("fit --data {0}/table.csv --config none.yaml --out {1}/x", "none.yaml: the configuration file does not exist."),
        ("fit --data {0}/table.csv --config {0}/plan.yaml --out {1}/x", "plan.yaml, line 1, horizon: unknown key."),
        ("fit --data {0}/table.csv --config {0}/fit.yaml --out {0}/fit.yaml", "fit.yaml is a file, but a folder is needed."),
        ("predict --fit {1}/x.zarr --data {0}/table.csv --config {0}/fit.yaml --out {1}/x", "There is no fit at"),
        ("predict --fit {0} --data {0}/table.csv --config {0}/fit.yaml --out {1}/x/y", "does not exist. Create it first."),
        ("predict --fit {0} --data {0}/table.csv --config {0}/fit.yaml --out {0}/table.csv", "table.csv exists already;"),
        ("optimize --fit {0}/fit.yaml --config {0}/plan.yaml --out {1}/plan.json", "A fit is saved as .zarr or .nc"),
    ],
)
def test_bad_input_is_one_line_and_code_2(place, tmp_path, monkeypatch, arguments, words):
    monkeypatch.setattr(steps, "fit_model", never)
    ended = run(*arguments.format(place.folder, tmp_path).split())
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert words in ended.err


@pytest.mark.parametrize(
    "arguments", ["nonsense", "fit", "fit --nonsense", "predict --prob 1", "predict --key -1", "demo --seed x"]
)
def test_wrong_usage_is_code_2(arguments):
    ended = run(*arguments.split())
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "Usage: mmm-jax" in ended.err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (mj.SamplingError("no point with a finite density.\nTry again."), "no point with a finite density. Try again."),
        (PermissionError(13, "Permission denied", "results/fit.zarr"), "Permission denied: results/fit.zarr"),
        (KeyError("surprise"), "unexpected KeyError: 'surprise' (This should not happen: run it again with --debug"),
    ],
)
def test_failures_are_one_line_and_code_1(place, tmp_path, monkeypatch, error, line):
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(steps, "fit_model", fails)
    ended = run(*place.fit_arguments(tmp_path / "x"), "--json")
    assert ended.code == 1
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert ended.err.startswith(f"error: {line}")
    with pytest.raises(type(error)):
        run(*place.fit_arguments(tmp_path / "x"), "--debug")


def new_panel(frame: pd.DataFrame) -> mj.Panel:
    """The rows after the training rows."""
    table = frame.iloc[TRAINING_ROWS:].rename(columns={"spend_tv": "TV", "spend_radio": "Radio"})
    return mj.Panel.from_frame(table, date="week", target=None, channels=["TV", "Radio"], controls=["holiday_spring"])


def test_predict_is_that_of_the_fit(place, tmp_path):
    frame, out = make_table(), tmp_path / "predictions.csv"
    arguments = place.predict_arguments(place.folder / "table.csv", out)
    ended = run(*arguments, "--prob", "0.8", "--key", "5", "--json")
    assert ended.code == 0, ended.err
    assert f"{TRAINING_ROWS} rows up to the last training date, 2023-03-19, left out." in " ".join(ended.err.split())
    draws = mj.Fit.load(place.fit).predict(new_panel(frame), key=5)
    expected, table = mj.interval(draws["y"], 0.8), pd.read_csv(out)
    assert list(table) == ["date", "mean", "median", "lower", "upper", "observed"]
    for name in ("mean", "median", "lower", "upper"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-6)
    assert table["date"].tolist() == frame["week"].tolist()[TRAINING_ROWS:]
    np.testing.assert_allclose(table["observed"], frame["sales"][TRAINING_ROWS:])
    assert ended.json["scores"] == pytest.approx(mj.score_table(table["observed"].to_numpy(), draws, 0.8), rel=1e-4)
    assert len(ended.json["predictions"]) == HELD_OUT


def test_predict_without_a_known_target(place, tmp_path):
    planned, out = make_table().iloc[TRAINING_ROWS:], tmp_path / "predictions.csv"
    for table in (planned.drop(columns="sales"), planned.assign(sales=np.nan), planned.drop(columns="sales").iloc[:1]):
        table.to_csv(tmp_path / "planned.csv", index=False)
        ended = run(*place.predict_arguments(tmp_path / "planned.csv", out), "--overwrite")
        assert ended.code == 0, ended.err
        assert "Scores" not in ended.out
        assert len(pd.read_csv(out)) == len(table)
        assert "observed" not in pd.read_csv(out)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (slice(0, TRAINING_ROWS), "no row comes after 2023-03-19"),
        (slice(TRAINING_ROWS + 1, None), "1 weekly rows are missing; the first: 2023-03-26"),
    ],
)
def test_predict_needs_the_rows_that_follow(place, tmp_path, rows, words):
    make_table().iloc[rows].to_csv(tmp_path / "other.csv", index=False)
    ended = run(*place.predict_arguments(tmp_path / "other.csv", tmp_path / "predictions.csv"))
    assert ended.code == 2
    assert words in ended.err
    assert not (tmp_path / "predictions.csv").exists()


def optimize(place: Workplace, folder: Path, plan: str, *options: str) -> Finished:
    (folder / "plan.yaml").write_text(plan)
    arguments = ("--fit", place.fit, "--config", folder / "plan.yaml", "--out", folder / "plan.json")
    return run("optimize", *arguments, *options)


def test_optimize_keeps_total_and_bounds(place, tmp_path):
    ended = optimize(place, tmp_path, PLAN, "--json", "--plots", str(tmp_path / "plots"))
    assert ended.code == 0, ended.err
    plan = ended.json
    assert plan == json.loads((tmp_path / "plan.json").read_text())
    spend = plan["spend_by_channel"]
    assert sum(spend.values()) == pytest.approx(2400)
    for channel, (low, high) in {"TV": (400, 1900), "Radio": (300, 2000)}.items():
        assert low * (1 - 1e-9) <= spend[channel] <= high * (1 + 1e-9)
        assert plan["bounds_by_channel"][channel] == pytest.approx([low, high])
        assert sum(plan["spend"][channel]) == pytest.approx(spend[channel])
    assert plan["dates"][0] == "2023-03-26"
    assert plan["certificate"]["optimal"] is True
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == {"improvement", "plan", "plan_curves"}


def test_optimize_compares_with_the_reference(place, tmp_path):
    comparison = optimize(place, tmp_path, PLAN, "--json").json["comparison"]
    assert comparison["reference"] == pytest.approx({"TV": 1200, "Radio": 1200})
    fit = mj.Fit.load(place.fit)
    plan = mj.optimize_budget(fit, horizon=8, total=2400, bounds={"TV": (400, 1900), "Radio": (300, 2000)})
    expected = plan.compare({"TV": 1200, "Radio": 1200})
    assert comparison["probability_better"] == pytest.approx(expected.probability_better)
    assert comparison["difference"]["mean"] == pytest.approx(float(expected.difference.mean()), rel=1e-6)


def test_optimize_for_people(place, tmp_path):
    ended = optimize(place, tmp_path, PLAN)
    for words in ("Plan of 2,400 over 8 periods", "Marginal return", "Probability that the plan is better", "Optimal:"):
        assert words in ended.out
    assert "the fit has not converged" in ended.err


def test_a_mean_period_is_the_horizon_over_its_length(place, tmp_path):
    whole = "horizon: 8\ntotal: 1600\nbounds_around_mean: 0.5\n"
    spend = place.folder / "table.csv"
    mean = pd.read_csv(spend)[["spend_tv", "spend_radio"]].iloc[:TRAINING_ROWS].mean().to_numpy()
    by_horizon = optimize(place, tmp_path, whole, "--json").json
    by_period = optimize(place, tmp_path, whole.replace("1600", "200\nper: period"), "--json", "--overwrite").json
    assert by_period["spend_by_channel"] == pytest.approx(by_horizon["spend_by_channel"])
    assert by_horizon["bounds_by_channel"]["TV"] == pytest.approx([0.5 * 8 * mean[0], 1.5 * 8 * mean[0]])
    reference = by_period["comparison"]["reference"]
    assert list(reference.values()) == pytest.approx(1600 * mean / mean.sum())


@pytest.mark.parametrize(
    ("plan", "where", "words"),
    [
        ("horizon: 8\ntotal: 1\nbounds: {tv: [0, 1]}\n", "line 3, bounds.tv", "did you mean 'TV'?"),
        ("horizon: 8\ntotal: 1\nbounds: {TV: [1, 0]}\n", "line 3, bounds.TV", "lowest"),
        ("horizon: 8\ntotal: 1\nbounds: {TV: [2, 3]}\n", "line 3, bounds", "1.00 more than the total"),
        ("horizon: 8\ntotal: 1\nbounds_around_mean: 0.1\n", "line 3, bounds_around_mean", "more than the total"),
        ("horizon: 8\ntotal: 1\nbounds: {}\nbounds_around_mean: 1\n", "line 4, bounds_around_mean", "not both"),
        ("horizon: 8\ntotal: 1\nreference: {TV: 1}\n", "line 3, reference", "Radio are missing"),
        ("horizon: [2023-04-02]\ntotal: 1\n", "line 1, horizon", "end on 2023-03-19; got 2023-04-02"),
        ("horizon: [2023-03-26, 2023-03-29]\ntotal: 1\n", "line 1, horizon", "3 days"),
    ],
)
def test_plan_that_cannot_be_is_named_with_key_and_line(place, tmp_path, plan, where, words):
    ended = optimize(place, tmp_path, plan)
    assert ended.code == 2
    assert f"plan.yaml, {where}: " in ended.err
    assert words in ended.err
    assert not (tmp_path / "plan.json").exists()


def test_demo_compares_with_the_truth(monkeypatch):
    quick = {"num_chains": 2, "num_warmup": 200, "num_samples": 100, "max_tree_depth": 6}
    monkeypatch.setattr(steps, "fit_model", lambda panel, spec, **given: mj.fit(panel, spec, **{**given, **quick}))
    ended = run("demo", "--json", "--key", "1", "--seed", "2")
    assert ended.code == 0, ended.err
    result, market = ended.json, mj.synthetic.make_market(seed=2)
    rows = result["truth"]["roas"]
    assert list(rows) == list(market.panel.channels)
    assert result["truth"]["inside"] == sum(row["lower"] <= row["true"] <= row["upper"] for row in rows.values()) >= 5
    assert rows["TV"]["true"] == pytest.approx(market.truth.roas["TV"], rel=0.1)
    assert result["data"]["test_rows"] == showcase.HORIZON
    last_weeks = market.panel.spend[:, -2 * showcase.HORIZON : -showcase.HORIZON].sum()
    assert result["plan"]["total"] == pytest.approx(last_weeks)
    assert result["plan"]["comparison"]["reference_total"] == pytest.approx(last_weeks)


def test_demo_leaves_what_the_other_commands_need(tmp_path):
    showcase.write_inputs(mj.synthetic.make_market(seed=3), tmp_path, key=7)
    inputs = steps.read_inputs(tmp_path / "fit.yaml", tmp_path / "market.csv", steps.Screen(machine=True))
    assert inputs.config.values["sampling"]["key"] == 7
    assert (len(inputs.train), len(inputs.test or ())) == (183, 26)
    market = mj.synthetic.make_market(seed=3)
    np.testing.assert_allclose(inputs.train.spend, market.panel.spend[:, :183])
    assert inputs.train.channels == market.panel.channels
