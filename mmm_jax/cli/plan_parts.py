"""The planner's parts that a configuration can name: constraints, targets and objectives.

A new one needs its entry here and nothing else: schema and reading follow from its fields.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mmm_jax.cli.config import Config
from mmm_jax.planning.constraints import AbstractConstraint, Box, Group, Ratio, SameAcrossGeos, Step, Total
from mmm_jax.planning.objectives import (
    AbstractObjective,
    CVaR,
    MeanMinusSd,
    MeanResponse,
    ProbabilityToBeat,
    Profit,
    Quantile,
    Sharpe,
)
from mmm_jax.planning.targets import AbstractTarget, RiskFloor, TargetMarginalRoas, TargetOutcome, TargetRoas

CONSTRAINTS: tuple[type[AbstractConstraint], ...] = (Total, Box, Group, Ratio, Step, SameAcrossGeos)
TARGETS: tuple[type[AbstractTarget], ...] = (TargetRoas, TargetMarginalRoas, TargetOutcome, RiskFloor)
OBJECTIVES: tuple[type[AbstractObjective], ...] = (
    MeanResponse,
    MeanMinusSd,
    Sharpe,
    Quantile,
    CVaR,
    ProbabilityToBeat,
    Profit,
)

FROM_REFERENCE: dict[type, str] = {ProbabilityToBeat: "responses"}
"""Field that is the reference's response, draw by draw, where the configuration does not give it."""

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (*CONSTRAINTS, *TARGETS, *OBJECTIVES)}


def made(config: Config, given: Mapping[str, Any], *keys: str | int, reference: Callable[[], Any]) -> Any:
    """The object that a configuration describes.

    Args:
        config: the file.
        given: what it says at the keys: the kind and its fields.
        keys: where that stands.
        reference: computes the reference's response by draw; called only if a part needs it.

    Raises:
        ConfigError: fields that the class does not admit.
    """
    kind = _KINDS[given["kind"]]
    arguments = {
        name: made(config, value, *keys, name, reference=reference) if isinstance(value, dict) and "kind" in value else value
        for name, value in given.items()
        if name != "kind"
    }
    if kind in FROM_REFERENCE and FROM_REFERENCE[kind] not in arguments:
        arguments[FROM_REFERENCE[kind]] = reference()
    with config.at(*keys):
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()})


def described(given: Mapping[str, Any]) -> str:
    """A part in words, as the configuration states it.

    Example:
        >>> described({"kind": "Profit", "margin": 0.3, "of": {"kind": "CVaR", "prob": 0.1}})
        'Profit (margin 0.3, of CVaR (prob 0.1))'
    """
    words = [
        f"{name} {described(value) if isinstance(value, dict) else value}" for name, value in given.items() if name != "kind"
    ]
    return given["kind"] + (f" ({', '.join(words)})" if words else "")
