"""The share of media that a prior means: against counterfactual means, and said aloud where it cannot be."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.data.geo_scaling import scales_of
from mmm_jax.errors import SpecError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.model.geo import GeoMMM

ADSTOCK = mj.GeometricAdstock(l_max=3)
NARROW = {"saturation_beta": dist.HalfNormal(0.02), "intercept": dist.Normal(0.0, 0.1)}


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=61).panel.hold_out("2014-12-07", "2014-12-28")


def lost_without_media(market, params):
    """Expected target with all spend, minus with none."""
    mu, none = market.mean(params), market.mean(params, jnp.zeros_like(market.media))
    return market.expectation(mu, params) - market.expectation(none, params)


@pytest.mark.parametrize("name", ["additive", "log link", "geos"])
def test_shares_are_counterfactual_means_over_the_outcome(name, panel):
    rows = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=60).panel if name == "geos" else panel
    likelihood = mj.LogNormal() if name == "log link" else mj.Normal()
    spec = mj.ModelSpec(adstock=ADSTOCK, likelihood=likelihood, priors=NARROW)
    tree = mj.sample_prior(rows, spec, num_samples=3, precision="float64")
    counted = rows.observed if name == "geos" else rows.counted
    with precision_scope("float64"):
        model = build_any_model(spec, rows, scales_of(rows, scale="geo", standardize_controls=False))
        draw = {key: jnp.asarray(values.to_numpy()[0, 1]) for key, values in tree["prior"].items()}
        if isinstance(model, GeoMMM):
            lost = jax.jit(lambda one: one.everywhere(lost_without_media, draw))(model)
        else:
            lost = jax.jit(lost_without_media)(model, draw)
    expected = np.asarray(lost)[counted].sum() / rows.target[counted].sum()
    found = tree["prior_media"].to_dataset()
    np.testing.assert_allclose(found["media_share"][0, 1], expected, rtol=1e-9)
    assert isinstance(model, GeoMMM) == ("geo_share" in found)
    if name != "log link":
        np.testing.assert_allclose(found["channel_share"].sum("channel"), found["media_share"], rtol=1e-9)
    assert list(found["media_share_quantiles"]["quantile"]) == [0.05, 0.25, 0.5, 0.75, 0.95]


def test_an_impossible_prior_is_named_with_its_largest_channels(panel):
    """Two channels are thought to bring twice the sales; a bound of 1 never warns, and the draws are the same."""
    effect = np.full(7, 0.01)
    effect[[2, 6]] = 3.0, 4.0
    spec = mj.ModelSpec(adstock=ADSTOCK, priors={**NARROW, "saturation_beta": dist.LogNormal(np.log(effect), 0.1)})
    words = r"probability 1.00 .* Most comes from TV \(.*\), Newspaper \(.*SpendShare\(scale=1.0\)"
    with pytest.warns(mj.PriorWarning, match=words):
        loud = mj.sample_prior(panel, spec, num_samples=20)
    shares = replace(spec, priors={**NARROW, "saturation_beta": mj.SpendShare(1.5)})
    with pytest.warns(mj.PriorWarning, match=r"SpendShare\(scale=0.75\)"):
        mj.sample_prior(panel, shares, num_samples=100, max_excess_probability=0.0)
    quiet = mj.sample_prior(panel, spec, num_samples=20, max_excess_probability=1.0)
    assert loud["prior"].to_dataset().identical(quiet["prior"].to_dataset())
    with pytest.raises(SpecError, match="max_excess_probability must lie between 0 and 1, got 1.5"):
        mj.sample_prior(panel, spec, max_excess_probability=1.5)
