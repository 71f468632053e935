"""From labelled constraints to the set that the solver works on: checked, reduced, and proven not to be empty.

Linear programmes by HiGHS, within SciPy, decide whether some plan satisfies all linear constraints, which of them exclude
each other if none does, and which inequalities can only hold with equality.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr
from scipy.optimize import linprog

from mmm_jax.errors import InfeasibleError
from mmm_jax.planning.constraints import Rows
from mmm_jax.planning.decisions import Decisions
from mmm_jax.planning.quadratic import Polytope

FLOOR = 1e-12
"""Share of the whole plan that a free number keeps in the solver: at 0 itself a root has no slope to climb."""

_EQUAL = 1e-12
_INTERIOR = 1e-7
"""Least distance from all bounds, in numbers of mean size, that counts as an interior."""
_IMPLIED = 1e-6
_UNBOUNDED = 1e3
"""Numbers without any bound end at so many times the reference spend, where a plan is called unbounded."""


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """`lower <= matrix @ amounts <= upper`, with the label of every row, in currency; all amounts are at least 0.

    Attributes:
        matrix: shape (row, number).
        lower, upper: shape (row,); infinite where there is none.
        labels: of the rows.
        total: which rows are the plan's total.
        box_lower, box_upper: tightest bounds of single numbers, shape (number,).
        lower_labels, upper_labels: which constraint set them; empty for "at least 0" and for no bound.
    """

    matrix: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    labels: tuple[str, ...]
    total: np.ndarray
    box_lower: np.ndarray
    box_upper: np.ndarray
    lower_labels: tuple[str, ...]
    upper_labels: tuple[str, ...]

    @property
    def equal(self) -> np.ndarray:
        """Which rows are equalities."""
        return self.lower == self.upper


class FeasibleSet(NamedTuple):
    """The solver's set, in numbers of mean size 1.

    Attributes:
        polytope: NumPy arrays; rows are padded to a shape that is compiled already.
        unit: currency per number's unit.
        system: what it was made from.
        capped: numbers whose upper bound is none of the user's, shape (number,).
        inner: some point within.
    """

    polytope: Polytope
    unit: float
    system: LinearSystem
    capped: np.ndarray
    inner: np.ndarray


def linear_system(all_rows: Sequence[Rows], decisions: Decisions) -> LinearSystem:
    """The constraints as rows and boxes over the numbers that are decided.

    Raises:
        InfeasibleError: a constraint that no spend at all can satisfy.
    """
    count = decisions.count
    boxes = _Boxes(np.zeros(count), np.full(count, np.inf), [""] * count, [""] * count)
    kept: list[tuple[np.ndarray, float, float, str, bool]] = []
    for rows in all_rows:
        for coefficients, low, high in zip(rows.coefficients, rows.lower, rows.upper, strict=True):
            row = _whole(decisions.gathered(coefficients))
            _check_not_constant(row, low, high, rows.label)
            places = np.flatnonzero(row)
            if len(places) == 1 and not rows.total:
                boxes.tighten(int(places[0]), float(row[places[0]]), float(low), float(high), rows.label)
            elif len(places):
                kept.append((row, float(low), float(high), rows.label, rows.total))
    matrix = np.array([row for row, *_ in kept]).reshape(-1, count)
    lower, upper = (np.array([entry[place] for entry in kept]) for place in (1, 2))
    labels, total = tuple(entry[3] for entry in kept), np.array([entry[4] for entry in kept], bool)
    names = tuple(boxes.lower_labels), tuple(boxes.upper_labels)
    return LinearSystem(matrix, lower, upper, labels, total, boxes.lower, boxes.upper, *names)


def feasible_set(system: LinearSystem, reference: float, describe: Callable[[int], str]) -> FeasibleSet:
    """The solver's set.

    Args:
        system: the constraints.
        reference: currency that the whole plan is of the order of.
        describe: the words for a number, for errors.

    Raises:
        InfeasibleError: no plan satisfies all constraints; names those that exclude each other.
    """
    _check_boxes(system, describe)
    _check_one_sum(system, describe)
    unit = reference / len(system.box_lower)
    scaled = _scaled(system, unit)
    checked = len(system.matrix) == 0 or (len(system.matrix) == 1 and bool(np.all(system.matrix == 1.0)))
    if not checked and _programme(scaled).status == 2:
        raise InfeasibleError(_conflict(system, scaled, unit))
    inner, fixed, tight = _inside(scaled)
    return _built(system, scaled, unit, reference, inner, fixed, tight)


def _whole(row: np.ndarray) -> np.ndarray:
    """The row, with whole numbers where the shares of a number's cells add up to them but for rounding."""
    return np.where(np.abs(row - np.round(row)) < 1e-12, np.round(row), row)


def total_range(system: LinearSystem) -> tuple[float, float]:
    """Least and largest total spend that the constraints allow, in currency; infinite where there is no end."""
    return tuple(float(sign * _extreme(system, sign)) for sign in (1.0, -1.0))  # pyright: ignore


def _extreme(system: LinearSystem, sign: float) -> float:
    found = _programme(system, slope=np.full(len(system.box_lower), sign))
    return float(found.fun) if found.status == 0 else -np.inf


@dataclass
class _Boxes:
    lower: np.ndarray
    upper: np.ndarray
    lower_labels: list[str]
    upper_labels: list[str]

    def tighten(self, number: int, coefficient: float, low: float, high: float, label: str) -> None:
        ends = sorted((low / coefficient, high / coefficient))
        if ends[0] > self.lower[number]:
            self.lower[number], self.lower_labels[number] = ends[0], label
        if ends[1] < self.upper[number]:
            self.upper[number], self.upper_labels[number] = ends[1], label


def _check_not_constant(row: np.ndarray, low: float, high: float, label: str) -> None:
    if not row.any() and not low <= 0 <= high:
        raise InfeasibleError(f"No plan satisfies {label}: it concerns no spend that is decided.")


def _check_boxes(system: LinearSystem, describe: Callable[[int], str]) -> None:
    crossed = np.flatnonzero(system.box_lower > system.box_upper)
    if len(crossed):
        number = int(crossed[0])
        low, high = system.box_lower[number], system.box_upper[number]
        least = system.lower_labels[number] or "spend of at least 0"
        raise InfeasibleError(
            f"No plan satisfies these constraints together: {least}; {system.upper_labels[number]}. They leave "
            f"{describe(number)} at least {low:,.2f} and at most {high:,.2f}, {low - high:,.2f} too little room."
        )


def _check_one_sum(system: LinearSystem, describe: Callable[[int], str]) -> None:
    """The commonest conflict in its own words: boxes against a total."""
    for row, low, high, label in zip(system.matrix, system.lower, system.upper, system.labels, strict=True):
        if not np.all(row == 1.0):
            continue
        least, most = system.box_lower.sum(), system.box_upper.sum()
        if least > high * (1 + _EQUAL):
            raise InfeasibleError(
                f"The lower bounds sum to {least:,.2f}, which is {least - high:,.2f} more than {label}. The largest are "
                f"{_largest(describe, system.box_lower)}. Lower them, or raise the total."
            )
        if most < low * (1 - _EQUAL):
            raise InfeasibleError(
                f"The upper bounds sum to {most:,.2f}, which is {low - most:,.2f} less than {label}. The smallest are "
                f"{_largest(describe, -system.box_upper)}. Raise them, or lower the total."
            )


def _largest(describe: Callable[[int], str], values: np.ndarray) -> str:
    order = np.argsort(-values)[:3]
    return ", ".join(f"{describe(int(i))} ({abs(values[i]):,.2f})" for i in order)


def _scaled(system: LinearSystem, unit: float) -> LinearSystem:
    """Numbers in units, rows of length 1."""
    length = np.linalg.norm(system.matrix, axis=1)
    return replace(
        system,
        matrix=system.matrix / length[:, None],
        lower=system.lower / (length * unit),
        upper=system.upper / (length * unit),
        box_lower=system.box_lower / unit,
        box_upper=system.box_upper / unit,
    )


def _simple(system: LinearSystem) -> bool:
    """At most one row, of one sign: a point within is between the ends of the box."""
    return len(system.matrix) == 0 or (len(system.matrix) == 1 and bool((system.matrix >= 0).all()))


def _inequalities(system: LinearSystem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All rows that are no equalities as `matrix @ x <= limit`, and which row each came from."""
    above = np.flatnonzero(np.isfinite(system.upper) & ~system.equal)
    below = np.flatnonzero(np.isfinite(system.lower) & ~system.equal)
    matrix = np.concatenate([system.matrix[above], -system.matrix[below]])
    return matrix, np.concatenate([system.upper[above], -system.lower[below]]), np.concatenate([above, below])


def _programme(
    system: LinearSystem, kept: np.ndarray | None = None, boxes: np.ndarray | None = None, slope: np.ndarray | None = None
) -> Any:
    """The linear programme for some of the rows and boxes; without an objective, unless a slope to minimise is given."""
    rows = np.ones(len(system.matrix), bool) if kept is None else kept
    part = replace(system, matrix=system.matrix[rows], lower=system.lower[rows], upper=system.upper[rows])
    matrix, limit, _ = _inequalities(part)
    lower = system.box_lower if boxes is None else np.where(boxes[0], system.box_lower, 0.0)
    upper = system.box_upper if boxes is None else np.where(boxes[1], system.box_upper, np.inf)
    return linprog(
        np.zeros(matrix.shape[1]) if slope is None else slope,
        A_ub=matrix,
        b_ub=limit,
        A_eq=part.matrix[part.equal],
        b_eq=part.upper[part.equal],
        bounds=np.stack([lower, upper], axis=1),
        method="highs",
    )


def _conflict(system: LinearSystem, scaled: LinearSystem, unit: float) -> str:
    """The words for a smallest set of constraints that exclude each other: each is needed for that."""
    labels = list(dict.fromkeys([*system.labels, *system.lower_labels, *system.upper_labels]))
    needed = [label for label in labels if label]
    for label in list(needed):
        without = [other for other in needed if other != label]
        if _programme(scaled, *_of_labels(scaled, without)).status == 2:
            needed = without
    listed = "; ".join(needed)
    return (
        f"No plan satisfies these constraints together: {listed}. Each of them is needed for the conflict: give up or "
        f"loosen one, by {_smallest_change(scaled, needed) * unit:,.2f} at least."
    )


def _of_labels(system: LinearSystem, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.array([label in labels for label in system.labels], bool)
    lower, upper = (
        np.array([label in labels for label in names], bool) for names in (system.lower_labels, system.upper_labels)
    )
    return rows, np.stack([lower, upper])


def _smallest_change(system: LinearSystem, labels: Sequence[str]) -> float:
    """Least total violation of the constraints that exclude each other, rows in currency."""
    rows, (low, high) = _of_labels(system, labels)
    size = np.abs(system.matrix[rows]).max(axis=1, initial=1e-300)[:, None]
    eye, count = np.eye(len(system.box_lower)), len(system.box_lower)
    sides = np.concatenate([system.matrix[rows] / size, -system.matrix[rows] / size, eye[high], -eye[low]])
    limits = np.concatenate(
        [
            system.upper[rows] / size[:, 0],
            -system.lower[rows] / size[:, 0],
            system.box_upper[high],
            -system.box_lower[low],
        ]
    )
    finite = np.isfinite(limits)
    sides, limits = sides[finite], limits[finite]
    found = linprog(
        np.concatenate([np.zeros(count), np.ones(len(limits))]),
        A_ub=np.concatenate([sides, -np.eye(len(limits))], axis=1),
        b_ub=limits,
        method="highs",
    )
    return float(found.fun)


def _inside(system: LinearSystem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A point within; numbers that have one value only; rows of `_inequalities` that can only hold with equality."""
    matrix, limit, _ = _inequalities(system)
    if _simple(system) and len(limit) <= 1:
        point, shut = _between(system)
        return point, shut, np.zeros(len(limit), bool)
    locked = system.box_upper - system.box_lower <= _EQUAL
    farthest = _farthest(system, matrix, limit, np.where(locked, 0.0, 1.0))
    if farthest is not None:
        return farthest, locked, np.zeros(len(limit), bool)
    point, spare = _most_slack(system, matrix, limit)
    count = len(locked)
    shut = (spare[:count] < _IMPLIED) | (spare[count : 2 * count] < _IMPLIED) | locked
    return point, shut, spare[2 * count :] < _IMPLIED


def _between(system: LinearSystem) -> tuple[np.ndarray, np.ndarray]:
    """The point between the ends of the box where its sum is as it should be; numbers that have one value only."""
    lower, upper = system.box_lower, system.box_upper
    shut = upper - lower <= _EQUAL
    if not len(system.matrix):
        return np.where(np.isfinite(upper), 0.5 * (lower + upper), lower + 0.5), shut
    row, low, high = system.matrix[0], system.lower[0], system.upper[0]
    ends = np.where(np.isfinite(upper), upper, lower + 1.0 + max(low, high if np.isfinite(high) else 0.0) / row.min())
    least, most = row @ lower, row @ ends
    aim = high if low == high else 0.5 * (max(low, least) + min(high, most))
    rounding = 4 * _EQUAL * max(abs(aim), 1.0)
    if high - least <= rounding:
        return lower.copy(), shut | (row > 0)
    if most - low <= rounding:
        return ends, shut | (row > 0)
    return lower + (aim - least) / (most - least) * (ends - lower), shut


def _farthest(system: LinearSystem, matrix: np.ndarray, limit: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The point farthest from all rows and boxes, `None` if none is off them all; numbers with `box` 0 are left out."""
    count, eye = len(system.box_lower), np.eye(len(system.box_lower))
    bounded = np.isfinite(system.box_upper)
    sides = np.concatenate([matrix, eye[bounded], -eye])
    margin = np.concatenate([np.ones(len(limit)), box[bounded], box])[:, None]
    equal = system.equal
    found = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.concatenate([sides, margin], axis=1),
        b_ub=np.concatenate([limit, system.box_upper[bounded], -system.box_lower]),
        A_eq=np.pad(system.matrix[equal], ((0, 0), (0, 1))),
        b_eq=system.upper[equal],
        bounds=[(None, None)] * count + [(None, 1.0)],
        method="highs",
    )
    return found.x[:-1] if found.status == 0 and found.fun <= -_INTERIOR else None


def _most_slack(system: LinearSystem, matrix: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A point at which every constraint has slack that can have any, with the slacks up to a small cap.

    Reference:
        Freund, Roundy and Todd (1985), Identifying the set of always-active constraints in a system of linear inequalities.
    """
    count, eye = len(system.box_lower), np.eye(len(system.box_lower))
    upper = np.where(np.isfinite(system.box_upper), system.box_upper, system.box_lower + _UNBOUNDED * count)
    sides = np.concatenate([-eye, eye, matrix])
    limits = np.concatenate([-system.box_lower, upper, limit])
    equal = system.equal
    # Grants would add up along chains of rows: they are for sets that rounding alone leaves empty.
    for grant in (0.0, 1e-9):
        found = linprog(
            np.concatenate([np.zeros(count), -np.ones(len(limits))]),
            A_ub=np.concatenate([sides, 1e-3 * np.eye(len(limits))], axis=1),
            b_ub=limits + grant,
            A_eq=np.pad(system.matrix[equal], ((0, 0), (0, len(limits)))),
            b_eq=system.upper[equal],
            bounds=[(None, None)] * count + [(0.0, 1.0)] * len(limits),
            method="highs",
        )
        if found.status == 0:
            break
    # What is granted is no slack.
    return found.x[:count], found.x[count:] - 1e3 * grant * len(limits)


def _built(
    system: LinearSystem,
    scaled: LinearSystem,
    unit: float,
    reference: float,
    inner: np.ndarray,
    shut: np.ndarray,
    tight: np.ndarray,
) -> FeasibleSet:
    matrix, limit, _ = _inequalities(scaled)
    equalities = np.concatenate([scaled.matrix[scaled.equal], matrix[tight]])
    values = np.concatenate([scaled.upper[scaled.equal], limit[tight]])
    lower, upper, capped = _bounded(scaled, matrix[~tight], limit[~tight], equalities, values, reference / unit)
    free = ~shut
    place = np.clip(inner, scaled.box_lower, scaled.box_upper)
    place = np.where(place - scaled.box_lower < _IMPLIED, scaled.box_lower, place)
    near_top = np.isfinite(scaled.box_upper) & (scaled.box_upper - place < _IMPLIED) & (place != scaled.box_lower)
    place = np.where(near_top, scaled.box_upper, place)
    lower, upper = np.where(free, lower, place), np.where(free, upper, place)
    floor = np.minimum(FLOOR * reference / unit, upper)
    lower = np.where(free, np.maximum(lower, floor), lower)
    equalities, values = _independent(equalities, values, free)
    rows, limits = _worthwhile(matrix[~tight], limit[~tight], lower, upper)
    polytope = Polytope(lower, upper, *_padded(rows, limits), equalities, values, free)  # pyright: ignore
    return FeasibleSet(polytope, unit, system, capped, np.where(free, np.clip(inner, lower, upper), lower))


def _bounded(
    system: LinearSystem,
    matrix: np.ndarray,
    limit: np.ndarray,
    equalities: np.ndarray,
    values: np.ndarray,
    reference: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes with an upper end each: the user's, what sums leave, or a far one."""
    upper = system.box_upper.copy()
    for row, most in zip(np.concatenate([matrix, equalities]), np.concatenate([limit, values]), strict=True):
        if (row >= 0).all():
            room = most - row @ system.box_lower
            reach = system.box_lower + room / np.where(row > 0, row, 1.0)
            upper = np.where(row > 0, np.minimum(upper, np.maximum(reach, system.box_lower)), upper)
    capped = ~np.isfinite(upper)
    return system.box_lower, np.where(capped, system.box_lower + _UNBOUNDED * reference, upper), capped


def _independent(equalities: np.ndarray, values: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equalities without those that follow from the others."""
    if len(equalities) == 0:
        return equalities, values
    matrix = equalities * free
    _, triangle, order = qr(matrix.T, mode="economic", pivoting=True)  # pyright: ignore
    size = np.abs(np.diag(triangle))
    kept = order[: len(size)][size > 1e-10]
    kept = np.sort(kept)
    return equalities[kept], values[kept]


def _worthwhile(
    matrix: np.ndarray, limit: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that the box alone does not imply, each direction once, with its tightest limit."""
    most = np.where(matrix > 0, matrix * upper, matrix * lower).sum(axis=1)
    open_ = most > limit - _EQUAL
    matrix, limit = matrix[open_], limit[open_]
    if len(matrix) == 0:
        return matrix, limit
    directions, which = np.unique(np.round(matrix, 12), axis=0, return_inverse=True)
    tightest = np.full(len(directions), np.inf)
    np.minimum.at(tightest, np.ravel(which), limit)
    first = np.array([np.flatnonzero(np.ravel(which) == number)[0] for number in range(len(directions))])
    return matrix[first], tightest


def _padded(matrix: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that always hold behind the others, up to the next of few lengths."""
    extra = _bucket(len(limit)) - len(limit)
    return np.pad(matrix, ((0, extra), (0, 0))), np.pad(limit, (0, extra), constant_values=1.0)


def _bucket(count: int) -> int:
    """The next of the lengths 0, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, ..., which grow by a quarter at most."""
    step = 4
    while count > 8 * step:
        step *= 2
    return -(-count // step) * step
