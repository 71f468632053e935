"""The model: one equation of the mean, one log density, over arrays that are arguments and never closed over."""

import abc
from collections.abc import Callable
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from mmm_jax.model.components import Params
from mmm_jax.model.experiments import Answer, ExperimentRows
from mmm_jax.model.gaussian_process import AbstractMultiplier
from mmm_jax.model.horseshoe import with_coefficients
from mmm_jax.model.likelihoods import AbstractLikelihood
from mmm_jax.model.media import Parts, effect_places, filled, joined, joined_weights, saturated
from mmm_jax.model.reach import AverageFrequency
from mmm_jax.model.returns import with_effects
from mmm_jax.model.trends import AbstractTrend

_WAVES = ("fourier", "monthly", "weekly")
"""What the names of the waves' coefficients end in, in the order of their rows: of the year, the month, the week."""


class AbstractMMM(eqx.Module):
    """What a model of one market and one of many have in common: priors as data, and a likelihood per row."""

    prior_arguments: eqx.AbstractVar[dict[str, dict[str, Array]]]
    prior_families: eqx.AbstractVar[tuple[tuple[str, type[dist.Distribution]], ...]]
    experiments: eqx.AbstractVar[ExperimentRows | None]

    @property
    def priors(self) -> dict[str, dist.Distribution]:
        """By parameter name, with batch shapes equal to the parameters' shapes.

        Made when asked for: as part of a pytree, a distribution's arguments come in another order in every process, and no
        program of an earlier one would be found again.
        """
        return {name: family(**self.prior_arguments[name]) for name, family in self.prior_families}

    @abc.abstractmethod
    def log_likelihood(self, params: Params, media_total: Float[Array, "*rows"] | None = None) -> Float[Array, "*rows"]:
        """Log density of the scaled target per row, whatever its power.

        Args:
            params: one draw.
            media_total: what the method of this name gives for it, where it is known already.
        """

    @property
    @abc.abstractmethod
    def row_weights(self) -> Float[Array, "*rows"] | None:
        """To which power the likelihood of every row counts; `None` if all count in full."""

    def log_likelihood_sum(self, params: Params, media_total: Float[Array, "*rows"] | None = None) -> Float[Array, ""]:
        """Log density of the scaled target over all rows, each as far as it counts; see `log_likelihood`."""
        density = self.log_likelihood(params, media_total)
        return density.sum() if self.row_weights is None else jnp.sum(self.row_weights * density)

    @abc.abstractmethod
    def media_total(self, params: Params) -> Float[Array, "*rows"]:
        """Summed effect of all channels, in units of the scaled target."""

    @abc.abstractmethod
    def completed(self, params: Params) -> Params:
        """The parameters with those that follow from others."""

    @abc.abstractmethod
    def predicted_experiments(self, params: Params) -> Float[Array, " row"]:
        """What the model says of every experiment, see `ExperimentRows.predicted`; empty where there are none."""

    def log_experiments(self, params: Params) -> Float[Array, ""]:
        """Log density of what the experiments measured; 0 where there are none."""
        if self.experiments is None:
            return jnp.zeros(())
        return self.experiments.log_density(self.predicted_experiments(params))

    def log_density(self, params: Params) -> Float[Array, ""]:
        """Joint log density of the priors, the scaled target and the experiments at constrained parameters."""
        return sum(self.log_density_terms(params).values(), start=jnp.zeros(()))

    def log_density_terms(self, params: Params) -> dict[str, Float[Array, ""]]:
        """Summed log density of every parameter's prior, by its name, and of the target under `likelihood`.

        With experiments, theirs is under `experiments`.
        """
        terms = {name: jnp.sum(prior.log_prob(params[name])) for name, prior in self.priors.items()}
        complete = self.completed(params)
        terms["likelihood"] = self.log_likelihood_sum(complete)
        return terms if self.experiments is None else terms | {"experiments": self.log_experiments(complete)}

    def sample_prior(self, key: Array) -> Params:
        """One draw of all parameters from their priors."""
        priors, keys = self.priors, jax.random.split(key, len(self.prior_families))
        # Sorted, as a pytree's dictionary is: the draws do not depend on the order in which the spec names the priors.
        drawn = {name: jnp.asarray(priors[name].sample(k)) for name, k in zip(sorted(priors), keys, strict=True)}
        return self.completed(drawn)


class MMM(AbstractMMM):
    """A marketing-mix model over one market's rows, everything scaled; a pytree, so that one program serves all fits.

    Built by `mmm_jax.model.build.build_model`. Every method takes one draw of the parameters; callers `vmap`.

    Attributes:
        parts: how media work; one for all channels, or one for each group of channels.
        multiplier: of all media by date, with its basis over the model's rows, its basis over the training rows, and which
            of these its mean is taken over; `None` where media work the same at all times.
        media: scaled spend, shape (channel, history + time): `history` rows of carry-in, then the model's own rows.
        windows: the same spend laid out by lag, shape (channel, lag, time); 0 for channels with frequency.
        design: everything that acts linearly, in one array for one product: controls, waves of the calendar, the trend's
            basis and events, shape (regressor, time).
        target: scaled target, shape (time,); `None` where it is not known.
        observed: 1 for rows that count, 0 for padding, in between for rows whose likelihood counts to this power, shape
            (time,); `None` if all count in full.
        channel_scale: currency per unit of `media`, shape (channel,).
        target_scale: units of the target per unit of `target`.
        prior_arguments: of every parameter's prior, by the parameter's name, in the parameter's shape.
        prior_families: name and NumPyro family of every parameter's prior.
        return_units: contribution over all training rows, in scaled target, per unit of the return that the prior is stated
            on, shape (channel,); `None` where it is stated on the effect.
        return_rows: 1 for the rows that count in that return, shape (time,).
        media_prior: what the prior is stated on.
        history: rows of `media` that lie before the first row of the model.
        experiments: measurements that the density has a term of; `None` where there are none.
        frequency: average frequency of the channels whose media are people reached; `None` where there are none.
    """

    parts: Parts
    trend: AbstractTrend | None
    multiplier: AbstractMultiplier | None
    multiplier_basis: Float[Array, "wave time"] | None
    training_waves: Float[Array, "wave training"] | None
    training_rows: Float[Array, " training"] | None
    likelihood: AbstractLikelihood
    media: Float[Array, "channel history_time"]
    windows: Float[Array, "channel lag time"]
    design: Float[Array, "regressor time"]
    target: Float[Array, " time"] | None
    observed: Float[Array, " time"] | None
    channel_scale: Float[Array, " channel"]
    target_scale: Float[Array, ""]
    prior_arguments: dict[str, dict[str, Array]]
    prior_families: tuple[tuple[str, type[dist.Distribution]], ...] = eqx.field(static=True)
    return_units: Float[Array, " channel"] | None
    return_rows: Float[Array, " time"] | None
    media_prior: str = eqx.field(static=True)
    history: int = eqx.field(static=True)
    experiments: ExperimentRows | None = None
    frequency: AverageFrequency | None = None

    @property
    def row_weights(self) -> Float[Array, " time"] | None:
        """To which power the likelihood of every row counts; `None` if all count in full."""
        return self.observed

    @property
    def l_max(self) -> int:
        """Length of the longest adstock window."""
        return self.windows.shape[-2]

    def completed(self, params: Params) -> Params:
        """The parameters with those that follow from others.

        The effects, where the prior is stated on a return; the controls' coefficients, where most of them are shrunk.
        """
        params = with_coefficients(params)
        if self.return_units is None:
            return params
        return with_effects(self, params, self.media_prior, effect_places(self.parts))

    def mean(self, params: Params, media: Float[Array, "channel history_time"] | None = None) -> Float[Array, " time"]:
        """Linear predictor `mu` of the scaled target.

        Args:
            params: one draw.
            media: other scaled spend of the same shape as `self.media`, for counterfactuals.
        """
        return self.baseline(params) + self.media_total(params, media)

    def baseline(self, params: Params) -> Float[Array, " time"]:
        """Everything but media: intercept, controls, seasonality, trend and events."""
        return params["intercept"] + jnp.concatenate([*self._coefficients(params).values()]) @ self.design

    def baseline_parts(self, params: Params) -> dict[str, Array]:
        """The parts of the baseline.

        Returns:
            `intercept` (), `controls` (control, time), `seasonality` and `trend` (time,), `events` (event, time).
        """
        coefficients, start, terms = self._coefficients(params), 0, {}
        for name, values in coefficients.items():
            terms[name] = values[:, None] * self.design[start : start + len(values)]
            start += len(values)
        return {
            "intercept": params["intercept"],
            "controls": terms["controls"],
            "seasonality": terms["seasonality"].sum(axis=0),
            "trend": terms["trend"].sum(axis=0),
            "events": terms["events"],
        }

    def _coefficients(self, params: Params) -> dict[str, Array]:
        """Coefficients of the rows of `design`, in their order; empty for what the model does not have."""
        none = jnp.zeros(0, self.design.dtype)
        return {
            "controls": params["gamma_control"],
            "seasonality": jnp.concatenate([params.get(f"gamma_{name}", none) for name in _WAVES]),
            "trend": none if self.trend is None else self.trend.coefficients(params),
            "events": params.get("gamma_event", none),
        }

    def media_total(
        self, params: Params, media: Float[Array, "channel history_time"] | None = None
    ) -> Float[Array, " time"]:
        """Summed effect of all channels, in units of the scaled target."""
        if not any(part.adstock_first for part in self.parts):
            return self.media_effects(params, media).sum(axis=0)
        totals = [part.total(params, *self._spend(media), self.history) for part in self.parts]
        if self.frequency is not None:
            totals = [*totals, self._reach_effects(params, media).sum(axis=0)]
        return self._multiplied(reduce(jnp.add, totals), params)

    def media_effects(
        self, params: Params, media: Float[Array, "channel history_time"] | None = None
    ) -> Float[Array, "channel time"]:
        """Effect of each channel, in units of the scaled target.

        Args:
            params: one draw.
            media: other scaled spend; it may be longer than the model's, the effects then are as well.
        """
        effects = [part.effects(params, *self._spend(media), self.history) for part in self.parts]
        every = joined(self.parts, effects)
        if self.frequency is not None:
            every = every.at[self.frequency.places].set(self._reach_effects(params, media))
        return self._multiplied(every, params)

    def _spend(self, media: Array | None) -> tuple[Array, Array | None]:
        """Spend, and how it is laid out by lag where that is known; 0 for channels with frequency."""
        spend = self.media if media is None else media
        others = spend if self.frequency is None else self.frequency.others(spend)
        return others, self.windows if media is None else None

    def _reach_effects(self, params: Params, media: Float[Array, "channel history_time"] | None) -> Float[Array, "own time"]:
        """Effect of the channels with frequency."""
        if self.frequency is None:
            return jnp.zeros((0, self.windows.shape[-1]), self.windows.dtype)
        reach = self.media if media is None else media
        return self.frequency.effects(reach, self.reach_responses(params), self.weights(params))[..., self.history :]

    def reach_responses(
        self, params: Params, frequency: Float[Array, "own point"] | None = None
    ) -> Float[Array, "own history_time"] | Float[Array, "own point"]:
        """Effect of one unit of scaled reach before carry-over, of the channels with frequency: saturation acts on that.

        Args:
            params: one draw.
            frequency: other scaled frequencies.
        """
        if self.frequency is None:
            return jnp.zeros((0, self.media.shape[-1]), self.media.dtype)
        scaled = self.frequency.scaled if frequency is None else frequency
        of_all = jnp.zeros((self.media.shape[0], scaled.shape[-1]), scaled.dtype).at[self.frequency.places].set(scaled)
        return saturated(self.parts, params, of_all)[self.frequency.places]

    def _multiplied(self, effects: Float[Array, "*channel time"], params: Params) -> Float[Array, "*channel time"]:
        """Effects times the date's multiplier; after the model's rows, the last one holds."""
        if self.multiplier is None:
            return effects
        values = self.media_multiplier(params)
        return effects * jnp.pad(values, (0, effects.shape[-1] - values.shape[0]), mode="edge")

    def media_multiplier(self, params: Params) -> Float[Array, " time"]:
        """How much stronger than usual media work on each date; 1 without a multiplier."""
        basis, training, rows = self.multiplier_basis, self.training_waves, self.training_rows
        if self.multiplier is None or basis is None or training is None or rows is None:
            return jnp.ones(self.windows.shape[-1], self.windows.dtype)
        return self.multiplier.values(params, basis, training, rows)

    def weights(self, params: Params) -> Float[Array, "channel lag"]:
        """Adstock weights of every channel."""
        return joined_weights(self.parts, params, self.media.shape[0], self.l_max)

    def expectation(self, mu: Float[Array, "*shape"], params: Params) -> Float[Array, "*shape"]:
        """Expected target in its own units, given the linear predictor."""
        return self.target_scale * self.likelihood.expectation(mu, params)

    def log_likelihood(self, params: Params, media_total: Float[Array, " time"] | None = None) -> Float[Array, " time"]:
        """Log density of the scaled target per row; 0 in rows that do not count."""
        if self.target is None:
            raise ValueError("A model without a target has no likelihood.")
        media = self.media_total(params) if media_total is None else media_total
        density = self.likelihood.log_density(self.target, self.baseline(params) + media, params, self.target_scale)
        return density if self.observed is None else jnp.where(self.observed > 0, density, 0.0)

    def answer(self, params: Params) -> Answer:
        """What experiments need to know of the model at one draw, without an axis of geos."""
        additive = self.likelihood.additive
        expected = jnp.asarray(self.target_scale) if additive else self.expectation(self.mean(params), params)
        strength = None if self.multiplier is None else self.media_multiplier(params)
        channels = self.media.shape[0]
        arguments = (tuple(filled(part, one, channels) for one in part.arguments(params)) for part in self.parts)
        return Answer(self.weights(params), tuple(arguments), expected, strength)

    def predicted_experiments(self, params: Params) -> Float[Array, " row"]:
        """What the model says of every experiment, see `ExperimentRows.predicted`; empty where there are none."""
        if self.experiments is None:
            return jnp.zeros(0)
        answer = jax.tree.map(lambda values: values[None], self.answer(params))
        return self.experiments.predicted(answer, self.parts)

    def numpyro_model(self) -> Callable[[], None]:
        """The same model as a NumPyro function, for NumPyro's own samplers, guides and predictives."""

        def model() -> None:
            params = {
                name: jnp.asarray(numpyro.sample(name, prior.to_event(len(prior.batch_shape))))
                for name, prior in self.priors.items()
            }
            params = self.completed(params)
            mu = self.mean(params)
            numpyro.deterministic("mu", mu)
            counted = jnp.ones(mu.shape[0]) if self.observed is None else self.observed
            # A scale must be positive, where a mask may leave out.
            scale, mask = jnp.where(counted > 0, counted, 1.0), counted > 0
            with numpyro.plate("date", mu.shape[0]), numpyro.handlers.scale(scale=scale), numpyro.handlers.mask(mask=mask):
                numpyro.sample("y", self.likelihood.distribution(mu, params, self.target_scale), obs=self.target)
            if self.experiments is not None:
                numpyro.factor("experiments", self.log_experiments(params))

        return model
