"""What a plan's configuration must not say, beyond its schema: names, dates and lengths that the fit does not have."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmm_jax.cli.config import Config, Keys
from mmm_jax.cli.words import counted, did_you_mean, listed
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.fitting.geo_fit import AnyFit

_BY_CHANNEL = ("bounds", "profile", "locked", "prices", "reference")
_EVERY_CHANNEL = ("profile", "reference", "scenarios")
_BY_DATE = ("profile", "locked", "reference", "scenarios")
_EXCLUSIVE = (("bounds", "bounds_around_mean"), ("total", "goal"), ("objective", "goal"))
_SHOWN = ("plan", "reference")
"""Rows that the table of scenarios has anyway."""


def check_plan(config: Config, fit: AnyFit, dates: np.ndarray) -> None:
    """Raise a `ConfigError` at the first key that contradicts another one, the fit or the dates of the horizon."""
    values, known = config.values, [name for name in fit.panel.channels if name not in fit.panel.organic]
    geos = fit.panel.geos if isinstance(fit.panel, GeoPanel) else ()
    _check_together(config)
    _check_by(config, geos)
    _check_organic(config, fit.panel.organic)
    scenarios = [("scenarios", name) for name in values.get("scenarios", {})]
    for keys in [*((name,) for name in _BY_CHANNEL if name in values), *scenarios]:
        _check_by_channel(config, keys, known)
        if keys[0] in _BY_DATE:
            _check_lengths(config, keys, dates)
    _check_bounds(config)
    _check_profile(config)
    _check_costs(config, dates)
    _check_scenarios(config)
    for place, given in enumerate(values.get("constraints", [])):
        _check_part(config, given, ("constraints", place), known, dates)
        _check_geos(config, given, ("constraints", place), geos)


def _check_by(config: Config, geos: Sequence[str]) -> None:
    if "geo" in config.values.get("by", []) and len(geos) < 2:
        place = config.values["by"].index("geo")
        raise config.error("the fit is one market: only a fit of several geos can be planned by geo.", "by", place)


def _check_together(config: Config) -> None:
    values = config.values
    for one, other in _EXCLUSIVE:
        if {one, other} <= set(values):
            raise config.error(f"give either {one} or {other}, not both.", other)
    if "profile" in values and "date" in values.get("by", []):
        message = "a profile spreads levels over the dates, but `by` lets every date have its own number."
        raise config.error(message, "profile")
    if isinstance(values.get("total"), dict) and "per" not in values["total"] and values.get("per") == "period":
        message = "say here, too, whether it is `per: horizon`, or `per: period`: then it holds in every single period."
        raise config.error(message, "total")


def _check_by_channel(config: Config, keys: Keys, known: Sequence[str]) -> None:
    given = value_at(config, keys)
    for name in given:
        _check_channel(config, name, (*keys, name), known)
    lacking = [name for name in known if name not in given]
    if keys[0] in _EVERY_CHANNEL and lacking:
        none = "" if keys[0] == "profile" else ", 0 for none"
        raise config.error(f"the channels {listed(lacking)} are missing; name every one{none}.", *keys)


def _check_organic(config: Config, organic: Sequence[str]) -> None:
    """What is organic has no spend that a plan could speak of."""
    given = [*((name,) for name in _BY_CHANNEL), *(("scenarios", name) for name in config.values.get("scenarios", {}))]
    for keys in given:
        named = value_at(config, keys) if keys[0] in config.values else {}
        for name in named:
            if name in organic:
                raise config.error("this channel is organic: it has no spend, and no plan moves it.", *keys, name)


def _check_channel(config: Config, name: str, keys: Keys, known: Sequence[str]) -> None:
    if name not in known:
        message = f"the fit has no channel {name!r}{did_you_mean(name, known) or '.'} It has {listed(known)}."
        raise config.error(message, *keys)


def _check_lengths(config: Config, keys: Keys, dates: np.ndarray) -> None:
    for name, given in value_at(config, keys).items():
        _check_length(config, given, (*keys, name), dates)


def _check_length(config: Config, given: Any, keys: Keys, dates: np.ndarray) -> None:
    if isinstance(given, list) and len(given) != len(dates):
        raise config.error(f"has {counted(len(given), 'value')}, but the horizon has {len(dates)} dates.", *keys)


def _check_bounds(config: Config) -> None:
    for name, (low, high) in config.values.get("bounds", {}).items():
        if low > high:
            raise config.error("the first bound is the lowest spend, it cannot be above the second.", "bounds", name)
        if name in config.values.get("locked", {}):
            raise config.error("a locked channel needs no bounds: give one of them.", "bounds", name)


def _check_profile(config: Config) -> None:
    for name, given in config.values.get("profile", {}).items():
        if not any(given):
            raise config.error("a profile must not be 0 on all dates.", "profile", name)


def _check_costs(config: Config, dates: np.ndarray) -> None:
    for name, given in config.values.get("prices", {}).items():
        _check_length(config, given["cost"], ("prices", name, "cost"), dates)


def _check_scenarios(config: Config) -> None:
    for name in config.values.get("scenarios", {}):
        if name in _SHOWN:
            raise config.error(f"the table has a row {name!r} anyway: give the scenario another name.", "scenarios", name)


def _check_part(config: Config, given: dict[str, Any], keys: Keys, known: Sequence[str], dates: np.ndarray) -> None:
    """The names and dates of one constraint."""
    for field in ("channels", "of"):
        names = given.get(field, [])
        for place, name in enumerate(names if isinstance(names, list) else [names]):
            at = (*keys, field, place) if isinstance(names, list) else (*keys, field)
            _check_channel(config, name, at, known)
    if "dates" in given:
        _check_dates(config, given["dates"], (*keys, "dates"), dates)


def _check_geos(config: Config, given: dict[str, Any], keys: Keys, geos: Sequence[str]) -> None:
    """The geos of one constraint."""
    named = given.get("geos", [])
    for place, name in enumerate(named if isinstance(named, list) else [named]):
        if not geos:
            raise config.error("the fit is one market: fit a table with `data.geo` to plan geos.", *keys, "geos")
        if name not in geos:
            at = (*keys, "geos", place) if isinstance(named, list) else (*keys, "geos")
            message = f"the fit has no geo {name!r}{did_you_mean(name, geos) or '.'} It has {listed(geos)}."
            raise config.error(message, *at)


def _check_dates(config: Config, given: list[str], keys: Keys, dates: np.ndarray) -> None:
    first, last = (np.datetime64(date, "D") for date in given)
    if not ((dates >= first) & (dates <= last)).any():
        message = f"no planned date lies between {first} and {last}; they are {dates[0]} to {dates[-1]}."
        raise config.error(message, *keys)


def value_at(config: Config, keys: Keys) -> Any:
    """The value at a key path."""
    found: Any = config.values
    for key in keys:
        found = found[key]
    return found
