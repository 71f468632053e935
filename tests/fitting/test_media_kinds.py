"""Laws of fits with media in units, organic media and treatments, against NumPy and against the same fit in spend."""

import jax.numpy as jnp
import kinds
import numpy as np
import pytest
import xarray as xr
from planning.fits import SPECS

import mmm_jax as mj
from mmm_jax import PredictionError
from mmm_jax.data.treatments import reference_levels
from mmm_jax.fitting.batch_store import _read_fit, _write_fit
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.kernels.numerics import precision_scope

COST = 4.0
GEO_SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), priors={"saturation_beta": mj.SpendShare(2.0)})


def in_units(**changed) -> tuple[mj.Fit, mj.Fit]:
    """A fit in spend, and the same one in units that all cost the same."""
    frame = kinds.table().assign(tv_grp=lambda rows: rows["TV"] / COST)
    given = {"organic": [], "treatments": None, **changed}
    spent, bought = (kinds.panel(frame, **{"media": media, **given}) for media in (None, {"TV": "tv_grp"}))
    return tuple(kinds.from_prior(rows, SPECS["logistic"]) for rows in (spent, bought))  # pyright: ignore


def test_units_that_all_cost_the_same_are_spend():
    spent, bought = in_units()
    with precision_scope("float64"):
        draw = {name: jnp.asarray(values[0]) for name, values in spent.flat_draws().items()}
        assert float(bought.model().log_density(draw)) == float(spent.model().log_density(draw))
    for returned in ("roas", "incremental_roas", "marginal_roas"):
        xr.testing.assert_allclose(getattr(bought, returned)(), getattr(spent, returned)(), rtol=1e-10)
    ours, theirs = bought.response_curves([0.0, 0.5, 2.0]), spent.response_curves([0.0, 0.5, 2.0])
    xr.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_saturation_curves_are_in_units():
    spent, bought = (fit.saturation_curves(points=5) for fit in in_units())
    np.testing.assert_allclose(bought["effect"], spent["effect"], rtol=1e-10)
    np.testing.assert_allclose(bought["spend"].sel(channel="TV"), spent["spend"].sel(channel="TV") / COST)
    assert bought["spend"].attrs["units"] == "TV: tv_grp, Radio: currency"
    assert list(bought["unit"].values) == ["tv_grp", "currency"]
    assert "unit" not in spent.coords


def naive_change(fit: mj.Fit, channel: int, factor: float) -> np.ndarray:
    """Outcome, by draw, when a channel's units are multiplied in all rows, with the periods after the last one."""
    draws, l_max = fit.flat_draws(), fit.spec.adstock.l_max
    media = np.pad(fit.panel.exposure[channel], (0, l_max - 1)) * factor / fit.scales.channel[channel]
    totals = []
    for alpha, lam, beta in zip(
        *(draws[name][:, channel] for name in ("adstock_alpha", "saturation_lam", "saturation_beta")), strict=True
    ):
        weights = alpha ** np.arange(l_max)
        carried = np.convolve(media, weights / weights.sum())[: len(media)]
        totals.append(fit.scales.target * (beta * np.tanh(lam * carried / 2)).sum())
    return np.array(totals)


def test_marginal_returns_are_per_currency():
    """`(outcome at 1.01 - outcome) / (0.01 spend)`, whatever a unit cost in each week."""
    fit = kinds.fit()
    found = fit.marginal_roas().sel(channel="TV").to_numpy().ravel()
    change = naive_change(fit, 0, 1.01) - naive_change(fit, 0, 1.0)
    np.testing.assert_allclose(found, change / (0.01 * fit.panel.spend[0].sum()), rtol=1e-8)


def test_what_is_organic_contributes_without_return():
    fit = kinds.fit()
    media = fit.contributions()["media"].sel(channel="newsletter")
    draws, index = fit.flat_draws(), fit.panel.channels.index("newsletter")
    x = fit.panel.exposure[index] / fit.panel.exposure[index].max()
    weights = draws["adstock_alpha"][3, index] ** np.arange(4)
    carried = np.convolve(x, weights / weights.sum())[: len(x)]
    naive = draws["saturation_beta"][3, index] * np.tanh(draws["saturation_lam"][3, index] * carried / 2)
    np.testing.assert_allclose(media.stack(s=("chain", "draw")).isel(s=3), fit.scales.target * naive, rtol=1e-8)
    for returned in ("roas", "incremental_roas", "marginal_roas"):
        known = getattr(fit, returned)().notnull().all(("chain", "draw"))
        assert dict(zip(known["channel"].values, known.values, strict=True)) == {
            "TV": True, "Radio": True, "newsletter": False
        }  # fmt: skip
    assert fit.response_curves()["response"].sel(channel="newsletter", multiplier=1.0).min() > 0


def test_an_organic_channels_share_is_the_mean_of_the_others():
    fit = kinds.from_prior(kinds.panel(), GEO_SPEC)
    paid = fit.panel.spend.sum(axis=1)[:2]
    shares = [*(2 * paid / paid.sum()), 1.0]
    with precision_scope("float64"):
        np.testing.assert_allclose(fit.model().prior_arguments["saturation_beta"]["scale"], shares)


@pytest.mark.parametrize("link", ["logistic", "log link"])
@pytest.mark.parametrize("standardized", [False, True])
def test_treatments_are_told_against_their_reference(link, standardized):
    """`gamma (x - reference)`; the sum of all components is the mean, and stays so."""
    spec = mj.ModelSpec.from_dict(SPECS[link].to_dict() | {"standardize_controls": standardized})
    fit = kinds.from_prior(kinds.panel(), spec)
    found = fit.contributions()
    assert list(found["treatment"].values) == ["price", "promotion"]
    assert list(found["control"].values) == ["rain"]
    added = sum(part.sum([d for d in part.dims if d not in ("chain", "draw", "date")]) for part in found.values())
    np.testing.assert_allclose(added, fit.predict()["mean"], rtol=1e-8)
    levels, names = reference_levels(fit.panel), list(fit.panel.control_names)
    x = fit.panel.controls[names.index("price")]
    # Where the price is at its reference, it brings nothing.
    at_reference = found["treatments"].sel(treatment="price").isel(date=int(np.argmax(x)))
    np.testing.assert_allclose(at_reference, 0.0, atol=1e-9)
    if link == "logistic":
        gamma = fit.flat_draws()["gamma_control"][:, names.index("price")] / fit.scales.control_scale[names.index("price")]
        naive = fit.scales.target * gamma[:, None] * (x - levels["price"])
        told = found["treatments"].sel(treatment="price").to_numpy().reshape(naive.shape)
        np.testing.assert_allclose(told, naive, atol=1e-8)


def test_a_log_links_treatment_is_the_difference_to_the_reference():
    fit = kinds.fit("log link")
    rows = fit.panel.controls.copy()
    rows[fit.panel.control_names.index("price")] = reference_levels(fit.panel)["price"]
    at_reference = mj.Fit(**{**vars(fit), "panel": mj.Panel(**{**vars(fit.panel), "controls": rows})})
    difference = fit.predict()["mean"] - at_reference.predict()["mean"]
    np.testing.assert_allclose(fit.contributions()["treatments"].sel(treatment="price"), difference, rtol=1e-7, atol=1e-7)


def test_totals_are_sums_over_the_rows():
    fit = kinds.fit()
    xr.testing.assert_allclose(fit.contribution_totals(), fit.contributions().sum("date"), rtol=1e-9)
    assert {"price", "promotion", "newsletter"} <= set(fit.waterfall().index)


def test_later_rows_are_predicted_from_units():
    whole = kinds.panel(kinds.table(kinds.WEEKS + kinds.HORIZON))
    train, test = whole.take(slice(kinds.WEEKS)), whole.take(slice(kinds.WEEKS, None))
    fit = kinds.from_prior(train, SPECS["logistic"])
    both = mj.Fit(**{**vars(fit), "panel": whole})
    turned = [2, 0, 1]
    moved = {name: getattr(test, name)[turned] for name in ("spend", "media")}
    names = {name: tuple(getattr(test, name)[i] for i in turned) for name in ("channels", "units")}
    shuffled = mj.Panel(**{**vars(test), **moved, **names})
    expected = both.predict()["mean"].isel(date=slice(kinds.WEEKS, None))
    np.testing.assert_allclose(fit.predict(shuffled)["mean"], expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"media": None}, "takes the media of 'TV' as units beside spend, the new panel has them as spend"),
        ({"organic": [], "channels": ["TV", "Radio", "newsletter"]}, "of 'newsletter' as organic media, .* as spend"),
    ],
)
def test_other_kinds_of_media_are_refused(changed, message):
    later = kinds.panel(kinds.table(kinds.WEEKS + kinds.HORIZON), **changed).take(slice(kinds.WEEKS, None))
    with pytest.raises(PredictionError, match=message):
        kinds.fit().predict(later)


@pytest.mark.parametrize("name", ["fit.zarr", "fit.nc"])
def test_a_fit_is_saved_with_every_kind(tmp_path, name):
    fit = kinds.fit()
    fit.save(tmp_path / name)
    again = mj.Fit.load(tmp_path / name)
    assert again.panel.fingerprint() == fit.panel.fingerprint()
    assert again.panel.treatments == fit.panel.treatments
    xr.testing.assert_identical(again.contributions(), fit.contributions())


def test_geos_keep_every_kind(tmp_path):
    """In a file and in a batch's store; totals of all geos in currency."""
    fit = kinds.from_prior(kinds.panel(kinds.geo_table(), geo="geo"), GEO_SPEC)
    assert isinstance(fit, GeoFit)
    fit.save(tmp_path / "fit.zarr")
    _write_fit(fit, tmp_path / "stored.zarr")
    for again in (GeoFit.load(tmp_path / "fit.zarr"), _read_fit(tmp_path / "stored.zarr")):
        assert again.panel.fingerprint() == fit.panel.fingerprint()
    together = fit.roas(by_geo=False)
    brought = sum(fit[geo].brought("roas") for geo in fit.panel.geos)
    np.testing.assert_allclose(together[..., :2], (brought / fit.panel.spend.sum(axis=(1, 2)))[..., :2], rtol=1e-8)
    assert together.sel(channel="newsletter").isnull().all()
    found = fit.contributions(by_geo=False)
    assert found["treatments"].dims == ("chain", "draw", "treatment", "date")
    assert list(fit.saturation_curves()["unit"].values) == ["tv_grp", "currency", "newsletter"]


def test_a_batchs_store_keeps_every_kind(tmp_path):
    fit = kinds.fit()
    _write_fit(fit, tmp_path / "stored.zarr")
    assert _read_fit(tmp_path / "stored.zarr").panel.fingerprint() == fit.panel.fingerprint()
