"""From a spec, a panel and scales to a model: where labels end and arrays begin."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from mmm_jax.data.checks import check_rows_cover_window
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.kernels.adstock import lagged
from mmm_jax.kernels.basis import fourier
from mmm_jax.model.events import event_names, event_rows
from mmm_jax.model.mmm import MMM
from mmm_jax.model.padding import Sizes, padded_numbers
from mmm_jax.model.priors import SpendShare, expanded
from mmm_jax.model.seasonality import calendar_waves, mode_labels
from mmm_jax.model.spec import ModelSpec


def build_model(
    spec: ModelSpec,
    training: Panel,
    scales: Scales,
    *,
    panel: Panel | None = None,
    history: np.ndarray | None = None,
    sizes: Sizes | None = None,
) -> MMM:
    """Model over the training panel, or over another panel of the same market.

    Arrays take JAX's current precision (see `precision_scope`).

    Args:
        spec: the user's choices.
        training: the panel that the priors and the trend refer to.
        scales: what spend, target and controls are divided by.
        panel: rows to model, if not the training panel's.
        history: spend right before the first row, shape (channel, periods), in currency.
        sizes: what to pad rows, channels and controls to; not at all by default.

    Raises:
        PanelError: the training panel is shorter than the adstock window, its target is outside of the likelihood's
            support, or nothing could be learnt from it about a season or an event.
        SpecError: a prior's shape does not fit, or there are no such holidays.
    """
    check_rows_cover_window(len(training), spec.adstock.l_max)
    scales.check_fits(training)
    rows = training if panel is None else panel
    if rows.target is not None:
        spec.likelihood.check_target(rows.target, rows.dates, rows.target_name, scales.target)
    before = np.zeros((len(rows.channels), 0)) if history is None else history
    priors = resolved_priors(spec, training)
    numbers = {
        "media": np.concatenate([before, rows.spend], axis=1) / scales.channel[:, None],
        "controls": (rows.controls - scales.control_location[:, None]) / scales.control_scale[:, None],
        "target": None if rows.target is None else rows.target / scales.target,
        "observed": None,
        "day_of_year": rows.day_of_year.astype(float),
        "waves": calendar_waves(spec.monthly_seasonality, spec.weekly_seasonality, rows, training),
        "events": event_rows(spec.events, rows, training),
        "position": _position(rows, training),
        "channel_scale": scales.channel,
        "target_scale": np.asarray(scales.target),
        "priors": {name: expanded_arguments for name, (_, expanded_arguments) in priors.items()},
    }
    if sizes is not None:
        numbers = padded_numbers(numbers, spec, sizes)
    return _assembled(spec, {name: family for name, (family, _) in priors.items()}, numbers, before.shape[1])


@eqx.filter_jit
def _assembled(spec: ModelSpec, families: dict[str, type[dist.Distribution]], numbers: dict[str, Any], history: int) -> MMM:
    """The model's arrays, in one program: a dozen small ones would each take their time to compile."""
    position = numbers["position"]
    return MMM(
        adstock=spec.adstock,
        saturation=spec.saturation,
        trend=spec.trend,
        likelihood=spec.likelihood,
        media=numbers["media"],
        windows=lagged(numbers["media"], spec.adstock.l_max)[..., history:],
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
        prior_arguments=jax.tree.map(jnp.asarray, numbers["priors"]),
        prior_families=tuple(sorted(families.items())),
        history=history,
        adstock_first=spec.adstock_first,
    )


def resolved_priors(spec: ModelSpec, training: Panel) -> dict[str, tuple[type[dist.Distribution], dict[str, np.ndarray]]]:
    """Family and arguments of every parameter's prior, with the parameter's shape; rules such as `SpendShare` applied."""
    sizes, resolved = parameter_sizes(spec, training), {}
    for name, prior in spec.all_priors().items():
        found = prior.resolve(training.spend) if isinstance(prior, SpendShare) else prior
        shape = tuple(sizes[dim] for dim in spec.parameter_dims[name])
        resolved[name] = (type(found), expanded(name, found, shape))
    return resolved


def parameter_sizes(spec: ModelSpec, panel: Panel) -> dict[str, int]:
    """Length of every dimension that a parameter may have."""
    return {dim: len(labels) for dim, labels in coordinates(spec, panel).items()}


def coordinates(spec: ModelSpec, panel: Panel) -> dict[str, list[str]]:
    """Labels of every dimension that a parameter may have."""
    return {
        "channel": list(panel.channels),
        "control": list(panel.control_names),
        "fourier_mode": mode_labels(spec.yearly_seasonality),
        "monthly_mode": mode_labels(spec.monthly_seasonality),
        "weekly_mode": mode_labels(spec.weekly_seasonality),
        "event": event_names(spec.events, panel),
    } | ({} if spec.trend is None else spec.trend.coordinates)


def scalar_names(spec: ModelSpec, panel: Panel) -> list[str]:
    """Names of all scalar parameters, in the order in which people read them, such as `saturation_beta[TV]`."""
    labels, names = coordinates(spec, panel), []
    for name, dims in spec.parameter_dims.items():
        names += [f"{name}[{label}]" for label in labels[dims[0]]] if dims else [name]
    return names


def _position(rows: Panel, training: Panel) -> np.ndarray:
    """Place in time, 0 at the first and 1 at the last training row."""
    days = (rows.dates - training.dates[0]).astype(float)
    return days / float((training.dates[-1] - training.dates[0]).astype(int))
