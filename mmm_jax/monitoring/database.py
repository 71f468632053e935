"""A database that several processes write to, one after another: SQLite by path, PostgreSQL by URL.

Passwords stay out of every message: errors of the driver are told in words that have been searched for them.
"""

import os
import random
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from mmm_jax.errors import LedgerError

Result = TypeVar("Result")

PATIENCE = 60.0
"""Seconds that a writer waits for its turn."""

_BUSY_MILLISECONDS = 10_000
_LOCK = 0x6D6D6D6A
"""PostgreSQL's advisory lock that writers take turns by; any number that others do not use."""

_AGAIN = ("40001", "40P01")
"""PostgreSQL's codes of transactions that lost a race, and may be run once more."""

_SECRETS = ("password", "sslpassword")


class Database:
    """Where to read and write, in whole transactions.

    Args:
        url: path of an SQLite file, or `sqlite:///path`, or `postgresql+psycopg://user:password@host/name`.
        create: make an SQLite file that is not there yet; its folder must be.

    Raises:
        LedgerError: the URL cannot be read or names another kind of database, or the file is not there.
    """

    def __init__(self, url: str | Path, *, create: bool = True) -> None:
        self._url = _checked(url)
        self._engines: dict[int, Engine] = {}
        if self.is_sqlite:
            _check_file(Path(str(self._url.database)), create=create)

    def __repr__(self) -> str:
        """The place without its password."""
        return f"Database({self.shown!r})"

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite rather than a server."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def shown(self) -> str:
        """The place for people, without its password."""
        if self.is_sqlite:
            return str(self._url.database)
        hidden = {name: "***" for name in self._url.query if name in _SECRETS}
        return self._url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A", "*")

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns of one unchanging state of the database.

        Raises:
            LedgerError: the database cannot be reached or read.
        """
        options: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        return self._tried(work, options)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` as one transaction, alone: all that it writes is kept, or, if it raises, nothing.

        It may be run more than once, where another process was in the way.

        Raises:
            LedgerError: the database cannot be reached or written to.
        """

        def alone(connection: Connection) -> Result:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            return work(connection)

        return self._tried(alone, {"writes": True})

    def create(self, tables: MetaData) -> None:
        """Make the tables that are not there yet."""
        names = list(tables.tables)
        if not self.read(lambda connection: all(inspect(connection).has_table(name) for name in names)):
            self.write(tables.create_all)

    @property
    def _engine(self) -> Engine:
        """This process's own: connections must not be shared with a process that was forked, nor be closed by it."""
        process = os.getpid()
        if process not in self._engines:
            self._engines[process] = self._connected()
            weakref.finalize(self, _close, self._engines[process], process)
        return self._engines[process]

    def _connected(self) -> Engine:
        try:
            if self.is_sqlite:
                engine = create_engine(self._url)
                event.listen(engine, "connect", _prepare_sqlite)
                event.listen(engine, "begin", _begin_sqlite)
                return engine
            return create_engine(self._url, isolation_level="READ COMMITTED", pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise LedgerError(
                f"{self.shown}: PostgreSQL needs the package {error.name}. Run: pip install 'mmm-jax[postgres]'."
            ) from None

    def _tried(self, work: Callable[[Connection], Result], options: dict[str, Any]) -> Result:
        """Run the work, once more for as long as other processes are in the way."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self._engine.execution_options(**options).connect() as connection, connection.begin():
                    return work(connection)
            except SQLAlchemyError as error:
                if not _in_the_way(error) or time.monotonic() > deadline:
                    # Not chained: the driver's own error may hold the password.
                    raise self._told(error) from None
            time.sleep(random.uniform(0.005, 0.05))

    def _told(self, error: SQLAlchemyError) -> LedgerError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        return LedgerError(f"The database {self.shown} cannot be used: {self._masked(' '.join(str(cause).split()))}")

    def _masked(self, words: str) -> str:
        given = [self._url.password, *(self._url.query.get(name) for name in _SECRETS)]
        for secret in map(str, filter(None, given)):
            for written in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
                words = words.replace(written, "***")
        return words


def _checked(url: str | Path) -> URL:
    given = str(url)
    if isinstance(url, Path) or "://" not in given:
        return URL.create("sqlite", database=str(Path(given).expanduser().absolute()))
    try:
        found = make_url(given)
        backend = found.get_backend_name()
    except (ArgumentError, SQLAlchemyError, ValueError):
        # Not shown, since the password could be any part of it.
        raise LedgerError(
            "The database's URL cannot be read. Write it as postgresql+psycopg://user:password@host:5432/name, special "
            "characters of the password as %XX, or give the path of an SQLite file."
        ) from None
    if backend == "postgresql":
        return found.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not found.database or found.database == ":memory:":
        raise LedgerError(
            f"Decisions and models are kept in an SQLite file or in PostgreSQL, not in {backend!r}"
            f"{' in memory, where nothing lasts' if backend == 'sqlite' else ''}. Give a path, or a URL that begins with "
            f"postgresql+psycopg://."
        )
    return URL.create("sqlite", database=str(Path(found.database).expanduser().absolute()))


def _check_file(path: Path, *, create: bool) -> None:
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"the folder {path.parent} does not exist; create it first"
        raise LedgerError(f"{path} cannot be a database: {what}.")
    if not create and not path.exists():
        raise LedgerError(f"There is no database at {path}.")


def _close(engine: Engine, process: int) -> None:
    if os.getpid() == process:
        engine.dispose()


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # Transactions are begun by `_begin_sqlite`, not by Python's module, which would begin those of writers too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    # Readers do not wait for writers, and a writer that dies leaves the file as it was.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _in_the_way(error: SQLAlchemyError) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else None
    if cause is None:
        return False
    return getattr(cause, "sqlstate", None) in _AGAIN or "database is locked" in str(cause)
