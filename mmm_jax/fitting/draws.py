"""From the sampler's flat vectors back to named parameters."""

import jax
import numpy as np

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.fitting.density import Target, constrained
from mmm_jax.model.padding import real_entries
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.spec import ModelSpec


def constrained_draws(positions: np.ndarray, target: Target, spec: ModelSpec, panel: AnyPanel) -> dict[str, np.ndarray]:
    """Constrained draws by name, without padding, in the order in which people read the parameters.

    Args:
        positions: flat vectors, shape (chain, draw, flat).
        target: what was sampled.
        spec: the choices.
        panel: what was fitted.
    """
    found = _constrained(positions, target)
    return {name: np.asarray(found[name])[:, :, *real_entries(spec, name, panel)] for name in parameter_dims(spec, panel)}


@jax.jit
def _constrained(positions: jax.Array, target: Target) -> dict[str, jax.Array]:
    return jax.vmap(jax.vmap(constrained, (0, None)), (0, None))(positions, target)
