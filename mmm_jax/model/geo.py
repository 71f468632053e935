"""The model of many geos: the one market's equation in each, with parameters that may differ over them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from mmm_jax.model.components import Params
from mmm_jax.model.experiments import ExperimentRows
from mmm_jax.model.horseshoe import with_coefficients
from mmm_jax.model.likelihoods import AbstractLikelihood
from mmm_jax.model.mmm import MMM, AbstractMMM
from mmm_jax.model.pooling import Pooled, shifted


class GeoMMM(AbstractMMM):
    """Markets side by side; a pytree, so that one program serves all fits.

    Built by `mmm_jax.model.build.build_geo_model`.

    Attributes:
        markets: models of one market each, with the geos as first axis of every array, and without priors of their own.
        prior_arguments: of every parameter's prior, by the parameter's name, in the parameter's shape.
        prior_families: name and NumPyro family of every parameter's prior.
        pooling: how every parameter differs over the geos.
        experiments: measurements that the density has a term of; `None` where there are none.
    """

    markets: MMM
    prior_arguments: dict[str, dict[str, Array]]
    prior_families: tuple[tuple[str, type[dist.Distribution]], ...] = eqx.field(static=True)
    pooling: tuple[Pooled, ...] = eqx.field(static=True)
    experiments: ExperimentRows | None = None

    @property
    def likelihood(self) -> AbstractLikelihood:
        """Of every market."""
        return self.markets.likelihood

    @property
    def row_weights(self) -> Float[Array, "geo time"] | None:
        """To which power the likelihood of every row counts; `None` if all count in full."""
        return self.markets.observed

    @property
    def windows(self) -> Float[Array, "geo channel lag time"]:
        """Spend laid out by lag, of every market."""
        return self.markets.windows

    def by_geo(self, params: Params) -> Params:
        """One market's parameters, with the geos as first axis of those that differ over them.

        Args:
            params: one draw; what it lacks, such as the intercept where only media are asked for, is left out.
        """
        found = {}
        for name, _, how, link, _ in self.pooling:
            if how == "partial" and f"{name}_eps" in params:
                low, high = self._bounds(name)
                deviation = params[f"{name}_eta"] * params[f"{name}_eps"]
                found[name] = shifted(params[name], deviation, link, low, high)
            elif how != "partial" and name in params:
                found[name] = params[name]
        return found

    def _bounds(self, name: str) -> tuple[Array, Array]:
        arguments = self.prior_arguments[name]
        return arguments.get("low", jnp.zeros(())), arguments.get("high", jnp.ones(()))

    def completed(self, params: Params) -> Params:
        """The parameters with those that follow from others, in every geo on their own."""
        params = with_coefficients(params)
        derived = [part.name for part in self.pooling if part.derived]
        if not derived:
            return params
        made = self.everywhere(MMM.completed, params)
        return {**params, **{name: made[name] for name in derived}}

    def media_total(self, params: Params) -> Float[Array, "geo time"]:
        """Summed effect of all channels, in units of the scaled target."""
        return self.everywhere(MMM.media_total, params)

    def mean(self, params: Params) -> Float[Array, "geo time"]:
        """Linear predictor `mu` of the scaled target."""
        return self.everywhere(MMM.mean, params)

    def log_likelihood(
        self, params: Params, media_total: Float[Array, "geo time"] | None = None
    ) -> Float[Array, "geo time"]:
        """Log density of the scaled target per row; 0 in rows that do not count."""
        media = self.media_total(params) if media_total is None else media_total
        return self.everywhere(MMM.log_likelihood, params, media)

    def predicted_experiments(self, params: Params) -> Float[Array, " row"]:
        """What the model says of every experiment, see `ExperimentRows.predicted`; empty where there are none."""
        if self.experiments is None:
            return jnp.zeros(0)
        return self.experiments.predicted(self.everywhere(MMM.answer, params), self.markets.parts)

    def everywhere(self, function: Callable[..., Any], params: Params, *arguments: Any) -> Any:
        """`function(market, its parameters, *arguments)` of every market.

        Args:
            function: of the model of one market and one draw of its parameters.
            params: one draw of all parameters.
            arguments: further arrays with the geos as first axis.

        Returns:
            What the function returns, with the geos as first axis.
        """
        own = self.by_geo(params)
        axes = {part.name: None if part.how == "complete" else 0 for part in self.pooling if part.name in own}
        return jax.vmap(function, (0, axes, *(0 for _ in arguments)))(self.markets, own, *arguments)

    def numpyro_model(self) -> Callable[[], None]:
        """The same model as a NumPyro function, for NumPyro's own samplers and guides."""

        def model() -> None:
            params = {
                name: jnp.asarray(numpyro.sample(name, prior.to_event(len(prior.batch_shape))))
                for name, prior in self.priors.items()
            }
            params = self.completed(params)
            numpyro.deterministic("mu", self.mean(params))
            numpyro.factor("likelihood", self.log_likelihood_sum(params))
            if self.experiments is not None:
                numpyro.factor("experiments", self.log_experiments(params))

        return model
