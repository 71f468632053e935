"""The engine on targets whose answer is known. Nothing of marketing here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from mmm_jax.errors import SamplingError
from mmm_jax.inference import metric, numpyro_nuts
from mmm_jax.inference.convergence import convergence_table, energy_bfmi
from mmm_jax.inference.lanes import sample, sample_many
from mmm_jax.inference.programs import compilations
from mmm_jax.inference.samples import SamplerSettings

SETTINGS = SamplerSettings(num_chains=4, num_warmup=300, num_samples=1000)
SHORT = SamplerSettings(num_chains=2, num_warmup=100, num_samples=100)
SIZE = 10


def gaussian(flat, data):
    """A Gaussian where data allow it, else no density at all."""
    shifted = flat - data["mean"]
    return jnp.where(data["possible"] > 0, -0.5 * shifted @ data["precision"] @ shifted, jnp.nan)


def long_gaussian(flat, data):
    """The same as a function of its own, whose programs are those of a long vector."""
    return gaussian(flat, data)


def eight_schools(flat, data):
    """Rubin's eight schools, effects standardised: no funnel."""
    location, log_scale, effects = flat[0], flat[1], flat[2:]
    prior = -0.5 * (location / 5.0) ** 2 - 0.5 * (log_scale - 1.0) ** 2 - 0.5 * jnp.sum(effects**2)
    mean = location + jnp.exp(log_scale) * effects
    return prior - 0.5 * jnp.sum(((data["effect"] - mean) / data["error"]) ** 2)


def student(flat, nu):
    """Tails that are heavier than the sampler's momentum."""
    return -0.5 * (nu + 1) * jnp.sum(jnp.log1p(flat**2 / nu))


def kinked(flat, at):
    """A Laplace distribution: the gradient vanishes nowhere."""
    return -jnp.sum(jnp.abs(flat - at))


def hollow(flat, least):
    """A standard normal distribution outside of a disc around 0, where searches start."""
    square = jnp.sum(flat**2)
    return jnp.where(square > least, -0.5 * square, -jnp.inf)


def half(flat, value):
    """No finite density in the half space where half of all starting points lie, and no mode."""
    return jnp.where(flat[0] > 0, -flat[0] - 0.5 * flat[1] ** 2, value)


def _covariance(size=SIZE, condition=1e4, seed=0):
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return rotation @ np.diag(np.geomspace(1.0 / condition, 1.0, size)) @ rotation.T


def _data(covariance, mean=0.0, possible=1.0):
    precision = jnp.asarray(np.linalg.inv(covariance))
    return {"mean": jnp.full(len(covariance), mean), "precision": precision, "possible": jnp.asarray(possible)}


def _three(possible=(1.0, 1.0, 1.0)):
    """Fits of Gaussians with other means and covariances, and their keys."""
    fits = [_data(_covariance(4, 100.0, seed), float(seed), possible[seed]) for seed in range(3)]
    stacked = jax.tree.map(lambda *values: jnp.stack(values), *fits)
    return stacked, jnp.stack([jax.random.fold_in(jax.random.key(1), seed) for seed in range(3)])


def _taken(data, keys, rows):
    return jax.tree.map(lambda values: values[jnp.asarray(rows)], data), keys[jnp.asarray(rows)]


def _assert_mean(values, expected, errors=5.0):
    """The mean of draws (chain, draw, scalar) lies within so many Monte Carlo standard errors."""
    mcse = convergence_table({"x": values})["mcse_mean"].to_numpy()
    assert (np.abs(values.mean((0, 1), dtype=float) - expected) < errors * mcse).all()


def _products(positions, mean):
    """Products of all pairs of coordinates about the mean: their expectations are the covariances."""
    rows, columns = np.triu_indices(positions.shape[2])
    shifted = np.asarray(positions, float) - mean
    return shifted[..., rows] * shifted[..., columns], (rows, columns)


def _assert_gaussian(draws, covariance, mean):
    products, pairs = _products(draws.positions, mean)
    _assert_mean(draws.positions, mean)
    _assert_mean(products, covariance[pairs])


@pytest.mark.smoke
def test_a_badly_conditioned_gaussian_keeps_its_law(precision):
    """Means, covariances, and energies: minus twice the log density is chi-squared with one degree per dimension."""
    covariance, seen = _covariance(), []
    draws = sample(
        gaussian,
        _data(covariance, 2.0),
        SIZE,
        jax.random.key(0),
        SETTINGS,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert draws.positions.dtype == precision
    assert draws.start.startswith("mode found")
    _assert_gaussian(draws, covariance, 2.0)
    square = -2.0 * draws.stats["lp"].astype(float)[..., None]
    _assert_mean(square, SIZE)
    _assert_mean((square - SIZE) ** 2, 2.0 * SIZE)
    # Fresh momenta move the energy by as much as the target does.
    bfmi = energy_bfmi(draws.stats["energy"].astype(float))
    assert ((bfmi > 0.7) & (bfmi < 1.4)).all()
    kinetic = draws.stats["energy"] + draws.stats["lp"]
    assert (kinetic > -1e-4).all()
    assert not draws.stats["diverging"].any()
    assert draws.stats["acceptance_rate"].mean() == pytest.approx(0.8, abs=0.12)
    # Whitened, a trajectory needs a handful of leapfrogs, not the hundreds of the condition number.
    assert draws.stats["n_steps"].mean() < 12
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (5200, 5200)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_a_hierarchy_agrees_with_the_reference_engine():
    data = {
        "effect": jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
        "error": jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
    }
    settings = SamplerSettings(num_chains=4, num_warmup=500, num_samples=2000, target_accept=0.9)
    ours = sample(eight_schools, data, 10, jax.random.key(0), settings).positions
    theirs = numpyro_nuts.sample(eight_schools, data, 10, jax.random.key(1), settings).positions
    for power in (1, 2):
        errors = [convergence_table({"x": draws**power})["mcse_mean"].to_numpy() for draws in (ours, theirs)]
        difference = (ours**power).mean((0, 1)) - (theirs**power).mean((0, 1))
        assert (np.abs(difference) < 4 * np.hypot(*errors)).all()


@pytest.mark.smoke
def test_heavy_tails_keep_their_quantiles():
    draws = sample(student, jnp.array(5.0), 3, jax.random.key(2), SETTINGS).positions
    for level in (0.01, 0.05, 0.25, 0.5, 0.9, 0.99):
        _assert_mean((draws < scipy.stats.t(5).ppf(level)).astype(float), level)


def test_without_a_mode_the_chains_start_from_the_prior():
    """A kink is where a search by gradients cannot arrive; the draws' law is right nonetheless, and progress complete."""
    seen = []
    settings = SamplerSettings(num_chains=3, num_warmup=333, num_samples=1000)
    draws = sample(
        kinked, jnp.array(1.0), 3, jax.random.key(3), settings, progress=lambda done, total: seen.append((done, total))
    )
    assert draws.start.startswith("no mode found")
    assert draws.positions.shape == (3, 1000, 3)
    _assert_mean(draws.positions, 1.0)
    _assert_mean((draws.positions.astype(float) - 1.0) ** 2, 2.0)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (3999, 3999)


def test_a_search_that_starts_where_nothing_is_finite_does_not_count_as_arrived():
    draws = sample(hollow, jnp.array(0.25), 2, jax.random.key(4), SETTINGS)
    assert draws.start.startswith("no mode found")
    square = (draws.positions.astype(float) ** 2).sum(axis=2, keepdims=True)
    assert square.min() > 0.25
    # Beyond the disc the squared radius is exponential, as everywhere.
    _assert_mean(square, 2.25)
    _assert_mean(draws.positions, 0.0)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_starting_points_are_drawn_anew_until_they_are_finite(value):
    draws = sample(half, jnp.asarray(value), 2, jax.random.key(5), SETTINGS).positions
    assert (draws[..., 0] > 0).all()
    _assert_mean(draws, np.array([1.0, 0.0]))


@pytest.mark.usefixtures("float64")
def test_no_finite_start_is_an_error_that_says_what_to_do():
    with pytest.raises(SamplingError, match="No starting point.*priors"):
        sample(gaussian, _data(np.eye(4), possible=0.0), 4, jax.random.key(0), SHORT)


@pytest.mark.usefixtures("float64")
def test_a_fit_that_cannot_start_does_not_touch_the_others():
    first, broken, last = sample_many(gaussian, *_three((1.0, 0.0, 1.0)), SHORT, np.ones((3, 4)))
    assert isinstance(broken, SamplingError)
    whole = sample_many(gaussian, *_three(), SHORT, np.ones((3, 4)))
    for found, expected in zip((first, last), (whole[0], whole[2]), strict=True):
        np.testing.assert_allclose(found.positions, expected.positions, rtol=1e-8, atol=1e-9)
        np.testing.assert_array_equal(found.stats["n_steps"], expected.stats["n_steps"])


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
def test_draws_of_a_fit_do_not_depend_on_the_others():
    data, keys = _three()
    together = sample_many(gaussian, data, keys, SHORT, np.ones((3, 4)))
    before = compilations.count
    again = sample_many(gaussian, data, keys, SHORT, np.ones((3, 4)))
    turned = sample_many(gaussian, *_taken(data, keys, [2, 0, 1]), SHORT, np.ones((3, 4)))
    # The same program with other data and keys; then fewer fits, down to one.
    assert compilations.count == before
    part = sample_many(gaussian, *_taken(data, keys, [0, 1]), SHORT, np.ones((2, 4)))
    alone = sample(gaussian, jax.tree.map(lambda values: values[0], data), 4, keys[0], SHORT)
    assert compilations.count > before
    for found, expected in zip(again, together, strict=True):
        np.testing.assert_array_equal(found.positions, expected.positions)
    pairs = [*zip(turned, (together[2], *together[:2]), strict=True), *zip(part, together[:2], strict=True)]
    for found, expected in [*pairs, (alone, together[0])]:
        np.testing.assert_allclose(found.positions, expected.positions, rtol=1e-8, atol=1e-9)
        for name, values in expected.stats.items():
            np.testing.assert_allclose(found.stats[name], values, rtol=1e-8, atol=1e-9, err_msg=name)
    assert {name: values.shape for name, values in alone.stats.items()} == dict.fromkeys(alone.stats, (2, 100))


@pytest.mark.usefixtures("float64")
def test_another_key_gives_other_draws_without_a_new_program():
    data = _data(_covariance(4, 100.0))
    first = sample(gaussian, data, 4, jax.random.key(8), SHORT)
    before = compilations.count
    other = sample(gaussian, data, 4, jax.random.key(9), SHORT)
    assert compilations.count == before
    assert not np.isclose(first.positions, other.positions, atol=1e-6).any()
    assert not np.isclose(first.positions[0], first.positions[1], atol=1e-6).any()


@pytest.mark.slow
def test_in_single_precision_the_others_do_not_move_the_means():
    data, keys = _three()
    settings = SamplerSettings(num_chains=2, num_warmup=100, num_samples=400)
    together = sample_many(gaussian, data, keys, settings, np.ones((3, 4)))
    part = sample_many(gaussian, *_taken(data, keys, [2, 1]), settings, np.ones((2, 4)))
    for found, expected in zip(part, (together[2], together[1]), strict=True):
        mcse = convergence_table({"x": expected.positions})["mcse_mean"].to_numpy()
        assert (np.abs(found.positions.mean((0, 1)) - expected.positions.mean((0, 1))) < mcse).all()


@pytest.mark.usefixtures("float64")
def test_padding_stays_0_and_does_not_move_the_others():
    covariance = _covariance(4, 100.0)
    padded = np.eye(6)
    padded[:4, :4] = covariance
    active = np.array([1.0] * 4 + [0.0] * 2)
    found = sample(gaussian, _data(padded, 1.0), 6, jax.random.key(6), SHORT, active=active)
    expected = sample(gaussian, _data(covariance, 1.0), 4, jax.random.key(6), SHORT)
    np.testing.assert_array_equal(found.positions[..., 4:], 0.0)
    np.testing.assert_allclose(found.positions[..., :4], expected.positions, rtol=1e-8, atol=1e-9)


def test_long_vectors_take_low_rank_coordinates(monkeypatch):
    made = []

    class Recorded(metric.LowRankWhitening):
        def learned(self, u, slope):
            made.append(type(self))
            return super().learned(u, slope)

    monkeypatch.setattr(metric, "DENSE_UP_TO", 8)
    monkeypatch.setattr(metric, "LowRankWhitening", Recorded)
    covariance = 0.5 * (np.eye(12) + 0.8)
    draws = sample(long_gaussian, _data(covariance, -1.0), 12, jax.random.key(7), SETTINGS)
    assert made
    assert draws.start.startswith("mode found")
    _assert_gaussian(draws, covariance, -1.0)
