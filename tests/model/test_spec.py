"""The spec: an immutable value that survives JSON, and refuses what it does not know."""

import itertools
import json

import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.errors import SpecError
from mmm_jax.inference.half_student import HalfStudentT
from mmm_jax.inference.transforms import CHARTS
from mmm_jax.model.components import ADSTOCKS, SATURATIONS
from mmm_jax.model.likelihoods import LIKELIHOODS
from mmm_jax.model.priors import FAMILIES, prior_from_dict, prior_to_dict

_PRIORS = [
    dist.Beta(2.0, 5.0),
    dist.Cauchy(0.0, 1.0),
    dist.Exponential(2.0),
    dist.Gamma(3.0, 1.0),
    dist.HalfCauchy(1.0),
    dist.HalfNormal(0.5),
    dist.InverseGamma(3.0, 1.0),
    dist.Laplace(0.0, 1.0),
    dist.LogNormal(0.0, 1.0),
    dist.Normal(0.2, 0.05),
    dist.StudentT(3.0, 0.0, 1.0),
    dist.Uniform(0.0, 2.0),
]


def _adstock(kind):
    return kind() if kind is mj.NoAdstock else kind(l_max=4, normalize=False)


@pytest.mark.smoke
@pytest.mark.parametrize(("adstock", "saturation"), list(itertools.product(ADSTOCKS, SATURATIONS)))
def test_every_choice_survives_json(adstock, saturation):
    for likelihood, trend in itertools.product(LIKELIHOODS, (None, mj.LinearTrend(), mj.PiecewiseTrend(7), mj.KnotTrend(4))):
        spec = mj.ModelSpec(
            adstock=_adstock(adstock),
            saturation=saturation(),
            adstock_first=False,
            yearly_seasonality=3,
            trend=trend,
            likelihood=likelihood(),
            priors={"intercept": dist.Normal(0.2, 0.05)},
            standardize_controls=True,
        )
        restored = mj.ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert restored == spec
        assert restored.content_hash() == spec.content_hash()
        assert restored.all_priors().keys() == spec.all_priors().keys()


def test_test_covers_every_family_and_every_family_has_a_chart():
    # The half-Student-t is what the horseshoe's rule makes; nobody states it.
    assert {type(prior) for prior in _PRIORS} == set(FAMILIES.values()) == set(CHARTS) - {HalfStudentT}


@pytest.mark.parametrize("prior", [*_PRIORS, mj.SpendShare(0.5), dist.HalfNormal(np.array([0.1, 0.2]))])
def test_priors_survive_json(prior):
    values = json.loads(json.dumps(prior_to_dict(prior)))
    assert prior_to_dict(prior_from_dict("x", values)) == values


def test_different_choices_have_different_hashes():
    specs = [
        mj.ModelSpec(),
        mj.ModelSpec(yearly_seasonality=1),
        mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4)),
        mj.ModelSpec(priors={"intercept": dist.Normal(0.0, 1.0)}),
        mj.ModelSpec(priors={"intercept": dist.Normal(0.0, 1.5)}),
    ]
    assert len({spec.content_hash() for spec in specs}) == len(set(specs)) == len(specs)


def test_equal_choices_have_equal_hashes():
    whole, real = (mj.ModelSpec(likelihood=mj.TruncatedNormal(lower=lower)) for lower in (0, 0.0))
    assert whole == real
    assert whole.content_hash() == real.content_hash()
    with pytest.raises(SpecError, match="SpendShare.scale must be positive, got -1"):
        mj.SpendShare(-1.0)


def test_the_spec_cannot_be_changed():
    spec = mj.ModelSpec()
    with pytest.raises(AttributeError):
        spec.yearly_seasonality = 3
    with pytest.raises(TypeError):
        spec.priors["intercept"] = dist.Normal(0.0, 1.0)


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        ({"adstock": "geometric"}, "ModelSpec.adstock must be one of GeometricAdstock.*'geometric'"),
        ({"likelihood": None}, "ModelSpec.likelihood must be one of Normal"),
        ({"yearly_seasonality": -1}, "yearly_seasonality.*-1"),
        ({"yearly_seasonality": 2.5}, "yearly_seasonality.*2.5"),
        ({"priors": {"beta": dist.HalfNormal(1.0)}}, "names 'beta'.*saturation_beta"),
        ({"priors": {"intercept": 0.2}}, "prior of 'intercept'.*float"),
        ({"priors": {"intercept": dist.Poisson(3.0)}}, "prior of 'intercept'.*Poisson"),
        ({"priors": {"intercept": dist.Uniform(2.0, 1.0)}}, "'intercept', Uniform: low must be below high"),
        ({"priors": {"gamma_fourier": dist.Normal(0.0, 1.0)}}, "names 'gamma_fourier'"),
    ],
)
def test_contradictory_choices_are_named(choices, match):
    with pytest.raises(SpecError, match=match):
        mj.ModelSpec(**choices)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"adstok": {}}, "no field 'adstok'"),
        ({"schema_version": 99}, "schema_version 99"),
        ({"adstock": {"kind": "Geometric", "l_max": 3}}, "ModelSpec.adstock names the kind 'Geometric'"),
        ({"adstock": {"kind": "GeometricAdstock", "lmax": 3}}, "ModelSpec.adstock, GeometricAdstock"),
        ({"adstock": {"kind": "GeometricAdstock", "l_max": 0}}, "l_max must be at least 1"),
        ({"trend": {"kind": "PiecewiseTrend", "num_changepoints": 0}}, "num_changepoints"),
        ({"adstock": {"kind": "LogisticSaturation"}}, "ModelSpec.adstock must be one of"),
        ({"priors": {"intercept": {"dist": "Nrmal", "loc": 0.0}}}, "'intercept'.*'Nrmal'.*Normal"),
        ({"priors": {"intercept": {"dist": "Normal", "mu": 0.0}}}, "'intercept'.*no argument 'mu'.*loc, scale"),
        ({"priors": {"intercept": {"dist": "Normal", "loc": 0.0, "scale": -1.0}}}, "'intercept', Normal"),
    ],
)
def test_wrong_plain_values_are_named(change, match):
    values = mj.ModelSpec().to_dict() | change
    with pytest.raises(SpecError, match=match):
        mj.ModelSpec.from_dict(values)


def test_prior_of_the_wrong_shape_names_the_parameter():
    panel = mj.synthetic.make_market(weeks=60).panel
    spec = mj.ModelSpec(priors={"saturation_beta": dist.HalfNormal(np.ones(3))})
    with pytest.raises(SpecError, match=r"'saturation_beta'.*\(3,\).*\(channel: 7\)"):
        mj.fit(panel, spec, progress=False)


def test_spend_share_follows_the_panel():
    panel = mj.synthetic.make_market(weeks=60).panel
    scale = mj.SpendShare(2.0).resolve(panel.spend).scale
    np.testing.assert_allclose(scale, 2.0 * panel.spend.sum(axis=1) / panel.spend.sum(), rtol=1e-6)


def test_gamma_from_moments():
    prior = mj.gamma_from_moments(3.0, 0.5)
    assert float(prior.mean) == pytest.approx(3.0)
    assert float(prior.variance) == pytest.approx(0.25)
