from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax.kernels import saturation as kernels
from mmm_jax.model.components import SATURATIONS

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
REGULAR = {"lam": (0.1, 4.0), "b": (0.2, 3.0), "c": (0.2, 3.0), "slope": (0.3, 4.0), "kappa": (0.1, 3.0), "beta": (0.1, 3.0)}
EDGES = [0.0, 1e-8, 1e-3, 1.0, 1e3, 1e6]
ORACLE_ONLY = {"inverse_scaled_logistic", "tanh_baselined", "hill_sigmoid"}


@dataclass(frozen=True)
class Curve:
    """A kernel with the order of its parameters; `top` gives its bound, if it has one."""

    name: str
    parameters: tuple[str, ...]
    top: str | None = None

    @property
    def kernel(self) -> Callable:
        return getattr(kernels, self.name)

    @property
    def naive(self) -> Callable:
        return getattr(helpers, self.name)

    @cache  # noqa: B019 - the curves live as long as the module
    def evaluated(self) -> Callable:
        """One program per curve, since compiling takes longest: value, value and partials by hand, autodiff's partials."""
        by_hand, count = getattr(kernels, f"{self.name}_partials"), 1 + len(self.parameters)

        def everything(*arguments):
            slopes = jax.vmap(jax.grad(self.kernel, argnums=tuple(range(count))))(*arguments)
            return self.kernel(*arguments), by_hand(*arguments), slopes

        return jax.jit(everything)

    def value(self, *arguments) -> np.ndarray:
        return np.asarray(self.evaluated()(*arrays(arguments))[0])

    def partials(self, *arguments) -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(slope) for slope in self.evaluated()(*arrays(arguments))[1][1])

    def regular(self, count: int = 6):
        """Values of `count` per parameter."""
        ranges = {**REGULAR, "alpha": (0.1, 0.9)} if self.name == "root" else {**REGULAR, "alpha": (0.2, 3.0)}
        return st.tuples(*(strategies.between(*ranges[name], count) for name in self.parameters))

    def edges(self) -> list[jax.Array]:
        """Every combination of extreme spend and extreme parameters within the supports of the priors."""
        grid = np.array(list(product(EDGES, repeat=1 + len(self.parameters))))
        if self.name == "root":
            grid = grid[grid[:, 1] <= 1]
        return [jnp.asarray(column) for column in grid.T]


CURVES = [
    Curve("logistic", ("lam", "beta"), top="beta"),
    Curve("tanh", ("b", "c"), top="b"),
    Curve("michaelis_menten", ("alpha", "lam"), top="alpha"),
    Curve("hill", ("slope", "kappa", "beta"), top="beta"),
    Curve("root", ("alpha", "beta")),
    Curve("linear", ("beta",)),
]
NAMED = {curve.name: curve for curve in CURVES}
every_curve = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)


def arrays(values) -> list[jax.Array]:
    return [jnp.asarray(value) for value in values]


# Against other implementations.

ORACLE_CASES = {
    "logistic(lam=2)": ("logistic", (2.0, 1.0)),
    "tanh(b=0.8,c=1.5)": ("tanh", (0.8, 1.5)),
    "michaelis_menten(alpha=2,lam=0.5)": ("michaelis_menten", (2.0, 0.5)),
    "hill(slope=1.7,kappa=0.6)": ("hill", (1.7, 0.6, 1.0)),
    "root(alpha=0.4)": ("root", (0.4, 1.0)),
}


@pytest.mark.parametrize("key", ORACLE_CASES)
def test_oracle(float64, key):
    name, parameters = ORACLE_CASES[key]
    oracle = helpers.load_oracle("transforms.json")
    spend, expected = np.asarray(oracle["x"]), oracle["saturation"][key]
    value, (value_with_partials, _), _ = NAMED[name].evaluated()(*arrays(np.broadcast_arrays(spend, *parameters)))
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(value_with_partials, expected, rtol=0, atol=1e-10)


def test_the_oracle_holds_nothing_else_that_the_design_has():
    left = set(helpers.load_oracle("transforms.json")["saturation"]) - set(ORACLE_CASES)
    assert {key.partition("(")[0] for key in left} == ORACLE_ONLY


@every_curve
@given(data=st.data(), spend=strategies.between(0.01, 5.0, 6))
def test_values_equal_the_equation(precision, curve, data, spend):
    parameters = data.draw(curve.regular())
    found, expected = curve.value(spend, *parameters), curve.naive(spend, *parameters)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[precision], atol=TOLERANCE[precision])


# Laws.


@every_curve
@given(data=st.data())
def test_no_spend_has_no_effect(precision, curve, data):
    assert not np.any(curve.value(np.zeros(6), *data.draw(curve.regular())))


@every_curve
@given(data=st.data(), spend=strategies.between(0.0, 20.0, 6))
def test_more_spend_never_has_less_effect(precision, curve, data, spend):
    parameters = [np.full(6, value[0]) for value in data.draw(curve.regular(1))]
    spend = np.sort(spend)
    values = curve.value(spend, *parameters)
    rounding = 1e-6 if precision == "float32" else 1e-14
    assert np.all(np.diff(values) >= -rounding * values[-1])
    assert np.all(curve.partials(spend, *parameters)[0] >= 0)


@pytest.mark.parametrize("curve", [curve for curve in CURVES if curve.top], ids=lambda curve: curve.name)
@given(data=st.data(), spend=strategies.between(0.0, 20.0, 6))
def test_bounded_curves_stay_below_their_bound_and_approach_it(precision, curve, data, spend):
    parameters = data.draw(curve.regular())
    top = parameters[curve.parameters.index(curve.top)]
    assert np.all(curve.value(spend, *parameters) <= top * (1 + 1e-6))
    np.testing.assert_allclose(curve.value(np.full(6, 1e30), *parameters), top, rtol=1e-6)


@pytest.mark.parametrize("name", ["logistic", "tanh", "michaelis_menten", "root", "linear"])
@given(data=st.data(), spend=strategies.between(0.01, 10.0, 6))
def test_concave_curves_give_at_least_half_for_half_the_spend(precision, name, data, spend):
    parameters = data.draw(NAMED[name].regular())
    half, whole = NAMED[name].value(spend / 2, *parameters), NAMED[name].value(spend, *parameters)
    assert np.all(half >= whole / 2 * (1 - 1e-5))


@pytest.mark.smoke
@given(spend=strategies.between(0.01, 5.0, 6), kappa=strategies.between(0.1, 3.0, 6), beta=strategies.between(0.1, 3.0, 6))
def test_hill_with_slope_one_is_michaelis_menten(precision, spend, kappa, beta):
    found = NAMED["hill"].value(spend, np.ones(6), kappa, beta)
    np.testing.assert_allclose(found, NAMED["michaelis_menten"].value(spend, beta, kappa), rtol=TOLERANCE[precision])


@given(kappa=strategies.between(0.1, 3.0, 6), slope=strategies.between(0.3, 4.0, 6), beta=strategies.between(0.1, 3.0, 6))
def test_half_of_the_bound_lies_at_kappa_and_at_lam(precision, kappa, slope, beta):
    np.testing.assert_allclose(NAMED["hill"].value(kappa, slope, kappa, beta), beta / 2, rtol=1e-6)
    np.testing.assert_allclose(NAMED["michaelis_menten"].value(kappa, beta, kappa), beta / 2, rtol=1e-6)


@given(spend=strategies.between(0.0, 1.0, 6), beta=strategies.between(0.1, 3.0, 6))
def test_logistic_with_small_lam_is_linear(precision, spend, beta):
    lam = np.full(6, 1e-3)
    np.testing.assert_allclose(NAMED["logistic"].value(spend, lam, beta), beta * lam * spend / 2, rtol=1e-5, atol=1e-12)


@given(spend=strategies.between(0.0, 5.0, 6), b=strategies.between(0.2, 3.0, 6), c=strategies.between(0.2, 3.0, 6))
def test_tanh_is_the_logistic_in_other_words(precision, spend, b, c):
    found = NAMED["tanh"].value(spend, b, c)
    np.testing.assert_allclose(found, NAMED["logistic"].value(spend, 2 / (b * c), b), rtol=TOLERANCE[precision])


@given(spend=strategies.between(0.0, 5.0, 6), beta=strategies.between(0.1, 3.0, 6))
def test_root_with_exponent_one_is_linear(precision, spend, beta):
    np.testing.assert_allclose(NAMED["root"].value(spend, np.ones(6), beta), beta * spend, rtol=TOLERANCE[precision])


@every_curve
def test_arguments_broadcast(float64, curve):
    spend = jnp.linspace(0.1, 2.0, 6)
    value, slopes = getattr(kernels, f"{curve.name}_partials")(spend, *[jnp.asarray(0.7)] * len(curve.parameters))
    parameters = [np.full(6, 0.7)] * len(curve.parameters)
    np.testing.assert_allclose(value, curve.value(spend, *parameters), rtol=1e-12)
    for found, expected in zip(slopes, curve.partials(spend, *parameters), strict=True):
        np.testing.assert_allclose(np.broadcast_to(found, 6), expected, rtol=1e-12)


# Derivatives.


@every_curve
@given(data=st.data(), spend=strategies.between(0.01, 5.0, 6))
def test_partials_equal_autodiff(precision, curve, data, spend):
    arguments = arrays([spend, *data.draw(curve.regular())])
    value, (value_with_partials, slopes), expected = curve.evaluated()(*arguments)
    np.testing.assert_allclose(value_with_partials, value, rtol=TOLERANCE[precision])
    for found, slope in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(found, slope, rtol=20 * TOLERANCE[precision], atol=5 * TOLERANCE[precision])


@every_curve
@given(data=st.data(), spend=strategies.between(0.1, 5.0, 6))
def test_partials_equal_finite_differences(float64, curve, data, spend):
    arguments = [spend, *data.draw(curve.regular())]
    for index, slope in enumerate(curve.partials(*arguments)):

        def along(step, index=index):
            return curve.value(*(value + step * (place == index) for place, value in enumerate(arguments)))

        np.testing.assert_allclose(slope, helpers.central_difference(along, step=1e-6), rtol=1e-6, atol=1e-7)


@every_curve
def test_values_and_derivatives_are_finite_everywhere(precision, curve):
    for found in jax.tree.leaves(curve.evaluated()(*curve.edges())):
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize(
    ("name", "parameters", "slope"),
    [
        ("logistic", (2.0, 3.0), 3.0),
        ("tanh", (2.0, 4.0), 0.25),
        ("michaelis_menten", (3.0, 2.0), 1.5),
        ("linear", (3.0,), 3.0),
        # Infinite in truth; the kernels promise 0, so that weeks without spend do not break the sampler.
        ("root", (0.5, 3.0), 0.0),
        ("hill", (0.5, 1.0, 3.0), 0.0),
    ],
)
def test_slope_at_zero_spend(precision, name, parameters, slope):
    arguments = np.broadcast_arrays(np.zeros(6), *parameters)
    _, (_, (by_hand, *_)), (by_autodiff, *_) = NAMED[name].evaluated()(*arrays(arguments))
    np.testing.assert_allclose(by_hand, slope, rtol=1e-6)
    np.testing.assert_allclose(by_autodiff, slope, rtol=1e-6)


# Every registered saturation.

every_saturation = pytest.mark.parametrize("saturation_class", SATURATIONS, ids=lambda cls: cls.__name__)


@every_saturation
def test_registered_default_priors_stay_in_the_domain_of_the_parameters(saturation_class):
    priors, draws = saturation_class().default_priors(), helpers.prior_draws(saturation_class)
    assert tuple(priors) == saturation_class.parameters
    for name, prior in priors.items():
        assert np.all(np.asarray(prior.support(draws[name])))
        assert np.all(draws[name] >= 0)


@every_saturation
def test_registered_curves_and_partials_keep_the_laws_under_their_default_priors(precision, saturation_class):
    component = saturation_class()
    draws = {f"saturation_{name}": jnp.asarray(values) for name, values in helpers.prior_draws(saturation_class).items()}

    @jax.jit
    def everything(x, parameters):
        slopes = jax.vmap(jax.grad(component.curve, argnums=tuple(range(1 + len(parameters)))))
        return component.curve(x, *parameters), component.partials(x, *parameters), slopes(x, *parameters)

    spend = [jnp.full(100, level) for level in (0.0, 0.3, 1.0)]
    nothing, little, much = (everything(x, component.arguments(draws)) for x in spend)
    assert not np.any(nothing[0])
    assert np.all(np.asarray(little[0]) >= 0)
    assert np.all(np.asarray(much[0]) >= np.asarray(little[0]) * (1 - 1e-6))
    for value, (value_with_partials, slopes), expected in (little, much):
        np.testing.assert_allclose(value_with_partials, value, rtol=TOLERANCE[precision])
        for found, slope in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(found, slope, rtol=50 * TOLERANCE[precision], atol=50 * TOLERANCE[precision])


def test_every_registered_curve_is_one_of_the_kernels_tested_here():
    assert {cls.curve.__name__ for cls in SATURATIONS} == set(NAMED)
    for cls in SATURATIONS:
        assert cls.partials.__name__ == f"{cls.curve.__name__}_partials"
        assert cls.parameters == NAMED[cls.curve.__name__].parameters
