"""What is computed from a fit of 4 x 1000 draws: predictive, contributions, returns, plan."""

import numpy as np
import pytest

import mmm_jax as mj
from benchmarks.problem import spec, training_and_test


@pytest.fixture(scope="module")
def split():
    return training_and_test()


@pytest.fixture(scope="module")
def fit(split):
    return mj.fit(split[0], spec(), num_warmup=500, progress=False)


def test_predictive(benchmark, fit, split):
    benchmark(lambda: fit.predict(split[1], key=1))


def test_contributions(benchmark, fit):
    benchmark(fit.contributions)


def test_marginal_roas(benchmark, fit):
    benchmark(fit.marginal_roas)


def test_response_curves(benchmark, fit):
    benchmark(fit.response_curves)


def test_plan(benchmark, fit, split):
    test = split[1]
    mean = test.spend.mean(axis=1)
    bounds = {name: (0.5 * level, 1.5 * level) for name, level in zip(test.channels, mean, strict=True)}

    def solve():
        return mj.optimize_budget(fit, horizon=test.dates, total=float(np.sum(mean)), bounds=bounds, per="period")

    benchmark(solve)
