"""Fits with given parameters instead of sampled ones: planning problems whose answers are known, or can be searched for."""

from collections.abc import Sequence

import numpy as np
from planning.fits import DIAGNOSTICS

import mmm_jax as mj
from mmm_jax.data.calendar import Frequency

WEEKS = 60


def made_fit(
    saturation: object,
    parameters: dict[str, np.ndarray],
    *,
    alpha: np.ndarray | None = None,
    l_max: int = 4,
    adstock_first: bool = True,
    usual: Sequence[float] | None = None,
    likelihood: object | None = None,
) -> mj.Fit:
    """A fit with scales of 1 whose media have the given parameters, (draw, channel) each.

    Args:
        saturation: of the model.
        parameters: of the saturation, by their name in it.
        alpha: retention of a geometric adstock, (draw, channel); no adstock without it.
        l_max: window of the adstock.
        adstock_first: order of adstock and saturation.
        usual: mean spend per week and channel in the training rows.
        likelihood: of the model; normal by default.
    """
    draws, channels = next(iter(parameters.values())).shape
    names = tuple(f"channel {number}" for number in range(1, channels + 1))
    rng = np.random.default_rng(0)
    mean = np.ones(channels) if usual is None else np.asarray(usual, float)
    panel = mj.Panel(
        dates=np.datetime64("2022-01-03") + 7 * np.arange(WEEKS),
        spend=mean[:, None] * rng.uniform(0.5, 1.5, (channels, WEEKS)),
        controls=np.zeros((0, WEEKS)),
        target=rng.uniform(1.0, 2.0, WEEKS),
        channels=names,
        control_names=(),
        target_name="sales",
        frequency=Frequency.WEEKLY,
    )
    adstock = mj.NoAdstock() if alpha is None else mj.GeometricAdstock(l_max=l_max)
    spec = mj.ModelSpec(
        adstock=adstock, saturation=saturation, adstock_first=adstock_first, likelihood=likelihood or mj.Normal()
    )
    found = {f"saturation_{name}": values for name, values in parameters.items()}
    found |= {} if alpha is None else {"adstock_alpha": np.broadcast_to(alpha, (draws, channels))}
    found |= {"intercept": np.ones(draws), "gamma_control": np.zeros((draws, 0)), "y_sigma": np.ones(draws)}
    by_chain = {name: np.asarray(values, float)[None] for name, values in found.items()}
    scales = mj.Scales(np.ones(channels), 1.0, np.zeros(0), np.ones(0))
    return mj.Fit(spec, panel, scales, by_chain, {"diverging": np.zeros((1, draws), bool)}, DIAGNOSTICS, "float64")
