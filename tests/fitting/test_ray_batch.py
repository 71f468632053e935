"""Batches on Ray: the numbers of one process, every fit once, whatever happens to the workers."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.errors import BatchError, SpecError
from mmm_jax.fitting import ray_cluster
from mmm_jax.fitting.batch_engines import chosen_batch_engine
from mmm_jax.fitting.batch_store import BatchStore
from mmm_jax.fitting.engines import ChosenEngine
from mmm_jax.fitting.jobs import Request, failed
from mmm_jax.fitting.ray_task import run_shard, setting_here
from mmm_jax.inference.samples import SamplerSettings

SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4))
SHORT = {"num_chains": 2, "num_warmup": 40, "num_samples": 40, "progress": False}

pytestmark = [
    pytest.mark.filterwarnings("ignore::mmm_jax.errors.ConvergenceWarning"),
    # Ray's stand-in for several machines forks, to run other programs at once; JAX warns of forks of any kind.
    pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"),
]


@cache
def markets(count: int = 10) -> dict[str, mj.Panel]:
    rng, whole = np.random.default_rng(0), mj.synthetic.make_market(seed=1, weeks=60).panel
    panel = replace(whole, spend=whole.spend[:2], channels=whole.channels[:2], controls=whole.controls[:1],
                    control_names=whole.control_names[:1])  # fmt: skip
    return {f"m{k}": replace(panel, target=panel.target * np.exp(0.05 * rng.normal(size=len(panel)))) for k in range(count)}


def draws(fit: mj.Fit) -> np.ndarray:
    return np.concatenate([v.reshape(*v.shape[:2], -1) for v in fit.draws.values()], axis=2)


def assert_same_fits(one: mj.Batch, other: mj.Batch, names=None) -> None:
    for name in names or markets():
        np.testing.assert_array_equal(draws(one[name]), draws(other[name]))
        for statistic, values in one[name].sample_stats.items():
            np.testing.assert_array_equal(values, other[name].sample_stats[statistic])


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory) -> Iterator[None]:
    """What this process compiles, the workers load, and nothing of it is left in JAX's settings."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs",
             "jax_persistent_cache_min_entry_size_bytes")  # fmt: skip
    before = {name: getattr(jax.config, name) for name in names}
    folder = mj.use_compilation_cache(tmp_path_factory.getbasetemp() / "programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
        yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def batch(programs) -> mj.Batch:
    """The reference: the same batch in one process."""
    return mj.fit_batch(markets(), SPEC, key=3, **SHORT)


@pytest.fixture(scope="module")
def address(programs) -> Iterator[str]:
    """Two machines, by Ray's own stand-in: a worker on each, and on one of them something that says it is a GPU."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.add_node(num_cpus=1, num_gpus=1)
        cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of all processes, by process."""
    lines = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return {int(pid): (int(parent), words) for pid, parent, words in (line.split(None, 2) for line in lines if line.strip())}


def running_workers() -> list[int]:
    """Workers that are making fits for a child of this process; Ray writes a task's name into its process's title."""
    found = processes()

    def is_ours(pid: int) -> bool:
        while pid in found and pid != os.getpid():
            pid = found[pid][0]
        return pid == os.getpid()

    return [pid for pid, (_, words) in found.items() if words.startswith("ray::mmm-jax") and is_ours(pid)]


@contextmanager
def killing(wanted=lambda: True) -> Iterator[list[int]]:
    """Context in which the first worker that makes fits once it is wanted is killed; gives who was."""
    killed: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not killed and not stop.is_set():
            for pid in running_workers()[:1] if wanted() else ():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def lines_of(store: Path) -> list[str]:
    results = store / "results.jsonl"
    return re.findall(r'"name": "(\w+)"', results.read_text()) if results.is_file() else []


def on(address: str, **options) -> mj.Ray:
    return mj.Ray(address, **{"fits_per_task": 1, "num_gpus": 0, **options})


def test_a_worker_killed_in_the_middle_changes_nothing(batch, address, tmp_path):
    store, seen = tmp_path / "fits", []

    def wanted() -> bool:
        seen[:] = lines_of(store)
        return len(seen) > 0

    with killing(wanted) as killed:
        found = mj.fit_batch(markets(), SPEC, key=3, store=store, engine=on(address), **SHORT)
    assert len(killed) == 1
    assert 0 < len(seen) < len(markets())
    assert sorted(lines_of(store)) == sorted(markets())
    assert set(found.status.values()) <= {"success", "not_converged"}
    assert_same_fits(batch, found)


@pytest.mark.slow
def test_a_shard_that_fails_for_good_is_failed_and_made_by_the_next_run(batch, address, tmp_path):
    store = tmp_path / "fits"
    with killing() as killed:
        found = mj.fit_batch(
            markets(), SPEC, key=3, store=store, engine=on(address, max_retries=0, fits_per_task=2), **SHORT
        )
    assert len(killed) == 1
    lost = sorted(found.errors)
    assert len(lost) == 2
    for name in lost:
        with pytest.raises(BatchError, match="worker was lost, also after 0 retries"):
            found[name]
    assert_same_fits(batch, found, [name for name in markets() if name not in lost])
    assert sorted(lines_of(store)) == sorted(markets())
    again = mj.fit_batch(markets(), SPEC, key=3, store=store, **SHORT)
    assert sorted(lines_of(store)) == sorted(markets())
    assert_same_fits(batch, again)


@contextmanager
def interrupted_after_three() -> Iterator[None]:
    add = BatchStore.add

    def add_three(self, request, outcome):
        if len(self.entries) == 3:
            raise KeyboardInterrupt
        add(self, request, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchStore, "add", add_three)
        yield


def no_worker_is_left() -> bool:
    """Waits, since a worker hears of it a moment later; half a minute is far more than it needs."""
    for _ in range(300):
        if not running_workers():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_an_interrupted_batch_goes_on(batch, address, tmp_path):
    import ray

    store = tmp_path / "fits"
    with interrupted_after_three(), pytest.raises(KeyboardInterrupt):
        mj.fit_batch(markets(), SPEC, key=3, store=store, engine=on(address), **SHORT)
    assert not ray.is_initialized()
    assert no_worker_is_left()
    assert len(lines_of(store)) == 3
    whole = mj.fit_batch(markets(), SPEC, key=3, store=store, engine=on(address, fits_per_task=4), **SHORT)
    assert sorted(lines_of(store)) == sorted(markets())
    assert_same_fits(batch, whole)
    # Nothing is left to do, so that no cluster is needed.
    assert_same_fits(batch, mj.fit_batch(markets(), SPEC, key=3, store=store, engine=on("127.0.0.1:1"), **SHORT))


def test_an_error_in_a_task_is_the_failure_of_its_fits(address):
    """By default a task takes a GPU where the cluster has one; JAX in these workers has none."""
    panels = {"short": markets()["m0"].take(slice(0, 3)), **dict(list(markets().items())[:2])}
    found = mj.fit_batch(panels, SPEC, key=3, engine=mj.Ray(address), **SHORT)
    assert set(found.status.values()) == {"failed"}
    assert "PanelError" in found.errors["short"]
    assert "JAX in the worker computes on 'cpu' only" in found.errors["m1"]


@pytest.mark.slow
def test_a_connection_that_was_there_stays(batch, address, tmp_path):
    import ray

    names = list(markets())[:1]
    panels = {name: markets()[name] for name in names}
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        with pytest.raises(BatchError, match=r"connected to the Ray cluster at .*'auto'"):
            mj.fit_batch(panels, SPEC, key=3, engine="ray", **SHORT)
        with pytest.raises(BatchError, match="room for a task of 64 CPUs and 0 GPUs: there are 2, with at most 1 CPUs"):
            mj.fit_batch(panels, SPEC, key=3, engine=on("auto", num_cpus=64), **SHORT)
        assert_same_fits(batch, mj.fit_batch(panels, SPEC, key=3, engine=on("auto"), **SHORT), names)
        with interrupted_after_three(), pytest.raises(KeyboardInterrupt):
            mj.fit_batch(markets(), SPEC, key=3, store=tmp_path / "fits", engine=on("auto"), **SHORT)
        assert ray.is_initialized()
        assert no_worker_is_left()
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_cluster_on_this_machine_gives_the_same_numbers(batch, precision, monkeypatch):
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    names = list(markets())[:3]
    panels = {name: markets()[name] for name in names}
    one = batch if precision == "float32" else mj.fit_batch(panels, SPEC, key=3, precision=precision, **SHORT)
    found = mj.fit_batch(panels, SPEC, key=3, precision=precision, engine="ray", **SHORT)
    assert found["m0"].draws["intercept"].dtype == precision
    assert_same_fits(one, found, names)
    assert found["m1"].panel is panels["m1"]
    # The arrays are this process's own: the cluster, whose memory they came in, is gone.
    assert not ray.is_initialized()
    assert all(values.base is None or values.base.flags.owndata for values in found["m0"].draws.values())
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


def test_only_failures_of_the_machine_are_made_again(tmp_path):
    settings = SamplerSettings(num_chains=2, num_warmup=40, num_samples=40)
    lost, wrong = (
        Request(name, panel, SPEC, None, jax.random.key(0), settings, "float32")
        for name, panel in (("lost", markets()["m0"]), ("wrong", mj.PanelError("No target.")))
    )
    with BatchStore(tmp_path) as store:
        store.add(lost, failed(lost, BatchError("The worker was lost."))._replace(again=True))
        store.add(wrong, failed(wrong, wrong.panel))
    assert mj.Batch.open(tmp_path).status == {"lost": "failed", "wrong": "failed"}
    with BatchStore(tmp_path) as store:
        assert store.finished(lost) is None
        assert store.finished(wrong) is not None


@pytest.mark.slow
def test_a_machine_lost_in_the_middle_changes_nothing(batch, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other, store = cluster.add_node(num_cpus=1), tmp_path / "fits"

    def lose() -> None:
        while not lines_of(store):
            time.sleep(0.02)
        cluster.remove_node(other, allow_graceful=False)

    thread = threading.Thread(target=lose)
    try:
        cluster.wait_for_nodes()
        thread.start()
        found = mj.fit_batch(markets(40), SPEC, key=3, store=store, engine=on(cluster.address), **SHORT)
        thread.join()
        assert sorted(lines_of(store)) == sorted(markets(40))
        assert_same_fits(mj.fit_batch(markets(40), SPEC, key=3, **SHORT), found, markets(40))
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_an_interrupt_from_the_keyboard_leaves_no_process(batch, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    store = tmp_path / "fits"
    script = f"""
import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]
import mmm_jax as mj, test_ray_batch as t
mj.fit_batch(t.markets(200), t.SPEC, key=3, store=sys.argv[1], engine=mj.Ray(fits_per_task=1), **t.SHORT)
"""
    process = subprocess.Popen([sys.executable, "-c", script, str(store)], stderr=subprocess.PIPE, text=True)
    while len(lines_of(store)) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    children = [pid for pid, (parent, _) in processes().items() if parent == process.pid]
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert 3 <= len(lines_of(store)) < 200
    left = processes()
    assert [left[pid] for pid in children if pid in left] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "nowhere"}, "'local', 'auto' or 'host:port', got 'nowhere'"),
        ({"address": "ray://head:10001"}, "'host:port'"),
        ({"fits_per_task": 0}, "fits_per_task must be a whole number of at least 1"),
        ({"max_retries": -1}, "max_retries must be a whole number of at least 0"),
        ({"num_cpus": 1.5}, "num_cpus .* got 1.5"),
        ({"num_cpus": 0}, "num_cpus .* got 0"),
        ({"num_gpus": 2}, "one program on one GPU; got 2"),
        ({"engine": "numpyro"}, "must be one of lanes, laplace, svi, or an SVI"),
    ],
)
def test_settings_out_of_range_are_refused(options, words):
    with pytest.raises(SpecError, match=words):
        mj.Ray(**options)


def test_engines_are_resolved_or_refused():
    assert chosen_batch_engine("lanes") == (ChosenEngine("lanes"), None)
    assert chosen_batch_engine("ray") == (ChosenEngine("lanes"), mj.Ray("local"))
    with pytest.raises(SpecError, match="lanes, laplace, svi, ray, or an SVI"):
        mj.fit_batch(markets(), SPEC, engine="spark", **SHORT)
    with pytest.raises(SpecError, match="fits_per_task"):
        mj.fit_batch(markets(), SPEC, engine="ray", chunk_size=3, **SHORT)


def test_without_the_package_ray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BatchError, match=r"pip install 'mmm-jax\[ray\]'"):
        mj.fit_batch(markets(), SPEC, engine="ray", **SHORT)


def test_clusters_that_do_not_answer_are_named(monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'mmm-jax[ray]'")
    with pytest.raises(BatchError, match="'127.0.0.1:1' cannot be used: .*refused"):
        mj.fit_batch(markets(), SPEC, engine=mj.Ray("127.0.0.1:1"), **SHORT)
    monkeypatch.setattr(ray_cluster, "_SECONDS_TO_CONNECT", 2.0)
    with socket.create_server(("0.0.0.0", 0)) as mute:
        place = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(BatchError, match="no cluster answered within 2 seconds"):
            mj.fit_batch(markets(), SPEC, engine=mj.Ray(place), **SHORT)


def test_a_worker_with_other_versions_refuses():
    setting = setting_here("cpu", same_machine=False)
    old = setting._replace(versions={**setting.versions, "jax": "0.0.1"})
    with pytest.raises(BatchError, match=rf"jax {jax.__version__} instead of 0.0.1"):
        run_shard(old, 16, [])
