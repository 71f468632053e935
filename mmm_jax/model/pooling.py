"""How parameters differ over geos: not at all, each on its own, or partially pooled.

Partially pooled, a parameter has a common value, and every geo its own around it: `x_g = x + eta eps_g` on the real line,
`x_g = x exp(eta eps_g)` where it must be positive, and the same on the log odds where it lies between bounds. `eta` is
learned, so that the data decide how much geos differ; `eps_g` has a standard normal prior.

Of `saturation_beta`, say, the model then has the parameters `saturation_beta` and `saturation_beta_eta` (by channel), and
`saturation_beta_eps` (by geo and channel). A panel of one geo has nothing to pool: its model is the national one.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.model.horseshoe import COEFFICIENT
from mmm_jax.model.priors import DefaultPrior, KindPriors, SpendShare
from mmm_jax.model.spec import ModelSpec

Link = Literal["real", "positive", "bounded"]
"""Where a parameter lives, by which its geos' values differ from the common one."""

_POSITIVE = (SpendShare, dist.Exponential, dist.Gamma, dist.HalfCauchy, dist.HalfNormal, dist.InverseGamma, dist.LogNormal)
_BOUNDED = (dist.Beta, dist.Uniform)


class Pooled(NamedTuple):
    """How one parameter differs over geos.

    Attributes:
        name: of the parameter.
        dims: of its common value.
        how: `none`, `partial` or `complete`.
        link: where it lives.
        derived: whether it follows from others, geo by geo.
    """

    name: str
    dims: tuple[str, ...]
    how: str
    link: Link
    derived: bool = False


def pooled_parameters(spec: ModelSpec, panel: AnyPanel) -> tuple[Pooled, ...]:
    """Every parameter of one market's model, and how it differs over the panel's geos."""
    priors, pools = spec.all_priors(), isinstance(panel, GeoPanel) and len(panel.geos) > 1
    how = spec.pooling_by_parameter if pools else dict.fromkeys(spec.parameter_dims, "complete")
    return tuple(
        Pooled(
            name,
            dims,
            how[name],
            "real" if name in spec.derived else link_of(priors[name]),
            name in spec.derived and name != COEFFICIENT,
        )
        for name, dims in spec.parameter_dims.items()
    )


def parameter_dims(spec: ModelSpec, panel: AnyPanel) -> dict[str, tuple[str, ...]]:
    """Dimension names of every parameter of the panel's model, in the order in which people read them."""
    found: dict[str, tuple[str, ...]] = {}
    for name, dims, how, *_ in pooled_parameters(spec, panel):
        found[name] = ("geo", *dims) if how == "none" else dims
        if how == "partial":
            found |= {f"{name}_eta": dims, f"{name}_eps": ("geo", *dims)}
    return found


def all_priors(spec: ModelSpec, panel: AnyPanel) -> dict[str, DefaultPrior]:
    """The prior of every parameter of the panel's model."""
    found = {**spec.pooling_priors(), **spec.all_priors()}
    return {name: found[name] for name in parameter_dims(spec, panel) if name not in spec.derived}


def link_of(prior: DefaultPrior) -> Link:
    """Where a parameter with this prior lives."""
    if isinstance(prior, KindPriors):
        return link_of(prior.every[0])
    if isinstance(prior, _POSITIVE):
        return "positive"
    return "bounded" if isinstance(prior, _BOUNDED) else "real"


def shifted(common: Array, deviation: Array, link: Link, low: Array, high: Array) -> Array:
    """Values of the geos around the common value, given their deviations on the link's scale.

    Args:
        common: the common value.
        deviation: `eta eps`, with the geos as first axis.
        link: where the parameter lives.
        low: bounds of a bounded parameter.
        high: the upper ones.
    """
    if link == "real":
        return common + deviation
    ratio = jnp.exp(deviation)
    if link == "positive":
        return common * ratio
    # Odds multiplied by the ratio, without the poles of the log odds at the bounds.
    share = (common - low) / (high - low)
    return low + (high - low) * share * ratio / (share * ratio + (1.0 - share))
