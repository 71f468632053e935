"""What the prior says of media before the data do: their share in the outcome, and a warning where it is impossible."""

import warnings
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mmm_jax.analysis.contributions import media_totals
from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.errors import PriorWarning, SpecError
from mmm_jax.fitting.labels import draw_coords, labelled
from mmm_jax.model.build import coordinates
from mmm_jax.model.components import Params
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM
from mmm_jax.model.priors import SpendShare
from mmm_jax.model.spec import ModelSpec

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_NAMED = 3
"""Channels that a warning names."""


def media_shares(model: MMM | GeoMMM, draws: Mapping[str, Any], spec: ModelSpec, panel: AnyPanel) -> xr.Dataset:
    """Contributions of media over the outcome of the training rows that count, for every draw of the prior.

    Args:
        model: over the training rows.
        draws: by parameter name, with the draws as first axis.
        spec: the choices.
        panel: training rows, with a target.

    Returns:
        `media_share` (chain, draw), all media together; `channel_share` (chain, draw, channel); of several geos
        `geo_share` (chain, draw, geo), over each geo's own outcome; and `media_share_quantiles` (quantile). With a log
        link, the contribution is what would be lost without: without all media, and without each channel on its own.
    """
    rows, outcome = _counted(panel)
    of = _of_geos if isinstance(model, GeoMMM) else media_totals
    # Where the exponential of a log link overflows, media bring more than any outcome.
    brought = {name: np.nan_to_num(v, nan=np.inf) for name, v in over_draws(of, model, draws, jnp.asarray(rows)).items()}
    coords, total = coordinates(spec, panel), outcome.sum()
    added = {name: values.sum(axis=1) if isinstance(model, GeoMMM) else values for name, values in brought.items()}
    shares = {"media_share": added["media"] / total, "channel_share": added["channel"] / total}
    shares |= {"geo_share": brought["media"] / outcome} if isinstance(model, GeoMMM) else {}
    dims = {"media_share": (), "channel_share": ("channel",), "geo_share": ("geo",)}
    found = {name: labelled(values, dims[name], coords, 1) for name, values in shares.items()}
    quantiles = np.quantile(shares["media_share"], QUANTILES, method="nearest")
    found["media_share_quantiles"] = xr.DataArray(quantiles, {"quantile": list(QUANTILES)}, ("quantile",))
    return xr.Dataset(found, draw_coords(found["media_share"].to_numpy()))


def check_probability(probability: float) -> None:
    """Raise a `SpecError` unless it is one."""
    if not 0.0 <= probability <= 1.0:
        raise SpecError(f"max_excess_probability must lie between 0 and 1, got {probability}.")


def warn_of_excess(shares: xr.Dataset, spec: ModelSpec, probability: float) -> None:
    """Issue a `PriorWarning` if media bring more than the whole outcome with more than the given probability."""
    excess = float((shares["media_share"] > 1.0).mean())
    if excess > probability:
        low, middle, high = (float(shares["media_share_quantiles"].sel(quantile=q)) for q in (0.05, 0.5, 0.95))
        warnings.warn(
            f"The prior says with probability {excess:.2f} that media bring more than the whole observed outcome: in the "
            f"median {middle:.2g} times as much (90 % interval {low:.2g} to {high:.2g}). "
            f"Most comes from {_largest(shares)}. {_remedy(spec)}",
            PriorWarning,
            stacklevel=3,
        )


def _largest(shares: xr.Dataset) -> str:
    """The channels with the largest median shares."""
    medians = shares["channel_share"].median(("chain", "draw"))
    largest = np.argsort(-medians.to_numpy(), kind="stable")[:_NAMED]
    named = [f"{medians['channel'].values[place]} ({float(medians[place]):.2g})" for place in largest]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _remedy(spec: ModelSpec) -> str:
    if spec.media_prior != "effect":
        return f"State a lower or tighter prior of {spec.media_prior!r}."
    effects = " and ".join(map(repr, spec.effects))
    if not spec.likelihood.additive:
        return f"State a tighter prior of {effects}, on the logarithm of the target, such as HalfNormal(0.1)."
    stated = [prior.scale for prior in map(spec.priors.get, spec.effects) if isinstance(prior, SpendShare)]
    return (
        f"State a tighter prior of {effects}, such as {SpendShare(min([2.0, *stated]) / 2)}, which grows with a channel's "
        "spend, or a media_prior on what you know: 'roas' or 'contribution_share'."
    )


def _of_geos(model: GeoMMM, params: Params, rows: Float[Array, "geo time"]) -> dict[str, Array]:
    return model.everywhere(media_totals, params, rows)


def _counted(panel: AnyPanel) -> tuple[np.ndarray, np.ndarray]:
    """1 for the rows that count, and the outcome in these, by geo where there are several."""
    counted = panel.observed if isinstance(panel, GeoPanel) else panel.counted
    if panel.target is None:
        raise ValueError("A panel without a target has no outcome to have a share in.")
    return counted.astype(float), np.where(counted, panel.target, 0.0).sum(axis=-1)
