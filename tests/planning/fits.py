"""Fits without sampling: prior draws over a synthetic market stand in for a posterior."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import mmm_jax as mj
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model
from mmm_jax.model.components import Params
from mmm_jax.model.mmm import MMM
from mmm_jax.planning.horizon import horizon_panel

WEEKS = 80
HORIZON = 13

_S_SHAPED = {"saturation_slope": dist.Gamma(300.0, 100.0), "saturation_kappa": dist.LogNormal(-0.5, 0.05)}
_LOG_LINK = {
    "intercept": dist.Normal(-1.0, 0.1),
    "saturation_beta": dist.HalfNormal(0.3),
    "gamma_control": dist.Normal(0.0, 0.05),
    "y_sigma": dist.HalfNormal(0.2),
}
_GEOMETRIC = mj.GeometricAdstock(l_max=4)
_LATE = mj.MediaGroup(("Insert",), adstock=mj.DelayedAdstock(l_max=6), adstock_first=False)
_STEADY = mj.MediaGroup(("Online Display",), adstock=mj.NoAdstock(), saturation=mj.NoSaturation())

SPECS = {
    "logistic": mj.ModelSpec(adstock=_GEOMETRIC, likelihood=mj.TruncatedNormal()),
    "logistic, saturation first": mj.ModelSpec(adstock=_GEOMETRIC, adstock_first=False, likelihood=mj.TruncatedNormal()),
    "linear": mj.ModelSpec(adstock=mj.DelayedAdstock(l_max=4), saturation=mj.NoSaturation()),
    "root": mj.ModelSpec(adstock=mj.NoAdstock(), saturation=mj.RootSaturation()),
    "hill": mj.ModelSpec(adstock=_GEOMETRIC, saturation=mj.HillSaturation(), adstock_first=False),
    "s-shaped": mj.ModelSpec(adstock=_GEOMETRIC, saturation=mj.HillSaturation(), priors=_S_SHAPED),
    "log link": mj.ModelSpec(adstock=_GEOMETRIC, likelihood=mj.LogNormal(), priors=_LOG_LINK, yearly_seasonality=1),
    "log link, saturation first": mj.ModelSpec(
        adstock=_GEOMETRIC, adstock_first=False, likelihood=mj.LogNormal(), priors=_LOG_LINK
    ),
    "groups": mj.ModelSpec(adstock=_GEOMETRIC, groups=(_LATE, _STEADY)),
}
"""Every way in which spend becomes a response: link, curve, order, with and without carry-over, and several at once."""

COUPLED = {
    "log link, groups": mj.ModelSpec(adstock=_GEOMETRIC, groups=(_LATE,), likelihood=mj.LogNormal(), priors=_LOG_LINK)
}
"""Both orders in one model whose channels multiply."""

DIAGNOSTICS = Diagnostics(
    max_rhat=1.0,
    min_ess_bulk=1e4,
    min_ess_tail=1e4,
    divergences=0,
    min_ebfmi=1.0,
    saturated=0,
    mean_acceptance=0.9,
    mean_leapfrogs=7.0,
    step_size=(0.1, 0.1),
    num_chains=2,
    num_samples=5000,
    worst="intercept",
    engine="prior draws",
)


@cache
def market(weeks: int, channels: int = 4, controls: int = 2) -> mj.Panel:
    """The first channels and controls of a synthetic market."""
    panel = mj.synthetic.make_market(weeks=weeks).panel
    return replace(
        panel,
        spend=panel.spend[:channels],
        channels=panel.channels[:channels],
        controls=panel.controls[:controls],
        control_names=panel.control_names[:controls],
    )


@cache
def prior_draws(name: str, seed: int) -> dict[str, np.ndarray]:
    """Draws of all parameters of a spec over the whole market, in 2 chains of 5."""
    spec, panel = (SPECS | COUPLED)[name], market(WEEKS)
    with precision_scope("float64"):
        model = build_model(spec, panel, mj.Scales.from_panel(panel))
        # Not jitted: JAX's samplers are compiled once each, and then serve all specs.
        sampled = jax.vmap(model.sample_prior)(jax.random.split(jax.random.key(seed), 10))
    return {key: np.asarray(value).reshape(2, 5, *value.shape[1:]) for key, value in sampled.items()}


@cache
def fit_from_prior(name: str = "logistic", *, channels: int = 4, seed: int = 0) -> mj.Fit:
    """A fit of the first channels; equal arguments give the same object."""
    spec, panel = (SPECS | COUPLED)[name], market(WEEKS, channels)
    per_channel = [key for key, dims in spec.parameter_dims.items() if dims == ("channel",)]
    draws = prior_draws(name, seed)
    draws = draws | {key: draws[key][..., :channels] for key in per_channel}
    stats = {"diverging": np.zeros((2, 5), bool)}
    return mj.Fit(spec, panel, mj.Scales.from_panel(panel), draws, stats, DIAGNOSTICS, "float64")


@cache
def planned_rows(channels: int = 4, weeks: int = HORIZON) -> mj.Panel:
    """The weeks right after the training rows, with their controls; spend and target are of no account."""
    return market(WEEKS + weeks, channels).take(slice(WEEKS, None))


def over_horizon(fit: mj.Fit, *, carry_in: bool = True) -> tuple[MMM, Params]:
    """The model over the weeks to plan and all draws; call it in double precision."""
    model = fit.model(horizon_panel(fit, planned_rows(len(fit.panel.channels))), carry_in=carry_in)
    return model, {name: jnp.asarray(values) for name, values in fit.flat_draws().items()}


def usual_total(fit: mj.Fit) -> float:
    """What was spent over the last weeks of training, as many as are planned."""
    return float(fit.panel.spend[:, -HORIZON:].sum())
