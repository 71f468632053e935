"""The planning problem as the solver sees it: objective and targets as functions of scaled numbers, with derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmm_jax.planning.decided import DecidedResponse
from mmm_jax.planning.objectives import AbstractObjective
from mmm_jax.planning.outcome import Expansion
from mmm_jax.planning.solver import AbstractProgram, Derivatives
from mmm_jax.planning.targets import PlanRequirement, Requirement

STAGES = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Temperatures of kinked objectives, in standard deviations of the response."""


class PlanProgram(AbstractProgram):
    """Objective and targets over the posterior draws.

    Attributes:
        response: of every draw, to currency.
        objective: to maximise.
        requirements: targets.
        unit: currency per unit of the solver's numbers.
        scale: unit of the objective per unit of the solver's value.
        target_scales: what violations of the targets are relative to, each in its target's own unit.
        temperatures: of the stages, in units of the target, (stage,); `None` where nothing is kinked.
        temperature: of this stage.
    """

    response: DecidedResponse
    objective: AbstractObjective
    requirements: tuple[Requirement, ...]
    unit: Float[Array, ""]
    scale: Float[Array, ""]
    target_scales: Float[Array, " requirement"]
    temperatures: Float[Array, " stage"] | None
    temperature: Float[Array, ""] | None = None

    def cooled(self, stage: Int[Array, ""]) -> "PlanProgram":
        """The program of a stage."""
        if self.temperatures is None:
            return self
        cold = self.temperatures[stage]
        return eqx.tree_at(lambda program: program.temperature, self, cold, is_leaf=lambda leaf: leaf is None)

    def value(self, point: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, " requirement"]]:
        """Objective and requirements, scaled."""
        amounts = self.unit * point
        responses, spend = self.response(amounts), amounts.sum()
        met = [self._met(requirement, amounts, responses, spend) for requirement in self.requirements]
        value = self.objective(responses, spend, self.temperature) / self.scale
        return value, jnp.stack(met) / self.target_scales if met else jnp.zeros(0)

    def derivatives(self, point: Float[Array, " n"], prices: Float[Array, " requirement"]) -> Derivatives:
        """The same with first and second derivatives; those of marginal targets are left to the next step."""
        amounts = self.unit * point
        at = self.response.expand(amounts)
        spend = amounts.sum()
        value, gradient, weights, own = self._measured(self.objective, at, spend)
        weights, curved = weights / self.scale, own / self.scale
        met, rows = [], []
        for requirement, price in zip(self.requirements, prices / self.target_scales, strict=True):
            if isinstance(requirement, PlanRequirement):
                reached, row, by_draw, bend = self._measured(requirement.measure, at, spend)
                met.append(reached - requirement.level)
                weights = weights + price * by_draw
                curved = curved + price * bend
            else:
                reached, row = jax.value_and_grad(requirement)(amounts)
                met.append(reached)
            rows.append(self.unit * row)
        hessian = self.unit**2 * (self.response.curvature(at, weights) + curved)
        count = len(amounts)
        return Derivatives(
            value / self.scale,
            self.unit / self.scale * gradient,
            jnp.stack(met) / self.target_scales if met else jnp.zeros(0),
            jnp.stack(rows) / self.target_scales[:, None] if rows else jnp.zeros((0, count)),
            hessian,
        )

    def _met(self, requirement: Requirement, amounts: Array, responses: Array, spend: Array) -> Array:
        if isinstance(requirement, PlanRequirement):
            return requirement.measure(responses, spend, self.temperature) - requirement.level
        return requirement(amounts)

    def _measured(self, measure: AbstractObjective, at: Expansion, spend: Array) -> tuple[Array, Array, Array, Array]:
        """A measure of the responses: value, gradient, weight of every draw, curvature of the measure itself."""

        def of(responses: Array, spend: Array) -> Array:
            return measure(responses, spend, self.temperature)

        value, (weights, by_spend) = jax.value_and_grad(of, (0, 1))(at.responses, spend)
        gradient = weights @ at.jacobian + by_spend
        if measure.linear:
            return value, gradient, weights, jnp.zeros((len(gradient), len(gradient)))

        def along(column: Array) -> tuple[Array, Array]:
            _, change = jax.jvp(jax.grad(of, (0, 1)), (at.responses, spend), (column, jnp.ones_like(spend)))
            return change

        by_draw, across = jax.vmap(along, in_axes=1)(at.jacobian)
        curved = by_draw @ at.jacobian + across[:, None]
        return value, gradient, weights, 0.5 * (curved + curved.T)
