"""Ledgers on both databases."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring import postgres

import mmm_jax as mj


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """A PostgreSQL server of this session."""
    with postgres.server() as port:
        yield port


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path) -> Iterator[str]:
    """URL or path of an empty database; the test runs on both kinds."""
    if request.param == "sqlite":
        # Where there is one, a folder in memory: hundreds of transactions would wait for the disk.
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
            yield str(Path(folder) / "ledger.db")
    else:
        yield postgres.create_database(request.getfixturevalue("postgres_port"), uuid.uuid4().hex)


@pytest.fixture
def ledger(place) -> mj.Ledger:
    """An empty ledger; the test runs on both databases."""
    return mj.Ledger(place)


@pytest.fixture
def registry(place, tmp_path) -> mj.Registry:
    """An empty registry; the test runs on both databases."""
    return mj.Registry(place, artefacts=tmp_path / "models")


@pytest.fixture
def kept(tmp_path) -> mj.Ledger:
    """An empty ledger in SQLite, for what has nothing to do with the database."""
    return mj.Ledger(tmp_path / "ledger.db")
