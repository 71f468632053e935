"""What is ranked: every scalar parameter, and what only several of them together show."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.analysis.contributions import channel_totals
from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.model.build import scalar_names
from mmm_jax.model.components import Params
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.mmm import MMM
from mmm_jax.model.spec import ModelSpec


def quantity_names(spec: ModelSpec, panel: AnyPanel) -> list[str]:
    """Names of the quantities: the parameters', `contribution[...]` of every channel, `log_likelihood`."""
    return [*scalar_names(spec, panel), *(f"contribution[{name}]" for name in panel.channels), "log_likelihood"]


def quantities_of(model: MMM | GeoMMM, draws: Mapping[str, np.ndarray]) -> np.ndarray:
    """The quantities of every draw, in the order of their names, shape (draw, quantity).

    Args:
        model: with the target that was fitted.
        draws: by parameter name in the order in which people read them, shape (draw, ...).
    """
    count = len(draws["intercept"])
    parameters = [np.asarray(values, float).reshape(count, -1) for values in draws.values()]
    return np.concatenate([*parameters, over_draws(_derived, model, draws)], axis=1)


def _derived(model: MMM | GeoMMM, params: Params) -> Float[Array, " quantity"]:
    rows = jnp.ones(model.windows.shape[-1], model.windows.dtype)
    totals = lambda market, own: channel_totals(market, own, rows)  # noqa: E731
    brought = model.everywhere(totals, params).sum(axis=0) if isinstance(model, GeoMMM) else totals(model, params)
    return jnp.append(brought, model.log_likelihood(params).sum())
