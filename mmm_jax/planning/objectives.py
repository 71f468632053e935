"""What a plan should make large, as a function of the responses of all posterior draws.

Quantiles, tail means and probabilities of a finite number of draws have kinks or steps. The solver climbs a smooth version
of them, whose temperature falls from stage to stage; what is reported is always the exact number.
"""

import abc
import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.errors import PlanError
from mmm_jax.kernels.numerics import safe_divide

_HALVINGS = 60

ROUNDING = 1e-9
"""Gain, relative to the largest response of a draw, that counts as none: the same plan computed in another way."""


class AbstractObjective(eqx.Module):
    """A number to maximise, made of the total response of each posterior draw in units of the target.

    Class attributes:
        kinked: whether the exact value has kinks or steps, so that the solver needs the smooth version.
        concave: whether it is concave and never falls as a response grows; then, with concave curves, a plan that meets
            the conditions of an optimum is the best of all plans.
        linear: whether it is linear in the responses.
        needs_total: whether more spend never lowers it, so that a plan must be given a total or upper bounds.
    """

    kinked: ClassVar[bool] = False
    concave: ClassVar[bool] = False
    linear: ClassVar[bool] = False
    needs_total: ClassVar[bool] = True

    @abc.abstractmethod
    def __call__(
        self, responses: Float[Array, " draw"], spend: Float[Array, ""], temperature: Float[Array, ""] | None = None
    ) -> Float[Array, ""]:
        """The objective's value; differentiable in responses and spend.

        Args:
            responses: of every draw, in units of the target.
            spend: of the whole plan, in currency.
            temperature: width of the smooth version in units of the target; `None` for the exact value.
        """

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """What its values are of the order of, where responses are of this order: a floor is met relative to it."""
        return response

    def smoothing_gap(self, temperature: float) -> float:
        """Most that a plan which is best in the smooth version can be short of the best one, in the objective's unit.

        NaN where no bound is known.
        """
        return math.nan


class MeanResponse(AbstractObjective):
    """The posterior mean of the response."""

    concave: ClassVar = True
    linear: ClassVar = True

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """Mean over the draws."""
        return responses.mean()


class MeanMinusSd(AbstractObjective):
    """Mean response less `k` posterior standard deviations.

    Attributes:
        k: aversion to risk, dimensionless, at least 0.
    """

    k: float = 1.0

    def __check_init__(self) -> None:
        _check(self.k >= 0 and math.isfinite(self.k), f"`k` of MeanMinusSd must be at least 0, got {self.k}.")

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """`mean - k sd`."""
        return responses.mean() - self.k * _sd(responses)


class Sharpe(AbstractObjective):
    """Mean response above a threshold per posterior standard deviation.

    It does not grow with the spend: a small plan may be as good as a large one.

    Attributes:
        threshold: response that counts as nothing gained, in units of the target.
    """

    threshold: float = 0.0

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """`(mean - threshold) / sd`."""
        return safe_divide(responses.mean() - self.threshold, _sd(responses))

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """1: it has no unit."""
        return jnp.ones_like(response)


class Quantile(AbstractObjective):
    """The response that is exceeded with probability `1 - prob`: value at risk.

    Attributes:
        prob: probability of less, within (0, 1).
    """

    prob: float = 0.1
    kinked: ClassVar = True

    def __check_init__(self) -> None:
        _check(0 < self.prob < 1, f"`prob` of Quantile must lie between 0 and 1, got {self.prob}.")

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """The quantile over the draws; smoothed, that of every draw blurred by a logistic curve."""
        if temperature is None:
            return jnp.quantile(responses, self.prob)
        return smooth_quantile(responses, jnp.asarray(self.prob), temperature)


class CVaR(AbstractObjective):
    """Mean response of the worst draws: conditional value at risk, expected shortfall.

    Attributes:
        prob: share of the draws that count as worst, within (0, 1].

    Reference:
        Rockafellar and Uryasev (2000), Optimization of conditional value-at-risk, eq. 4: of the joint total.
    """

    prob: float = 0.1
    kinked: ClassVar = True
    concave: ClassVar = True

    def __check_init__(self) -> None:
        _check(0 < self.prob <= 1, f"`prob` of CVaR must lie above 0 and be at most 1, got {self.prob}.")

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """`max over z of z - mean(max(z - response, 0)) / prob`; smoothed, a softplus stands for the `max`.

        The smooth value lies below the exact one, by at most `smoothing_gap`.
        """
        if temperature is None:
            level = jnp.quantile(responses, self.prob, method="inverted_cdf")
            return level - jnp.maximum(level - responses, 0.0).mean() / self.prob
        # At the level that maximises it, whose own change then does not count to first order.
        level = smooth_quantile(responses, jnp.asarray(self.prob), temperature)
        short = temperature * jax.nn.softplus((level - responses) / temperature)
        return level - short.mean() / self.prob

    def smoothing_gap(self, temperature: float) -> float:
        """Most that the smooth value can lie below the exact one: the entropy of the draws' weights, times temperature."""
        p = float(self.prob)
        entropy = -p * math.log(p) - (1 - p) * math.log1p(-p) if p < 1 else 0.0
        return temperature * entropy / p


class ProbabilityToBeat(AbstractObjective):
    """Probability that the response exceeds that of another plan, draw by draw.

    Attributes:
        responses: of the other plan by draw, or one number for a threshold, in units of the target; such as
            `np.ravel(plan.response)` or `plan.compare(spend).other_response`.
    """

    responses: Float[Array | np.ndarray, "#draw"]
    kinked: ClassVar = True

    def __init__(self, responses: object) -> None:
        """Takes anything that NumPy reads as numbers."""
        # NumPy's: outside of a scope of double precision JAX would round them, and a plan would beat itself.
        self.responses = np.ravel(np.asarray(responses, float))

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """Share of the draws in which the plan brings more; smoothed, a logistic curve stands for the step."""
        gain = responses - self.responses
        if temperature is None:
            return share_that_gains(responses, gain)
        return jax.nn.sigmoid(gain / temperature).mean()

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """1: it has no unit."""
        return jnp.ones_like(response)


def share_that_gains(responses: Float[Array, " draw"], gains: Float[Array, " draw"]) -> Float[Array, ""]:
    """Share of the draws whose gain is more than rounding."""
    return jnp.mean(gains > ROUNDING * jnp.max(jnp.abs(responses)), dtype=gains.dtype)


class Profit(AbstractObjective):
    """What the response is worth less what it costs, `margin * response - spend`: no total is needed.

    Attributes:
        margin: currency earned per unit of the target.
        of: what to maximise of the profit; its mean by default.
    """

    margin: float
    of: AbstractObjective = MeanResponse()
    needs_total: ClassVar = False

    def __check_init__(self) -> None:
        _check(self.margin > 0 and math.isfinite(self.margin), f"`margin` must be positive, got {self.margin}.")

    @property
    def kinked(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As `of`."""
        return self.of.kinked

    @property
    def concave(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As `of`."""
        return self.of.concave

    @property
    def linear(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As `of`."""
        return self.of.linear

    def __call__(self, responses: Array, spend: Array, temperature: Array | None = None) -> Float[Array, ""]:
        """`of` the profits of all draws, in currency."""
        warmth = None if temperature is None else self.margin * temperature
        return self.of(self.margin * responses - spend, spend, warmth)

    def magnitude(self, response: Float[Array, ""]) -> Float[Array, ""]:
        """That of `of` where responses are in currency."""
        return self.of.magnitude(self.margin * response)

    def smoothing_gap(self, temperature: float) -> float:
        """That of `of`, in currency."""
        return self.of.smoothing_gap(float(self.margin) * temperature)


@jax.custom_jvp
def smooth_quantile(
    values: Float[Array, " draw"], prob: Float[Array, ""], temperature: Float[Array, ""]
) -> Float[Array, ""]:
    """The `z` at which the values blurred by a logistic curve lie below it with the given probability.

    It solves `mean(sigmoid((z - values) / temperature)) = prob`.
    """
    reach = 40 * temperature

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        below = jax.nn.sigmoid((middle - values) / temperature).mean() < prob
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (values.min() - reach, values.max() + reach))
    return 0.5 * (low + high)


@smooth_quantile.defjvp
def _smooth_quantile_jvp(primals, tangents):
    """By the implicit function theorem: every value counts as much as the logistic density at the quantile says."""
    values, prob, temperature = primals
    change, _, _ = tangents
    level = smooth_quantile(values, prob, temperature)
    share = jax.nn.sigmoid((level - values) / temperature)
    density = share * (1 - share)
    return level, safe_divide(density @ change, density.sum())


def _sd(responses: Array) -> Array:
    """Standard deviation over the draws, with a slope of 0 where all are equal."""
    off = responses - responses.mean()
    variance = (off**2).mean()
    return jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise PlanError(message)
