"""Priors on what media return instead of on their effect: the effect that a stated return means, for one draw.

The saturation's effect parameter multiplies the curve. So what a channel brings is its effect times what it would bring
with an effect of 1, and a return fixes the effect, given carry-over and shape.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales, counted_target
from mmm_jax.errors import SpecError
from mmm_jax.kernels.numerics import safe_divide
from mmm_jax.kernels.places import Places, taken
from mmm_jax.model.components import Params

if TYPE_CHECKING:
    from mmm_jax.model.mmm import MMM

RETURNS = ("roas", "marginal_roas", "contribution_share")
"""What a prior may be stated on: as `Fit.roas`, as `Fit.marginal_roas`, or the contribution over the total outcome."""

_MORE = 0.01
"""Of the spend, by which a marginal return is measured."""


def return_units(media_prior: str, training: Panel, scales: Scales) -> Float[np.ndarray, " channel"]:
    """Contribution of a channel, in scaled target over all training rows, per unit of the stated return."""
    there = training.present
    if training.organic and media_prior != "contribution_share":
        raise SpecError(
            f"ModelSpec.media_prior={media_prior!r} needs spend, but the channel {training.organic[0]!r} is organic. "
            "State the prior on contribution_share, or on the effect."
        )
    if media_prior == "contribution_share":
        return np.full(len(training.channels), there.sum() * _mean_outcome(training, scales) / scales.target)
    return training.spend[:, there].sum(axis=1) / scales.target


def _mean_outcome(training: Panel, scales: Scales) -> float:
    """What rows that are held out sold is not known to a prior."""
    return float(counted_target(training).mean()) if scales.target_mean is None else scales.target_mean


def with_effects(model: "MMM", params: Params, name: str, effects: Mapping[str, Places | None]) -> Params:
    """The parameters with the effects that the returns mean; a channel without spend has none.

    Args:
        model: over the training rows, with `return_units`.
        params: one draw, with the return under `name`.
        name: one of `RETURNS`.
        effects: names of the saturations' effect parameters, each with the places of its channels; `None` for all.
    """
    rows, units = model.return_rows, model.return_units
    if rows is None or units is None:
        raise ValueError("A model without the units of a return cannot tell the effect that it means.")
    ones = jnp.ones_like(params[name])
    of_one = {**params, **{effect: taken(ones, places) for effect, places in effects.items()}}
    brought = _marginal(model, of_one) if name == "marginal_roas" else model.media_effects(of_one) @ rows
    meant = safe_divide(params[name] * units, brought)
    return {**params, **{effect: taken(meant, places) for effect, places in effects.items()}}


def _marginal(model: "MMM", params: Params) -> Float[Array, " channel"]:
    """What one per cent more of all spend brings, with its effect after the last row, per unit of that spend."""
    media = jnp.pad(model.media, ((0, 0), (0, model.l_max - 1)))
    more, now = (model.media_effects(params, factor * media).sum(axis=1) for factor in (1.0 + _MORE, 1.0))
    return (more - now) / _MORE
