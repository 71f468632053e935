"""From the sampler's flat vectors back to named parameters."""

import jax
import numpy as np

from mmm_jax.data.panel import Panel
from mmm_jax.inference.transforms import Charts, constrain
from mmm_jax.model.padding import real_entries
from mmm_jax.model.spec import ModelSpec


def constrained_draws(positions: np.ndarray, charts: Charts, spec: ModelSpec, panel: Panel) -> dict[str, np.ndarray]:
    """Constrained draws by name, without padding, in the order in which people read the parameters.

    Args:
        positions: flat vectors, shape (chain, draw, flat).
        charts: by parameter name.
        spec: the choices.
        panel: what was fitted.
    """
    found = _constrained(positions, charts)
    return {name: np.asarray(found[name])[:, :, *real_entries(spec, name, panel)] for name in spec.parameter_dims}


@jax.jit
def _constrained(positions: jax.Array, charts: Charts) -> dict[str, jax.Array]:
    return jax.vmap(jax.vmap(lambda flat, charts: constrain(flat, charts)[0], (0, None)), (0, None))(positions, charts)
