"""Choices of a spec that contradict each other."""

from typing import TYPE_CHECKING

import numpy as np
import numpyro.distributions as dist

from mmm_jax.errors import SpecError
from mmm_jax.model.groups import choices_of
from mmm_jax.model.horseshoe import COEFFICIENT
from mmm_jax.model.returns import RETURNS

if TYPE_CHECKING:
    from mmm_jax.model.spec import ModelSpec


def check_media_prior(spec: "ModelSpec") -> None:
    """Raise a `SpecError` unless what the prior is stated on exists, has a prior, and fixes the effect."""
    chosen = spec.media_prior
    if chosen == "effect":
        return
    if chosen not in RETURNS:
        raise SpecError(f"ModelSpec.media_prior must be one of effect, {', '.join(RETURNS)}; got {chosen!r}.")
    if chosen not in spec.priors:
        raise SpecError(
            f"ModelSpec.media_prior is {chosen!r}, but ModelSpec.priors has none of that name. Give one, such as "
            f"priors={{{chosen!r}: lognormal_from_interval(0.5, 4.0)}}, for all channels or with one value for each."
        )
    for choice in choices_of(spec):
        if not choice.saturation.proportional:
            raise SpecError(
                f"ModelSpec.media_prior={chosen!r} needs a saturation whose effect multiplies its curve; "
                f"{type(choice.saturation).__name__}'s does not. Choose another saturation, or media_prior='effect'."
            )
    if not spec.likelihood.additive:
        raise SpecError(
            f"ModelSpec.media_prior={chosen!r} needs effects that add up, but {type(spec.likelihood).__name__} has a log "
            "link. Choose another likelihood, or media_prior='effect'."
        )


def check_spreads(spec: "ModelSpec") -> None:
    """Raise a `SpecError` unless the priors of what geos scatter by admit positive values only."""
    for name, prior in spec.pooling_priors().items():
        signed = isinstance(prior, (dist.Cauchy, dist.Laplace, dist.Normal, dist.StudentT))
        if isinstance(prior, dist.Uniform):
            signed = bool(np.any(np.asarray(prior.low) < 0))
        if name.endswith("_eta") and signed:
            raise SpecError(
                f"The prior of {name!r}, by which geos scatter, must be of positive values only, such as HalfNormal(0.3); "
                f"got {type(prior).__name__}."
            )


def check_horseshoe(spec: "ModelSpec") -> None:
    """Raise a `SpecError` unless the controls are fit to be shrunk together, and the prior's noise scale is known."""
    if spec.horseshoe is None:
        return
    if not spec.standardize_controls:
        raise SpecError(
            f"RegularizedHorseshoe as the prior of {COEFFICIENT!r} needs ModelSpec.standardize_controls=True: it shrinks "
            "all controls alike, and as they are given, their units would decide which of them shrink."
        )
    how = spec.pooling.get(COEFFICIENT, "complete")
    if how != "complete":
        raise SpecError(
            f"ModelSpec.pooling of {COEFFICIENT!r} is {how!r}, but RegularizedHorseshoe is a prior of coefficients that all "
            "geos share. Leave it out of `pooling`, or give the coefficients another prior, such as Normal."
        )
    spec.all_priors()
