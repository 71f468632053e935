"""Priors as data: NumPyro distributions that print, compare, serialise and broadcast."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpyro.distributions as dist

from mmm_jax.errors import SpecError
from mmm_jax.model.horseshoe import COEFFICIENT, GlobalScale, RegularizedHorseshoe

FAMILIES: dict[str, type[dist.Distribution]] = {
    family.__name__: family
    for family in (
        dist.Beta,
        dist.Cauchy,
        dist.Exponential,
        dist.Gamma,
        dist.HalfCauchy,
        dist.HalfNormal,
        dist.InverseGamma,
        dist.Laplace,
        dist.LogNormal,
        dist.Normal,
        dist.StudentT,
        dist.Uniform,
    )
}
"""Families that a prior may have."""


@dataclass(frozen=True)
class SpendShare:
    """`HalfNormal(scale * spend share of the channel in the training rows)`: who spends more may bring more.

    A rule rather than a distribution, since the shares are known only once there is a panel.

    Attributes:
        scale: factor on the shares, dimensionless and positive.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise SpecError(f"SpendShare.scale must be positive, got {self.scale}.")

    def resolve(self, spend: np.ndarray) -> dist.HalfNormal:
        """The distribution for training spend of shape (channel, time)."""
        total = spend.sum(axis=1)
        return dist.HalfNormal(self.scale * total / total.sum())


@dataclass(frozen=True)
class KindPriors:
    """Default priors that differ by kind of adstock or saturation: every channel has its own kind's.

    A rule as well, since a panel says which channels there are.

    Attributes:
        other: of channels in no group; `None` if these do not have the parameter.
        by_channel: of channels in groups that have it.
    """

    other: dist.Distribution | None
    by_channel: Mapping[str, dist.Distribution]

    @property
    def every(self) -> list[dist.Distribution]:
        """All of them."""
        return [*([] if self.other is None else [self.other]), *self.by_channel.values()]

    def resolve(self, channels: Sequence[str]) -> dist.Distribution:
        """The distribution of the channels that have the parameter."""
        each = [arguments(self.by_channel.get(name) or self.every[0]) for name in channels]
        names = arguments(self.every[0])
        return type(self.every[0])(**{name: np.array([float(one[name]) for one in each]) for name in names})


Rule = SpendShare | RegularizedHorseshoe
"""What a user may state in place of a distribution."""

Prior = dist.Distribution | Rule | GlobalScale

PRIOR_RULES: dict[str, type[Rule]] = {rule.__name__: rule for rule in (SpendShare, RegularizedHorseshoe)}
"""Rules that become distributions once there is a panel."""

DefaultPrior = Prior | KindPriors
"""Of a part, where the user gives none."""


def gamma_from_moments(mean: float, sd: float) -> dist.Gamma:
    """Gamma distribution with the given mean and standard deviation.

    Example:
        >>> prior = gamma_from_moments(2.0, 1.0)
        >>> float(prior.mean), float(prior.variance)
        (2.0, 1.0)
    """
    return dist.Gamma((mean / sd) ** 2, mean / sd**2)


def lognormal_from_interval(low: float, high: float, mass: float = 0.9) -> dist.LogNormal:
    """Log-normal distribution that lies between two positive numbers with the given probability, as often below as above.

    Raises:
        SpecError: numbers that are not positive and increasing, or a probability that is not one.

    Example:
        >>> prior = lognormal_from_interval(0.5, 8.0, mass=0.9)
        >>> [round(float(prior.icdf(share)), 6) for share in (0.05, 0.5, 0.95)]
        [0.5, 2.0, 8.0]
    """
    if not 0 < low < high < math.inf:
        raise SpecError(f"`low` and `high` must be positive and increasing, got {low} and {high}.")
    if not 0 < mass < 1:
        raise SpecError(f"`mass` must lie between 0 and 1, got {mass}.")
    middle, half = 0.5 * (math.log(low) + math.log(high)), 0.5 * (math.log(high) - math.log(low))
    return dist.LogNormal(middle, half / NormalDist().inv_cdf(0.5 + 0.5 * mass))


def check_prior(name: str, prior: object) -> None:
    """Raise a `SpecError` unless the prior is of a known family."""
    if not isinstance(prior, Rule) and type(prior) not in FAMILIES.values():
        raise SpecError(
            f"The prior of {name!r} must be a NumPyro distribution of one of the families {', '.join(FAMILIES)}, "
            f"or SpendShare(); got {type(prior).__name__}."
        )
    if isinstance(prior, RegularizedHorseshoe) and name != COEFFICIENT:
        raise SpecError(f"RegularizedHorseshoe is a prior of {COEFFICIENT!r} only, but is given for {name!r}.")
    if isinstance(prior, dist.Uniform) and not np.all(np.asarray(prior.low) < np.asarray(prior.high)):
        raise SpecError(f"The prior of {name!r}, Uniform: low must be below high, got {prior.low} and {prior.high}.")


def arguments(prior: dist.Distribution) -> dict[str, Any]:
    """The distribution's arguments by name, such as `loc` and `scale`."""
    return {name: getattr(prior, name) for name in type(prior).arg_constraints}


def expanded(name: str, prior: dist.Distribution, sizes: Mapping[str, int], hint: str = "") -> dict[str, np.ndarray]:
    """The prior's arguments by name, each of the parameter's shape.

    Args:
        name: of the parameter.
        prior: its arguments are numbers, or arrays that are aligned with the parameter's last dimensions.
        sizes: of the parameter's dimensions, by name.
        hint: what else to say where they do not fit.

    Raises:
        SpecError: the arguments do not broadcast to the shape; names the parameter, its dimensions and their sizes.
    """
    shape = tuple(sizes.values())
    try:
        return {key: np.broadcast_to(np.asarray(value, float), shape) for key, value in arguments(prior).items()}
    except ValueError as error:
        raise SpecError(
            f"The prior of {name!r} has the batch shape {prior.batch_shape}, which does not fit the parameter's "
            f"{_words(sizes)}.{hint}"
        ) from error


def _words(sizes: Mapping[str, int]) -> str:
    """Dimensions with their sizes, and what arrays may be aligned with them."""
    named = ", ".join(f"{dim}: {size}" for dim, size in sizes.items())
    if len(sizes) < 2:
        return f"shape ({named})" if sizes else "shape (): it is one number"
    first, *rest = sizes.values()
    shapes = (tuple(rest), (first, *(1 for _ in rest)), tuple(sizes.values()))
    each = (", ".join(list(sizes)[1:]), next(iter(sizes)), "both")
    return f"shape ({named}). Arrays may have " + ", ".join(f"{s} by {by}" for s, by in zip(shapes, each, strict=True))


def prior_to_dict(prior: dist.Distribution | Rule) -> dict[str, Any]:
    """Plain values, for JSON and YAML."""
    if isinstance(prior, SpendShare):
        return {"dist": "SpendShare", "scale": prior.scale}
    if isinstance(prior, RegularizedHorseshoe):
        return {"dist": "RegularizedHorseshoe", **prior.options()}
    values = {name: np.asarray(value, float).tolist() for name, value in arguments(prior).items()}
    return {"dist": type(prior).__name__, **values}


def prior_from_dict(name: str, values: Mapping[str, Any]) -> dist.Distribution | Rule:
    """The inverse of `prior_to_dict`.

    Raises:
        SpecError: an unknown family, or arguments that it does not have or does not admit; names the parameter.
    """
    given = dict(values)
    family = given.pop("dist", None)
    if family in PRIOR_RULES:
        builder, known = PRIOR_RULES[family], tuple(item.name for item in dataclasses.fields(PRIOR_RULES[family]))
    elif family in FAMILIES:
        builder, known = FAMILIES[family], tuple(FAMILIES[family].arg_constraints)
    else:
        raise SpecError(f"The prior of {name!r} names the family {family!r}; known: {', '.join([*FAMILIES, *PRIOR_RULES])}.")
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SpecError(f"The prior of {name!r}: {family} has no argument {unknown[0]!r}; it has {', '.join(known)}.")
    try:
        return builder(**{key: _number(value) for key, value in given.items()}, **_validate(builder))
    except (TypeError, ValueError) as error:
        raise SpecError(f"The prior of {name!r}, {family}: {error}") from error


def _validate(builder: Any) -> dict[str, bool]:
    return {} if builder in PRIOR_RULES.values() else {"validate_args": True}


def _number(value: Any) -> Any:
    return np.asarray(value, float) if isinstance(value, (list, tuple)) else float(value)
