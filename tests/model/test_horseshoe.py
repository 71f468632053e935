"""The regularised horseshoe: its distributions, its coordinates, and what it does to controls that do not matter."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import mmm_jax as mj
from mmm_jax.errors import SpecError
from mmm_jax.fitting.density import constrained, flat_log_density, padded_target, target_of
from mmm_jax.inference.half_student import HalfStudentT
from mmm_jax.inference.transforms import flat_size
from mmm_jax.model import horseshoe
from mmm_jax.model.build import build_any_model, build_model, resolved_priors, scalar_names

ADSTOCK = mj.GeometricAdstock(l_max=4)
SIZES = {3: 0.08, 17: -0.06, 31: 0.05}
"""Coefficients of those of forty controls that matter, per standard deviation and largest sales."""


def spec_of(expected_nonzero: float = 3, *, standardize_controls: bool = True, priors=None, **options) -> mj.ModelSpec:
    prior = mj.RegularizedHorseshoe(expected_nonzero, **options)
    return mj.ModelSpec(
        adstock=ADSTOCK, standardize_controls=standardize_controls, priors={"gamma_control": prior, **(priors or {})}
    )


def with_controls(panel, count: int, seed: int = 0, sizes=None):
    """The panel with controls of all units, of which few move its target."""
    rng = np.random.default_rng(seed)
    standard = rng.normal(size=(count, len(panel)))
    standard = (standard - standard.mean(axis=1, keepdims=True)) / standard.std(axis=1, keepdims=True)
    moved = sum((size * standard[place] for place, size in (sizes or {}).items()), np.zeros(len(panel)))
    units = 10.0 ** rng.uniform(-2.0, 3.0, (count, 1))
    names = tuple(f"c{place}" for place in range(count))
    target = panel.target + panel.target.max() * moved
    return replace(panel, controls=units * (5.0 + standard), control_names=names, target=target)


@pytest.fixture(scope="module")
def panel():
    return with_controls(mj.synthetic.make_market(weeks=61).panel, 6)


@pytest.fixture(scope="module")
def geo_panel():
    found = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=60).panel
    return replace(found, markets=tuple(with_controls(market, 5, seed) for seed, market in enumerate(found.markets)))


def scales_of(panel, spec):
    return mj.data.geo_scaling.scales_of(panel, scale=spec.scale, standardize_controls=spec.standardize_controls)


@pytest.mark.parametrize("df", [1.0, 3.0])
def test_the_half_student_is_the_absolute_student(df, float64):
    law, values = stats.t(df, scale=0.7), np.geomspace(1e-3, 50.0, 9)
    prior = HalfStudentT(df, 0.7)
    np.testing.assert_allclose(prior.log_prob(jnp.asarray(values)), np.log(2.0) + law.logpdf(values), rtol=1e-10)
    draws = np.asarray(prior.sample(jax.random.key(0), (4000,)))
    assert stats.kstest(draws, lambda x: 2.0 * law.cdf(x) - 1.0).pvalue > 1e-3


@pytest.mark.smoke
def test_coefficients_are_those_of_the_paper(panel, float64):
    """`z tau lambda~`, `lambda~^2 = c^2 lambda^2 / (c^2 + tau^2 lambda^2)`, `tau0 = p0 / (D - p0) sigma / sqrt(n)`."""
    spec = spec_of(2, slab_scale=0.3, slab_df=6, noise_scale=0.1)
    held_out = panel.hold_out(panel.dates[-5], panel.dates[-1])
    model = build_model(spec, held_out, scales_of(held_out, spec))
    params = model.sample_prior(jax.random.key(0))
    tau, local, slab = (np.asarray(params[name]) for name in (horseshoe.GLOBAL, horseshoe.LOCAL, horseshoe.SLAB))
    shrunk = np.sqrt(slab * local**2 / (slab + tau**2 * local**2))
    np.testing.assert_allclose(params["gamma_control"], params[horseshoe.WEIGHT] * tau * shrunk, rtol=1e-10)
    np.testing.assert_allclose(model.priors[horseshoe.GLOBAL].scale, 2 / 4 * 0.1 / np.sqrt(56), rtol=1e-10)
    slabs = model.priors[horseshoe.SLAB]
    np.testing.assert_allclose((slabs.concentration, slabs.rate), (3.0, 3.0 * 0.3**2), rtol=1e-10)
    assert "gamma_control" not in model.log_density_terms(params)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_deviations_and_slopes_are_finite_in_single_precision(size):
    params = {horseshoe.GLOBAL: jnp.asarray(1e-3), horseshoe.LOCAL: jnp.full(2, size), horseshoe.SLAB: jnp.asarray(0.04)}
    found, slopes = jax.value_and_grad(lambda given: horseshoe.deviations(given).sum())(params)
    expected = 2.0 / np.hypot(1.0 / (1e-3 * size), 1.0 / 0.2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert all(np.isfinite(slope).all() for slope in slopes.values())


@pytest.mark.parametrize("geos", [False, True])
def test_flat_vectors_have_the_models_density_and_padding_adds_a_constant(geos, panel, geo_panel, float64):
    """The Jacobian of the adaptive coordinates by autodiff; scales are held while the mode is searched."""
    rows, spec = geo_panel if geos else panel, spec_of(2)
    scales = scales_of(rows, spec)
    target, (padded, active, searched, _) = target_of(build_any_model(spec, rows, scales)), padded_target(spec, rows, scales)
    size, real = flat_size(target.charts), np.flatnonzero(active)
    held = 2 + len(rows.control_names) + (len(rows.channels) + 1 if geos else 0)
    assert active.sum() - searched.sum() == held
    points = 0.4 * np.random.default_rng(0).normal(size=(2, size))

    def as_vector(point):
        params = constrained(point, target)
        return jnp.concatenate([jnp.ravel(params[key]) for key in sorted(target.charts)])

    both = jax.jit(jax.vmap(jax.value_and_grad(flat_log_density), (0, None)))
    values, slopes = both(jnp.asarray(points), target)
    point = jnp.asarray(points[0])
    params = constrained(point, target)
    assert params["gamma_control"].shape == (len(rows.control_names),)
    volume = jnp.linalg.slogdet(jax.jit(jax.jacobian(as_vector))(point))[1]
    np.testing.assert_allclose(values[0], target.model.log_density(params) + volume, rtol=1e-8)
    flats = np.zeros((2, len(active)))
    flats[:, real] = points
    others, other_slopes = both(jnp.asarray(flats), padded)
    np.testing.assert_allclose(np.asarray(others - values), float(others[0] - values[0]), atol=1e-8)
    np.testing.assert_allclose(np.asarray(other_slopes)[:, real], slopes, rtol=1e-7, atol=1e-7)


@pytest.mark.slow
def test_few_of_many_controls_are_found():
    """Against the normal prior: what is noise shrinks, signals are left as they are, and the chains agree."""
    rows = with_controls(mj.synthetic.make_market(weeks=104).panel, 40, sizes=SIZES)
    plain = mj.synthetic.make_market(weeks=104).panel.target.max()
    truth = np.zeros(40)
    truth[list(SIZES)] = np.array(list(SIZES.values())) * plain / rows.target.max()
    sparse = replace(spec_of(), yearly_seasonality=2)
    normal = replace(sparse, priors={"gamma_control": dist.Normal(0.0, 2.0)})
    fits = {name: mj.fit(rows, spec, progress=False) for name, spec in (("normal", normal), ("sparse", sparse))}
    error = {name: fit.draws["gamma_control"].mean(axis=(0, 1)) - truth for name, fit in fits.items()}
    signals = truth != 0
    assert np.sqrt(np.mean(error["sparse"] ** 2)) < 0.5 * np.sqrt(np.mean(error["normal"] ** 2))
    assert (np.abs(error["sparse"][signals]) < 0.15 * np.abs(truth[signals])).all()
    assert fits["sparse"].summary()["r_hat"].max() < 1.01
    assert fits["sparse"].sample_stats["diverging"].mean() < 1e-3


def test_fits_in_a_batch(panel, tmp_path):
    """Padded or not, the coefficients are among the draws under their name; saved, the fit predicts the same."""
    fewer = replace(panel, controls=panel.controls[:5], control_names=panel.control_names[:5])
    settings = {"num_chains": 2, "num_warmup": 40, "num_samples": 20, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        batch = mj.fit_batch({"six": panel, "five": fewer}, spec_of(2), **settings)
    for fit, count in ((batch["six"], 6), (batch["five"], 5)):
        assert fit.draws["gamma_control"].shape == (2, 20, count)
        params = {name: jnp.asarray(fit.draws[name][0, 3]) for name in fit.spec.horseshoe.dims}
        expected = horseshoe.deviations(params) * params[horseshoe.WEIGHT]
        np.testing.assert_allclose(fit.draws["gamma_control"][0, 3], expected, rtol=1e-4)
        assert list(fit.summary().index) == scalar_names(fit.spec, fit.panel)
    batch["five"].save(tmp_path / "fit.zarr")
    again = mj.Fit.load(tmp_path / "fit.zarr")
    np.testing.assert_array_equal(again.predict()["mean"], batch["five"].predict()["mean"])
    assert again.spec == batch["five"].spec


def test_a_spec_round_trips():
    for prior in (mj.RegularizedHorseshoe(3), mj.RegularizedHorseshoe(2.5, 0.3, 6.0, 2.0, 0.1)):
        spec = mj.ModelSpec(standardize_controls=True, priors={"gamma_control": prior})
        again = mj.ModelSpec.from_dict(spec.to_dict())
        assert again == spec
        assert again.priors["gamma_control"] == prior


SPARSE = {"gamma_control": mj.RegularizedHorseshoe(2)}


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"standardize_controls": False}, "needs ModelSpec.standardize_controls=True"),
        ({"pooling": {"gamma_control": "partial"}}, "prior of coefficients that all geos share"),
        ({"pooling": {"gamma_control_tau": "none"}}, "names 'gamma_control_tau'"),
        ({"priors": {**SPARSE, "gamma_control_lambda": dist.HalfNormal(1.0)}}, "names 'gamma_control_lambda'"),
        ({"priors": {"intercept": mj.RegularizedHorseshoe(2)}}, "is a prior of 'gamma_control' only"),
        ({"likelihood": mj.NegativeBinomial()}, "noise_scale, since the likelihood has no y_sigma"),
        ({"priors": {**SPARSE, "y_sigma": dist.HalfCauchy(1.0)}}, "noise_scale, since the prior of 'y_sigma' has no mean"),
    ],
)
def test_contradictions_are_named(choice, words):
    with pytest.raises(SpecError, match=words):
        mj.ModelSpec(**{"standardize_controls": True, "priors": SPARSE, **choice})


def test_wrong_numbers_are_named(panel):
    with pytest.raises(SpecError, match="RegularizedHorseshoe.slab_scale must be a positive number, got 0"):
        mj.RegularizedHorseshoe(3, slab_scale=0.0)
    with pytest.raises(SpecError, match="expects 6 controls to matter, but the panel has 6"):
        resolved_priors(spec_of(6), panel)
    counts = replace(spec_of(2, noise_scale=0.1), likelihood=mj.NegativeBinomial())
    assert counts.parameter_dims.keys() > {"gamma_control", *mj.RegularizedHorseshoe.dims}
