"""The log density against the numbers of another implementation, and against NumPyro's view of the same model."""

from dataclasses import replace

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import log_ndtr
from numpyro.distributions import biject_to
from numpyro.infer.util import log_density
from scipy.special import erfc

import mmm_jax as mj
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model
from mmm_jax.model.likelihoods import LIKELIHOODS

_NAMES = {"intercept_contribution": "intercept", "y": "likelihood"}


@pytest.fixture(scope="module")
def points():
    return helpers.load_oracle("case_study_logp.json")


def _model(case_study, spec):
    train, _ = case_study.split(mj.datasets.CASE_STUDY_LAST_TRAINING_DATE)
    return build_model(spec, train, mj.Scales.from_panel(train))


def _params(point):
    return {_NAMES.get(name, name): jnp.asarray(value) for name, value in point["constrained"].items()}


def _rounding_of_the_oracle(model, params) -> float:
    """What the oracle's log density lost: it takes the square root of 2 in float32 within the normal distribution's tail.

    With it in float64 both agree to the last digits; SciPy's `log_ndtr` stands with this package's.
    """
    standardised = np.asarray(model.mean(params) / params["y_sigma"])
    coarse = np.log1p(-erfc(standardised / float(np.float32(np.sqrt(2.0)))) / 2)
    return float(np.sum(np.asarray(log_ndtr(standardised)) - coarse))


@pytest.mark.usefixtures("float64")
def test_scales_equal_the_oracle(case_study, case_study_spec, points):
    model = _model(case_study, case_study_spec)
    np.testing.assert_array_equal(model.channel_scale, points["channel_scale"])
    assert float(model.target_scale) == points["target_scale"]


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
def test_every_term_equals_the_oracle(case_study, case_study_spec, points):
    model = _model(case_study, case_study_spec)
    for point in points["points"]:
        params = _params(point)
        terms = model.log_density_terms(params)
        expected = {_NAMES.get(name, name): value for name, value in point["logp_terms_sum"].items()}
        assert terms.keys() == expected.keys()
        expected["likelihood"] -= _rounding_of_the_oracle(model, params)
        for name, value in expected.items():
            assert float(terms[name]) == pytest.approx(value, abs=1e-8), name
        np.testing.assert_allclose(model.mean(params), point["mu"], atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_total_equals_the_oracle_with_and_without_the_jacobian(case_study, case_study_spec, points):
    model = _model(case_study, case_study_spec)
    for point in points["points"]:
        params = _params(point)
        total = float(model.log_density(params))
        assert total == pytest.approx(point["logp_total_no_jacobian"], rel=1e-8)
        assert total == pytest.approx(point["logp_total_no_jacobian"] - _rounding_of_the_oracle(model, params), abs=1e-8)
        # The oracle samples logarithms and log odds; its Jacobian is NumPyro's for the same supports.
        jacobian = 0.0
        for name, prior in model.priors.items():
            bijection = biject_to(prior.support)
            free = bijection.inv(params[name])
            jacobian += float(jnp.sum(bijection.log_abs_det_jacobian(free, params[name])))
        assert jacobian == pytest.approx(point["logp_total_with_jacobian"] - point["logp_total_no_jacobian"], abs=1e-8)


def test_float32_stays_close_to_the_oracle(case_study, case_study_spec, points):
    with precision_scope("float32"):
        model = _model(case_study, case_study_spec)
        for point in points["points"]:
            assert float(model.log_density(_params(point))) == pytest.approx(point["logp_total_no_jacobian"], abs=1e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("likelihood", [kind() for kind in LIKELIHOODS], ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("trend", [None, mj.LinearTrend(), mj.PiecewiseTrend(3), mj.KnotTrend(4)])
def test_numpyro_model_has_the_same_density(likelihood, trend):
    panel = mj.synthetic.make_market(weeks=60).panel
    panel = replace(panel, target=np.round(panel.target))
    spec = mj.ModelSpec(likelihood=likelihood, trend=trend, yearly_seasonality=1)
    model = build_model(spec, panel, mj.Scales.from_panel(panel))
    for seed in range(3):
        params = model.sample_prior(jax.random.key(seed))
        theirs, _ = log_density(model.numpyro_model(), (), {}, params)
        assert float(model.log_density(params)) == pytest.approx(float(theirs), rel=1e-10)
