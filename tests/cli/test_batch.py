"""`mmm-jax batch` as a shell sees it: many tables, one store, a word about each."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.cli import main as entry

CONFIG = """\
data:
  date: week
  target: sales
  channels: [tv]
  last_training_date: 2023-03-19
model:
  adstock: {kind: GeometricAdstock, l_max: 3}
sampling: {num_chains: 2, num_warmup: 60, num_samples: 60, key: 3}
"""


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        entry.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    spend = rng.gamma(2.0, 50.0, 72)
    sales = 500 + 200 * np.tanh(spend / 100) + rng.normal(0, 20, 72)
    return pd.DataFrame(
        {"week": pd.date_range("2022-01-02", periods=72, freq="7D").astype(str), "sales": sales, "tv": spend}
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three tables in a folder, one of them with a negative spend, and the same three in one file."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "fit.yaml").write_text(CONFIG)
    (folder / "markets").mkdir()
    tables = {name: table(seed) for seed, name in enumerate(["bern", "basel", "genf"])}
    tables["genf"].loc[3, "tv"] = -5.0
    for name, frame in tables.items():
        frame.to_csv(folder / "markets" / f"{name}.csv", index=False)
    pd.concat([frame.assign(market=name) for name, frame in tables.items()]).to_csv(folder / "all.csv", index=False)
    return folder


def test_a_folder_of_tables_becomes_a_store(place):
    code, out, _ = run("batch", "--data", place / "markets", "--config", place / "fit.yaml", "--out", place / "fits")
    assert code == 0
    assert "genf" in out
    assert "failed" in out
    assert "fits per hour" in out
    batch = mj.Batch.open(place / "fits")
    assert sorted(batch.status) == ["basel", "bern", "genf"]
    assert "tv" in batch.errors["genf"]
    assert len(batch["bern"].panel) == 64


def test_one_table_with_a_key_column_gives_the_same_draws(place):
    arguments = ("--by", "market", "--config", place / "fit.yaml", "--out", place / "from_one", "--json")
    code, out, _ = run("batch", "--data", place / "all.csv", *arguments)
    assert code == 0
    found = json.loads(out, parse_constant=pytest.fail)["fits"]
    assert found["genf"]["status"] == "failed"
    one, other = mj.Batch.open(place / "fits"), mj.Batch.open(place / "from_one")
    for name in ("bern", "basel"):
        np.testing.assert_array_equal(one[name].draws["intercept"], other[name].draws["intercept"])


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        ("all.csv", (), "--by"),
        ("all.csv", ("--by", "marked"), "no column 'marked'"),
        ("markets", ("--by", "market"), "folder"),
        ("nothing.csv", ("--by", "market"), "does not exist"),
    ],
)
def test_bad_input_is_one_line(place, data, more, words):
    code, out, err = run("batch", "--data", place / data, "--config", place / "fit.yaml", "--out", place / "new", *more)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (place / "new").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [("nowhere", "'local', 'auto' or 'host:port', got 'nowhere'"), ("127.0.0.1:1", "'127.0.0.1:1' cannot be used")],
)
def test_a_ray_cluster_that_is_none_is_one_line(place, address, words):
    if address != "nowhere":
        pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    arguments = ("--config", place / "fit.yaml", "--out", place / "never", "--ray", address)
    code, out, err = run("batch", "--data", place / "markets", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_ray_cluster_on_this_machine_gives_the_same_store(place):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    one, other = place / "threads", place / "ray"
    for store, more in ((one, ()), (other, ("--ray", "local"))):
        code, _, err = run("batch", "--data", place / "markets", "--config", place / "fit.yaml", "--out", store, *more)
        assert (code, err) == (0, "")
    found, expected = mj.Batch.open(other), mj.Batch.open(one)
    assert found.status == expected.status
    assert found.errors == expected.errors
    for name in ("bern", "basel"):
        np.testing.assert_array_equal(found[name].draws["intercept"], expected[name].draws["intercept"])


def test_a_batch_of_failures_fails(place):
    (place / "bad").mkdir()
    table(0).assign(tv=-1.0).to_csv(place / "bad" / "one.csv", index=False)
    code, _, err = run("batch", "--data", place / "bad", "--config", place / "fit.yaml", "--out", place / "bad_fits")
    assert code == 2
    assert "All 1 fits failed" in err
