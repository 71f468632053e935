"""Smooth paths: the process in its sine waves against the kernel itself, and the multiplier around 1."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.analysis.contributions import contributions
from mmm_jax.errors import SpecError
from mmm_jax.fitting.density import constrained, flat_log_density, padded_target, target_of
from mmm_jax.inference.transforms import flat_size
from mmm_jax.model.build import build_geo_model, build_model
from mmm_jax.model.gaussian_process import SmoothPath

ADSTOCK = mj.GeometricAdstock(l_max=4)
SPECS = {
    "trend": mj.ModelSpec(adstock=ADSTOCK, trend=mj.GaussianProcessTrend(12)),
    "multiplier": mj.ModelSpec(adstock=ADSTOCK, media_multiplier=mj.GaussianProcessMultiplier(8)),
    "both": mj.ModelSpec(
        adstock=ADSTOCK,
        trend=mj.GaussianProcessTrend(12),
        media_multiplier=mj.GaussianProcessMultiplier(8),
        events=(mj.SpecialCause("strike", "2014-11-02", "2014-11-20"),),
    ),
}
both = jax.jit(jax.vmap(jax.value_and_grad(flat_log_density), (0, None)))


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=61).panel


def test_the_waves_have_the_kernels_covariance(float64):
    """`sum_j s_j**2 phi_j(x) phi_j(y)` against the Matern kernel of smoothness 5/2, away from the borders."""
    path, amplitude, lengthscale = SmoothPath("path", 120, 3.0), 0.7, 0.3
    params = {"path_amplitude": jnp.asarray(amplitude), "path_lengthscale": jnp.asarray(lengthscale)}
    position = np.linspace(0.0, 1.0, 21)
    waves = np.asarray(path.basis(jnp.asarray(position)) * path.deviations(params)[:, None])
    distance = np.sqrt(5.0) * np.abs(position[:, None] - position) / lengthscale
    kernel = amplitude**2 * (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)
    np.testing.assert_allclose(waves.T @ waves, kernel, atol=1e-3 * amplitude**2)


def test_a_path_comes_back_to_0_beyond_its_borders(float64):
    path = SmoothPath("path", 20, 1.5)
    np.testing.assert_allclose(path.basis(jnp.asarray([-0.25, -3.0, 1.25, 9.0])), 0.0, atol=1e-12)
    assert float(jnp.abs(path.basis(jnp.asarray([0.0, 0.5, 1.0]))).sum(axis=0).min()) > 0.1


def test_the_multiplier_is_positive_and_1_on_average(panel, float64):
    model = build_model(SPECS["multiplier"], panel, mj.Scales.from_panel(panel))
    for seed in range(5):
        params = model.sample_prior(jax.random.key(seed))
        values = np.asarray(model.media_multiplier(params))
        assert values.min() > 0
        assert values.mean() == pytest.approx(1.0)
        assert np.ptp(values) > 0
        np.testing.assert_allclose(model.media_total(params), model.media_effects(params).sum(axis=0), rtol=1e-10)
        parts = contributions(model, params)
        total = sum(part.sum(axis=0) if part.ndim == 2 else part for part in parts.values())
        np.testing.assert_allclose(total, model.target_scale * model.mean(params), rtol=1e-10)


@pytest.mark.parametrize("adstock_first", [True, False])
def test_a_multiplier_that_stands_still_is_the_static_model(panel, adstock_first, float64):
    scales = mj.Scales.from_panel(panel)
    moving, static = (
        build_model(replace(spec, adstock_first=adstock_first), panel, scales)
        for spec in (SPECS["multiplier"], mj.ModelSpec(adstock=ADSTOCK))
    )
    params = moving.sample_prior(jax.random.key(1))
    still = {**params, "multiplier_weight": 0.0 * params["multiplier_weight"]}
    np.testing.assert_allclose(moving.log_likelihood(still), static.log_likelihood(params), rtol=1e-12)


def test_the_multiplier_of_later_rows_is_over_the_training_rows_mean(panel, float64):
    """The same path over rows after training, whatever these rows are."""
    train, test = panel.split(panel.dates[50])
    scales, spec = mj.Scales.from_panel(train), SPECS["multiplier"]
    params = build_model(spec, train, scales).sample_prior(jax.random.key(2))
    later = build_model(spec, train, scales, panel=test).media_multiplier(params)
    first = build_model(spec, train, scales, panel=test.take(slice(0, 2))).media_multiplier(params)
    np.testing.assert_allclose(later[:2], first, rtol=1e-12)
    path = spec.media_multiplier.path
    ends = jnp.concatenate([path.basis(jnp.linspace(0.0, 1.0, 51)), path.basis(1.0 + jnp.arange(1, 11) / 50)], axis=1)
    values = jax.nn.softplus(path.coefficients(params) @ ends)
    np.testing.assert_allclose(later, values[51:] / values[:51].mean(), rtol=1e-8)


@pytest.mark.parametrize("name", SPECS)
def test_flat_vectors_have_the_models_density_and_padding_adds_a_constant(name, panel, float64):
    """However the weights are centred: the Jacobian by autodiff."""
    spec, scales = SPECS[name], mj.Scales.from_panel(panel)
    target, (padded, active, searched, _) = target_of(build_model(spec, panel, scales)), padded_target(spec, panel, scales)
    size, real = flat_size(target.charts), np.flatnonzero(active)
    assert active.sum() - searched.sum() == 2 * len(target.centering)
    assert all(float(own.share.min()) > 0 and float(own.share.max()) < 1 for own in target.centering.values())
    points = 0.4 * np.random.default_rng(0).normal(size=(3, size))

    def as_vector(point):
        params = constrained(point, target)
        return jnp.concatenate([jnp.ravel(params[key]) for key in sorted(params)])

    volume = jax.jit(lambda point: jnp.linalg.slogdet(jax.jacobian(as_vector)(point))[1])
    values, slopes = both(jnp.asarray(points), target)
    for point, value in zip(points, values, strict=True):
        params = constrained(jnp.asarray(point), target)
        np.testing.assert_allclose(value, target.model.log_density(params) + volume(jnp.asarray(point)), rtol=1e-8)
    flats = np.full((3, len(active)), 0.7)
    flats[:, real] = points
    others, other_slopes = both(jnp.asarray(flats), padded)
    np.testing.assert_allclose(np.asarray(others - values), float(others[0] - values[0]), atol=1e-8)
    np.testing.assert_allclose(np.asarray(other_slopes)[:, real], slopes, rtol=1e-7, atol=1e-7)


def test_geos_share_a_path(float64):
    """Or have paths of their own, which are not centred."""
    panel = mj.synthetic.make_geo_market(geos=2, weeks=60).panel
    spec, scales = replace(SPECS["trend"]), mj.GeoScales.from_panel(panel)
    shared = target_of(build_geo_model(spec, panel, scales))
    own = target_of(build_geo_model(replace(spec, pooling={"trend_weight": "none"}), panel, scales))
    assert set(shared.centering) == {"trend_weight"}
    assert not own.centering
    for target in (shared, own):
        flat = 0.3 * jax.random.normal(jax.random.key(0), (1, flat_size(target.charts)))
        assert all(np.isfinite(found).all() for found in both(flat, target))


@pytest.mark.parametrize("make", [mj.GaussianProcessTrend, mj.GaussianProcessMultiplier])
def test_options_and_round_trips(make):
    with pytest.raises(SpecError, match="num_waves must be at least 1"):
        make(0)
    with pytest.raises(SpecError, match="margin must be above 1"):
        make(margin=1.0)
    field = "trend" if make is mj.GaussianProcessTrend else "media_multiplier"
    spec = mj.ModelSpec(**{field: make(7, 1.3)})
    assert mj.ModelSpec.from_dict(spec.to_dict()) == spec
    assert mj.ModelSpec.from_dict(spec.to_dict()).to_dict()[field]["num_waves"] == 7
    with pytest.raises(SpecError, match=rf"ModelSpec.{field} must be one of"):
        mj.ModelSpec(**{field: mj.Normal()})
