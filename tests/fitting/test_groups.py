"""Fits whose channels work in different ways: they find what made the data, alone and in company, saved and ahead."""

from dataclasses import replace
from functools import cache

import helpers
import numpy as np
import pytest

import mmm_jax as mj

LATE = mj.MediaGroup(("Insert",), adstock=mj.DelayedAdstock(l_max=6), saturation=mj.NoSaturation())
SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3), groups=(LATE,))
SETTINGS = {"num_chains": 2, "num_warmup": 150, "num_samples": 200, "progress": False}

pytestmark = pytest.mark.filterwarnings("ignore::mmm_jax.errors.ConvergenceWarning")


@cache
def effects() -> np.ndarray:
    """Of 120 weeks: two channels that fade and saturate, and between them one that peaks after two weeks and does not."""
    spend = mj.synthetic.make_market(seed=3, weeks=120).panel.spend[:3]
    scaled = spend / spend.max(axis=1, keepdims=True)
    fading, late = helpers.geometric_weights(0.4, 3), helpers.delayed_weights(0.7, 2.0, 6)
    made = [helpers.adstock(x, w / w.sum()) for x, w in zip(scaled, (fading, late, fading), strict=True)]
    return np.stack([0.5 * np.tanh(made[0]), 0.6 * made[1], 0.4 * np.tanh(1.5 * made[2])])


@cache
def panel(seed: int = 0) -> mj.Panel:
    whole = mj.synthetic.make_market(seed=3, weeks=120).panel
    sales = 1e6 * (1.0 + effects().sum(axis=0) + np.random.default_rng(seed).normal(0.0, 0.01, 120))
    names = {"channels": whole.channels[:3], "control_names": ()}
    return replace(whole, spend=whole.spend[:3], controls=whole.controls[:0], target=sales, **names)


@cache
def batch() -> mj.Batch:
    lacking = replace(panel(), channels=("Direct Mail", "Cinema", "Newspaper"))
    return mj.fit_batch({"one": panel(), "other": panel(1), "lacking": lacking}, SPEC, key=1, **SETTINGS)


def test_a_mixed_market_is_found():
    fit = batch()["one"]
    posterior = fit.posterior["posterior"]
    assert posterior["adstock_theta"].sizes == {"chain": 2, "draw": 200, "adstock_theta_channel": 1}
    theta = posterior["adstock_theta"].sel(adstock_theta_channel="Insert")
    assert float(theta.mean()) == pytest.approx(2.0, abs=0.3)
    found = fit.contribution_totals()["media"].mean(("chain", "draw")) / (1e6 * effects().sum(axis=1))
    np.testing.assert_allclose(found, 1.0, atol=0.25)
    peak = fit.adstock_curves().mean(("chain", "draw")).idxmax("lag")
    assert peak.to_numpy().tolist() == [0, 2, 0]
    assert fit.adstock_curves().sizes["lag"] == 6


def test_company_changes_no_draw_and_a_panel_without_the_channel_fails_alone():
    alone = mj.fit_batch({"one": panel()}, SPEC, key=1, **SETTINGS)["one"]
    for name, values in alone.draws.items():
        np.testing.assert_array_equal(values, batch()["one"].draws[name])
    assert batch().status["lacking"] == "failed"
    assert "groups[0].channels names 'Insert'" in str(batch().summary().loc["lacking", "error"])


def test_saved_and_loaded_it_predicts_the_same(tmp_path):
    fit = batch()["one"]
    fit.save(tmp_path / "fit.nc")
    loaded = mj.Fit.load(tmp_path / "fit.nc")
    assert loaded.spec == SPEC
    assert loaded.predict(key=2).identical(fit.predict(key=2))


def test_prediction_continues_over_the_longest_window():
    """Rows predicted as if they were new, with their history, are as they were fitted; five weeks back count."""
    fit, rows = batch()["one"], panel()
    later, earlier = rows.take(slice(60, None)), rows.take(slice(40, 60))
    again, whole = fit.predict(later, history=earlier)["mean"], fit.predict()["mean"].isel(date=slice(60, None))
    np.testing.assert_allclose(again, whole, rtol=1e-4)
    changed = np.abs(fit.predict(later, carry_in=False)["mean"] - again).mean(("chain", "draw")).to_numpy()
    assert (changed[:4] > 0).all()
    np.testing.assert_allclose(changed[5:] / 1e6, 0.0, atol=1e-5)
