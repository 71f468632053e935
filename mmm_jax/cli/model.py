"""The configuration's `model` section as a `ModelSpec`, with errors that name the key."""

from typing import Any

import numpy as np
import numpyro.distributions as dist

from mmm_jax.cli.config import Config
from mmm_jax.cli.words import did_you_mean, listed
from mmm_jax.data.checks import check_rows_cover_window
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import GeoScales, scales_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError, SpecError
from mmm_jax.model.build import parameter_sizes
from mmm_jax.model.events import event_rows
from mmm_jax.model.groups import channel_choices, choices_of
from mmm_jax.model.horseshoe import COEFFICIENT, GlobalScale
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.priors import expanded, prior_from_dict
from mmm_jax.model.seasonality import calendar_waves
from mmm_jax.model.spec import ModelSpec


def read_spec(config: Config) -> ModelSpec:
    """The model that the configuration describes; the package's defaults where it says nothing.

    Raises:
        ConfigError: a choice that the package does not admit.
    """
    given = dict(config.values.get("model", {}))
    priors, groups = given.pop("priors", {}), given.pop("groups", [])
    stated = {name: prior for name, prior in priors.items() if name == given.get("media_prior")}
    for name, prior in stated.items():
        with config.at("model", "priors", name, errors=SpecError):
            prior_from_dict(name, prior)
    _check_choices(config, given, stated)
    given["priors"] = stated
    known = _parameters(ModelSpec.from_dict(given))
    for place, group in enumerate(groups):
        known |= _of_group(config, given, place, group)
    for name, prior in priors.items():
        _check_prior(config, name, prior, known)
    if not groups:
        return ModelSpec.from_dict({**given, "priors": priors})
    with config.at("model", "groups", errors=SpecError):
        return ModelSpec.from_dict({**given, "groups": groups, "priors": priors})


def _check_choices(config: Config, given: dict[str, Any], stated: dict[str, Any]) -> None:
    """Every choice on its own, so that the error names its key; what depends on others, with them.

    Args:
        config: the configuration.
        given: the choices, without priors and groups.
        stated: the prior that the choice of `media_prior` needs, by its name.
    """
    alone = {key: value for key, value in given.items() if key not in ("media_prior", "pooling")}
    for key, value in alone.items():
        with config.at("model", key, errors=SpecError):
            ModelSpec.from_dict({key: value})
    made = {**alone, "priors": stated}
    if "media_prior" in given:
        made["media_prior"] = given["media_prior"]
        with config.at("model", "media_prior", errors=SpecError):
            ModelSpec.from_dict(made)
    if "pooling" in given:
        with config.at("model", "pooling", errors=SpecError):
            ModelSpec.from_dict({**made, "pooling": given["pooling"]})


def _of_group(config: Config, given: dict[str, Any], place: int, group: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the channels of a group: those of a model that makes its choices for all."""
    chosen = {key: value for key, value in group.items() if key != "channels"}
    for key, value in chosen.items():
        with config.at("model", "groups", place, key, errors=SpecError):
            ModelSpec.from_dict({key: value})
    return _parameters(ModelSpec.from_dict({**given, **chosen}))


def _parameters(spec: ModelSpec) -> dict[str, Any]:
    return {**spec.parameter_dims, **spec.pooling_priors()}


def check_fits(config: Config, spec: ModelSpec, panel: AnyPanel) -> None:
    """Raise a `ConfigError` if the model does not fit the training rows: window, calendar, priors' shapes, likelihood."""
    _check_windows(config, spec, panel)
    with config.at("model", "groups", errors=SpecError):
        channel_choices(spec, panel.channels)
    markets = panel.markets if isinstance(panel, GeoPanel) else (panel,)
    _check_calendar(config, spec, markets[0])
    _check_priors(config, spec, panel)
    if panel.target is not None:
        _check_target(config, spec, panel, markets)


def _check_priors(config: Config, spec: ModelSpec, panel: AnyPanel) -> None:
    if spec.horseshoe is not None:
        with config.at("model", "priors", COEFFICIENT, errors=SpecError):
            GlobalScale(spec.horseshoe.expected_nonzero, 1.0).resolve(len(panel.control_names), len(panel))
    sizes, dims = parameter_sizes(spec, panel), parameter_dims(spec, panel)
    for name, prior in spec.priors.items():
        # What partial pooling adds has no place in a model of one market.
        if isinstance(prior, dist.Distribution) and name in dims:
            with config.at("model", "priors", name, errors=SpecError):
                expanded(name, prior, {dim: sizes[dim] for dim in dims[name]})


def _check_target(config: Config, spec: ModelSpec, panel: AnyPanel, markets: tuple[Panel, ...]) -> None:
    with config.at("model", "scale", errors=PanelError):
        scales = scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    each = scales.markets if isinstance(scales, GeoScales) else (scales,)
    with config.at("model", "likelihood", errors=PanelError):
        for market, own in zip(markets, each, strict=True):
            there = market.present
            known = np.asarray(market.target)[there]
            spec.likelihood.check_target(known, market.dates[there], market.target_name, own.target)


def _check_windows(config: Config, spec: ModelSpec, panel: AnyPanel) -> None:
    own, *others = (choice.adstock.l_max for choice in choices_of(spec))
    with config.at("model", "adstock", "l_max", errors=PanelError):
        check_rows_cover_window(len(panel), own)
    for place, l_max in enumerate(others):
        with config.at("model", "groups", place, "adstock", "l_max", errors=PanelError):
            check_rows_cover_window(len(panel), l_max)


def _check_calendar(config: Config, spec: ModelSpec, panel: Panel) -> None:
    with config.at("model"):
        calendar_waves(spec.monthly_seasonality, spec.weekly_seasonality, panel, panel)
    with config.at("model", "events"):
        event_rows(spec.events, panel, panel)


def _check_prior(config: Config, name: str, prior: Any, known: dict[str, Any]) -> None:
    if name not in known:
        message = f"this model has no parameter {name!r}{did_you_mean(name, known) or '.'} It has {listed(known)}."
        raise config.error(message, "model", "priors", name)
    with config.at("model", "priors", name, errors=SpecError):
        prior_from_dict(name, prior)
