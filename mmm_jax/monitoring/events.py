"""The event store: tables, appending, reading, verifying; and arrays beside the events, by the hash of their content."""

import hashlib
import io
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)

from mmm_jax.errors import LedgerError
from mmm_jax.monitoring.chain import Event, Head, Kind, Verification, canonical, first_fault
from mmm_jax.monitoring.database import Database

TABLES = MetaData()

EVENTS = Table(
    "ledger_events",
    TABLES,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("decision", Text, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("recorded", String(32), nullable=False),
    Column("payload", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)

HEAD = Table(
    "ledger_head",
    TABLES,
    Column("name", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("seal", String(64), nullable=False),
)

BLOBS = Table(
    "ledger_blobs",
    TABLES,
    Column("hash", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

_NAME = "ledger"
_HASHES = "arrays"
"""Key of a payload under which the hashes of its arrays stand."""

Arrays = dict[str, np.ndarray]
Payload = dict[str, Any]
Clock = Callable[[], datetime]


class EventStore:
    """Events and arrays in a database.

    Args:
        database: where.
        tolerance: seconds by which a clock may be behind that of the last writer.
        clock: the time now, with its zone.
    """

    def __init__(self, database: Database, *, tolerance: float, clock: Clock) -> None:
        self.database, self.tolerance, self.clock = database, tolerance, clock
        database.create(TABLES)

    def append(self, decision: str, kind: Kind, written: Callable[[list[Event]], tuple[Payload, Arrays]]) -> int:
        """Add one event, alone with the database.

        Args:
            decision: whose event.
            kind: what happened.
            written: from the decision's events so far to the payload and its arrays; it raises what forbids the event, and
                then nothing is written.

        Returns:
            The event's number.

        Raises:
            LedgerError: what `written` raises; a clock that is too far behind; a chain that is broken at its end.
        """

        def work(connection: Connection) -> int:
            payload, arrays = written(_events_of(connection, decision))
            return self.add(connection, decision, kind, payload, arrays).sequence

        return self.database.write(work)

    def add(self, connection: Connection, decision: str, kind: Kind, payload: Payload, arrays: Arrays) -> Event:
        """Add one event within a transaction of a writer that is alone."""
        head, last = _checked_end(connection)
        recorded = self._now(last)
        hashes = {name: keep_array(connection, values) for name, values in arrays.items()}
        words = canonical({**payload, _HASHES: hashes} if hashes else payload)
        event = Event(head.count + 1, decision, kind, recorded, words, head.hash).hashed()
        connection.execute(insert(EVENTS).values(**{column.name: getattr(event, column.name) for column in EVENTS.columns}))
        _move_head(connection, head, head.after(event))
        return event

    def events(self, decision: str | None = None) -> list[Event]:
        """All events by number, or those of one decision."""
        return self.database.read(lambda connection: _events_of(connection, decision))

    def arrays(self, event: Event) -> Arrays:
        """The arrays of an event.

        Raises:
            LedgerError: one is gone, or not what was written.
        """
        hashes = event.content.get(_HASHES, {})
        return self.database.read(lambda connection: {name: read_array(connection, key) for name, key in hashes.items()})

    def verify(self, noted: str | None = None) -> Verification:
        """Recompute the chain, and the hashes of all arrays."""

        def work(connection: Connection) -> Verification:
            events, head = _events_of(connection, None), _head(connection)
            fault = first_fault(events, head, noted) or _first_bad_array(connection, events)
            sequence, reason = fault or (None, "")
            return Verification(fault is None, len(events), str(head or Head()), sequence, reason)

        return self.database.read(work)

    def _now(self, last: Event | None) -> str:
        now = self.clock().astimezone(UTC)
        if last is not None and now < datetime.fromisoformat(last.recorded) - timedelta(seconds=self.tolerance):
            then = last.recorded[:19].replace("T", " ")
            raise LedgerError(
                f"This machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC, but the last event was recorded at {then}: more "
                f"than {self.tolerance:g} s later. Set the clocks, or give the ledger another `clock_tolerance`."
            )
        return now.isoformat(timespec="microseconds")


def keep_array(connection: Connection, values: np.ndarray) -> str:
    """Store an array once, however often it is kept, and return the hash of its content."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(values), allow_pickle=False)
    key = hashlib.sha256(content.getvalue()).hexdigest()
    if connection.execute(select(BLOBS.c.hash).where(BLOBS.c.hash == key)).first() is None:
        connection.execute(insert(BLOBS).values(hash=key, content=zlib.compress(content.getvalue(), 6)))
    return key


def read_array(connection: Connection, key: str) -> np.ndarray:
    """The array of a hash.

    Raises:
        LedgerError: it is gone, or not what was written.
    """
    stored = connection.execute(select(BLOBS.c.content).where(BLOBS.c.hash == key)).scalar()
    if stored is None:
        raise LedgerError(f"The array {key[:12]} was removed from the ledger.")
    try:
        content = zlib.decompress(stored)
    except zlib.error:
        content = b""
    if hashlib.sha256(content).hexdigest() != key:
        raise LedgerError(f"The array {key[:12]} was changed after it was written.")
    return np.load(io.BytesIO(content), allow_pickle=False)


def _events_of(connection: Connection, decision: str | None) -> list[Event]:
    query = select(EVENTS).order_by(EVENTS.c.sequence)
    rows = connection.execute(query if decision is None else query.where(EVENTS.c.decision == decision))
    return [Event(**row._mapping) for row in rows]


def _head(connection: Connection) -> Head | None:
    row = connection.execute(select(HEAD.c.count, HEAD.c.hash, HEAD.c.seal).where(HEAD.c.name == _NAME)).first()
    return None if row is None else Head(**row._mapping)


def _checked_end(connection: Connection) -> tuple[Head, Event | None]:
    """The head and the last event, once it is sure that the head names it."""
    head = _head(connection) or Head()
    last = connection.execute(select(EVENTS).order_by(EVENTS.c.sequence.desc()).limit(1)).first()
    event = None if last is None else Event(**last._mapping)
    whole = head == Head() if event is None else (event.sequence, event.digest()) == (head.count, head.hash)
    if not whole:
        raise LedgerError("The ledger's last event is not the one that was written: run `verify()` before adding to it.")
    return head, event


def _move_head(connection: Connection, before: Head, after: Head) -> None:
    values = {"count": after.count, "hash": after.hash, "seal": after.seal}
    if before.count == 0:
        connection.execute(insert(HEAD).values(name=_NAME, **values))
    else:
        connection.execute(update(HEAD).where(HEAD.c.name == _NAME).values(**values))


def _first_bad_array(connection: Connection, events: list[Event]) -> tuple[int, str] | None:
    seen: set[str] = set()
    for event in events:
        for name, key in event.content.get(_HASHES, {}).items():
            if key in seen:
                continue
            seen.add(key)
            try:
                read_array(connection, key)
            except LedgerError as error:
                return event.sequence, f"{name} of event {event.sequence}: {error}"
    return None
