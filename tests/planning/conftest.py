"""Fixtures of the planning room."""

from collections.abc import Callable

import pytest
from planning.fits import fit_from_prior, planned_rows

import mmm_jax as mj


@pytest.fixture(scope="session")
def make_fit() -> Callable[..., mj.Fit]:
    """Fits by the name of their spec, see `planning.fits`."""
    return fit_from_prior


@pytest.fixture(scope="session")
def rows() -> mj.Panel:
    """The weeks to plan."""
    return planned_rows()
