"""The density against its equation, and the laws of padding."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import mmm_jax as mj
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.remarketing.believed import Beliefs, Design, prepared
from mmm_jax.remarketing.density import (
    GLOBAL,
    LOCAL,
    SLAB,
    WEIGHT,
    constrained,
    flat_log_density,
    linear_predictor,
    log_likelihood,
    padding_log_density,
)

ROWS, COLUMNS, SEGMENTS = 30, 3, 3
density = jax.jit(flat_log_density)
gradient = jax.jit(jax.grad(flat_log_density))


def beliefs(**options):
    """The estimator's defaults, or others."""
    return Beliefs(**{"coefficients": dist.Normal(0.0, 1.0), "intercept": dist.Normal(0.0, 2.5), **options})


def design(seed=0, *, segments=False):
    """A small table."""
    rng = np.random.default_rng(seed)
    columns, responded = rng.normal(size=(ROWS, COLUMNS)), (rng.random(ROWS) < 0.4).astype(float)
    return Design(columns, responded, *((rng.integers(0, SEGMENTS, ROWS), SEGMENTS) if segments else ()))


def point(ready, seed=0, size=0.7):
    """A flat vector, 0 in the padding."""
    flat = size * np.random.default_rng(seed).normal(size=len(ready.active))
    return jnp.asarray(flat * ready.active)


def bernoulli(log_odds, responded):
    """`sum_i log p_i^y_i (1 - p_i)^(1 - y_i)`, the naive way."""
    p = 1.0 / (1.0 + np.exp(-np.asarray(log_odds, float)))
    return np.sum(responded * np.log(p) + (1.0 - responded) * np.log(1.0 - p))


@pytest.mark.smoke
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_sum_of_its_equation(precision, seed):
    table = design(seed)
    ready = prepared(table, beliefs())
    flat = point(ready, seed)
    params = {name: np.asarray(values, float) for name, values in constrained(flat, ready.target).items()}
    beta, intercept = params["beta"][:COLUMNS], params["intercept"]
    # Priors of the standardised coordinates, the padding's included.
    prior = scipy.stats.norm.logpdf(np.append(beta, np.zeros(len(params["beta"]) - COLUMNS))).sum()
    prior += scipy.stats.norm.logpdf(intercept / 2.5)
    expected = prior + bernoulli(intercept + table.columns @ beta, table.responded)
    np.testing.assert_allclose(density(flat, ready.target), expected, rtol=1e-5 if precision == "float32" else 1e-12)


def test_segments_have_intercepts_and_coefficients_of_their_own(float64):
    table = design(segments=True)
    ready = prepared(table, beliefs(slopes=True, spread=0.5))
    params = {name: np.asarray(values) for name, values in constrained(point(ready), ready.target).items()}
    expected = []
    for row, segment in zip(table.columns, table.segment, strict=True):
        intercept = params["intercept"] + params["intercept_eta"] * params["intercept_eps"][segment]
        beta = params["beta"] + params["beta_eta"] * params["beta_eps"][segment]
        expected.append(intercept + row @ beta[:COLUMNS])
    found = linear_predictor({name: jnp.asarray(values) for name, values in params.items()}, ready.target)
    np.testing.assert_allclose(found[:ROWS], expected, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"slopes": True}, {"coefficients": mj.RegularizedHorseshoe(1.0)}])
def test_its_gradient_is_that_of_differences(float64, options):
    ready = prepared(design(segments="slopes" in options), beliefs(**options))
    flat, step = point(ready), 1e-5
    moved = jnp.eye(len(flat)) * step
    ahead, behind = (jax.vmap(density, (0, None))(flat + sign * moved, ready.target) for sign in (1, -1))
    np.testing.assert_allclose(gradient(flat, ready.target), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-7)


@given(size=st.floats(0.0, 1e30), sign=st.sampled_from([-1.0, 1.0]))
def test_far_log_odds_have_finite_values_and_slopes(size, sign):
    with precision_scope("float32"):
        ready = prepared(design(), beliefs())
        log_odds = jnp.full(ready.target.sign.shape, sign * size)
        value, slope = jax.value_and_grad(log_likelihood)(log_odds, ready.target)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert (np.abs(slope) <= 1.0).all()


def test_the_rare_side_keeps_its_digits(precision):
    # log(1 - sigmoid(20)) is log(0) when it is computed as it is written, in float32.
    ready = prepared(design(), beliefs())
    log_odds = -30.0 * ready.target.sign
    np.testing.assert_allclose(log_likelihood(log_odds, ready.target), -30.0 * ROWS, rtol=1e-6)


def test_padded_rows_do_not_count(float64):
    ready = prepared(design(), beliefs())
    assert ready.target.columns.shape[0] > ROWS
    rng, filled = np.random.default_rng(0), np.array(ready.target.columns)
    filled[ROWS:] = rng.normal(size=filled[ROWS:].shape)
    other = jax.tree.map(lambda values: values, ready.target)
    other = type(other)(jnp.asarray(filled), *(getattr(other, name) for name in _FIELDS))
    flat = point(ready)
    np.testing.assert_array_equal(density(flat, other), density(flat, ready.target))
    np.testing.assert_array_equal(gradient(flat, other), gradient(flat, ready.target))


_FIELDS = ("sign", "weight", "segments", "charts", "information", "prior_arguments", "prior_families")


@pytest.mark.parametrize("segments", [False, True])
def test_padded_coordinates_know_their_prior_only(float64, segments):
    ready = prepared(design(segments=segments), beliefs(slopes=segments))
    flat = 0.7 * jnp.asarray(np.random.default_rng(1).normal(size=len(ready.active)))
    padding = ready.active == 0
    assert padding.any()
    np.testing.assert_allclose(gradient(flat, ready.target)[padding], -flat[padding], rtol=1e-12)


def test_padding_adds_the_priors_of_its_coordinates(float64):
    ready = prepared(design(), beliefs())
    count = int((ready.active == 0).sum())
    expected = count * scipy.stats.norm.logpdf(0.0)
    np.testing.assert_allclose(padding_log_density(ready.target, ready.active), expected, rtol=1e-12)


LEARNED = {
    "horseshoe": {"coefficients": mj.RegularizedHorseshoe(1.0, slab_scale=0.8, slab_df=3.0)},
    "segments": {"slopes": True, "spread": 0.5},
}


@pytest.mark.parametrize("case", LEARNED)
def test_learned_scales_are_their_priors_and_the_volume_of_the_coordinates(float64, case):
    ready = prepared(design(segments=case == "segments"), beliefs(**LEARNED[case]))
    flat, free = point(ready) + 0.1, sorted(ready.target.charts)

    def of_free(flat):
        params = constrained(flat, ready.target)
        return jnp.concatenate([jnp.ravel(params[name]) for name in free])

    params, priors = constrained(flat, ready.target), ready.target.priors
    log_prior = sum(jnp.sum(priors[name].log_prob(params[name])) for name in free)
    _, volume = jnp.linalg.slogdet(jax.jit(jax.jacfwd(of_free))(flat))
    expected = log_prior + volume + log_likelihood(linear_predictor(params, ready.target), ready.target)
    np.testing.assert_allclose(density(flat, ready.target), expected, rtol=1e-10)
    if case == "horseshoe":
        # beta = z s, with 1 / s^2 = 1 / (tau lambda)^2 + 1 / c^2.
        scale = (1.0 / (params[GLOBAL] * params[LOCAL]) ** 2 + 1.0 / params[SLAB]) ** -0.5
        np.testing.assert_allclose(params["beta"], params[WEIGHT] * scale, rtol=1e-10)


def test_a_horseshoe_of_fewer_columns_than_should_matter_is_refused():
    with pytest.raises(mj.SpecError, match="expects 5 columns to matter, but there are 3"):
        prepared(design(), beliefs(coefficients=mj.RegularizedHorseshoe(5.0)))
