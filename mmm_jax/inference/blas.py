"""NumPy's linear algebra on one thread while engines run.

BLAS starts threads of its own, which wait in loops for cores that the engines' programs hold, and whose number decides the
last digits of a sum. The limit is the process's, so that engines that overlap share it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import scipy.linalg  # noqa: F401 - so that its library is there to be found
from threadpoolctl import OpenBLASController, ThreadpoolController

_guard = Lock()
_holders = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Context in which BLAS has one thread; when the last of those that overlap is left, it has what it had before."""
    global _holders, _limit
    with _guard:
        if _holders == 0:
            _limit = _libraries().limit(limits=1, user_api="blas")
        _holders += 1
    try:
        yield
    finally:
        with _guard:
            _holders -= 1
            if _holders == 0 and _limit is not None:
                _restore(_limit)
                _limit = None


@cache
def _libraries() -> ThreadpoolController:
    """NumPy's and SciPy's, looked for once: that reads the process's memory map, and takes milliseconds."""
    return ThreadpoolController()


def _restore(limit: Any) -> None:
    # The thread that leaves last is often not the one that came first, which alone may change the limit until released.
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    limit.restore_original_limits()
    if release is not None:
        release(force=True)
