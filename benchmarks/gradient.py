"""The log density's gradient against what this machine allows: `python -m benchmarks.gradient [--lanes 128]`.

Fits of the case study's size, four chains each, in the programs in which a batch runs them: as many fits wide, one program
per core at a time. The ceiling is measured in the same way on the same sizes, and is no bound but what plain XLA gives: one
fused elementwise pass over the media block's array (the saturation's exponential, its derivative, a sum), and the four
matrix products of the windows and of the design, with nothing between them.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.measure import machine
from benchmarks.problem import case_study, spec, training_and_test
from mmm_jax.data.scaling import Scales
from mmm_jax.fitting.density import flat_log_density, padded_target
from mmm_jax.inference.programs import speed_options
from mmm_jax.kernels.numerics import precision_scope

_CHAINS, _FITS = 4, 8
"""As `fit_batch` packs a program on a CPU."""

_STEPS = 400
_REPEATS = 7


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--lanes", type=int, default=128)
    parser.add_argument("--precision", choices=("float32", "float64"), default="float32")
    options = parser.parse_args()
    if options.lanes < _CHAINS * _FITS or options.lanes % (_CHAINS * _FITS):
        parser.error(f"--lanes must be a multiple of a program's, {_CHAINS * _FITS}")
    with precision_scope(options.precision):
        target, active, *_ = padded_target(spec(), training_and_test()[0], Scales.from_panel(training_and_test()[0]))
        data = jax.tree.map(lambda values: jnp.broadcast_to(jnp.asarray(values), (_FITS, *jnp.shape(values))), target)
        flat = 0.1 * jax.random.normal(jax.random.key(0), (_FITS, _CHAINS, active.size)) * jnp.asarray(active)
        gradient = per_lane(_gradient, flat, data, options.lanes)
        floor = {name: per_lane(*part, options.lanes) for name, part in ceiling(target).items()}
    print(f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {case_study()[0]}; {options.precision}, {options.lanes} lanes.\n")
    print("| | us per lane |\n| --- | --- |")
    print(f"| log density and gradient | {gradient:.2f} |")
    for name, value in floor.items():
        print(f"| {name} | {value:.2f} |")
    print(f"| ceiling, their sum | {sum(floor.values()):.2f} |")
    print(f"| gradient over ceiling | {gradient / sum(floor.values()):.2f} |")


def per_lane(step: Callable[[Any, Any], Any], start: Any, data: Any, lanes: int) -> float:
    """Microseconds of wall time per lane and step with all cores at work, the fastest of some repeats.

    Args:
        step: `step(carry, data)`, the next carry.
        start: the first.
        data: what does not change; an argument of the program, as in a batch.
        lanes: in all, a multiple of those of a program.
    """

    def run(carry: Any, data: Any) -> Any:
        return jax.lax.fori_loop(0, _STEPS, lambda _, carry: step(carry, data), carry)

    program = jax.jit(run, compiler_options=speed_options()).lower(start, data).compile()
    programs = lanes // (_CHAINS * _FITS)
    seconds = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in range(_REPEATS):
            began = time.perf_counter()
            list(pool.map(lambda _: jax.block_until_ready(program(start, data)), range(programs)))
            seconds.append(time.perf_counter() - began)
    return 1e6 * min(seconds) / _STEPS / (programs * _CHAINS * _FITS)


def ceiling(target: Any) -> dict[str, tuple[Callable[[Any, Any], Any], Any, Any]]:
    """What the gradient cannot do without, by name: a step, where it starts, and its data."""
    windows, design = target.model.windows, target.model.design
    keys = iter(jax.random.split(jax.random.key(1), 8))
    wide, deep = (jnp.broadcast_to(values, (_FITS, *values.shape)) for values in (windows, design))

    def normal(*shape: int) -> Any:
        return jax.random.normal(next(keys), (_FITS, *shape))

    channels, lags, weeks = windows.shape
    media, slope = normal(channels, _CHAINS, weeks), normal(channels, _CHAINS, 1)

    def elementwise(media: Any, slope: Any) -> Any:
        level = jnp.exp(-slope * media)
        total = ((1.0 - level) / (1.0 + level)).sum(axis=1, keepdims=True)
        return media + 1e-6 * total * level / (1.0 + level) ** 2

    def product(vectors: Any, matrix: Any) -> Any:
        return vectors + 1e-6 * (vectors @ matrix) @ jnp.swapaxes(matrix, -1, -2)

    return {
        "fused elementwise pass": (elementwise, media, slope),
        "products of the windows": (product, normal(channels, _CHAINS, lags), wide),
        "products of the design": (product, normal(_CHAINS, design.shape[0]), deep),
    }


def _gradient(flat: Any, data: Any) -> Any:
    values, slopes = jax.vmap(jax.vmap(jax.value_and_grad(flat_log_density), (0, None)))(flat, data)
    return flat + 1e-9 * (slopes + values[..., None])


if __name__ == "__main__":
    main()
