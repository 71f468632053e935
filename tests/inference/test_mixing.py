"""R-hat and effective sample sizes against ArviZ and against their laws."""

from importlib.metadata import version

import numpy as np
import pytest
import scipy.signal

from mmm_jax.inference.convergence import convergence_table
from mmm_jax.inference.mixing import mixing

OLD_ARVIZ = version("arviz").startswith("0.")


def _autoregressive(correlation, chains, draws, parameters=3, seed=0):
    """Stationary chains with `x_t = correlation x_(t - 1) + noise` and unit variance."""
    noise = np.random.default_rng(seed).normal(size=(chains, draws + 500, parameters))
    series = scipy.signal.lfilter([np.sqrt(1 - correlation**2)], [1.0, -correlation], noise, axis=1)
    return series[:, 500:]


def _assert_equals_arviz(draws):
    found, expected = mixing(draws), convergence_table({"x": draws})
    if len(draws) > 1:
        # ArviZ gives no R-hat for one chain, whose two halves can be compared nonetheless.
        np.testing.assert_allclose(found.r_hat, expected["r_hat"], rtol=1e-6)
    np.testing.assert_allclose(found.ess_bulk, expected["ess_bulk"], rtol=1e-6)
    if OLD_ARVIZ:
        # ArviZ 1 takes other quantiles for the tails.
        np.testing.assert_allclose(found.ess_tail, expected["ess_tail"], rtol=1e-6)


@pytest.mark.smoke
@pytest.mark.parametrize("correlation", [-0.7, -0.3, 0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(("chains", "draws"), [(4, 500), (2, 1001), (1, 400)])
def test_equals_arviz_on_autoregressive_chains(correlation, chains, draws):
    _assert_equals_arviz(_autoregressive(correlation, chains, draws))


@pytest.mark.parametrize("seed", range(5))
def test_equals_arviz_on_heavy_tails_ties_and_chains_that_disagree(seed):
    rng = np.random.default_rng(seed)
    heavy = rng.standard_t(1.5, size=(4, 300, 2))
    ties = np.round(rng.normal(size=(4, 300, 2)), 1)
    apart = rng.normal(size=(4, 300, 2)) + np.arange(4)[:, None, None] * np.array([0.5, 3.0])
    _assert_equals_arviz(np.concatenate([heavy, ties, apart], axis=2))


@pytest.mark.parametrize("draws", [4, 5, 7, 12])
def test_few_draws_still_give_numbers(draws):
    values = np.random.default_rng(draws).normal(size=(4, draws, 3))
    found, expected = mixing(values), convergence_table({"x": values})
    np.testing.assert_allclose(found.r_hat, expected["r_hat"], rtol=1e-6)
    for sizes in found[1:]:
        assert np.isfinite(sizes).all()
        assert (sizes > 0).all()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_effective_size_of_a_stationary_series_is_that_of_its_law(correlation):
    """`n (1 - rho) / (1 + rho)`, which is `n` for independent draws."""
    draws = _autoregressive(correlation, 4, 5000, parameters=20)
    found = mixing(draws)
    expected = 20_000 * (1 - correlation) / (1 + correlation)
    assert found.ess_bulk.mean() == pytest.approx(expected, rel=0.05)
    assert (found.r_hat < 1.01).all()


def test_independent_draws_have_full_tails():
    found = mixing(_autoregressive(0.0, 4, 5000, parameters=20))
    assert found.ess_tail.mean() == pytest.approx(20_000, rel=0.05)


@pytest.mark.parametrize("kind", ["location", "scale", "drift"])
def test_chains_that_do_not_agree_are_seen(kind):
    draws = _autoregressive(0.3, 4, 1000)
    if kind == "location":
        draws[0] += 1.5
    elif kind == "scale":
        draws[0] *= 5.0
    else:
        # All chains alike, none of them stationary: the two halves differ.
        draws += np.linspace(-2.0, 2.0, 1000)[:, None]
    found = mixing(draws)
    assert (found.r_hat > 1.1).all()
    assert (np.minimum(found.ess_bulk, found.ess_tail) < 200).all()


def test_a_parameter_that_never_moves_has_no_r_hat_and_does_not_touch_the_others():
    draws = _autoregressive(0.5, 4, 200)
    still = np.concatenate([draws, np.full((4, 200, 1), 2.5)], axis=2)
    found, expected = mixing(still), mixing(draws)
    assert np.isnan(found.r_hat[3])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours[:3], theirs)


def test_numbers_do_not_depend_on_units_or_precision():
    draws = _autoregressive(0.5, 4, 400).astype(np.float32)
    found, scaled = mixing(draws), mixing(1e3 * draws.astype(float))
    for ours, theirs in zip(found, scaled, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
