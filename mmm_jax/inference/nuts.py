"""The no-U-turn sampler as a state machine: every iteration is one leapfrog of every lane.

A lane is one chain of one fit. Mapped over lanes, ordinary NUTS waits at every draw for the deepest tree among them; here
a lane whose trajectory ends records its draw, takes a new momentum and goes on at once. State and transition are data: all
arrays have the axes (fit, lane), and a lane's numbers depend on its own key and its own steps only.

The trajectory is the iterative form of the tree of Hoffman and Gelman (2014) with multinomial sampling over its points and
a bias towards later subtrees (Betancourt, 2017), and O(depth) checkpoints for the turns within a subtree (Phan et al.,
2019; Lao and Dillon, 2019). That lanes advance leapfrog by leapfrog follows Dance et al. (2025), Efficiently Vectorized
MCMC on Modern Accelerators.

With some dozen lanes on a CPU the loop's time is that of its many small steps, so that what changes together is kept in
one array.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from mmm_jax.inference.adaptation import StepSize, adapted, averaged
from mmm_jax.inference.random_numbers import momentum, step_numbers

DIVERGENCE = 1000.0
"""Error of the energy above which a trajectory counts as divergent."""

_EVERY = 8
"""One trajectory in so many, chosen at random, takes half steps.

Where a posterior is narrower than anywhere in the warm-up, whole steps are unstable, and a chain would stay for a hundred
draws before a lucky momentum takes it out.
"""

Gradient = Callable[[Array], tuple[Array, Array]]
"""Log density (fit, lane) and gradient (fit, lane, flat) of positions (fit, lane, flat)."""

_BLOCK = 4
"""Levels of a subtree that are looked at in one step."""

Point = Float[Array, "fit lane 3 flat"]
"""A state of the dynamics: position, momentum, gradient."""

_POSITION, _MOMENTUM, _GRADIENT = 0, 1, 2


class Proposal(NamedTuple):
    """A point that may become the draw.

    Attributes:
        place: position and gradient, shape (fit, lane, 2, flat).
        log_density: there.
        energy: with the momentum with which it was reached.
    """

    place: Float[Array, "fit lane 2 flat"]
    log_density: Float[Array, "fit lane"]
    energy: Float[Array, "fit lane"]


class Tree(NamedTuple):
    """The whole trajectory.

    Attributes:
        left, right: its ends.
        log_weight: logarithm of the summed weights `exp(first energy - energy)`.
        momentum_sum: over all points.
        depth: doublings so far.
        energy: of the first point.
    """

    left: Point
    right: Point
    proposal: Proposal
    log_weight: Float[Array, "fit lane"]
    momentum_sum: Float[Array, "fit lane flat"]
    depth: Int[Array, "fit lane"]
    energy: Float[Array, "fit lane"]


class Subtree(NamedTuple):
    """The doubling in progress.

    Attributes:
        direction: 1 forwards, -1 backwards.
        leaves: points so far.
        checkpoints: what later leaves need to know of the first leaf of the open subtree of every level, see `_checked`.
    """

    end: Point
    direction: Float[Array, "fit lane"]
    leaves: Int[Array, "fit lane"]
    proposal: Proposal
    log_weight: Float[Array, "fit lane"]
    momentum_sum: Float[Array, "fit lane flat"]
    checkpoints: Float[Array, "level fit lane 2 flat"]


STATISTICS = ("acceptance_rate", "diverging", "energy", "lp", "n_steps", "step_size", "tree_depth")
"""What is recorded of every draw, in this order."""


class Record(NamedTuple):
    """What is kept of the draws.

    Attributes:
        place: position and gradient.
        statistics: as numbers of one kind.
    """

    place: Float[Array, "fit lane draw 2 flat"]
    statistics: Float[Array, "fit lane draw statistic"]

    @property
    def position(self) -> Float[Array, "fit lane draw flat"]:
        """The draws themselves."""
        return self.place[..., 0, :]


class State(NamedTuple):
    """Everything that one iteration changes.

    Attributes:
        seeds: two words per lane.
        draws: trajectories that have ended.
        steps: leapfrogs since the start, the counter of the lane's random numbers.
        stride: of the trajectory, 1 or one half, in step sizes.
        acceptance: summed acceptance probability over the trajectory.
        leapfrogs: of the trajectory.
    """

    seeds: UInt32[Array, "fit lane 2"]
    tree: Tree
    subtree: Subtree
    step_size: StepSize
    draws: Int[Array, "fit lane"]
    steps: Int[Array, "fit lane"]
    stride: Float[Array, "fit lane"]
    acceptance: Float[Array, "fit lane"]
    leapfrogs: Int[Array, "fit lane"]
    record: Record


class Schedule(NamedTuple):
    """How a phase runs; arrays, so that one program serves every phase.

    Attributes:
        adapt: draws that adapt the step size.
        skip: draws that are not recorded.
        total: draws in all.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: doublings at most.
    """

    adapt: Int[Array, ""]
    skip: Int[Array, ""]
    total: Int[Array, ""]
    target_accept: Float[Array, ""]
    max_tree_depth: Int[Array, ""]


def start(
    seeds: UInt32[Array, "fit lane 2"],
    position: Float[Array, "fit lane flat"],
    step_size: StepSize,
    active: Float[Array, "fit flat"],
    log_density: Float[Array, "fit lane"],
    slope: Float[Array, "fit lane flat"],
    *,
    capacity: int,
    levels: int,
) -> State:
    """State at the first point of the first trajectory.

    Args:
        seeds: two words per lane.
        position: where the lanes start.
        step_size: of every lane.
        active: 1 for coordinates that move, 0 for padding.
        log_density: there.
        slope: its gradient there.
        capacity: draws that can be recorded.
        levels: largest tree depth of any schedule.
    """
    lanes, dtype, size = log_density.shape, position.dtype, position.shape[-1]
    counts, zeros = jnp.zeros(lanes, jnp.int32), jnp.zeros(lanes, dtype)
    first = Proposal(jnp.stack([position, slope], axis=-2), log_density, log_density)
    tree = _first(momentum(seeds, counts, size, dtype) * active[:, None], first)
    blocks = -(-levels // _BLOCK) * _BLOCK
    subtree = Subtree(
        end=tree.left,
        direction=jnp.ones(lanes, dtype),
        leaves=counts,
        proposal=tree.proposal,
        log_weight=jnp.full(lanes, -jnp.inf, dtype),
        momentum_sum=jnp.zeros_like(position),
        checkpoints=jnp.zeros((blocks, *lanes, 2, size), dtype),
    )
    record = Record(jnp.zeros((*lanes, capacity, 2, size), dtype), jnp.zeros((*lanes, capacity, len(STATISTICS)), dtype))
    return State(seeds, tree, subtree, step_size, counts, counts, zeros + 1.0, zeros, counts, record)


def run(state: State, schedule: Schedule, active: Array, gradient: Gradient, max_iterations: Int[Array, ""]) -> State:
    """Iterate until every lane has its draws, or `max_iterations` are done.

    A lane that is done keeps moving unrecorded: cheaper than holding it still, and without effect on any draw.
    """

    def unfinished(carry: tuple[State, Array]) -> Array:
        return jnp.any(carry[0].draws < schedule.total) & (carry[1] < max_iterations)

    def body(carry: tuple[State, Array]) -> tuple[State, Array]:
        return iterate(carry[0], schedule, active, gradient), carry[1] + 1

    return jax.lax.while_loop(unfinished, body, (state, jnp.zeros_like(max_iterations)))[0]


def iterate(state: State, schedule: Schedule, active: Float[Array, "fit flat"], gradient: Gradient) -> State:
    """One leapfrog of every lane, and whatever ends with it: a subtree, a trajectory, the adaptation."""
    dtype = state.stride.dtype
    choose_leaf, choose_tree, direction, halved = step_numbers(state.seeds, state.steps, dtype, _EVERY)
    reached, proposal = _leapfrog(state.subtree, state.step_size.value * state.stride, gradient)
    error = proposal.energy - state.tree.energy
    # A density that is not a number is a point that cannot be visited: its weight is 0, and the trajectory ends.
    error = jnp.where(jnp.isfinite(error), error, jnp.inf)
    subtree, turning = _with_leaf(state.subtree, reached, proposal, -error, choose_leaf)
    diverging = error > DIVERGENCE
    complete = subtree.leaves >= 1 << state.tree.depth
    accepted, ended = complete & ~turning & ~diverging, complete | turning | diverging
    tree = _merged(state.tree, subtree, accepted, choose_tree)
    done = ended & (~accepted | _turned(tree) | (tree.depth >= schedule.max_tree_depth))
    acceptance = state.acceptance + jnp.exp(-jnp.maximum(error, 0.0))
    leapfrogs, draws = state.leapfrogs + 1, state.draws + done
    rate = acceptance / leapfrogs
    adapts = done & (state.draws < schedule.adapt) & (state.stride == 1.0)
    step_size = adapted(state.step_size, rate, adapts, schedule.target_accept)
    record = _recorded(state, tree.proposal, schedule.skip, done, rate, diverging, leapfrogs, tree.depth + ~accepted)
    subtree = _restarted(tree, subtree, ended, direction)
    fresh = momentum(state.seeds, draws, active.shape[1], dtype) * active[:, None]
    tree, end = _relaunched(fresh, tree, subtree.end, done)
    return State(
        seeds=state.seeds,
        tree=tree,
        subtree=subtree._replace(end=end),
        step_size=averaged(step_size, done & (draws == schedule.adapt)),
        draws=draws,
        steps=state.steps + 1,
        stride=jnp.where(done, jnp.where(halved, 0.5, 1.0), state.stride).astype(dtype),
        acceptance=jnp.where(done, 0.0, acceptance),
        leapfrogs=jnp.where(done, 0, leapfrogs),
        record=record,
    )


def _leapfrog(subtree: Subtree, step_size: Array, gradient: Gradient) -> tuple[Point, Proposal]:
    step, end = (subtree.direction * step_size)[..., None], subtree.end
    half = end[..., _MOMENTUM, :] + 0.5 * step * end[..., _GRADIENT, :]
    position = end[..., _POSITION, :] + step * half
    log_density, slope = gradient(position)
    reached = half + 0.5 * step * slope
    energy = 0.5 * jnp.sum(reached**2, axis=-1) - log_density
    point = jnp.stack([position, reached, slope], axis=-2)
    return point, Proposal(jnp.stack([position, slope], axis=-2), log_density, energy)


def _with_leaf(
    subtree: Subtree, leaf: Point, proposal: Proposal, log_weight: Array, choose: Array
) -> tuple[Subtree, Bool[Array, "fit lane"]]:
    """The subtree with one more leaf, and whether any of the subtrees that this leaf completes turns."""
    total = jnp.logaddexp(subtree.log_weight, log_weight)
    momentum_sum = subtree.momentum_sum + leaf[..., _MOMENTUM, :]
    checkpoints, turning = _checked(subtree, leaf[..., _MOMENTUM, :], momentum_sum)
    return Subtree(
        end=leaf,
        direction=subtree.direction,
        leaves=subtree.leaves + 1,
        proposal=_where(jnp.log(choose) < log_weight - total, proposal, subtree.proposal),
        log_weight=total,
        momentum_sum=momentum_sum,
        checkpoints=checkpoints,
    ), turning


def _checked(subtree: Subtree, last: Array, momentum_sum: Array) -> tuple[Array, Bool[Array, "fit lane"]]:
    """Checkpoints with the new leaf, and whether any subtree that it completes turns.

    Leaf `n`, counted from 0, has its level in the number of bits of `n // 2`. If `n` is even, it opens the subtree that is
    kept on that level; if odd, it completes one subtree for each of its trailing bits, kept on that level and below.

    A subtree turns by the momenta at its ends against the sum over it, the ends counted half. Of the momentum `p` at its
    first leaf, and the sum `s` up to there with `p` itself counted half, that sum is `momentum_sum - last / 2 - s`; `p` and
    `s` are what a checkpoint holds.
    """
    leaf = subtree.leaves
    level = jax.lax.population_count(leaf >> 1)
    completed = jax.lax.population_count(leaf ^ (leaf + 1)) - 1
    reach = momentum_sum - 0.5 * last

    # What opens a subtree completes none: kept first, so that the array is changed in place.
    fit, lane = jnp.indices(leaf.shape, sparse=True)
    put = jnp.where(completed == 0, level, len(subtree.checkpoints))
    checkpoints = subtree.checkpoints.at[put, fit, lane].set(jnp.stack([last, reach], axis=-2), mode="drop")

    def visit(block: Array, turning: Array) -> Array:
        kept = jax.lax.dynamic_slice_in_dim(checkpoints, block * _BLOCK, _BLOCK)
        at = block * _BLOCK + jnp.arange(_BLOCK)[:, None, None]
        checks = (at <= level) & (at > level - completed)
        return turning | (checks & _turns(kept[..., 0, :], last, reach - kept[..., 1, :])).any(axis=0)

    # Only the levels that some lane is on.
    turning = jax.lax.fori_loop(0, jnp.max(level) // _BLOCK + 1, visit, jnp.zeros(leaf.shape, bool))
    return checkpoints, turning


def _turns(first: Array, last: Array, inner: Array) -> Bool[Array, "*lanes"]:
    """Whether a trajectory turns back: the momenta at its ends against the sum over it, the ends counted half."""
    return (jnp.sum(first * inner, axis=-1) <= 0) | (jnp.sum(last * inner, axis=-1) <= 0)


def _turned(tree: Tree) -> Bool[Array, "fit lane"]:
    first, last = tree.left[..., _MOMENTUM, :], tree.right[..., _MOMENTUM, :]
    return _turns(first, last, tree.momentum_sum - 0.5 * (first + last))


def _merged(tree: Tree, subtree: Subtree, accepted: Array, choose: Array) -> Tree:
    """The trajectory with a completed subtree at one end; its later half is preferred."""
    forward = subtree.direction > 0
    chosen = accepted & (jnp.log(choose) < subtree.log_weight - tree.log_weight)
    return Tree(
        left=_where(accepted & ~forward, subtree.end, tree.left),
        right=_where(accepted & forward, subtree.end, tree.right),
        proposal=_where(chosen, subtree.proposal, tree.proposal),
        log_weight=jnp.where(accepted, jnp.logaddexp(tree.log_weight, subtree.log_weight), tree.log_weight),
        momentum_sum=tree.momentum_sum + _where(accepted, subtree.momentum_sum, jnp.zeros_like(subtree.momentum_sum)),
        depth=tree.depth + accepted,
        energy=tree.energy,
    )


def _restarted(tree: Tree, subtree: Subtree, ended: Array, direction: Array) -> Subtree:
    """Where a subtree has ended, an empty one at the end of the trajectory that the new direction leads to."""
    end = _where(direction > 0, tree.right, tree.left)
    return subtree._replace(
        end=_where(ended, end, subtree.end),
        direction=jnp.where(ended, direction, subtree.direction),
        leaves=jnp.where(ended, 0, subtree.leaves),
        log_weight=jnp.where(ended, -jnp.inf, subtree.log_weight),
        momentum_sum=_where(ended, jnp.zeros_like(subtree.momentum_sum), subtree.momentum_sum),
    )


def _relaunched(fresh: Array, tree: Tree, end: Point, done: Array) -> tuple[Tree, Point]:
    """Where a trajectory has ended, a new one from its draw with a fresh momentum."""
    first = _first(fresh, tree.proposal)
    return _where(done, first, tree), _where(done, first.left, end)


def _first(fresh: Float[Array, "fit lane flat"], proposal: Proposal) -> Tree:
    """The trajectory of one point."""
    point = jnp.stack([proposal.place[..., 0, :], fresh, proposal.place[..., 1, :]], axis=-2)
    energy = 0.5 * jnp.sum(fresh**2, axis=-1) - proposal.log_density
    zeros = jnp.zeros_like(energy)
    return Tree(point, point, proposal._replace(energy=energy), zeros, fresh, zeros.astype(jnp.int32), energy)


def _recorded(
    state: State,
    draw: Proposal,
    skip: Array,
    done: Array,
    rate: Array,
    diverging: Array,
    leapfrogs: Array,
    depth: Array,
) -> Record:
    """The record with the draws of the lanes that are done and past the draws to skip."""
    capacity = state.record.position.shape[2]
    at = jnp.where(done & (state.draws >= skip), state.draws - skip, capacity)
    fit, lane = jnp.indices(at.shape, sparse=True)
    step_size = state.step_size.value * state.stride
    numbers = (rate, diverging, draw.energy, draw.log_density, leapfrogs, step_size, depth)
    statistics = jnp.stack([number.astype(rate.dtype) for number in numbers], axis=-1)
    new = Record(draw.place, statistics)
    return jax.tree.map(lambda kept, value: kept.at[fit, lane, at].set(value, mode="drop"), state.record, new)


def _where(condition: Bool[Array, "fit lane"], yes, no):
    """`where` over every array of a tree, whose axes after (fit, lane) are the condition's to broadcast over."""

    def choose(one: Array, other: Array) -> Array:
        return jnp.where(condition.reshape(*condition.shape, *(1,) * (one.ndim - condition.ndim)), one, other)

    return jax.tree.map(choose, yes, no)
