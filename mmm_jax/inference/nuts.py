"""The no-U-turn sampler as a state machine: every iteration is one leapfrog of every lane.

A lane is one chain of one fit. Mapped over lanes, ordinary NUTS waits at every draw for the deepest tree among them; here
a lane whose trajectory ends records its draw, takes a new momentum and goes on at once. State and transition are data: all
arrays have the axes (fit, lane), and a lane's numbers depend on its own key and its own steps only.

The trajectory is the iterative form of the tree of Hoffman and Gelman (2014) with multinomial sampling over its points and
a bias towards later subtrees (Betancourt, 2017), and O(depth) checkpoints for the turns within a subtree (Phan et al.,
2019; Lao and Dillon, 2019). That lanes advance leapfrog by leapfrog follows Dance et al. (2025), Efficiently Vectorized
MCMC on Modern Accelerators.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from mmm_jax.inference.adaptation import StepSize, adapted, averaged

DIVERGENCE = 1000.0
"""Error of the energy above which a trajectory counts as divergent."""

_EVERY = 8
"""One trajectory in so many, chosen at random, takes half steps.

Where a posterior is narrower than anywhere in the warm-up, whole steps are unstable, and a chain would stay for a hundred
draws before a lucky momentum takes it out.
"""

Gradient = Callable[[Array], tuple[Array, Array]]
"""Log density (fit, lane) and gradient (fit, lane, flat) of positions (fit, lane, flat)."""


class Point(NamedTuple):
    """A state of the dynamics, shape (fit, lane, flat) each."""

    position: Array
    momentum: Array
    gradient: Array


class Proposal(NamedTuple):
    """A point that may become the draw, with what is recorded of it."""

    position: Float[Array, "fit lane flat"]
    gradient: Float[Array, "fit lane flat"]
    log_density: Float[Array, "fit lane"]
    energy: Float[Array, "fit lane"]


class Tree(NamedTuple):
    """The whole trajectory, between its two ends.

    Attributes:
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
        momenta, sums: per level, the momentum and the running sum at the first leaf of the open subtree of that level,
            shape (level, fit, lane, flat).
    """

    end: Point
    direction: Float[Array, "fit lane"]
    leaves: Int[Array, "fit lane"]
    proposal: Proposal
    log_weight: Float[Array, "fit lane"]
    momentum_sum: Float[Array, "fit lane flat"]
    momenta: Float[Array, "level fit lane flat"]
    sums: Float[Array, "level fit lane flat"]


class Record(NamedTuple):
    """Draws and their statistics, shape (fit, lane, draw, ...)."""

    position: Array
    acceptance_rate: Array
    diverging: Array
    energy: Array
    lp: Array
    n_steps: Array
    step_size: Array
    tree_depth: Array


class State(NamedTuple):
    """Everything that one iteration changes.

    Attributes:
        keys: one per lane.
        draws: trajectories that have ended.
        steps: leapfrogs since the start, the counter of the lane's random numbers.
        stride: of the trajectory, 1 or one half, in step sizes.
        acceptance: summed acceptance probability over the trajectory.
        leapfrogs: of the trajectory.
    """

    keys: Key[Array, "fit lane"]
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
    keys: Key[Array, "fit lane"],
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
        keys: one per lane.
        position: where the lanes start.
        step_size: of every lane.
        active: 1 for coordinates that move, 0 for padding.
        log_density: there.
        slope: its gradient there.
        capacity: draws that can be recorded.
        levels: largest tree depth of any schedule.
    """
    lanes, dtype = log_density.shape, position.dtype
    counts, zeros = jnp.zeros(lanes, jnp.int32), jnp.zeros(lanes, dtype)
    tree = _first(keys, counts, Proposal(position, slope, log_density, log_density), active)
    checkpoints = jnp.zeros((levels, *position.shape), dtype)
    subtree = Subtree(
        end=tree.left,
        direction=jnp.ones(lanes, dtype),
        leaves=counts,
        proposal=tree.proposal,
        log_weight=jnp.full(lanes, -jnp.inf, dtype),
        momentum_sum=jnp.zeros_like(position),
        momenta=checkpoints,
        sums=checkpoints,
    )
    return State(
        keys, tree, subtree, step_size, counts, counts, zeros + 1.0, zeros, counts, _empty_record(position, capacity)
    )


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
    choose_leaf, choose_tree, direction, stride = _uniforms(state)
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
    tree, end = _relaunched(state.keys, draws, tree, subtree.end, done, active)
    return State(
        keys=state.keys,
        tree=tree,
        subtree=subtree._replace(end=end),
        step_size=averaged(step_size, done & (draws == schedule.adapt)),
        draws=draws,
        steps=state.steps + 1,
        stride=jnp.where(done, stride, state.stride),
        acceptance=jnp.where(done, 0.0, acceptance),
        leapfrogs=jnp.where(done, 0, leapfrogs),
        record=record,
    )


def _uniforms(state: State) -> tuple[Array, Array, Array, Array]:
    """Two uniform numbers, a direction, and a stride for this step of every lane."""
    dtype = state.subtree.direction.dtype

    def bits(key: Array, step: Array) -> Array:
        return jax.random.bits(jax.random.fold_in(key, 2 * step), (3,), jnp.uint32)

    words = jax.vmap(jax.vmap(bits))(state.keys, state.steps)
    uniform = ((words[..., :2] >> 8).astype(dtype) + 0.5) * dtype.type(2.0**-24)
    direction = jnp.where(words[..., 2] >> 31, 1, -1).astype(dtype)
    stride = jnp.where(words[..., 2] % _EVERY == 0, 0.5, 1.0).astype(dtype)
    return uniform[..., 0], uniform[..., 1], direction, stride


def _momentum(keys: Array, draws: Array, active: Array, dtype: jnp.dtype) -> Float[Array, "fit lane flat"]:
    def normal(key: Array, draw: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, 2 * draw + 1), active.shape[1:], jnp.float32)

    return jax.vmap(jax.vmap(normal))(keys, draws).astype(dtype) * active[:, None]


def _leapfrog(subtree: Subtree, step_size: Array, gradient: Gradient) -> tuple[Point, Proposal]:
    step = (subtree.direction * step_size)[..., None]
    half = subtree.end.momentum + 0.5 * step * subtree.end.gradient
    position = subtree.end.position + step * half
    log_density, slope = gradient(position)
    momentum = half + 0.5 * step * slope
    energy = 0.5 * jnp.sum(momentum**2, axis=-1) - log_density
    return Point(position, momentum, slope), Proposal(position, slope, log_density, energy)


def _with_leaf(
    subtree: Subtree, leaf: Point, proposal: Proposal, log_weight: Array, choose: Array
) -> tuple[Subtree, Bool[Array, "fit lane"]]:
    """The subtree with one more leaf, and whether any of the subtrees that this leaf completes turns."""
    total = jnp.logaddexp(subtree.log_weight, log_weight)
    momentum_sum = subtree.momentum_sum + leaf.momentum
    momenta, sums, turning = _checked(subtree, leaf.momentum, momentum_sum)
    return Subtree(
        end=leaf,
        direction=subtree.direction,
        leaves=subtree.leaves + 1,
        proposal=_where(jnp.log(choose) < log_weight - total, proposal, subtree.proposal),
        log_weight=total,
        momentum_sum=momentum_sum,
        momenta=momenta,
        sums=sums,
    ), turning


def _checked(subtree: Subtree, momentum: Array, momentum_sum: Array) -> tuple[Array, Array, Bool[Array, "fit lane"]]:
    """Checkpoints with the new leaf, and whether any subtree that it completes turns.

    Leaf `n`, counted from 0, has its level in the number of bits of `n // 2`. If `n` is even, it opens the subtree that is
    kept on that level; if odd, it completes one subtree for each of its trailing bits, kept on that level and below.
    """
    leaf = subtree.leaves
    level = jax.lax.population_count(leaf >> 1)
    completed = jax.lax.population_count(leaf ^ (leaf + 1)) - 1
    opens = completed == 0

    def visit(at: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        momenta, sums, turning = carry
        first, before = momenta[at], sums[at]
        checks = (at <= level) & (at > level - completed)
        turning |= checks & _turns(first, momentum, momentum_sum - before + first)
        put = opens & (at == level)
        momenta = momenta.at[at].set(_where(put, momentum, first))
        return momenta, sums.at[at].set(_where(put, momentum_sum, before)), turning

    # Only the levels that some lane is on.
    return jax.lax.fori_loop(0, jnp.max(level) + 1, visit, (subtree.momenta, subtree.sums, jnp.zeros(leaf.shape, bool)))


def _turns(first: Array, last: Array, total: Array) -> Bool[Array, "fit lane"]:
    """Whether a trajectory turns back: the momenta at its ends against the sum over it, the ends counted half."""
    inner = total - 0.5 * (first + last)
    return (jnp.sum(first * inner, axis=-1) <= 0) | (jnp.sum(last * inner, axis=-1) <= 0)


def _turned(tree: Tree) -> Bool[Array, "fit lane"]:
    return _turns(tree.left.momentum, tree.right.momentum, tree.momentum_sum)


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


def _relaunched(keys: Array, draws: Array, tree: Tree, end: Point, done: Array, active: Array) -> tuple[Tree, Point]:
    """Where a trajectory has ended, a new one from its draw with a new momentum."""

    def relaunch(tree: Tree, end: Point) -> tuple[Tree, Point]:
        first = _first(keys, draws, tree.proposal, active)
        return _where(done, first, tree), _where(done, first.left, end)

    # With few lanes most iterations end no trajectory, and need no normal numbers.
    return jax.lax.cond(jnp.any(done), relaunch, lambda tree, end: (tree, end), tree, end)


def _first(keys: Array, draws: Array, proposal: Proposal, active: Array) -> Tree:
    """The trajectory of one point."""
    momentum = _momentum(keys, draws, active, proposal.position.dtype)
    point = Point(proposal.position, momentum, proposal.gradient)
    energy = 0.5 * jnp.sum(momentum**2, axis=-1) - proposal.log_density
    zeros = jnp.zeros_like(energy)
    return Tree(point, point, proposal._replace(energy=energy), zeros, momentum, zeros.astype(jnp.int32), energy)


def _empty_record(position: Array, capacity: int) -> Record:
    def empty(dtype: jnp.dtype | type) -> Array:
        return jnp.zeros((*position.shape[:2], capacity), dtype)

    reals = {name: empty(position.dtype) for name in ("acceptance_rate", "energy", "lp", "step_size")}
    wholes = {name: empty(jnp.int32) for name in ("n_steps", "tree_depth")}
    positions = jnp.zeros((*position.shape[:2], capacity, position.shape[2]), position.dtype)
    return Record(position=positions, diverging=empty(bool), **reals, **wholes)


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
    capacity = state.record.lp.shape[2]
    at = jnp.where(done & (state.draws >= skip), state.draws - skip, capacity)
    fit, lane = jnp.indices(at.shape, sparse=True)
    new = Record(
        position=draw.position,
        acceptance_rate=rate,
        diverging=diverging,
        energy=draw.energy,
        lp=draw.log_density,
        n_steps=leapfrogs,
        step_size=state.step_size.value * state.stride,
        tree_depth=depth,
    )
    return jax.tree.map(lambda kept, value: kept.at[fit, lane, at].set(value, mode="drop"), state.record, new)


def _where(condition: Bool[Array, "fit lane"], yes, no):
    """`where` over every array of a tree, whose axes after (fit, lane) are the condition's to broadcast over."""

    def choose(one: Array, other: Array) -> Array:
        return jnp.where(condition.reshape(*condition.shape, *(1,) * (one.ndim - condition.ndim)), one, other)

    return jax.tree.map(choose, yes, no)
