"""Channels that come as reach and frequency: `Adstock(reach * S(frequency))`, `S` the saturation.

How often a person sees a channel saturates; twice as many persons bring twice as much. So the effect is linear in reach,
and carry-over comes last, whatever the order is for other channels.

Reference:
    Zhang et al. (2023), Bayesian Hierarchical Media Mix Model Incorporating Reach and Frequency Data.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.data.panel import Panel
from mmm_jax.data.reach import with_frequency
from mmm_jax.data.scaling import Scales
from mmm_jax.kernels.adstock import adstock


class AverageFrequency(eqx.Module):
    """Average frequency of the channels that have one; counterfactuals of spend leave it as it is.

    Attributes:
        scaled: shape (own, history + time), as the model's media.
        channels: places of these channels among all.
    """

    scaled: Float[Array, "own history_time"]
    channels: tuple[int, ...] = eqx.field(static=True)

    @property
    def places(self) -> np.ndarray:
        """`channels` as an index."""
        return np.array(self.channels)

    def effects(
        self,
        media: Float[Array, "channel history_longer"],
        responses: Float[Array, "own history_time"],
        weights: Float[Array, "channel lag"],
    ) -> Float[Array, "own history_longer"]:
        """Effect of these channels in each period of the media.

        Args:
            media: scaled; periods after the model's rows have no reach.
            responses: effect of one unit of scaled reach before carry-over.
            weights: of the adstock.
        """
        longer = media.shape[-1] - responses.shape[-1]
        return adstock(media[self.places] * jnp.pad(responses, ((0, 0), (0, longer))), weights[self.places])

    def others(self, media: Float[Array, "channel *rest"]) -> Float[Array, "channel *rest"]:
        """Media of all other channels; 0 for those with frequency."""
        return media.at[self.places].set(0.0)


def frequency_numbers(rows: Panel, scales: Scales, before: np.ndarray | None, history: int) -> dict[str, Any]:
    """Scaled average frequency of the channels that have one, shape (own, history + time); `None` if none has any.

    Args:
        rows: the model's rows.
        scales: what it is divided by.
        before: average frequency of the history, shape (channel, history); 0 where it is not known.
        history: number of rows before.
    """
    if rows.average_frequency is None or scales.frequency is None:
        return {"frequency": None}
    first = np.zeros((len(rows.channels), history)) if before is None else before
    scaled = np.concatenate([first, rows.average_frequency], axis=1) / scales.frequency[:, None]
    return {"frequency": scaled[list(with_frequency(rows))]}
