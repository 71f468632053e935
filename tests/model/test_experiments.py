"""Experiments in the density: the whole model's answer to a change of spend, and nothing besides."""

from dataclasses import replace
from math import inf

import equinox as eqx
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy import stats

import mmm_jax as mj
from mmm_jax.data.geo_scaling import GeoScales, scales_of
from mmm_jax.fitting.density import flat_log_density, padded_target, target_of
from mmm_jax.inference.transforms import flat_size
from mmm_jax.model.build import build_any_model, build_model

ADSTOCK = mj.GeometricAdstock(l_max=4)
SPECS = {
    "defaults": mj.ModelSpec(adstock=ADSTOCK, yearly_seasonality=1),
    "hill, student": mj.ModelSpec(
        adstock=mj.DelayedAdstock(l_max=4), saturation=mj.HillSaturation(), likelihood=mj.StudentT()
    ),
    "saturation first": mj.ModelSpec(adstock=ADSTOCK, adstock_first=False),
    "media stronger in some times": mj.ModelSpec(adstock=ADSTOCK, media_multiplier=mj.GaussianProcessMultiplier(6)),
    "log-normal": mj.ModelSpec(adstock=ADSTOCK, likelihood=mj.LogNormal()),
    "log-normal, saturation first, own noise": mj.ModelSpec(
        adstock=ADSTOCK, adstock_first=False, likelihood=mj.LogNormal(), pooling={"y_sigma": "none"}
    ),
    "groups": mj.ModelSpec(
        adstock=mj.DelayedAdstock(l_max=6),
        groups=(mj.MediaGroup(("Insert",), adstock=ADSTOCK, saturation=mj.HillSaturation(), adstock_first=False),),
    ),
}
every_spec = pytest.mark.parametrize("name", SPECS)


def market(seed: int = 0, weeks: int = 61) -> mj.Panel:
    panel = mj.synthetic.make_market(seed=seed, weeks=weeks).panel
    return replace(panel, spend=panel.spend[:3], channels=panel.channels[:3], controls=panel.controls[:1],
                   control_names=panel.control_names[:1])  # fmt: skip


@pytest.fixture(scope="module")
def panel() -> mj.Panel:
    return market()


@pytest.fixture(scope="module")
def geos() -> mj.GeoPanel:
    made = [replace(m, spend=m.spend * (1 + k), target=m.target * (1 + k)) for k in range(3) for m in [market(k)]]
    return mj.GeoPanel(("north", "south", "west"), tuple(made))


def lift(panel, first: int, last: int, **options) -> mj.LiftTest:
    """A test in the rows from the first to the last one, of about the size that the panel could tell."""
    defaults = {"channel": panel.channels[1], "delta_spend": 3e4, "delta_outcome": 2e7, "se": 5e6}
    return mj.LiftTest(**{**defaults, "start": panel.dates[first], "end": panel.dates[last], **options})


def some(panel, *, geo=None) -> mj.LiftTests:
    """Short and long, early and late, one number and one for each row, both errors, both kinds."""
    dates = panel.dates
    tests = [
        lift(panel, 20, 23, outcome_end=dates[26], geo=geo),
        lift(panel, 0, 1, channel=panel.channels[0], outcome_end=dates[17], nu=inf),
        lift(panel, 57, 60, delta_spend=(1e4, 0.0, 2e4, 5e3), geo=geo, delta_outcome=-3e6),
    ]
    return mj.LiftTests(tests, [mj.CostPerTarget(channel=panel.channels[2], cost=0.02, sigma=0.01, geo=geo)])


def built(spec, panel, experiments):
    scales = scales_of(panel, scale=spec.scale, standardize_controls=False)
    return build_any_model(spec, panel, scales, experiments=experiments)


predicted = eqx.filter_jit(lambda model, params: model.predicted_experiments(params))
terms_of = eqx.filter_jit(lambda model, params: model.log_density_terms(params))
experiments_and_slopes = eqx.filter_jit(jax.value_and_grad(lambda params, model: model.log_experiments(params)))
values_and_slopes = jax.jit(jax.vmap(jax.value_and_grad(flat_log_density), (0, None)))


def spend_with(test: mj.LiftTest, panel: mj.Panel, geo_share: float = 1.0) -> np.ndarray:
    """The panel's spend with that of the test, by a loop."""
    spend, step = panel.spend.copy(), 0
    changes = np.atleast_1d(test.delta_spend)
    for row, date in enumerate(panel.dates):
        if test.start <= date <= test.end:
            spend[panel.channels.index(test.channel), row] += geo_share * changes[step % len(changes)]
            step += 1
    return spend


def expected(model, params, spend: np.ndarray) -> np.ndarray:
    """Expected outcome by date under other spend, through the model's own mean."""
    mu = model.mean(params, jnp.asarray(spend) / model.channel_scale[:, None])
    return np.asarray(model.expectation(mu, params))


def measured_by(test: mj.LiftTest, panel: mj.Panel, change: np.ndarray) -> float:
    last = test.end if test.outcome_end is None else test.outcome_end
    return float(change[(panel.dates >= test.start) & (panel.dates <= last)].sum())


@every_spec
def test_predictions_are_those_of_the_whole_model(name, panel, float64):
    spec, experiments = SPECS[name], some(panel)
    model = built(spec, panel, experiments)
    params = model.sample_prior(jax.random.key(2))
    found, now = np.asarray(predicted(model, params)), expected(model, params, panel.spend)
    for value, test in zip(found, experiments.tests, strict=False):
        change = expected(model, params, spend_with(test, panel)) - now
        np.testing.assert_allclose(value, measured_by(test, panel, change), rtol=1e-8)
    without = panel.spend * np.array([1.0, 1.0, 0.0])[:, None]
    brought = (now - expected(model, params, without)).sum()
    np.testing.assert_allclose(found[-1], panel.spend[2].sum() / brought, rtol=1e-8)


def test_predictions_are_a_loop_over_dates_and_lags(panel, float64):
    test = lift(panel, 20, 23, outcome_end=panel.dates[26])
    model = built(SPECS["defaults"], panel, mj.LiftTests([test]))
    params = {name: np.asarray(value) for name, value in model.sample_prior(jax.random.key(5)).items()}
    weights = helpers.geometric_weights(params["adstock_alpha"][1], 4)
    effects = []
    for spend in (panel.spend[1], spend_with(test, panel)[1]):
        carried = helpers.adstock(spend / panel.spend[1].max(), weights / weights.sum())
        effects.append(helpers.logistic(carried, params["saturation_lam"][1], params["saturation_beta"][1]))
    change = panel.target.max() * sum(effects[1][row] - effects[0][row] for row in range(20, 27))
    np.testing.assert_allclose(predicted(model, params)[0], change, rtol=1e-10)


@every_spec
def test_in_geos_predictions_are_the_sum_of_their_markets(name, geos, float64):
    spec = SPECS[name]
    experiments = mj.LiftTests([*some(geos).tests, *some(geos, geo="south").tests], some(geos).costs)
    model = built(spec, geos, experiments)
    params = model.sample_prior(jax.random.key(3))
    own, pools, scales = model.by_geo(params), {p.name: p.how for p in model.pooling}, GeoScales.from_panel(geos)
    totals, brought = np.zeros(len(experiments.tests)), 0.0
    for place, (geo, one) in enumerate(zip(geos.geos, geos.markets, strict=True)):
        national = build_model(spec, one, scales.markets[place])
        mine = {key: value if pools[key] == "complete" else value[place] for key, value in own.items()}
        now = expected(national, mine, one.spend)
        for row, test in enumerate(experiments.tests):
            if test.geo in (None, geo):
                window = (geos.dates >= test.start) & (geos.dates <= test.end)
                spent = geos.spend[geos.channels.index(test.channel)] @ window
                share = 1.0 if test.geo else spent[place] / spent.sum()
                totals[row] += measured_by(test, one, expected(national, mine, spend_with(test, one, share)) - now)
        brought += (now - expected(national, mine, one.spend * np.array([1.0, 1.0, 0.0])[:, None])).sum()
    cost = geos.spend[2].sum() / brought
    np.testing.assert_allclose(predicted(model, params), [*totals, cost], rtol=1e-8)


def test_the_density_is_that_of_the_measurements(panel, float64):
    experiments = some(panel)
    with_them, without = built(SPECS["defaults"], panel, experiments), built(SPECS["defaults"], panel, None)
    params = with_them.sample_prior(jax.random.key(1))
    found, plain = terms_of(with_them, params), terms_of(without, params)
    assert found.keys() - plain.keys() == {"experiments"}
    assert {name: found[name] for name in plain} == plain
    values = np.asarray(predicted(with_them, params))
    logs = [stats.t.logpdf(2e7, 4, values[0], 5e6), stats.norm.logpdf(2e7, values[1], 5e6)]
    logs += [stats.t.logpdf(-3e6, 4, values[2], 5e6), stats.norm.logpdf(0.02, values[3], 0.01)]
    np.testing.assert_allclose(found["experiments"], sum(logs), rtol=1e-10)
    trace = handlers.trace(handlers.substitute(with_them.numpyro_model(), params)).get_trace()
    total = sum(jnp.sum(s["fn"].log_prob(s["value"])) for s in trace.values() if s["type"] == "sample")
    np.testing.assert_allclose(total, sum(found.values()), rtol=1e-10)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["defaults", "hill, student", "log-normal, saturation first, own noise"])
def test_a_measurement_without_precision_is_none(name, panel, float64):
    """Densities differ by a constant, gradients not at all."""
    spec, vague = SPECS[name], mj.LiftTests([lift(panel, 20, 23, se=1e15), lift(panel, 30, 41, se=1e15, nu=inf)])
    targets = [target_of(built(spec, panel, experiments)) for experiments in (None, vague)]
    flats = 0.4 * jax.random.normal(jax.random.key(6), (4, flat_size(targets[0].charts)))
    (plain, slope), (found, found_slope) = (values_and_slopes(flats, target) for target in targets)
    np.testing.assert_allclose(found - plain, (found - plain)[0], atol=1e-6)
    np.testing.assert_allclose(found_slope, slope, rtol=1e-8, atol=1e-8)


@every_spec
def test_no_change_of_spend_changes_nothing(name, panel, float64):
    """Nothing but rounding, which is of the size of the target."""
    model = built(SPECS[name], panel, mj.LiftTests([lift(panel, 20, 23, delta_spend=0.0)]))
    assert abs(predicted(model, model.sample_prior(jax.random.key(0)))[0]) < 1e-15 * panel.target.max()


@every_spec
def test_one_geo_is_the_national_model(name, panel, float64):
    spec, one = SPECS[name], mj.GeoPanel(("only",), (panel,))
    national, geo = built(spec, panel, some(panel)), built(spec, one, some(one, geo="only"))
    params = national.sample_prior(jax.random.key(3))
    np.testing.assert_allclose(predicted(geo, params), predicted(national, params), rtol=1e-12)
    np.testing.assert_allclose(geo.log_experiments(params), national.log_experiments(params), rtol=1e-12)


@pytest.mark.parametrize(("name", "kind"), [("defaults", "market"), ("log-normal, saturation first, own noise", "geos")])
def test_padding_adds_a_constant(name, kind, panel, geos, float64):
    spec, rows = SPECS[name], panel if kind == "market" else geos
    experiments = mj.LiftTests(some(rows).tests, [*some(rows).costs] * 2)
    scales = scales_of(rows, scale="geo", standardize_controls=False)
    padded, active, *_ = padded_target(spec, rows, scales, experiments)
    assert (padded.model.experiments.measured.size, len(experiments)) == (8, 5)
    plain, real = target_of(built(spec, rows, experiments)), np.flatnonzero(active)
    points = 0.4 * np.random.default_rng(0).normal(size=(3, len(real)))
    values, slopes = values_and_slopes(jnp.asarray(points), plain)
    flats = np.full((3, len(active)), 0.7)
    flats[:, real] = points
    found, found_slopes = values_and_slopes(jnp.asarray(flats), padded)
    np.testing.assert_allclose(np.diff(found), np.diff(values), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(found_slopes[:, real], slopes, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["hill, student", "log-normal"])
def test_gradients_are_those_of_differences(name, geos, float64):
    target = target_of(built(SPECS[name], geos, some(geos)))
    flat, step = 0.1 * jax.random.normal(jax.random.key(7), (2, flat_size(target.charts)))
    values, slopes = values_and_slopes(jnp.stack([flat, flat + 1e-5 * step, flat - 1e-5 * step]), target)
    np.testing.assert_allclose(values[1] - values[2], 2e-5 * slopes[0] @ step, rtol=1e-4)


def test_in_single_precision_values_and_gradients_are_finite_where_the_models_own_are(geos):
    both = [target_of(built(SPECS["defaults"], geos, experiments)) for experiments in (None, some(geos))]
    far = 2.0 * jax.random.normal(jax.random.key(1), (16, flat_size(both[0].charts)))
    (plain, slope), (found, found_slope) = (values_and_slopes(far, target) for target in both)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(plain))
    np.testing.assert_array_equal(np.isfinite(found_slope), np.isfinite(slope))


@pytest.mark.parametrize("effect", [0.0, 1e-30, -1.0])
def test_a_channel_that_brings_nothing_has_a_finite_cost(effect, panel, precision):
    model = built(SPECS["defaults"], panel, mj.LiftTests(costs=some(panel).costs))
    params = model.sample_prior(jax.random.key(0)) | {"saturation_beta": jnp.full(3, effect)}
    value, slopes = experiments_and_slopes(params, model)
    assert np.isfinite([value, *(np.abs(slope).sum() for slope in slopes.values())]).all()
    assert float(predicted(model, params)[0]) == pytest.approx(0.02e6, rel=1e-5)


def test_without_experiments_the_model_has_the_arrays_that_it_had(panel):
    before = jax.tree.leaves(build_model(SPECS["defaults"], panel, mj.Scales.from_panel(panel)))
    for none in (None, mj.LiftTests()):
        found = jax.tree.leaves(built(SPECS["defaults"], panel, none))
        assert [(leaf.shape, leaf.dtype) for leaf in found] == [(leaf.shape, leaf.dtype) for leaf in before]


def test_units_bought_at_one_price_answer_as_their_spend(panel, float64):
    """The change of spend buys units at what they cost."""
    bought = replace(panel, media=panel.spend / 20.0, units=tuple(f"{name} views" for name in panel.channels))
    as_spend, in_units = (built(SPECS["defaults"], one, some(panel)) for one in (panel, bought))
    params = as_spend.sample_prior(jax.random.key(4))
    np.testing.assert_allclose(predicted(in_units, params), predicted(as_spend, params), rtol=1e-10)
