"""Writers of a ledger in processes of their own; a script, so that the package is loaded once for all of them.

It reads commands: `write URL PROCESSES EVENTS` adds so many events each and answers 0 if all went well; `hang URL` answers
the number of a process that stays in the middle of a transaction; `loaded`, whether the package's import brought SQLAlchemy.
"""

import os
import sys
import time

import mmm_jax  # noqa: F401

LOADED = "sqlalchemy" in sys.modules

from mmm_jax.monitoring.database import Database  # noqa: E402
from mmm_jax.monitoring.events import EventStore  # noqa: E402
from mmm_jax.monitoring.ledger import _now  # noqa: E402


def write(url: str, worker: int, events: int) -> None:
    """So many events, 25 of a decision."""
    store = EventStore(Database(url), tolerance=60.0, clock=_now)
    for number in range(events):
        name = f"worker {worker}, {number // 25}"
        store.append(name, "proposed", lambda before, number=number: ({"n": number % 25, "seen": len(before)}, {}))


def write_together(url: str, processes: int, events: int) -> int:
    """So many processes at once; 0 if all went well."""
    children = [_forked(lambda worker=worker: write(url, worker, events)) for worker in range(processes)]
    return max(os.waitpid(child, 0)[1] for child in children)


def hang(url: str) -> None:
    """An event that is never committed."""
    store = EventStore(Database(url), tolerance=60.0, clock=_now)

    def work(connection) -> None:
        store.add(connection, "killed", "proposed", {"n": 0}, {})
        print(os.getpid(), flush=True)
        time.sleep(120)

    store.database.write(work)


def main() -> None:
    """Answer commands until there are no more."""
    for line in sys.stdin:
        name, *words = line.split()
        if name == "write":
            print(write_together(words[0], int(words[1]), int(words[2])), flush=True)
        elif name == "hang":
            _forked(lambda url=words[0]: hang(url))
        else:
            print(LOADED, flush=True)


def _forked(work) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


if __name__ == "__main__":
    main()
