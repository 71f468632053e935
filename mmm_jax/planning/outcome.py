"""From effects to responses: what the two fast paths of `levels` and `cells` share.

Both describe how the effect of each channel in each period depends on the spend; here the effects of all channels become
the response of each draw, with first and second derivatives. Everything has the draws as first axis.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.model.components import Params
from mmm_jax.model.likelihoods import AbstractLikelihood
from mmm_jax.model.mmm import MMM


class Bends(NamedTuple):
    """A function's value, first and second derivative, elementwise."""

    value: Array
    slope: Array
    bend: Array


def bends(function: Callable[[Array], Array], at: Array) -> Bends:
    """Value and two derivatives of an elementwise function."""
    ones = jnp.ones_like(at)

    def value_and_slope(x: Array) -> tuple[Array, Array]:
        return jax.jvp(function, (x,), (ones,))

    (value, slope), (_, bend) = jax.jvp(value_and_slope, (at,), (ones,))
    return Bends(value, slope, bend)


class Link(eqx.Module):
    """How summed effects become responses, in units of the target.

    Attributes:
        counts: how many dates each period stands for, shape (period,).
        baseline: linear predictor without media, shape (draw, period); `None` where effects just add up.
        params: all draws, for the likelihood's own parameters; empty where effects just add up.
        target_scale: units of the target per unit of effect.
        offset: outcome of the carry-in alone, shape (draw,).
    """

    counts: Float[Array, " period"]
    baseline: Float[Array, "draw period"] | None
    params: Params
    likelihood: AbstractLikelihood
    target_scale: Float[Array, ""]
    offset: Float[Array, " draw"]

    @classmethod
    def build(cls, model: MMM, draws: Params, counts: Float[Array, " period"]) -> Self:
        """The model's own link; its offset is still to be set by `after`."""
        additive = model.likelihood.additive
        return cls(
            counts=counts,
            baseline=None if additive else jax.vmap(model.baseline)(draws),
            params={} if additive else draws,
            likelihood=model.likelihood,
            target_scale=model.target_scale,
            offset=jnp.zeros(jax.tree.leaves(draws)[0].shape[0]),
        )

    def after(self, carried: Float[Array, "draw channel period"]) -> Self:
        """The same link, whose responses are measured from the outcome of these effects."""
        return eqx.tree_at(lambda link: link.offset, self, self.responses(carried))

    @property
    def additive(self) -> bool:
        """Whether effects just add up."""
        return self.baseline is None

    def responses(self, effects: Float[Array, "draw channel period"]) -> Float[Array, " draw"]:
        """Response of every draw."""
        return self._outcomes(effects.sum(axis=1)) @ self.counts - self.offset

    def derivatives(
        self, effects: Float[Array, "draw channel period"]
    ) -> tuple[Float[Array, " draw"], Float[Array, "#draw period"], Float[Array, "draw period"] | None]:
        """Responses, and their first and second derivatives by the summed effect of a period.

        The second is `None` where effects just add up.
        """
        if self.additive:
            return self.responses(effects), (self.target_scale * self.counts)[None], None
        found = bends(self._outcomes, effects.sum(axis=1))
        return found.value @ self.counts - self.offset, found.slope * self.counts, found.bend * self.counts

    def _outcomes(self, effect: Float[Array, "draw period"]) -> Float[Array, "draw period"]:
        if self.baseline is None:
            return self.target_scale * effect
        return self.target_scale * jax.vmap(self.likelihood.expectation)(self.baseline + effect, self.params)


class Expansion(NamedTuple):
    """Responses around a plan.

    Attributes:
        responses: of every draw, (draw,).
        jacobian: their derivatives by the planned amounts, (draw, *amount).
        inner: what `curvature` needs besides.
    """

    responses: Float[Array, " draw"]
    jacobian: Array
    inner: tuple[Any, ...]
