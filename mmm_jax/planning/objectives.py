"""What a plan should make large, as a function of the responses of all posterior draws."""

import abc

import equinox as eqx
from jaxtyping import Array, Float


class AbstractObjective(eqx.Module):
    """A number to maximise, made of the total response of each posterior draw in units of the target."""

    @abc.abstractmethod
    def __call__(self, responses: Float[Array, " draw"]) -> Float[Array, ""]:
        """The objective's value; differentiable in the responses."""


class MeanResponse(AbstractObjective):
    """The posterior mean of the response."""

    def __call__(self, responses: Float[Array, " draw"]) -> Float[Array, ""]:
        """Mean over the draws."""
        return responses.mean()
