from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax.kernels import adstock as kernels
from mmm_jax.kernels.adstock import adstock, carry_over, lagged
from mmm_jax.model.components import ADSTOCKS, NoAdstock

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}
EDGES = {
    "alpha": [0.0, 1e-30, 1e-8, 1e-3, 0.5, 1.0 - 1e-7, 1.0],
    "theta": [0.0, 1e-6, 1.0, 3.3, 50.0, 1e4],
    "lam": [1e-6, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e6, 1e9],
    "k": [1e-6, 1e-3, 0.1, 1.0, 3.0, 50.0, 1e3, 1e6],
}
REGULAR = {"alpha": (0.02, 1.0), "theta": (0.0, 6.0), "lam": (0.7, 8.0), "k": (0.3, 6.0)}
MODES = {"After": 0, "Before": 3, "Overlap": 1}


@dataclass(frozen=True)
class Weights:
    name: str
    parameters: tuple[str, ...]

    @property
    def kernel(self) -> Callable:
        return getattr(kernels, f"{self.name}_weights")

    @property
    def naive(self) -> Callable:
        return getattr(helpers, f"{self.name}_weights")

    def edges(self) -> list[np.ndarray]:
        """Every combination of the extreme values of all parameters, flattened."""
        return [grid.ravel() for grid in np.meshgrid(*(EDGES[name] for name in self.parameters))]

    @cache  # noqa: B019 - the kinds live as long as the module
    def _compiled(self, l_max: int, normalize: bool) -> Callable:
        return jax.jit(partial(self.kernel, l_max=l_max, normalize=normalize))

    @cache  # noqa: B019
    def _compiled_jacobian(self, l_max: int, normalize: bool) -> Callable:
        def both(*values):
            weights = self.kernel(*values, l_max, normalize=normalize)
            return weights, weights

        return jax.jit(jax.vmap(jax.jacrev(both, argnums=tuple(range(len(self.parameters))), has_aux=True)))

    def weights(self, *values, l_max: int = 5, normalize: bool = True) -> np.ndarray:
        return np.asarray(self._compiled(l_max, normalize)(*map(jnp.asarray, values)))

    def jacobian(self, *values, l_max: int = 5, normalize: bool = True) -> tuple[list[np.ndarray], np.ndarray]:
        """Derivatives of the weights by each parameter, and the weights, for every element of the parameters."""
        slopes, weights = self._compiled_jacobian(l_max, normalize)(*map(jnp.asarray, values))
        return [np.asarray(slope) for slope in slopes], np.asarray(weights)


KINDS = [
    Weights("geometric", ("alpha",)),
    Weights("delayed", ("alpha", "theta")),
    Weights("binomial", ("alpha",)),
    Weights("weibull_pdf", ("lam", "k")),
    Weights("weibull_cdf", ("lam", "k")),
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
_adstocked = jax.jit(adstock, static_argnames="lead")


def adstocked(media: np.ndarray, weights: np.ndarray, lead: int = 0) -> np.ndarray:
    return np.asarray(_adstocked(media, weights, lead=lead))


def named(name: str) -> Weights:
    return next(kind for kind in KINDS if kind.name == name)


def regular_parameters(kind: Weights):
    return st.tuples(*(strategies.between(*REGULAR[name]) for name in kind.parameters))


def random_weights(l_max: int):
    return strategies.between(0.0, 1.0, (strategies.CHANNELS, l_max))


# Against other implementations.


def _oracle_cases() -> list:
    parameters = {"geometric": {"alpha": 0.6}, "delayed": {"alpha": 0.6, "theta": 1}, "binomial": {"alpha": 0.6}}
    parameters |= {name: {"lam": 2, "k": 3} for name in ("weibull_pdf", "weibull_cdf")}
    cases = []
    for name, values in parameters.items():
        call = f"{name}({','.join(f'{key}={value}' for key, value in values.items())})"
        for normalize in (False, True):
            for mode in MODES:
                key = f"{call} norm={normalize},mode={mode},l_max=4"
                cases.append(pytest.param(key, name, list(values.values()), normalize, MODES[mode], id=key))
    return cases


@pytest.mark.parametrize(("key", "name", "values", "normalize", "lead"), _oracle_cases())
def test_oracle(float64, key, name, values, normalize, lead):
    oracle = helpers.load_oracle("transforms.json")
    weights = named(name).weights(*map(float, values), l_max=4, normalize=normalize)
    found = adstocked(np.asarray(oracle["x"]), weights, lead=lead)
    np.testing.assert_allclose(found, oracle["adstock"][key], rtol=0, atol=1e-10)


def test_every_oracle_is_compared():
    cases = {case.values[0] for case in _oracle_cases()}
    assert cases == set(helpers.load_oracle("transforms.json")["adstock"])


@every_kind
@pytest.mark.parametrize("normalize", [False, True])
@given(data=st.data(), l_max=strategies.windows())
def test_weights_equal_the_equation(precision, kind, normalize, data, l_max):
    values = data.draw(regular_parameters(kind))
    found = kind.weights(*values, l_max=l_max, normalize=normalize)
    for channel, row in enumerate(found):
        expected = kind.naive(*(value[channel] for value in values), l_max)
        expected = expected / expected.sum() if normalize else expected
        np.testing.assert_allclose(row, expected, rtol=0, atol=TOLERANCE[precision])


@pytest.mark.smoke
@given(data=st.data(), media=strategies.spend(), l_max=strategies.windows(), lead=st.sampled_from([0, 1, 4]))
def test_adstock_equals_the_equation(precision, data, media, l_max, lead):
    weights = data.draw(random_weights(l_max))
    found = adstocked(media, weights, lead=lead)
    expected = [helpers.adstock(row, row_weights, lead) for row, row_weights in zip(media, weights, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * TOLERANCE[precision])


# Laws of the carry-over.


@given(data=st.data(), media=strategies.spend(), l_max=strategies.windows(), cut=st.integers(0, strategies.PERIODS - 1))
def test_adstock_never_looks_ahead(precision, data, media, l_max, cut):
    weights = data.draw(random_weights(l_max))
    changed = media.copy()
    changed[:, cut:] += 1.0
    before, after = adstocked(media, weights), adstocked(changed, weights)
    np.testing.assert_array_equal(before[:, :cut], after[:, :cut])


@given(data=st.data(), media=strategies.spend(), l_max=strategies.windows(), cut=st.integers(0, strategies.PERIODS - 1))
def test_adstock_forgets_after_its_window(precision, data, media, l_max, cut):
    weights = data.draw(random_weights(l_max))
    changed = media.copy()
    changed[:, cut] += 1.0
    before, after = adstocked(media, weights), adstocked(changed, weights)
    np.testing.assert_array_equal(before[:, cut + l_max :], after[:, cut + l_max :])


@given(
    data=st.data(),
    media=strategies.spend(),
    other=strategies.spend(),
    factor=strategies.number(0.0, 3.0),
    l_max=strategies.windows(),
)
def test_adstock_is_linear_in_spend(precision, data, media, other, factor, l_max):
    weights = data.draw(random_weights(l_max))
    together = adstocked(media + factor * other, weights)
    apart = adstocked(media, weights) + factor * adstocked(other, weights)
    np.testing.assert_allclose(together, apart, rtol=0, atol=5 * TOLERANCE[precision])


@given(data=st.data(), media=strategies.spend(), l_max=strategies.windows(), shift=st.integers(0, strategies.PERIODS))
def test_adstock_moves_with_the_spend(precision, data, media, l_max, shift):
    weights = data.draw(random_weights(l_max))
    moved = np.zeros_like(media)
    moved[:, shift:] = media[:, : strategies.PERIODS - shift]
    before, after = adstocked(media, weights), adstocked(moved, weights)
    np.testing.assert_array_equal(after[:, shift:], before[:, : strategies.PERIODS - shift])
    assert not after[:, :shift].any()


@every_kind
@given(data=st.data(), media=strategies.spend(), l_max=strategies.windows())
def test_normalized_weights_preserve_the_total_effect_away_from_the_edge(precision, kind, data, media, l_max):
    weights = kind.weights(*data.draw(regular_parameters(kind)), l_max=l_max)
    media[:, strategies.PERIODS - l_max + 1 :] = 0.0
    effect = adstocked(media, weights)
    np.testing.assert_allclose(effect.sum(axis=1), media.sum(axis=1), rtol=TOLERANCE[precision], atol=1e-12)


@pytest.mark.parametrize("lead", [0, 2, 5])
def test_lagged_lays_out_spend_by_lag(precision, lead):
    media = np.arange(1.0, 9.0)
    windows = np.asarray(lagged(jnp.asarray(media), 4, lead=lead))
    for time in range(8):
        for lag in range(4):
            source = time + lead - lag
            assert windows[lag, time] == (media[source] if 0 <= source < 8 else 0.0)


_carried = jax.jit(lambda media, weights: carry_over(lagged(media, 5), weights))


@given(data=st.data(), media=strategies.spend())
def test_adstock_is_lagged_and_carried_over(precision, data, media):
    weights = data.draw(random_weights(5))
    apart = _carried(jnp.asarray(media), jnp.asarray(weights))
    np.testing.assert_allclose(adstocked(media, weights), apart, rtol=0, atol=TOLERANCE[precision])


def test_leading_axes_are_a_loop(precision):
    media, alpha = np.random.default_rng(0).random((3, 2, 12)), np.random.default_rng(1).random((3, 2))
    together = adstocked(media, named("geometric").weights(alpha))
    for index in range(3):
        alone = adstocked(media[index], named("geometric").weights(alpha[index]))
        np.testing.assert_allclose(together[index], alone, rtol=0, atol=TOLERANCE[precision])


# Limits of the weights.


@every_kind
def test_a_window_of_one_is_the_identity(precision, kind):
    weights = kind.weights(*kind.edges(), l_max=1)
    np.testing.assert_array_equal(weights, np.ones_like(weights))
    if kind.name != "delayed":  # whose raw weight is alpha**(theta**2), by its equation
        np.testing.assert_array_equal(kind.weights(*kind.edges(), l_max=1, normalize=False), np.ones_like(weights))


@pytest.mark.parametrize("name", ["geometric", "delayed", "binomial"])
@pytest.mark.parametrize("normalize", [False, True])
@given(media=strategies.spend(), l_max=strategies.windows())
def test_no_retention_is_the_identity(precision, name, normalize, media, l_max):
    kind = named(name)
    nothing = [np.zeros(strategies.CHANNELS)] * len(kind.parameters)
    effect = adstocked(media, kind.weights(*nothing, l_max=l_max, normalize=normalize))
    np.testing.assert_allclose(effect, media, rtol=0, atol=1e-30)


@pytest.mark.parametrize("name", ["geometric", "delayed", "binomial"])
@given(media=strategies.spend(), l_max=strategies.windows(), theta=strategies.number(0.0, 6.0))
def test_full_retention_is_the_trailing_mean(precision, name, media, l_max, theta):
    arguments = [np.ones(strategies.CHANNELS)] + ([np.full(strategies.CHANNELS, theta)] if name == "delayed" else [])
    effect = adstocked(media, named(name).weights(*arguments, l_max=l_max))
    padded = np.pad(media, [(0, 0), (l_max - 1, 0)])
    expected = np.lib.stride_tricks.sliding_window_view(padded, l_max, axis=1).mean(axis=-1)
    np.testing.assert_allclose(effect, expected, rtol=0, atol=TOLERANCE[precision])


@given(theta=st.integers(0, 4))
def test_delayed_weights_peak_at_their_delay(precision, theta):
    weights = named("delayed").weights(np.full(2, 0.5), np.full(2, float(theta)))
    assert np.all(np.argmax(weights, axis=-1) == theta)


def test_a_delay_far_beyond_the_window_falls_on_its_last_period(precision):
    weights = named("delayed").weights([1e-8, 0.5, 0.9], [1e4, 50.0, 1e3])
    np.testing.assert_allclose(weights, np.tile([0.0, 0.0, 0.0, 0.0, 1.0], (3, 1)), rtol=0, atol=1e-6)


def test_an_almost_flat_weibull_density_is_the_straight_line_it_is(precision):
    # With k = 1 the density is exp(-l / lam) / lam: for large lam it falls linearly to the end of the window.
    weights = named("weibull_pdf").weights([1e3, 1e6, 1e9], np.ones(3), normalize=False)
    np.testing.assert_allclose(weights, np.tile([1.0, 0.75, 0.5, 0.25, 0.0], (3, 1)), rtol=0, atol=2e-3)


def test_a_weibull_density_far_before_the_window_is_all_in_the_first_period(precision):
    weights = named("weibull_pdf").weights([1e-6, 1e-3, 1e-2], [10.0, 50.0, 1e3])
    np.testing.assert_allclose(weights, np.tile([1.0, 0.0, 0.0, 0.0, 0.0], (3, 1)), rtol=0, atol=1e-30)


# Extreme parameters.


@every_kind
def test_weights_are_shares_with_finite_gradients_at_extreme_parameters(precision, kind):
    slopes, weights = kind.jacobian(*kind.edges())
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=0, atol=1e-6)
    for name, slope in zip(kind.parameters, slopes, strict=True):
        assert np.all(np.isfinite(slope)), name


@every_kind
def test_raw_weights_and_their_gradients_are_finite_at_extreme_parameters(precision, kind):
    slopes, weights = kind.jacobian(*kind.edges(), normalize=False)
    assert np.all((weights >= 0) & (weights <= 1))
    for name, slope in zip(kind.parameters, slopes, strict=True):
        assert np.all(np.isfinite(slope)), name


@every_kind
def test_gradients_vanish_at_zero_spend(kind):
    def total(*values):
        return adstock(jnp.zeros((len(values[0]), 6)), kind.kernel(*values, 5)).sum()

    edges = [jnp.asarray(edge) for edge in kind.edges()]
    slopes = jax.jit(jax.grad(total, argnums=tuple(range(len(edges)))))(*edges)
    assert not any(np.asarray(slope).any() for slope in slopes)


INNER = {"alpha": (0.05, 0.95), "theta": (0.1, 4.0), "lam": (0.7, 6.0), "k": (1.2, 4.0)}


@every_kind
@given(data=st.data())
def test_gradients_equal_finite_differences(float64, kind, data):
    values = data.draw(st.tuples(*(strategies.between(*INNER[name], 1) for name in kind.parameters)))
    slopes, _ = kind.jacobian(*values)
    for index, slope in enumerate(slopes):

        def along(step, index=index):
            return kind.weights(*(value + step * (place == index) for place, value in enumerate(values)))

        np.testing.assert_allclose(slope, helpers.central_difference(along, step=1e-6), rtol=1e-5, atol=1e-7)


def test_geometric_gradient_at_no_retention_is_the_right_derivative(precision):
    (slopes,), _ = named("geometric").jacobian(np.zeros(1), normalize=False)
    np.testing.assert_array_equal(slopes, [[0.0, 1.0, 0.0, 0.0, 0.0]])


# Every registered adstock.

every_adstock = pytest.mark.parametrize("adstock_class", ADSTOCKS, ids=lambda cls: cls.__name__)


def made(adstock_class, **options):
    return adstock_class() if adstock_class is NoAdstock else adstock_class(l_max=5, **options)


@every_adstock
def test_registered_default_priors_stay_in_the_domain_of_the_parameters(adstock_class):
    priors, draws = made(adstock_class).default_priors(), helpers.prior_draws(adstock_class)
    assert tuple(priors) == adstock_class.parameters
    for name, prior in priors.items():
        assert np.all(np.asarray(prior.support(draws[name])))
        assert np.all(draws[name] >= 0)
        assert name != "alpha" or np.all(draws[name] <= 1)


@every_adstock
def test_registered_weights_are_shares_with_finite_gradients(precision, adstock_class):
    component = made(adstock_class)
    draws = {f"adstock_{name}": jnp.asarray(values) for name, values in helpers.prior_draws(adstock_class).items()}
    evaluate = jax.jit(
        jax.grad(lambda values: (jnp.sum((weights := component.weights(values)) ** 2), weights), has_aux=True)
    )
    slopes, weights = jax.tree.map(np.asarray, evaluate(draws))
    assert weights.dtype == precision
    assert weights.shape[-1] == component.l_max
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=0, atol=1e-5)
    assert all(np.all(np.isfinite(slope)) for slope in slopes.values())


@pytest.mark.parametrize("adstock_class", [cls for cls in ADSTOCKS if cls is not NoAdstock], ids=lambda cls: cls.__name__)
def test_registered_weights_without_normalisation_have_the_same_proportions(float64, adstock_class):
    draws = {f"adstock_{name}": jnp.asarray(values) for name, values in helpers.prior_draws(adstock_class).items()}
    raw, shares = (np.asarray(jax.jit(made(adstock_class, normalize=choice).weights)(draws)) for choice in (False, True))
    np.testing.assert_allclose(raw, shares * raw.sum(axis=-1, keepdims=True), rtol=0, atol=1e-12)
    assert not np.allclose(raw, shares)
