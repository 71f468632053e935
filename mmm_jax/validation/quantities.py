"""What is ranked: every scalar parameter, and what only several of them together show."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.analysis.contributions import channel_totals
from mmm_jax.analysis.draws import over_draws
from mmm_jax.data.panel import Panel
from mmm_jax.model.build import scalar_names
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.model.spec import ModelSpec


def quantity_names(spec: ModelSpec, panel: Panel) -> list[str]:
    """Names of the quantities: the parameters', `contribution[...]` of every channel, `log_likelihood`."""
    return [*scalar_names(spec, panel), *(f"contribution[{name}]" for name in panel.channels), "log_likelihood"]


def quantities_of(spec: ModelSpec, model: MMM, draws: Mapping[str, np.ndarray]) -> np.ndarray:
    """The quantities of every draw, in the order of their names, shape (draw, quantity).

    Args:
        spec: the choices.
        model: with the target that was fitted.
        draws: by parameter name, shape (draw, ...).
    """
    count = len(draws["intercept"])
    parameters = [np.asarray(draws[name], float).reshape(count, -1) for name in spec.parameter_dims]
    return np.concatenate([*parameters, over_draws(_derived, model, draws)], axis=1)


def _derived(model: MMM, params: Params) -> Float[Array, " quantity"]:
    rows = jnp.ones(model.windows.shape[-1], model.windows.dtype)
    return jnp.append(channel_totals(model, params, rows), model.log_likelihood(params).sum())
