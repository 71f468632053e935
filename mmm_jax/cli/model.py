"""The configuration's `model` section as a `ModelSpec`, with errors that name the key."""

from typing import Any

from mmm_jax.cli.config import Config
from mmm_jax.cli.words import did_you_mean, listed
from mmm_jax.data.checks import check_rows_cover_window
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import PanelError, SpecError
from mmm_jax.model.build import parameter_sizes
from mmm_jax.model.events import event_rows
from mmm_jax.model.groups import channel_choices, choices_of
from mmm_jax.model.priors import SpendShare, expanded, prior_from_dict
from mmm_jax.model.seasonality import calendar_waves
from mmm_jax.model.spec import ModelSpec


def read_spec(config: Config) -> ModelSpec:
    """The model that the configuration describes; the package's defaults where it says nothing.

    Raises:
        ConfigError: a choice that the package does not admit.
    """
    given = dict(config.values.get("model", {}))
    priors, groups = given.pop("priors", {}), given.pop("groups", [])
    for key, value in given.items():
        with config.at("model", key, errors=SpecError):
            ModelSpec.from_dict({key: value})
    known = _parameters(ModelSpec.from_dict(given))
    for place, group in enumerate(groups):
        known |= _of_group(config, given, place, group)
    for name, prior in priors.items():
        _check_prior(config, name, prior, known)
    if not groups:
        return ModelSpec.from_dict({**given, "priors": priors})
    with config.at("model", "groups", errors=SpecError):
        return ModelSpec.from_dict({**given, "groups": groups, "priors": priors})


def _of_group(config: Config, given: dict[str, Any], place: int, group: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the channels of a group: those of a model that makes its choices for all."""
    chosen = {key: value for key, value in group.items() if key != "channels"}
    for key, value in chosen.items():
        with config.at("model", "groups", place, key, errors=SpecError):
            ModelSpec.from_dict({key: value})
    return _parameters(ModelSpec.from_dict({**given, **chosen}))


def _parameters(spec: ModelSpec) -> dict[str, Any]:
    return {**spec.parameter_dims, **spec.pooling_priors()}


def check_fits(config: Config, spec: ModelSpec, panel: Panel) -> None:
    """Raise a `ConfigError` if the model does not fit the training rows: window, calendar, priors' shapes, likelihood."""
    _check_windows(config, spec, panel)
    with config.at("model", "groups", errors=SpecError):
        channel_choices(spec, panel.channels)
    _check_calendar(config, spec, panel)
    sizes = parameter_sizes(spec, panel)
    for name, prior in spec.priors.items():
        if not isinstance(prior, SpendShare):
            with config.at("model", "priors", name, errors=SpecError):
                expanded(name, prior, tuple(sizes[dim] for dim in spec.parameter_dims[name]))
    if panel.target is not None:
        scale = Scales.from_panel(panel).target
        with config.at("model", "likelihood", errors=PanelError):
            spec.likelihood.check_target(panel.target, panel.dates, panel.target_name, scale)


def _check_windows(config: Config, spec: ModelSpec, panel: Panel) -> None:
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
