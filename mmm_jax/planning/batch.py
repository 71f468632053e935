"""The verb `optimize_budget_batch`: plans of many fits, those of one structure with the same programs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mmm_jax.errors import MMMError, PlanError
from mmm_jax.fitting.posterior import Fit
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.optimize import allocated, solved
from mmm_jax.planning.problem import Problem, Statement, lay_out
from mmm_jax.planning.scope import planning_scope
from mmm_jax.planning.search import Found, Prepared, concluded, exact_values, prepare, search
from mmm_jax.planning.solver import TOLERANCE, Solution, maximise_each

TOGETHER_BYTES = 512 * 2**20
"""Memory that the programs of one run may take."""


def optimize_budget_batch(
    fits: Mapping[str, Fit], statement: Callable[[str, Fit], dict[str, Any]] | None = None, **shared: Any
) -> dict[str, Allocation]:
    """The best plan of every fit, each for itself.

    Problems of one structure (numbers of draws, channels, dates, constraints) share their programs, which are compiled
    once. On accelerators the concave ones among them are solved side by side. Each plan is the one that `optimize_budget`
    finds.

    Args:
        fits: by name, such as the `Batch` that `fit_batch` returns.
        statement: arguments of `optimize_budget` that differ from fit to fit, by name and fit.
        shared: arguments that all have in common; `total` and `bounds` may be mappings by the fits' names.

    Returns:
        The plans by the fits' names.

    Raises:
        PlanError: no fits, or a problem that is not well posed; names the fit. So do the other errors of `optimize_budget`.

    Example:
        `optimize_budget_batch(batch, horizon=26, total={"brand_a": 1e6, "brand_b": 3e6})`
    """
    if not fits:
        raise PlanError("`fits` must hold at least one fit.")
    with planning_scope():
        problems = {name: _laid_out(name, fits[name], _own(name, fits, statement, shared)) for name in fits}
        if not _side_by_side():
            return {name: solved(problem) for name, problem in problems.items()}
        prepared = {name: prepare(problem) for name, problem in problems.items()}
        found: dict[str, Found] = {}
        for names in _groups(prepared):
            found |= _together(names, prepared)
        return {name: allocated(problem, found[name]) for name, problem in problems.items()}


def _side_by_side() -> bool:
    """Whether problems are worth stacking: a CPU is filled by one of them, and then finds its draws in the caches."""
    return jax.default_backend() != "cpu"


def _own(
    name: str, fits: Mapping[str, Fit], statement: Callable[[str, Fit], dict[str, Any]] | None, shared: dict[str, Any]
) -> dict[str, Any]:
    """One fit's arguments."""
    named = {key for key in ("total", "bounds") if isinstance(shared.get(key), Mapping) and set(shared[key]) >= set(fits)}
    own = {key: value[name] if key in named else value for key, value in shared.items()}
    return own | ({} if statement is None else statement(name, fits[name]))


def _laid_out(name: str, fit: Fit, arguments: dict[str, Any]) -> Problem:
    try:
        return lay_out(fit, Statement(**arguments))
    except MMMError as error:
        raise type(error)(f"The plan of {name!r} cannot be made. {error}") from error


def _groups(prepared: Mapping[str, Prepared]) -> Iterator[list[str]]:
    """Names whose problems can be stacked, as many at a time as memory allows."""
    alike: dict[Any, list[str]] = {}
    for name, at in prepared.items():
        alike.setdefault(_structure(at) if at.concave else name, []).append(name)
    for names in alike.values():
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(eqx.filter(prepared[names[0]].program, eqx.is_array)))
        count = max(1, TOGETHER_BYTES // max(size, 1))
        for first in range(0, len(names), count):
            yield names[first : first + count]


def _structure(at: Prepared) -> Any:
    """What problems must share to be one program."""
    arrays, static = eqx.partition((at.program, at.explored, at.polytope, jnp.asarray(at.begin)), eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)
    return tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves), tree, tuple(map(repr, jax.tree.leaves(static)))


def _together(names: list[str], prepared: Mapping[str, Prepared]) -> dict[str, Found]:
    if len(names) == 1:
        return {names[0]: search(prepared[names[0]].problem)}
    every = [prepared[name] for name in names]
    first = every[0]
    prices = np.zeros((len(every), len(first.program.requirements)))
    begin = np.stack([at.begin for at in every])
    ends = _run(every, "explored", begin, prices, first=0)
    values = [exact_values(at.program, ends.point[place]) for place, at in enumerate(every)]
    if first.explored is not first.program:
        best = np.array([int(np.argmax(one)) for one in values])
        rows = np.arange(len(every))
        known = np.where(ends.unmet[rows, best][:, None] <= TOLERANCE, ends.prices[rows, best], 0.0)
        ends = _run(every, "program", ends.point[rows, best][:, None], known, first=first.last_stages)
    return {
        name: concluded(at, jax.tree.map(lambda leaf, place=place: leaf[place], ends), values[place])
        for place, (name, at) in enumerate(zip(names, every, strict=True))
    }


def _run(every: list[Prepared], which: str, begin: Any, prices: Any, *, first: int) -> Solution:
    programs, polytopes = _stacked([getattr(at, which) for at in every]), _stacked([at.polytope for at in every])
    found = maximise_each(programs, jnp.asarray(begin), polytopes, jnp.asarray(prices), stages=every[0].stages, first=first)
    return jax.tree.map(np.asarray, found)


def _stacked(trees: list[Any]) -> Any:
    arrays = [eqx.partition(tree, eqx.is_array) for tree in trees]
    return eqx.combine(jax.tree.map(lambda *leaves: jnp.stack(leaves), *[array for array, _ in arrays]), arrays[0][1])
