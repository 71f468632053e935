"""From the sampler's flat vectors back to named parameters."""

from functools import partial

import jax
import numpy as np

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.fitting.density import Target, constrained
from mmm_jax.model.geo import GeoMMM
from mmm_jax.model.padding import real_entries
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.spec import ModelSpec

_BYTES = 2**28
"""Memory that the media effects of some draws may take together."""

_ARRAYS = 4
"""Of the size of the media, that one draw's effects take."""


def constrained_draws(positions: np.ndarray, target: Target, spec: ModelSpec, panel: AnyPanel) -> dict[str, np.ndarray]:
    """Constrained draws by name, without padding, in the order in which people read the parameters.

    Args:
        positions: flat vectors, shape (chain, draw, flat).
        target: what was sampled.
        spec: the choices.
        panel: what was fitted.
    """
    found = _constrained(positions, target, _at_a_time(positions, target))
    return {name: np.asarray(found[name])[:, :, *real_entries(spec, name, panel)] for name in parameter_dims(spec, panel)}


def _at_a_time(positions: np.ndarray, target: Target) -> int:
    """Draws whose media effects, which the intercept follows from, fit into memory together."""
    one = target.model.markets if isinstance(target.model, GeoMMM) else target.model
    return max(1, _BYTES // (_ARRAYS * one.media.size * positions.dtype.itemsize))


@partial(jax.jit, static_argnames="chunk")
def _constrained(positions: jax.Array, target: Target, chunk: int) -> dict[str, jax.Array]:
    chains, draws = positions.shape[:2]
    if chains * draws <= chunk:
        return jax.vmap(jax.vmap(constrained, (0, None)), (0, None))(positions, target)
    flat = positions.reshape(chains * draws, -1)
    found = jax.lax.map(lambda position: constrained(position, target), flat, batch_size=chunk)
    return {name: values.reshape(chains, draws, *values.shape[1:]) for name, values in found.items()}
