"""Retraining: the parent's choices, other rows, what the ledger taught, and a champion that nobody replaces unasked."""

import math
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import kinds
import numpy as np
import pytest
import xarray as xr
from fitting.test_experiments import confounded_market
from monitoring import made
from planning.fits import SPECS

import mmm_jax as mj
from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.scores import crps
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.mmm import MMM
from mmm_jax.monitoring.chain import Event
from mmm_jax.monitoring.challenge import challenged
from mmm_jax.monitoring.lessons import still_known
from mmm_jax.monitoring.retrain import _promoted

SPEC = mj.ModelSpec(adstock=mj.NoAdstock(), saturation=mj.NoSaturation())
"""So simple that a quick look can be believed."""

QUICK: Any = {"engine": "laplace", "num_chains": 2, "num_samples": 50, "progress": False}
"""A quick look: what is tested here is what becomes of a fit, not the fit."""

pytestmark = pytest.mark.filterwarnings("ignore::mmm_jax.errors.ApproximationWarning")


@cache
def market() -> mj.Panel:
    return mj.Panel.from_frame(kinds.table(), **kinds.ROLES, controls=["rain"])


TRAINERS = str(Path(__file__).with_name("trainers.py"))
OLD, NEW, LATER = slice(0, 44), slice(6, 50), slice(50, 60)


@cache
def first(spec: mj.ModelSpec = SPEC) -> mj.Fit:
    """A fit of the first rows that has seen nothing of them."""
    return made.fit(market().take(OLD), spec)


@pytest.fixture
def registry(tmp_path) -> mj.Registry:
    """A registry with a champion."""
    made = mj.Registry(tmp_path / "loop.db")
    made.register(first(), "brand", scores={"crps": 1.0})
    made.promote("brand")
    return made


@pytest.fixture
def ledger(tmp_path) -> mj.Ledger:
    """A ledger with one outcome that a fit to the new rows may learn from, and one that is too late."""
    found = mj.Ledger(tmp_path / "loop.db")
    decide(found, "more TV", slice(20, 24))
    decide(found, "late", slice(48, 52))
    return found


def again(registry: mj.Registry, ledger: mj.Ledger | None, panel: mj.Panel | None = None, **changes: Any) -> mj.Retraining:
    """A quick retraining on the newer rows."""
    rows = market().take(NEW) if panel is None else panel
    return mj.retrain("brand", rows, "new quarter", registry=registry, ledger=ledger, **{**QUICK, **changes})


def decide(ledger: mj.Ledger, name: str, rows: slice, **outcome: Any) -> int:
    """A decision in which TV went from half to what the panel has, with an outcome."""
    panel = market()
    coords = {"date": panel.dates[rows].astype(str), "channel": list(panel.channels)}
    spend = xr.DataArray(panel.spend[:, rows].T, dims=("date", "channel"), coords=coords)
    baseline = spend.copy()
    baseline[:, 0] = 0.5 * spend[:, 0]
    draws = xr.DataArray(np.ones((9, 2)), dims=("draw", "channel"), coords={"channel": list(panel.channels)})
    ledger.propose(spend, name=name, baseline=baseline, draws=draws, model="m")
    ledger.approve(name)
    ledger.deliver(name, spend=spend, draws=draws, model="m")
    given = {"value": 90.0, "se": 20.0, "method": "geo test", "independent": True, **outcome}
    return ledger.outcome(name, **given)


@pytest.mark.smoke
def test_a_new_version_has_its_parents_choices_and_is_judged_beside_the_champion(registry, ledger):
    number = int(ledger.history("more TV").index[-1])
    ledger.restate("more TV", value=80.0, reason="two shops were missing")
    done = again(registry, ledger, later=market().take(LATER), by="scheduler", reason="quarter's end", key=3)
    assert (done.version, done.parent, done.promoted) == (2, 1, False)
    assert registry.aliases("brand") == {"champion": 1, "challenger": 2}
    found = registry.version("brand", 2)
    assert (found.job, found.review, found.parent, found.trigger) == ("success", "needs_review", 1, "new quarter")
    # The scales of the first rows, not of these.
    assert done.fit.scales.to_dict() == first().scales.to_dict() == found.facts["scales"]
    assert mj.Scales.from_panel(market().take(NEW)).to_dict() != found.facts["scales"]
    assert found.spec_hash == first().spec.content_hash()
    assert found.panel_fingerprint == market().take(NEW).fingerprint() == done.fit.panel.fingerprint()
    assert done.fit.precision == first().precision
    assert [test.delta_outcome for test in done.fit.experiments.tests] == [-80.0]
    restated: Event = ledger.record("more TV").decision.events[-1]
    used = {"decision": "more TV", "outcome": number, "channel": "TV", "event": restated.hash}
    assert [{name: row[name] for name in used} for row in found.facts["ledger_rows"]] == [used]
    assert [row["decision"] for row in found.facts["left_out"]] == ["late"]
    assert found.facts["settings"] == {"engine": "laplace", "num_chains": 2, "num_samples": 50}
    assert done.challenge.to_dict() == found.facts["comparison"]
    assert mj.Challenge.from_dict(found.facts["comparison"]).to_dict() == found.facts["comparison"]
    history = registry.history("brand").query("version == 2")
    assert list(history["event"]) == ["queued", "training_in_progress", "success", "made challenger"]
    assert set(history["by"]) == {"scheduler"}
    np.testing.assert_array_equal(registry.load("brand", 2).draws["intercept"], done.fit.draws["intercept"])
    _check_challenge(done)


def _check_challenge(done: mj.Retraining) -> None:
    """The comparison, by hand: from each model's own predictions of the later weeks, the spend before them known to both."""
    later, known = market().take(LATER), market().take(slice(0, 50))
    found = {"champion": first(), "challenger": done.fit}
    drawn = {who: fit.predict(later, history=known, key=11)["y"].to_numpy() for who, fit in found.items()}
    expected = {who: crps(later.target, draws) for who, draws in drawn.items()}
    scores, rows = done.challenge.scores, done.challenge.rows
    assert f"Challenge({len(rows)} later weeks: CRPS " in repr(done.challenge)
    for who, values in expected.items():
        # Other draws of the noise: the same within what 10 or 100 draws can tell.
        assert scores.loc["crps", who] == pytest.approx(values.mean(), rel=0.2)
    gaps = rows["challenger_elpd"] - rows["champion_elpd"]
    assert scores.loc["elpd", "difference"] == pytest.approx(gaps.mean())
    assert scores.loc["elpd", "se"] == pytest.approx(gaps.std(ddof=1) / np.sqrt(10))
    assert scores.loc["crps", "difference"] < 0  # Whoever has seen nothing foresees worse.
    returns = done.challenge.returns.loc["TV"]
    for who, fit in found.items():
        band = mj.interval(fit.roas(start="2022-02-14", end="2022-10-31")).sel(channel="TV")
        assert returns[[who, f"{who}_lower", f"{who}_upper"]].tolist() == pytest.approx(
            [float(band[name]) for name in ("mean", "lower", "upper")]
        )
    lower, upper = (returns[[f"champion_{end}", f"challenger_{end}"]] for end in ("lower", "upper"))
    assert returns["overlap"] == pytest.approx(max(0.0, upper.min() - lower.max()) / (upper.max() - lower.min()))


def test_densities_are_those_of_the_target_and_a_model_equals_itself():
    # Of a model with carry-over.
    fit, row, rows = first(SPECS["logistic"]), 3, market().take(slice(44, 60))
    same = challenged(fit, fit, rows)
    assert (same.scores["difference"] == 0).all()
    assert same.returns["overlap"].tolist() == [1.0, 1.0]
    with pytest.raises(mj.PredictionError, match="rows are missing"):
        challenged(fit, fit, market().take(LATER))
    with precision_scope("float64"):
        density = over_draws(MMM.log_likelihood, fit.model(rows), fit.flat_draws())
    expected = np.log(np.mean(np.exp(density[:, row]))) - np.log(fit.scales.target)
    assert same.rows["champion_elpd"].iloc[row] == pytest.approx(expected)


def test_a_champion_is_replaced_only_if_that_is_asked_for_and_the_draws_can_be_trusted(registry, ledger):
    done = again(registry, ledger)
    assert done.challenge.rows.empty  # Without later weeks, only returns are compared.
    assert repr(done.challenge).startswith("Challenge(no later weeks; returns agree least on ")
    assert registry.aliases("brand") == {"champion": 1, "challenger": 2}
    done = again(registry, ledger, promote=True, by="Ada")
    assert (done.version, done.parent, done.promoted) == (3, 1, True)
    assert registry.aliases("brand") == {"champion": 3}
    assert list(registry.history("brand")["by"])[-3:] == ["Ada"] * 3
    doubtful = replace(done.fit, diagnostics=replace(done.fit.diagnostics, pareto_k=2.0))
    version = registry.register(doubtful, "brand", scores={})
    promoted, reason = _promoted(registry, "brand", version, doubtful, "Ada")
    assert not promoted
    assert reason.startswith("its draws are not to be trusted: k-hat is 2.00")
    assert registry.aliases("brand") == {"champion": 3, "challenger": 4}


def test_rows_that_left_the_window_count_to_a_power_with_their_spend_before_it(registry, ledger):
    panel = market()
    done = again(registry, ledger, panel.take(slice(6, 42)), power=0.3)
    expected = panel.take(slice(0, 42)).discount(0.3, until=panel.dates[5])
    assert done.fit.panel.fingerprint() == expected.fingerprint()
    np.testing.assert_array_equal(registry.load("brand", 2).panel.weights, np.repeat([0.3, 1.0], [6, 36]))
    assert registry.version("brand", 2).facts["settings"]["power"] == 0.3
    assert registry.version("brand", 2).facts["window"] == [str(panel.dates[0]), str(panel.dates[41])]
    assert len(done.lessons.experiments) == 1


def test_a_training_that_fails_keeps_its_error_and_the_champion(registry, ledger):
    with pytest.raises(mj.SpecError) as raised:
        again(registry, ledger, num_samples=0)
    failed = registry.version("brand", 2)
    assert failed.job == "failed"
    assert failed.error == f"SpecError: {raised.value}"
    assert registry.aliases("brand") == {"champion": 1}
    assert registry.history("brand")["reason"].iloc[-1] == failed.error


def test_what_cannot_be_trained_is_refused_before_there_is_a_version(registry, tmp_path):
    panel, ledger = market(), mj.Ledger(tmp_path / "loop.db")
    before = {"panel": panel.take(slice(0, 40)), "later": panel.take(slice(40, 44))}
    decide(ledger, "read off", slice(20, 24), independent=False, method="sales against forecast")
    renamed = replace(panel.take(NEW), channels=("TV", "Press"))
    geos = mj.Panel.from_frame(kinds.geo_table(), **kinds.ROLES, controls=["rain"], geo="geo")
    cases = [
        ({"panel": renamed}, mj.PredictionError, "lacks channels of the fit: 'Radio'"),
        ({"panel": geos}, mj.MonitoringError, "same kind"),
        ({"panel": panel.take(NEW).with_target(None)}, mj.MonitoringError, "no target"),
        ({"later": panel.take(slice(49, 60))}, mj.MonitoringError, "new version has learned from rows up to"),
        ({"later": panel.take(slice(52, 60))}, mj.MonitoringError, "rows are missing"),
        ({"later": panel.take(LATER).with_target(None)}, mj.MonitoringError, "no target"),
        (before, mj.MonitoringError, "champion has learned"),
        ({"panel": panel.take(OLD), "power": 0.5}, mj.MonitoringError, "`power` is for rows that have left"),
        ({"power": 1.5}, mj.PanelError, "between 0 and 1"),
        ({"panel": panel.take(slice(46, 60)), "power": 0.5}, mj.PanelError, "Rows are missing between"),
        ({"parent": 7}, mj.RegistryError, "no version 7"),
        ({"ledger": ledger, "independent": False}, mj.LedgerError, "was read off sales .* it would count twice"),
        ({"ledger": ledger, "half_life": 0.0}, mj.LedgerError, "half_life"),
    ]
    for changes, kind, words in cases:
        with pytest.raises(kind, match=words):
            again(registry, **{"ledger": None, **changes})
    assert len(registry.versions()) == 1
    with pytest.raises(mj.RegistryError, match="There is no model 'nobody'"):
        mj.retrain("nobody", panel, "", registry=registry)


def test_what_the_parent_knew_is_known_still_as_far_as_it_lies_in_the_new_rows():
    dates, panel = market().dates, market().take(NEW)
    told = {"channel": "TV", "delta_spend": -5.0, "delta_outcome": -20.0, "se": 5.0}
    tests = [mj.LiftTest(start=dates[row], end=dates[row + 1], source=source, **told)
             for row, source in ((2, None), (10, None), (20, "q1#4"))]  # fmt: skip
    cost = mj.CostPerTarget(channel="TV", cost=1.0, sigma=1.0)
    known = mj.LiftTests(tests, [cost])
    alone = still_known(known, panel, None)
    assert alone.experiments.rows == (*tests[1:], cost)
    assert [row["start"] for row in alone.left_out] == [str(dates[2])]
    with_one = still_known(known, panel, mj.Ledger.__new__(mj.Ledger))
    assert with_one.experiments.rows == (tests[1], cost)
    assert [row["reason"][:15] for row in with_one.left_out] == ["its dates are n", "it has a source"]
    assert still_known(None, panel, None).experiments == mj.LiftTests()


def test_a_retraining_that_is_killed_holds_nobody_up_and_until_then_there_is_no_second_one(place, tmp_path):
    registry = mj.Registry(place, artefacts=tmp_path / "models")
    registry.register(first(), "brand", scores={})
    registry.promote("brand")
    arguments: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, TRAINERS], **arguments) as trainers:
        print(place, tmp_path / "models", file=trainers.stdin)
        process = int(trainers.stdout.readline())
        deadline = time.monotonic() + 60
        while "training_in_progress" not in set(registry.versions("brand")["job"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(mj.RegistryError, match=f"Version 2 of 'brand' is training_in_progress .*process {process} on "):
            again(registry, None)
        with pytest.raises(mj.RegistryError, match="still runs"):
            registry.recover("brand")
        os.kill(process, signal.SIGKILL)
        # Its parent has not asked for it yet, and its number is still taken.
        while registry.version("brand", 2).worker.life == "running" and time.monotonic() < deadline:
            time.sleep(0.01)
        with registry.training("brand", "after it", parent="champion") as run:
            assert run.version == 3
        trainers.stdin.close()
    assert registry.version("brand", 2).job == "failed"
    assert f"process {process} on" in registry.version("brand", 2).error
    assert registry.aliases("brand") == {"champion": 1}


def geos() -> mj.GeoPanel:
    return mj.Panel.from_frame(kinds.geo_table(), **kinds.ROLES, geo="geo")


def test_geos_are_judged_by_what_all_of_them_had_on_a_date_jointly():
    panel = geos()
    old, new = made.fit(panel.take(OLD), SPEC, 1), made.fit(panel.take(NEW), SPEC, 2)
    found = challenged(old, new, panel.take(LATER)).rows["champion_elpd"]
    density = {}
    for geo, fit in old.markets.items():
        with precision_scope("float64"):
            model = fit.model(panel[geo].take(LATER), history=panel[geo].take(NEW))
            density[geo] = over_draws(MMM.log_likelihood, model, fit.flat_draws()) - np.log(fit.scales.target)
    np.testing.assert_allclose(found, np.log(np.mean(np.exp(sum(density.values())), axis=0)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mmm_jax.errors.ConvergenceWarning")
def test_geos_are_retrained_likewise(registry):
    panel = geos()
    old = made.fit(panel.take(OLD), SPEC)
    registry.register(old, "markets", scores={})
    registry.promote("markets")
    done = mj.retrain("markets", panel.take(NEW), "new quarter", registry=registry, later=panel.take(LATER), **QUICK)
    assert isinstance(done.fit, mj.GeoFit)
    assert done.fit.scales.to_dict() == old.scales.to_dict()
    assert isinstance(registry.load("markets", 2), mj.GeoFit)
    assert done.challenge.scores.loc["crps", "difference"] < 0
    # Of their sum, by other draws.
    total = {name: values.sum("geo") for name, values in done.fit.predict(key=7).items()}
    there = panel.take(NEW).known_total().target
    assert registry.version("markets", 2).facts["scores"]["crps"] == pytest.approx(crps(there, total["y"]).mean(), rel=0.3)


@pytest.mark.slow
def test_two_independent_experiments_move_a_biased_return_towards_the_truth_and_narrow_it(tmp_path):
    """Search spend follows demand that nobody observed: without experiments, its return is told far too high."""
    panel, truth, tests = confounded_market(1, 60.0)
    ledger, registry = mj.Ledger(tmp_path / "loop.db"), mj.Registry(tmp_path / "loop.db")
    for number, test in enumerate(tests.tests):
        # The panel has what was delivered, and the measurement is of the way from the baseline to there.
        rows = slice(int(np.flatnonzero(panel.dates == test.start)[0]), int(np.flatnonzero(panel.dates == test.end)[0]) + 1)
        coords = {"date": panel.dates[rows].astype(str), "channel": list(panel.channels)}
        spend = xr.DataArray(panel.spend[:, rows].T, dims=("date", "channel"), coords=coords)
        baseline = spend.copy()
        baseline[:, 0] += np.asarray(test.delta_spend)
        draws = xr.DataArray(np.ones((9, 2)), dims=("draw", "channel"), coords={"channel": list(panel.channels)})
        ledger.propose(spend, name=f"test {number}", baseline=baseline, draws=draws, model="m")
        ledger.approve(f"test {number}")
        ledger.deliver(f"test {number}", spend=spend, draws=draws, model="m")
        window = (str(test.start), str(test.outcome_end))
        ledger.outcome(f"test {number}", -test.delta_outcome, test.se, method="geo test", independent=True, window=window)
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), trend=mj.KnotTrend(26))
    short: Any = {"num_chains": 2, "num_warmup": 100, "num_samples": 150, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        registry.register(mj.fit(panel, spec, **short), "brand")
        registry.promote("brand")
        done = mj.retrain("brand", panel, "experiments", registry=registry, ledger=ledger, half_life=math.inf, **short)
    assert len(done.lessons.experiments) == 2
    returns = done.challenge.returns.loc["Search"]
    before, after = abs(returns["champion"] - truth[0]), abs(returns["challenger"] - truth[0])
    assert before > 0.5 * truth[0]
    assert after < 0.3 * before
    widths = {who: returns[f"{who}_upper"] - returns[f"{who}_lower"] for who in ("champion", "challenger")}
    assert widths["challenger"] < 0.7 * widths["champion"]
