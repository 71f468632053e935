"""Charts: every family through the same laws."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from mmm_jax.inference.half_student import HalfStudentT
from mmm_jax.inference.transforms import (
    CHARTS,
    BetaOneQuantile,
    chart_of,
    charts_of,
    constrain,
    flat_size,
    split,
    standardized,
    unconstrain,
)

PRIORS = {
    "beta": lambda: dist.Beta(jnp.array(2.0), jnp.array(5.0)),
    "beta one": lambda: dist.Beta(jnp.array(1.0), jnp.array(3.0)),
    "cauchy": lambda: dist.Cauchy(jnp.array(1.0), jnp.array(2.0)),
    "exponential": lambda: dist.Exponential(jnp.array(2.0)),
    "gamma": lambda: dist.Gamma(jnp.array(3.0), jnp.array(1.0)),
    "gamma wide": lambda: dist.Gamma(jnp.array(0.64), jnp.array(0.32)),
    "half-cauchy": lambda: dist.HalfCauchy(jnp.array(2.0)),
    "half-normal": lambda: dist.HalfNormal(jnp.array(0.05)),
    "half-student": lambda: HalfStudentT(jnp.array(3.0), jnp.array(2.0)),
    "inverse gamma": lambda: dist.InverseGamma(jnp.array(5.0), jnp.array(1.0)),
    "laplace": lambda: dist.Laplace(jnp.array(0.5), jnp.array(2.0)),
    "log-normal": lambda: dist.LogNormal(jnp.array(1.0), jnp.array(0.5)),
    "normal": lambda: dist.Normal(jnp.array(0.2), jnp.array(0.05)),
    "student": lambda: dist.StudentT(jnp.array(5.0), jnp.array(1.0), jnp.array(2.0)),
    "uniform": lambda: dist.Uniform(jnp.array(-1.0), jnp.array(3.0)),
}
EXACT = ["beta one", "exponential", "half-normal", "laplace", "log-normal", "normal", "uniform"]


def test_every_family_is_covered():
    assert {type(make()) for make in PRIORS.values()} == set(CHARTS)


@pytest.mark.smoke
@pytest.mark.parametrize("name", PRIORS)
def test_values_and_gradients_are_finite_to_eight_deviations(name, precision):
    prior = PRIORS[name]()
    chart, z = chart_of(prior), jnp.linspace(-8.0, 8.0, 161)

    def log_density(z):
        theta, log_derivative = chart(z)
        return prior.log_prob(theta) + log_derivative

    for values in (*chart(z), jax.vmap(jax.grad(lambda z: chart(z)[0]))(z), jax.vmap(jax.grad(log_density))(z)):
        assert np.isfinite(values).all()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", PRIORS)
def test_log_derivative_equals_autodiff(name):
    # With 0 itself, where searches start.
    chart, z = chart_of(PRIORS[name]()), jnp.arange(-60, 61) / 10.0
    slope = jax.vmap(jax.grad(lambda z: chart(z)[0]))(z)
    np.testing.assert_allclose(chart(z)[1], jnp.log(slope), atol=1e-8)


@pytest.mark.parametrize("name", PRIORS)
def test_inverse(name, precision):
    chart = chart_of(PRIORS[name]())
    z = jnp.linspace(-4.0, 4.0, 81)
    np.testing.assert_allclose(chart.inverse(chart(z)[0]), z, atol=1e-9 if precision == "float64" else 2e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", PRIORS)
def test_values_lie_in_the_support_and_increase(name):
    prior = PRIORS[name]()
    theta, _ = chart_of(prior)(jnp.linspace(-6.0, 6.0, 121))
    assert bool(prior.support(theta).all())
    assert bool((jnp.diff(theta) > 0).all())


@pytest.mark.parametrize("name", EXACT)
def test_exact_charts_give_the_standard_normal(name, precision):
    prior, z = PRIORS[name](), jnp.linspace(-5.0, 5.0, 101)
    theta, log_derivative = chart_of(prior)(z)
    tolerance = 1e-8 if precision == "float64" else 2e-2
    np.testing.assert_allclose(prior.log_prob(theta) + log_derivative, dist.Normal().log_prob(z), atol=tolerance)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", PRIORS)
def test_pulled_back_prior_is_about_standard(name):
    """Draws of the prior, seen as `z`, have about location 0 and spread 1 (by quartiles: some have no moments)."""
    prior = PRIORS[name]()
    z = chart_of(prior).inverse(prior.sample(jax.random.key(0), (20_000,)))
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75])
    tolerance = 0.03 if name in EXACT else 0.35
    assert abs(middle) < tolerance
    assert abs((high - low) / 1.349 - 1) < tolerance


@pytest.mark.usefixtures("float64")
def test_constrain_and_unconstrain_are_inverse_over_all_shapes():
    priors = {name: make().expand((3,)) if name == "normal" else make() for name, make in PRIORS.items()}
    priors["normal"] = dist.Normal(jnp.zeros(3), jnp.ones(3))
    charts = charts_of(priors)
    flat = jax.random.normal(jax.random.key(0), (flat_size(charts),))
    params, log_det = constrain(split(flat, charts), charts)
    assert params["normal"].shape == (3,)
    np.testing.assert_allclose(unconstrain(params, charts), flat, atol=1e-9)

    def joined(flat):
        return jnp.concatenate(
            [jnp.ravel(values) for _, values in sorted(constrain(split(flat, charts), charts)[0].items())]
        )

    jacobian = jax.jacfwd(joined)
    assert float(log_det) == pytest.approx(float(jnp.linalg.slogdet(jacobian(flat))[1]), abs=1e-8)


def _by_constraining(z, priors, charts):
    """What `standardized` gives, from `constrain` and the priors' own densities."""
    params, log_det = constrain(z, charts)
    return params, log_det + sum(prior.log_prob(params[name]).sum() for name, prior in priors.items())


@pytest.mark.smoke
@pytest.mark.parametrize("name", PRIORS)
def test_standardized_is_constrain_with_the_densities_of_the_priors(name, precision):
    priors, z = {name: PRIORS[name]()}, jnp.linspace(-3.0, 3.0, 61)
    charts = charts_of(priors)
    found, expected = (
        jax.vmap(lambda z, rule=rule: rule({name: z}, priors, charts))(z) for rule in (standardized, _by_constraining)
    )
    np.testing.assert_array_equal(found[0][name], expected[0][name])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-10 if precision == "float64" else 1e-3)


@pytest.mark.usefixtures("float64")
def test_standardized_adds_up_over_all_shapes_with_the_same_gradient():
    priors = {name: make() for name, make in PRIORS.items()}
    priors |= {
        "normal": dist.Normal(jnp.zeros(3), jnp.ones(3)),
        "gamma": dist.Gamma(3.0 * jnp.ones((2, 2)), jnp.ones((2, 2))),
    }
    charts = charts_of(priors)
    flat = jax.random.normal(jax.random.key(0), (flat_size(charts),))
    found, expected = (
        jax.value_and_grad(lambda flat, rule=rule: rule(split(flat, charts), priors, charts)[1])(flat)
        for rule in (standardized, _by_constraining)
    )
    np.testing.assert_allclose(found[0], expected[0], atol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-9)


def test_laplace_gradient_at_the_centre_is_right(precision):
    """Autodiff of the quantile's sign and size would give 0 there, and a search that starts there would not see data."""
    priors = {"laplace": dist.Laplace(jnp.array([0.5, 0.0]), jnp.array([2.0, 3.0]))}
    charts = charts_of(priors)

    def density(flat):
        params, log_prior = standardized({"laplace": flat}, priors, charts)
        return log_prior + jnp.array([1.0, -1.0]) @ params["laplace"]

    value, gradient = jax.value_and_grad(density)(jnp.zeros(2))
    assert float(value) == pytest.approx(0.5 - np.log(2 * np.pi), rel=1e-6)
    np.testing.assert_allclose(gradient, np.sqrt(2 / np.pi) * np.array([2.0, -3.0]), rtol=1e-6)


def test_retention_takes_its_quantile_and_unknown_families_are_named():
    assert isinstance(chart_of(dist.Beta(jnp.ones(4), 3.0 * jnp.ones(4))), BetaOneQuantile)
    with pytest.raises(TypeError, match="Poisson.*Normal"):
        chart_of(dist.Poisson(3.0))
