"""What a plan's response must reach, as small objects, and as functions that the solver keeps from falling below 0."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.errors import PlanError
from mmm_jax.kernels.numerics import safe_divide
from mmm_jax.planning.constraints import Names, check_amount, in_words, named
from mmm_jax.planning.decided import DecidedResponse
from mmm_jax.planning.decisions import Decisions
from mmm_jax.planning.objectives import (
    ROUNDING,
    AbstractObjective,
    ProbabilityToBeat,
    Profit,
    Quantile,
    share_that_gains,
    smooth_quantile,
)


class AbstractMeasure(AbstractObjective):
    """What a target asks for in the solver's words; people know it by another number."""

    @abc.abstractmethod
    def reached(self, responses: Float[Array, " draw"], spend: Float[Array, ""]) -> Float[Array, ""]:
        """That number, exactly."""

    @abc.abstractmethod
    def bound_slope(self, responses: Float[Array, " draw"], spend: Float[Array, ""]) -> Float[Array, ""]:
        """How much more of the measure one more unit of that number asks for."""


class Surplus(AbstractMeasure):
    """Mean response less what the spend must bring at least: not negative where the return on it is high enough."""

    at_least: float
    per_spend: bool = eqx.field(static=True, default=True)
    concave = True
    linear = True

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """`mean - at_least * spend`, in units of the target."""
        return responses.mean() - self.at_least * spend

    def reached(self, responses: Array, spend: Array) -> Float[Array, ""]:
        """The return on the spend, or the mean response."""
        value = self(responses, spend)
        return safe_divide(value, spend) + self.at_least if self.per_spend else value

    def bound_slope(self, responses: Array, spend: Array) -> Float[Array, ""]:
        """The spend, or 1."""
        return spend if self.per_spend else jnp.ones_like(spend)


class LeastGain(AbstractMeasure):
    """What the plan brings more than another one with a given probability: above 0 where that probability is reached.

    The probability itself is flat wherever it is close to 0 or 1; this has a slope everywhere.

    Attributes:
        responses: of the other plan, by draw or one number, in units of the target.
        probability: within (0, 1].
    """

    responses: Float[Array | np.ndarray, "#draw"]
    probability: float
    kinked: ClassVar = True

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """The gain that so many draws exceed; smoothed, a quantile of the gains."""
        gains = responses - self.responses
        count = len(gains)
        if temperature is None:
            # As much is not more, and differences of the last digits are none.
            largest = jnp.max(jnp.abs(responses))
            least = self._exceeded(gains, self.probability)
            return jnp.where(least > ROUNDING * largest, least, jnp.minimum(least, -1e-6 * largest))
        prob = jnp.maximum(1 - jnp.asarray(self.probability), 0.5 / count)
        return smooth_quantile(gains, prob, temperature)

    def reached(self, responses: Array, spend: Array) -> Float[Array, ""]:
        """The probability to bring more."""
        return share_that_gains(responses, responses - self.responses)

    def bound_slope(self, responses: Array, spend: Array) -> Float[Array, ""]:
        """How much less is gained at least with a probability that is larger by one, from one per cent around it."""
        higher, lower = jnp.minimum(self.probability + 0.01, 1.0), jnp.maximum(self.probability - 0.01, 0.0)
        gains = responses - self.responses
        return (self._exceeded(gains, lower) - self._exceeded(gains, higher)) / (higher - lower)

    def _exceeded(self, gains: Array, probability: Array | float) -> Array:
        """The gain that so many draws exceed or reach."""
        worse = jnp.floor((1 - probability) * len(gains) + 1e-9).astype(int)
        return jnp.sort(gains)[jnp.clip(worse, 0, len(gains) - 1)]


class PlanRequirement(eqx.Module):
    """A function of the whole plan's responses that must reach a level."""

    measure: AbstractObjective
    level: Float[Array, ""]

    def reached(self, amounts: Array, responses: Array) -> Float[Array, ""]:
        """What was asked for, exactly and in its own unit."""
        measure, told = _unwrapped(self.measure, responses, amounts.sum())
        if isinstance(measure, AbstractMeasure):
            return measure.reached(told, amounts.sum())
        return measure(told, amounts.sum(), None)

    def bound_slope(self, amounts: Array, responses: Array) -> Float[Array, ""]:
        """How much more of the requirement one more unit of what people state asks for."""
        measure, told = _unwrapped(self.measure, responses, amounts.sum())
        if isinstance(measure, AbstractMeasure):
            return measure.bound_slope(told, amounts.sum())
        return jnp.ones_like(amounts.sum())

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """What a violation is relative to, where responses are of this order."""
        return self.measure.magnitude(response)


class ChannelRequirement(eqx.Module):
    """Expected response to some channels' spend, less `at_least` of that spend, must not be negative.

    Attributes:
        response: to their spend alone where channels add up; else `rest` is the response to all other spend, and the
            channels' response is what they bring in addition.
        chosen: 1 for the numbers that are the channels', shape (number,).
    """

    response: DecidedResponse
    rest: DecidedResponse | None
    chosen: Float[Array, " number"]
    at_least: Float[Array, ""]

    def __call__(self, amounts: Float[Array, " number"]) -> Float[Array, ""]:
        """In units of the target."""
        mean = self.response(amounts).mean()
        mean = mean if self.rest is None else mean - self.rest(amounts).mean()
        return mean - self.at_least * (self.chosen @ amounts)

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """What a violation is relative to, where responses are of this order."""
        return response

    def reached(self, amounts: Array, responses: Array) -> Float[Array, ""]:
        """The return on the chosen spend."""
        return safe_divide(self(amounts), self.chosen @ amounts) + self.at_least

    def bound_slope(self, amounts: Array, responses: Array) -> Float[Array, ""]:
        """The chosen spend."""
        return self.chosen @ amounts


class MarginalRequirement(eqx.Module):
    """What one per cent more of the chosen spend brings, less `at_least` of it, must not be negative."""

    response: DecidedResponse
    chosen: Float[Array, " number"]
    at_least: Float[Array, ""]

    def __call__(self, amounts: Float[Array, " number"]) -> Float[Array, ""]:
        """In units of the target per unit of relative change."""
        spend = self.chosen * amounts
        _, brought = jax.jvp(lambda amounts: self.response(amounts).mean(), (amounts,), (spend,))
        return brought - self.at_least * spend.sum()

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """What a violation is relative to, where responses are of this order."""
        return response

    def reached(self, amounts: Array, responses: Array) -> Float[Array, ""]:
        """The marginal return on the chosen spend."""
        return safe_divide(self(amounts), self.chosen @ amounts) + self.at_least

    def bound_slope(self, amounts: Array, responses: Array) -> Float[Array, ""]:
        """The chosen spend."""
        return self.chosen @ amounts


Requirement = PlanRequirement | ChannelRequirement | MarginalRequirement


class AbstractTarget(abc.ABC):
    """A constraint on the response: it is met at the optimum, and cannot be checked before."""

    @abc.abstractmethod
    def requirement(self, response: DecidedResponse, decisions: Decisions, *, additive: bool) -> Requirement:
        """The target as a function for the solver.

        Raises:
            PlanError: it names a channel that does not exist.
        """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Its label, or what it asks for in words."""

    @property
    @abc.abstractmethod
    def convex(self) -> bool:
        """Whether the plans that meet it are a convex set, where curves are concave."""


@dataclass(frozen=True)
class TargetRoas(AbstractTarget):
    """Least expected return on the spend of the plan, or of some channels together.

    Attributes:
        at_least: units of the target per unit of currency.
        channels: whose spend and response; of the whole plan where not given.
    """

    at_least: float
    channels: Names = None
    label: str = ""

    def __post_init__(self) -> None:
        check_amount(self, "at_least", self.at_least, least=0.0)

    @property
    def name(self) -> str:
        """Its label, or what it asks for."""
        whose = "spend" if self.channels is None else named(self.channels)
        return self.label or f"a return on {whose} of at least {in_words(self.at_least)}"

    @property
    def convex(self) -> bool:
        """A concave response less a linear cost is concave."""
        return True

    def requirement(self, response: DecidedResponse, decisions: Decisions, *, additive: bool) -> Requirement:
        """Response less the spend that it must bring."""
        if self.channels is None:
            return PlanRequirement(Surplus(self.at_least), jnp.zeros(()))
        cells = decisions.selected(self.channels)
        mask = jnp.asarray(cells.any(axis=(0, 2)).astype(float))
        alone = response.only(mask) if additive else response
        rest = None if additive else response.only(1 - mask)
        return ChannelRequirement(alone, rest, _numbers(decisions, cells), jnp.asarray(float(self.at_least)))


@dataclass(frozen=True)
class TargetMarginalRoas(AbstractTarget):
    """Least expected return on one per cent more of the planned spend, of all channels or of some together.

    Attributes:
        at_least: units of the target per unit of currency.
        channels: whose spend; the whole plan's where not given.
    """

    at_least: float
    channels: Names = None
    label: str = ""

    def __post_init__(self) -> None:
        check_amount(self, "at_least", self.at_least, least=0.0)

    @property
    def name(self) -> str:
        """Its label, or what it asks for."""
        return self.label or f"a marginal return on {named(self.channels)} of at least {in_words(self.at_least)}"

    @property
    def convex(self) -> bool:
        """The slope of a concave response times the spend may bend either way."""
        return False

    def requirement(self, response: DecidedResponse, decisions: Decisions, *, additive: bool) -> Requirement:
        """What more of the same brings, less what it must."""
        cells = decisions.selected(self.channels)
        return MarginalRequirement(response, _numbers(decisions, cells), jnp.asarray(float(self.at_least)))


@dataclass(frozen=True)
class TargetOutcome(AbstractTarget):
    """Least response.

    Attributes:
        at_least: units of the target over the horizon.
        probability: with which it must be reached; in expectation where not given.
    """

    at_least: float
    probability: float | None = None
    label: str = ""

    def __post_init__(self) -> None:
        check_amount(self, "at_least", self.at_least, least=-np.inf)
        if self.probability is not None and not 0 < self.probability < 1:
            raise PlanError(f"`probability` of TargetOutcome must lie between 0 and 1, got {self.probability}.")

    @property
    def name(self) -> str:
        """Its label, or what it asks for."""
        if self.probability is None:
            return self.label or f"an expected response of at least {in_words(self.at_least)}"
        return self.label or f"a response of at least {in_words(self.at_least)} with probability {self.probability:g}"

    @property
    def convex(self) -> bool:
        """Of the mean; not of a quantile."""
        return self.probability is None

    def requirement(self, response: DecidedResponse, decisions: Decisions, *, additive: bool) -> Requirement:
        """The mean or a quantile of the response."""
        level = jnp.asarray(float(self.at_least))
        if self.probability is None:
            return PlanRequirement(Surplus(0.0, per_spend=False), level)
        return PlanRequirement(Quantile(1.0 - self.probability), level)


@dataclass(frozen=True)
class RiskFloor(AbstractTarget):
    """Least value of any objective, such as `RiskFloor(CVaR(0.1), at_least=1e6)`.

    Attributes:
        objective: what is measured.
        at_least: in its unit.
    """

    objective: AbstractObjective
    at_least: float = 0.0
    label: str = ""

    def __post_init__(self) -> None:
        check_amount(self, "at_least", self.at_least, least=-np.inf)
        if not isinstance(self.objective, AbstractObjective):
            raise PlanError(f"`objective` of RiskFloor must be an object such as CVaR(0.1), got {self.objective!r}.")
        if isinstance(_innermost(self.objective), ProbabilityToBeat) and not 0 < self.at_least <= 1:
            raise PlanError(f"A floor of a probability must lie above 0 and be at most 1, got {self.at_least}.")

    @property
    def name(self) -> str:
        """Its label, or what it asks for."""
        return self.label or f"{type(self.objective).__name__} of at least {in_words(self.at_least)}"

    @property
    def convex(self) -> bool:
        """Where the objective is concave."""
        return self.objective.concave

    def requirement(self, response: DecidedResponse, decisions: Decisions, *, additive: bool) -> Requirement:
        """The objective's value."""
        if isinstance(_innermost(self.objective), ProbabilityToBeat):
            return PlanRequirement(_gaining(self.objective, self.at_least), jnp.zeros(()))
        return PlanRequirement(self.objective, jnp.asarray(float(self.at_least)))


def _innermost(objective: AbstractObjective) -> AbstractObjective:
    """What is measured, of the response or of the profit."""
    return _innermost(objective.of) if isinstance(objective, Profit) else objective


def _gaining(objective: AbstractObjective, probability: float) -> AbstractObjective:
    """The gain that must not be negative for a probability to be reached."""
    if isinstance(objective, Profit):
        return Profit(objective.margin, of=_gaining(objective.of, probability))
    assert isinstance(objective, ProbabilityToBeat)
    return LeastGain(objective.responses, probability)


def _unwrapped(measure: AbstractObjective, responses: Array, spend: Array) -> tuple[AbstractObjective, Array]:
    """The innermost measure, and what it measures: responses, or profits."""
    while isinstance(measure, Profit):
        measure, responses = measure.of, measure.margin * responses - spend
    return measure, responses


def _numbers(decisions: Decisions, cells: np.ndarray) -> Float[Array, " number"]:
    """Which numbers are those of the chosen cells."""
    return jnp.asarray(decisions.gathered(cells))
