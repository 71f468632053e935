"""Versions of models: legal transitions only, whoever asks; fits that are what was registered; who, when and why."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import kinds
import numpy as np
import pytest
from monitoring import made, postgres
from planning.fits import SPECS
from sqlalchemy import delete, insert, select, update

import mmm_jax as mj
from mmm_jax.monitoring.registry_tables import ALIASES, EVENTS, VERSIONS
from mmm_jax.monitoring.worker import Worker

SCORES = {"crps": 12.5, "coverage": 0.9}
"""Given, so that nothing has to be predicted."""


@cache
def _fit(seed: int = 0) -> mj.Fit:
    return made.fit(kinds.panel(), SPECS["logistic"], seed)


def _added(registry: mj.Registry, name: str = "brand", **changes) -> int:
    return registry.register(_fit(), name, **{"scores": SCORES, **changes})


def _same(one: mj.Fit, other: mj.Fit) -> bool:
    return all(np.array_equal(values, other.draws[name]) for name, values in one.draws.items())


@pytest.mark.smoke
def test_a_fit_is_kept_with_all_that_tells_it_from_others(registry, tmp_path):
    fit = _fit()
    assert _added(registry, trigger="first model", by="Ada", reason="kick-off") == 1
    assert _added(registry, parent=1) == 2
    assert _added(registry, "other-brand") == 1
    found = registry.version("brand", 1)
    assert (found.spec_hash, found.panel_fingerprint) == (fit.spec.content_hash(), fit.panel.fingerprint())
    assert (found.job, found.review, found.parent, found.trigger) == ("success", "needs_review", None, "first model")
    assert mj.Scales.from_dict(found.facts["scales"]).to_dict() == fit.scales.to_dict()
    assert found.facts["scores"] == SCORES
    assert found.facts["diagnostics"]["converged"]
    assert registry.version("brand", 2).parent == 1
    back = mj.Registry(registry._store.database._url.render_as_string(hide_password=False), artefacts=tmp_path / "models")
    assert _same(back.load("brand", 1), fit)
    assert _same(back.load("brand", "challenger"), fit)
    table = back.versions("brand")
    assert list(table.index) == [("brand", 1), ("brand", 2)]
    assert list(table["alias"]) == ["", "challenger"]
    assert len(back.versions()) == 3
    assert len(list((tmp_path / "models" / "brand").glob("*.zarr"))) == 2


def test_scores_are_those_of_the_training_rows_unless_they_are_given(kept_registry):
    kept_registry.register(_fit(), "brand")
    assert kept_registry.version("brand", 1).facts["scores"] == pytest.approx(_fit().scores())
    with pytest.raises(mj.RegistryError, match="numbers by name"):
        _added(kept_registry, scores={"crps": "low"})


@pytest.fixture
def kept_registry(tmp_path) -> mj.Registry:
    """An empty registry in SQLite, for what has nothing to do with the database."""
    return mj.Registry(tmp_path / "decisions.db")


def test_a_version_is_reviewed_once_and_only_an_approved_one_leads(registry):
    for _ in range(3):
        _added(registry)
    with pytest.raises(mj.RegistryError, match="has no champion"):
        registry.load("brand")
    with pytest.raises(mj.RegistryError, match="Version 1 of 'brand' needs review and cannot be the champion: approve it"):
        registry.set_alias("brand", "champion", 1)
    registry.approve("brand", 1, by="Ada", reason="fits the tests")
    registry.set_alias("brand", "champion", 1, by="Ada")
    registry.reject("brand", 3, by="Ben", reason="returns of TV are odd")
    assert registry.aliases("brand") == {"champion": 1}  # What was rejected challenges nobody.
    for repeated in (registry.approve, registry.reject):
        for version in (1, 3):
            with pytest.raises(mj.RegistryError, match="was (approved|rejected) already"):
                repeated("brand", version)
    with pytest.raises(mj.RegistryError, match="Version 3 .* was rejected"):
        registry.promote("brand", 3)
    registry.set_alias("brand", "challenger", 2)
    registry.promote("brand", by="Cy")
    assert registry.aliases("brand") == {"champion": 2}
    registry.set_alias("brand", "champion", 1, reason="back to what we had")
    history = registry.history("brand")
    assert list(history["event"])[6:] == [
        "approved", "made champion", "rejected", "no challenger any more", "made challenger", "approved", "made champion",
        "no challenger any more", "made champion",
    ]  # fmt: skip
    said = history.set_index("event").loc["rejected"]
    assert (said["version"], said["by"], said["reason"]) == (3, "Ben", "returns of TV are odd")
    assert history["recorded"].is_monotonic_increasing


def test_the_jobs_of_a_training_follow_one_another(registry):
    _added(registry)
    with registry.training("brand", "more data", parent=1) as run:
        state = registry.version("brand", 2)
        assert (state.job, state.review, state.worker) == ("training_in_progress", "", Worker.current())
        with pytest.raises(mj.RegistryError, match="training_in_progress and has no fit"):
            registry.load("brand", 2)
        for early in (registry.approve, registry.reject, registry.promote):
            with pytest.raises(mj.RegistryError, match="is training_in_progress"):
                early("brand", 2)
        with (
            pytest.raises(mj.RegistryError, match="one training of a name at a time"),
            registry.training("brand", "again", parent=1),
        ):
            pytest.fail("two at once")  # pragma: no cover
        with registry.training("other", "elsewhere", parent=_added(registry, "other")):
            pass  # Another name is free; nothing came of this one.
        run.succeed(_fit(), {"facts": registry.version("brand", 1).facts})
    assert registry.version("brand", 2).job == "success"
    assert registry.version("other", 2).job == "training_in_progress"


def test_what_is_raised_in_a_training_is_what_its_version_failed_by(registry):
    _added(registry)
    for error in (MemoryError("no room"), KeyboardInterrupt()):
        with pytest.raises(type(error)), registry.training("brand", "drift", parent=1):
            raise error
    failed = registry.versions("brand").query("job == 'failed'")
    assert list(failed["error"]) == ["MemoryError: no room", "KeyboardInterrupt:"]
    assert failed["finished"].notna().all()
    for late in (registry.approve, registry.promote):
        with pytest.raises(mj.RegistryError, match="is failed"):
            late("brand", 2)
    assert registry.aliases("brand") == {"challenger": 1}


def test_many_who_register_promote_and_train_at_once_lose_nothing(registry, place, tmp_path):
    _added(registry)
    done, refused = [], []

    def act(number: int) -> None:
        own = mj.Registry(place, artefacts=tmp_path / "models")
        try:
            own.promote("brand", 1, by=str(number))
            with own.training("brand", str(number), parent=1) as run:
                done.append(run.version)
                barrier.wait(20)
        except mj.RegistryError as error:
            refused.append(str(error))
            barrier.wait(20)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=act, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(done) == 1
    assert len(refused) == 3
    assert all("one training of a name at a time" in words for words in refused)
    assert list(registry.history("brand")["event"]).count("approved") == 1
    assert len(registry.versions("brand")) == 2


def test_the_database_itself_refuses_two_trainings_of_a_name(registry):
    _added(registry)
    with registry.training("brand", "one", parent=1):
        row = registry.database.read(lambda c: c.execute(select(VERSIONS).where(VERSIONS.c.version == 2)).one()._mapping)
        for job in ("queued", "training_in_progress"):
            other = {**row, "version": 9, "job": job}
            with pytest.raises(mj.LedgerError, match="(?i)unique"):
                registry.database.write(lambda c, other=other: c.execute(insert(VERSIONS).values(**other)))


def test_a_process_that_is_gone_holds_nobody_up(registry):
    _added(registry)
    gone, abroad = _ended(), replace(Worker.current(), host="another")
    assert (Worker.current().life, gone.life, abroad.life) == ("running", "gone", "unknown")
    assert replace(Worker.current(), started="1").life == "gone"  # Its number was given to a later one.
    _left(registry, 2, Worker.current())
    with pytest.raises(mj.RegistryError, match=f"process {os.getpid()} on .* still runs"):
        registry.recover("brand")
    assert registry.recover("brand", by="Ada", reason="the kernel hangs", force=True) == 2
    assert registry.history("brand")[["event", "by", "reason"]].iloc[-1].tolist() == ["failed", "Ada", "the kernel hangs"]
    assert "was declared gone" in registry.version("brand", 2).error
    _left(registry, 3, abroad)
    with pytest.raises(mj.RegistryError, match="another machine"):
        registry.recover("brand")
    with pytest.raises(mj.RegistryError, match=r"recover\(name, force=True\)"), registry.training("brand", "x", parent=1):
        pytest.fail("two at once")  # pragma: no cover
    registry.recover("brand", force=True)
    _left(registry, 4, gone)
    assert registry.recover("brand") == 4
    assert registry.recover("brand") is None
    _left(registry, 5, gone)
    with registry.training("brand", "after it", parent=1) as run:
        assert run.version == 6
    table = registry.versions("brand")
    assert list(table["job"])[1:5] == ["failed"] * 4
    assert f"{gone} ended" in table.loc[("brand", 5), "error"]


def _ended() -> Worker:
    """A process of this machine that has ended, and that its parent has not asked for yet."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        found = replace(Worker.current(), process=ended.pid, started="")
        deadline = time.monotonic() + 20
        while found.life != "gone" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert found.life == "gone"
    return found


def _left(registry: mj.Registry, version: int, worker: Worker) -> None:
    """What a worker leaves behind that is killed."""
    row = registry.database.read(lambda c: c.execute(select(VERSIONS).where(VERSIONS.c.version == 1)).one()._mapping)
    left = {**row, "version": version, "job": "training_in_progress", "worker": json.dumps(worker.to_dict())}
    registry.database.write(lambda c: c.execute(insert(VERSIONS).values(**left)))


def test_a_training_that_was_declared_failed_cannot_succeed_any_more(registry, tmp_path):
    _added(registry)

    def slowly() -> None:
        with registry.training("brand", "slow", parent=1) as run:
            registry.recover("brand", force=True)
            run.succeed(_fit(), {})

    with pytest.raises(mj.RegistryError, match="It cannot become success"):
        slowly()
    assert registry.version("brand", 2).job == "failed"
    assert len(list((tmp_path / "models" / "brand").iterdir())) == 1  # What it had written is gone.


def test_what_lies_there_must_be_what_was_registered(kept_registry, tmp_path):
    _added(kept_registry)
    place = tmp_path / "decisions-models" / kept_registry.version("brand", 1).artefact
    shutil.rmtree(place)
    with pytest.raises(mj.StoreError, match="no fit at"):
        kept_registry.load("brand", 1)
    _fit(1).save(place)
    with pytest.raises(mj.RegistryError, match=r"Version 1 .* was changed: .* another fit"):
        kept_registry.load("brand", 1)
    secret = tmp_path / "secret.zarr"
    _fit().save(secret)
    for elsewhere in ("../../secret.zarr", str(secret), "brand/../../secret.zarr"):
        kept_registry.database.write(lambda c, to=elsewhere: c.execute(update(VERSIONS).values(artefact=to)))
        with pytest.raises(mj.RegistryError, match="cannot be the place of a fit"):
            kept_registry.load("brand", 1)


@pytest.mark.parametrize(
    "name", ["../brand", "a/b", "..", ".hidden", "", "brand ", "b\nrand", "a" * 101, 7, "brandé", "a\\b"]
)
def test_names_that_are_no_names_are_refused_before_anything_is_written(kept_registry, name, tmp_path):
    for ask in (
        lambda: _added(kept_registry, name),
        lambda: kept_registry.load(name, 1),
        lambda: kept_registry.history(name),
    ):
        with pytest.raises(mj.RegistryError, match="letters A to Z"):
            ask()
    assert len(kept_registry.versions()) == 0
    assert not (tmp_path / "decisions-models").exists()


def test_what_is_not_there_is_told_with_what_is(kept_registry):
    with pytest.raises(mj.RegistryError, match="There is no model 'brand'; there are none at all"):
        kept_registry.version("brand", 1)
    _added(kept_registry)
    with pytest.raises(mj.RegistryError, match="has no version 7; it has 1 to 1"):
        kept_registry.load("brand", 7)
    with pytest.raises(mj.RegistryError, match="'best' is no version .* give its number, champion or challenger"):
        kept_registry.load("brand", "best")
    with pytest.raises(mj.RegistryError, match="there are 'brand'"):
        _added(kept_registry, "other", parent="champion")
    with pytest.raises(mj.RegistryError, match="champion and challenger, got 'best'"):
        kept_registry.set_alias("brand", "best", 1)
    with pytest.raises(mj.RegistryError, match="must be a fit"):
        kept_registry.register(3.0, "brand")
    with pytest.raises(mj.LedgerError, match="no database at"):
        mj.Registry(Path("typo.db"), create=False)


def test_a_write_that_fails_half_way_leaves_no_fit_and_no_version(kept_registry, tmp_path):
    _added(kept_registry)
    kept_registry.database.write(lambda c: c.execute(delete(EVENTS)) and EVENTS.drop(c))
    with pytest.raises(mj.LedgerError, match="registry_events"):
        _added(kept_registry)
    assert len(kept_registry.versions()) == 1
    assert len(list((tmp_path / "decisions-models" / "brand").iterdir())) == 1


def test_a_ledger_and_a_registry_share_a_database(place, tmp_path):
    ledger, registry = mj.Ledger(place), mj.Registry(place, artefacts=tmp_path)
    _added(registry)
    assert ledger.verify().count == 0
    assert registry.aliases("brand") == {"challenger": 1}


def test_fits_of_geos_are_kept_likewise(kept_registry):
    fit = made.fit(mj.Panel.from_frame(kinds.geo_table(), **kinds.ROLES, geo="geo"), SPECS["root"])
    kept_registry.register(fit, "markets", scores=SCORES)
    back, found = kept_registry.load("markets", 1), kept_registry.version("markets", 1).facts
    assert isinstance(back, mj.GeoFit)
    assert found["geos"] == ["north", "south"]
    assert mj.GeoScales.from_dict(found["scales"]).to_dict() == fit.scales.to_dict()


def test_fits_lie_at_any_address_of_fsspec(tmp_path):
    pytest.importorskip("fsspec", reason="fits at addresses need fsspec: pip install fsspec")
    registry = mj.Registry(tmp_path / "m.db", artefacts="memory://models")
    _added(registry)
    assert _same(registry.load("brand", 1), _fit())
    (place,) = registry.versions("brand")["artefact"]
    _fit(1).save(f"memory://models/{place}", overwrite=True)
    with pytest.raises(mj.RegistryError, match="another fit"):
        registry.load("brand", 1)


def test_no_password_is_shown(postgres_port, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    url = postgres.url(postgres_port, "postgres")
    told = [repr(mj.Registry(url, artefacts=tmp_path))]
    bare = mj.Registry(url)
    assert len(bare.versions()) == 0
    with pytest.raises(mj.RegistryError, match="say where fits are kept") as raised:
        _added(bare)
    told += [str(raised.value), caplog.text]
    for address in (postgres.url(postgres_port, "absent"), url.replace(":s3", ":wrong")):
        with pytest.raises(mj.LedgerError) as raised:
            mj.Registry(address, artefacts=tmp_path)
        told.append(str(raised.value))
    assert not any(secret in words for words in told for secret in (postgres.PASSWORD, "s3cret", "wrong"))


def test_aliases_are_one_row_each(registry):
    _added(registry)
    registry.promote("brand", 1)
    registry.promote("brand", 1)
    rows = registry.database.read(lambda c: c.execute(select(ALIASES.c.alias, ALIASES.c.version)).all())
    assert [tuple(row) for row in rows] == [("champion", 1)]
