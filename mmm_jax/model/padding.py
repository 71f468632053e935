"""Padding: panels of nearly the same size become models of the same shape, and share their compiled programs.

A padded row has weight 0 in the likelihood, a padded channel has no spend and is in no group, a padded control is 0
throughout, a padded geo has no row that counts; their parameters are held still by the sampler. The padded size depends on
the panel's own size only, so that a fit's numbers do not depend on which others it runs with.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.model.groups import channel_labels, padded_dims
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.spec import ModelSpec


class Sizes(NamedTuple):
    """Numbers of rows, channels, controls and geos; no geos for a model of one market."""

    time: int
    channel: int
    control: int
    geo: int = 0


def bucket_of(panel: AnyPanel) -> Sizes:
    """The sizes that a panel is padded to: at most an eighth more rows, or up to the next 16.

    Example:
        >>> _up(183, 16, 8), _up(7, 2, 4), _up(22, 4, 4), _up(0, 4, 4)
        (192, 8, 24, 0)
    """
    geos = _up(len(panel.geos), 1, 8) if isinstance(panel, GeoPanel) else 0
    return Sizes(_up(len(panel), 16, 8), _up(len(panel.channels), 2, 4), _up(len(panel.control_names), 4, 4), geos)


def padded_numbers(numbers: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
    """The arrays that a market's model is assembled from, padded; `observed` says which rows count."""
    rows, channels, controls = len(numbers["position"]), len(numbers["channel_scale"]), len(numbers["controls"])
    time, channel, control = sizes.time - rows, sizes.channel - channels, sizes.control - controls
    counted = np.ones(rows) if numbers["observed"] is None else numbers["observed"]
    return {
        "media": np.pad(numbers["media"], ((0, channel), (0, time))),
        "controls": np.pad(numbers["controls"], ((0, control), (0, time))),
        # Any value inside of the likelihood's support: its density is not used, but must be a number.
        "target": None if numbers["target"] is None else np.pad(numbers["target"], (0, time), mode="edge"),
        "observed": np.pad(counted, (0, time)),
        "day_of_year": np.pad(numbers["day_of_year"], (0, time)),
        "waves": np.pad(numbers["waves"], ((0, 0), (0, time))),
        "events": np.pad(numbers["events"], ((0, 0), (0, time))),
        "position": np.pad(numbers["position"], (0, time)),
        "channel_scale": np.pad(numbers["channel_scale"], (0, channel), constant_values=1.0),
        "target_scale": numbers["target_scale"],
        "return_units": _padded(numbers["return_units"], channel),
        "return_rows": _padded(numbers["return_rows"], time),
        "training_position": _padded(numbers["training_position"], time),
        "training_rows": _padded(numbers["training_rows"], time),
        "frequency": None if numbers["frequency"] is None else np.pad(numbers["frequency"], ((0, 0), (0, time))),
    }


def padded_priors(
    arguments: Mapping[str, Mapping[str, np.ndarray]], spec: ModelSpec, panel: AnyPanel, sizes: Sizes
) -> dict[str, dict[str, np.ndarray]]:
    """Arguments of the priors, padded to the parameters' padded shapes."""
    dims = parameter_dims(spec, panel)
    more = {dim: getattr(sizes, dim) - length for dim, length in _lengths(panel).items()}
    more |= dict.fromkeys(padded_dims(spec, panel.channels), more["channel"])
    return {
        name: {argument: _pad_prior(values, dims[name], more) for argument, values in given.items()}
        for name, given in arguments.items()
    }


def active_coordinates(spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]], panel: AnyPanel) -> np.ndarray:
    """1 for the coordinates of the flat vector that belong to the panel, 0 for padding.

    Args:
        spec: the choices.
        shapes: padded shape of every parameter.
        panel: the rows, channels, controls and geos that are real.
    """
    masks = []
    for name in sorted(shapes):
        mask = np.zeros(shapes[name])
        mask[real_entries(spec, name, panel)] = 1.0
        masks.append(mask.ravel())
    return np.concatenate(masks)


def real_entries(spec: ModelSpec, name: str, panel: AnyPanel) -> tuple[slice, ...]:
    """Index of a parameter's entries that are not padding, along its own axes."""
    held = {dim: len(labels) for dim, labels in channel_labels(spec, panel.channels).items()}
    lengths = {**_lengths(panel), **held}
    return tuple(slice(lengths.get(dim)) for dim in parameter_dims(spec, panel)[name])


def _lengths(panel: AnyPanel) -> dict[str, int]:
    """Of the dimensions that are padded."""
    found = {"channel": len(panel.channels), "control": len(panel.control_names)}
    return {**found, "geo": len(panel.geos)} if isinstance(panel, GeoPanel) else found


def _padded(values: np.ndarray | None, more: int) -> np.ndarray | None:
    return None if values is None else np.pad(values, (0, more))


def _pad_prior(values: np.ndarray, dims: tuple[str, ...], more: Mapping[str, int]) -> np.ndarray:
    widths = [(0, more.get(dim, 0) if size else 0) for dim, size in zip(dims, np.shape(values), strict=True)]
    return np.pad(values, widths, mode="edge") if widths else values


def _up(count: int, least: int, parts: int) -> int:
    """The next multiple of a step that grows with the count: its power of two over `parts`, at least `least`."""
    step = max(least, (1 << count.bit_length() >> 1) // parts)
    return -(-count // step) * step
