"""The model of many geos: one market's equation in each, and what pooling makes of its parameters."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers

import mmm_jax as mj
from mmm_jax.data.geo_scaling import GeoScales, scales_of
from mmm_jax.errors import SpecError
from mmm_jax.fitting import draws
from mmm_jax.fitting.density import constrained, flat_log_density, padded_target, target_of
from mmm_jax.inference.coloring import Coloring
from mmm_jax.inference.transforms import flat_size
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model, build_geo_model, build_model, scalar_names
from mmm_jax.model.pooling import all_priors, link_of, parameter_dims, shifted

GEOS = ("north", "south", "west")
SPECS = {
    "defaults": mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=1),
    "everything partial": mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4),
        likelihood=mj.StudentT(),
        trend=mj.LinearTrend(),
        pooling=dict.fromkeys(
            ("intercept", "adstock_alpha", "saturation_lam", "saturation_beta", "gamma_control", "trend_slope", "y_sigma"),
            "partial",
        ),
    ),
    "each its own": mj.ModelSpec(
        adstock=mj.DelayedAdstock(l_max=4),
        saturation=mj.HillSaturation(),
        pooling={"intercept": "none", "saturation_beta": "none", "y_sigma": "none", "gamma_control": "none"},
    ),
    "all the same": mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4),
        priors={"saturation_beta": mj.SpendShare()},
        pooling={"intercept": "complete", "saturation_beta": "complete"},
    ),
    "log-normal, saturation first": mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4),
        adstock_first=False,
        likelihood=mj.LogNormal(),
        pooling={"adstock_alpha": "none"},
    ),
}
GROUPS = {
    "groups": mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4),
        groups=(mj.MediaGroup(("TV", "Insert"), adstock=mj.DelayedAdstock(l_max=6), saturation=mj.HillSaturation()),),
        pooling={"adstock_theta": "none", "saturation_kappa": "partial"},
    ),
}
every_spec = pytest.mark.parametrize("name", SPECS)
groups_as_well = pytest.mark.parametrize("name", SPECS | GROUPS)


def geo_panel(geos=GEOS, weeks=61, lacking: int = 0) -> mj.GeoPanel:
    """Markets of different seeds and sizes; the last one lacks its first rows."""
    made = [mj.synthetic.make_market(seed=seed, weeks=weeks).panel for seed in range(len(geos))]
    sized = [replace(m, spend=m.spend * (1 + k), target=m.target * (1 + k)) for k, m in enumerate(made)]
    if lacking:
        there = np.arange(weeks) >= lacking
        last = sized[-1]
        sized[-1] = replace(
            last,
            spend=np.where(there, last.spend, 0.0),
            target=np.where(there, last.target, np.nan),
            observed=there,
        )
    return mj.GeoPanel(geos, tuple(sized))


@pytest.fixture(scope="module")
def panel():
    return geo_panel(lacking=9)


likelihood_of = eqx.filter_jit(lambda model, params: model.log_likelihood(params))
mean_of = eqx.filter_jit(lambda model, params: model.mean(params))
density_of = eqx.filter_jit(lambda model, params: model.log_density(params))
value_and_slope = jax.jit(jax.value_and_grad(flat_log_density))


def built(spec, panel):
    return build_geo_model(spec, panel, GeoScales.from_panel(panel, scale=spec.scale))


@groups_as_well
def test_every_geo_is_the_model_of_one_market(name, panel, float64):
    """The log likelihood of each geo is that of the national model at the geo's own parameters."""
    spec = (SPECS | GROUPS)[name]
    model = built(spec, panel)
    params = model.sample_prior(jax.random.key(2))
    found, mean, own = likelihood_of(model, params), mean_of(model, params), model.by_geo(params)
    scales = GeoScales.from_panel(panel)
    for place, geo in enumerate(panel.geos):
        national = build_model(spec, panel[geo], scales.markets[place])
        pools = {part.name: part.how for part in model.pooling}
        one = {key: value if pools[key] == "complete" else value[place] for key, value in own.items()}
        np.testing.assert_allclose(found[place], likelihood_of(national, one), rtol=1e-10)
        np.testing.assert_allclose(mean[place], mean_of(national, one), rtol=1e-10)


def test_partial_pooling_is_its_formula(panel, float64):
    spec = SPECS["everything partial"]
    model = built(spec, panel)
    params = model.sample_prior(jax.random.key(0))
    own = model.by_geo(params)
    deviation = {name: params[f"{name}_eta"] * params[f"{name}_eps"] for name in spec.pooling}
    np.testing.assert_allclose(own["intercept"], params["intercept"] + deviation["intercept"])
    np.testing.assert_allclose(own["saturation_beta"], params["saturation_beta"] * np.exp(deviation["saturation_beta"]))
    odds = params["adstock_alpha"] / (1 - params["adstock_alpha"]) * np.exp(deviation["adstock_alpha"])
    np.testing.assert_allclose(own["adstock_alpha"], odds / (1 + odds))


def test_bounded_values_stay_between_their_bounds_and_are_smooth_there():
    common, deviation = jnp.array([0.0, 1e-30, 0.4, 1.0]), jnp.array([[-9.0], [0.0], [5.0]])
    found = shifted(2.0 + 3.0 * common, deviation, "bounded", jnp.array(2.0), jnp.array(5.0))
    assert float(found.min()) >= 2.0
    assert float(found.max()) <= 5.0
    np.testing.assert_allclose(found[1], 2.0 + 3.0 * common, rtol=1e-6)
    slope = jax.grad(lambda x: shifted(x, jnp.array(1.0), "bounded", jnp.array(0.0), jnp.array(1.0)))
    assert np.isfinite([slope(0.0), slope(1.0)]).all()


@pytest.mark.smoke
@every_spec
def test_one_geo_is_the_national_model(name, float64):
    """The same parameters, the same density, exactly."""
    spec, one = SPECS[name], geo_panel(("only",))
    scales = GeoScales.from_panel(one)
    assert parameter_dims(spec, one) == spec.parameter_dims
    geo, national = build_geo_model(spec, one, scales), build_model(spec, one.markets[0], scales.markets[0])
    params = national.sample_prior(jax.random.key(3))
    assert jax.tree.structure(geo.sample_prior(jax.random.key(3))) == jax.tree.structure(params)
    np.testing.assert_allclose(density_of(geo, params), density_of(national, params), rtol=1e-12)
    flat = 0.3 * jax.random.normal(jax.random.key(1), (flat_size(target_of(national).charts),))
    densities = [flat_log_density(flat, target_of(model)) for model in (geo, national)]
    np.testing.assert_allclose(*densities, rtol=1e-12)


def test_complete_pooling_is_all_rows_under_one_prior(panel, float64):
    """The joint density is the priors' once, and every market's likelihood at the same parameters."""
    spec = SPECS["all the same"]
    model, scales = built(spec, panel), GeoScales.from_panel(panel)
    params = model.sample_prior(jax.random.key(5))
    markets = [build_model(spec, m, s) for m, s in zip(panel.markets, scales.markets, strict=True)]
    prior = sum(float(jnp.sum(model.priors[name].log_prob(value))) for name, value in params.items())
    rows = sum(float(likelihood_of(market, params).sum()) for market in markets)
    np.testing.assert_allclose(density_of(model, params), prior + rows, rtol=1e-12)


def test_deviations_of_no_size_are_complete_pooling(panel, float64):
    pooled, same = (
        built(SPECS["defaults"], panel),
        built(replace(SPECS["defaults"], pooling=SPECS["all the same"].pooling), panel),
    )
    params = pooled.sample_prior(jax.random.key(4))
    without = {name: 0.0 * value if name.endswith("_eta") else value for name, value in params.items()}
    np.testing.assert_allclose(likelihood_of(pooled, without), likelihood_of(same, params), rtol=1e-12)


@every_spec
def test_flat_vectors_have_the_models_density(name, panel, float64):
    """The Jacobian of the whole way from flat vector to parameters, by autodiff, is what the density accounts for."""
    target = target_of(built(SPECS[name], panel))
    size = flat_size(target.charts)
    flat = 0.4 * jax.random.normal(jax.random.key(6), (size,))

    def as_vector(point):
        params = constrained(point, target)
        return jnp.concatenate([jnp.ravel(params[key]) for key in sorted(params)])

    both = jax.jit(lambda point: (constrained(point, target), jnp.linalg.slogdet(jax.jacobian(as_vector)(point))))
    (params, volume), (value, slope) = both(flat), value_and_slope(flat, target)
    np.testing.assert_allclose(value, density_of(target.model, params) + volume[1], rtol=1e-9)
    step = 1e-6 * jax.random.normal(jax.random.key(7), (size,))
    change = value_and_slope(flat + step, target)[0] - value_and_slope(flat - step, target)[0]
    np.testing.assert_allclose(change, 2 * slope @ step, rtol=1e-4)


@every_spec
def test_padding_adds_what_depends_on_nothing_else(name, panel, float64):
    spec = SPECS[name]
    five = geo_panel(("a", "b", "c", "d", "e", "f", "g", "h", "i"), weeks=61)
    scales = GeoScales.from_panel(five)
    padded, active, searched, _ = padded_target(spec, five, scales)
    plain = target_of(build_geo_model(spec, five, scales))
    real = np.flatnonzero(active)
    assert set(np.flatnonzero(searched)) <= set(real)
    points = 0.5 * np.random.default_rng(0).normal(size=(3, len(real)))
    both = jax.jit(jax.vmap(flat_log_density, (0, None)))
    values = both(jnp.asarray(points), plain)
    for place in (0.0, 1.4):
        flats = np.full((3, len(active)), place)
        flats[:, real] = points
        differences = np.asarray(both(jnp.asarray(flats), padded) - values)
        np.testing.assert_allclose(differences, differences[0], atol=1e-7)


@pytest.mark.parametrize("name", ["everything partial", "all the same"])
def test_geos_do_not_matter_to_each_other(name, panel, float64):
    """What the engine is told of the flat vector: no second derivative by coordinates of two geos."""
    prepared = padded_target(SPECS[name], panel, scales_of(panel, scale="geo", standardize_controls=False))
    told = Coloring.of(prepared.blocks).told
    flat = 0.3 * jax.random.normal(jax.random.key(8), prepared.active.shape) * prepared.active
    hessian = jax.jit(jax.hessian(flat_log_density))(flat, prepared.target)
    np.testing.assert_allclose(np.where(told | told.T, 0.0, hessian), 0.0, atol=1e-9)
    assert name == "all the same" or not (told | told.T).all()


def test_lanes_and_fits_round_nothing_away(panel, precision):
    """Mapped over lanes, and over fits with data of their own, the density is that of one vector after the other."""
    targets = [target_of(built(SPECS["defaults"], geo_panel(weeks=53 + 8 * k).take(slice(0, 53)))) for k in range(2)]
    data = jax.tree.map(lambda *values: jnp.stack(values), *targets)
    flats = 0.3 * jax.random.normal(jax.random.key(8), (2, 3, flat_size(targets[0].charts)))
    found = jax.jit(jax.vmap(jax.vmap(jax.value_and_grad(flat_log_density), (0, None))))(flats, data)
    tolerance = 2e-4 if precision == "float32" else 1e-10
    for fit, target in enumerate(targets):
        for lane in range(3):
            value, slope = value_and_slope(flats[fit, lane], target)
            np.testing.assert_allclose(found[0][fit, lane], value, rtol=tolerance)
            np.testing.assert_allclose(found[1][fit, lane], slope, rtol=50 * tolerance, atol=50 * tolerance)


def test_rows_that_a_geo_lacks_do_not_count(panel, float64):
    """Whatever stands in their place, the density is the same; the spend around them still works."""
    spec = SPECS["defaults"]
    model = built(spec, panel)
    params = model.sample_prior(jax.random.key(9))
    before = np.asarray(likelihood_of(model, params))
    assert np.all(before[-1, :9] == 0)
    assert np.isfinite(jax.jit(jax.grad(lambda p: model.log_density(p)))(params)["saturation_beta"]).all()
    held = panel.hold_out("2014-10-05", "2014-11-30", geos=["north"])
    changed = (np.asarray(likelihood_of(built(spec, held), params)) == 0) & (before != 0)
    assert changed[0].sum() == 9
    assert not changed[1:].any()


def test_the_numpyro_model_has_the_same_density(panel, float64):
    spec = SPECS["everything partial"]
    model = built(spec, panel)
    params = model.sample_prior(jax.random.key(1))
    trace = handlers.trace(handlers.substitute(model.numpyro_model(), params)).get_trace()
    total = sum(jnp.sum(site["fn"].log_prob(site["value"])) for site in trace.values() if site["type"] == "sample")
    np.testing.assert_allclose(total, density_of(model, params), rtol=1e-10)


def test_names_priors_and_scalars(panel):
    spec = mj.ModelSpec(priors={"saturation_beta_eta": dist.HalfNormal(0.2)}, pooling={"y_sigma": "none"})
    assert parameter_dims(spec, panel)["saturation_beta_eps"] == ("geo", "channel")
    assert parameter_dims(spec, panel)["y_sigma"] == ("geo",)
    assert float(np.asarray(all_priors(spec, panel)["saturation_beta_eta"].scale)) == pytest.approx(0.2)
    names = scalar_names(spec, panel)
    assert "saturation_beta_eps[south, TV]" in names
    assert "y_sigma[west]" in names
    assert len(names) == len(set(names))
    assert mj.ModelSpec.from_dict(spec.to_dict()) == spec
    assert link_of(mj.SpendShare()) == link_of(dist.HalfNormal(1.0)) == "positive"
    assert (link_of(dist.Beta(1.0, 3.0)), link_of(dist.Laplace(0.0, 1.0))) == ("bounded", "real")


def test_specs_without_geos_keep_their_content():
    assert set(mj.ModelSpec().to_dict()) == set(mj.ModelSpec(pooling={}, scale="geo").to_dict())
    assert "pooling" not in mj.ModelSpec().to_dict()
    assert mj.ModelSpec(scale="panel").to_dict()["scale"] == "panel"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"pooling": {"saturation_bta": "none"}}, "saturation_bta"),
        ({"pooling": {"saturation_beta": "some"}}, "pooling of 'saturation_beta' must be one of none, partial, complete"),
        ({"scale": "heads"}, "scale must be one of geo, population, panel"),
        ({"priors": {"gamma_control_eta": dist.HalfNormal(1.0)}}, "gamma_control_eta"),
    ],
)
def test_unknown_choices_are_named(choice, words):
    with pytest.raises(SpecError, match=words):
        mj.ModelSpec(**choice)


def test_any_panel_has_scales_and_a_model(panel):
    spec = mj.ModelSpec()
    for one in (panel, panel.markets[0]):
        scales = scales_of(one, scale="geo", standardize_controls=False)
        with precision_scope("float32"):
            model = build_any_model(spec, one, scales)
            assert np.isfinite(density_of(model, model.sample_prior(jax.random.key(0))))


def test_draws_are_named_in_pieces_that_memory_holds(panel, monkeypatch, float64):
    spec, scales = SPECS["defaults"], scales_of(panel, scale="geo", standardize_controls=False)
    prepared = padded_target(spec, panel, scales)
    positions = 0.3 * np.random.default_rng(9).normal(size=(2, 7, len(prepared.active))) * prepared.active
    whole = draws.constrained_draws(positions, prepared.target, spec, panel)
    monkeypatch.setattr(draws, "_BYTES", 1)
    pieces = draws.constrained_draws(positions, prepared.target, spec, panel)
    for name, values in whole.items():
        assert values.shape[:2] == (2, 7)
        np.testing.assert_allclose(pieces[name], values, rtol=1e-12, atol=1e-12)
