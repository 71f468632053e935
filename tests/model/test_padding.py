"""Padding changes shapes, and nothing that depends on the data."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.fitting.density import flat_log_density, padded_target, target_of
from mmm_jax.model.build import build_model, parameter_sizes
from mmm_jax.model.padding import _up, active_coordinates, bucket_of, real_entries

ADSTOCK = mj.GeometricAdstock(l_max=4)
SPECS = {
    "normal, no controls": mj.ModelSpec(adstock=ADSTOCK, yearly_seasonality=1, priors={"saturation_beta": mj.SpendShare()}),
    "truncated normal": mj.ModelSpec(adstock=ADSTOCK, likelihood=mj.TruncatedNormal(), trend=mj.LinearTrend()),
    "student": mj.ModelSpec(adstock=mj.DelayedAdstock(l_max=4), likelihood=mj.StudentT(), trend=mj.PiecewiseTrend(2)),
    "log-normal, saturation first": mj.ModelSpec(
        adstock=ADSTOCK, adstock_first=False, saturation=mj.RootSaturation(), likelihood=mj.LogNormal()
    ),
    "counts": mj.ModelSpec(adstock=ADSTOCK, likelihood=mj.NegativeBinomial()),
    "groups": mj.ModelSpec(
        adstock=ADSTOCK,
        groups=(
            mj.MediaGroup(("TV", "Insert"), adstock=mj.DelayedAdstock(l_max=6), saturation=mj.HillSaturation()),
            mj.MediaGroup(("Radio",), adstock_first=False),
        ),
    ),
}
SHAPES = {
    "hill": mj.ModelSpec(adstock=mj.WeibullPDFAdstock(l_max=4), saturation=mj.HillSaturation()),
    "tanh": mj.ModelSpec(adstock=mj.BinomialAdstock(l_max=4), saturation=mj.TanhSaturation()),
}


@pytest.fixture(scope="module")
def panel():
    panel = mj.synthetic.make_market(weeks=61).panel
    return replace(panel, target=np.round(panel.target))


def _panel_for(name, panel):
    return replace(panel, controls=np.zeros((0, len(panel))), control_names=()) if "no controls" in name else panel


@jax.jit
def _density_and_slope(flats, target):
    return jax.vmap(jax.value_and_grad(flat_log_density), (0, None))(flats, target)


@pytest.mark.smoke
@pytest.mark.parametrize("name", SPECS)
def test_padded_density_is_the_unpadded_one_and_a_constant(name, panel, float64):
    spec, panel = SPECS[name], _panel_for(name, panel)
    scales = mj.Scales.from_panel(panel)
    padded, active, *_ = padded_target(spec, panel, scales)
    plain = target_of(build_model(spec, panel, scales))
    real = np.flatnonzero(active)
    points = 0.7 * np.random.default_rng(0).normal(size=(4, len(real)))
    values, slopes = _density_and_slope(jnp.asarray(points), plain)
    assert padded.model.windows.shape[-1] == 64
    assert len(active) > len(real)
    # Wherever the padding is, it adds what does not depend on the other coordinates.
    for place in (0.0, -1.3, 2.1):
        flats = np.full((4, len(active)), place)
        flats[:, real] = points
        found, found_slopes = _density_and_slope(jnp.asarray(flats), padded)
        np.testing.assert_allclose(np.diff(found), np.diff(values), rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(found_slopes[:, real], slopes, rtol=1e-8, atol=1e-8)
        assert np.isfinite(found_slopes).all()


@pytest.mark.parametrize("name", ["log-normal, saturation first", *SHAPES])
def test_gradients_stay_finite_in_single_precision_far_from_the_centre(name, panel):
    spec, panel = (SPECS | SHAPES)[name], _panel_for(name, panel)
    padded, active, *_ = padded_target(spec, panel, mj.Scales.from_panel(panel))
    flats = 2.0 * jax.random.normal(jax.random.key(1), (20, len(active))) * jnp.asarray(active, jnp.float32)
    values, slopes = _density_and_slope(flats, padded)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("name", SPECS)
def test_active_coordinates_are_as_many_as_the_unpadded_model_has(name, panel):
    spec, panel = SPECS[name], _panel_for(name, panel)
    sizes = parameter_sizes(spec, panel)
    shapes = {parameter: tuple(sizes[dim] for dim in dims) for parameter, dims in spec.parameter_dims.items()}
    more = {"channel": bucket_of(panel).channel, "control": bucket_of(panel).control}
    # Padded channels are in no group, and have the parameters of those in none.
    held = ("adstock_alpha", "saturation_lam")
    more |= {f"{held}_channel": sizes[f"{held}_channel"] + 1 for held in held if f"{held}_channel" in sizes}
    padded = {parameter: tuple(more.get(dim, sizes[dim]) for dim in dims) for parameter, dims in spec.parameter_dims.items()}
    active = active_coordinates(spec, padded, panel)
    assert active.sum() == sum(int(np.prod(shape)) for shape in shapes.values())
    assert len(active) == sum(int(np.prod(shape)) for shape in padded.values())
    assert set(np.unique(active)) <= {0.0, 1.0}
    for parameter, shape in shapes.items():
        assert np.zeros(padded[parameter])[real_entries(spec, parameter, panel)].shape == shape


@pytest.mark.smoke
def test_the_bucket_depends_on_sizes_only(panel):
    other = mj.synthetic.make_market(seed=5, weeks=61, start="2016-01-03").panel
    assert not np.array_equal(other.spend, panel.spend)
    assert bucket_of(other) == bucket_of(panel) == (64, 8, 8, 0)
    assert bucket_of(panel.take(slice(0, 48))) == (48, 8, 8, 0)
    assert bucket_of(_panel_for("no controls", panel)) == (64, 8, 0, 0)


@pytest.mark.parametrize(("least", "parts"), [(16, 8), (2, 4), (4, 4)])
def test_buckets_hold_what_they_are_for_and_grow_with_it(least, parts):
    counts = np.arange(5000)
    buckets = np.array([_up(int(count), least, parts) for count in counts])
    assert (buckets >= counts).all()
    assert (np.diff(buckets) >= 0).all()
    assert (buckets - counts <= np.maximum(least, counts / parts)).all()
    # A bucket is its own bucket, and there are few of them.
    assert all(_up(int(bucket), least, parts) == bucket for bucket in np.unique(buckets))
    assert len(np.unique(buckets)) < 80


def test_one_program_serves_all_panels_of_a_bucket(panel):
    spec, traces = SPECS["truncated normal"], []

    @jax.jit
    def density(flat, target):
        traces.append(1)
        return flat_log_density(flat, target)

    for rows in (slice(0, 50), slice(5, 61), slice(0, 61)):
        part = panel.take(rows)
        target, active, *_ = padded_target(spec, part, mj.Scales.from_panel(part))
        assert jnp.isfinite(density(jnp.zeros(len(active)), target))
    assert len(traces) == 1
