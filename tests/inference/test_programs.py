"""Programs are kept for what they are programs of."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp

from mmm_jax.inference.programs import compilations, compiled
from mmm_jax.kernels.numerics import precision_scope


def _adding(number):
    return jax.jit(lambda x: x + number)


def test_shapes_and_precision_compile_anew_and_values_do_not():
    function, before = _adding(1.0), compilations.count
    for values in (jnp.zeros(3), jnp.ones(3), jnp.ones(3)):
        assert (compiled(function, values)(values) == values + 1.0).all()
    assert compilations.count == before + 1
    compiled(function, jnp.zeros(4))
    with precision_scope("float64"):
        compiled(function, jnp.zeros(3))
    assert compilations.count == before + 3


def test_threads_that_ask_at_once_wait_for_one_compilation():
    function, values, before = _adding(2.0), jnp.zeros(5), compilations.count
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(lambda _: compiled(function, values), range(8)))
    assert compilations.count == before + 1
    assert all(program is found[0] for program in found)


def test_a_new_function_never_gets_the_program_of_one_that_is_gone():
    """Python gives the address of a dead object to the next one."""
    values = jnp.zeros(())
    for number in range(30):
        function = _adding(float(number))
        assert float(compiled(function, values)(values)) == number
        del function
