"""Trends: their bases against what they stand for, and a path that moves found again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.data.synthetic import make_market
from mmm_jax.errors import SpecError
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model, coordinates
from mmm_jax.model.spec import TRENDS


@pytest.mark.parametrize("kind", TRENDS, ids=lambda kind: kind.__name__)
def test_every_parameter_has_a_prior_dimensions_and_labels(kind):
    trend = kind()
    assert set(trend.default_priors()) == set(trend.parameter_dims)
    panel = make_market(weeks=60).panel
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3), trend=trend)
    labels = coordinates(spec, panel)
    for name, dims in trend.parameter_dims.items():
        assert spec.parameter_dims[name] == dims
        assert all(len(labels[dim]) == len(set(labels[dim])) > 0 for dim in dims)


@pytest.mark.parametrize("kind", TRENDS, ids=lambda kind: kind.__name__)
def test_the_trend_is_a_part_of_the_mean_and_nothing_else(precision, kind):
    panel = make_market(weeks=60).panel
    with precision_scope(precision):
        spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3), trend=kind())
        model = build_model(spec, panel, mj.Scales.from_panel(panel))
        params = model.sample_prior(jax.random.key(0))
        parts = model.baseline_parts(params)
        expected = kind().coefficients(params) @ kind().basis(jnp.linspace(0.0, 1.0, len(panel)))
        np.testing.assert_allclose(parts["trend"], expected, rtol=2e-4 if precision == "float32" else 1e-10, atol=1e-6)
        plain = params["intercept"] + parts["controls"].sum(axis=0)
        np.testing.assert_allclose(model.baseline(params), plain + parts["trend"], rtol=1e-4, atol=1e-6)
        gradient = jax.jit(jax.grad(model.log_density))(params)
    assert all(np.isfinite(values).all() for values in gradient.values())


def test_a_knot_holds_its_level_and_the_last_one_is_held(float64):
    trend, levels = mj.KnotTrend(5), jnp.asarray([0.3, -0.1, 0.4, 0.0, 0.2])
    path = levels @ trend.basis(jnp.asarray([0.0, 0.25, 0.375, 0.5, 1.0, 1.5]))
    np.testing.assert_allclose(path, [0.3, -0.1, 0.15, 0.4, 0.2, 0.2], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mj.KnotTrend(1), "num_knots must be at least 2"),
        (lambda: mj.PiecewiseTrend(0), "num_changepoints must be at least 1"),
        (lambda: mj.lognormal_from_interval(2.0, 1.0), "must be positive and increasing"),
        (lambda: mj.lognormal_from_interval(1.0, 2.0, mass=1.0), "must lie between 0 and 1"),
    ],
)
def test_options_that_cannot_be_used_say_why(make, message):
    with pytest.raises(SpecError, match=message):
        make()


@pytest.mark.slow
def test_a_baseline_that_moves_is_found():
    """Along with the media: one bend up, one down, as no line could follow."""
    market = make_market(weeks=156)
    place = np.linspace(0.0, 1.0, 156)
    path = 0.12 * float(np.abs(market.panel.target).max()) * np.sin(2.5 * np.pi * place)
    values = {name: getattr(market.panel, name) for name in market.panel.__dataclass_fields__}
    panel = mj.Panel(**{**values, "target": market.panel.target + path})
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=6), yearly_seasonality=2, trend=mj.KnotTrend(9))
    fit = mj.fit(panel, spec, key=0, num_samples=1500, progress=False)
    found = fit.contributions()["trend"]
    # The level is the intercept's to share.
    shape = found - found.mean("date")
    low, high = shape.quantile([0.025, 0.975], ("chain", "draw")).values
    assert ((path - path.mean() >= low) & (path - path.mean() <= high)).mean() > 0.85
    assert np.corrcoef(shape.mean(("chain", "draw")).values, path)[0, 1] > 0.95
