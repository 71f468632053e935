"""Priors on returns: the stated return is the one that the fitted model reports, and the density is the prior's on it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from helpers import quick_fit

import mmm_jax as mj
from mmm_jax.analysis.contributions import channel_totals
from mmm_jax.analysis.response import outcome_change
from mmm_jax.errors import SpecError
from mmm_jax.fitting.density import constrained, flat_log_density, padded_target, target_of
from mmm_jax.inference.transforms import flat_size
from mmm_jax.model.build import build_geo_model, build_model, scalar_names
from mmm_jax.model.components import SATURATIONS

PRIOR = mj.lognormal_from_interval(0.5, 4.0)
ADSTOCK = mj.GeometricAdstock(l_max=4)
SMOOTH = [kind for kind in SATURATIONS if kind.proportional]


def spec_of(media_prior: str, **options) -> mj.ModelSpec:
    prior = dist.Beta(2.0, 18.0) if media_prior == "contribution_share" else PRIOR
    return mj.ModelSpec(**{"adstock": ADSTOCK, "media_prior": media_prior, "priors": {media_prior: prior}, **options})


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=61).panel.hold_out("2014-12-07", "2014-12-28")


@pytest.mark.smoke
@pytest.mark.parametrize("saturation", SMOOTH)
@pytest.mark.parametrize("adstock_first", [True, False])
def test_the_stated_return_is_the_reported_one(panel, saturation, adstock_first, float64):
    """Of ROAS and marginal ROAS by the same functions as `Fit`'s, and of shares of the outcome."""
    rows = np.ones(61)
    for name in ("roas", "marginal_roas", "contribution_share"):
        spec = spec_of(name, saturation=saturation(), adstock_first=adstock_first)
        model = build_model(spec, panel, mj.Scales.from_panel(panel))
        params = model.sample_prior(jax.random.key(1))
        if name == "marginal_roas":
            change = outcome_change(model, params, jnp.asarray(rows), jnp.asarray(1.01), jnp.asarray(1.0))
            found = change / 0.01 / panel.spend.sum(axis=1)
        else:
            # What the rows that are held out sold is not known.
            known = 61 * panel.target[panel.counted].mean()
            below = known if name == "contribution_share" else panel.spend.sum(axis=1)
            found = channel_totals(model, params, jnp.asarray(rows)) / below
        np.testing.assert_allclose(found, params[name], rtol=1e-6)


def test_a_share_keeps_its_meaning_under_the_scales_of_another_fit(panel):
    """Else the prior would move with the data, and no simulation from it would be calibrated."""
    scales, other = mj.Scales.from_panel(panel), panel.with_target(0.5 * panel.target)
    spec = spec_of("contribution_share")
    kept, own = (build_model(spec, other, one).return_units for one in (scales, mj.Scales.from_panel(other)))
    np.testing.assert_allclose(kept, build_model(spec, panel, scales).return_units)
    np.testing.assert_allclose(own, kept, rtol=1e-6)
    by_hand = replace(scales, target_mean=None)
    np.testing.assert_allclose(build_model(spec, other, by_hand).return_units, 0.5 * kept, rtol=1e-6)


def test_the_density_is_that_of_the_effects_model_with_the_prior_on_the_return(panel, float64):
    scales = mj.Scales.from_panel(panel)
    model = build_model(spec_of("roas"), panel, scales)
    plain = build_model(mj.ModelSpec(adstock=ADSTOCK), panel, scales)
    params = model.sample_prior(jax.random.key(2))
    ours, theirs = model.log_density_terms(params), plain.log_density_terms(params)
    assert "saturation_beta" not in ours
    for name in ours.keys() & theirs.keys():
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-10)
    np.testing.assert_allclose(ours["roas"], PRIOR.log_prob(params["roas"]).sum(), rtol=1e-10)


@pytest.mark.parametrize("name", ["roas", "marginal_roas"])
def test_gradients_and_padding(panel, name, float64):
    spec, scales = spec_of(name), mj.Scales.from_panel(panel)
    plain, (padded, active, *_) = target_of(build_model(spec, panel, scales)), padded_target(spec, panel, scales)
    real, size = np.flatnonzero(active), flat_size(target_of(build_model(spec, panel, scales)).charts)
    points = 0.5 * np.random.default_rng(0).normal(size=(3, size))
    both = jax.jit(jax.vmap(jax.value_and_grad(flat_log_density), (0, None)))
    flats = np.zeros((3, len(active)))
    flats[:, real] = points
    (values, slopes), (others, other_slopes) = both(jnp.asarray(points), plain), both(jnp.asarray(flats), padded)
    np.testing.assert_allclose(np.asarray(others - values), float(others[0] - values[0]), atol=1e-8)
    np.testing.assert_allclose(np.asarray(other_slopes)[:, real], slopes, rtol=1e-8, atol=1e-8)
    step = 1e-6 * np.random.default_rng(1).normal(size=(3, size))
    ahead, behind = both(jnp.asarray(points + step), plain)[0], both(jnp.asarray(points - step), plain)[0]
    np.testing.assert_allclose(ahead - behind, 2 * (np.asarray(slopes) * step).sum(axis=1), rtol=1e-4)


def test_every_geo_has_the_return_that_is_stated(float64):
    panel = mj.synthetic.make_geo_market(geos=3, weeks=60).panel
    model = build_geo_model(spec_of("roas"), panel, mj.GeoScales.from_panel(panel))
    params = model.sample_prior(jax.random.key(3))
    assert params["saturation_beta"].shape == (3, 4)
    expected = params["roas"] * np.exp(params["roas_eta"] * params["roas_eps"])
    totals = model.everywhere(lambda market, own: channel_totals(market, own, jnp.ones(60)), params)
    np.testing.assert_allclose(totals / panel.spend.sum(axis=2).T, expected, rtol=1e-8)
    target = target_of(model)
    flat = 0.3 * jax.random.normal(jax.random.key(0), (flat_size(target.charts),))
    again = constrained(flat, target)
    assert np.isfinite(jax.jit(jax.grad(flat_log_density))(flat, target)).all()
    np.testing.assert_allclose(again["saturation_beta"], model.completed(again)["saturation_beta"], rtol=1e-10)


@pytest.mark.parametrize("geos", [False, True])
def test_a_fit_draws_the_return_and_keeps_the_effect_beside_it(panel, geos, tmp_path):
    """The tight prior of one channel shows in the reported return; saved, it predicts the same."""
    training = mj.synthetic.make_geo_market(geos=2, weeks=60).panel if geos else panel
    tight = np.full(len(training.channels), 1.0)
    tight[0] = 1e-3
    spec = spec_of("roas", priors={"roas": dist.LogNormal(np.log(1.7), tight)}, pooling={"roas": "complete"} if geos else {})
    fit = quick_fit(training, spec)
    assert {"roas", "saturation_beta"} <= set(fit.draws)
    assert list(fit.summary().index) == scalar_names(spec, training)
    reported = fit.roas()
    reported = reported.isel(geo=0) if geos else reported
    np.testing.assert_allclose(reported, fit.draws["roas"], rtol=2e-3)
    np.testing.assert_allclose(reported.isel(channel=0), 1.7, rtol=2e-2)
    fit.save(tmp_path / "fit.zarr")
    again = type(fit).load(tmp_path / "fit.zarr")
    np.testing.assert_array_equal(again.predict()["mean"], fit.predict()["mean"])
    table = fit.prior_to_posterior(num_samples=50)
    assert len(table) == len(scalar_names(spec, training))
    assert mj.ModelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"media_prior": "return"}, "media_prior must be one of effect, roas, marginal_roas, contribution_share"),
        ({"media_prior": "roas"}, "priors has none of that name"),
        ({"media_prior": "roas", "priors": {"roas": PRIOR}, "saturation": mj.TanhSaturation()}, "TanhSaturation's does not"),
        ({"media_prior": "roas", "priors": {"roas": PRIOR}, "likelihood": mj.LogNormal()}, "LogNormal has a log link"),
        ({"media_prior": "roas", "priors": {"roas": PRIOR, "saturation_beta": dist.HalfNormal(1.0)}}, "'saturation_beta'"),
        ({"media_prior": "roas", "priors": {"roas": PRIOR}, "pooling": {"saturation_beta": "none"}}, "'saturation_beta'"),
        ({"priors": {"roas": PRIOR}}, "names 'roas', which this model does not have"),
    ],
)
def test_contradictions_are_named(choice, words):
    with pytest.raises(SpecError, match=words):
        mj.ModelSpec(**choice)


def test_organic_media_have_no_return_to_state_a_prior_on():
    frame = mj.synthetic.make_market(weeks=61).panel.to_frame().reset_index()
    panel = mj.Panel.from_frame(frame, date="date", target="sales", channels=["TV"], organic=["Radio"])
    scales = mj.Scales.from_panel(panel)
    with pytest.raises(SpecError, match="'Radio' is organic"):
        build_model(spec_of("roas"), panel, scales)
    assert build_model(spec_of("contribution_share"), panel, scales).return_units.shape == (2,)
