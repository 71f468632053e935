"""Folds over geos, scores of one and of all; experiments enter folds when they are over; simulated measurements."""

import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest
from validation.slices import SHORT, SPEC, calibrated, experiments_of, small_market

import mmm_jax as mj
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.scores import crps
from mmm_jax.data.experiment_places import windows_of
from mmm_jax.errors import ExperimentError, PanelError
from mmm_jax.fitting.keys import as_key
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.validation.cross_validation import prediction_key
from mmm_jax.validation.entered import entered_experiments
from mmm_jax.validation.folds import folds_of
from mmm_jax.validation.simulation import _answers, simulated

GEO_SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3))
CUT, HORIZON = 54, 4


@pytest.fixture(scope="module")
def panel() -> mj.GeoPanel:
    """Two geos over 62 weeks; the second lacks three rows, two of them in the first fold's test rows."""
    made = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=62, seed=5).panel
    frame = made.to_frame().reset_index()
    lacking = (frame["geo"] == "geo_2") & frame["date"].isin(made.dates[[5, CUT, CUT + 2]])
    columns = {"channels": list(made.channels), "controls": list(made.control_names)}
    return mj.Panel.from_frame(frame[~lacking], date="date", target="sales", geo="geo", **columns)  # pyright: ignore


@pytest.fixture(scope="module")
def cv(panel) -> mj.CrossValidation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.cross_validate(panel, GEO_SPEC, initial=CUT, horizon=HORIZON, key=3,
                                 experiments=experiments_of(panel), **SHORT)  # fmt: skip


def test_folds_are_those_of_the_fits(cv, panel):
    """Predictions are repeated by the fold's own fit; scores are of the rows that are there; sums are sums of draws."""
    fold = cv.folds[0]
    again = cv.batch[fold.name].predict(fold.test_panel(panel), key=prediction_key(as_key(3), fold))["y"]
    rows = slice(fold.test.start, fold.test.stop)
    for place, geo in enumerate(panel.geos):
        there = panel.present[place, rows]
        found = cv.of(geo).predictions["y"].sel(fold=fold.name)
        np.testing.assert_array_equal(found.to_numpy()[:, :, there], again.sel(geo=geo).to_numpy()[:, :, there])
        observed, draws = panel[geo].target[rows][there], again.sel(geo=geo).isel(date=np.flatnonzero(there))
        assert cv.scores(geo=geo).loc[fold.name, "crps"] == pytest.approx(crps(observed, draws.to_numpy()).mean(), rel=1e-5)
    assert there.tolist() == [False, True, False, True]
    total = again.where(again.copy(data=np.broadcast_to(panel.present[:, rows].T, again.shape)), 0.0).sum("geo")
    np.testing.assert_allclose(cv.predictions["y"].sel(fold=fold.name), total, rtol=1e-6)
    observed = np.nansum(panel.target[:, rows], axis=0)
    assert cv.scores().loc[fold.name, "crps"] == pytest.approx(crps(observed, total.to_numpy()).mean(), rel=1e-5)


def test_returns_are_those_of_all_geos(cv):
    name = cv.folds[0].name
    np.testing.assert_allclose(cv.returns.sel(fold=name), cv.batch[name].roas(by_geo=False), rtol=1e-4)


def test_tables_are_by_geo_and_in_total(cv, panel):
    table = cv.scores_by_geo()
    assert list(table.index) == ["geo_1", "geo_2"]
    assert table.loc["geo_2", "crps"] == pytest.approx(cv.scores(geo="geo_2")["crps"].mean())
    horizon = cv.scores_by_horizon(geo="geo_2")
    assert horizon.loc[1, "folds"] == 1
    assert horizon.loc[2, "folds"] == 2
    assert np.isfinite(cv.scores_by_horizon()["last_skill"]).all()
    # The density of all geos at once is that of two numbers.
    both = sum(cv.scores(geo=geo)["elpd"].iloc[1] for geo in panel.geos)
    assert cv.scores()["elpd"].iloc[1] == pytest.approx(both, abs=1.0)
    with pytest.raises(PanelError, match="no geo 'north'; there are 'geo_1', 'geo_2'"):
        cv.scores(geo="north")


def test_models_of_geos_are_compared_on_one_or_on_all(cv):
    other = replace(cv, measured=cv.measured + 1.0)
    found = mj.compare_models({"one": cv, "other": other})
    assert found.loc["other", "crps_difference"] == pytest.approx(1.0)
    assert mj.compare_models({"one": cv, "other": other}, geo="geo_1").loc["other", "crps_difference"] == 0.0


def test_experiments_enter_a_fold_when_they_are_over(cv, panel):
    known = experiments_of(panel)
    dates = panel.dates
    assert windows_of(known, panel) == [(20, 25), (44, 49), (None, 40)]
    assert cv.experiments_by_fold()[cv.folds[0].name].tolist() == [True, True, True]
    assert cv.batch[cv.folds[0].name].experiments == known
    folds = folds_of(dates, initial=25, horizon=5, step=12, window="rolling")
    assert [(fold.train.start, fold.train.stop) for fold in folds] == [(0, 25), (12, 37), (24, 49)]
    entered = entered_experiments(known, panel, folds)
    # The first test's outcome ends a row too late, the second one's, too; the cost has an open beginning.
    assert [[row.channel for row in entered[fold.name].rows] if fold.name in entered else [] for fold in folds] == [
        [],
        ["channel_1"],
        ["channel_1"],
    ]
    assert isinstance(entered[folds[2].name].rows[0], mj.CostPerTarget)
    wrong = mj.LiftTests([replace(known.tests[0], channel="cinema")])
    with pytest.raises(ExperimentError, match="no channel 'cinema'"):
        mj.cross_validate(panel, GEO_SPEC, initial=CUT, horizon=HORIZON, experiments=wrong, **SHORT)


@pytest.mark.parametrize("nu", [np.inf, 4.0])
def test_measurements_are_the_answers_at_the_truth_with_their_errors(nu):
    """Standardised, they are the error distribution; truths and targets are those without experiments."""
    market = small_market(70)
    known = mj.LiftTests(experiments_of(market, nu=nu).tests)
    scales = mj.Scales.from_panel(market)
    found = simulated(SPEC, market, scales, jax.random.key(1), range(100), "float32", known)
    plain = simulated(SPEC, market, scales, jax.random.key(1), range(2), "float32")
    np.testing.assert_array_equal(found[1].panel.target, plain[1].panel.target)
    with precision_scope("float32"):
        model = build_any_model(SPEC, market, scales, experiments=known)
        truths = {name: np.stack([one.truth[name] for one in found]) for name in found[0].truth}
        answers = over_draws(_answers, model, truths)
    measured = np.array([[test.delta_outcome for test in one.experiments.tests] for one in found])
    z = (measured - answers) / known.tests[0].se
    assert abs(z.mean()) < 4 * z.std() / np.sqrt(z.size)
    assert np.mean(np.abs(z) > 1.0) == pytest.approx(0.317 if np.isinf(nu) else 0.374, abs=0.13)


def test_impossible_measurements_fail_their_simulation():
    market = small_market(70)
    loose = mj.LiftTests(costs=[mj.CostPerTarget(channel=market.channels[0], cost=1.0, sigma=1e9)])
    found = simulated(SPEC, market, mj.Scales.from_panel(market), jax.random.key(1), range(8), "float32", loose)
    failed = [one for one in found if isinstance(one.panel, ExperimentError)]
    assert 0 < len(failed) < 8
    assert "Lower its `sigma`" in str(failed[0].panel)


def test_ranks_stay_uniform_with_experiments():
    """Ten fits, each held to its own tests' sharp measurements: with others', the ranks would stray to the ends."""
    known = mj.LiftTests([replace(test, se=0.1 * test.se) for test in experiments_of(small_market(70)).tests])
    found = calibrated(10, experiments=known)
    assert not found.errors
    assert found.p_values()["adjusted"].min() > 1e-3
