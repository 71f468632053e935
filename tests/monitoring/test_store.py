"""The chain: many writers, killed writers, tampering of every kind, clocks, passwords; on SQLite and on PostgreSQL."""

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from monitoring import made, postgres
from sqlalchemy import delete, insert, select, update

import mmm_jax as mj
from mmm_jax.monitoring.chain import Event, Head, canonical
from mmm_jax.monitoring.database import Database
from mmm_jax.monitoring.events import BLOBS, EVENTS, HEAD, EventStore, keep_array, read_array

WRITERS = str(Path(__file__).with_name("writers.py"))


@pytest.fixture(scope="module")
def tell() -> Iterator[Callable[..., str]]:
    """Tells writers in other processes what to do, and returns what they answer."""
    arguments = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, WRITERS], **arguments) as writers:

        def tell(*words: object) -> str:
            print(*words, file=writers.stdin)
            return writers.stdout.readline().strip()

        yield tell
        writers.stdin.close()


def test_importing_the_package_loads_no_database(tell):
    assert tell("loaded") == "False"


def test_eight_writers_of_250_events_lose_nothing(ledger, place, tell):
    assert tell("write", place, 8, 250) == "0"
    checked = ledger.verify()
    assert checked.intact
    assert checked.count == 2000
    events = ledger._store.events()
    names = [f"worker {worker}, {part}" for worker in range(8) for part in range(10)]
    assert Counter(event.decision for event in events) == dict.fromkeys(names, 25)
    # Each saw all that it had written before: no two events were decided on the same past.
    assert all(event.content["n"] == event.content["seen"] for event in events)


def test_a_writer_killed_in_a_transaction_leaves_the_chain_whole(ledger, place, tell):
    made.propose(ledger)
    writer = int(tell("hang", place))
    assert len(ledger.decisions()) == 1  # Readers do not wait for it, nor see what it has not committed.
    os.kill(writer, signal.SIGKILL)
    assert ledger.verify().count == 1
    ledger.approve("q1")
    assert ledger.verify().intact
    assert ledger.verify().count == 2


def _raw(ledger: mj.Ledger, statement) -> None:
    ledger.database.write(lambda connection: connection.execute(statement))


def _rows(ledger: mj.Ledger) -> list[Event]:
    return ledger._store.events()


def _move(ledger: mj.Ledger, one: int, other: int) -> None:
    for old, new in ((one, 99), (other, one), (99, other)):
        _raw(ledger, update(EVENTS).where(EVENTS.c.sequence == old).values(sequence=new))


def _rebuild_from(ledger: mj.Ledger, sequence: int, payload: str) -> None:
    """Change an event and make up the whole chain after it, head included."""
    head = Head()
    for event in _rows(ledger):
        words = payload if event.sequence == sequence else event.payload
        forged = Event(event.sequence, event.decision, event.kind, event.recorded, words, head.hash).hashed()
        values = {"payload": words, "previous": forged.previous, "hash": forged.hash}
        _raw(ledger, update(EVENTS).where(EVENTS.c.sequence == event.sequence).values(**values))
        head = head.after(forged)
    _raw(ledger, update(HEAD).values(hash=head.hash, seal=head.seal))


def _forge_last(ledger: mj.Ledger) -> None:
    last = _rows(ledger)[-1]
    forged = Event(last.sequence + 1, "q1", "voided", last.recorded, '{"outcome":null,"reason":"no"}', last.hash).hashed()
    _raw(ledger, insert(EVENTS).values(**{column.name: getattr(forged, column.name) for column in EVENTS.columns}))


def _at(sequence: int):
    return EVENTS.c.sequence == sequence


TAMPERINGS = {
    "payload": (lambda one: _raw(one, update(EVENTS).where(_at(3)).values(payload="{}")), 3, "changed"),
    "time": (lambda one: _raw(one, update(EVENTS).where(_at(2)).values(recorded="2020-01-01T00:00:00+00:00")), 2, "changed"),
    "kind": (lambda one: _raw(one, update(EVENTS).where(_at(4)).values(kind="voided")), 4, "changed"),
    "decision": (lambda one: _raw(one, update(EVENTS).where(_at(1)).values(decision="q9")), 1, "changed"),
    "hash": (lambda one: _raw(one, update(EVENTS).where(_at(2)).values(hash="f" * 64)), 2, "changed"),
    "first removed": (lambda one: _raw(one, delete(EVENTS).where(_at(1))), 1, "event 1 was removed"),
    "removed": (lambda one: _raw(one, delete(EVENTS).where(_at(2))), 2, "event 2 was removed"),
    "last removed": (lambda one: _raw(one, delete(EVENTS).where(_at(4))), 4, "event 4 was removed"),
    "all removed": (lambda one: _raw(one, delete(EVENTS)), 1, "event 1 was removed"),
    "reordered": (lambda one: _move(one, 2, 3), 2, "moved here from place 3"),
    "added": (_forge_last, 5, "added"),
    "rebuilt but for the head": (
        lambda one: (_rebuild_from(one, 4, "{}"), _raw(one, update(HEAD).values(hash="0" * 64))),
        4,
        "head was changed",
    ),
    "head removed": (lambda one: _raw(one, delete(HEAD)), 5, "head"),
    "head changed": (lambda one: _raw(one, update(HEAD).values(seal="1" * 64)), 4, "head was changed"),
    "array removed": (lambda one: _raw(one, delete(BLOBS)), 1, "was removed"),
    "array changed": (lambda one: _raw(one, update(BLOBS).values(content=b"nothing")), 1, "was changed"),
}


BROKEN_ENDS = ("kind", "last removed", "all removed", "added", "rebuilt but for the head", "head removed")
"""Nobody builds on these; breaks further back are for `verify` to find."""


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_tampering_is_found_at_its_place(ledger, kind):
    made.measure(ledger)
    assert ledger.verify().intact
    tamper, sequence, words = TAMPERINGS[kind]
    tamper(ledger)
    found = ledger.verify()
    assert not found
    assert found.sequence == sequence
    assert words in found.reason
    if kind in BROKEN_ENDS:
        with pytest.raises(mj.LedgerError, match="verify"):
            made.propose(ledger, "q2")


def test_a_chain_that_was_made_up_anew_is_found_by_a_head_that_was_noted(kept):
    made.measure(kept)
    noted = kept.verify().head
    made.propose(kept, "q2")
    assert kept.verify(head=noted).intact
    _rebuild_from(kept, 4, "{}")
    assert kept.verify().intact
    found = kept.verify(head=noted)
    assert not found
    assert found.sequence == 4
    with pytest.raises(mj.LedgerError, match="got 'nonsense'"):
        kept.verify(head="nonsense")


def test_a_clock_that_is_behind_is_refused_beyond_the_tolerance(place):
    now = [datetime(2024, 5, 1, 12, 0, tzinfo=UTC)]
    ledger = mj.Ledger(place, clock_tolerance=30.0, clock=lambda: now[0])
    made.propose(ledger)
    now[0] -= timedelta(seconds=29)
    ledger.approve("q1")
    now[0] -= timedelta(seconds=31)
    with pytest.raises(mj.LedgerError, match=r"clock says 2024-05-01 11:59:00 UTC.*recorded at 2024-05-01 11:59:31.*30 s"):
        made.propose(ledger, "q2")
    assert ledger.verify().count == 2
    assert list(ledger.history("q1")["recorded"].dt.strftime("%H:%M:%S%z")) == ["12:00:00+0000", "11:59:31+0000"]


def test_what_raises_half_way_leaves_nothing(ledger):
    def work(connection) -> None:
        ledger._store.add(connection, "half", "proposed", {}, {"a": np.arange(3.0)})
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError):
        ledger.database.write(work)
    assert ledger.verify().count == 0
    assert ledger.database.read(lambda connection: connection.execute(select(BLOBS.c.hash)).all()) == []


def test_arrays_are_kept_once_and_without_pickle(ledger):
    values = np.linspace(0.0, 1.0, 1000).reshape(10, 100)
    keys = [ledger.database.write(lambda connection: keep_array(connection, values)) for _ in range(2)]
    rows = ledger.database.read(lambda connection: connection.execute(select(BLOBS.c.content)).all())
    assert keys[0] == keys[1]
    assert len(rows) == 1
    assert len(rows[0][0]) < values.nbytes
    back = ledger.database.read(lambda connection: read_array(connection, keys[0]))
    np.testing.assert_array_equal(back, values)
    with pytest.raises(ValueError, match="pickle"):
        ledger.database.write(lambda connection: keep_array(connection, np.array([object()])))


def test_numbers_that_json_has_not_are_refused():
    with pytest.raises(mj.LedgerError, match="cannot be recorded"):
        canonical({"value": float("nan")})


def test_the_password_is_never_shown(postgres_port, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    secrets = ["wr:ng/pa@ss", "wr%3Ang%2Fpa%40ss", "wr%3Ang/pa%40ss"]
    wrong = postgres.url(postgres_port, "postgres", secrets[0])
    told = [repr(Database(wrong)), Database(wrong).shown]
    elsewhere = wrong.replace(f":{postgres_port}/", ":1/")
    in_query = f"postgresql://{postgres.USER}@127.0.0.1:{postgres_port}/postgres?password={secrets[1]}"
    unreadable = f"postgresql+psycopg://keeper:{secrets[0]}@[::1/x"
    for url in (wrong, elsewhere, in_query, unreadable, f"oracle://keeper:{secrets[1]}@host/x"):
        with pytest.raises(mj.LedgerError) as raised:
            mj.Ledger(url)
        assert raised.value.__cause__ is None
        told += [str(raised.value), repr(raised.value)]
    assert repr(Database(in_query)).count("***") == 1
    told += [repr(mj.Ledger(postgres.url(postgres_port, "postgres"))), caplog.text, *capsys.readouterr()]
    for words in told:
        assert not any(secret in words for secret in [*secrets, postgres.PASSWORD])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://host/x", "not in 'mysql'"),
        ("sqlite://", "in memory"),
        ("nonsense://", "not in 'nonsense'|cannot be read"),
        ("{tmp}/absent/ledger.db", "absent does not exist; create it first"),
        ("{tmp}", "it is a folder"),
        ("sqlite:///{tmp}/text.db", "not a database"),
    ],
)
def test_places_that_cannot_be_a_ledger(tmp_path, url, words):
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    with pytest.raises(mj.LedgerError, match=words):
        mj.Ledger(url.format(tmp=tmp_path))


def test_a_ledger_that_must_be_there_is_not_made_up(tmp_path):
    with pytest.raises(mj.LedgerError, match="no database at"):
        mj.Ledger(tmp_path / "typo.db", create=False)
    assert not (tmp_path / "typo.db").exists()
    mj.Ledger(f"sqlite:///{tmp_path}/ledger.db")
    assert isinstance(mj.Ledger(tmp_path / "ledger.db", create=False)._store, EventStore)
