"""Fits of many geos: each geo is a fit of one market, totals are sums, everything is kept and comes back."""

import numpy as np
import pytest
import xarray as xr
from helpers import quick_fit

import mmm_jax as mj
from mmm_jax.data.geo_scaling import GeoScales
from mmm_jax.errors import MMMError, PredictionError, StoreError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_geo_model, scalar_names

SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=4),
    yearly_seasonality=1,
    pooling={"y_sigma": "none", "adstock_alpha": "partial"},
    events=(mj.SpecialCause("strike", "2021-06-06", "2021-06-26"),),
)
OPTIONS = {"num_chains": 2, "num_warmup": 60, "num_samples": 40}


@pytest.fixture(scope="module")
def panels():
    """Three geos, sixty training weeks and six later ones; the last geo lacks its first five rows."""
    made = mj.synthetic.make_geo_market(geos=3, weeks=66, seed=3).panel
    frame = made.to_frame().reset_index()
    late = frame["geo"] == made.geos[-1]
    frame = frame.loc[~late | (frame["date"] >= np.sort(frame["date"].unique())[5])]
    columns = {"channels": list(made.channels), "controls": list(made.control_names)}
    panel = mj.Panel.from_frame(frame, date="date", target=made.target_name, geo="geo", **columns)
    return panel.split(panel.dates[59])


@pytest.fixture(scope="module")
def geo_fit(panels):
    return quick_fit(panels[0], SPEC, **OPTIONS)


@pytest.mark.smoke
def test_draws_have_names_and_dimensions(geo_fit):
    assert isinstance(geo_fit, mj.GeoFit)
    posterior = geo_fit.posterior["posterior"]
    assert posterior["saturation_beta_eps"].dims == ("chain", "draw", "geo", "channel")
    assert posterior["y_sigma"].dims == ("chain", "draw", "geo")
    assert list(posterior["geo"].to_numpy()) == list(geo_fit.panel.geos)
    assert list(geo_fit.summary().index) == scalar_names(geo_fit.spec, geo_fit.panel)
    assert "GeoFit(2 x 40 draws" in repr(geo_fit)


def test_every_geo_has_its_own_parameters(geo_fit):
    """Those that the model itself works with."""
    scales = GeoScales.from_panel(geo_fit.panel)
    with precision_scope("float32"):
        model = build_geo_model(geo_fit.spec, geo_fit.panel, scales)
        draw = {name: values[1, 7] for name, values in geo_fit.draws.items()}
        own = model.by_geo(draw)
    for place, geo in enumerate(geo_fit.panel.geos):
        found = geo_fit[geo]
        assert isinstance(found, mj.Fit)
        for name in ("intercept", "saturation_beta", "adstock_alpha", "y_sigma"):
            np.testing.assert_allclose(found.draws[name][1, 7], np.asarray(own[name])[place], rtol=1e-5)
        np.testing.assert_array_equal(found.draws["gamma_control"], geo_fit.draws["gamma_control"])
    with pytest.raises(MMMError, match="joint prior"):
        geo_fit["geo_1"].prior_to_posterior()


def test_contributions_sum_to_the_mean_in_every_geo(geo_fit):
    parts = geo_fit.contributions()
    assert {"intercept", "media", "controls", "seasonality", "events"} <= set(parts.data_vars)
    summed = [part.sum([d for d in part.dims if d in ("channel", "control", "event")]) for part in parts.values()]
    total = sum(summed[1:], start=summed[0])
    mean = geo_fit.predict()["mean"]
    there = xr.DataArray(geo_fit.panel.observed, dims=("geo", "date"))
    difference = (total - mean).where(there)
    assert float(np.abs(difference).max() / mean.max()) < 1e-5
    assert parts["media"].isel(geo=-1, date=slice(0, 5)).isnull().all()
    assert not parts["media"].isel(geo=0).isnull().any()


def test_totals_are_sums_over_the_geos(geo_fit):
    by_geo, total = geo_fit.contribution_totals(), geo_fit.contribution_totals(by_geo=False)
    summed = geo_fit.contributions().sum("date")
    for name in total:
        np.testing.assert_allclose(total[name], by_geo[name].sum("geo"), rtol=1e-5)
        np.testing.assert_allclose(by_geo[name], summed[name], rtol=2e-4, atol=1e-3)
    table = geo_fit.waterfall()
    assert table["share"].sum() == pytest.approx(1.0)
    shares = geo_fit.contribution_shares(by_geo=False)
    np.testing.assert_allclose(shares.sum("channel"), 1.0, rtol=1e-5)


@pytest.mark.parametrize("returned", ["roas", "incremental_roas", "marginal_roas"])
def test_returns_of_all_geos_are_weighted_by_spend(geo_fit, returned):
    window = {"start": "2021-07-04", "end": "2022-01-30"}
    by_geo, total = (getattr(geo_fit, returned)(**window, by_geo=flag) for flag in (True, False))
    assert by_geo.dims == ("chain", "draw", "channel", "geo")
    assert by_geo.name == total.name
    rows = (geo_fit.panel.dates >= np.datetime64("2021-07-04")) & (geo_fit.panel.dates <= np.datetime64("2022-01-30"))
    spend = xr.DataArray(geo_fit.panel.spend[:, :, rows].sum(axis=2), dims=("channel", "geo"))
    np.testing.assert_allclose(total, (by_geo * spend).sum("geo") / spend.sum("geo"), rtol=2e-4)


def test_curves(geo_fit):
    grid = [0.0, 1.0, 1.5]
    by_geo, total = (geo_fit.response_curves(grid, by_geo=flag) for flag in (True, False))
    np.testing.assert_allclose(total["response"], by_geo["response"].sum("geo"), rtol=1e-5)
    np.testing.assert_allclose(total["relative_response"].sel(multiplier=1.0), 1.0, rtol=1e-4)
    assert geo_fit.saturation_curves(points=5)["effect"].sizes["geo"] == 3
    np.testing.assert_allclose(geo_fit.adstock_curves().sum("lag"), 1.0, rtol=1e-5)


def test_predictions_go_on_and_do_not_depend_on_the_order_of_geos(geo_fit, panels):
    later = panels[1]
    found = geo_fit.predict(later, key=5)
    assert found["y"].dims == ("chain", "draw", "date", "geo")
    assert found.sizes["date"] == 6
    turned = mj.GeoPanel(later.geos[::-1], later.markets[::-1])
    xr.testing.assert_identical(geo_fit.predict(turned, key=5), found)
    with pytest.raises(PredictionError, match="lacks geos of the fit: 'geo_3'"):
        geo_fit.predict(mj.GeoPanel(later.geos[:2], later.markets[:2]))


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
def test_a_saved_fit_comes_back(geo_fit, panels, tmp_path, suffix):
    path = tmp_path / f"fit.{suffix}"
    geo_fit.save(path)
    again = mj.GeoFit.load(path)
    assert again.panel.fingerprint() == geo_fit.panel.fingerprint()
    assert again.spec == geo_fit.spec
    xr.testing.assert_identical(again.predict(panels[1], key=2), geo_fit.predict(panels[1], key=2))
    with pytest.raises(StoreError, match=r"holds a GeoFit. Load it with mmm_jax.GeoFit.load"):
        mj.Fit.load(path)


def test_batches_hold_geos_and_markets_side_by_side(geo_fit, panels, tmp_path):
    """Draws of a batch do not depend on what else is in it, and come back from its store."""
    train = panels[0]
    options = {"key": 0, "progress": False, **OPTIONS}
    with pytest.warns(mj.ConvergenceWarning):
        batch = mj.fit_batch({"all": train, "one": train["geo_1"]}, SPEC, store=tmp_path / "fits", **options)
    with pytest.warns(mj.ConvergenceWarning):
        alone = mj.fit_batch({"all": train}, SPEC, **options)
    assert isinstance(batch["all"], mj.GeoFit)
    assert isinstance(batch["one"], mj.Fit)
    for name, values in alone["all"].draws.items():
        np.testing.assert_array_equal(batch["all"].draws[name], values)
    assert batch["all"].panel.fingerprint() == train.fingerprint()


def test_prior_draws_of_geos(panels):
    prior = mj.sample_prior(panels[0], SPEC, num_samples=20, max_excess_probability=1.0)
    assert prior["prior"]["intercept_eps"].dims == ("chain", "draw", "geo")
    assert prior["prior_predictive"]["y"].dims == ("chain", "draw", "date", "geo")
    assert prior["observed_data"]["sales"].dims == ("geo", "date")


def test_geos_are_planned_by_their_fits(geo_fit, panels):
    plan = mj.optimize_budget(geo_fit, horizon=panels[1].dates, total=1e6)
    assert set(plan.spend["geo"].to_numpy()) == set(geo_fit.panel.geos)
    assert float(plan.spend.sum()) == pytest.approx(1e6)
    one = mj.optimize_budget(geo_fit.markets, horizon=panels[1].dates, total=1e6)
    xr.testing.assert_allclose(plan.spend, one.spend)
