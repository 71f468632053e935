"""A real PostgreSQL server of Debian's packages, on loopback, in a folder of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER, PASSWORD = "keeper", "s3cret:of/the@ledger"


@contextmanager
def server() -> Iterator[int]:
    """Port of a server that runs meanwhile; skips where PostgreSQL is absent or cannot be started by this user."""
    programs, prefix = _programs(), _other_user()
    folder = Path(tempfile.mkdtemp(prefix="mmm_jax_postgres_"))
    try:
        port = _free_port()
        _start(programs, prefix, folder, port)
        yield port
    finally:
        stop = [*prefix, programs / "pg_ctl", "stop", "-D", folder / "data", "-m", "immediate", "-s"]
        subprocess.run(stop, cwd=folder, check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def url(port: int, database: str, password: str = PASSWORD) -> str:
    """URL of one of its databases."""
    from sqlalchemy import URL

    made = URL.create("postgresql+psycopg", USER, password, "127.0.0.1", port, database)
    return made.render_as_string(hide_password=False)


def create_database(port: int, name: str) -> str:
    """URL of a new, empty database."""
    import psycopg

    known = {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, "dbname": "postgres"}
    with psycopg.connect(**known, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url(port, name)


def _start(programs: Path, prefix: list[str], folder: Path, port: int) -> None:
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if prefix:
        account = pwd.getpwnam("postgres")
        for path in (folder, secret):
            os.chown(path, account.pw_uid, account.pw_gid)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    init = [programs / "initdb", "-D", folder / "data", "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}"]
    run = [programs / "pg_ctl", "start", "-D", folder / "data", "-w", "-s", "-l", folder / "log", "-o", options]
    for command in (init, run):
        done = subprocess.run([*prefix, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            log = (folder / "log").read_text() if (folder / "log").exists() else ""
            pytest.fail(f"PostgreSQL does not start: {done.stdout}{done.stderr}{log}")


def _programs() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    places = [*([Path(found).resolve().parent] if found else []), *reversed(installed)]
    place = next((path for path in places if (path / "pg_ctl").exists()), None)
    if place is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    return place


def _other_user() -> list[str]:
    """What runs a program as a user that PostgreSQL accepts: it refuses root."""
    if os.geteuid() != 0:
        return []
    runuser = shutil.which("runuser")
    if runuser is None or not any(account.pw_name == "postgres" for account in pwd.getpwall()):
        pytest.skip("PostgreSQL refuses to run as root, and there is no user `postgres` to run it as")
    return [runuser, "-u", "postgres", "--"]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
