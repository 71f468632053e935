r"""What reach and frequency would have brought at another average frequency, with the same impressions.

Impressions are reach times frequency. At the frequency `f` in all periods, the impressions `I_t` reach `I_t / f` people, and

    sum_t sum_l w_l (I_{t-l} / f) S(f) = S(f) / f * sum_t sum_l w_l I_{t-l}.

All that depends on `f` is `S(f) / f`: whatever the carry-over, the best frequency of a draw is where a straight line from
the origin touches the saturation curve, and the best one for all draws maximises the mean of `S(f)`, weighted by the
adstocked impressions, over `f`. With a log link the effects multiply, and are put through it.
"""

import jax
from jaxtyping import Array, Float

from mmm_jax.kernels.adstock import adstock
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM


def contribution_at_frequency(
    model: MMM,
    params: Params,
    frequency: Float[Array, "own point"],
    scale: Float[Array, " own"],
    rows: Float[Array, " time"],
) -> Float[Array, "own point"]:
    """Contribution of each channel with frequency if its average frequency were the same number in all periods.

    Each channel is changed alone; its impressions stay what they were.

    Args:
        model: the model over the rows in question.
        params: one draw.
        frequency: impressions per person reached, positive.
        scale: what the frequency is divided by.
        rows: 1 for the rows that are summed over.

    Returns:
        In units of the target.
    """
    if model.frequency is None:
        raise ValueError("A model without frequency has no other one.")
    own = model.frequency.places
    impressions = model.media[own] * model.frequency.scaled * scale[:, None]
    carried = adstock(impressions, model.weights(params)[own])[..., model.history :] * model.media_multiplier(params)
    per_impression = model.reach_responses(params, frequency / scale[:, None]) / frequency
    if model.likelihood.additive:
        return model.target_scale * (carried @ rows)[:, None] * per_impression
    without = model.mean(params) - model.media_effects(params)[own]

    def at(factor: Float[Array, " own"]) -> Float[Array, " own"]:
        with_it = model.expectation(without + carried * factor[:, None], params)
        return (with_it - model.expectation(without, params)) @ rows

    return jax.lax.map(at, per_impression.T).T
