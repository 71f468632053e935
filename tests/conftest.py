"""Settings and fixtures of all tests.

Shapes and dtypes are checked at run time in tests only: the hook must stand before the first import of the package. It
covers the rooms that work on arrays; elsewhere beartype cannot read `typing.Self` in class methods, and would refuse bad
input before the package's own errors do.
"""

import jaxtyping

jaxtyping.install_import_hook(
    [
        "mmm_jax.kernels",
        "mmm_jax.model.components",
        "mmm_jax.model.experiments",
        "mmm_jax.model.likelihoods",
        "mmm_jax.model.mmm",
        "mmm_jax.model.trends",
    ],
    "beartype.beartype",
)

import gc  # noqa: E402
import os  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import helpers  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from mmm_jax import ModelSpec, Panel, use_compilation_cache  # noqa: E402
from mmm_jax.inference import programs  # noqa: E402
from mmm_jax.kernels.numerics import precision_scope  # noqa: E402

# The `precision` fixture holds for all examples of a test; compilation makes the first example slow.
EXPECTED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("mmm_jax", derandomize=True, deadline=None, max_examples=50, suppress_health_check=EXPECTED)
# For a search after new failures: `pytest --hypothesis-profile=thorough`.
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=EXPECTED)
settings.load_profile("mmm_jax")


PROGRAMS = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config):
    """Compiled programs are kept on disk while the tests run: the workers, and the processes that tests start, share them.

    A developer who names a folder in the environment keeps them from run to run.
    """
    if PROGRAMS not in os.environ:
        config.programs = tempfile.TemporaryDirectory(prefix="mmm_jax-programs-", ignore_cleanup_errors=True)
        os.environ[PROGRAMS] = config.programs.name
    use_compilation_cache()


def pytest_unconfigure(config):
    """Nothing is left of the run's own folder."""
    if hasattr(config, "programs"):
        del os.environ[PROGRAMS]
        config.programs.cleanup()


MOST_MAPPINGS = 12_000
"""Memory mappings of a process beyond which its compiled programs are forgotten: every program has several, and Linux ends
a process that asks for more than 65,530, in the middle of a compilation."""


@pytest.fixture(autouse=True, scope="module")
def programs_forgotten():
    """Programs of earlier modules do not pile up until the process dies of them."""
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > MOST_MAPPINGS:
        programs.forget()
        jax.clear_caches()
        gc.collect()


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """The test runs in both precisions; its arrays must come from JAX's own default dtype."""
    with precision_scope(request.param):
        yield request.param


@pytest.fixture
def float64():
    """The test runs in double precision."""
    with precision_scope("float64"):
        yield


@pytest.fixture(scope="session")
def case_study() -> Panel:
    """The case study's 209 weeks; skips where the data is absent."""
    return helpers.case_study_panel()


@pytest.fixture(scope="session")
def case_study_spec() -> ModelSpec:
    """The case study's model."""
    return helpers.case_study_spec()
