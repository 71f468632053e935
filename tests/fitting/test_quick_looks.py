"""Quick looks through `fit` and `fit_batch`: never silent, the same numbers in any company, in every store."""

import hashlib
import json
import re
import warnings
from dataclasses import replace
from functools import cache

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.errors import ApproximationWarning, ConvergenceWarning, SpecError, StoreError
from mmm_jax.fitting.density import flat_log_density, padded_target, padding_log_density, target_of
from mmm_jax.fitting.engines import ChosenEngine
from mmm_jax.fitting.jobs import Request
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics, diagnostics_from_dict
from mmm_jax.inference.convergence import convergence_table, stacked
from mmm_jax.inference.samples import SamplerSettings
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model

SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), saturation=mj.NoSaturation())
"""Without a saturation, whose two parameters lie along a ridge, the posterior is nearly normal."""

OPTIONS = {"num_chains": 2, "num_samples": 500, "progress": False}

quiet = pytest.mark.filterwarnings(
    "ignore::mmm_jax.errors.ConvergenceWarning", "ignore::mmm_jax.errors.ApproximationWarning"
)


@cache
def market(seed: int = 1) -> mj.Panel:
    panel = mj.synthetic.make_market(seed=seed, weeks=104).panel
    return replace(panel, spend=panel.spend[:2], channels=panel.channels[:2], controls=panel.controls[:1],
                   control_names=panel.control_names[:1])  # fmt: skip


@cache
def looked(engine: str) -> mj.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ApproximationWarning)
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.fit(market(), SPEC, engine=engine, **OPTIONS)


@cache
def sampled() -> mj.Fit:
    with warnings.catch_warnings():
        # Whether the short reference mixed as well as a user wants is not the question: its own error is counted.
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.fit(market(), SPEC, num_chains=4, num_samples=500, progress=False)


@cache
def batch() -> mj.Batch:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ApproximationWarning)
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.fit_batch({f"m{seed}": market(seed) for seed in range(3)}, SPEC, engine="laplace", key=3, **OPTIONS)


def draws(fit: mj.Fit) -> np.ndarray:
    return stacked(fit.draws)


@pytest.mark.smoke
def test_a_quick_look_says_what_it_is():
    with pytest.warns(ApproximationWarning, match=r"quick look by 'laplace', not a sample.*k-hat is 0\.\d\d \(below 0.70\)"):
        fit = mj.fit(market(), SPEC, engine="laplace", **OPTIONS)
    found = fit.diagnostics
    assert found.converged
    assert found.num_proposals == 4000
    assert "approximation, k-hat" in repr(fit)
    assert set(fit.sample_stats) == {"lp", "log_weight"}
    assert np.isnan(found.max_rhat)
    table = fit.summary()
    assert {"pareto_k", "importance_ess", "mcse_mean"} <= set(table.columns)
    assert "r_hat" not in table.columns
    assert found.wall_seconds["total"] >= found.wall_seconds["compile"]


@pytest.mark.parametrize("engine", ["laplace", "svi"])
def test_where_k_is_good_it_agrees_with_the_sampler(engine):
    fit = looked(engine)
    assert fit.diagnostics.pareto_k < 0.75
    reference = sampled()
    expected = draws(reference).mean((0, 1))
    error = convergence_table(reference.draws)["mcse_mean"].to_numpy()
    # Draws were resampled once more, from weights of this effective size.
    own = draws(fit).std((0, 1)) * np.sqrt(1 / fit.diagnostics.importance_ess + 1 / 1000)
    np.testing.assert_array_less(np.abs(draws(fit).mean((0, 1)) - expected), 5 * np.hypot(error, own))
    ours, theirs = (mj.interval(one.roas()) for one in (fit, reference))
    np.testing.assert_array_less(np.abs(ours["mean"] - theirs["mean"]), 0.25 * theirs["sd"])
    np.testing.assert_allclose(ours["sd"], theirs["sd"], rtol=0.25)


@pytest.mark.parametrize("engine", ["laplace", "svi"])
@pytest.mark.parametrize("name", ["fit.zarr", "fit.nc"])
def test_round_trip(tmp_path, engine, name):
    fit = looked(engine)
    fit.save(tmp_path / name)
    loaded = mj.Fit.load(tmp_path / name)
    assert loaded.diagnostics == fit.diagnostics
    assert isinstance(loaded.diagnostics, ApproximationDiagnostics)
    np.testing.assert_array_equal(loaded.sample_stats["log_weight"], fit.sample_stats["log_weight"])
    assert loaded.predict(key=1).identical(fit.predict(key=1))


@quiet
def test_draws_do_not_depend_on_order_or_company():
    alone = mj.fit_batch({"m1": market(1)}, SPEC, engine="laplace", key=3, **OPTIONS)
    turned = mj.fit_batch({f"m{k}": market(k) for k in (2, 1)}, SPEC, engine="laplace", key=3, chunk_size=1, **OPTIONS)
    for other in (alone, turned):
        np.testing.assert_array_equal(draws(other["m1"]), draws(batch()["m1"]))
        assert other["m1"].diagnostics.pareto_k == batch()["m1"].diagnostics.pareto_k
    assert not np.array_equal(draws(batch()["m1"]), draws(batch()["m2"]))


@quiet
def test_a_batchs_store_keeps_quick_looks_and_resumes(tmp_path):
    panels = {f"m{seed}": market(seed) for seed in range(3)}
    mj.fit_batch({"m0": panels["m0"]}, SPEC, engine="laplace", key=3, store=tmp_path / "fits", **OPTIONS)
    mj.fit_batch(panels, SPEC, engine="laplace", key=3, store=tmp_path / "fits", **OPTIONS)
    again = mj.Batch.open(tmp_path / "fits")
    assert again.status == batch().status
    assert again["m2"].diagnostics.pareto_k == batch()["m2"].diagnostics.pareto_k
    np.testing.assert_array_equal(draws(again["m2"]), draws(batch()["m2"]))
    table = again.summary()
    assert (table["pareto_k"] < 1).all()
    assert np.isfinite(table["log_evidence"]).all()
    for engine in ("lanes", "svi"):
        with pytest.raises(StoreError, match="another fit under the name 'm0'"):
            mj.fit_batch(panels, SPEC, engine=engine, key=3, store=tmp_path / "fits", **OPTIONS)


def test_a_batch_of_quick_looks_says_so_once():
    with pytest.warns(ApproximationWarning, match="quick looks by 'laplace'.*of 1 fits") as caught:
        mj.fit_batch({"m1": market(1)}, SPEC, engine="laplace", key=3, **OPTIONS)
    assert sum(issubclass(one.category, ApproximationWarning) for one in caught) == 1


@quiet
@pytest.mark.smoke
def test_the_evidence_ranks_specs_before_one_is_sampled():
    """Two thirds of this target's variance is a yearly wave: the spec that has one is ahead."""
    days = market().day_of_year / 365.25
    target = market().target * (1.0 + 0.3 * np.sin(2 * np.pi * days))
    panel = replace(market(), target=target)
    specs = {f"waves {n}": replace(SPEC, yearly_seasonality=n) for n in (0, 1)}
    found = mj.fit_batch(dict.fromkeys(specs, panel), specs, engine="laplace", **OPTIONS).summary()
    assert found.loc["waves 1", "log_evidence"] > found.loc["waves 0", "log_evidence"] + 10


def test_padding_has_no_part_in_the_evidence():
    """At 0 the padded density and that of the model as it is differ by what is taken off."""
    full = mj.synthetic.make_market(seed=1, weeks=90).panel
    panel = replace(full, spend=full.spend[:3], channels=full.channels[:3])
    spec = mj.ModelSpec(yearly_seasonality=1, priors={"saturation_beta": dist.Gamma(3.0, 1.0)})
    scales = mj.Scales.from_panel(panel)
    with precision_scope("float64"):
        target, active, *_ = padded_target(spec, panel, scales)
        plain = target_of(build_model(spec, panel, scales))
        assert 0 < active.sum() < len(active)
        density = jax.jit(flat_log_density)
        padded = density(jax.numpy.zeros(len(active)), target) - padding_log_density(target, active)
        expected = density(jax.numpy.zeros(int(active.sum())), plain)
    assert float(padded) == pytest.approx(float(expected), rel=1e-10)


def test_a_fits_fingerprint_has_its_engine_and_that_of_lanes_is_as_it_was():
    settings = SamplerSettings()
    lanes, laplace, svi, other = (
        Request("m", market(), SPEC, None, jax.random.key(0), settings, "float32", engine).fingerprint()
        for engine in (
            ChosenEngine("lanes"),
            ChosenEngine("laplace"),
            ChosenEngine("svi", mj.SVI()),
            ChosenEngine("svi", mj.SVI(num_steps=50)),
        )
    )
    assert len({lanes, laplace, svi, other}) == 4
    key = jax.random.key_data(jax.random.key(0)).tolist()
    parts = [SPEC.content_hash(), market().fingerprint(), None, key, vars(settings), "float32"]
    assert lanes == hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"engine": "stan"}, r"engine must be one of lanes, laplace, svi(, ray)?, or an SVI\(...\); got 'stan'"),
        ({"engine": "numpyro"}, "one of lanes, laplace, svi"),
        ({"engine": "laplace", "num_warmup": 100}, "num_warmup means nothing to the engine 'laplace'"),
    ],
)
def test_wrong_arguments_are_named(given, words):
    with pytest.raises(SpecError, match=words):
        mj.fit_batch({"m": market()}, SPEC, progress=False, **given)


def _diagnostics(**changes) -> ApproximationDiagnostics:
    values = {"pareto_k": 0.4, "importance_ess": 900.0, "num_proposals": 8000, "log_evidence": 1.0, "num_chains": 4}
    more = {"log_evidence_error": 0.1, "num_samples": 500, "engine": "laplace", "start": "mode found"}
    return ApproximationDiagnostics(**{**values, **more, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pareto_k": 0.9}, r"k-hat is 0.90 \(below 0.70\).*Sample it instead"),
        ({"pareto_k": np.nan}, "not to be believed.*k-hat is nan"),
        ({"pareto_k": np.inf}, "k-hat is inf"),
        ({"pareto_k": np.inf, "arrived": False}, "mode did not arrive"),
        ({"importance_ess": 300.0}, r"is 300 \(at least 400\). Raise num_samples"),
        ({"pareto_k": 0.9, "elbo_settled": False}, "still rising: raise num_steps"),
    ],
)
def test_troubles_are_problems(changes, words):
    found = _diagnostics(**changes)
    assert not found.converged
    with pytest.warns() as caught:
        found.warn()
    assert {one.category for one in caught} == {ApproximationWarning, ConvergenceWarning}
    assert re.search(words, " ".join(str(one.message) for one in caught))


def test_diagnostics_of_either_kind_come_back_from_json():
    for found in (_diagnostics(), _diagnostics(pareto_k=np.inf, elbo_first=1.0, elbo_last=2.0, elbo_settled=True)):
        assert diagnostics_from_dict(json.loads(json.dumps(found.to_dict()))) == found
