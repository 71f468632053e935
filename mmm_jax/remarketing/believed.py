"""What is believed of the coefficients before any customer is seen, and the padded density that follows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from mmm_jax.errors import SpecError
from mmm_jax.inference.coloring import SHARED
from mmm_jax.inference.transforms import charts_of
from mmm_jax.model import horseshoe
from mmm_jax.model.horseshoe import GlobalScale, RegularizedHorseshoe
from mmm_jax.remarketing.density import COEFFICIENT, DEVIATIONS, GLOBAL, INTERCEPT, LOCAL, SLAB, SPREADS, WEIGHT, Target

_ROWS, _COLUMNS, _SEGMENTS = 128, 8, 4
"""Tables are padded to multiples of these, or to an eighth more."""

_OF_HORSESHOE = {horseshoe.GLOBAL: GLOBAL, horseshoe.LOCAL: LOCAL, horseshoe.SLAB: SLAB, horseshoe.WEIGHT: WEIGHT}


class Beliefs(NamedTuple):
    """The priors, on standardised columns.

    Attributes:
        coefficients: `Normal`, the same for all, or a regularised horseshoe.
        intercept: of the log odds of a customer who is average in every column.
        spread: scale of the half-normal priors of how much segments differ, in log odds.
        slopes: whether segments differ in their coefficients, too.
    """

    coefficients: dist.Normal | RegularizedHorseshoe
    intercept: dist.Normal
    spread: float = 1.0
    slopes: bool = False


class Design(NamedTuple):
    """A table as the model takes it.

    Attributes:
        columns: standardised, shape (row, column).
        responded: 1 or 0, shape (row,).
        segment: number of every row's segment, shape (row,); `None` without pooling.
        num_segments: how many there are.
    """

    columns: np.ndarray
    responded: np.ndarray
    segment: np.ndarray | None = None
    num_segments: int = 0


class Prepared(NamedTuple):
    """A target with what the engine must know of its flat vector, see `lanes.sample_many`; all shape (flat,)."""

    target: Target
    active: np.ndarray
    searched: np.ndarray
    blocks: np.ndarray


def prepared(design: Design, beliefs: Beliefs) -> Prepared:
    """The density of a table, padded. Call it within `precision_scope`.

    Raises:
        SpecError: a horseshoe that expects no fewer coefficients than there are.
    """
    sizes = _padded_sizes(design)
    priors = _priors(design, beliefs, sizes)
    families = tuple((name, type(prior)) for name, prior in sorted(priors.items()))
    charts = charts_of(priors)
    arguments = {name: {each: getattr(prior, each) for each in prior.arg_constraints} for name, prior in priors.items()}
    information = _information(design, priors, sizes)
    columns, sign, weight, segments = _arrays(design, sizes)
    target = Target(columns, sign, weight, segments, charts, information, arguments, families)
    marks = [_marks(name, charts[name].shape, design) for name in sorted(charts)]
    active, searched, blocks = (np.concatenate([mark[place] for mark in marks]) for place in range(3))
    return Prepared(target, active, active * searched, blocks)


def real_entries(name: str, design: Design) -> tuple[slice, ...]:
    """Index of a parameter's entries that are not padding."""
    columns, segments = slice(design.columns.shape[1]), slice(design.num_segments)
    known = {DEVIATIONS[0]: (segments,), DEVIATIONS[1]: (segments, columns), SPREADS[1]: (columns,)}
    return known.get(name, (columns,) if name in (COEFFICIENT, LOCAL, WEIGHT) else ())


def _priors(design: Design, beliefs: Beliefs, sizes: tuple[int, int, int]) -> dict[str, dist.Distribution]:
    _, columns, segments = sizes
    shapes = {COEFFICIENT: (columns,), LOCAL: (columns,), WEIGHT: (columns,), SPREADS[1]: (columns,)}
    shapes |= {DEVIATIONS[0]: (segments,), DEVIATIONS[1]: (segments, columns)}
    chosen: dict[str, dist.Distribution] = {INTERCEPT: beliefs.intercept, **_of_coefficients(design, beliefs.coefficients)}
    if design.segment is not None:
        pooled = (0, 1) if beliefs.slopes else (0,)
        chosen |= {SPREADS[place]: dist.HalfNormal(beliefs.spread) for place in pooled}
        chosen |= {DEVIATIONS[place]: dist.Normal(0.0, 1.0) for place in pooled}
    return {name: _shaped(prior, shapes.get(name, ())) for name, prior in chosen.items()}


def _of_coefficients(design: Design, prior: dist.Normal | RegularizedHorseshoe) -> Mapping[str, Any]:
    if not isinstance(prior, RegularizedHorseshoe):
        return {COEFFICIENT: prior}
    rows, columns = design.columns.shape
    if columns <= prior.expected_nonzero:
        raise SpecError(
            f"RegularizedHorseshoe expects {prior.expected_nonzero:g} columns to matter, but there are {columns}: nothing "
            "would be shrunk. Lower expected_nonzero, or take a Normal prior."
        )
    # The deviation of a linear model's noise that says as much of a coefficient as a label does, in Piironen and Vehtari's
    # section 3.5.
    rate = np.clip(design.responded.mean(), 0.5 / rows, 1 - 0.5 / rows)
    stated = prior.priors(dist.Delta(1.0 / np.sqrt(rate * (1.0 - rate))))
    found = {_OF_HORSESHOE[name]: given for name, given in stated.items()}
    return {name: given.resolve(columns, rows) if isinstance(given, GlobalScale) else given for name, given in found.items()}


def _shaped(prior: dist.Distribution, shape: tuple[int, ...]) -> dist.Distribution:
    arguments = {name: jnp.broadcast_to(jnp.asarray(getattr(prior, name), float), shape) for name in prior.arg_constraints}
    return type(prior)(**arguments)


def _padded_sizes(design: Design) -> tuple[int, int, int]:
    rows, columns = design.columns.shape
    segments = 0 if design.segment is None else _up(design.num_segments, _SEGMENTS)
    return _up(rows, _ROWS), _up(columns, _COLUMNS), segments


def _arrays(design: Design, sizes: tuple[int, int, int]) -> tuple[Any, ...]:
    """Columns, signs, weights and segments, padded."""
    rows, columns = design.columns.shape
    more = sizes[0] - rows
    segments = np.zeros((sizes[0], sizes[2]))
    if design.segment is not None:
        segments[np.arange(rows), design.segment] = 1.0
    padded = np.pad(design.columns, ((0, more), (0, sizes[1] - columns)))
    sign, weight = np.pad(2.0 * design.responded - 1.0, (0, more), constant_values=1.0), np.pad(np.ones(rows), (0, more))
    return tuple(jnp.asarray(values, float) for values in (padded, sign, weight, segments))


def _information(design: Design, priors: Mapping[str, Any], sizes: tuple[int, int, int]) -> dict[str, Any]:
    """What the rows say of coefficients, and of segments' own intercepts and coefficients."""
    rate, squares = design.responded.mean(), design.columns**2
    member = np.zeros((len(squares), 0)) if design.segment is None else np.eye(design.num_segments)[design.segment]
    found = {WEIGHT: squares.sum(axis=0), DEVIATIONS[0]: member.sum(axis=0), DEVIATIONS[1]: member.T @ squares}
    kept = {}
    for name in sorted(priors.keys() & found.keys()):
        more = [(0, full - now) for full, now in zip(priors[name].batch_shape, found[name].shape, strict=True)]
        kept[name] = jnp.asarray(np.pad(rate * (1.0 - rate) * found[name], more), float)
    return kept


def _marks(name: str, shape: tuple[int, ...], design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a parameter's coordinates: which are real, which the mode is searched along, and their block."""
    active = np.zeros(shape)
    active[real_entries(name, design)] = 1.0
    # Where all segments agree, or all coefficients are 0, a scale's joint density has a peak of no volume.
    searched = np.full(shape, 0.0 if name in (*SPREADS, GLOBAL, LOCAL, SLAB) else 1.0)
    blocks = np.full(shape, SHARED)
    if name in DEVIATIONS:
        blocks[:] = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return active.ravel(), searched.ravel(), blocks.ravel()


def _up(count: int, least: int) -> int:
    """The next multiple of a step that grows with the count: an eighth of its power of two, at least `least`."""
    step = max(least, (1 << count.bit_length() >> 1) // 8)
    return max(-(-count // step), 1) * step
