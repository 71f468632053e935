"""Folds in one batch: blind to the future, scored as by hand, and every failure named."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats
from helpers import crps
from validation.slices import SHORT, SLICES, SPEC, draws_of, validated

import mmm_jax as mj
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model
from mmm_jax.validation.cross_validation import prediction_key


def test_nothing_after_the_cutoff_reaches_a_fold(panel, cv):
    """All rows after the first fold's cutoff are changed, test rows included; its draws stay the same bit for bit."""
    rng = np.random.default_rng(0)
    later = np.arange(len(panel)) >= SLICES["initial"]
    factor = np.where(later, rng.uniform(2.0, 9.0, len(panel)), 1.0)
    changed = replace(
        panel,
        target=panel.target * factor,
        spend=panel.spend * factor,
        controls=np.where(later, 7.0, panel.controls),
    )
    other = validated(changed)
    first, second = (fold.name for fold in cv.folds)
    np.testing.assert_array_equal(draws_of(other.batch[first]), draws_of(cv.batch[first]))
    assert other.batch[first].scales.to_dict() == cv.batch[first].scales.to_dict()
    np.testing.assert_array_equal(other.parameters().sel(fold=first)["mean"], cv.parameters().sel(fold=first)["mean"])
    # The second fold trains on some of the changed rows.
    assert not np.array_equal(draws_of(other.batch[second]), draws_of(cv.batch[second]))


def test_folds_are_fits_of_their_training_rows(panel, cv):
    for fold in cv.folds:
        fit = cv.batch[fold.name]
        assert fit.panel.fingerprint() == panel.take(slice(0, fold.train.stop)).fingerprint()
        assert fit.scales.target == panel.target[: fold.train.stop].max()


def test_predictions_are_those_of_the_fits_with_carry_in(panel, cv):
    for fold in cv.folds:
        test = fold.test_panel(panel)
        found = cv.predictions.sel(fold=fold.name)
        expected = cv.batch[fold.name].predict(test, key=prediction_key(jax.random.key(5), fold))
        for name in ("y", "mean"):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
        np.testing.assert_array_equal(found["observed"], test.target)
        np.testing.assert_array_equal(found["date"].to_numpy().astype("datetime64[D]"), test.dates)


def test_scores_are_those_of_the_predictions(panel, cv):
    table = cv.scores()
    assert list(table.index) == [fold.name for fold in cv.folds]
    for fold in cv.folds:
        fit, row, test = cv.batch[fold.name], table.loc[fold.name], fold.test_panel(panel)
        predicted = cv.predictions.sel(fold=fold.name)
        by_hand = crps(test.target, predicted["y"].to_numpy().reshape(-1, len(test)).astype(float))
        assert row["crps"] == pytest.approx(by_hand.mean(), rel=1e-5)
        assert row["bias"] == pytest.approx(float(predicted["mean"].mean()) - test.target.mean(), rel=1e-3)
        assert row["coverage_90"] == mj.coverage(test.target, predicted["y"])
        # Training rows are padded for the fit; their scores are those of `fit.predict()` but for the noise of its draws.
        plain = fit.predict(key=7)
        assert row["training_crps"] == pytest.approx(mj.crps(fit.panel.target, plain["y"]).mean(), rel=0.05)
        centre = plain["mean"].mean(("chain", "draw"))
        assert row["training_mape"] == pytest.approx(mj.mape(fit.panel.target, centre)[0], rel=1e-3)
        assert row["training_rows"] == len(fit.panel)


@pytest.mark.parametrize("rows", ["test", "training"])
def test_log_predictive_density_is_in_units_of_the_target(panel, cv, rows):
    """`log mean_s p(y | theta_s)` of a normal cut off at 0, with mean and deviation in units of the target."""
    fold = cv.folds[0]
    fit = cv.batch[fold.name]
    known = fold.test_panel(panel) if rows == "test" else fit.panel
    mean = fit.predict(known if rows == "test" else None)["mean"].to_numpy().reshape(-1, len(known)).astype(float)
    sigma = fit.scales.target * fit.draws["y_sigma"].reshape(-1, 1)
    density = scipy.stats.norm.pdf(known.target, mean, sigma) / scipy.stats.norm.sf(0.0, mean, sigma)
    expected = np.log(density.mean(axis=0))
    assert float(cv.measured.sel(score="elpd", rows=rows, fold=fold.name)) == pytest.approx(expected.mean(), abs=1e-3)
    if rows == "test":
        np.testing.assert_allclose(cv.predictions["elpd"].sel(fold=fold.name), expected, atol=1e-3)


def test_scores_by_horizon_are_means_over_folds(panel, cv):
    table = cv.scores_by_horizon()
    assert list(table.index) == list(range(1, 7))
    assert (table["folds"] == 2).all()
    assert table["crps"].mean() == pytest.approx(cv.scores()["crps"].mean(), rel=1e-6)
    assert table["coverage_50"].mean() == pytest.approx(cv.scores()["coverage_50"].mean())
    assert table["elpd"].mean() == pytest.approx(cv.scores()["elpd"].mean())
    assert table["bias"].mean() == pytest.approx(cv.scores()["bias"].mean(), rel=1e-4)
    assert table["mape"].mean() == pytest.approx(cv.scores()["mape"].mean(), rel=1e-4)
    np.testing.assert_allclose(table["last_skill"], 1 - table["crps"] / table["last_crps"])
    # The model knows what drives these sales; their last value does not.
    assert table["last_skill"].mean() > 0


def test_returns_are_those_of_the_fits(cv):
    for fold in cv.folds:
        roas = cv.batch[fold.name].roas()
        np.testing.assert_allclose(cv.returns.sel(fold=fold.name), roas, rtol=1e-4)
        np.testing.assert_allclose(
            cv.roas(prob=0.5).sel(fold=fold.name)["upper"], mj.interval(roas, 0.5)["upper"], rtol=1e-4
        )


def test_parameters_are_those_of_the_fits(cv):
    for fold in cv.folds:
        summary = cv.batch[fold.name].summary()
        found = cv.parameters().sel(fold=fold.name).to_dataframe()
        for name in ("mean", "sd", "lower", "upper"):
            np.testing.assert_allclose(found[name], summary[name], rtol=1e-6)


def test_stability_is_spread_drift_and_overlap(cv):
    table, means, sd = cv.stability(), cv.parameters()["mean"], cv.parameters()["sd"].mean("fold")
    row = table.loc["y_sigma"]
    values, unit = means.sel(parameter="y_sigma").to_numpy(), float(sd.sel(parameter="y_sigma"))
    assert row["spread"] == pytest.approx(abs(values[1] - values[0]) / np.sqrt(2) / unit)
    assert row["drift"] == pytest.approx((values[1] - values[0]) / unit)
    assert set(table["overlap"]) <= {0.0, 1.0}
    assert [name for name in table.index if name.startswith("roas")] == ["roas[Direct Mail]", "roas[Insert]"]


def test_a_rolling_window_keeps_its_length_and_given_scales_hold_for_all(panel):
    scales = mj.Scales.from_panel(panel.take(slice(0, 60)))
    rolling = validated(panel, window="rolling", scales=scales)
    assert [len(rolling.batch[fold.name].panel) for fold in rolling.folds] == [66, 66]
    assert {rolling.batch[fold.name].scales.target for fold in rolling.folds} == {scales.target}


def test_a_fold_that_failed_is_named_and_not_dropped(panel):
    """A channel that begins after the first cutoff has no scale there."""
    spend = panel.spend.copy()
    spend[1, : SLICES["initial"] + 2] = 0.0
    late = panel.with_spend(spend)
    with pytest.warns(mj.ConvergenceWarning, match="1 failed"):
        found = mj.cross_validate(late, SPEC, **SLICES, **SHORT)
    first, second = (fold.name for fold in found.folds)
    assert found.status[first] == "failed"
    assert "Insert" in found.batch.errors[first]
    scores = found.scores()
    assert scores.loc[first, "status"] == "failed"
    assert np.isnan(scores.loc[first, "crps"])
    assert np.isfinite(scores.loc[second, "crps"])
    assert (found.scores_by_horizon()["folds"] == 1).all()
    assert found.parameters().sel(fold=first)["mean"].isnull().all()
    assert found.stability()["spread"].isnull().all()


def test_folds_that_all_fail_are_an_error(panel):
    silent = panel.with_spend(panel.spend * np.array([[1.0], [0.0]]))
    with pytest.warns(mj.ConvergenceWarning), pytest.raises(mj.BatchError, match="All 2 folds failed.*Insert"):
        mj.cross_validate(silent, SPEC, **SLICES, **SHORT)


def test_what_cannot_be_scored_is_refused_before_sampling(panel):
    below = replace(panel, target=np.where(np.arange(len(panel)) == 70, -1.0, panel.target))
    with pytest.raises(mj.PanelError, match="TruncatedNormal.*-1"):
        validated(below)
    with pytest.raises(mj.PanelError, match="without a target"):
        validated(replace(panel, target=None))
    with pytest.raises(mj.PanelError, match="needs 86 rows"):
        validated(panel, initial=80)


def test_a_store_keeps_the_folds_and_gives_the_same(panel, cv, tmp_path):
    first = validated(panel, store=tmp_path / "folds")
    again = validated(panel, store=tmp_path / "folds")
    for one in (first, again):
        np.testing.assert_array_equal(one.predictions["y"], cv.predictions["y"])
        assert one.scores().equals(cv.scores())
    assert len(mj.Batch.open(tmp_path / "folds")) == 2


def test_comparison_is_paired_and_needs_the_same_folds(panel, cv):
    blunt = replace(SPEC, priors={**SPEC.priors, "saturation_beta": dist.HalfNormal(0.01)})
    other = validated(panel, blunt)
    table = mj.compare_models({"blunt": other, "usual": cv})
    for score in ("crps", "elpd"):
        one, two = (validation.scores()[score].to_numpy() for validation in (other, cv))
        found = dict(zip(table.index, table[f"{score}_difference"], strict=True))
        best = min(found, key=lambda name: abs(found[name]))
        assert found[best] == 0
        assert abs(found["blunt"] - found["usual"]) == pytest.approx(abs((one - two).mean()))
        worst = next(name for name in found if name != best)
        assert table.loc[worst, f"{score}_se"] == pytest.approx((one - two).std(ddof=1) / np.sqrt(2))
    assert list(table["crps"]) == sorted(table["crps"])
    with pytest.raises(mj.PanelError, match="different rows or folds"):
        mj.compare_models({"a": cv, "b": validated(panel, horizon=5)})
    with pytest.raises(mj.PanelError, match="at least two"):
        mj.compare_models({"a": cv})


def test_float64_scores_are_those_of_a_double_precision_model(panel):
    found = validated(panel, precision="float64", initial=73)
    fold = found.folds[0]
    fit = found.batch[fold.name]
    with precision_scope("float64"):
        rows = fold.test_panel(panel)
        before = panel.spend[:, fold.train.stop - 2 : fold.train.stop]
        model = build_model(SPEC, fit.panel, fit.scales, panel=rows, history=before)
        draws = {name: jnp.asarray(values) for name, values in fit.flat_draws().items()}
        densities = np.asarray(jax.vmap(model.log_likelihood)(draws))
    expected = np.log(np.exp(densities).mean(axis=0)) - np.log(fit.scales.target)
    np.testing.assert_allclose(found.predictions["elpd"].sel(fold=fold.name), expected, rtol=1e-9)
