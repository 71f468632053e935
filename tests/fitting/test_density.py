"""The flat vector: whatever coordinates it has, the density is that of the model."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.fitting.density import constrained, flat_log_density, target_of
from mmm_jax.inference.transforms import flat_size
from mmm_jax.model.build import build_model

ADSTOCK = mj.GeometricAdstock(l_max=4)
SPECS = {
    "normal": mj.ModelSpec(adstock=ADSTOCK, yearly_seasonality=1),
    "log-normal, saturation first": mj.ModelSpec(adstock=ADSTOCK, adstock_first=False, likelihood=mj.LogNormal()),
    "counts": mj.ModelSpec(adstock=ADSTOCK, likelihood=mj.NegativeBinomial()),
    "positive intercept": mj.ModelSpec(adstock=ADSTOCK, priors={"intercept": dist.HalfNormal(0.5)}),
    "gamma intercept, tight": mj.ModelSpec(adstock=ADSTOCK, priors={"intercept": dist.Gamma(400.0, 1000.0)}),
}


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=61).panel


def _target(name, panel):
    panel = _counts(panel) if name == "counts" else panel
    return target_of(build_model(SPECS[name], panel, mj.Scales.from_panel(panel)))


def _counts(panel):
    """Thousands of orders, and one week without any."""
    target = np.round(panel.target / 1e5)
    target[7] = 0.0
    return replace(panel, target=target)


def _joined(params):
    return jnp.concatenate([jnp.ravel(values) for _, values in sorted(params.items())])


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", SPECS)
def test_the_density_is_the_models_times_the_jacobian(name, panel):
    """By autodiff of the whole map, so with the shear of the intercept in it."""
    target = _target(name, panel)
    points = 0.5 * jax.random.normal(jax.random.key(0), (5, flat_size(target.charts)))

    def naive(flat):
        jacobian = jax.jacrev(lambda flat: _joined(constrained(flat, target)))(flat)
        return target.model.log_density(constrained(flat, target)) + jnp.linalg.slogdet(jacobian)[1]

    found = jax.vmap(flat_log_density, (0, None))(points, target)
    np.testing.assert_allclose(found, jax.vmap(naive)(points), rtol=1e-9)


@pytest.mark.usefixtures("float64")
def test_media_effects_move_the_intercept_and_not_the_level(panel):
    """One coordinate of a channel's effect moved by a little: the mean over time stays, but for the prior's share."""
    target = _target("normal", panel)
    size = flat_size(target.charts)
    order = sorted(target.charts)
    start = sum(int(np.prod(target.charts[other].shape)) for other in order[: order.index("saturation_beta")])
    model = target.model
    slope, moved = (
        jax.grad(lambda flat, part=part: part(constrained(flat, target)).mean())(jnp.zeros(size))[start]
        for part in (model.mean, model.media_total)
    )
    assert abs(float(moved)) > 1e-3
    assert abs(float(slope / moved)) < 0.05


@pytest.mark.usefixtures("float64")
def test_an_intercept_that_the_prior_pins_down_is_left_alone(panel):
    loose, tight = (_target(name, panel) for name in ("normal", "gamma intercept, tight"))
    pinned = target_of(
        build_model(
            mj.ModelSpec(adstock=ADSTOCK, priors={"intercept": dist.Normal(0.4, 1e-4)}), panel, mj.Scales.from_panel(panel)
        )
    )
    shares = [float(target.leveling.sum() * slope) for target, slope in ((loose, 2.0), (tight, 0.02), (pinned, 1e-4))]
    assert shares[0] > 0.99
    assert 0.2 < shares[1] < 0.9
    assert shares[2] < 0.001
