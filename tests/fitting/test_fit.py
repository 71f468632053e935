"""The verb `fit`: reproducible, honest about convergence, strict about its arguments."""

import dataclasses
import warnings

import jax
import numpy as np
import pytest
from numpyro.infer import MCMC, NUTS

import mmm_jax as mj
from mmm_jax.errors import PanelError, SpecError
from mmm_jax.inference.convergence import convergence_table
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model

_QUICK = {"num_chains": 2, "num_warmup": 100, "num_samples": 60, "progress": False}


@pytest.mark.smoke
def test_draws_are_labelled_and_inside_their_supports(small_fit):
    tree = small_fit.posterior
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "constant_data"}
    assert tree["posterior"].sizes["chain"] == 2
    assert list(tree["posterior"]["channel"].values) == list(small_fit.panel.channels)
    assert float(tree["posterior"]["adstock_alpha"].min()) > 0
    assert float(tree["posterior"]["adstock_alpha"].max()) < 1
    assert float(tree["posterior"]["y_sigma"].min()) > 0
    assert {values.dtype for values in small_fit.draws.values()} == {np.dtype("float32")}


def test_same_key_same_draws(split, small_fit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        again = mj.fit(split[0], small_fit.spec, key=jax.random.key(0), **_QUICK)
    for name, values in small_fit.draws.items():
        np.testing.assert_array_equal(again.draws[name], values)


def test_too_few_draws_warn(split, small_fit):
    with pytest.warns(mj.ConvergenceWarning, match="effective sample size"):
        fit = mj.fit(split[0], small_fit.spec, key=3, **_QUICK)
    assert not fit.diagnostics.converged
    assert "NOT converged" in repr(fit)


def test_double_precision_is_local(split, small_fit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        fit = mj.fit(split[0], small_fit.spec, precision="float64", **_QUICK)
    assert {values.dtype for values in fit.draws.values()} == {np.dtype("float64")}
    assert fit.predict(split[1])["y"].dtype == np.float64
    assert jax.numpy.zeros(1).dtype == np.float32


def test_frozen_scales_are_used_as_given(split, small_fit):
    """With the earlier fit's scales, a panel with twice the sales has coefficients of about twice the size."""
    train = split[0]
    doubled = mj.Panel(**{f.name: getattr(train, f.name) for f in dataclasses.fields(train)} | {"target": 2 * train.target})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        fit = mj.fit(doubled, small_fit.spec, scales=small_fit.scales, **_QUICK)
    assert fit.scales is small_fit.scales
    total = fit.predict()["mean"].mean()
    assert float(total) == pytest.approx(float(doubled.target.mean()), rel=0.05)


def test_posterior_agrees_with_numpyro_on_the_same_model():
    """The public NumPyro model, sampled by NumPyro's own MCMC, has the same posterior."""
    panel = _narrow(mj.synthetic.make_market(weeks=60).panel)
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3), saturation=mj.NoSaturation())
    ours = mj.fit(panel, spec, num_chains=2, num_warmup=300, num_samples=1600, progress=False)
    with precision_scope("float32"):
        model = build_model(spec, panel, ours.scales)
        sampler = MCMC(NUTS(model.numpyro_model(), dense_mass=True), num_warmup=300, num_samples=1600, progress_bar=False)
        sampler.run(jax.random.key(1))
    theirs = {name: np.asarray(sampler.get_samples()[name])[None] for name in ours.draws}
    mine, other = convergence_table(ours.draws), convergence_table(theirs)
    difference = _means(ours.draws) - _means(theirs)
    error = np.hypot(mine["mcse_mean"].to_numpy(), other["mcse_mean"].to_numpy())
    np.testing.assert_array_less(np.abs(difference), 4.5 * error)


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"engine": "stan"}, SpecError, "engine must be one of lanes, numpyro.*'stan'"),
        ({"precision": "float16"}, SpecError, "precision must be one of float32, float64"),
        ({"num_samples": 2}, SpecError, "num_samples.*at least 4, got 2"),
        ({"num_chains": 0}, SpecError, "num_chains.*at least 1, got 0"),
        ({"num_warmup": 1.5}, SpecError, "num_warmup.*1.5"),
        ({"target_accept": 1.0}, SpecError, "target_accept.*1.0"),
        ({"key": 0.5}, TypeError, "key.*float"),
        ({"key": True}, TypeError, "key.*bool"),
    ],
)
def test_wrong_arguments_are_named(split, settings, error, match):
    with pytest.raises(error, match=match):
        mj.fit(split[0], mj.ModelSpec(), progress=False, **settings)


def test_a_panel_without_target_cannot_be_fitted(split):
    frame = split[0].to_frame().reset_index()
    future = mj.Panel.from_frame(
        frame, date="date", target=None, channels=split[0].channels, controls=split[0].control_names
    )
    with pytest.raises(PanelError, match="without a target"):
        mj.fit(future, mj.ModelSpec(), progress=False)


def test_scales_of_another_panel_are_refused(split):
    scales = mj.Scales(np.ones(3), 1.0, np.zeros(6), np.ones(6))
    with pytest.raises(PanelError, match="3 channels.*7"):
        mj.fit(split[0], mj.ModelSpec(), scales=scales, progress=False)


def _narrow(panel):
    """Two channels and one control: the fewer parameters, the sooner both samplers are done."""
    kept = {"spend": panel.spend[:2], "channels": panel.channels[:2]}
    kept |= {"controls": panel.controls[:1], "control_names": panel.control_names[:1]}
    return mj.Panel(**{field.name: getattr(panel, field.name) for field in dataclasses.fields(panel)} | kept)


def _means(draws):
    return np.concatenate([np.ravel(np.asarray(values, float).mean(axis=(0, 1))) for values in draws.values()])
