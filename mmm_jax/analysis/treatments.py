"""Treatments told against their reference levels: `gamma (x - reference)`, the rest of the term in the intercept."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmm_jax.model.components import Params


def at_reference(parts: dict[str, Array], params: Params, reference: Float[Array, " control"] | None) -> dict[str, Array]:
    """The parts of the linear predictor with the controls measured from their reference; their sum stays the same.

    Args:
        parts: `controls` (control, time) and `intercept` among others.
        params: one draw.
        reference: levels in the units of the design, 0 for plain controls; `None` if there are no treatments.
    """
    if reference is None:
        return parts
    moved = params["gamma_control"] * reference
    controls, intercept = parts["controls"] - moved[:, None], parts["intercept"] + jnp.sum(moved)
    return {**parts, "controls": controls, "intercept": intercept}
