"""Smoothed importance weights, against ArviZ and against ratios whose tail is known."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp

from mmm_jax.inference.psis import generalized_pareto, k_threshold, psis, tail_length


def _arviz(log_ratios):
    """Normalised log weights and k-hat of one row by ArviZ; versions agree where the tail's length is a whole number."""
    with warnings.catch_warnings():
        # ArviZ 0.23 announces its 1.0 on import.
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    if hasattr(arviz, "psislw"):
        smooth, shape = arviz.psislw(log_ratios)
    else:
        from arviz_stats.base import array_stats

        # It takes the log likelihoods that are left out, the negative of log ratios.
        smooth, shape = array_stats.psislw(-log_ratios)
    smooth = np.asarray(smooth)
    return smooth - logsumexp(smooth), float(shape)


def _pareto(shape, size, seed=0):
    """Log ratios of a Pareto distribution, whose tail has exactly this shape."""
    return shape * np.random.default_rng(seed).exponential(size=size)


@pytest.mark.smoke
@pytest.mark.parametrize("draws", [100, 900, 8100])
def test_weights_are_those_of_arviz(draws):
    rows = np.stack([_pareto(shape, draws, seed) for seed, shape in enumerate([0.2, 0.6, 1.1])])
    rows = np.concatenate([rows, np.random.default_rng(9).normal(0.0, 2.0, (1, draws)) - 300.0])
    found = psis(rows)
    for row, smooth, shape in zip(rows, found.log_weights, found.pareto_k, strict=True):
        expected, k = _arviz(row.copy())
        assert shape == pytest.approx(k, abs=2e-3)
        np.testing.assert_allclose(smooth, expected, atol=5e-3)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9, 1.3])
def test_k_is_the_tails_shape(shape):
    found = psis(_pareto(shape, (60, 10_000))).pareto_k
    # Three hundred ratios tell the shape to about 0.07, drawn a little towards a half; sixty rows average that out.
    assert found.mean() == pytest.approx((300 * shape + 5) / 310, abs=0.03)
    assert found.std() < 1.5 * (1 + shape) / np.sqrt(300)


def test_the_fit_recovers_shape_and_scale():
    uniform = np.random.default_rng(1).uniform(size=(40, 2000))
    for shape, scale in ((-0.3, 2.0), (0.4, 0.1)):
        excess = np.sort(scale * np.expm1(-shape * np.log(uniform)) / shape, axis=1)
        shapes, scales = generalized_pareto(excess)
        assert shapes.mean() == pytest.approx(shape, abs=0.02)
        assert scales.mean() == pytest.approx(scale, rel=0.03)


def test_rows_do_not_know_of_each_other():
    rows = _pareto(0.6, (2, 3, 500))
    together = psis(rows)
    assert together.log_weights.shape == (2, 3, 500)
    alone = psis(rows[1, 2])
    for values, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(values[1, 2], expected, rtol=1e-12)


def test_weights_sum_to_one_in_the_order_of_the_ratios():
    ratios = _pareto(0.8, 3000)
    found = psis(ratios)
    assert np.exp(found.log_weights).sum() == pytest.approx(1.0)
    order = np.argsort(ratios)
    assert (np.diff(found.log_weights[order]) >= -1e-12).all()
    assert 1 < found.ess < 3000


@pytest.mark.parametrize("constant", [0.0, -750.0, 400.0])
def test_equal_ratios_are_left_alone(constant):
    found = psis(np.full(1000, constant))
    np.testing.assert_allclose(np.exp(found.log_weights), 1e-3)
    assert found.ess == pytest.approx(1000)
    assert found.pareto_k == 0
    assert found.log_mean == pytest.approx(constant)
    assert found.log_mean_error == pytest.approx(0.0, abs=1e-6)


def test_draws_without_density_have_no_weight():
    ratios = _pareto(0.3, (2, 1000))
    ratios[0, :100], ratios[0, 100:200], ratios[1] = -np.inf, np.nan, -np.inf
    found = psis(ratios)
    assert (np.exp(found.log_weights[0, :200]) == 0).all()
    assert found.pareto_k[0] < 0.7
    assert found.log_mean[0] == pytest.approx(np.log(0.8 / (1 - 0.3)), abs=0.1)
    assert (found.pareto_k[1], found.ess[1], found.log_mean[1]) == (np.inf, 0.0, -np.inf)


@pytest.mark.parametrize("usable", [1, 3])
def test_a_handful_of_usable_draws_is_no_evidence(usable):
    ratios = np.full(1000, -np.inf)
    ratios[:usable] = np.arange(usable)
    assert psis(ratios).pareto_k == np.inf
    assert psis(np.zeros(10)).pareto_k == np.inf


def test_the_means_error_is_honest():
    """A normal target and a wider proposal: the mean ratio is 1, and its error is as large as is said."""
    draws = 1.3 * np.random.default_rng(3).normal(size=(400, 2000))
    found = psis(-0.5 * draws**2 + 0.5 * (draws / 1.3) ** 2 + np.log(1.3))
    z = found.log_mean / found.log_mean_error
    assert abs(z.mean()) < 0.2
    assert z.std() == pytest.approx(1.0, abs=0.15)


def test_threshold_grows_with_the_draws_up_to_seven_tenths():
    assert [k_threshold(n) for n in (100, 2155, 10**6)] == pytest.approx([0.5, 0.7, 0.7], abs=1e-3)
    assert [tail_length(n) for n in (50, 225, 10_000)] == [10, 45, 300]
