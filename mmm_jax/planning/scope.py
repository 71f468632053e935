"""How plans are computed: in double precision, with linear algebra on one thread, whatever the caller's settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmm_jax.inference.blas import one_blas_thread
from mmm_jax.kernels.numerics import precision_scope


@contextmanager
def planning_scope() -> Iterator[None]:
    """Context of all verbs of the room.

    The solver's matrices are small: threads of BLAS would wait for each other longer than they work, and would decide the
    last digits.
    """
    with precision_scope("float64"), one_blas_thread():
        yield
