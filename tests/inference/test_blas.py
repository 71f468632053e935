"""The limit on BLAS's threads, which is the whole process's."""

from threading import Event, Thread

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mmm_jax.inference.blas import one_blas_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.smoke
def test_engines_that_overlap_share_the_limit_and_the_last_one_lifts_it():
    inside, leave = Event(), Event()

    def other():
        with one_blas_thread():
            inside.set()
            leave.wait(10)

    with threadpool_limits(2, "blas"):
        before = threads()
        first = one_blas_thread()
        first.__enter__()
        thread = Thread(target=other)
        thread.start()
        assert inside.wait(10)
        assert threads() == {1}
        first.__exit__(None, None, None)
        # The second one still runs.
        assert threads() == {1}
        leave.set()
        thread.join()
        assert threads() == before
