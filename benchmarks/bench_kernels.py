"""Kernels and the density's gradient at the case study's size: compile time, first call and steady state apart.

`pytest benchmarks -n 0 --benchmark-only`. Compile seconds stand in each row's `extra_info`.
"""

import time

import jax
import jax.numpy as jnp
import pytest

from benchmarks.problem import training_model
from mmm_jax.fitting.density import flat_log_density, target_of
from mmm_jax.inference.transforms import flat_size
from mmm_jax.kernels.adstock import carry_over, geometric_weights
from mmm_jax.kernels.media import media_effects, media_total
from mmm_jax.kernels.saturation import logistic, logistic_partials


@pytest.fixture(scope="module")
def model():
    return training_model()


def _compiled(benchmark, function, *arguments):
    began = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    benchmark.extra_info["compile_seconds"] = time.perf_counter() - began
    began = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    benchmark.extra_info["first_call_seconds"] = time.perf_counter() - began
    benchmark(lambda: jax.block_until_ready(compiled(*arguments)))


def _media_arguments(model):
    weights = geometric_weights(jnp.full(7, 0.4), 6)
    return model.windows, weights, (jnp.full(7, 2.0), jnp.full(7, 0.1))


def test_carry_over(benchmark, model):
    windows, weights, _ = _media_arguments(model)
    _compiled(benchmark, carry_over, windows, weights)


@pytest.mark.parametrize("rule", ["hand-written", "autodiff"])
def test_media_gradient(benchmark, model, rule):
    windows, weights, parameters = _media_arguments(model)

    def total(weights, parameters):
        if rule == "hand-written":
            return jnp.sum(media_total(logistic_partials, windows, weights, parameters))
        return media_effects(logistic, windows, weights, parameters).sum()

    _compiled(benchmark, jax.value_and_grad(total, argnums=(0, 1)), weights, parameters)


@pytest.mark.parametrize("lanes", [1, 4, 128])
def test_density_gradient(benchmark, model, lanes):
    target = target_of(model)
    flat = 0.1 * jax.random.normal(jax.random.key(0), (lanes, flat_size(target.charts)))
    gradient = jax.vmap(jax.value_and_grad(flat_log_density), (0, None))
    _compiled(benchmark, gradient, flat, target)
    benchmark.extra_info["lanes"] = lanes
