"""Drift: evidence that keeps its promise, rows judged by a posterior that has seen those before, and causes told apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import quick_fit
from scipy import stats

import mmm_jax as mj
from mmm_jax.errors import MonitoringError, PredictionError
from mmm_jax.monitoring.evidence import directed_evidence, level_evidence, mixed, variance_evidence
from mmm_jax.monitoring.prequential import conditioned, effective_draws

ROWS = 52


@pytest.mark.parametrize("evidence", [lambda z: level_evidence(z, 1.0), variance_evidence])
def test_the_evidence_of_one_start_is_a_ratio_of_densities(evidence):
    """Of two rows: by integrating over the changes that are looked for, on a grid."""
    z = np.array([0.7, -1.9])
    grid = np.linspace(1e-4, 60.0, 600_001) if evidence is variance_evidence else np.linspace(-9.0, 9.0, 90_001)

    def ratio(rows):
        if evidence is variance_evidence:
            prior = stats.invgamma(2.0, scale=2.0).pdf(grid)
            return np.trapezoid(prior * np.prod(stats.norm.pdf(rows[:, None], 0.0, np.sqrt(grid)), axis=0), grid)
        return np.trapezoid(stats.norm.pdf(grid) * np.prod(stats.norm.pdf(rows[:, None], grid), axis=0), grid)

    first = ratio(z[:1]) / stats.norm.pdf(z[0])
    both = ratio(z) / stats.norm.pdf(z).prod()
    second = ratio(z[1:]) / stats.norm.pdf(z[1])
    expected = [first / 2 + 1 / 2, both / 2 + second / 6 + 1 / 3]
    np.testing.assert_allclose(np.exp(evidence(z)), expected, rtol=2e-4)


def test_the_evidence_ever_exceeds_its_threshold_as_rarely_as_it_promises():
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(600):
        z = rng.normal(size=ROWS)
        parts = {"level": (0.5, level_evidence(z, 1.0)), "variance": (0.5, variance_evidence(z))}
        alarms += bool((mixed(parts) >= np.log(20)).any())
    assert stats.binom.sf(alarms - 1, 600, 0.05) > 1e-3


def test_rows_that_were_not_seen_add_nothing():
    z = np.random.default_rng(2).normal(size=9)
    z[4] = np.nan
    for values in (level_evidence(z, 1.0), variance_evidence(z)):
        assert np.isfinite(values).all()
    held = directed_evidence(z, np.ones((9, 9)), 1.0, late=True)
    assert np.isfinite(held).all()


def test_conditioning_is_whitening_by_the_predictive_covariance():
    """Of jointly normal rows, one after the other is the same as all at once by a triangular factor."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6))
    covariance, noise, mean = root @ root.T, rng.uniform(0.5, 2.0, 6), rng.normal(size=6)
    y = rng.normal(size=6)
    found = conditioned(mean, covariance, noise, np.ones(6, bool), lambda row, middle: y[row] - middle)
    z = (y - found.mean) / np.sqrt(found.deviation**2 + noise**2)
    whole = np.linalg.solve(np.linalg.cholesky(covariance + np.diag(noise**2)), y - mean)
    np.testing.assert_allclose(z, whole, rtol=1e-9)


def test_effective_draws_count_what_is_left():
    log_density = np.zeros((8, 3))
    log_density[:, 0] = np.where(np.arange(8) < 2, 0.0, -np.inf)
    np.testing.assert_allclose(effective_draws(log_density, np.ones(3, bool)), [8.0, 2.0, 2.0])
    np.testing.assert_allclose(effective_draws(log_density, np.array([False, True, True])), 8.0)


@pytest.fixture(scope="module")
def market():
    return mj.synthetic.make_market(weeks=156).panel


@pytest.fixture(scope="module")
def fit(market):
    return quick_fit(market.take(slice(0, 104)), mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=1))


def noise_of(fit):
    return float(fit.draws["y_sigma"].mean() * fit.scales.target)


def test_a_shift_of_the_level_is_found_and_what_was_known_before_is_passed_over(fit, market):
    later = np.arange(156) >= 117
    found = mj.detect_drift(fit, market.with_target(market.target + 2.0 * noise_of(fit) * later))
    assert found.alarm
    assert found.alarmed_on >= market.dates[117]
    assert found.causes.index[0] in ("level", "ramp")
    assert "ALARM" in repr(found)
    assert found.rows.sizes["date"] == 52
    assert not found.restated
    assert float(found.rows["crps_ratio"][-1]) > 1.0


def test_what_it_found_survives_json(fit, market):
    found = mj.detect_drift(fit, market.hold_out("2016-08-07", "2016-08-28"))
    back = mj.Drift.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert np.isnan(found.rows["pit"].to_numpy()).sum() == 4
    for name, values in found.rows.data_vars.items():
        np.testing.assert_array_equal(back.rows[name], values)
    assert (back.alarm, back.needs_refit, repr(back)) == (found.alarm, found.needs_refit, repr(found))
    np.testing.assert_array_equal(back.causes, found.causes)


def test_restated_cells_of_training_are_named(fit, market):
    target = market.target.copy()
    target[7] *= 1.5
    spend = market.spend.copy()
    spend[2, 9] += 10.0
    found = mj.detect_drift(fit, replace(market.with_spend(spend), target=target)).restated
    assert [(one.date, one.column) for one in found] == [
        (str(market.dates[7]), "sales"),
        (str(market.dates[9]), market.channels[2]),
    ]
    assert found[0].now == pytest.approx(1.5 * found[0].before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0.0}, "`alpha` must be a probability"),
        ({"window": 0}, "`window` must"),
        ({"least_ess": -1.0}, "`least_ess`"),
    ],
)
def test_options_out_of_range(fit, market, options, words):
    with pytest.raises(MonitoringError, match=words):
        mj.detect_drift(fit, market, **options)


def test_panels_that_tell_nothing_new(fit, market):
    with pytest.raises(MonitoringError, match="nothing is new"):
        mj.detect_drift(fit, market.take(slice(0, 104)))
    with pytest.raises(MonitoringError, match="has no target"):
        mj.detect_drift(fit, market.with_target(None))
    with pytest.raises(PredictionError, match="rows are missing"):
        mj.detect_drift(fit, market.take(slice(110, None)))
    with pytest.raises(MonitoringError, match="of one market, the new panel is of geos"):
        mj.detect_drift(fit, mj.synthetic.make_geo_market(geos=2, weeks=60).panel)


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in (mj.StudentT, mj.TruncatedNormal, mj.LogNormal)]


@pytest.mark.parametrize("kind", [mj.NegativeBinomial, *SLOW])
def test_probabilities_of_every_likelihood_are_uniform_under_the_model(kind, market):
    """Of rows drawn from the fit's own predictive distribution, at one draw: moments of the transform."""
    panel = market.with_target(np.round(market.target / 1e5)) if kind is mj.NegativeBinomial else market
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), likelihood=kind())
    fit = quick_fit(panel.take(slice(0, 104)), spec)
    drawn = fit.predict(panel.take(slice(104, None)), key=3)["y"].to_numpy()[0, 7]
    found = mj.detect_drift(fit, replace(panel.take(slice(104, None)), target=drawn))
    z = found.rows["z"].to_numpy()
    assert abs(z.mean()) < 4.5 / np.sqrt(ROWS)
    assert 0.4 < z.var() < 2.5


def test_geos_are_judged_together():
    panel = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=70).panel
    train, later = panel.take(slice(0, 60)), panel.take(slice(60, None))
    fit = quick_fit(train, mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4)))
    found = mj.detect_drift(fit, later)
    assert found.rows["z"].dims == ("date", "geo")
    assert found.rows.sizes == {"date": 10, "geo": 2, "cause": 4}
    assert np.isfinite(found.rows["log_evidence"]).all()
    back = mj.Drift.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert back.rows.equals(found.rows.assign_coords(date=back.rows["date"]))
    shifted = mj.detect_drift(fit, later.with_target(later.target * 1.6))
    assert shifted.alarm
