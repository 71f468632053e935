"""Quick looks by stochastic variational inference: NumPyro's guides, fitted to many posteriors at once.

A guide lives in the coordinates that the mode's curvature whitens: it begins as the Laplace approximation, and some hundred
steps take it from the mode to where the mass is. In the prior's own coordinates ten times as many did not get it there.
"""

from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from mmm_jax.errors import SamplingError, SpecError
from mmm_jax.inference.approximate import Approximated, Group, Proposals, approximate_many, defended, padding_log_density
from mmm_jax.inference.metric import AbstractWhitening
from mmm_jax.inference.programs import compiled, linear_algebra
from mmm_jax.inference.samples import LogDensity, Progress, SamplerSettings

Guide = Literal["multivariate_normal", "normal", "low_rank_multivariate_normal"]
"""NumPyro's `AutoMultivariateNormal`, `AutoDiagonalNormal` and `AutoLowRankMultivariateNormal`."""

_LAST_RATE = 0.02
"""Share of the learning rate that is left at the end."""


@dataclass(frozen=True)
class SVI:
    """How a variational approximation is fitted.

    Attributes:
        guide: family of the approximation in whitened coordinates. Even the `normal` one, without correlations there, has
            those of the mode's curvature.
        num_steps: of Adam, whose learning rate falls along half a cosine.
        learning_rate: the first one, in posterior standard deviations.
        num_particles: draws per step that estimate the evidence lower bound.

    Raises:
        SpecError: an unknown guide, or a number out of range.

    Reference:
        Kucukelbir et al. (2017), Automatic Differentiation Variational Inference.
    """

    guide: Guide = "multivariate_normal"
    num_steps: int = 1000
    learning_rate: float = 0.01
    num_particles: int = 8

    def __post_init__(self) -> None:
        if self.guide not in get_args(Guide):
            raise SpecError(f"guide must be one of {', '.join(get_args(Guide))}; got {self.guide!r}.")
        for name, least in (("num_steps", 10), ("num_particles", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SpecError(f"{name} must be a whole number of at least {least}, got {value!r}.")
        rate: Any = self.learning_rate
        if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 < rate < 1:
            raise SpecError(f"learning_rate must lie between 0 and 1, got {rate!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def sample_many(
    log_density: LogDensity,
    data: Any,
    keys: Array,
    settings: SamplerSettings,
    active: np.ndarray,
    *,
    svi: SVI | None = None,
    progress: Progress | None = None,
) -> list[Approximated | SamplingError]:
    """Draws from a variational approximation of many fits of one shape, reweighed; else as `approximate.sample_many`.

    Args:
        log_density: `log_density(flat, data)`; a module-level function, so that its programs are kept.
        data: pytree of arrays with the fits as first axis.
        keys: one random key per fit; a fit's draws depend on its own key, data and settings only.
        settings: chains and draws; there is no warm-up.
        active: 1 for the coordinates that move, 0 for those that are padding and stay 0, shape (fit, flat).
        svi: how the approximation is fitted.
        progress: called at the end.
    """
    propose = partial(_proposals, svi or SVI())
    return approximate_many(log_density, data, keys, settings, active, propose, progress=progress)


def _proposals(svi: SVI, log_density: LogDensity, group: Group, count: int) -> Proposals:
    program = compiled(_program(log_density, svi, count), *group)
    # Guides with a covariance factorise it.
    with linear_algebra:
        return Proposals(*jax.block_until_ready(program(*group)))


@lru_cache(maxsize=16)
def _program(log_density: LogDensity, svi: SVI, count: int) -> Any:
    def one_fit(data: Any, keys: Array, active: Array, whitening: AbstractWhitening) -> tuple[Array, Array, Array]:
        return _fitted(log_density, svi, count, Group(data, keys, active, whitening))

    return jax.jit(jax.vmap(one_fit))


def _fitted(log_density: LogDensity, svi: SVI, count: int, group: Group) -> tuple[Array, Array, Array]:
    """Proposals, their log density, and the evidence lower bound by step, of one fit without its axis."""
    import numpyro
    from numpyro.infer import SVI as NumpyroSVI
    from numpyro.infer import Trace_ELBO

    # Made anew in each trace: guides remember arrays of the trace that they were first called in.
    model = partial(_model, log_density, group)
    guide = _guide(svi.guide, model, jnp.zeros_like(group.active))
    rate = optax.cosine_decay_schedule(svi.learning_rate, svi.num_steps, alpha=_LAST_RATE)
    optimizer = numpyro.optim.optax_to_numpyro(optax.adam(rate))
    engine = NumpyroSVI(model, guide, optimizer, Trace_ELBO(num_particles=svi.num_particles))
    key_fit, key_draw = jax.random.split(jax.random.fold_in(group.keys, 0))
    # A step whose bound is not finite is not taken.
    state, losses = jax.lax.scan(lambda state, _: engine.stable_update(state), engine.init(key_fit), length=svi.num_steps)
    found: Any = guide.get_posterior(engine.get_params(state)).to_event()
    draw = lambda key, count: found.sample(key, (count,))  # noqa: E731
    return *defended(key_draw, count, group.active, draw, found.log_prob), -losses


def _model(log_density: LogDensity, group: Group) -> None:
    import numpyro
    import numpyro.distributions as dist

    active = group.active
    u = jnp.asarray(numpyro.sample("u", dist.ImproperUniform(dist.constraints.real_vector, (), active.shape)))
    one = jax.tree.map(lambda values: values[None], group.whitening)
    flat = one.to_flat((u * active)[None])[0]
    numpyro.factor("density", log_density(flat, group.data) + padding_log_density(u, active))


def _guide(name: Guide, model: Any, start: Array) -> Any:
    from numpyro.infer import autoguide
    from numpyro.infer.initialization import init_to_value

    kinds = {
        "multivariate_normal": autoguide.AutoMultivariateNormal,
        "normal": autoguide.AutoDiagonalNormal,
        "low_rank_multivariate_normal": autoguide.AutoLowRankMultivariateNormal,
    }
    return kinds[name](model, init_loc_fn=init_to_value(values={"u": start}), init_scale=1.0)
