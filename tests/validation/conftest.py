"""What the tests of this room share."""

import pytest
from validation.slices import calibrated, small_market, validated

import mmm_jax as mj


@pytest.fixture(scope="session")
def panel() -> mj.Panel:
    """79 weeks: two folds of six test rows, and one row left."""
    return small_market()


@pytest.fixture(scope="session")
def cv(panel) -> mj.CrossValidation:
    """The two folds."""
    return validated(panel)


@pytest.fixture(scope="session")
def calibration() -> mj.Calibration:
    """Sixteen simulations."""
    return calibrated()
