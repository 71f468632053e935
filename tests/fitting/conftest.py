"""A small fit that the tests of this room share."""

import pytest
from helpers import quick_fit

import mmm_jax as mj


@pytest.fixture(scope="session")
def market() -> mj.synthetic.SyntheticMarket:
    """Ninety weeks, of which the last twelve are held out by the tests that predict."""
    return mj.synthetic.make_market(weeks=90)


@pytest.fixture(scope="session")
def split(market) -> tuple[mj.Panel, mj.Panel]:
    """Training and test panel."""
    return market.panel.split(market.panel.dates[77])


@pytest.fixture(scope="session")
def small_fit(split) -> mj.Fit:
    """A fit of the training panel."""
    return quick_fit(split[0])
