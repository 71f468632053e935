"""Compiled programs, one for every function and shape, and how many of them there were."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any

import jax

_KEPT = 64
_programs: OrderedDict[Any, "Future[Callable[..., Any]]"] = OrderedDict()
_guard = Lock()
_tracing = Lock()
"""Held while a function is traced, which is Python and gains nothing from threads: so no program is made twice."""


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
    return requested(function, *arguments, **static).result()


def requested(function: Any, *arguments: Any, **static: Any) -> "Future[Callable[..., Any]]":
    """The same, traced now and compiled on a thread of its own: ask for what is needed first."""
    key = _key(function, arguments, static)
    with _guard:
        if key in _programs:
            _programs.move_to_end(key)
            return _programs[key]
    with _tracing:
        # Another thread may have been faster.
        program = _programs.get(key)
        if program is None:
            began = time.perf_counter()
            lowered = _lowered(function, arguments, static)
            program = _compilers().submit(_compile, key, lowered, time.perf_counter() - began)
            with _guard:
                _programs[key] = program
                while len(_programs) > _KEPT:
                    _programs.popitem(last=False)
    return program


def forget() -> None:
    """Let go of all programs; `jax.clear_caches` lets go of those that JAX keeps itself."""
    with _guard:
        _programs.clear()


def speed_options() -> dict[str, Any]:
    """Options of XLA for innermost loops: on CPUs the widest vectors, and a library for small products."""
    if jax.default_backend() != "cpu":
        return {}
    wanted = {"xla_cpu_prefer_vector_width": 512, "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
    return {name: value for name, value in wanted.items() if _known(name, value)}


@cache
def _known(option: str, value: Any) -> bool:
    """Whether this version of XLA has the option, for which it gives no promise."""
    try:
        jax.jit(lambda: 0.0, compiler_options={option: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _lowered(function: Any, arguments: tuple[Any, ...], static: dict[str, Any]) -> Any:
    if jax.default_backend() == "cpu":
        return function.lower(*arguments, **static)
    # Accelerators would else take numbers of ten bits into their products.
    with jax.default_matmul_precision("highest"):
        return function.lower(*arguments, **static)


def _key(function: Any, arguments: tuple[Any, ...], static: dict[str, Any]) -> Any:
    leaves, structure = jax.tree.flatten(arguments)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
    config: Any = jax.config
    setting = (bool(config.jax_enable_x64), str(config.jax_default_device))
    # The function itself, not its `id`: another function may get that once this one is gone.
    return function, structure, shapes, tuple(sorted(static.items())), setting


def _compile(key: Any, lowered: Any, tracing: float) -> Callable[..., Any]:
    began = time.perf_counter()
    try:
        program = lowered.compile()
    except BaseException:
        with _guard:
            _programs.pop(key, None)
        raise
    with _guard:
        compilations.count += 1
        compilations.seconds += tracing + time.perf_counter() - began
    return program


@cache
def _compilers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="compile")
