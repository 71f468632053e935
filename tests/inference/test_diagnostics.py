"""Diagnostics: each problem is found, named, and says what to do."""

import json

import numpy as np
import pytest

from mmm_jax.errors import ConvergenceWarning
from mmm_jax.inference.convergence import convergence_table, energy_bfmi
from mmm_jax.inference.diagnostics import Diagnostics, diagnose
from mmm_jax.inference.samples import SamplerSettings, Samples

SETTINGS = SamplerSettings(num_chains=4, num_samples=500)


def _diagnose(values, **changes):
    rng = np.random.default_rng(1)
    shape = values.shape[:2]
    stats = {
        "acceptance_rate": np.full(shape, 0.9),
        "diverging": np.zeros(shape, bool),
        "energy": rng.normal(size=shape),
        "lp": np.zeros(shape),
        "n_steps": np.full(shape, 7),
        "step_size": np.full(shape, 0.2),
        "tree_depth": np.full(shape, 3),
    }
    samples = Samples(values, stats | changes, {"sample": 1.0})
    return diagnose({"x": values[..., 0], "y": values[..., 1:]}, samples, SETTINGS, "test")


@pytest.fixture
def independent():
    return np.random.default_rng(0).normal(size=(4, 500, 3))


@pytest.mark.smoke
def test_independent_draws_have_converged(independent):
    found = _diagnose(independent)
    assert found.converged
    assert found.problems == []
    assert found.min_ess_bulk == pytest.approx(2000, rel=0.25)
    assert found.max_rhat < 1.01
    assert found.mean_leapfrogs == 7


def test_a_chain_elsewhere_is_found_and_named(independent):
    independent[2, :, 2] += 3.0
    found = _diagnose(independent)
    assert not found.converged
    assert found.worst == "y[1]"
    with pytest.warns(ConvergenceWarning, match=r"R-hat is .* worst for y\[1\]: the chains disagree.*num_warmup"):
        found.warn()


def test_slow_chains_are_found(independent):
    slow = np.cumsum(independent, axis=1)
    assert any("effective sample size" in problem for problem in _diagnose(slow).problems)


def test_a_parameter_that_never_moves_is_a_problem(independent):
    independent[..., 1] = 5.0
    found = _diagnose(independent)
    assert not found.converged
    assert found.worst == "y[0]"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"diverging": np.arange(2000).reshape(4, 500) < 40}, "40 of 2000 draws diverged.*target_accept"),
        ({"tree_depth": np.full((4, 500), 10)}, "2000 of 2000 trajectories.*tree depth"),
        ({"energy": np.cumsum(np.random.default_rng(0).normal(size=(4, 500)), axis=1)}, "E-BFMI"),
    ],
)
def test_sampler_troubles_are_problems(independent, changes, match):
    with pytest.warns(ConvergenceWarning, match=match):
        _diagnose(independent, **changes).warn()


def test_round_trip_through_json(independent):
    found = _diagnose(independent)
    values = json.loads(json.dumps(found.to_dict()))
    assert values["converged"] is True
    assert Diagnostics.from_dict(values) == found


def test_energy_bfmi_of_independent_energies_is_two():
    energy = np.random.default_rng(0).normal(size=(2, 20_000))
    np.testing.assert_allclose(energy_bfmi(energy), 2.0, rtol=0.05)


def test_table_follows_the_order_of_the_draws(independent):
    slow = np.cumsum(independent[..., :1], axis=1)
    table = convergence_table({"slow": slow[..., 0], "fast": independent[..., 1:]})
    assert int(np.argmin(table["ess_bulk"].to_numpy())) == 0
    assert table.sizes["scalar"] == 3
