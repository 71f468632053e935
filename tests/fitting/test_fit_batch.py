"""Batches: the same numbers whatever the company, a status for every fit, stores that survive."""

import json
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import jax
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.errors import BatchError, ConvergenceWarning, PanelError, SpecError, StoreError
from mmm_jax.fitting import batch_memory
from mmm_jax.fitting.batch_store import BatchStore
from mmm_jax.fitting.jobs import Request, prepared
from mmm_jax.inference.programs import compilations
from mmm_jax.inference.samples import SamplerSettings

# The package's name `fit_batch` is the function.
fit_batch_module = import_module("mmm_jax.fitting.fit_batch")

SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=1)
SHORT = {"num_chains": 2, "num_warmup": 40, "num_samples": 40, "progress": False}

pytestmark = pytest.mark.filterwarnings("ignore::mmm_jax.errors.ConvergenceWarning")


@cache
def market(seed: int = 1, weeks: int = 80) -> mj.Panel:
    panel = mj.synthetic.make_market(seed=seed, weeks=weeks).panel
    return replace(panel, spend=panel.spend[:3], channels=panel.channels[:3], controls=panel.controls[:1],
                   control_names=panel.control_names[:1])  # fmt: skip


@cache
def markets(count: int = 3) -> dict[str, mj.Panel]:
    rng, panel = np.random.default_rng(0), market()
    return {f"m{k}": replace(panel, target=panel.target * np.exp(0.05 * rng.normal(size=len(panel)))) for k in range(count)}


def draws(fit: mj.Fit) -> np.ndarray:
    return np.concatenate([v.reshape(*v.shape[:2], -1) for v in fit.draws.values()], axis=2)


def assert_same_fits(one, other, names) -> None:
    for name in names:
        np.testing.assert_array_equal(draws(one[name]), draws(other[name]))


@cache
def made(precision: str) -> mj.Batch:
    return mj.fit_batch(markets(), SPEC, key=3, precision=precision, **SHORT)


@pytest.fixture(scope="module")
def batch():
    return made("float32")


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_draws_do_not_depend_on_order_company_or_chunks(precision):
    names, how = list(markets()), {"key": 3, "precision": precision, **SHORT}
    backwards = mj.fit_batch({name: markets()[name] for name in reversed(names)}, SPEC, chunk_size=1, **how)
    assert list(backwards) == names[::-1]
    assert draws(backwards["m0"]).dtype == precision
    assert_same_fits(made(precision), backwards, names)
    alone = mj.fit_batch({"m1": markets()["m1"]}, SPEC, chunk_size=100, **how)
    assert_same_fits(made(precision), alone, ["m1"])


def test_key_and_name_choose_the_draws(batch):
    panel = markets()["m0"]
    other = mj.fit_batch({"m0": panel, "renamed": panel}, SPEC, key=4, **SHORT)
    assert not np.array_equal(draws(other["m0"]), draws(batch["m0"]))
    assert not np.array_equal(draws(other["m0"]), draws(other["renamed"]))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_draws_on_two_devices_equal_those_on_one(precision, tmp_path):
    """The same batch in a process with two forced host devices."""
    script = f"""
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
sys.path.insert(0, {str(Path(__file__).parent)!r})
import warnings; warnings.simplefilter("ignore")
import jax, numpy as np, mmm_jax as mj
import test_fit_batch as t
assert len(jax.local_devices()) == 2
found = mj.fit_batch(t.markets(), t.SPEC, key=3, precision={precision!r}, chunk_size=1, **t.SHORT)
np.savez({str(tmp_path / "two.npz")!r}, **{{name: t.draws(found[name]) for name in found}})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    two = np.load(tmp_path / "two.npz")
    for name in markets():
        np.testing.assert_array_equal(two[name], draws(made(precision)[name]))


def test_one_bad_panel_is_one_failed_fit(batch):
    panels = {
        "short": market().take(slice(0, 3)),
        "wrong": PanelError("Spend must be at least 0, but one cell is not."),
        "unknown": replace(market(), target=None),
        **markets(),
    }
    with pytest.warns(ConvergenceWarning, match="3 failed"):
        found = mj.fit_batch(panels, SPEC, key=3, **SHORT)
    assert [name for name, status in found.status.items() if status == "failed"] == ["short", "wrong", "unknown"]
    assert "3 rows" in found.errors["short"] or "window" in found.errors["short"]
    assert "one cell" in found.errors["wrong"]
    with pytest.raises(BatchError, match="'wrong' failed.*one cell"):
        found["wrong"]
    assert_same_fits(batch, found, markets())
    table = found.summary()
    assert list(table.index) == list(panels)
    assert np.isnan(table.loc["short", "max_rhat"])


def test_specs_by_name_may_differ_in_values_and_structure(batch):
    tight = mj.ModelSpec.from_dict(
        {**SPEC.to_dict(), "priors": {"intercept": {"dist": "Normal", "loc": 0.9, "scale": 1e-3}}}
    )
    linear = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=1, saturation=mj.NoSaturation())
    found = mj.fit_batch(markets(), {"m0": SPEC, "m1": tight, "m2": linear}, key=3, **SHORT)
    assert_same_fits(batch, found, ["m0"])
    assert found["m1"].draws["intercept"].mean() == pytest.approx(0.9, abs=0.01)
    assert "saturation_lam" not in found["m2"].draws
    with pytest.raises(SpecError, match="2 of 3 panels.*'m1'"):
        mj.fit_batch(markets(), {"m0": SPEC}, **SHORT)


def test_a_store_is_resumed_and_read_again(batch, tmp_path):
    store = tmp_path / "fits"
    half = mj.fit_batch({"m0": markets()["m0"]}, SPEC, key=3, store=store, **SHORT)
    assert list(half) == ["m0"]
    before = next((store / "fits").iterdir()).stat().st_mtime_ns
    whole = mj.fit_batch(markets(), SPEC, key=3, store=store, **SHORT)
    assert before in [place.stat().st_mtime_ns for place in (store / "fits").iterdir()]
    assert_same_fits(batch, whole, markets())
    again = mj.Batch.open(store)
    assert again.status == batch.status
    fit = again["m2"]
    assert fit.panel.fingerprint() == markets()["m2"].fingerprint()
    assert fit.diagnostics.min_ess_bulk == pytest.approx(batch["m2"].diagnostics.min_ess_bulk)
    for name, values in batch["m2"].sample_stats.items():
        np.testing.assert_array_equal(fit.sample_stats[name], values)
    np.testing.assert_array_equal(fit.predict(key=1)["y"], batch["m2"].predict(key=1)["y"])


def test_what_a_killed_process_left_is_made_again(batch, tmp_path):
    store = tmp_path / "fits"
    mj.fit_batch(markets(), SPEC, key=3, store=store, **SHORT)
    lines = (store / "results.jsonl").read_text().splitlines()
    gone = BatchStore(store)._place(json.loads(lines[0])["name"])
    (store / "results.jsonl").write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])
    shutil.rmtree(gone)
    (store / "fits" / ".half").mkdir()
    assert len(mj.Batch.open(store)) == 2
    mended = mj.fit_batch(markets(), SPEC, key=3, store=store, **SHORT)
    assert_same_fits(batch, mended, markets())
    assert not (store / "fits" / ".half").exists()


@pytest.mark.slow
def test_a_killed_batch_goes_on(batch, tmp_path):
    store, script = (
        tmp_path / "fits",
        f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import mmm_jax as mj, test_fit_batch as t
mj.fit_batch(t.markets(40), t.SPEC, key=3, store=sys.argv[1], chunk_size=1, **t.SHORT)
""",
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(store)])
    results = store / "results.jsonl"
    while not (results.is_file() and len(results.read_text().splitlines()) > 3):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = len(mj.Batch.open(store))
    assert 3 < done < 40
    whole = mj.fit_batch(markets(40), SPEC, key=3, store=store, **SHORT)
    assert len(whole) == 40
    assert_same_fits(batch, whole, list(markets())[:1])


def test_stores_refuse_what_would_mix(tmp_path):
    store = tmp_path / "fits"
    mj.fit_batch({"m0": markets()["m0"]}, SPEC, key=3, store=store, **SHORT)
    with pytest.raises(StoreError, match="another fit under the name 'm0'"):
        mj.fit_batch({"m0": markets()["m1"]}, SPEC, key=3, store=store, **SHORT)
    with pytest.raises(StoreError, match="holds 1 fits"):
        mj.fit_batch({"m1": markets()["m1"]}, SPEC, key=3, store=store, resume=False, **SHORT)
    with BatchStore(store), pytest.raises(StoreError, match="Another process"):
        mj.fit_batch({"m1": markets()["m1"]}, SPEC, key=3, store=store, **SHORT)
    with pytest.raises(StoreError, match="no store"):
        mj.Batch.open(tmp_path / "nothing")


def test_places_that_cannot_be_written_are_refused_before_sampling(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    before = compilations.count
    with pytest.raises(StoreError, match="cannot be written"):
        mj.fit_batch(markets(), SPEC, store=tmp_path / "file" / "fits", **SHORT)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000))
    with pytest.raises(StoreError, match="GB left"):
        mj.fit_batch(markets(), SPEC, store=tmp_path / "fits", **SHORT)
    assert compilations.count == before


@pytest.mark.parametrize("where", ["machine", "container"])
def test_draws_that_memory_cannot_hold_are_refused_before_sampling(monkeypatch, tmp_path, where):
    if where == "machine":
        (tmp_path / "meminfo").write_text("MemTotal:       100 kB\nMemAvailable:    8 kB\n")
        monkeypatch.setattr(batch_memory, "_MEMINFO", tmp_path / "meminfo")
    else:
        (tmp_path / "memory.max").write_text("1000000\n")
        (tmp_path / "memory.current").write_text("980000\n")
        monkeypatch.setattr(batch_memory, "_CONTAINER", tmp_path)
    before = compilations.count
    with pytest.raises(BatchError, match="0.0 GB of memory are free. Pass store="):
        mj.fit_batch(markets(), SPEC, **SHORT)
    assert compilations.count == before
    assert len(mj.fit_batch(markets(1), SPEC, store=tmp_path / "fits", **SHORT)) == 1


def test_a_chunk_that_the_machine_fails_is_made_by_the_next_run(batch, tmp_path, monkeypatch):
    made, store = fit_batch_module.run_chunk, tmp_path / "fits"

    def broken(chunk, *others):
        if chunk[0].request.name == "m1":
            raise MemoryError("no memory")
        return made(chunk, *others)

    monkeypatch.setattr(fit_batch_module, "run_chunk", broken)
    half = mj.fit_batch(markets(), SPEC, key=3, store=store, chunk_size=1, **SHORT)
    assert half.errors == {"m1": "MemoryError: no memory"}
    assert_same_fits(batch, half, ["m0", "m2"])
    monkeypatch.undo()
    whole = mj.fit_batch(markets(), SPEC, key=3, store=store, chunk_size=1, **SHORT)
    assert_same_fits(batch, whole, markets())


def test_very_large_fits_have_narrower_programs():
    def width(platform, **settings):
        request = Request("m0", market(), SPEC, None, jax.random.key(0), SamplerSettings(**settings), "float32")
        return batch_memory.width_on(platform, prepared(request))

    assert width("cpu") == 8
    assert width("cpu", num_chains=1) == 32
    assert width("gpu") == 512
    assert 1 <= width("gpu", num_samples=200_000) < width("gpu", num_samples=50_000) < 512
    assert width("cpu", num_chains=64) == width("cpu", num_samples=10**7) == 1


def test_names_are_no_paths(tmp_path):
    found = mj.fit_batch({"../../outside": markets()["m0"]}, SPEC, store=tmp_path / "a" / "fits", **SHORT)
    assert draws(found["../../outside"]).shape[:2] == (2, 40)
    assert {place.name for place in tmp_path.rglob("*.zarr")} == {
        p.name for p in (tmp_path / "a" / "fits" / "fits").iterdir()
    }


def test_fits_of_mixed_sizes_share_their_programs():
    """50 panels of 32 lengths in two buckets: a program of each kind per bucket, and none the second time."""
    rng = np.random.default_rng(1)
    panels = {f"{k}": market(2, 128).take(slice(0, 97 + k % 32)) for k in rng.permutation(50)}
    short = {**SHORT, "num_warmup": 12, "num_samples": 8}
    before = compilations.count
    mj.fit_batch(panels, SPEC, **short)
    first = compilations.count - before
    buckets = {-(-len(panel) // 16) for panel in panels.values()}
    assert 0 < first <= 6 * len(buckets)
    mj.fit_batch(panels, SPEC, key=1, **short)
    assert compilations.count - before == first
