"""Quick looks: draws of an approximation, weighed by how well it fits, in place of draws by a sampler.

Proposals live in coordinates whitened by the mode's curvature. Their Pareto-smoothed importance weights correct what the
approximation gets wrong, and say whether that went well. What is handed on are equally weighted draws, resampled by these
weights, so that everything that reads draws of a sampler reads these. Nothing here knows of marketing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from mmm_jax.errors import SamplingError
from mmm_jax.inference.laplace import laplace, whitening_of
from mmm_jax.inference.metric import AbstractWhitening
from mmm_jax.inference.programs import compilations, compiled
from mmm_jax.inference.psis import Smoothed, psis
from mmm_jax.inference.samples import LogDensity, Progress, SamplerSettings

_PROPOSALS_PER_DRAW, _LEAST_PROPOSALS = 4, 1000

_FREEDOM = 3
"""Degrees of freedom of the proposals that reach far."""

_AT_ONCE = 64
"""Proposals per fit whose densities are computed side by side."""

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Approximated:
    """Equally weighted draws of one flat vector, and what the weights that they were resampled by say.

    Attributes:
        positions: shape (chain, draw, flat).
        stats: shape (chain, draw) each: `lp`, the log density, and `log_weight`, the logarithm of the draw's smoothed
            importance weight, 0 on average over the proposals.
        seconds: wall time by stage: `compile`, `sample`.
        start: how the approximation was found, in words.
        arrived: whether the mode was found.
        pareto_k: shape of the importance ratios' tail; infinite where the mode was not found.
        importance_ess: effective sample size of the weighted proposals.
        num_proposals: how many there were.
        log_evidence: log integral of the density over the coordinates that move.
        log_evidence_error: its Monte Carlo standard error.
        elbo: evidence lower bound by step of a variational approximation; empty for others.
    """

    positions: np.ndarray
    stats: dict[str, np.ndarray]
    seconds: dict[str, float]
    start: str
    arrived: bool
    pareto_k: float
    importance_ess: float
    num_proposals: int
    log_evidence: float
    log_evidence_error: float
    elbo: np.ndarray


class Group(NamedTuple):
    """Fits that run together: data with the fits as first axis, one key per fit, what moves, and the coordinates.

    Attributes:
        data: pytree of arrays.
        keys: shape (fit,).
        active: 1 for the coordinates that move, shape (fit, flat).
        whitening: coordinates by the mode, or the identity where there is none.
    """

    data: Any
    keys: Array
    active: Float[Array, "fit flat"]
    whitening: AbstractWhitening


class Proposals(NamedTuple):
    """Draws of an approximation, in whitened coordinates.

    Attributes:
        u: shape (fit, proposal, flat).
        log_density: of the approximation itself, padding included, shape (fit, proposal).
        elbo: by step, shape (fit, step).
    """

    u: Float[Array, "fit proposal flat"]
    log_density: Float[Array, "fit proposal"]
    elbo: Float[Array, "fit step"]


Propose = Callable[[LogDensity, Group, int], Proposals]
"""Makes proposals of a group's approximation, given their number."""


def sample_many(
    log_density: LogDensity,
    data: Any,
    keys: Array,
    settings: SamplerSettings,
    active: np.ndarray,
    *,
    progress: Progress | None = None,
) -> list[Approximated | SamplingError]:
    """Draws from the Laplace approximation of many fits of one shape, reweighed; the arguments are those of the lanes.

    Half of the proposals are normal, half Student's t: see `defended`.

    Args:
        log_density: `log_density(flat, data)`; a module-level function, so that its programs are kept.
        data: pytree of arrays with the fits as first axis.
        keys: one random key per fit; a fit's draws depend on its own key, data and settings only.
        settings: chains and draws; there is no warm-up.
        active: 1 for the coordinates that move, 0 for those that are padding and stay 0, shape (fit, flat).
        progress: called at the end.

    Returns:
        Per fit its draws, or the error that there is no proposal with a finite density.

    Reference:
        Tierney and Kadane (1986), Accurate approximations for posterior moments and marginal densities.
    """
    return approximate_many(log_density, data, keys, settings, active, _normal_proposals, needs_mode=True, progress=progress)


def approximate_many(
    log_density: LogDensity,
    data: Any,
    keys: Array,
    settings: SamplerSettings,
    active: np.ndarray,
    propose: Propose,
    *,
    needs_mode: bool = False,
    progress: Progress | None = None,
) -> list[Approximated | SamplingError]:
    """Draws of many fits from any approximation in whitened coordinates, reweighed.

    Args:
        log_density: as for `sample_many`.
        data: as for `sample_many`.
        keys: as for `sample_many`.
        settings: as for `sample_many`.
        active: as for `sample_many`.
        propose: makes the proposals. Where no mode was found, the coordinates that it sees are the prior's.
        needs_mode: whether the approximation is nothing without a mode, and k-hat then infinite.
        progress: called at the end.
    """
    began, compiled_before = time.perf_counter(), compilations.seconds
    found = laplace(log_density, data, np.asarray(active))
    moving = jnp.asarray(active, jnp.result_type(float))
    group = Group(data, keys, moving, whitening_of(found, moving.dtype))
    kept = settings.num_chains * settings.num_samples
    proposals = propose(log_density, group, max(_PROPOSALS_PER_DRAW * kept, _LEAST_PROPOSALS))
    flat, log_densities, log_ratios = _evaluated(log_density, group, proposals)
    arrived, iterations = np.asarray(found.arrived), np.asarray(found.iterations)
    weights = psis(log_ratios)
    if needs_mode:
        weights = weights._replace(pareto_k=np.where(arrived, weights.pareto_k, np.inf))
    rows = _resampled(group.keys, np.exp(weights.log_weights), kept)
    if progress is not None:
        progress(kept * len(active), kept * len(active))
    seconds = time.perf_counter() - began
    # Other threads compile as well.
    compiling = min(compilations.seconds - compiled_before, seconds)
    spent = {"compile": compiling, "sample": seconds - compiling}
    columns = _Columns(flat, log_densities, weights, rows, np.asarray(proposals.elbo))
    return [_unpacked(columns, fit, settings, bool(arrived[fit]), int(iterations[fit]), spent) for fit in range(len(active))]


def fold(keys: Array, stage: int) -> Array:
    """Every fit's key for one of the stages."""
    return jax.vmap(lambda key: jax.random.fold_in(key, stage))(keys)


def standard_normal_log_density(u: Float[Array, "*lanes flat"]) -> Float[Array, "*lanes"]:
    """Log density of independent standard normal coordinates."""
    return -0.5 * (jnp.sum(u * u, axis=-1) + u.shape[-1] * _LOG_2PI)


def padding_log_density(u: Float[Array, "*lanes flat"], active: Float[Array, "*#lanes flat"]) -> Float[Array, "*lanes"]:
    """Log density of the coordinates that are padding.

    They are standard normal in whitened coordinates, so that an approximation may have them as coordinates like all others.
    """
    return -0.5 * jnp.sum((1.0 - active) * (u * u + _LOG_2PI), axis=-1)


class _Columns(NamedTuple):
    flat: np.ndarray
    log_densities: np.ndarray
    weights: Smoothed
    rows: np.ndarray
    elbo: np.ndarray


def _unpacked(
    columns: _Columns, fit: int, settings: SamplerSettings, arrived: bool, iterations: int, seconds: dict[str, float]
) -> Approximated | SamplingError:
    weights, rows = columns.weights, columns.rows[fit]
    if not np.isfinite(weights.log_mean[fit]):
        return SamplingError(
            "No draw of the approximation has a finite density. The priors and the data contradict each other: check the "
            "priors' scales against the scaled target, and sample the prior first."
        )
    shape, count = (settings.num_chains, settings.num_samples), weights.log_weights.shape[1]
    log_weights = weights.log_weights[fit, rows] + np.log(count)
    found = f"mode found after {iterations} iterations"
    return Approximated(
        positions=columns.flat[fit, rows].reshape(*shape, -1),
        stats={"lp": columns.log_densities[fit, rows].reshape(shape), "log_weight": log_weights.reshape(shape)},
        seconds=seconds,
        start=found if arrived else f"no mode found in {iterations} iterations: started from the prior",
        arrived=arrived,
        pareto_k=float(weights.pareto_k[fit]),
        importance_ess=float(weights.ess[fit]),
        num_proposals=count,
        log_evidence=float(weights.log_mean[fit]),
        log_evidence_error=float(weights.log_mean_error[fit]),
        elbo=columns.elbo[fit],
    )


def _normal_proposals(log_density: LogDensity, group: Group, count: int) -> Proposals:
    program = compiled(_standard_normal, group.keys, group.active, count=count)
    return Proposals(*program(group.keys, group.active))


@jax.jit(static_argnames="count")
def _standard_normal(keys: Array, active: Array, *, count: int) -> tuple[Array, Array, Array]:
    def draw(key: Array, count: int, size: int) -> Array:
        # In single precision whatever the precision of the fit, so that both see the same proposals.
        return jax.random.normal(key, (count, size), jnp.float32)

    def one_fit(key: Array, active: Array) -> tuple[Array, Array]:
        return defended(key, count, active, partial(draw, size=len(active)), standard_normal_log_density)

    return *jax.vmap(one_fit)(fold(keys, 0), active), jnp.zeros((len(active), 0), active.dtype)


def defended(
    key: Array, count: int, active: Float[Array, " flat"], draw: Any, log_prob: Any
) -> tuple[Float[Array, "proposal flat"], Float[Array, " proposal"]]:
    """Proposals of which half come from an approximation and half from far around, and the log density of this mixture.

    An approximation that follows the mode may have no draw at all along a ridge that leads away from it, and its k-hat then
    looks harmless: it knows of no region that no proposal reached. Student's t in the mode's coordinates reaches far.

    Args:
        key: random key.
        count: proposals.
        active: 1 for the coordinates that move; the others are standard normal.
        draw: `draw(key, count)`, the approximation's draws in whitened coordinates.
        log_prob: the approximation's log density of such draws.

    Reference:
        Hesterberg (1995), Weighted average importance sampling and defensive mixture distributions.
    """
    key_own, key_normal, key_width = jax.random.split(key, 3)
    half = count // 2
    normal = jax.random.normal(key_normal, (count - half, len(active)), jnp.float32)
    # A chi-squared variable as what it is: its own sampler takes long to compile.
    squares = jax.random.normal(key_width, (count - half, _FREEDOM), jnp.float32) ** 2
    width = jnp.sqrt(_FREEDOM / squares.sum(axis=1, keepdims=True))
    wide = normal * jnp.where(active > 0, width, 1.0)
    u = jnp.concatenate([draw(key_own, half).astype(active.dtype), wide.astype(active.dtype)])
    shares = jnp.log(jnp.asarray([half, count - half]) / count).astype(active.dtype)
    return u, jnp.logaddexp(shares[0] + log_prob(u), shares[1] + _student_log_density(u, active))


def _student_log_density(u: Float[Array, "proposal flat"], active: Float[Array, " flat"]) -> Float[Array, " proposal"]:
    size, square = active.sum(), jnp.sum(active * u * u, axis=-1)
    constant = gammaln(0.5 * (_FREEDOM + size)) - gammaln(0.5 * _FREEDOM) - 0.5 * size * jnp.log(_FREEDOM * jnp.pi)
    return constant - 0.5 * (_FREEDOM + size) * jnp.log1p(square / _FREEDOM) + padding_log_density(u, active)


def _evaluated(log_density: LogDensity, group: Group, proposals: Proposals) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat vectors, their log densities, and the log ratios to the approximation's, of every proposal."""
    arguments = (group.data, group.whitening, group.active, proposals.u, proposals.log_density)
    flat, values, ratios = compiled(_densities(log_density), *arguments)(*arguments)
    volume = group.whitening.log_determinant()[:, None]
    return np.asarray(flat), np.asarray(values), np.asarray(ratios, float) + volume


@lru_cache(maxsize=16)
def _densities(log_density: LogDensity) -> Any:
    of_fits = jax.vmap(log_density)

    def evaluate(data: Any, whitening: AbstractWhitening, active: Array, u: Array, proposed: Array) -> tuple[Array, ...]:
        flat = whitening.to_flat(u * active[:, None])
        by_proposal = jnp.swapaxes(flat, 0, 1)
        values = jax.lax.map(lambda flat: of_fits(flat, data), by_proposal, batch_size=_AT_ONCE).T
        return flat, values, values + padding_log_density(u, active[:, None]) - proposed

    return jax.jit(evaluate)


def _resampled(keys: Array, weights: Float[np.ndarray, "fit proposal"], count: int) -> Any:
    """Which proposals are kept: each about `count * weight` times, in random order, shape (fit, count).

    Reference:
        Douc, Cappe and Moulines (2005), Comparison of resampling schemes for particle filtering, on systematic resampling.
    """
    program = compiled(_offsets_and_orders, keys, count=count)
    offsets, orders = (np.asarray(values) for values in program(keys))
    rows = []
    for own, offset, order in zip(weights, offsets, orders, strict=True):
        points = (np.arange(count) + float(offset)) / count
        # The last sum may be just below 1.
        rows.append(np.minimum(np.searchsorted(np.cumsum(own), points, side="right"), len(own) - 1)[order])
    return np.stack(rows)


@jax.jit(static_argnames="count")
def _offsets_and_orders(keys: Array, *, count: int) -> tuple[Array, Array]:
    offsets = jax.vmap(lambda key: jax.random.uniform(key, (), jnp.float32))(fold(keys, 1))
    return offsets, jax.vmap(lambda key: jax.random.permutation(key, count))(fold(keys, 2))
