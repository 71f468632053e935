"""Bases over time: yearly waves, trends that bend, knots."""

import jax.numpy as jnp
from jaxtyping import Array, Float

DAYS_PER_YEAR = 365.25


def fourier(day_of_year: Float[Array, " time"], order: int) -> Float[Array, "fourier_mode time"]:
    """Yearly waves: rows `sin_1 ... sin_n, cos_1 ... cos_n` of `2 pi k day / 365.25`.

    Args:
        day_of_year: the calendar's day of year, 1 to 366.
        order: number of waves, at least 0; 0 gives an empty basis.
    """
    waves = jnp.arange(1, order + 1, dtype=day_of_year.dtype)[:, None]
    angle = 2 * jnp.pi * waves * day_of_year / DAYS_PER_YEAR
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)])


def hinges(position: Float[Array, " time"], changepoints: Float[Array, " changepoint"]) -> Float[Array, "changepoint time"]:
    """Piecewise-linear trend: row `j` is `max(position - changepoint_j, 0)`, whose coefficient is a change of slope."""
    return jnp.maximum(position[None, :] - changepoints[:, None], 0.0)


def hats(position: Float[Array, " time"], knots: Float[Array, " knot"]) -> Float[Array, "knot time"]:
    """Linear interpolation between values at increasing knots: each row is 1 at its knot and 0 at all others.

    Before the first and after the last knot the value there is held; the columns sum to 1.
    """
    if knots.shape[0] == 1:
        return jnp.ones((1, position.shape[0]), position.dtype)
    inside = jnp.clip(position, knots[0], knots[-1])
    right = jnp.clip(jnp.searchsorted(knots, inside, side="right"), 1, knots.shape[0] - 1)
    share = (inside - knots[right - 1]) / (knots[right] - knots[right - 1])
    index = jnp.arange(knots.shape[0])[:, None]
    return jnp.where(index == right, share, 0.0) + jnp.where(index == right - 1, 1.0 - share, 0.0)
