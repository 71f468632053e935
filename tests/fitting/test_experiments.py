"""Fits that learn from experiments: kept, stored, shared programs, and what they are for, confounded spend."""

from dataclasses import replace
from functools import cache

import helpers
import numpy as np
import pytest
from scipy import stats

import mmm_jax as mj
from mmm_jax.errors import ExperimentError
from mmm_jax.fitting.batch_engines import chosen_batch_engine
from mmm_jax.fitting.experiments import pit
from mmm_jax.fitting.jobs import Outcome, Request, prepared
from mmm_jax.fitting.keys import as_key
from mmm_jax.inference.programs import compilations
from mmm_jax.inference.samples import SamplerSettings

SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), trend=mj.KnotTrend(26))
SHORT = {"num_chains": 2, "num_warmup": 100, "num_samples": 150, "progress": False}
"""All fits of one kind share their programs."""

pytestmark = pytest.mark.filterwarnings("ignore::mmm_jax.errors.ConvergenceWarning")


def confounded_market(seed: int, strength: float) -> tuple[mj.Panel, np.ndarray, mj.LiftTests]:
    """A panel whose search spend follows a wave of demand that nobody observed, its true returns, and two lift tests."""
    rng, weeks = np.random.default_rng(seed), 104
    demand = np.convolve(rng.normal(size=weeks + 12), np.hanning(13) / np.sqrt((np.hanning(13) ** 2).sum()), mode="valid")
    spend = np.stack([100 * np.exp(0.35 * demand + 0.1 * rng.normal(size=weeks)), rng.gamma(2.0, 60.0, weeks)])
    shapes = [(0.3, 1.5, 300.0), (0.5, 2.0, 250.0)]

    def effect(row: np.ndarray, largest: float, alpha: float, lam: float, top: float) -> np.ndarray:
        weights = helpers.geometric_weights(alpha, 4)
        return helpers.logistic(helpers.adstock(row / largest, weights / weights.sum()), lam, top)

    effects = np.stack([effect(row, row.max(), *shape) for row, shape in zip(spend, shapes, strict=True)])
    sales = 600 + effects.sum(axis=0) + strength * demand + 25 * rng.normal(size=weeks)
    panel = replace(helpers.panel_of(helpers.days_from("2023-01-01", 7 * weeks)[::7], "weekly", sales), spend=spend,
                    channels=("Search", "TV"))  # fmt: skip
    tests = []
    for first, share in [(30, -0.6), (70, 0.8)]:
        changed, change = spend[0].copy(), share * spend[0, first : first + 4].min()
        changed[first : first + 4] += change
        truth = (effect(changed, spend[0].max(), *shapes[0]) - effects[0])[first : first + 7].sum()
        se = 0.15 * abs(truth)
        tests.append(
            mj.LiftTest(channel="Search", start=panel.dates[first], end=panel.dates[first + 3], delta_spend=change,
                        delta_outcome=truth + se * rng.normal(), se=se, outcome_end=panel.dates[first + 6])
        )  # fmt: skip
    return panel, effects.sum(axis=1) / spend.sum(axis=1), mj.LiftTests(tests)


@cache
def market(seed: int = 1) -> mj.Panel:
    return confounded_market(seed, 60.0)[0]


def known_of(panel, count: int) -> mj.LiftTests:
    dates = panel.dates
    tests = [
        mj.LiftTest(channel=panel.channels[k % 2], start=dates[10 * k], end=dates[10 * k + 3], delta_spend=20.0,
                    delta_outcome=100.0, se=60.0)
        for k in range(count)
    ]  # fmt: skip
    return mj.LiftTests(tests, [mj.CostPerTarget(channel="TV", cost=0.6, sigma=0.6, start=dates[40], end=dates[46])])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A batch of two fits with different numbers of tests."""
    panels = {"few": market(1), "more": market(2)}
    known = {"few": known_of(market(1), 2), "more": known_of(market(2), 3)}
    store = tmp_path_factory.mktemp("batch") / "store"
    batch = mj.fit_batch(panels, SPEC, experiments=known, store=store, **SHORT)
    return batch, store, known


def test_fits_with_different_numbers_of_tests_share_a_program(made):
    requests = [request(name, known) for name, known in made[2].items()]
    jobs = [prepared(one) for one in requests]
    assert not any(isinstance(job, Outcome) for job in jobs)
    assert jobs[0].shape == jobs[1].shape  # pyright: ignore
    assert jobs[0].shape != prepared(request("few", None)).shape  # pyright: ignore
    before = compilations.count
    mj.fit_batch({"one": market(2)}, SPEC, experiments={"one": known_of(market(2), 1)}, **SHORT)
    assert compilations.count == before


def test_stores_carry_experiments(made):
    batch, store, known = made
    assert mj.Batch.open(store)["more"].experiments == known["more"]
    again = mj.fit_batch({"few": market(1)}, SPEC, experiments={"few": known["few"]}, store=store, **SHORT)
    np.testing.assert_array_equal(again["few"].draws["intercept"], batch["few"].draws["intercept"])
    for other in ({}, {"few": known["more"]}):
        with pytest.raises(mj.StoreError, match="another fit under the name 'few'"):
            mj.fit_batch({"few": market(1)}, SPEC, experiments=other, store=store, **SHORT)


@pytest.mark.parametrize("name", ["fit.zarr", "fit.nc"])
def test_a_saved_fit_keeps_its_experiments(made, tmp_path, name):
    fit = made[0]["few"]
    fit.save(tmp_path / name)
    loaded = mj.Fit.load(tmp_path / name)
    assert loaded.experiments == fit.experiments == made[2]["few"]
    held_out = known_of(market(1), 5)
    np.testing.assert_array_equal(*(f.predict_experiments(held_out)["mean"] for f in (fit, loaded)))


def test_predictions_stand_beside_measurements(made):
    fit, held_out = made[0]["few"], known_of(market(1), 5)
    table = fit.predict_experiments(held_out, prob=0.8)
    assert list(table["kind"]) == ["lift test"] * 5 + ["cost per target"]
    assert list(table["measured"]) == [100.0] * 5 + [0.6]
    assert (table["lower"] <= table["median"]).all()
    assert (table["median"] <= table["upper"]).all()
    assert table["pit"].between(0, 1).all()
    window = {"start": str(market(1).dates[40]), "end": str(market(1).dates[46])}
    cost = 1 / fit.roas(**window).sel(channel="TV").to_numpy()
    assert table["mean"].iloc[-1] == pytest.approx(cost.mean(), rel=1e-4)
    with pytest.raises(ExperimentError, match="empty"):
        fit.predict_experiments(mj.LiftTests())


def test_the_pit_is_that_of_model_and_measurement():
    rng = np.random.default_rng(0)
    draws = rng.normal(2.0, 1.5, (100_000, 1))
    found = pit(draws, np.array([4.0]), np.array([2.0]), np.array([np.inf]))
    assert found[0] == pytest.approx(stats.norm.cdf(2.0 / 2.5), abs=5e-3)
    far = pit(np.array([[0.0], [1.0]]), np.array([3.0]), np.array([1.0]), np.array([4.0]))
    assert far[0] == pytest.approx((stats.t.cdf(3.0, 4) + stats.t.cdf(2.0, 4)) / 2)


def test_geos_learn_together(tmp_path):
    panel = mj.GeoPanel(("a", "b"), (market(1), market(2)))
    known = mj.LiftTests([*known_of(panel, 2).tests, replace(known_of(panel, 1).tests[0], geo="b")])
    with pytest.warns(mj.ApproximationWarning):
        fit = mj.fit(
            panel,
            mj.ModelSpec(adstock=SPEC.adstock),
            experiments=known,
            engine="laplace",
            num_chains=1,
            num_samples=50,
            progress=False,
        )
    fit.save(tmp_path / "geos.zarr")
    assert mj.GeoFit.load(tmp_path / "geos.zarr").experiments == known
    assert fit["a"].experiments is None
    together, only_b = fit.predict_experiments(known), fit["b"].predict_experiments(known_of(panel, 1))
    assert together["mean"].iloc[2] == pytest.approx(only_b["mean"].iloc[0], rel=1e-3)


def request(name: str, known: mj.LiftTests | None) -> Request:
    panel = market(1 if name == "few" else 2)
    settings = SamplerSettings(2, 100, 150, 0.9, 10)
    return Request(name, panel, SPEC, None, as_key(0), settings, "float32", chosen_batch_engine("lanes")[0], known)


def test_experiments_are_part_of_what_is_asked_for_only_where_there_are_any():
    fingerprints = [request("few", known).fingerprint() for known in (None, mj.LiftTests(), known_of(market(1), 1))]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_experiments_that_do_not_fit_are_refused():
    wrong = mj.LiftTests([replace(known_of(market(1), 1).tests[0], channel="Cinema")])
    with pytest.raises(ExperimentError, match="no channel 'Cinema'"):
        mj.fit(market(1), SPEC, experiments=wrong, **SHORT)
    outcome = prepared(request("few", wrong))
    assert isinstance(outcome, Outcome)
    assert "ExperimentError: Lift test in row 0 (channel 'Cinema'" in outcome.error
    with pytest.raises(ExperimentError, match="experiments for 'm2', but no such panel; there are 'm1'"):
        mj.fit_batch({"m1": market(1)}, SPEC, experiments={"m2": wrong}, **SHORT)


def test_two_lift_tests_tell_a_hidden_driver_from_spend():
    """Without them, the search channel's return is overstated; with them, less than half of the error is left."""
    cases = {"one": (1, 60.0, 4.0), "other": (3, 60.0, 4.0), "strong, normal error": (2, 120.0, np.inf)}
    made = {name: confounded_market(seed, strength) for name, (seed, strength, _) in cases.items()}
    panels = {name: panel for name, (panel, _, _) in made.items()}
    known = {
        name: mj.LiftTests([replace(test, nu=cases[name][2]) for test in found.tests]) for name, (*_, found) in made.items()
    }
    batches = [mj.fit_batch(panels, SPEC, experiments=given, **SHORT) for given in (None, known)]
    for name, (_, truth, _) in made.items():
        without, with_them = (float(b[name].roas().mean(("chain", "draw"))[0]) - truth[0] for b in batches)
        assert without > 0.5 * truth[0]
        assert abs(with_them) < 0.5 * without
