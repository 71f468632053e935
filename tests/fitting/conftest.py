"""A small fit that the tests of this room share."""

import warnings

import pytest

import mmm_jax as mj

SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=4),
    yearly_seasonality=1,
    trend=mj.LinearTrend(),
    likelihood=mj.TruncatedNormal(),
    priors={"saturation_beta": mj.SpendShare(2.0)},
)


def quick_fit(panel: mj.Panel, spec: mj.ModelSpec = SPEC, **settings) -> mj.Fit:
    """A fit of few draws, whose warning that it has not converged is expected."""
    options = {"num_chains": 2, "num_warmup": 100, "num_samples": 60, "progress": False, **settings}
    with warnings.catch_warnings():
        # 120 draws can never have the effective sample size that the diagnostics ask for.
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.fit(panel, spec, **options)


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
