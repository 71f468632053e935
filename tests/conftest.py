"""Settings and fixtures of all tests.

Shapes and dtypes are checked at run time in tests only: the hook must stand before the first import of the package. It
covers the rooms that work on arrays; elsewhere beartype cannot read `typing.Self` in class methods, and would refuse bad
input before the package's own errors do.
"""

import jaxtyping

jaxtyping.install_import_hook(
    ["mmm_jax.kernels", "mmm_jax.model.components", "mmm_jax.model.likelihoods", "mmm_jax.model.mmm"], "beartype.beartype"
)

import helpers  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from mmm_jax import ModelSpec, Panel  # noqa: E402
from mmm_jax.kernels.numerics import precision_scope  # noqa: E402

# The `precision` fixture holds for all examples of a test; compilation makes the first example slow.
EXPECTED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("mmm_jax", derandomize=True, deadline=None, max_examples=50, suppress_health_check=EXPECTED)
# For a search after new failures: `pytest --hypothesis-profile=thorough`.
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=EXPECTED)
settings.load_profile("mmm_jax")


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
