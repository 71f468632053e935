"""Geos and experiments from files: read as they stand, mistakes named, every command says its part by geo and in total."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.cli import main as entry
from mmm_jax.cli import pictures
from mmm_jax.cli.experiments import experiments_by_fit, read_experiments
from mmm_jax.cli.model import check_fits, read_spec
from mmm_jax.cli.results import examine
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen, brief
from mmm_jax.cli.table import read_panel, read_roles, read_table
from mmm_jax.cli.validation import read_config
from mmm_jax.fitting.geo_fit import load_any

MARKET = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=60, seed=3)
DATES = MARKET.panel.dates
TRAINED = 54

CONFIG = f"""\
data:
  date: date
  target: sales
  geo: region
  population: heads
  channels: [channel_1, channel_2]
  controls: ["*"]
  last_training_date: {DATES[TRAINED - 1]}
experiments:
  file: tests.csv
  columns: {{channel: medium}}
  held_out: keep
model:
  adstock: {{kind: GeometricAdstock, l_max: 2}}
  pooling: {{y_sigma: none}}
  priors: {{intercept_eta: {{dist: HalfNormal, scale: 0.2}}}}
sampling: {{num_chains: 1, num_samples: 60, engine: laplace}}
validation: {{initial: 48, horizon: 6}}
"""

PLAN = """\
horizon: 4
total: 3000000
by: [channel, geo]
constraints: [{kind: Group, geos: [geo_2], channels: [channel_1, channel_2], lower: 200000}]
num_starts: 1
"""


def table() -> pd.DataFrame:
    frame = MARKET.panel.to_frame().reset_index().rename(columns={"geo": "region"})
    return frame.assign(heads=frame["region"].map(dict(zip(MARKET.panel.geos, MARKET.panel.population, strict=True))))


def lift_tests() -> pd.DataFrame:
    """Two tests, of which the second is kept for validation."""
    rows = [("channel_1", "geo_1", DATES[10], DATES[13], 0), ("channel_2", None, DATES[30], DATES[33], 1)]
    frame = pd.DataFrame(rows, columns=["medium", "geo", "start", "end", "keep"])
    return frame.assign(delta_spend=20_000.0, delta_outcome=60_000.0, se=30_000.0)


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        entry.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def written(folder, config: str = CONFIG, tests: pd.DataFrame | None = None):
    """The files of a run, and its configuration as it is read."""
    (folder / "fit.yaml").write_text(config)
    table().to_csv(folder / "sales.csv", index=False)
    (lift_tests() if tests is None else tests).to_csv(folder / "tests.csv", index=False)
    return read_config(folder / "fit.yaml", fit_schema())


def panel_of(folder, config) -> mj.GeoPanel:
    frame = read_table(folder / "sales.csv")
    return read_panel(folder / "sales.csv", frame, read_roles(config, frame))  # pyright: ignore[reportReturnType]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geos")
    written(folder)
    (folder / "plan.yaml").write_text(PLAN)
    code, out, err = run("fit", *inputs(folder), "--out", folder / "fit", "--no-plots")
    assert code == 0, err
    (folder / "screen.txt").write_text(out)
    return folder


def inputs(folder):
    return "--data", folder / "sales.csv", "--config", folder / "fit.yaml"


def test_the_panel_is_the_one_that_python_makes(tmp_path):
    found = panel_of(tmp_path, written(tmp_path))
    columns = {"date": "date", "target": "sales", "channels": ["channel_1", "channel_2"], "controls": ["price", "weather"]}
    frame = read_table(tmp_path / "sales.csv")
    expected = mj.Panel.from_frame(frame, **columns, geo="region", population="heads")  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert found.fingerprint() == expected.fingerprint()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("geo: region", "geo: regoin", "line 4, data.geo: the table has no column 'regoin'; did you mean 'region'?"),
        ("geo: region", "geo: sales", "data.geo: column 'sales' is used already, as data.target"),
        ("  geo: region\n", "", "data.population: heads are those of geos"),
        ("y_sigma: none", "y_sigma: some", "model.pooling.y_sigma: must be one of none, partial, complete"),
        ("y_sigma: none", "sigma: none", "ModelSpec.pooling names 'sigma'"),
        ("scale: 0.2", "scale: [1, 2, 3]", "model.priors.intercept_eta: "),
        ("file: tests.csv", "file: test.csv", "experiments.file: "),
        ("  file: tests.csv\n", "", "experiments.columns: there is no `file`"),
        ("channel: medium", "channel: media", "no column 'media'; did you mean 'medium'?"),
        ("channel: medium", "kanal: medium", "experiments.columns.kanal: unknown key"),
        ("held_out: keep", "held_out: start", "must say true or false"),
        ("held_out: keep", "by: keep", "experiments.by: this column tells the fits of `mmm-jax batch` apart"),
        ("held_out: keep", "costs: [{channel: tv, cost: 1, sigma: 1}]", "the panel has no channel 'tv'"),
        ("held_out: keep", "costs: [{channel: channel_1, cost: 1}]", "experiments.costs[0].sigma: the key is missing"),
    ],
)
def test_a_mistake_is_named_with_key_and_line(tmp_path, old, new, words):
    def read():
        config = written(tmp_path, CONFIG.replace(old, new))
        panel = panel_of(tmp_path, config)
        check_fits(config, read_spec(config), panel)
        read_experiments(config, panel)

    with pytest.raises(mj.ConfigError) as caught:
        read()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("se", -1.0, "tests.csv: Row 1: Lift test of channel 'channel_2' from 2021-08-01: `se` must be a positive number"),
        ("medium", "cinema", "row 1 (channel 'cinema', 2021-08-01 to 2021-08-22): the panel has no channel 'cinema'"),
        ("geo", "north", "the panel has no geo 'north'; it has 'geo_1', 'geo_2'"),
        ("start", "2019-01-06", "outside of the training rows"),
    ],
)
def test_a_wrong_row_is_named_also_where_it_is_held_out(tmp_path, column, value, words):
    tests = lift_tests()
    tests[column] = tests[column].astype(object)
    tests.loc[1, column] = value
    config = written(tmp_path, tests=tests)
    with pytest.raises(mj.ConfigError) as caught:
        read_experiments(config, panel_of(tmp_path, config))
    assert words in str(caught.value)
    assert "line 10, experiments.file" in str(caught.value)


def test_rows_are_learned_from_or_held_out(tmp_path):
    config = written(
        tmp_path, CONFIG.replace("  held_out", "  costs: [{channel: channel_1, cost: 2, sigma: 1}]\n  held_out")
    )
    learned, held_out = read_experiments(config, panel_of(tmp_path, config))
    assert learned is not None
    assert held_out is not None
    assert [row.channel for row in learned.rows] == ["channel_1", "channel_1"]
    assert [row.channel for row in held_out.rows] == ["channel_2"]
    begin, end = CONFIG.index("experiments:"), CONFIG.index("model:")
    tests = lift_tests().rename(columns={"medium": "channel"})
    alone = written(tmp_path, CONFIG[:begin] + "experiments: tests.csv\n" + CONFIG[end:], tests)
    learned, held_out = read_experiments(alone, panel_of(tmp_path, alone))
    assert learned is not None
    assert (len(learned), held_out) == (2, None)


def test_experiments_of_a_batch_go_to_their_fits(tmp_path):
    by = CONFIG.replace("held_out: keep", "by: market")
    tests = lift_tests().assign(market=["a", "b"])
    found = experiments_by_fit(written(tmp_path, by, tests), ["a", "b", "c"])
    assert [found[name].learned and len(found[name].learned) for name in "abc"] == [1, 1, None]
    with pytest.raises(mj.ConfigError, match=r"experiments.by: a test is of the fit 'b'. There are a, c"):
        experiments_by_fit(written(tmp_path, by, tests), ["a", "c"])
    with pytest.raises(mj.ConfigError, match="name the column that says which fit a test belongs to"):
        experiments_by_fit(written(tmp_path), ["a"])


def test_a_fit_says_its_results_by_geo_and_in_total(place):
    out = (place / "screen.txt").read_text()
    for words in ("2 geos, each with 54 weekly rows", "1 experiment to learn from, 1 held out", "all geos together",
                  "Return on spend by geo", "Scores of the predictions by geo", "channel_1 in geo_1",
                  "Held-out experiments"):  # fmt: skip
        assert words in out
    assert max(map(len, out.splitlines())) <= 80
    found, fit = json.loads((place / "fit" / "summary.json").read_text()), load_any(place / "fit" / "fit.zarr")
    assert isinstance(fit, mj.GeoFit)
    assert found["data"]["geos"] == ["geo_1", "geo_2"]
    together, apart = (fit.roas(by_geo=by).mean(("chain", "draw")) for by in (False, True))
    assert found["roas"]["channel_2"]["mean"] == pytest.approx(float(together.sel(channel="channel_2")), rel=1e-5)
    one = found["roas_by_geo"]["geo_2"]["channel_2"]["mean"]
    assert one == pytest.approx(float(apart.sel(channel="channel_2", geo="geo_2")), rel=1e-5)
    assert set(found["scores_by_geo"]["geo_1"]) == {"train", "test"}
    (held_out,) = found["experiments"]["held_out"]
    assert held_out["channel"] == "channel_2"
    assert 0 < held_out["pit"] < 1
    # The sum's scores are of sums of draws: no mean of the geos' scores.
    observed = fit.panel.known_total().target
    assert found["scores"]["train"] == pytest.approx(mj.score_table(observed, fit.predict().sum("geo"), 0.9), rel=1e-5)


def test_pictures_are_of_the_sum_and_of_every_geo(place, tmp_path, monkeypatch):
    """Some are drawn: sums, a place for each geo, and experiments; saturation curves of geos do not add up."""
    fit = load_any(place / "fit" / "fit.zarr")
    known = mj.LiftTests.from_frame(lift_tests().rename(columns={"medium": "channel"}))
    results = examine(fit, None, Screen(machine=True), known)
    found: dict = {}
    monkeypatch.setattr(pictures, "_save", lambda drawn, folder: found.update(drawn) or [])
    pictures.save_fit_pictures(results, tmp_path)
    assert "saturation_curves" not in found
    for name in ("target", "contributions", "response_curves", "geo_contributions", "geo_roas", "experiments_held_out"):
        found[name]()


def test_forecasts_are_of_the_sum_and_of_every_geo(place):
    arguments = ("predict", *inputs(place), "--fit", place / "fit" / "fit.zarr", "--out", place / "next.csv")
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "Expected in all, by geo" in out
    total, by_geo = pd.read_csv(place / "next.csv"), pd.read_csv(place / "next_by_geo.csv")
    assert len(total) == 6
    assert list(by_geo["geo"].unique()) == ["geo_1", "geo_2"]
    np.testing.assert_allclose(by_geo.groupby("date")[["mean", "observed"]].sum(), total[["mean", "observed"]], rtol=1e-6)
    code, _, err = run(*arguments)
    assert code == 2
    assert "exists already" in err


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (lambda frame: (frame["region"] == "geo_1") | (frame["date"] != DATES[57]), "geo 'geo_2' lacks 1 row, the first of"),
        (lambda frame: frame["region"] == "geo_1", "geo 'geo_2' lacks 6 rows"),
    ],
)
def test_a_geo_that_lacks_new_rows_is_named(place, tmp_path, kept, words):
    frame = table()
    frame[kept(frame)].to_csv(tmp_path / "some.csv", index=False)
    arguments = ("predict", "--data", tmp_path / "some.csv", "--config", place / "fit.yaml")
    code, _, err = run(*arguments, "--fit", place / "fit" / "fit.zarr", "--out", tmp_path / "next.csv")
    assert code == 2
    assert words in err


def test_a_fit_of_geos_needs_their_column(place, tmp_path):
    (tmp_path / "fit.yaml").write_text(
        CONFIG.replace("  geo: region\n  population: heads\n", "").replace('["*"]', "[price, weather]")
    )
    arguments = ("predict", "--data", place / "sales.csv", "--config", tmp_path / "fit.yaml")
    code, _, err = run(*arguments, "--fit", place / "fit" / "fit.zarr", "--out", tmp_path / "next.csv")
    assert code == 2
    assert "add `data.geo`" in err


def test_plans_decide_by_geo(place):
    files = ("--out", place / "plan.json", "--csv", place / "plan.csv", "--page", place / "plan.html")
    arguments = ("optimize", "--fit", place / "fit" / "fit.zarr", "--config", place / "plan.yaml")
    code, out, err = run(*arguments, *files)
    assert code == 0, err
    assert "The plan by geo, all channels together" in out
    assert "Geos at bound" in out
    page = (place / "plan.html").read_text()
    assert "Geo by geo" in page
    assert page.count(">geo_2<") == 1
    plan, cells = json.loads((place / "plan.json").read_text()), pd.read_csv(place / "plan.csv")
    assert cells["spend"].sum() == pytest.approx(3_000_000)
    assert cells.loc[cells["geo"] == "geo_2", "spend"].sum() >= 200_000 * (1 - 1e-9)
    # Without a reference, the geos share the usual mix as they usually do.
    spend = load_any(place / "fit" / "fit.zarr").panel.spend.sum(axis=(1, 2))
    assert plan["comparison"]["reference"]["channel_1"] == pytest.approx(3_000_000 * spend[0] / spend.sum())
    (place / "bad.yaml").write_text(PLAN.replace("geo_2", "geo_3"))
    code, _, err = run("optimize", "--fit", place / "fit" / "fit.zarr", "--config", place / "bad.yaml", "--out", place / "x")
    assert code == 2
    assert "constraints[0].geos[0]: the fit has no geo 'geo_3'; did you mean 'geo_2'?" in err


def test_brief_numbers_have_one_unit():
    assert [brief(value) for value in (0.0, -12_345.0, 999_999.0, float("nan"))] == ["0", "-12.3k", "1.00M", "-"]
