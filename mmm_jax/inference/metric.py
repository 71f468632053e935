"""Coordinates in which a posterior is about round: `flat = center + factor u`, one whitening per fit.

NUTS runs in `u` with the identity metric: a dense metric inside of the loop would cost a product at every turn as well.
All arrays have the fits as first axis; flat vectors may have any axes between fit and flat.
"""

import abc
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

DENSE_UP_TO = 500
"""Length of the flat vector up to which the factor is a dense matrix."""

LOW_RANK = 24
"""Directions that a low-rank factor keeps besides the diagonal."""

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
    def refined(self, u: Float[np.ndarray, "fit draw flat"], slope: Float[np.ndarray, "fit draw flat"]) -> Self:
        """Whitening by what draws have shown, computed in float64 on the host.

        Gradients of a normal density vary by the inverse of its covariance. Draws and gradients together give the normal
        posterior's covariance exactly, whatever the draws, once there are more of them than coordinates; the draws' own
        covariance would take hundreds.

        Args:
            u: positions of the draws.
            slope: gradients of the log density there, by the position.

        Reference:
            Seyboldt, Carlson and Carpenter (2026), Preconditioning Hamiltonian Monte Carlo by minimizing Fisher divergence.
        """


class DenseWhitening(AbstractWhitening):
    """`flat = center + factor @ u` with any square matrix, such as a Cholesky factor of the covariance."""

    center: Float[Array, "fit flat"]
    factor: Float[Array, "fit flat flat_u"]

    def to_flat(self, u: Array) -> Array:
        return _lanes(self.center, u) + _product(self.factor, u)

    def to_u(self, flat: np.ndarray) -> np.ndarray:
        shifted = flat - _lanes(_host(self.center), flat)
        columns = shifted.reshape(len(flat), -1, flat.shape[-1]).swapaxes(1, 2)
        return np.linalg.solve(_host(self.factor), columns).swapaxes(1, 2).reshape(flat.shape)

    def pull_back(self, gradient: Array) -> Array:
        return _product(self.factor.swapaxes(1, 2), gradient)

    def log_determinant(self) -> np.ndarray:
        return np.linalg.slogdet(_host(self.factor))[1]

    def refined(self, u: np.ndarray, slope: np.ndarray) -> Self:
        u, slope = _finite(u, slope)
        (mean, spread), (_, steepness) = _moments(u), _moments(slope)
        # A coordinate that never moved is padding: it keeps its scale, free of the others' rounding.
        moving = np.ptp(u, axis=1) > 0
        covariance = np.where(moving[:, :, None] & moving[:, None], _geometric_mean(spread, steepness), np.eye(u.shape[2]))
        factor, dtype = _host(self.factor), self.center.dtype
        center = _host(self.center) + (factor @ mean[..., None])[..., 0]
        return type(self)(jnp.asarray(center, dtype), jnp.asarray(factor @ np.linalg.cholesky(covariance), dtype))


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

    def refined(self, u: np.ndarray, slope: np.ndarray) -> Self:
        u, slope = _finite(u, slope)
        scale, directions, stretch = _host(self.scale), _host(self.directions), _host(self.stretch)
        standard, steep = _stretched(u, directions, stretch), _stretched(slope, directions, 1.0 / stretch)
        center = _host(self.center) + scale * standard.mean(axis=1)
        standard, steep = (values - values.mean(axis=1, keepdims=True) for values in (standard, steep))
        stretch = np.ones_like(stretch)
        # By coordinate, then along the directions in which draws or gradients still reach farthest; until these are taken
        # out, every coordinate's spread is theirs as well.
        for _ in range(_ROUNDS):
            rest = _stretched(standard, directions, 1.0 / stretch), _stretched(steep, directions, stretch)
            relative = np.sqrt(_deviations(rest[0]) / _deviations(rest[1]))
            scale, standard, steep = scale * relative, standard / relative[:, None], steep * relative[:, None]
            longest = [_longest(values, directions.shape[-1] // 2) for values in (standard, steep)]
            basis, _ = np.linalg.qr(np.concatenate(longest, axis=2))
            (_, spread), (_, steepness) = _moments(standard @ basis), _moments(steep @ basis)
            squares, axes = np.linalg.eigh(_geometric_mean(spread, steepness))
            directions, stretch = basis @ axes, np.sqrt(squares)
        return type(self)(*(jnp.asarray(values, self.center.dtype) for values in (center, scale, directions, stretch)))


def identity_whitening(center: Float[Array, "fit flat"]) -> AbstractWhitening:
    """No change of scale: where nothing is known of the posterior."""
    fits, size = center.shape
    if size <= DENSE_UP_TO:
        return DenseWhitening(center, jnp.broadcast_to(jnp.eye(size, dtype=center.dtype), (fits, size, size)))
    rank = 2 * (min(LOW_RANK, size) // 2)
    directions = jnp.broadcast_to(jnp.eye(size, rank, dtype=center.dtype), (fits, size, rank))
    return LowRankWhitening(center, jnp.ones_like(center), directions, jnp.ones((fits, rank), center.dtype))


def _geometric_mean(spread: Float[np.ndarray, "fit row row"], steepness: Float[np.ndarray, "fit row row"]) -> np.ndarray:
    """The symmetric matrix `M` with `M steepness M = spread`, halfway between `spread` and the inverse of `steepness`."""
    lower = np.linalg.cholesky(spread)
    values, axes = np.linalg.eigh(lower.swapaxes(1, 2) @ steepness @ lower)
    # The smallest ones are not known where the largest are huge.
    values = np.maximum(values, 1e-12 * values[:, -1:])
    root = (axes / np.sqrt(values)[:, None]) @ axes.swapaxes(1, 2)
    return lower @ root @ lower.swapaxes(1, 2)


def _finite(u: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same; nothing of fits that have numbers that are none, whose coordinates stay."""
    good = (np.isfinite(u) & np.isfinite(slope)).all(axis=(1, 2), keepdims=True)
    return np.where(good, u, 0.0), np.where(good, slope, 0.0)


def _moments(values: Float[np.ndarray, "fit draw flat"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and covariance drawn towards the identity."""
    count, mean = values.shape[1], values.mean(axis=1)
    centred = values - mean[:, None]
    moving = np.maximum((np.ptp(values, axis=1) > 0).sum(axis=1), 1)
    belief = _BELIEF * moving[:, None, None] / count
    scatter = centred.swapaxes(1, 2) @ centred + belief * np.eye(values.shape[2])
    return mean, scatter / (count + belief)


def _deviations(values: Float[np.ndarray, "fit draw flat"]) -> Float[np.ndarray, "fit flat"]:
    """Standard deviations; 1 in the padding, which never moves."""
    return np.where(np.ptp(values, axis=1) > 0, values.std(axis=1), 1.0)


def _longest(values: Float[np.ndarray, "fit draw flat"], count: int) -> Float[np.ndarray, "fit flat direction"]:
    """Directions in which centred values reach farthest."""
    return np.linalg.svd(values, full_matrices=False)[2][:, :count].swapaxes(1, 2)


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


def _host(values: Array) -> np.ndarray:
    return np.asarray(values, float)
