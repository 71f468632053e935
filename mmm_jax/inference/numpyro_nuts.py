"""NumPyro's NUTS on any flat log density: the reference engine.

Data are arguments, so that every fit of the same shapes runs one compiled program; chains run on threads, one per
core, and each chain's numbers depend on its own key only.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.infer.hmc import hmc

from mmm_jax.errors import SamplingError
from mmm_jax.inference.samples import LogDensity, Progress, SamplerSettings, Samples

_CHUNK = 50
"""Iterations between two reports of progress."""

_RADIUS, _ATTEMPTS = 2.0, 100
"""Half the width of the box that chains start in, and how often a point in it is tried."""

_DENSE_UP_TO = 300
"""Length of the flat vector up to which the metric is dense."""


class _Program(NamedTuple):
    """Compiled `start` and `advance`."""

    start: Callable[..., Any]
    advance: Callable[..., Any]


def sample(
    log_density: LogDensity,
    data: Any,
    size: int,
    key: Array,
    settings: SamplerSettings,
    *,
    progress: Progress | None = None,
) -> Samples:
    """Draws of a flat vector.

    Args:
        log_density: `log_density(flat, data)`; a module-level function, so that its program is kept.
        data: pytree of arrays.
        size: length of the flat vector.
        key: random key.
        settings: chains, iterations, acceptance.
        progress: called after every chunk of iterations of a chain.

    Raises:
        SamplingError: no starting point with a finite density.
    """
    clock = time.perf_counter()
    keys = [jax.random.fold_in(key, chain) for chain in range(settings.num_chains)]
    program = _compiled(log_density, settings, size, keys[0], data)
    compiled = time.perf_counter()
    report = _Counter(settings, progress)
    # The precision is local to a thread: hand the caller's on.
    wide = jnp.result_type(float) == jnp.float64

    def chain(index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        with jax.enable_x64(wide):
            return _run_chain(program, size, keys[index], data, settings, report)

    with ThreadPoolExecutor(max_workers=min(settings.num_chains, os.cpu_count() or 1)) as pool:
        results = list(pool.map(chain, range(settings.num_chains)))
    seconds = {"compile": compiled - clock, "sample": time.perf_counter() - compiled}
    stats = {name: np.stack([stats[name] for _, stats in results]) for name in results[0][1]}
    return Samples(np.stack([positions for positions, _ in results]), stats, seconds)


class _Counter:
    """Adds up the iterations of all chains, from several threads."""

    def __init__(self, settings: SamplerSettings, progress: Progress | None) -> None:
        self._lock, self._progress, self._done = Lock(), progress, 0
        self._total = settings.num_chains * (settings.num_warmup + settings.num_samples)

    def add(self, count: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._done += count
                self._progress(self._done, self._total)


def _started(program: _Program, size: int, key: Array, data: Any) -> Any:
    """State at a point from a uniform box around 0 at which density and gradient are finite."""
    key_points, key_run = jax.random.split(key)
    for attempt in range(_ATTEMPTS):
        point_key = jax.random.fold_in(key_points, attempt)
        point = jax.random.uniform(point_key, (size,), minval=-_RADIUS, maxval=_RADIUS)
        state = program.start(point, key_run, data)
        if np.isfinite(state.potential_energy) and np.isfinite(state.z_grad).all():
            return state
    raise SamplingError(
        f"No starting point with a finite density was found in {_ATTEMPTS} tries. The priors and the data contradict "
        "each other: check the priors' scales against the scaled target, and sample the prior first."
    )


def _run_chain(
    program: _Program, size: int, key: Array, data: Any, settings: SamplerSettings, report: _Counter
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    state, kept = _started(program, size, key, data), []
    for phase, length in (("warmup", settings.num_warmup), ("sample", settings.num_samples)):
        for first in range(0, length, _CHUNK):
            count = min(_CHUNK, length - first)
            state, record = program.advance(state, data, jnp.asarray(count))
            record = jax.tree.map(lambda values, count=count: np.asarray(values)[:count], record)
            report.add(count)
            if phase == "sample":
                kept.append(record)
    positions, stats = jax.tree.map(lambda *chunks: np.concatenate(chunks), *kept)
    return positions, stats


def _compiled(log_density: LogDensity, settings: SamplerSettings, size: int, key: Array, data: Any) -> _Program:
    """Both programs, compiled for these shapes before any thread starts."""
    kernel = _kernel(log_density, settings.num_warmup, settings.target_accept, settings.max_tree_depth, size <= _DENSE_UP_TO)
    point = jnp.zeros(size)
    state = jax.eval_shape(kernel.start, point, key, data)
    return _Program(
        kernel.start.lower(point, key, data).compile(),
        kernel.advance.lower(state, data, jnp.asarray(_CHUNK)).compile(),
    )


@lru_cache(maxsize=16)
def _kernel(
    log_density: LogDensity, num_warmup: int, target_accept: float, max_tree_depth: int, dense_mass: bool
) -> _Program:
    """Start and advance as jitted functions of state and data."""

    def potential(data: Any) -> Callable[[Array], Array]:
        return lambda flat: -log_density(flat, data)

    def bind(point: Array, key: Array, data: Any) -> tuple[Any, Callable[..., Any]]:
        # NumPyro's kernel keeps its warm-up schedule in its closure: made anew in each trace, it cannot leak.
        init, step = hmc(potential_fn_gen=potential, algo="NUTS")
        state = init(
            point,
            num_warmup,
            target_accept_prob=target_accept,
            max_tree_depth=max_tree_depth,
            dense_mass=dense_mass,
            model_args=(data,),
            rng_key=key,
        )
        return state, step

    @jax.jit
    def start(point: Array, key: Array, data: Any) -> Any:
        return bind(point, key, data)[0]

    @jax.jit
    def advance(state: Any, data: Any, count: Array) -> Any:
        _, step = bind(state.z, state.rng_key, data)
        first = _record(state, state.adapt_state.step_size)
        buffers = jax.tree.map(lambda value: jnp.zeros((_CHUNK, *jnp.shape(value)), jnp.result_type(value)), first)

        def body(index: Array, carry: Any) -> Any:
            state, buffers = carry
            used = state.adapt_state.step_size
            state = step(state, (data,), {})
            record = _record(state, used)
            return state, jax.tree.map(lambda buffer, value: buffer.at[index].set(value), buffers, record)

        return jax.lax.fori_loop(0, count, body, (state, buffers))

    return _Program(start, advance)


def _record(state: Any, step_size: Array) -> tuple[Array, dict[str, Array]]:
    """Position and sample statistics of one iteration, made with the given step size."""
    return state.z, {
        "acceptance_rate": state.accept_prob,
        "diverging": state.diverging,
        "energy": state.energy,
        "lp": -state.potential_energy,
        "n_steps": state.num_steps,
        "step_size": step_size,
        "tree_depth": jnp.ceil(jnp.log2(state.num_steps + 1.0)).astype(int),
    }
