"""Fits with reach and frequency: prediction with carry-in, the best frequency, storage, batches."""

import warnings
from dataclasses import replace

import kinds
import numpy as np
import pytest
import reached
import xarray as xr

import mmm_jax as mj
from mmm_jax import PanelError, PredictionError
from mmm_jax.fitting.batch_store import _read_fit, _write_fit
from mmm_jax.kernels.numerics import precision_scope

LATER = reached.panel(reached.table(kinds.WEEKS + kinds.HORIZON)).take(slice(kinds.WEEKS, None))


def test_prediction_carries_reach_and_frequency_in():
    """As if the new rows had been rows of the model from the start, by hand for one draw."""
    fit = reached.fit("s-shaped")
    found = fit.contributions(LATER)["media"].sel(channel="TV").isel(chain=0, draw=0).to_numpy()
    rows = [fit.panel, LATER]
    reach, frequency = (np.concatenate([getattr(one, n)[0] for one in rows]) for n in ("exposure", "average_frequency"))
    draw = {name: values[0, 0] for name, values in fit.draws.items()}
    slope, kappa, beta = (draw[f"saturation_{name}"][0] for name in ("slope", "kappa", "beta"))
    scaled = frequency / fit.scales.frequency[0]
    weights = draw["adstock_alpha"][0] ** np.arange(4)
    effect = reach / fit.scales.channel[0] * beta * scaled**slope / (kappa**slope + scaled**slope)
    naive = np.convolve(effect, weights / weights.sum())[kinds.WEEKS : len(effect)]
    np.testing.assert_allclose(found, fit.scales.target * naive, rtol=1e-8)


def test_new_rows_must_have_the_frequency():
    fit, table = reached.fit("s-shaped"), reached.table(kinds.WEEKS + kinds.HORIZON)
    plain = kinds.panel(table).take(slice(kinds.WEEKS, None))
    with pytest.raises(PredictionError, match="'TV' as units beside spend with frequency"):
        fit.predict(plain)


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
def test_saved_and_loaded(tmp_path, suffix):
    fit = reached.fit("s-shaped")
    fit.save(tmp_path / f"fit.{suffix}")
    again = mj.Fit.load(tmp_path / f"fit.{suffix}")
    assert again.panel.fingerprint() == fit.panel.fingerprint()
    np.testing.assert_array_equal(again.scales.frequency, fit.scales.frequency)
    xr.testing.assert_identical(again.predict(LATER), fit.predict(LATER))


def test_stored_in_a_batch(tmp_path):
    for number, fit in enumerate(
        (reached.fit("s-shaped"), kinds.from_prior(reached.geo_panel(), reached.fit("s-shaped").spec))
    ):
        _write_fit(fit, tmp_path / f"{number}.zarr")
        again = _read_fit(tmp_path / f"{number}.zarr")
        assert again.panel.fingerprint() == fit.panel.fingerprint()
        assert again.scales.to_dict() == fit.scales.to_dict()


def test_returns_are_of_spend_at_the_frequency_that_was():
    """Effects are linear in reach: marginal and incremental returns are the same."""
    fit = reached.fit("s-shaped")
    ours, theirs = (found.sel(channel="TV") for found in (fit.incremental_roas(), fit.marginal_roas()))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    curves = fit.response_curves([0.5, 2.0])["relative_response"].sel(channel="TV")
    np.testing.assert_allclose(curves.sel(multiplier=2.0), 2.0, rtol=1e-8)


def test_saturation_curves_are_over_frequency():
    fit = reached.fit("s-shaped")
    curves = fit.saturation_curves(points=7, reach=1.5)
    assert list(curves["axis"].values) == ["frequency", "media", "frequency"]
    assert list(curves["unit"].values) == ["tv_frequency", "currency", "mail_frequency"]
    assert curves["observed"].sel(channel="TV") == fit.panel.average_frequency[0].max()
    draw = {name: values[1, 2, 0] for name, values in fit.draws.items() if name.startswith("saturation")}
    scaled = np.linspace(0.0, 1.5, 7) ** draw["saturation_slope"]
    naive = draw["saturation_beta"] * scaled / (draw["saturation_kappa"] ** draw["saturation_slope"] + scaled)
    found = curves["effect"].sel(channel="TV", chain=1, draw=2)
    np.testing.assert_allclose(found, fit.scales.target * naive, rtol=1e-8)


def brute_force(fit: mj.Fit, frequency: float) -> np.ndarray:
    """Contribution of TV by draw through the whole model, its impressions seen by fewer people at the frequency."""
    panel, own = fit.panel, fit.panel.frequency_columns.index("tv_frequency")
    media, average = panel.exposure.copy(), panel.average_frequency.copy()
    media[own] = panel.exposure[own] * panel.average_frequency[own] / frequency
    average[own] = frequency
    other = replace(fit, panel=replace(panel, media=media, average_frequency=average))
    return other.contribution_totals()["media"].sel(channel="TV").to_numpy().ravel()


@pytest.mark.parametrize("name", ["s-shaped", "log link"])
def test_the_best_frequency_is_the_brute_forces(name):
    fit = reached.fit(name)
    found = fit.optimal_frequency(points=41).sel(channel="TV")
    grid = found["frequency"].to_numpy()[::8]
    every = np.stack([brute_force(fit, frequency) for frequency in grid], axis=-1)
    shaped = found["contribution"].to_numpy().reshape(len(every), -1)[:, ::8]
    np.testing.assert_allclose(shaped, every, rtol=1e-6)
    best = float(found["optimal_frequency"])
    at_best = brute_force(fit, best)
    np.testing.assert_allclose(found["roas_optimal"].to_numpy().ravel(), at_best / fit.panel.spend[0].sum(), rtol=1e-6)
    nearby = [brute_force(fit, f).mean() for f in (*grid, best - 0.05, best + 0.05) if 1.0 <= f <= grid[-1]]
    assert at_best.mean() >= max(nearby)
    assert found["lower"] <= found["by_draw"].median() <= found["upper"]


def test_where_the_optimum_is_an_end_of_the_grid():
    """`S(f) / f` of a concave curve falls throughout: as many people as possible, once each."""
    found = reached.fit("logistic").optimal_frequency(points=11)
    assert list(found["at_end"].values) == ["lowest", "lowest"]
    np.testing.assert_array_equal(found["optimal_frequency"], 1.0)
    np.testing.assert_array_equal(found["by_draw"], 1.0)
    assert found["roas"].sel(channel="newsletter").isnull().all()
    assert (found["contribution"].sel(channel="newsletter") > 0).all()
    assert list(reached.fit("s-shaped").optimal_frequency(points=11)["at_end"].values) == ["", ""]


def test_one_frequency_for_all_geos():
    fit = kinds.from_prior(reached.geo_panel(), reached.fit("s-shaped").spec)
    by_geo, together = fit.optimal_frequency(points=21), fit.optimal_frequency(points=21, by_geo=False)
    assert by_geo["optimal_frequency"].dims == ("channel", "geo")
    alone = fit["north"].optimal_frequency(points=21)
    np.testing.assert_array_equal(by_geo["optimal_frequency"].sel(geo="north"), alone["optimal_frequency"])
    best = float(together["optimal_frequency"].sel(channel="TV"))
    values = [sum(brute_force(one, f).mean() for one in fit.markets.values()) for f in (best - 0.1, best, best + 0.1)]
    assert np.argmax(values) == 1


def test_without_frequency_none_is_best():
    with pytest.raises(PanelError, match="No channel has a frequency"):
        kinds.fit().optimal_frequency()


SMALL = {"num_chains": 2, "num_warmup": 200, "num_samples": 200, "key": 3, "progress": False}


@pytest.fixture(scope="module")
def truth() -> tuple[mj.Panel, np.ndarray]:
    """A market whose channel works by an S-shaped curve of frequency: half of the most at a frequency of 3."""
    rng = np.random.default_rng(2)
    frame = reached.with_frequency(kinds.table(120))
    reach = rng.gamma(3.0, 20.0, 120)
    frame = frame.assign(tv_grp=reach, TV=reach * rng.uniform(5.0, 8.0, 120), tv_frequency=rng.uniform(1.0, 6.0, 120))
    scaled = frame["tv_frequency"].to_numpy()
    effect = reach / reach.max() * 900.0 * scaled**3 / (27.0 + scaled**3)
    weights = 0.4 ** np.arange(4)
    effect = np.convolve(effect, weights / weights.sum())[:120]
    radio = 400.0 * frame["Radio"] / (frame["Radio"] + 0.4 * frame["Radio"].max())
    target = 500.0 + effect + radio + rng.normal(0.0, 10.0, 120)
    roles = {"organic": [], "treatments": None, "frequency": {"TV": "tv_frequency"}}
    return kinds.panel(frame.assign(sales=target), **roles), effect


def fitted(spec: mj.ModelSpec, panels: dict[str, mj.Panel]) -> mj.Fit:
    """Of few draws, whose warning that they are few is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.fit_batch(panels, spec, **SMALL)["with"]


def test_a_small_fit_recovers_the_truth_alone_and_in_a_batch(truth):
    panel, effect = truth
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), saturation=mj.HillSaturation())
    fit = fitted(spec, {"with": panel, "shorter": panel.take(slice(0, 118))})
    # Of Radio's curve only a part is observed: its parameters move slowly, and are not what is looked at.
    assert fit.summary()["r_hat"].filter(like="[TV]").max() < 1.05
    media = fit.contributions()["media"].sel(channel="TV").mean(("chain", "draw")).to_numpy()
    assert np.corrcoef(media, effect)[0, 1] > 0.99
    assert abs(media.sum() / effect.sum() - 1) < 0.1
    # `f^2 / (27 + f^3)` is largest at `54 ** (1 / 3)`.
    best = fit.optimal_frequency().sel(channel="TV")
    assert best["lower"] - 0.3 < 54 ** (1 / 3) < best["upper"] + 0.3
    alone = fitted(spec, {"with": panel})
    for name, values in fit.draws.items():
        np.testing.assert_array_equal(values, alone.draws[name], err_msg=name)
    with precision_scope("float32"):
        assert fit.model().frequency.channels == (0,)
