"""Coordinates in which a posterior is about round: `flat = center + factor u`, one whitening per fit.

NUTS runs in `u` with the identity metric: a dense metric inside of the loop would cost a product at every turn as well.
All arrays have the fits as first axis; flat vectors may have any axes between fit and flat.
"""

import abc
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

DENSE_UP_TO = 500
"""Length of the flat vector up to which the factor is a dense matrix."""

LOW_RANK = 24
"""Directions that a low-rank factor keeps besides the diagonal."""

_LEAST_SHRINKAGE = 0.02
"""Draws of a chain know less than as many independent ones."""


class AbstractWhitening(eqx.Module):
    """Affine map between the sampler's coordinates and the flat vector."""

    center: eqx.AbstractVar[Float[Array, "fit flat"]]

    @abc.abstractmethod
    def to_flat(self, u: Float[Array, "fit *lanes flat"]) -> Float[Array, "fit *lanes flat"]:
        """The flat vectors of positions."""

    @abc.abstractmethod
    def to_u(self, flat: Float[Array, "fit *lanes flat"]) -> Float[Array, "fit *lanes flat"]:
        """The inverse of `to_flat`."""

    @abc.abstractmethod
    def pull_back(self, gradient: Float[Array, "fit *lanes flat"]) -> Float[Array, "fit *lanes flat"]:
        """Gradient by the position, given the gradient by the flat vector: the transposed factor's product."""

    @abc.abstractmethod
    def log_determinant(self) -> Float[Array, " fit"]:
        """Logarithm of the volume of a unit of positions in the flat vector's space."""

    @abc.abstractmethod
    def refined(self, u: Float[Array, "fit draw flat"], weight: Float[Array, " draw"]) -> Self:
        """Whitening by the mean and the shrunk covariance of draws, given as positions.

        Args:
            u: draws.
            weight: 1 for the draws that count, 0 for the others.
        """


class DenseWhitening(AbstractWhitening):
    """`flat = center + factor @ u` with any square matrix, such as a Cholesky factor of the covariance."""

    center: Float[Array, "fit flat"]
    factor: Float[Array, "fit flat flat_u"]

    def to_flat(self, u: Array) -> Array:
        return _lanes(self.center, u) + _product(self.factor, u)

    def to_u(self, flat: Array) -> Array:
        shifted = flat - _lanes(self.center, flat)
        columns = jnp.moveaxis(shifted.reshape(*flat.shape[:1], -1, flat.shape[-1]), 1, 2)
        return jnp.moveaxis(jnp.linalg.solve(self.factor, columns), 1, 2).reshape(flat.shape)

    def pull_back(self, gradient: Array) -> Array:
        return _product(jnp.swapaxes(self.factor, 1, 2), gradient)

    def log_determinant(self) -> Array:
        return jnp.linalg.slogdet(self.factor)[1]

    def refined(self, u: Array, weight: Array) -> Self:
        mean, covariance = jax.vmap(_shrunk_moments, (0, None))(u, weight)
        factor = self.factor @ jnp.linalg.cholesky(covariance)
        return type(self)(self.to_flat(mean), factor)


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
        return _lanes(self.center, u) + _lanes(self.scale, u) * self._stretched(u, self.stretch)

    def to_u(self, flat: Array) -> Array:
        return self._stretched((flat - _lanes(self.center, flat)) / _lanes(self.scale, flat), 1.0 / self.stretch)

    def pull_back(self, gradient: Array) -> Array:
        return self._stretched(gradient * _lanes(self.scale, gradient), self.stretch)

    def log_determinant(self) -> Array:
        return jnp.log(self.scale).sum(axis=1) + jnp.log(self.stretch).sum(axis=1)

    def refined(self, u: Array, weight: Array) -> Self:
        flat, count, rows = self.to_flat(u), weight.sum(), weight[:, None]
        center = (rows * flat).sum(axis=1) / count
        spread = jnp.sqrt((rows * (flat - center[:, None]) ** 2).sum(axis=1) / count)
        trust = count / (count + 5.0)
        # A coordinate that never moved is padding and keeps its scale.
        scale = jnp.where(spread > 0, spread**trust * self.scale ** (1.0 - trust), self.scale)
        standard = rows * (flat - center[:, None]) / scale[:, None]
        _, singular, right = jnp.linalg.svd(standard, full_matrices=False)
        rank = self.directions.shape[-1]
        # Noise alone stretches the largest directions of n draws in d dimensions by 1 + sqrt(d / n).
        noise = 1.0 + jnp.sqrt((spread > 0).sum(axis=1, keepdims=True) / count)
        stretch = jnp.maximum(singular[:, :rank] / jnp.sqrt(count) / noise, 1.0)
        return type(self)(center, scale, jnp.swapaxes(right[:, :rank], 1, 2), stretch)

    def _stretched(self, u: Array, stretch: Array) -> Array:
        along = _product(jnp.swapaxes(self.directions, 1, 2), u)
        return u + _product(self.directions, along * _lanes(stretch - 1.0, along))


def identity_whitening(center: Float[Array, "fit flat"]) -> AbstractWhitening:
    """No change of scale: where nothing is known of the posterior."""
    fits, size = center.shape
    if size <= DENSE_UP_TO:
        return DenseWhitening(center, jnp.broadcast_to(jnp.eye(size, dtype=center.dtype), (fits, size, size)))
    rank = min(LOW_RANK, size)
    directions = jnp.broadcast_to(jnp.eye(size, rank, dtype=center.dtype), (fits, size, rank))
    return LowRankWhitening(center, jnp.ones_like(center), directions, jnp.ones((fits, rank), center.dtype))


def _shrunk_moments(
    u: Float[Array, "draw flat"], weight: Float[Array, " draw"]
) -> tuple[Float[Array, " flat"], Float[Array, "flat flat"]]:
    """Mean, and covariance shrunk towards the identity by the intensity of least expected error.

    In whitened coordinates the identity is what is believed so far; the intensity is the ratio of the sample covariance's
    own variance to its distance from the identity.

    Reference:
        Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
    """
    count, eye = weight.sum(), jnp.eye(u.shape[1], dtype=u.dtype)
    mean = weight @ u / count
    centred = weight[:, None] * (u - mean)
    covariance = centred.T @ centred / count
    fourth = jnp.sum(jnp.sum(centred**2, axis=1) ** 2) / count
    noise = (fourth - jnp.sum(covariance**2)) / count
    # A coordinate that never moved is padding: it keeps its scale, and has no say in the intensity.
    covariance += jnp.diag(jnp.diag(covariance) == 0).astype(u.dtype)
    distance = jnp.maximum(jnp.sum((covariance - eye) ** 2), jnp.finfo(u.dtype).tiny)
    intensity = jnp.clip(noise / distance, _LEAST_SHRINKAGE, 1.0)
    return mean, (1.0 - intensity) * covariance + intensity * eye


def _lanes(values: Float[Array, "fit flat"], like: Array) -> Array:
    """One vector per fit, with axes of length 1 for the lanes."""
    return values.reshape(values.shape[0], *(1,) * (like.ndim - 2), values.shape[-1])


def _product(matrix: Float[Array, "fit row column"], vectors: Float[Array, "fit *lanes column"]) -> Array:
    found = jnp.einsum("fij,fbj->fbi", matrix, vectors.reshape(vectors.shape[0], -1, vectors.shape[-1]))
    return found.reshape(*vectors.shape[:-1], matrix.shape[1])
