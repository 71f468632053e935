"""Coordinates in which a posterior is about round: `flat = center + factor u`, one whitening per fit.

NUTS runs in `u` with the identity metric: a dense metric inside of the loop would cost a product at every turn as well.
All arrays have the fits as first axis; flat vectors may have any axes between fit and flat.
"""

import abc
from contextlib import suppress
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.inference.coloring import Coloring, uncolored

DENSE_UP_TO = 500
"""Steps of the gradient that a Hessian takes, up to which the factor is a dense matrix: the flat vector's length, or less
where some coordinates do not matter to each other."""

DENSE_BY_BLOCKS_UP_TO = 2500
"""Length of the flat vector up to which that holds, however few the steps: these matrices are factorised in seconds."""

LOW_RANK = 24
"""Directions that a low-rank factor keeps besides the diagonal."""

_ENOUGH = 3.0
"""Draws per coordinate from which on their own covariance is taken: gradients tell of the middle of a posterior more than of
its tails, and where these are long the draws know better how far they reach."""

_LEAST_SHRINKAGE = 0.02
"""Draws of a chain know less than as many independent ones."""

_ROUNDS = 3
"""Of scales and directions in turns."""

_BELIEF = 5.0
"""Draws that the coordinates so far count as, where there are as many draws as coordinates; with twice as many, half."""


class AbstractWhitening(eqx.Module):
    """Affine map between the sampler's coordinates and the flat vector."""

    center: eqx.AbstractVar[Float[Array, "fit flat"]]

    @abc.abstractmethod
    def to_flat(self, u: Float[Array, "fit *lanes flat"]) -> Float[Array, "fit *lanes flat"]:
        """The flat vectors of positions."""

    @abc.abstractmethod
    def to_u(self, flat: Float[np.ndarray, "fit *lanes flat"]) -> Float[np.ndarray, "fit *lanes flat"]:
        """The inverse of `to_flat`, in float64 on the host."""

    @abc.abstractmethod
    def pull_back(self, gradient: Float[Array, "fit *lanes flat"]) -> Float[Array, "fit *lanes flat"]:
        """Gradient by the position, given the gradient by the flat vector: the transposed factor's product."""

    @abc.abstractmethod
    def log_determinant(self) -> Float[np.ndarray, " fit"]:
        """Logarithm of the volume of a unit of positions in the flat vector's space."""

    @abc.abstractmethod
    def learned(self, u: Float[np.ndarray, "draw flat"], slope: Float[np.ndarray, "draw flat"]) -> Self:
        """Whitening of one fit by what its draws have shown; `refined` is that of many.

        Args:
            u: positions of the draws.
            slope: gradients of the log density there, by the position.
        """

    def on_host(self) -> Self:
        """The same with NumPy's arrays in float64, whose maps are NumPy's too."""
        return jax.tree.map(_host, self)


class DenseWhitening(AbstractWhitening):
    """`flat = center + factor @ u` with any square matrix, such as a Cholesky factor of the covariance."""

    center: Float[Array, "fit flat"]
    factor: Float[Array, "fit flat flat_u"]

    def to_flat(self, u: Array) -> Array:
        return _lanes(self.center, u) + _product(self.factor, u)

    def to_u(self, flat: np.ndarray) -> np.ndarray:
        shifted = flat - _lanes(_host(self.center), flat)
        columns = shifted.reshape(len(flat), -1, flat.shape[-1]).swapaxes(1, 2)
        factor = _host(self.factor)
        try:
            found = np.linalg.solve(factor, columns)
        except np.linalg.LinAlgError:
            # A direction too narrow for float32: whoever stood elsewhere along it moves to where it is.
            found = np.linalg.pinv(factor) @ columns
        return found.swapaxes(1, 2).reshape(flat.shape)

    def pull_back(self, gradient: Array) -> Array:
        return _product(self.factor.swapaxes(1, 2), gradient)

    def log_determinant(self) -> np.ndarray:
        return np.linalg.slogdet(_host(self.factor))[1]

    def learned(self, u: np.ndarray, slope: np.ndarray) -> Self:
        # A coordinate that never moved is padding: it keeps its scale.
        moving = np.flatnonzero(np.ptp(u, axis=0) > 0)
        own = np.eye(u.shape[1])
        own[np.ix_(moving, moving)] = _factor(u[:, moving], slope[:, moving])
        factor = _host(self.factor)
        center = _host(self.center) + factor @ u.mean(axis=0)
        return type(self)(*_as(self.center.dtype, center, factor @ own))


class LowRankWhitening(AbstractWhitening):
    """`flat = center + scale * (u + directions (stretch - 1) directions' u)` with orthonormal directions.

    Attributes:
        scale: positive, shape (fit, flat).
        directions: shape (fit, flat, rank).
        stretch: standard deviation along each direction in units of `scale`, shape (fit, rank).
    """

    center: Float[Array, "fit flat"]
    scale: Float[Array, "fit flat"]
    directions: Float[Array, "fit flat rank"]
    stretch: Float[Array, "fit rank"]

    def to_flat(self, u: Array) -> Array:
        return _lanes(self.center, u) + _lanes(self.scale, u) * _stretched(u, self.directions, self.stretch)

    def to_u(self, flat: np.ndarray) -> np.ndarray:
        standard = (flat - _lanes(_host(self.center), flat)) / _lanes(_host(self.scale), flat)
        return _stretched(standard, _host(self.directions), 1.0 / _host(self.stretch))

    def pull_back(self, gradient: Array) -> Array:
        return _stretched(gradient * _lanes(self.scale, gradient), self.directions, self.stretch)

    def log_determinant(self) -> np.ndarray:
        return np.log(_host(self.scale)).sum(axis=1) + np.log(_host(self.stretch)).sum(axis=1)

    def learned(self, u: np.ndarray, slope: np.ndarray) -> Self:
        (scale,), directions, stretch = _host(self.scale), _host(self.directions), _host(self.stretch)
        (standard,), (steep,) = _stretched(u[None], directions, stretch), _stretched(slope[None], directions, 1.0 / stretch)
        center = _host(self.center) + scale * standard.mean(axis=0)
        standard, steep = standard - standard.mean(axis=0), steep - steep.mean(axis=0)
        rank, stretch = directions.shape[-1], np.ones_like(stretch)
        # By coordinate, then along the directions in which draws or gradients still reach farthest; until these are taken
        # out, every coordinate's spread is theirs as well.
        for _ in range(_ROUNDS):
            rest = _stretched(standard[None], directions, 1.0 / stretch), _stretched(steep[None], directions, stretch)
            relative = np.sqrt(_deviations(rest[0][0]) / _deviations(rest[1][0]))
            scale, standard, steep = scale * relative, standard / relative, steep * relative
            basis = _basis(standard, steep, rank)
            lower, axes, values = _geometric_mean(standard @ basis, steep @ basis)
            squares, turned = np.linalg.eigh((lower @ axes * values) @ (lower @ axes).T)
            directions, stretch = (basis @ turned)[None], np.sqrt(squares)[None]
        return type(self)(*_as(self.center.dtype, center, scale[None], directions, stretch))


def refined(
    whitening: AbstractWhitening, u: Float[np.ndarray, "fit draw flat"], slope: Float[np.ndarray, "fit draw flat"]
) -> AbstractWhitening:
    """Whitening by what draws have shown, computed in float64 on the host, every fit on its own.

    Gradients of a normal density vary by the inverse of its covariance. Draws and gradients together would give a normal
    posterior's covariance exactly, whatever the draws, once there are more of them than coordinates; the draws' own
    covariance takes several times as many, and is taken where there are. What they say is drawn towards the coordinates so
    far, more so where they are few. A fit whose numbers are not finite, or too far apart to compute with, keeps its
    coordinates.

    Args:
        whitening: the coordinates so far.
        u: positions of the draws in them.
        slope: gradients of the log density there, by the position.

    Reference:
        Seyboldt, Carlson and Carpenter (2026), Preconditioning Hamiltonian Monte Carlo by minimizing Fisher divergence.
    """
    whole = jax.tree.map(np.asarray, whitening)
    parts = [jax.tree.map(lambda values, fit=fit: values[fit : fit + 1], whole) for fit in range(len(u))]
    for fit, part in enumerate(parts):
        if np.isfinite(u[fit]).all() and np.isfinite(slope[fit]).all():
            with suppress(np.linalg.LinAlgError):
                parts[fit] = _if_finite(part.learned(u[fit], slope[fit]), part)
    return jax.tree.map(lambda *values: jnp.asarray(np.concatenate(values)), *parts)


def is_dense(coloring: Coloring) -> bool:
    """Whether a dense factor, and a Hessian to start it from, are worth their price."""
    return coloring.count <= DENSE_UP_TO and len(coloring.color) <= DENSE_BY_BLOCKS_UP_TO


def identity_whitening(center: Float[Array, "fit flat"], coloring: Coloring | None = None) -> AbstractWhitening:
    """No change of scale: where nothing is known of the posterior.

    Args:
        center: of all fits.
        coloring: which coordinates do not matter to each other; by default, all may.
    """
    fits, size = center.shape
    if is_dense(coloring or uncolored(size)):
        return DenseWhitening(center, jnp.broadcast_to(jnp.eye(size, dtype=center.dtype), (fits, size, size)))
    rank = 2 * (min(LOW_RANK, size) // 2)
    directions = jnp.broadcast_to(jnp.eye(size, rank, dtype=center.dtype), (fits, size, rank))
    return LowRankWhitening(center, jnp.ones_like(center), directions, jnp.ones((fits, rank), center.dtype))


def _if_finite(new: AbstractWhitening, old: AbstractWhitening) -> AbstractWhitening:
    return new if all(np.isfinite(values).all() for values in jax.tree.leaves(new)) else old


def _factor(u: Float[np.ndarray, "draw row"], slope: Float[np.ndarray, "draw row"]) -> Float[np.ndarray, "row row"]:
    """A square root of the covariance that few draws and their gradients tell, or many draws alone."""
    if len(u) > _ENOUGH * u.shape[1]:
        return np.linalg.cholesky(_shrunk_covariance(u))
    lower, axes, values = _geometric_mean(u, slope)
    return lower @ axes * np.sqrt(values)


def _geometric_mean(u: Float[np.ndarray, "draw row"], slope: Float[np.ndarray, "draw row"]) -> tuple[np.ndarray, ...]:
    """Covariance halfway between that of the draws and the inverse of that of the gradients.

    Of `M` with `M steepness M = spread`, its parts `lower`, `axes` and `values`: `M = lower axes diag(values) axes' lower'`.
    Neither covariance is formed: their factors keep twice the digits, where one chain is lost far outside.
    """
    lower = np.asarray(np.linalg.qr(_rows(u), mode="r")).T
    _, singular, axes = np.linalg.svd(_rows(slope) @ lower, full_matrices=False)
    return lower, axes.T, 1.0 / singular


def _shrunk_covariance(u: Float[np.ndarray, "draw row"]) -> Float[np.ndarray, "row row"]:
    """Covariance shrunk towards the identity by the intensity of least expected error.

    The intensity is the ratio of the sample covariance's own variance to its distance from the identity.

    Reference:
        Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
    """
    count, size = u.shape
    centred = u - u.mean(axis=0)
    covariance = centred.T @ centred / count
    noise = (np.mean(np.sum(centred**2, axis=1) ** 2) - np.sum(covariance**2)) / count
    distance = max(np.sum((covariance - np.eye(size)) ** 2), np.finfo(float).tiny)
    intensity = np.clip(noise / distance, _LEAST_SHRINKAGE, 1.0)
    return (1.0 - intensity) * covariance + intensity * np.eye(size)


def _rows(values: Float[np.ndarray, "draw row"]) -> Float[np.ndarray, "draw_row row"]:
    """A matrix whose square is the covariance drawn towards the identity."""
    count, size = values.shape
    belief = _BELIEF * size / count
    rows = np.concatenate([values - values.mean(axis=0), np.sqrt(belief) * np.eye(size)])
    return rows / np.sqrt(count + belief)


def _deviations(values: Float[np.ndarray, "draw flat"]) -> Float[np.ndarray, " flat"]:
    """Standard deviations; 1 in the padding, which never moves."""
    return np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 1.0)


def _basis(standard: np.ndarray, steep: np.ndarray, rank: int) -> Float[np.ndarray, "flat rank"]:
    """Orthonormal directions in which centred draws reach farthest, and gradients."""
    longest = [np.linalg.svd(values, full_matrices=False)[2][: rank // 2].T for values in (standard, steep)]
    # With fewer draws than directions, any others do.
    missing = rank - sum(part.shape[1] for part in longest)
    return np.linalg.qr(np.concatenate([*longest, np.eye(len(longest[0]), missing)], axis=1))[0]


def _stretched(u: Any, directions: Any, stretch: Any) -> Any:
    along = _product(directions.swapaxes(1, 2), u)
    return u + _product(directions, along * _lanes(stretch - 1.0, along))


def _lanes(values: Any, like: Any) -> Any:
    """One vector per fit, with axes of length 1 for the lanes."""
    return values.reshape(values.shape[0], *(1,) * (like.ndim - 2), values.shape[-1])


def _product(matrix: Any, vectors: Any) -> Any:
    """Products of a matrix (fit, row, column) with vectors (fit, ..., column), of JAX's arrays or NumPy's."""
    found = vectors.reshape(vectors.shape[0], -1, vectors.shape[-1]) @ matrix.swapaxes(1, 2)
    return found.reshape(*vectors.shape[:-1], matrix.shape[1])


def _as(dtype: Any, *values: np.ndarray) -> list[Any]:
    return [array.astype(dtype) for array in values]


def _host(values: Array) -> np.ndarray:
    return np.asarray(values, float)
