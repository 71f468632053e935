"""Modes and Hessians of many posteriors by Newton's method, damped.

The posterior comes in as one function of points and their gradients, and the search around it is NumPy: a search in the
same program as the gradient would hold several copies of it, and take longer to compile than to run. The Hessian, which
the sampler's coordinates need anyway, makes ten iterations of hundreds, and no iteration remembers another region.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mmm_jax.inference.coloring import SHARED, Coloring

POINTS = 16
"""Points per fit that are evaluated at once."""

_MAX_ITERATIONS = 100
_GOAL = 1e-3
"""Largest entry of the gradient at which the search ends."""

_DIFFERENCE = 1e-5
"""Step of the gradient's differences; error and noise are far below what a metric needs, even where it is narrow."""

_FLAT = 1e-3
"""Least curvature of a Newton step; the prior's own is about 1."""

_DAMPINGS = np.concatenate([[0.0], 10.0 ** np.linspace(-1.0, 6.0, POINTS - 1)])
"""Added to the curvatures: from Newton's own step to a short one along the gradient."""

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Log densities (fit, point) and gradients (fit, point, flat) of points (fit, `POINTS`, flat).

The second argument, shape (fit,), says for which fits: what comes for the others is not looked at.
"""


class Peak(NamedTuple):
    """Where the search ended.

    Attributes:
        mode: shape (fit, flat).
        log_density: there.
        gradient: there.
        hessian: of minus the log density there.
        iterations: steps taken.
    """

    mode: Float[np.ndarray, "fit flat"]
    log_density: Float[np.ndarray, " fit"]
    gradient: Float[np.ndarray, "fit flat"]
    hessian: Float[np.ndarray, "fit flat flat"]
    iterations: Int[np.ndarray, " fit"]


def newton(evaluate: Evaluate, start: Float[np.ndarray, "fit flat"], coloring: Coloring | None = None) -> Peak:
    """The mode of every fit; where there is none, wherever the search got to.

    Args:
        evaluate: the posterior; what is not finite there is not gone to.
        start: where every fit's search begins.
        coloring: which coordinates do not matter to each other; by default, all may.

    Reference:
        Nocedal and Wright (2006), Numerical Optimization, section 3.4.
    """
    colored = coloring or Coloring.of(np.full(start.shape[1], SHARED))
    values, slopes = evaluate(np.repeat(start[:, None], POINTS, axis=1), np.ones(len(start), bool))
    peak = Peak(start, values[:, 0], slopes[:, 0], np.zeros((*start.shape, start.shape[1])), np.zeros(len(start), int))
    searching = np.isfinite(peak.log_density) & np.isfinite(peak.gradient).all(axis=1)
    for _ in range(_MAX_ITERATIONS):
        hessian = _hessian(evaluate, peak, searching, colored)
        peak = peak._replace(hessian=hessian)
        searching &= (np.abs(peak.gradient).max(axis=1) > _GOAL) & np.isfinite(hessian).all(axis=(1, 2))
        if not searching.any():
            break
        peak, searching = _stepped(evaluate, peak, searching)
    return peak


def _hessian(evaluate: Evaluate, peak: Peak, searching: Bool[np.ndarray, " fit"], coloring: Coloring) -> np.ndarray:
    """Of minus the log density, symmetric, by differences of the gradient along every color; the last one of others."""
    size, every = peak.mode.shape[1], _DIFFERENCE * coloring.steps
    changes = np.zeros((len(peak.mode), -(-len(every) // POINTS) * POINTS, size))
    for first in range(0, len(every), POINTS):
        steps = every[first : first + POINTS]
        steps = np.concatenate([steps, np.zeros((POINTS - len(steps), size))])
        _, slopes = evaluate(peak.mode[:, None] + steps, searching)
        changes[:, first : first + POINTS] = (peak.gradient[:, None] - slopes) / _DIFFERENCE
    return np.where(searching[:, None, None], coloring.hessian(changes[:, : len(every)]), peak.hessian)


def _stepped(evaluate: Evaluate, peak: Peak, searching: Bool[np.ndarray, " fit"]) -> tuple[Peak, np.ndarray]:
    """The best of all dampings' steps, and which fits found one that is better than where they are."""
    usable = np.where(searching[:, None, None], peak.hessian, np.eye(peak.mode.shape[1]))
    curvature, axes = np.linalg.eigh(usable)
    along = np.einsum("fij,fi->fj", axes, np.where(searching[:, None], peak.gradient, 0.0))
    damped = np.maximum(np.abs(curvature), _FLAT)[:, None] + _DAMPINGS[:, None]
    points = peak.mode[:, None] + np.einsum("fij,fpj->fpi", axes, along[:, None] / damped)
    values, slopes = evaluate(points, searching)
    values = np.where(np.isfinite(values) & np.isfinite(slopes).all(axis=2), values, -np.inf)
    fits, best = np.arange(len(values)), values.argmax(axis=1)
    better = searching & (values[fits, best] > peak.log_density)
    return Peak(
        mode=np.where(better[:, None], points[fits, best], peak.mode),
        log_density=np.where(better, values[fits, best], peak.log_density),
        gradient=np.where(better[:, None], slopes[fits, best], peak.gradient),
        hessian=peak.hessian,
        iterations=peak.iterations + better,
    ), better
