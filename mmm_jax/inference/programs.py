"""Compiled programs, one for every function and shape, and how many of them there were."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import jax

_KEPT = 64
_programs: OrderedDict[Any, Any] = OrderedDict()
_locks: dict[Any, Lock] = {}
_guard = Lock()
_tracing = Lock()
"""Held while a function is traced: two at once would share what they trace by chance, and the cache on disk would miss."""


linear_algebra = Lock()
"""Held while a program with factorisations runs: with JAX 0.10 on CPUs, two of them at once wait for each other forever."""


class Counter:
    """How many programs were compiled, and how long that took in all.

    Attributes:
        count: programs.
        seconds: summed over threads.
    """

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0


compilations = Counter()
"""Of this process; for tests and reports."""


def compiled(function: Any, *arguments: Any, **static: Any) -> Callable[..., Any]:
    """The program of a jitted function for arguments of these shapes, compiled once, whichever thread asks first.

    Args:
        function: a jitted function; programs are told apart by its identity.
        arguments: arrays, or their shapes as `jax.eval_shape` gives them.
        static: static arguments by name.
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
    config: Any = jax.config
    setting = (bool(config.jax_enable_x64), str(config.jax_default_device))
    # The function itself, not its `id`: another function may get that once this one is gone.
    key = (function, structure, shapes, tuple(sorted(static.items())), setting)
    with _guard:
        lock = _locks.setdefault(key, Lock())
    with lock:
        program = _programs.get(key)
        if program is None:
            began = time.perf_counter()
            with _tracing:
                lowered = function.lower(*arguments, **static)
            program = lowered.compile()
            with _guard:
                _programs[key] = program
                compilations.count += 1
                compilations.seconds += time.perf_counter() - began
                while len(_programs) > _KEPT:
                    old, _ = _programs.popitem(last=False)
                    _locks.pop(old, None)
        return program


def speed_options() -> dict[str, Any]:
    """Options of XLA for innermost loops: on CPUs with 512-bit vectors, use them."""
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}
