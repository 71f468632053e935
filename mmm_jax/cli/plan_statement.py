"""A plan's configuration as the arguments of the planner, and the planner's errors as those of the configuration."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.cli.config import Config, Keys, dotted
from mmm_jax.cli.plan_parts import made
from mmm_jax.cli.plan_spend import read_prices, usual_spend
from mmm_jax.errors import ConfigError, InfeasibleError, MMMError, PlanError
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.constraints import AbstractConstraint, Total
from mmm_jax.planning.problem import Problem, Statement, lay_out

_AS_GIVEN = ("per", "by", "profile", "locked", "num_starts", "key", "max_draws", "split_draws", "extrapolate")
_LAID_OUT = ("horizon", "per", "by", "profile", "locked", "prices")
"""What cells there are, and what money buys in them."""


@dataclass(frozen=True)
class Stated:
    """What the planner is asked.

    Attributes:
        config: where it was read.
        arguments: of `optimize_budget`, but for the fit.
        labels: by which the planner names what stands at a key path.
    """

    config: Config
    arguments: dict[str, Any]
    labels: Mapping[Keys, str]

    @contextmanager
    def errors(self, default: str | None = None) -> Iterator[None]:
        """Context in which the planner's errors name the key that they come from.

        Args:
            default: the key, where the error names nothing that stands at another one.
        """
        try:
            yield
        except ConfigError:
            raise
        except InfeasibleError as error:
            raise self._conflict(error, default) from error
        except MMMError as error:
            refused = "extrapolate" if self.config.values.get("extrapolate") is False else "total"
            raise self.config.error(str(error), default or refused) from error

    def _conflict(self, error: InfeasibleError, default: str | None) -> ConfigError:
        """At the first thing that the error names, with a word on where the others stand; the total counts as last."""
        named = [keys for keys, label in self.labels.items() if _names(str(error), label)]
        named.sort(key=lambda keys: keys == ("total",))
        if default is None and (not named or named == [("total",)]):
            boxes = [key for key in ("bounds", "bounds_around_mean") if key in self.config.values]
            return self.config.error(str(error), *(boxes or ["total"]))
        first, *others = named or [(default or "total",)]
        places = ", ".join(f"{dotted(keys)} in line {self.config.line(*keys)}" for keys in others)
        return self.config.error(f"{error}{f' See also {places}.' if others else ''}", *first)


def read_statement(config: Config, fit: AnyFit, dates: np.ndarray, reference: xr.DataArray) -> Stated:
    """The arguments of the planner.

    Raises:
        ConfigError: what the planner cannot use; names the key.
    """
    values = config.values
    arguments: dict[str, Any] = {"horizon": dates, **{name: values[name] for name in _AS_GIVEN if name in values}}
    arguments |= {"bounds": _bounds(config, fit, dates), "prices": read_prices(config)}
    if "total" in values:
        arguments["total"] = _total(config)
    cells = _Cells(config, fit, arguments, reference)
    arguments["constraints"] = _constraints(config, cells.beaten)
    if "objective" in values:
        arguments["objective"] = made(config, values["objective"], "objective", reference=cells.beaten)
    return Stated(config, arguments, _labels(config, arguments, cells))


def _total(config: Config) -> float | Total:
    total = config.values["total"]
    with config.at("total"):
        return Total(**total) if isinstance(total, dict) else total


def _bounds(config: Config, fit: AnyFit, dates: np.ndarray) -> dict[str, tuple[float, float]] | None:
    """Boxes in the unit of the total."""
    values = config.values
    if "bounds_around_mean" not in values:
        return {name: (low, high) for name, (low, high) in values["bounds"].items()} if "bounds" in values else None
    part = values["bounds_around_mean"]
    mean = usual_spend(config, fit) * (1 if values.get("per") == "period" else len(dates))
    boxes = np.stack([max(0.0, 1 - part) * mean, (1 + part) * mean], axis=1).tolist()
    locked = {*values.get("locked", {}), *fit.panel.organic}
    return {name: (low, high) for name, (low, high) in zip(fit.panel.channels, boxes, strict=True) if name not in locked}


def _constraints(config: Config, beaten: Callable[[], Any]) -> tuple[Any, ...]:
    given = enumerate(config.values.get("constraints", []))
    return tuple(made(config, part, "constraints", place, reference=beaten) for place, part in given)


class _Cells:
    """What is decided, laid out when first asked for: which constraints can be told in it, and what the reference brings."""

    def __init__(self, config: Config, fit: AnyFit, arguments: dict[str, Any], reference: xr.DataArray) -> None:
        self._config, self._fit, self._reference = config, fit, reference
        self._arguments = {name: arguments[name] for name in _LAID_OUT if name in arguments}

    @cached_property
    def problem(self) -> Problem:
        """The problem without total, bounds and constraints."""
        with self._config.at("by", errors=PlanError), precision_scope("float64"):
            return lay_out(self._fit, Statement(**self._arguments), free=True)

    def beaten(self) -> np.ndarray:
        """Response of every draw to the reference."""
        return np.ravel(self.problem.respond(self._reference)["total"].to_numpy())

    def label(self, constraint: AbstractConstraint) -> str:
        """The planner's name for a constraint."""
        return constraint.rows(self.problem.decisions, self.problem.markets.last()).label


def _labels(config: Config, arguments: dict[str, Any], cells: _Cells) -> dict[Keys, str]:
    """The planner's names for what stands in the file.

    Raises:
        ConfigError: a constraint that cannot be told in what is decided; names it.
    """
    sections = {"bounds": "the bounds of {!r}", "locked": "the locked spend of {!r}"}
    given = [(name, words, channel) for name, words in sections.items() for channel in config.values.get(name, {})]
    found: dict[Keys, str] = {(name, channel): words.format(channel) for name, words, channel in given}
    for place, constraint in enumerate(arguments["constraints"]):
        if isinstance(constraint, AbstractConstraint):
            with config.at("constraints", place):
                found["constraints", place] = cells.label(constraint)
    total = arguments.get("total")
    if total is not None:
        factor = len(arguments["horizon"]) if arguments.get("per") == "period" else 1
        found["total",] = cells.label(total if isinstance(total, Total) else Total(float(total) * factor))
    return found


def _names(message: str, label: str) -> bool:
    """Whether a message names a label, not only a longer one that begins with it."""
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", message) is not None
