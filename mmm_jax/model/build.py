"""From a spec, a panel and scales to a model: where labels end and arrays begin."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from mmm_jax.data.checks import check_rows_cover_window
from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import AnyScales, GeoScales
from mmm_jax.data.panel import Panel
from mmm_jax.data.reach import with_frequency
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import PanelError
from mmm_jax.kernels.adstock import lagged
from mmm_jax.kernels.basis import fourier
from mmm_jax.model.events import event_names, event_rows
from mmm_jax.model.experiment_rows import experiment_rows
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.groups import channel_labels
from mmm_jax.model.horseshoe import GlobalScale
from mmm_jax.model.media import Parts, media_parts
from mmm_jax.model.mmm import MMM
from mmm_jax.model.organic import resolved_share
from mmm_jax.model.padding import Sizes, padded_numbers, padded_priors
from mmm_jax.model.pooling import Pooled, all_priors, parameter_dims, pooled_parameters
from mmm_jax.model.priors import DefaultPrior, KindPriors, SpendShare, expanded
from mmm_jax.model.reach import AverageFrequency, frequency_numbers
from mmm_jax.model.returns import return_units
from mmm_jax.model.seasonality import calendar_waves, mode_labels
from mmm_jax.model.spec import ModelSpec

_NO_RETURNS: dict[str, None] = {"return_units": None, "return_rows": None}

Families = dict[str, type[dist.Distribution]]
"""By parameter name."""


def build_model(
    spec: ModelSpec,
    training: Panel,
    scales: Scales,
    *,
    panel: Panel | None = None,
    history: np.ndarray | None = None,
    frequency_before: np.ndarray | None = None,
    sizes: Sizes | None = None,
) -> MMM:
    """Model over the training panel, or over another panel of the same market.

    Arrays take JAX's current precision (see `precision_scope`).

    Args:
        spec: the user's choices.
        training: the panel that the priors and the trend refer to.
        scales: what spend, target and controls are divided by.
        panel: rows to model, if not the training panel's.
        history: media right before the first row, shape (channel, periods), in currency or the panel's units.
        frequency_before: average frequency of the history, likewise, for channels that have one.
        sizes: what to pad rows, channels and controls to; not at all by default.

    Raises:
        PanelError: the training panel is shorter than the adstock window, its target is outside of the likelihood's
            support, or nothing could be learnt from it about a season or an event.
        SpecError: a prior's shape does not fit, or there are no such holidays.
    """
    numbers = market_numbers(spec, training, scales, panel=panel, history=history, frequency_before=frequency_before)
    priors = resolved_priors(spec, training)
    families, arguments = families_of(priors), arguments_of(priors)
    if sizes is not None:
        numbers = padded_numbers(numbers, sizes)
        arguments = padded_priors(arguments, spec, training, sizes)
    parts = _parts(spec, training, sizes)
    rows_before = 0 if history is None else history.shape[1]
    return _assembled(spec, parts, families, numbers, arguments, rows_before, with_frequency(training))


def _parts(spec: ModelSpec, training: AnyPanel, sizes: Sizes | None) -> Parts:
    count = len(training.channels)
    return media_parts(spec, training.channels, 0 if sizes is None else sizes.channel - count)


def market_numbers(
    spec: ModelSpec,
    training: Panel,
    scales: Scales,
    *,
    panel: Panel | None = None,
    history: np.ndarray | None = None,
    frequency_before: np.ndarray | None = None,
) -> dict[str, Any]:
    """What a market's model is assembled from, see `build_model`; NumPy's arrays."""
    check_rows_cover_window(len(training), spec.l_max)
    scales.check_fits(training)
    rows = training if panel is None else panel
    if rows.target is not None:
        there = rows.present
        spec.likelihood.check_target(rows.target[there], rows.dates[there], rows.target_name, scales.target)
    before = np.zeros((len(rows.channels), 0)) if history is None else history
    return {
        "media": np.concatenate([before, rows.exposure], axis=1) / scales.channel[:, None],
        "controls": (rows.controls - scales.control_location[:, None]) / scales.control_scale[:, None],
        "target": _scaled_target(rows, scales),
        "observed": None if (rows.weights == 1.0).all() else rows.weights,
        "day_of_year": rows.day_of_year.astype(float),
        "waves": calendar_waves(spec.monthly_seasonality, spec.weekly_seasonality, rows, training),
        "events": event_rows(spec.events, rows, training),
        "position": _position(rows, training),
        "channel_scale": scales.channel,
        "target_scale": np.asarray(scales.target),
        **_returns(spec, training, scales, rows),
        **_training(spec, training),
        **frequency_numbers(rows, scales, frequency_before, before.shape[1]),
    }


def _returns(spec: ModelSpec, training: Panel, scales: Scales, rows: Panel) -> dict[str, Any]:
    if spec.media_prior == "effect":
        return _NO_RETURNS
    units = return_units(spec.media_prior, training, scales)
    # Only over the training rows does a return say anything of the effect.
    return {"return_units": units, "return_rows": rows.present.astype(float)} if rows is training else _NO_RETURNS


def _training(spec: ModelSpec, training: Panel) -> dict[str, Any]:
    """What a multiplier's mean is taken over."""
    if spec.media_multiplier is None:
        return {"training_position": None, "training_rows": None}
    return {"training_position": _position(training, training), "training_rows": training.present.astype(float)}


def _scaled_target(rows: Panel, scales: Scales) -> np.ndarray | None:
    """Rows that are not there have some other row's target: its density is not used, but must be a number."""
    if rows.target is None:
        return None
    some = rows.target[np.argmax(rows.present)]
    return np.where(rows.present, rows.target, some) / scales.target


@eqx.filter_jit
def _assembled(
    spec: ModelSpec,
    parts: Parts,
    families: Families,
    numbers: dict[str, Any],
    priors: dict[str, dict[str, Any]],
    history: int,
    with_reach: tuple[int, ...],
) -> MMM:
    """The model's arrays, in one program: a dozen small ones would each take their time to compile."""
    position = numbers["position"]
    frequency = AverageFrequency(numbers["frequency"], with_reach) if with_reach else None
    others = numbers["media"] if frequency is None else frequency.others(jnp.asarray(numbers["media"]))
    return MMM(
        parts=parts,
        trend=spec.trend,
        multiplier=spec.media_multiplier,
        multiplier_basis=_waves(spec, position),
        training_waves=_waves(spec, numbers["training_position"]),
        training_rows=numbers["training_rows"],
        likelihood=spec.likelihood,
        media=numbers["media"],
        windows=lagged(others, spec.l_max)[..., history:],
        design=jnp.concatenate(
            [
                numbers["controls"],
                fourier(numbers["day_of_year"], spec.yearly_seasonality),
                numbers["waves"],
                jnp.zeros((0, position.shape[0])) if spec.trend is None else spec.trend.basis(position),
                numbers["events"],
            ]
        ),
        target=numbers["target"],
        observed=numbers["observed"],
        channel_scale=numbers["channel_scale"],
        target_scale=numbers["target_scale"],
        prior_arguments=jax.tree.map(jnp.asarray, priors),
        prior_families=tuple(sorted(families.items())),
        return_units=numbers["return_units"],
        return_rows=numbers["return_rows"],
        media_prior=spec.media_prior,
        history=history,
        frequency=frequency,
    )


def _waves(spec: ModelSpec, position: Any) -> Any:
    return None if spec.media_multiplier is None else spec.media_multiplier.path.basis(position)


def build_geo_model(spec: ModelSpec, training: GeoPanel, scales: GeoScales, *, sizes: Sizes | None = None) -> GeoMMM:
    """Model over all geos of the training panel.

    Args:
        spec: the user's choices.
        training: the panel.
        scales: of every geo.
        sizes: what to pad geos, rows, channels and controls to; not at all by default.

    Raises:
        PanelError: see `build_model`; names the geo.
        SpecError: a prior's shape does not fit.
    """
    scales.check_fits(training)
    made = [_numbers_of_geo(spec, training, scales, geo) for geo in training.geos]
    priors = resolved_priors(spec, training)
    families, arguments = families_of(priors), arguments_of(priors)
    if sizes is not None:
        made = [padded_numbers(numbers, sizes) for numbers in made]
        made += [{**made[0], "observed": np.zeros(sizes.time)}] * (sizes.geo - len(made))
        arguments = padded_priors(arguments, spec, training, sizes)
    stacked = {name: None if one is None else np.stack([numbers[name] for numbers in made]) for name, one in made[0].items()}
    parts, pooling = _parts(spec, training, sizes), pooled_parameters(spec, training)
    return _assembled_geos(spec, parts, families, stacked, arguments, pooling, with_frequency(training))


def _numbers_of_geo(spec: ModelSpec, training: GeoPanel, scales: GeoScales, geo: str) -> dict[str, Any]:
    market = training[geo]
    try:
        numbers = market_numbers(spec, market, scales.markets[training.geos.index(geo)])
    except PanelError as error:
        raise type(error)(f"Geo {geo!r}: {error}") from error
    return {**numbers, "observed": market.weights}


@eqx.filter_jit
def _assembled_geos(
    spec: ModelSpec,
    parts: Parts,
    families: Families,
    numbers: dict[str, Any],
    priors: dict[str, dict[str, Any]],
    pooling: tuple[Pooled, ...],
    with_reach: tuple[int, ...],
) -> GeoMMM:
    return GeoMMM(
        markets=jax.vmap(lambda one: _assembled(spec, parts, {}, one, {}, 0, with_reach))(numbers),
        prior_arguments=jax.tree.map(jnp.asarray, priors),
        prior_families=tuple(sorted(families.items())),
        pooling=pooling,
    )


def build_any_model(
    spec: ModelSpec,
    panel: AnyPanel,
    scales: AnyScales,
    *,
    sizes: Sizes | None = None,
    experiments: LiftTests | None = None,
) -> MMM | GeoMMM:
    """The model of a panel of one market or of several, see `build_model` and `build_geo_model`.

    Args:
        spec: the user's choices.
        panel: training rows.
        scales: what they are divided by.
        sizes: what to pad to; not at all by default.
        experiments: what else is known; it has a term in the density.

    Raises:
        PanelError: see `build_model`.
        SpecError: a prior's shape does not fit.
        ExperimentError: an experiment does not fit the panel.
    """
    model = _without_experiments(spec, panel, scales, sizes)
    if not experiments:
        return model
    rows = experiment_rows(experiments, panel, scales, spec.l_max, padded=sizes is not None)
    return replace(model, experiments=rows)


def _without_experiments(spec: ModelSpec, panel: AnyPanel, scales: AnyScales, sizes: Sizes | None) -> MMM | GeoMMM:
    if isinstance(panel, GeoPanel) and isinstance(scales, GeoScales):
        return build_geo_model(spec, panel, scales, sizes=sizes)
    if isinstance(panel, Panel) and isinstance(scales, Scales):
        return build_model(spec, panel, scales, sizes=sizes)
    raise PanelError(f"Scales of the kind {type(scales).__name__} do not fit a {type(panel).__name__}.")


def resolved_priors(spec: ModelSpec, training: AnyPanel) -> dict[str, tuple[type[dist.Distribution], dict[str, np.ndarray]]]:
    """Family and arguments of every parameter's prior, with the parameter's shape; rules such as `SpendShare` applied."""
    labels, dims, resolved = coordinates(spec, training), parameter_dims(spec, training), {}
    for name, prior in all_priors(spec, training).items():
        sizes = {dim: len(labels[dim]) for dim in dims[name]}
        found = _resolved(prior, labels[dims[name][-1]] if dims[name] else [], training)
        own = isinstance(training, GeoPanel) and name in spec.parameter_dims and "geo" not in sizes
        hint = f" Every geo's own prior needs ModelSpec.pooling={{{name!r}: 'none'}}." if own else ""
        resolved[name] = (type(found), expanded(name, found, sizes, hint))
    return resolved


def _resolved(prior: DefaultPrior, channels: list[str], training: AnyPanel) -> dist.Distribution:
    """The distribution of a parameter that these channels have, or whatever its last dimension is."""
    if isinstance(prior, KindPriors):
        return prior.resolve(channels)
    if isinstance(prior, SpendShare):
        places = [training.channels.index(name) for name in channels]
        return dist.HalfNormal(np.asarray(resolved_share(prior, training).scale)[places])
    if isinstance(prior, GlobalScale):
        counted = training.observed if isinstance(training, GeoPanel) else training.counted
        return prior.resolve(len(training.control_names), int(counted.sum()))
    if isinstance(prior, dist.Distribution):
        return prior
    raise TypeError(f"{type(prior).__name__} states the priors of other parameters, and is none itself.")


def families_of(priors: Mapping[str, tuple[type[dist.Distribution], Any]]) -> Families:
    """Of resolved priors, the families."""
    return {name: family for name, (family, _) in priors.items()}


def arguments_of(priors: Mapping[str, tuple[Any, dict[str, np.ndarray]]]) -> dict[str, dict[str, np.ndarray]]:
    """Of resolved priors, the arguments."""
    return {name: arguments for name, (_, arguments) in priors.items()}


def parameter_sizes(spec: ModelSpec, panel: AnyPanel) -> dict[str, int]:
    """Length of every dimension that a parameter may have."""
    return {dim: len(labels) for dim, labels in coordinates(spec, panel).items()}


def coordinates(spec: ModelSpec, panel: AnyPanel) -> dict[str, list[str]]:
    """Labels of every dimension that a parameter may have."""
    found = {
        **channel_labels(spec, panel.channels),
        "control": list(panel.control_names),
        "fourier_mode": mode_labels(spec.yearly_seasonality),
        "monthly_mode": mode_labels(spec.monthly_seasonality),
        "weekly_mode": mode_labels(spec.weekly_seasonality),
        "event": event_names(spec.events, panel),
    }
    for part in (spec.trend, spec.media_multiplier and spec.media_multiplier.path):
        found |= {} if part is None else part.coordinates
    return {"geo": list(panel.geos), **found} if isinstance(panel, GeoPanel) else found


def scalar_names(spec: ModelSpec, panel: AnyPanel) -> list[str]:
    """Names of all scalar parameters, in the order in which people read them, such as `saturation_beta[TV]`."""
    labels, names = coordinates(spec, panel), []
    for name, dims in parameter_dims(spec, panel).items():
        places = itertools.product(*(labels[dim] for dim in dims))
        names += [f"{name}[{', '.join(place)}]" if place else name for place in places]
    return names


def _position(rows: Panel, training: Panel) -> np.ndarray:
    """Place in time, 0 at the first and 1 at the last training row."""
    days = (rows.dates - training.dates[0]).astype(float)
    return days / float((training.dates[-1] - training.dates[0]).astype(int))
