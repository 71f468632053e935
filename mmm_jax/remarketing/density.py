r"""Log density of a logistic regression, on a flat vector and with rows, columns and segments as padded data.

`logit P(response) = intercept + X beta`, on standardised columns. With segments, intercepts (and coefficients, if asked)
differ by segment around what all share: `intercept + intercept_eta intercept_eps[s]`. Weights under a learned scale, these
and those of a horseshoe, have coordinates that are in the scale's units where the prior holds them, and in their own where
the data do, see `fitting.centering`.

A padded row has weight 0, a padded column is 0 throughout, a padded segment has no row; their parameters are held still by
the sampler. So tables of nearly the same size have one shape, and run in one program.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from mmm_jax.fitting.centering import AdaptiveCentering
from mmm_jax.inference.transforms import AbstractChart, split, standardized
from mmm_jax.model.horseshoe import regularized

Params = dict[str, Array]
"""One draw, by name of the parameter."""

INTERCEPT, COEFFICIENT = "intercept", "beta"

GLOBAL, LOCAL, SLAB, WEIGHT = (f"{COEFFICIENT}_{part}" for part in ("tau", "lambda", "slab", "z"))
"""Of a regularised horseshoe: the parameters that the coefficients follow from; the slab's is `c^2`."""

SPREADS = tuple(f"{name}_eta" for name in (INTERCEPT, COEFFICIENT))
DEVIATIONS = tuple(f"{name}_eps" for name in (INTERCEPT, COEFFICIENT))
"""How much segments differ in a parameter, and by how many of these every segment does."""


class Target(eqx.Module):
    """What the density is evaluated with.

    Attributes:
        columns: standardised, shape (row, column).
        sign: 1 for customers who responded, -1 for all others, shape (row,).
        weight: of every row in the likelihood, 0 for padding, shape (row,).
        segments: 1 where a row is of a segment, shape (row, segment); no segments, where there is no pooling.
        charts: by parameter name.
        information: by name of the weights under a learned scale, what the rows say of what each of them stands for, to the
            power of -2 of its units, in the weights' shape.
        prior_arguments: of every parameter's prior, in the parameter's shape.
        prior_families: name and NumPyro family of every parameter's prior.
    """

    columns: Float[Array, "row column"]
    sign: Float[Array, " row"]
    weight: Float[Array, " row"]
    segments: Float[Array, "row segment"]
    charts: dict[str, AbstractChart]
    information: dict[str, Array]
    prior_arguments: dict[str, dict[str, Array]]
    prior_families: tuple[tuple[str, type[dist.Distribution]], ...] = eqx.field(static=True)

    @property
    def priors(self) -> dict[str, dist.Distribution]:
        """By parameter name, in the parameters' shapes."""
        return {name: family(**self.prior_arguments[name]) for name, family in self.prior_families}


def flat_log_density(flat: Float[Array, " flat"], target: Target) -> Float[Array, ""]:
    """Log density of the flat vector: likelihood, priors, and the Jacobian's log determinant."""
    params, log_prior = _placed(flat, target)
    return log_prior + log_likelihood(linear_predictor(params, target), target)


def log_likelihood(log_odds: Float[Array, " row"], target: Target) -> Float[Array, ""]:
    """Sum over the rows of the log probability of what customers did.

    Args:
        log_odds: of a response, of any size: value and slope stay finite.
        target: labels and weights.
    """
    # `log P = -log(1 + exp(-log_odds))` of a response, and the same with the other sign of none.
    return -jnp.sum(target.weight * jax.nn.softplus(-target.sign * log_odds))


def linear_predictor(params: Params, target: Target) -> Float[Array, " row"]:
    """Log odds of a response of every row, given one draw."""
    found = params[INTERCEPT] + target.columns @ params[COEFFICIENT]
    spread, slopes = SPREADS
    if spread in params:
        found += target.segments @ (params[spread] * params[DEVIATIONS[0]])
    if slopes in params:
        own = target.columns @ (params[slopes] * params[DEVIATIONS[1]]).T
        found += jnp.sum(target.segments * own, axis=1)
    return found


def constrained(flat: Float[Array, " flat"], target: Target) -> Params:
    """The parameters of a flat vector."""
    return _placed(flat, target)[0]


def padding_log_density(target: Target, active: Any) -> float:
    """What the padded coordinates, which stay at 0, add to the log density: no part of any evidence.

    Args:
        target: of one fit.
        active: 1 for the coordinates that are real, 0 for padding, shape (flat,).
    """
    return float(_padding_log_density(target, active))


@jax.jit
def _padding_log_density(target: Target, active: Array) -> Array:
    priors, densities = target.priors, []
    for name, chart in sorted(target.charts.items()):
        params, log_derivative = chart(jnp.zeros(chart.shape))
        densities.append(jnp.ravel(priors[name].log_prob(params) + log_derivative))
    return jnp.sum(jnp.concatenate(densities) * (1.0 - active))


def _placed(flat: Float[Array, " flat"], target: Target) -> tuple[Params, Float[Array, ""]]:
    """Parameters, and the log density of the flat vector under their priors."""
    z = split(flat, target.charts)
    coordinates = {name: z.pop(name) for name in target.information}
    params, log_prior = standardized(z, target.priors, target.charts)
    for name, known in target.information.items():
        weights, volume = AdaptiveCentering(known).weights(coordinates[name], _scales_of(name, params))
        found, more = standardized({name: weights}, target.priors, target.charts)
        params, log_prior = params | found, log_prior + more + volume
    return _completed(params), log_prior


def _scales_of(name: str, params: Params) -> Array:
    """What the weights of this name are multiplied by."""
    if name == WEIGHT:
        return regularized(params[GLOBAL], params[LOCAL], params[SLAB])
    return params[SPREADS[DEVIATIONS.index(name)]]


def _completed(params: Params) -> Params:
    if WEIGHT not in params:
        return params
    return {**params, COEFFICIENT: _scales_of(WEIGHT, params) * params[WEIGHT]}
