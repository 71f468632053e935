"""Staleness: each sign at, under and over its threshold; channels that come and go; what is advised; what is refused."""

import itertools
import json
from dataclasses import replace
from typing import Any

import helpers
import jax
import kinds
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitoring import made
from planning.fits import DIAGNOSTICS, WEEKS, market

import mmm_jax as mj
from mmm_jax.data.calendar import Frequency
from mmm_jax.data.geo_scaling import scales_of
from mmm_jax.errors import MonitoringError, PredictionError
from mmm_jax.fitting.geo_fit import fit_of
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.monitoring.one_sided import discoveries
from mmm_jax.monitoring.staleness_mix import compare_mix, season_weights
from mmm_jax.monitoring.staleness_plan import read_plan
from mmm_jax.monitoring.staleness_range import observed_amounts, with_prior_draws
from mmm_jax.monitoring.versions import fingerprint
from mmm_jax.planning.allocation import Allocation
from mmm_jax.planning.problem import Statement, lay_out
from mmm_jax.planning.scope import planning_scope

SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4))


def empty_fit(panel, spec: mj.ModelSpec = SPEC) -> Any:
    """A fit with one draw of zeros, where draws are of no account."""
    scales = scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)
    with precision_scope("float64"):
        shapes = jax.eval_shape(build_any_model(spec, panel, scales).sample_prior, jax.random.key(0))
    zeros = {name: np.zeros((1, 1, *one.shape)) for name, one in shapes.items()}
    return fit_of(spec, panel, scales, zeros, {"diverging": np.zeros((1, 1), bool)}, DIAGNOSTICS, "float64")


def prior_fit(panel) -> Any:
    """A fit whose draws are as many of the prior's as a check draws by itself, so that few programs are compiled."""
    return with_prior_draws(empty_fit(panel), 5, 2000)


FIT = prior_fit(market(WEEKS))
CHANNELS = FIT.panel.channels
LATER = market(WEEKS + 20).take(slice(WEEKS, None))
PERIODS = 6
EPS = 1e-6


def rows(spend: dict[str, np.ndarray], start: str = "2021-01-04", step: int = 7) -> mj.Panel:
    """Rows of which only the spend matters."""
    values = np.stack([np.asarray(one, float) for one in spend.values()])
    dates = np.datetime64(start, "D") + step * np.arange(values.shape[1])
    target = np.arange(1.0, 1.0 + len(dates))
    frequency = {1: Frequency.DAILY, 7: Frequency.WEEKLY}[step]
    return mj.Panel(dates, values, np.zeros((0, len(dates))), target, tuple(spend), (), "sales", frequency)


def shares(first: float, periods: int, start: str, total: float = 100.0) -> mj.Panel:
    """Two channels, the first with this share."""
    return rows({"TV": np.full(periods, first * total), "Radio": np.full(periods, (1 - first) * total)}, start)


def like_usual(periods: int = 8) -> mj.Panel:
    """Rows right after the fit's, spent on as in the same weeks a year before."""
    return LATER.take(slice(0, periods)).with_spend(FIT.panel.spend[:, WEEKS - 52 : WEEKS - 52 + periods])


def planned(levels: dict[str, Any], gap: int = 10) -> pd.DataFrame:
    """Spend long after all that is known, so that nothing is carried in; one amount for all periods, or one for each."""
    dates = FIT.panel.dates[-1] + 7 * (1 + gap + np.arange(PERIODS))
    return pd.DataFrame({n: np.ones(PERIODS) * level for n, level in levels.items()}, pd.Index(dates, name="date"))


# Mix


@pytest.mark.parametrize(("moved", "stale"), [(0.15 - EPS, False), (0.15, False), (0.15 + EPS, True)])
def test_the_mix_is_stale_beyond_its_threshold_and_not_at_it(moved, stale):
    training, recent = shares(0.5, 60, "2021-01-04"), shares(0.5 + moved, 6, "2022-02-28", total=3.0)
    found = compare_mix(training, recent, 0.15)
    assert found.distance == pytest.approx(moved, abs=1e-12)
    assert found.stale is stale
    assert bool(found.reasons()) is stale
    assert compare_mix(training, recent, 0.15 + 2 * EPS).stale is False


@given(st.lists(st.tuples(st.floats(0.01, 1e3), st.floats(0.01, 1e3)), min_size=2, max_size=5))
def test_the_distance_is_the_largest_difference_of_any_set_of_channels(spend):
    names = [f"c{place}" for place in range(len(spend))]
    before, now = np.array(spend).T
    short = rows({name: np.full(10, amount) for name, amount in zip(names, before, strict=True)})
    recent = rows({name: [amount] for name, amount in zip(names, now, strict=True)}, "2021-03-15")
    found = compare_mix(short, recent, 0.15)
    change = now / now.sum() - before / before.sum()
    sets = (sum(chosen) for size in range(len(spend)) for chosen in itertools.combinations(change, size))
    assert found.distance == pytest.approx(max(sets), abs=1e-12)
    assert sum(found.recent.values()) == pytest.approx(1.0)


def test_recent_rows_are_held_against_the_same_weeks_of_the_year():
    """Two channels that take turns by half-years: in their season, nothing has moved."""
    weeks = 156
    summer = (np.arange(weeks) // 26) % 2 == 1
    spend = {"TV": np.where(summer, 9.0, 1.0), "Radio": np.where(summer, 1.0, 9.0)}
    every = rows(spend)
    training, recent = every.take(slice(0, 104)), every.take(slice(108, 120))
    found = compare_mix(training, recent, 0.15)
    assert (found.window, found.stale) == ("same season", False)
    assert found.distance == pytest.approx(0.0, abs=1e-12)
    short = compare_mix(every.take(slice(78, 104)), recent, 0.15)
    assert (short.window, short.stale) == ("all rows", True)
    assert short.distance == pytest.approx(0.8)
    assert "the same time of the year" in found.lines()[0]
    assert "all training rows" in short.lines()[0]


def test_every_recent_row_counts_once_over_the_years_that_have_it():
    dates = np.datetime64("2019-01-06") + 7 * np.arange(130)
    recent = dates[-1] + 7 * np.arange(1, 53)
    weights = season_weights(dates, recent, Frequency.WEEKLY)
    assert weights.sum() == pytest.approx(52.0)
    # Weeks of the year that training has three times count a third each, those that it has twice a half.
    assert set(np.round(weights, 9)) == {0.0, round(1 / 3, 9), 0.5}
    assert season_weights(dates[:40], recent, Frequency.WEEKLY) is None


@pytest.mark.parametrize(
    ("training", "recent", "frequency", "place"),
    [
        (np.arange("2023-01", "2024-01", dtype="datetime64[M]"), ["2024-02-01"], Frequency.MONTHLY, 1),
        (np.array(["2023-01-31", "2023-02-28", "2023-03-31"]), ["2024-02-29"], Frequency.MONTHLY, 1),
        (np.arange("2023-02-20", "2023-03-10", dtype="datetime64[D]"), ["2024-02-29"], Frequency.DAILY, 8),
    ],
)
def test_the_same_day_of_another_year(training, recent, frequency, place):
    found = season_weights(training.astype("datetime64[D]"), np.array(recent, "datetime64[D]"), frequency)
    assert np.flatnonzero(found).tolist() == [place]


def test_channels_that_come_and_go_are_named_and_known_by_their_share():
    recent = like_usual()
    named = replace(recent, channels=("Podcast", *CHANNELS[1:]))
    found = mj.check_staleness(FIT, named)
    assert (found.mix.new, found.mix.dropped) == (("Podcast",), (CHANNELS[0],))
    share = recent.spend[0].sum() / recent.spend.sum()
    assert found.mix.distance == pytest.approx(share)
    assert found.mix.recent["Podcast"] == found.mix.training[CHANNELS[0]] == pytest.approx(share)
    assert found.actions == {"refit": ("*",), "run an experiment": ("Podcast",)}
    assert f"leave {CHANNELS[0]} out" in str(found)
    lax = mj.check_staleness(FIT, named, mix_threshold=0.9)
    assert not lax.stale
    assert "Podcast is new" in str(lax)
    silent = recent.with_spend(recent.spend * (np.arange(4) != 2)[:, None])
    assert mj.check_staleness(FIT, silent).mix.dropped == (CHANNELS[2],)
    assert mj.check_staleness(FIT, like_usual()).mix.distance == pytest.approx(0.0, abs=1e-12)


def test_only_rows_after_training_are_recent_and_of_these_the_last_ones():
    every = market(WEEKS + 20)
    assert mj.check_staleness(FIT, every).mix == mj.check_staleness(FIT, LATER).mix
    last = mj.check_staleness(FIT, every, window=5).mix
    assert last == mj.check_staleness(FIT, LATER.take(slice(15, None))).mix
    assert last.first == str(LATER.dates[15])


# Errors


def test_a_channel_is_flagged_from_its_e_value_on(kept):
    made.measure(kept, value=20.0, se=3.0, channel="TV")
    (one,) = mj.check_staleness(FIT, like_usual(), ledger=kept).errors.channels
    for factor, flagged in ((1 - EPS, False), (1 + EPS, True)):
        found = mj.check_staleness(FIT, like_usual(), ledger=kept, alpha=factor / one.e_value)
        assert found.stale is found.errors.channels[0].flagged is flagged
    assert (one.channel, one.direction, one.outcomes, one.independent) == ("TV", "less", 1, 1)
    assert one.ratio == pytest.approx(20.0 / 36.0)
    assert found.actions == {"refit": ("TV",)}
    assert "experiments=ledger.calibration" in found.reasons[0].advice


def test_false_discoveries_are_controlled_over_the_channels(kept):
    """TV alone would be enough for its own threshold; among two channels it needs twice as much."""
    made.measure(kept, value=22.0, se=3.0, channel="TV")
    kept.outcome("q1", 24.5, 3.0, method="geo test", independent=False, channel="Radio")
    rows = mj.check_staleness(FIT, like_usual(), ledger=kept).errors.channels
    e_values = np.array([one.e_value for one in rows])
    alpha = 1.5 / e_values[0]
    found = mj.check_staleness(FIT, like_usual(), ledger=kept, alpha=alpha).errors
    assert not found.stale
    for at in (alpha, 2.1 / e_values[0], 0.9):
        flagged = [one.flagged for one in mj.check_staleness(FIT, like_usual(), ledger=kept, alpha=at).errors.channels]
        assert flagged == discoveries(e_values, at).tolist()
    kept.void("q1", reason="wrong", outcome=found.measured and kept.measurements()[0].outcome.number)
    alone = mj.check_staleness(FIT, like_usual(), ledger=kept, alpha=0.999)
    assert [one.channel for one in alone.errors.channels] == ["Radio"]


def test_outcomes_that_were_read_off_sales_call_for_an_experiment(kept):
    made.measure(kept, value=15.0, se=2.0, channel="TV", independent=False)
    found = mj.check_staleness(FIT, like_usual(), ledger=kept)
    assert found.actions == {"run an experiment": ("TV",)}


def test_outcomes_of_other_versions_can_be_left_out(kept):
    made.measure(kept, value=15.0, se=2.0, channel="TV")
    found = mj.check_staleness(FIT, like_usual(), ledger=kept).errors
    assert (found.measured, found.own) == (1, 0)
    own = mj.check_staleness(FIT, like_usual(), ledger=kept, own_outcomes=True).errors
    assert (own.measured, own.channels, own.stale) == (0, (), False)
    version = {"model": fingerprint(FIT)}
    made.propose(kept, "q2", **version)
    kept.approve("q2")
    kept.deliver("q2", spend=made.spend(), draws=made.draws(), **version)
    kept.outcome("q2", 41.0, 3.0, method="geo test", independent=True, channel="TV")
    own = mj.check_staleness(FIT, like_usual(), ledger=kept, own_outcomes=True).errors
    assert (own.measured, own.own, own.channels[0].outcomes, own.stale) == (1, 1, 1, False)
    assert mj.check_staleness(FIT, like_usual(), ledger=kept).errors.channels[0].outcomes == 2


# Range


def ranged(plan, place: int = 0, **options):
    return mj.check_staleness(FIT, like_usual(), plan=plan, **options).range.channels[place]


LEVELS = [(1 - EPS, False), (1.0, False), (1 + EPS, True)]


@pytest.mark.parametrize(("factor", "beyond"), LEVELS)
def test_spend_of_a_period_beyond_the_largest_observed(factor, beyond):
    largest = FIT.panel.spend[0].max()
    plan = planned({CHANNELS[0]: np.eye(PERIODS)[2] * factor * largest})
    found = ranged(plan)
    assert found.planned["period"] == pytest.approx(factor * largest)
    assert ("period" in found.beyond) is beyond
    assert "period" not in ranged(plan, range_threshold=1.1).beyond


@pytest.mark.parametrize(("factor", "beyond"), LEVELS)
def test_adstocked_spend_beyond_a_quantile_of_training(factor, beyond):
    """Of steady spend, as much is carried over as is spent: the weights sum to 1."""
    weights = FIT.adstock_curves().mean(("chain", "draw")).to_numpy()[1]
    level = np.quantile(helpers.adstock(FIT.panel.spend[1], weights), 0.9)
    found = ranged(planned({CHANNELS[1]: factor * level}), 1, quantile=0.9)
    assert found.observed["adstock"] == pytest.approx(level)
    assert ("adstock" in found.beyond) is beyond


@pytest.mark.parametrize(("factor", "beyond"), LEVELS)
def test_a_total_beyond_the_largest_of_so_many_rows(factor, beyond):
    spend = FIT.panel.spend[2]
    largest = max(spend[start : start + PERIODS].sum() for start in range(WEEKS - PERIODS + 1))
    found = ranged(planned({CHANNELS[2]: factor * largest / PERIODS}), 2)
    assert found.observed["total"] == pytest.approx(largest)
    assert ("total" in found.beyond) is beyond


def test_of_a_plan_that_is_longer_than_training_the_total_is_stretched():
    media = np.array([[1.0, 2.0, 3.0]])
    assert observed_amounts(media, np.ones((1, 1)), np.ones(3, bool), 6, 0.5)["total"] == 12.0


def test_what_was_spent_before_the_plan_is_carried_into_it():
    weights = FIT.adstock_curves().mean(("chain", "draw")).to_numpy()[0]
    recent = like_usual(2)
    plan = LATER.take(slice(2, 2 + PERIODS)).with_spend(np.full((4, PERIODS), 5e5) * (np.arange(PERIODS) < 2))
    found = mj.check_staleness(FIT, recent, plan=plan).range.channels[0]
    spend = np.concatenate([FIT.panel.spend[0], recent.spend[0], plan.spend[0]])
    assert found.planned["adstock"] == pytest.approx(helpers.adstock(spend, weights)[-PERIODS:].max())


def test_where_the_data_say_nothing_an_experiment_is_advised_else_more_rows():
    """Of prior draws, and of draws that are all alike."""
    high = planned({CHANNELS[0]: 3 * FIT.panel.spend[0].max()})
    sure = replace(FIT, draws={n: np.broadcast_to(v.mean(1, keepdims=True), v.shape) for n, v in FIT.draws.items()})
    for fit, ratio, action in ((FIT, 1.0, "run an experiment"), (sure, 0.0, "extend training")):
        found = mj.check_staleness(fit, like_usual(), plan=high)
        assert found.range.channels[0].sd_ratio == pytest.approx(ratio, abs=0.09)
        assert found.range.channels[1].sd_ratio is None
        assert found.actions == {action: (CHANNELS[0],)}
    at = ranged(high).sd_ratio
    for factor, action in ((1 + EPS, "extend training"), (1.0, "run an experiment"), (1 - EPS, "run an experiment")):
        found = mj.check_staleness(FIT, like_usual(), plan=high, sd_ratio_threshold=factor * at)
        assert found.actions == {action: (CHANNELS[0],)}


def test_where_recent_rows_hold_as_much_a_refit_will_do():
    spend = like_usual(8).spend.copy()
    spend[0] = 2 * FIT.panel.spend[0].max()
    recent = like_usual(8).with_spend(spend)
    plan = planned({CHANNELS[0]: 1.5 * FIT.panel.spend[0].max()})
    found = mj.check_staleness(FIT, recent, plan=plan, mix_threshold=1.0, sd_ratio_threshold=10.0)
    assert found.range.channels[0].beyond == ("period", "adstock", "total")
    assert found.range.channels[0].still_beyond == ()
    assert found.actions == {"refit": (CHANNELS[0],)}


def test_a_planned_channel_that_the_fit_does_not_know_is_beyond_it():
    found = mj.check_staleness(FIT, like_usual(), plan=planned({"Podcast": 5.0, CHANNELS[0]: 1.0}))
    assert found.range.unknown == {"Podcast": 30.0}
    assert found.actions == {"run an experiment": ("Podcast",)}
    nothing = mj.check_staleness(FIT, like_usual(), plan=planned({"Podcast": 0.0}))
    assert not nothing.stale


def unsolved_plan(total: float) -> Allocation:
    """The problem of a budget with an even plan: what it stands on, without the time that solving it takes."""
    with planning_scope():
        problem = lay_out(FIT, Statement(horizon=PERIODS, total=total))
    amounts = np.full(problem.decisions.count, total / problem.decisions.count)
    unknown: Any = None
    return Allocation(problem.decisions.spend(amounts), unknown, unknown, problem, amounts)


def test_a_plan_may_be_any_of_its_kinds():
    plan = unsolved_plan(4e6)
    rows = LATER.take(slice(0, PERIODS)).with_spend(plan.spend.T.to_numpy())
    kinds_of_plan = (plan, plan.spend, plan.spend.to_pandas(), rows)
    found = [mj.check_staleness(FIT, like_usual(2), plan=one) for one in kinds_of_plan]
    assert all(one == found[0] for one in found[1:])
    assert sum(one.planned["total"] for one in found[0].range.channels) == pytest.approx(4e6)


def test_units_are_what_is_compared_where_the_fit_has_them():
    fit = empty_fit(kinds.panel())
    later = kinds.panel(kinds.table(80)).take(slice(kinds.WEEKS, None))
    recent, plan = later.take(slice(0, 6)), later.take(slice(6, 12))

    def media(given: Any, prices: Any = None) -> np.ndarray:
        return read_plan(given, fit, prices).rows["national"].exposure

    np.testing.assert_allclose(media(plan)[:2], plan.exposure[:2])
    spend = pd.DataFrame({"TV": 70.0, "Radio": 1.0}, index=pd.Index(plan.dates, name="date"))
    np.testing.assert_allclose(media(spend, {"TV": mj.Price(7.0)})[:2], [[10.0] * 6, [1.0] * 6])
    late = slice(-52, None)
    cost = fit.panel.spend[0, late].sum() / fit.panel.exposure[0, late].sum()
    np.testing.assert_allclose(media(spend)[0], 70.0 / cost)
    with pytest.raises(MonitoringError, match="organic"):
        media(spend.assign(newsletter=1.0))
    with pytest.raises(PredictionError, match="units beside spend, the newer rows have them as spend"):
        mj.check_staleness(fit, kinds.panel(kinds.table(80), media={}).take(slice(60, None)), plan=spend)
    assert not mj.check_staleness(fit, recent, mix_threshold=1.0).stale


# Geos


@pytest.fixture(scope="module")
def geos():
    panel = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=70).panel
    return prior_fit(panel.take(slice(0, 60))), panel


def test_of_geos_the_mix_is_that_of_all_and_the_range_that_of_each(geos):
    fit, panel = geos
    recent, plan = panel.take(slice(60, 64)), panel.take(slice(64, None))
    high = replace(
        plan, markets=(plan.markets[0], plan.markets[1].with_spend(plan.markets[1].spend * np.array([[5.0], [1.0]])))
    )
    found = mj.check_staleness(fit, recent, plan=high)
    now, before = recent.spend.sum(axis=(1, 2)), panel.spend[:, :, 8:12].sum(axis=(1, 2))
    assert found.mix.window == "same season"
    assert found.mix.distance == pytest.approx(abs(now / now.sum() - before / before.sum()).sum() / 2)
    assert [(one.channel, one.geo) for one in found.range.channels] == [
        (channel, geo) for geo in fit.panel.geos for channel in fit.panel.channels
    ]
    assert "period" in found.range.channels[2].beyond
    assert "period" not in found.range.channels[0].beyond
    assert f"{fit.panel.channels[0]} in geo_2" in str(found)
    assert mj.Staleness.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    one, own = fit["geo_2"], high["geo_2"]
    with pytest.raises(MonitoringError, match="check the fit of all geos"):
        mj.check_staleness(one, recent["geo_2"], plan=own)


def test_plans_and_rows_of_other_geos_are_refused(geos):
    fit, panel = geos
    recent, plan = panel.take(slice(60, 64)), panel.take(slice(64, None))
    with pytest.raises(MonitoringError, match="with a dimension `geo`"):
        mj.check_staleness(fit, recent, plan=plan.total())
    with pytest.raises(MonitoringError, match="the fit has geo_1, geo_2"):
        mj.check_staleness(fit, recent, plan=replace(plan, geos=("geo_1", "geo_3")))
    with pytest.raises(MonitoringError, match="of one market: add its geos up"):
        mj.check_staleness(FIT, like_usual(), plan=plan)
    with pytest.raises(PredictionError, match="lacks geos of the fit: 'geo_2'"):
        mj.check_staleness(fit, replace(recent, geos=("geo_1", "geo_3")))
    with pytest.raises(MonitoringError, match="of one market, the recent panel is of geos"):
        mj.check_staleness(FIT, recent)


# All together


def test_the_verdict_has_every_sign_and_survives_json(kept):
    made.measure(kept, value=15.0, se=2.0, channel="TV")
    named = replace(LATER, channels=("Podcast", *CHANNELS[1:]))
    found = mj.check_staleness(FIT, named, plan=planned({CHANNELS[1]: 1e9}), ledger=kept)
    assert [reason.sign for reason in found.reasons] == ["mix", "mix", "error", "range"]
    assert repr(found) == "Staleness(STALE: mix, errors, range; looked at mix, errors, range)"
    words = str(found)
    assert words.startswith("The model is STALE.\nMix, ")
    assert all(f"{place}. {reason.found}." in words for place, reason in enumerate(found.reasons, start=1))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["stale"] is True
    back = mj.Staleness.from_dict(plain)
    assert (back, str(back)) == (found, words)
    fresh = mj.check_staleness(FIT, like_usual())
    assert repr(fresh) == "Staleness(fresh; looked at mix)"
    assert (fresh.reasons, fresh.actions) == ((), {})
    assert mj.Staleness.from_dict(fresh.to_dict()) == fresh


BAD = {
    "mix": ({"mix_threshold": 1.5}, "`mix_threshold` must lie between 0 and 1"),
    "quantile": ({"quantile": -0.1}, "`quantile` must lie"),
    "alpha": ({"alpha": 1.0}, "`alpha` must be a probability"),
    "tau": ({"tau": 0.0}, "`tau` must be positive"),
    "range": ({"range_threshold": np.inf}, "`range_threshold` must be positive"),
    "ratio": ({"sd_ratio_threshold": np.nan}, "`sd_ratio_threshold` must be positive"),
    "window": ({"window": 0}, "`window` must"),
    "draws": ({"num_prior_draws": 1}, "`num_prior_draws` must"),
    "plan's dates": ({"plan": planned({"TV": 1.0}, gap=-20)}, "has seen rows up to 2016-02-07 already"),
    "plan's frequency": ({"plan": planned({"TV": 1.0}).set_index(helpers.days_from("2017-01-01", PERIODS))}, "daily"),
    "plan": ({"plan": {"TV": 3.0}}, "must be an array over"),
    "negative": ({"plan": planned({"TV": -1.0})}, "at least 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_refused(case):
    options, words = BAD[case]
    with pytest.raises(MonitoringError, match=words):
        mj.check_staleness(FIT, like_usual(), **options)


def test_rows_that_tell_nothing_are_refused():
    with pytest.raises(MonitoringError, match="nothing is new"):
        mj.check_staleness(FIT, FIT.panel)
    with pytest.raises(MonitoringError, match="have no spend at all"):
        mj.check_staleness(FIT, like_usual().with_spend(np.zeros((4, 8))))
    daily = rows({"TV": [1.0, 2.0]}, "2016-03-01", step=1)
    with pytest.raises(MonitoringError, match="weekly rows, the recent panel has daily"):
        mj.check_staleness(FIT, daily)
