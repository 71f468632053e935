"""The model's equation against a naive NumPy reading of the maths."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.errors import PanelError
from mmm_jax.model.build import build_model
from mmm_jax.model.components import ADSTOCKS, SATURATIONS

_SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=2, trend=mj.PiecewiseTrend(2))


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=80).panel


def _naive_mean(panel, params, l_max):
    """Sections 1 to 4 of the maths, in loops."""
    mu = np.full(len(panel), float(params["intercept"]))
    for c in range(len(panel.channels)):
        weights = helpers.geometric_weights(float(params["adstock_alpha"][c]), l_max)
        carried = helpers.adstock(panel.spend[c] / panel.spend[c].max(), weights / weights.sum())
        mu += helpers.logistic(carried, float(params["saturation_lam"][c]), float(params["saturation_beta"][c]))
    mu += np.asarray(params["gamma_control"]) @ panel.controls
    day = panel.day_of_year
    for k in (1, 2):
        mu += float(params["gamma_fourier"][k - 1]) * np.sin(2 * np.pi * k * day / 365.25)
        mu += float(params["gamma_fourier"][k + 1]) * np.cos(2 * np.pi * k * day / 365.25)
    position = (panel.dates - panel.dates[0]).astype(float)
    position /= position[-1]
    mu += float(params["trend_slope"]) * position
    for delta, changepoint in zip(params["trend_delta"], (1 / 3, 2 / 3), strict=True):
        mu += float(delta) * np.maximum(position - changepoint, 0.0)
    return mu


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
def test_mean_equals_the_naive_equation(panel):
    model = build_model(_SPEC, panel, mj.Scales.from_panel(panel))
    for seed in range(3):
        params = model.sample_prior(jax.random.key(seed))
        np.testing.assert_allclose(model.mean(params), _naive_mean(panel, params, 4), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("adstock_first", [True, False])
@pytest.mark.parametrize("adstock", ADSTOCKS)
@pytest.mark.parametrize("saturation", SATURATIONS)
def test_total_is_the_sum_of_the_channels_and_has_a_finite_gradient(panel, adstock, saturation, adstock_first):
    kind = adstock() if adstock is mj.NoAdstock else adstock(l_max=4)
    spec = mj.ModelSpec(adstock=kind, saturation=saturation(), adstock_first=adstock_first)
    model = build_model(spec, panel, mj.Scales.from_panel(panel))
    params = model.sample_prior(jax.random.key(1))
    np.testing.assert_allclose(model.media_total(params), model.media_effects(params).sum(axis=0), rtol=1e-9, atol=1e-12)
    gradient = jax.grad(model.log_density)(params)
    assert all(np.isfinite(values).all() for values in jax.tree.leaves(gradient))


@pytest.mark.usefixtures("float64")
def test_orders_of_adstock_and_saturation_agree_only_when_one_is_linear(panel):
    def effects(saturation, first):
        spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), saturation=saturation, adstock_first=first)
        model = build_model(spec, panel, mj.Scales.from_panel(panel))
        return model.media_effects(model.sample_prior(jax.random.key(0)))

    np.testing.assert_allclose(effects(mj.NoSaturation(), True), effects(mj.NoSaturation(), False), rtol=1e-10)
    assert not np.allclose(effects(mj.LogisticSaturation(), True), effects(mj.LogisticSaturation(), False), rtol=1e-3)


@pytest.mark.usefixtures("float64")
def test_carry_in_continues_the_series(panel):
    """Modelling the last rows with the rows before as history equals the end of the model over all rows."""
    scales = mj.Scales.from_panel(panel)
    whole = build_model(_SPEC, panel, scales)
    later = panel.take(slice(50, None))
    part = build_model(_SPEC, panel, scales, panel=later, history=panel.spend[:, 47:50])
    params = whole.sample_prior(jax.random.key(0))
    np.testing.assert_allclose(part.mean(params), whole.mean(params)[50:], rtol=1e-12)


def test_standardised_controls_have_mean_zero_and_unit_spread(panel):
    scales = mj.Scales.from_panel(panel, standardize_controls=True)
    model = build_model(mj.ModelSpec(standardize_controls=True), panel, scales)
    np.testing.assert_allclose(model.design[: len(panel.control_names)].mean(axis=1), 0.0, atol=1e-5)
    np.testing.assert_allclose(model.design[: len(panel.control_names)].std(axis=1), 1.0, atol=1e-4)


def test_a_short_panel_names_the_window(panel):
    with pytest.raises(PanelError, match="l_max=90.*80 rows"):
        mj.fit(panel, mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=90)), progress=False)


def test_one_program_serves_all_data_of_the_same_shape(panel):
    """Data and priors are arguments: other numbers do not compile anew."""
    traces = []

    @jax.jit
    def density(model, params):
        traces.append(1)
        return model.log_density(params)

    for seed in range(3):
        market = mj.synthetic.make_market(weeks=80, seed=seed).panel
        spec = mj.ModelSpec(priors={"saturation_beta": mj.SpendShare(1.0 + seed)})
        model = build_model(spec, market, mj.Scales.from_panel(market))
        assert jnp.isfinite(density(model, model.sample_prior(jax.random.key(seed))))
    assert len(traces) == 1
