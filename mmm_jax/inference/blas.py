"""NumPy's linear algebra on one thread while engines run.

BLAS starts threads of its own, which wait in loops for cores that the engines' programs hold, and whose number decides the
last digits of a sum. The limit is the process's, so that engines that overlap share it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import OpenBLASController, threadpool_limits

_guard = Lock()
_holders = 0
_limit: threadpool_limits | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Context in which BLAS has one thread; when the last of those that overlap is left, it has what it had before."""
    global _holders, _limit
    with _guard:
        if _holders == 0:
            _limit = threadpool_limits(1, "blas")
        _holders += 1
    try:
        yield
    finally:
        with _guard:
            _holders -= 1
            if _holders == 0 and _limit is not None:
                _restore(_limit)
                _limit = None


def _restore(limit: threadpool_limits) -> None:
    # The thread that leaves last is often not the one that came first, which alone may change the limit until released.
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    limit.restore_original_limits()
    if release is not None:
        release(force=True)
