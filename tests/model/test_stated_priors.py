"""Priors that users state for geos: of the spread, of every geo on its own, and of returns by channel and geo."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.analysis.contributions import channel_totals
from mmm_jax.errors import SpecError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_geo_model, resolved_priors

ADSTOCK = mj.GeometricAdstock(l_max=3)
GEOS, CHANNELS = 3, 2
MEANS = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
"""Of every geo and channel."""


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_geo_market(geos=GEOS, channels=CHANNELS, weeks=60).panel


def log_normal(means: np.ndarray, deviation: float = 0.1) -> dist.LogNormal:
    return dist.LogNormal(np.log(means) - 0.5 * deviation**2, deviation)


def drawn(spec, panel, count: int = 400):
    """Draws of the stated parameters, by the model's own priors, and the standard error of a mean of theirs."""
    model = build_geo_model(spec, panel, mj.GeoScales.from_panel(panel))
    keys = jax.random.split(jax.random.key(0), len(model.prior_families))
    return {name: np.asarray(model.priors[name].sample(key, (count,))) for name, key in zip(spec.priors, keys, strict=False)}


def assert_means(draws: np.ndarray, expected: np.ndarray) -> None:
    assert draws.shape[1:] == np.shape(expected)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - expected) < 4.5 * error).all()


def test_the_spread_of_geos_may_be_stated(panel):
    """Of the spread by channel, and of the geos' places in it, so that one geo is thought above the others."""
    places = np.array([[1.0], [0.0], [-1.0]]) * np.ones(CHANNELS)
    priors = {"saturation_beta_eta": log_normal(np.array([0.2, 0.7])), "saturation_beta_eps": dist.Normal(places, 0.5)}
    found = drawn(mj.ModelSpec(adstock=ADSTOCK, priors={**priors, "intercept_eta": dist.HalfNormal(0.1)}), panel)
    assert_means(found["saturation_beta_eta"], np.array([0.2, 0.7]))
    assert_means(found["saturation_beta_eps"], places)
    assert_means(found["intercept_eta"], np.sqrt(2.0 / np.pi) * 0.1)


def test_every_geo_may_have_its_own_prior(panel):
    spec = mj.ModelSpec(
        adstock=ADSTOCK,
        pooling=dict.fromkeys(("intercept", "saturation_beta", "y_sigma", "saturation_lam"), "none"),
        priors={
            "intercept": dist.Normal(np.array([0.1, 0.5, 0.9]), 0.05),
            "saturation_beta": log_normal(MEANS),
            "saturation_lam": log_normal(MEANS[:, :1]),
            "y_sigma": log_normal(MEANS[:, 0]),
        },
    )
    found = drawn(spec, panel)
    for name, expected in (("saturation_beta", MEANS), ("saturation_lam", MEANS[:, [0, 0]]), ("y_sigma", MEANS[:, 0])):
        assert_means(found[name], expected)
    assert_means(found["intercept"], np.array([0.1, 0.5, 0.9]))
    assert mj.ModelSpec.from_dict(spec.to_dict()) == spec


def test_returns_may_be_stated_by_channel_and_geo(panel):
    """The return that the model reports has the stated mean in every geo."""
    spec = mj.ModelSpec(
        adstock=ADSTOCK, media_prior="roas", pooling={"roas": "none"}, priors={"roas": log_normal(10.0 * MEANS)}
    )
    with precision_scope("float64"):
        model = build_geo_model(spec, panel, mj.GeoScales.from_panel(panel))

        @jax.jit
        def reported(keys, model):
            totals = lambda market, own: channel_totals(market, own, jnp.ones(60))  # noqa: E731
            return jax.vmap(lambda key: model.everywhere(totals, model.sample_prior(key)))(keys)

        returns = reported(jax.random.split(jax.random.key(1), 200), model) / panel.spend.sum(axis=2).T
    assert_means(np.asarray(returns), 10.0 * MEANS)


WRONG = {
    "geo by geo": ("saturation_beta", "none", (3,), r"\(geo: 3, channel: 2\). .*\(2,\) by channel, \(3, 1\) by geo"),
    "one number": ("intercept", "complete", (3,), r"it is one number. Every geo's own prior needs .*'intercept': 'none'"),
    "not pooled so": ("saturation_beta", "partial", (3, 2), r"\(channel: 2\).* needs ModelSpec.pooling=.*'none'"),
    "too many": ("intercept", "none", (4,), r"shape \(4,\), which does not fit the parameter's shape \(geo: 3\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_name_dimensions_and_sizes(name, panel):
    parameter, how, shape, words = WRONG[name]
    spec = mj.ModelSpec(adstock=ADSTOCK, pooling={parameter: how}, priors={parameter: dist.HalfNormal(np.ones(shape))})
    with pytest.raises(SpecError, match=words):
        resolved_priors(spec, panel)


@pytest.mark.parametrize("prior", [dist.Normal(0.0, 1.0), dist.Uniform(-1.0, 1.0)])
def test_a_spread_is_positive(prior):
    with pytest.raises(SpecError, match="'intercept_eta', by which geos scatter, must be of positive values only"):
        mj.ModelSpec(priors={"intercept_eta": prior})
