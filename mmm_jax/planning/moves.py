"""Changes of a plan that may lead from one local optimum to a better one.

Where curves are S-shaped, local optima differ in what is switched on: single numbers, such as a week of a channel, or all
numbers of a channel.
"""

import numpy as np

MOST_MOVES = 512
"""Changes of a plan that are looked at in one round."""


def moves(
    rng: np.random.Generator, point: np.ndarray, free: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Plans of the same total that differ in what is switched on.

    Args:
        rng: chooses among them where there are too many.
        point: the plan.
        free: which numbers may change.
        groups: number of the channel that each number belongs to.

    Returns:
        The plans, (move, number), and the kind of each change, (move,).
    """
    members = [free & (groups == group) for group in np.unique(groups[free])]
    alone = [free & (np.arange(len(point)) == number) for number in np.flatnonzero(free)]
    several = len(members) < len(alone)
    found = [move for chosen in members for move in _switched(point, free, chosen, 0)]
    found += [move for pair in _pairs(rng, members) for move in _given(point, *pair, 3)]
    if several:
        found += [move for chosen in alone for move in _switched(point, free, chosen, 5)]
        found += [move for pair in _pairs(rng, alone) for move in _given(point, *pair, 8)]
    found = found or [(point, 0)]
    order = rng.permutation(len(found))[:MOST_MOVES]
    return np.stack([found[place][0] for place in order]), np.array([found[place][1] for place in order])


def _pairs(rng: np.random.Generator, sets: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ordered pairs, some of them where there are many."""
    first, second = np.nonzero(~np.eye(len(sets), dtype=bool))
    chosen = rng.permutation(len(first))[: MOST_MOVES // 4]
    return [(sets[first[place]], sets[second[place]]) for place in chosen]


def _switched(point: np.ndarray, free: np.ndarray, chosen: np.ndarray, kind: int) -> list[tuple[np.ndarray, int]]:
    """The chosen numbers without spend, or with more of it, at the cost or gain of all others in proportion."""
    rest = free & ~chosen
    own, others = point[chosen].sum(), point[rest].sum()
    mean = (own + others) / max(free.sum(), 1) * chosen.sum()
    found = []
    for more, wanted in enumerate((0.0, mean, 2 * mean)):
        if others > 0 and abs(wanted - own) > 1e-6 * mean and own + others > wanted:
            moved = point.copy()
            moved[chosen] = wanted / chosen.sum()
            moved[rest] *= (own + others - wanted) / others
            found.append((moved, kind + more))
    return found


def _given(point: np.ndarray, source: np.ndarray, sink: np.ndarray, kind: int) -> list[tuple[np.ndarray, int]]:
    """All or half of the source's spend given to the sink, spread alike over their numbers."""
    if point[source].sum() <= 0 or source.sum() != sink.sum():
        return []
    found = []
    for less, part in enumerate((1.0, 0.5)):
        moved = point.copy()
        moved[source] = (1 - part) * point[source]
        moved[sink] = point[sink] + part * point[source]
        found.append((moved, kind + less))
    return found
