"""The engine: whitened coordinates, lanes, phases. It samples any log density, and knows nothing of marketing.

A fit starts from its Laplace approximation; short phases of warm-up refine the coordinates from the pooled draws of its
chains; then every chain draws. Many fits of one shape run in one program, and every number depends on the fit's own key
and data only.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mmm_jax.errors import SamplingError
from mmm_jax.inference import nuts
from mmm_jax.inference.adaptation import StepSize, initial_step_size
from mmm_jax.inference.coloring import Coloring, uncolored
from mmm_jax.inference.laplace import Laplace, laplace, prepared, whitening_of
from mmm_jax.inference.metric import AbstractWhitening, identity_whitening, refined
from mmm_jax.inference.programs import compiled, requested, speed_options
from mmm_jax.inference.random_numbers import seeds as lane_seeds
from mmm_jax.inference.samples import LogDensity, Progress, SamplerSettings, Samples

_FIRST_STEP = 0.4
"""About right for some dozen whitened coordinates; adapted from the first draw on."""

_SECONDS_PER_CALL = 0.25
"""How long the loop runs between two reports of progress."""

_HALVINGS, _ATTEMPTS = 8, 64
"""How often a starting point is drawn anew until its density is finite: each time closer to the centre, then again."""


_KINDS = {"diverging": bool, "n_steps": np.int32, "tree_depth": np.int32}
"""Of the recorded statistics that are no real numbers."""


class Phase(NamedTuple):
    """A stretch of draws with one set of coordinates.

    Attributes:
        total: draws per chain.
        adapt: draws that adapt the step size.
        skip: draws that are not kept.
        refine: whether the coordinates are made anew from what was kept.
    """

    total: int
    adapt: int
    skip: int
    refine: bool


def phases_of(settings: SamplerSettings, arrived: bool) -> list[Phase]:
    """Phases that refine the coordinates, then the one whose draws are kept.

    From the mode two refinements suffice. Where no mode was found, the coordinates start as the prior's, and more and
    longer phases take the place of the search.
    """
    lengths = [round(share * settings.num_warmup) for share in ((0.25, 0.5) if arrived else (0.4, 0.4, 0.6, 0.6))]
    refining = [Phase(n, max(n // 2, 1) if k == 0 else n // 5, n // 5, True) for k, n in enumerate(lengths) if n >= 10]
    last = max(1, settings.num_warmup - sum(phase.total for phase in refining)) if arrived else settings.num_warmup
    return [*refining, Phase(last + settings.num_samples, last, last, False)]


def sample(
    log_density: LogDensity,
    data: Any,
    size: int,
    key: Array,
    settings: SamplerSettings,
    *,
    active: np.ndarray | None = None,
    searched: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Draws of one flat vector; the arguments are those of every engine, see `numpyro_nuts.sample`.

    Args:
        log_density: `log_density(flat, data)`; a module-level function, so that its programs are kept.
        data: pytree of arrays.
        size: length of the flat vector.
        key: random key.
        settings: chains, iterations, acceptance.
        active: 1 for the coordinates that move, 0 for padding, shape (flat,); all move by default.
        searched: 1 for the coordinates along which the mode is searched, see `sample_many`.
        blocks: which coordinates do not matter to each other, see `sample_many`.
        progress: called while it runs, with the draws done and all draws.

    Raises:
        SamplingError: no starting point with a finite density.
    """
    data = jax.tree.map(lambda values: jnp.asarray(values)[None], data)
    moving = np.ones((1, size)) if active is None else active[None]
    along = None if searched is None else searched[None]
    arguments = (log_density, data, key[None], settings, moving)
    (found,) = sample_many(*arguments, searched=along, blocks=blocks, progress=progress)
    if isinstance(found, SamplingError):
        raise found
    return found


def sample_many(
    log_density: LogDensity,
    data: Any,
    keys: Array,
    settings: SamplerSettings,
    active: np.ndarray,
    *,
    searched: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    progress: Progress | None = None,
) -> list[Samples | SamplingError]:
    """Draws of many fits of one shape, in one program.

    Args:
        log_density: `log_density(flat, data)`; a module-level function, so that its programs are kept.
        data: pytree of arrays with the fits as first axis.
        keys: one random key per fit; a fit's draws depend on its own key, data and settings only.
        settings: chains, iterations, acceptance.
        active: 1 for the coordinates that move, 0 for those that are padding and stay 0, shape (fit, flat).
        searched: 1 for the coordinates along which the mode is searched, shape (fit, flat): all that move by default. The
            others, such as scales of a hierarchy whose density has no useful peak, start at 0 with a deviation of 1.
        blocks: of all fits, number of every coordinate's block, `coloring.SHARED` for those that matter to all, shape
            (flat,): given these, no block's coordinates matter to another's. By default, all may matter to each other.
        progress: called while it runs, with the draws done and all draws.

    Returns:
        Per fit its draws, or the error that stopped it.
    """
    began = time.perf_counter()
    moving = jnp.asarray(active, jnp.result_type(float))
    along = np.asarray(active if searched is None else searched)
    coloring = uncolored(active.shape[1]) if blocks is None else Coloring.of(blocks)
    arguments = (log_density, _Group(data, keys, moving), settings)
    # Traced one after the other, compiled beside each other; the mode is searched while the loop's program is made.
    mode_search = prepared(log_density, data, along, coloring)
    ready = [*mode_search, *_prepared(*arguments, coloring)]
    wait(mode_search)
    search_began = time.perf_counter()
    found = laplace(log_density, data, along, coloring)
    search_took = time.perf_counter() - search_began
    wait(ready)
    # The search counts as sampling, as it does elsewhere.
    compiling = time.perf_counter() - began - search_took
    report = _Counter(progress, len(active), settings)
    results: dict[int, Samples | SamplingError] = {}
    for arrived in (True, False):
        fits = np.flatnonzero(np.asarray(found.arrived) == arrived)
        if len(fits):
            drawn = _draw_group(*arguments, found, fits, arrived, report)
            seconds = {"compile": compiling, "sample": time.perf_counter() - began - compiling}
            results |= {int(fit): _unpacked(drawn, place, found, int(fit), seconds) for place, fit in enumerate(fits)}
    return [results[fit] for fit in range(len(active))]


class _Group(NamedTuple):
    """Fits that run together: data with the fits as first axis, one key per fit, and what moves."""

    data: Any
    keys: Array
    active: Array


class _Drawn(NamedTuple):
    """What a group drew: flat vectors and statistics, (fit, chain, draw, ...), and which fits could start."""

    positions: np.ndarray
    stats: dict[str, np.ndarray]
    started: np.ndarray


class _Counter:
    """Turns the draws of a group's phases into progress over all fits."""

    def __init__(self, progress: Progress | None, fits: int, settings: SamplerSettings) -> None:
        self._progress, self._done = progress, 0.0
        self._total = fits * settings.num_chains * (settings.num_warmup + settings.num_samples)

    def add(self, draws: float) -> None:
        """Count draws; the longer warm-up of fits without a mode is squeezed into the same total."""
        self._done = min(self._done + draws, self._total)
        if self._progress is not None:
            self._progress(round(self._done), self._total)


def _draw_group(
    log_density: LogDensity,
    group: _Group,
    settings: SamplerSettings,
    found: Laplace,
    fits: np.ndarray,
    arrived: bool,
    report: _Counter,
) -> _Drawn:
    # Filled up with its own fits, a smaller group runs the same program: a fit's numbers do not depend on its neighbours.
    rows = np.resize(fits, len(group.active))
    part = _Group(*jax.tree.map(lambda values: values[rows], group))
    whitening = whitening_of(Laplace(*(v[rows] for v in found)), part.active.dtype)
    phases = phases_of(settings, arrived)
    weight = len(fits) / len(rows) * (settings.num_warmup + settings.num_samples) / sum(phase.total for phase in phases)
    u, started = _starting_points(log_density, part, whitening, settings)
    step = initial_step_size(jnp.full(u.shape[:2], _FIRST_STEP, u.dtype), boldness=10.0)
    programs = _programs(log_density)
    for index, phase in enumerate(phases):
        seeds = lane_seeds(_lane_keys(part.keys, index + 1, settings.num_chains))
        state = _run_phase(log_density, part, whitening, settings, seeds, u, step, phase, weight, report)
        if phase.refine:
            whitening, u, step = _refined(whitening, state, phase)
    flat = np.asarray(compiled(programs.to_flat, whitening, state.record)(whitening, state.record))
    numbers = np.asarray(state.record.statistics)[:, :, : settings.num_samples]
    stats = {name: numbers[..., k].astype(_KINDS.get(name, numbers.dtype)) for k, name in enumerate(nuts.STATISTICS)}
    return _Drawn(flat[:, :, : settings.num_samples], stats, started)


def _run_phase(
    log_density: LogDensity,
    group: _Group,
    whitening: AbstractWhitening,
    settings: SamplerSettings,
    seeds: Array,
    u: Array,
    step: StepSize,
    phase: Phase,
    weight: float,
    report: _Counter,
) -> nuts.State:
    programs = _programs(log_density)
    schedule = _schedule(phase, settings, u.dtype)
    first = (whitening, group.data, group.active, u)
    begin = (seeds, u, step, group.active, *compiled(programs.evaluate, *first)(*first))
    size = {"capacity": _capacity(settings), "levels": settings.max_tree_depth}
    state = compiled(programs.start, *begin, **size)(*begin)
    iterations, done = jnp.asarray(64), 0
    advance = compiled(programs.run, state, schedule, whitening, group.data, group.active, iterations)
    while done < phase.total * u.shape[0] * u.shape[1]:
        clock = time.perf_counter()
        state = advance(state, schedule, whitening, group.data, group.active, iterations)
        after = int(np.minimum(np.asarray(state.draws), phase.total).sum())
        report.add((after - done) * weight)
        done = after
        pace = _SECONDS_PER_CALL / (time.perf_counter() - clock)
        iterations = jnp.asarray(max(64, int(int(iterations) * min(pace, 4.0))))
    return state


def _starting_points(
    log_density: LogDensity, group: _Group, whitening: AbstractWhitening, settings: SamplerSettings
) -> tuple[Array, np.ndarray]:
    """Draws from the approximation, drawn anew and closer to its centre where the density is not finite there."""
    shape = (group.active.shape[1],)
    keys = _lane_keys(group.keys, 0, settings.num_chains)

    def drawn(keys: Array) -> Array:
        u = jax.vmap(jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32)))(keys)
        return u.astype(group.active.dtype) * group.active[:, None]

    u = drawn(keys)
    evaluate = compiled(_programs(log_density).evaluate, whitening, group.data, group.active, u)
    for attempt in range(1, _ATTEMPTS + 1):
        log_densities, slopes = evaluate(whitening, group.data, group.active, u)
        finite = np.isfinite(log_densities) & np.isfinite(slopes).all(axis=-1)
        if finite.all():
            break
        again = jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (0, None))(keys, attempt)
        u = jnp.where(finite[..., None], u, 0.5 ** (attempt % _HALVINGS) * drawn(again))
    return u, finite.all(axis=1)


def _unpacked(drawn: _Drawn, place: int, found: Laplace, fit: int, seconds: dict[str, float]) -> Samples | SamplingError:
    if not drawn.started[place]:
        return SamplingError(
            "No starting point with a finite density was found. The priors and the data contradict each other: check the "
            "priors' scales against the scaled target, and sample the prior first."
        )
    arrived, iterations = bool(found.arrived[fit]), int(found.iterations[fit])
    start = f"mode found after {iterations} iterations"
    if not arrived:
        start = f"no mode found in {iterations} iterations: started from the prior, with a longer warm-up"
    stats = {name: values[place] for name, values in drawn.stats.items()}
    return Samples(drawn.positions[place], stats, seconds, start)


class _Programs(NamedTuple):
    """Jitted functions of a log density, for many fits and lanes."""

    evaluate: Callable[..., Any]
    start: Callable[..., Any]
    run: Callable[..., Any]
    to_flat: Callable[..., Any]


@lru_cache(maxsize=16)
def _programs(log_density: LogDensity) -> _Programs:
    value_and_grad = jax.value_and_grad(log_density)

    def evaluate(whitening: AbstractWhitening, data: Any, active: Array, u: Array) -> tuple[Array, Array]:
        flat = whitening.to_flat(u)
        if len(active) == 1:
            # An axis of length 1 keeps XLA from its matrix products.
            one = jax.vmap(value_and_grad, (0, None))(flat[0], jax.tree.map(lambda values: values[0], data))
            values, slopes = (found[None] for found in one)
        else:
            values, slopes = jax.vmap(jax.vmap(value_and_grad, (0, None)))(flat, data)
        return values, whitening.pull_back(slopes) * active[:, None]

    def run(state: nuts.State, schedule: nuts.Schedule, whitening: Any, data: Any, active: Array, most: Array) -> nuts.State:
        return nuts.run(state, schedule, active, lambda u: evaluate(whitening, data, active, u), most)

    return _Programs(
        jax.jit(evaluate, compiler_options=speed_options()),
        jax.jit(nuts.start, static_argnames=("capacity", "levels")),
        jax.jit(run, donate_argnums=0, compiler_options=speed_options()),
        jax.jit(lambda whitening, record: whitening.to_flat(record.position)),
    )


def _refined(whitening: AbstractWhitening, state: nuts.State, phase: Phase) -> tuple[AbstractWhitening, Array, StepSize]:
    """Coordinates by the pooled draws of every fit, the chains' last draws in them, and a common step size per fit."""
    dtype, kept = state.record.place.dtype, phase.total - phase.skip
    place = np.asarray(state.record.place)[:, :, :kept].astype(float)
    pooled = place.reshape(place.shape[0], -1, 2, place.shape[-1])
    new = refined(whitening, pooled[:, :, 0], pooled[:, :, 1])
    last: Any = place[:, :, -1, 0]
    u = new.to_u(np.asarray(whitening.on_host().to_flat(last)))
    common = np.exp(np.log(np.asarray(state.step_size.value, float)).mean(axis=1, keepdims=True))
    values = jnp.asarray(np.broadcast_to(common, u.shape[:2]), dtype)
    return new, jnp.asarray(u, dtype), initial_step_size(values, boldness=2.0)


def _prepared(log_density: LogDensity, group: _Group, settings: SamplerSettings, coloring: Coloring) -> "list[Future[Any]]":
    """The programs that take longest to compile, asked for by shapes alone."""
    programs, dtype = _programs(log_density), group.active.dtype
    size = {"capacity": _capacity(settings), "levels": settings.max_tree_depth}
    lanes = (len(group.active), settings.num_chains)
    whitening = jax.eval_shape(lambda center: identity_whitening(center, coloring), group.active)
    u = jax.ShapeDtypeStruct((*lanes, group.active.shape[1]), dtype)
    step = jax.eval_shape(lambda: initial_step_size(jnp.ones(lanes, dtype), 1.0))
    seeds = jax.eval_shape(lambda keys: lane_seeds(_lane_keys(keys, 0, settings.num_chains)), group.keys)
    values, slopes = jax.eval_shape(programs.evaluate, whitening, group.data, group.active, u)
    begin = (seeds, u, step, group.active, values, slopes)
    state = jax.eval_shape(lambda *arguments: nuts.start(*arguments, **size), *begin)
    schedule = _schedule(Phase(1, 1, 0, False), settings, dtype)
    return [
        requested(programs.run, state, schedule, whitening, group.data, group.active, jnp.asarray(64)),
        requested(programs.evaluate, whitening, group.data, group.active, u),
        requested(programs.start, *begin, **size),
    ]


def _schedule(phase: Phase, settings: SamplerSettings, dtype: Any) -> nuts.Schedule:
    # Host numbers: making device arrays of them would be five small programs.
    whole: Any = np.int32
    real: Any = np.asarray
    return nuts.Schedule(
        adapt=whole(phase.adapt),
        skip=whole(phase.skip),
        total=whole(phase.total),
        target_accept=real(settings.target_accept, dtype),
        max_tree_depth=whole(settings.max_tree_depth),
    )


def _capacity(settings: SamplerSettings) -> int:
    """Draws that any phase keeps at most: one program serves them all."""
    return max(phase.total - phase.skip for arrived in (True, False) for phase in phases_of(settings, arrived))


def _lane_keys(keys: Array, stage: int, chains: int) -> Array:
    def of_fit(key: Array) -> Array:
        return jax.vmap(lambda chain: jax.random.fold_in(jax.random.fold_in(key, stage), chain))(jnp.arange(chains))

    return jax.vmap(of_fit)(keys)
