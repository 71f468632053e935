"""The half-Student-t distribution: the absolute value of a Student-t variable, a half-Cauchy with tails to choose."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln
from jaxtyping import Array
from numpyro.distributions import constraints


class HalfStudentT(dist.Distribution):
    """`|scale * T|` for a Student-t variable `T` with `df` degrees of freedom; half-Cauchy for `df = 1`.

    Args:
        df: degrees of freedom, positive.
        scale: positive.
        validate_args: whether NumPyro checks arguments and values.
    """

    arg_constraints = {"df": constraints.positive, "scale": constraints.positive}
    reparametrized_params = ["df", "scale"]

    def __init__(self, df: Array | float = 1.0, scale: Array | float = 1.0, *, validate_args: bool | None = None) -> None:
        shape = jnp.broadcast_shapes(jnp.shape(df), jnp.shape(scale))
        self.df, self.scale = jnp.broadcast_to(df, shape), jnp.broadcast_to(scale, shape)
        super().__init__(batch_shape=shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Positive numbers."""
        return constraints.positive

    def sample(self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of shape `sample_shape + batch_shape`."""
        return jnp.abs(dist.StudentT(self.df, 0.0, self.scale).sample(key, sample_shape))

    def log_prob(self, value: Array) -> Array:
        """Log density at positive values."""
        half = 0.5 * self.df
        constant = jnp.log(2.0 / self.scale) + gammaln(half + 0.5) - gammaln(half) - 0.5 * jnp.log(self.df * jnp.pi)
        return constant - (half + 0.5) * jnp.log1p((value / self.scale) ** 2 / self.df)
