"""Draws against NumPyro's sampler on the same model, and batches against single fits."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.inference.convergence import convergence_table
from mmm_jax.remarketing import ResponseModel, fit_responses

QUICK = {"num_warmup": 200, "num_samples": 500}


def table(seed=0, rows=200, columns=3):
    """Standardised columns and labels, from coefficients of about 1."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, columns))
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    log_odds = -1.0 + numbers @ np.linspace(1.0, -1.0, columns)
    return numbers, (rng.random(rows) < 1.0 / (1.0 + np.exp(-log_odds))).astype(int)


def reference(numbers, responded, segments=None):
    """The same model as a NumPyro function; of segments, one column of 0 and 1 each."""
    intercept = numpyro.sample("intercept", dist.Normal(0.0, 2.5))
    beta = numpyro.sample("beta", dist.Normal(0.0, 1.0).expand([numbers.shape[1]]).to_event(1))
    log_odds = intercept + numbers @ beta
    if segments is not None:
        spread = numpyro.sample("intercept_eta", dist.HalfNormal(1.0))
        eps = numpyro.sample("intercept_eps", dist.Normal(0.0, 1.0).expand([segments.shape[1]]).to_event(1))
        log_odds += segments @ (spread * eps)
    numpyro.sample("response", dist.Bernoulli(logits=log_odds), obs=responded)


def drawn_by_numpyro(*arguments):
    """Draws of the reference, shape (chain, draw, ...)."""
    kernel = numpyro.infer.NUTS(reference, target_accept_prob=0.9)
    sampler = numpyro.infer.MCMC(
        kernel, num_warmup=500, num_samples=1000, num_chains=4, chain_method="vectorized", progress_bar=False
    )
    sampler.run(jax.random.key(1), *(jnp.asarray(values) for values in arguments))
    return {name: np.asarray(values) for name, values in sampler.get_samples(group_by_chain=True).items()}


def check_same(found, expected):
    """Means and deviations agree within four Monte Carlo errors."""
    for name, values in expected.items():
        ours, theirs = np.asarray(found[name], float), np.asarray(values, float)
        error = np.hypot(*(convergence_table({name: draws})["mcse_mean"].to_numpy() for draws in (ours, theirs)))
        difference = (ours.mean((0, 1)) - theirs.mean((0, 1))).ravel()
        assert (np.abs(difference) < 4.0 * error).all(), name
        np.testing.assert_allclose(ours.std((0, 1)), theirs.std((0, 1)), rtol=0.15)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_draws_are_those_of_numpyro(precision):
    numbers, responded = table()
    model = ResponseModel(precision=precision).fit(numbers, responded)
    assert model.diagnostics.converged
    assert model.draws_["beta"].dtype == precision
    check_same(model.draws_, drawn_by_numpyro(numbers, responded))


def test_partially_pooled_draws_are_those_of_numpyro():
    numbers, responded = table(rows=300)
    segment = np.random.default_rng(5).integers(0, 6, 300)
    responded = np.where((segment == 0) & (np.arange(300) % 2 == 0), 1, responded)
    frame = pd.DataFrame(numbers, columns=list("abc")).assign(country=[f"country {number}" for number in segment])
    model = ResponseModel(segment="country", target_accept=0.95).fit(frame, responded)
    assert model.diagnostics.converged
    check_same(model.draws_, drawn_by_numpyro(numbers, responded, np.eye(6)[segment]))


def test_a_horseshoe_keeps_what_matters_and_shrinks_the_rest():
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(300, 8))
    responded = rng.random(300) < 1.0 / (1.0 + np.exp(1.0 - 2.0 * numbers[:, 0]))
    options = {"num_samples": 500, "target_accept": 0.95}
    priors = {"normal": None, "horseshoe": mj.RegularizedHorseshoe(1.0, slab_scale=2.0)}
    sizes = {
        name: np.abs(ResponseModel(prior=prior, **options).fit(numbers, responded).draws_["beta"]).mean((0, 1))
        for name, prior in priors.items()
    }
    assert sizes["horseshoe"][0] > 1.5
    assert sizes["horseshoe"][1:].mean() < 0.6 * sizes["normal"][1:].mean()


def test_a_batch_has_the_numbers_of_single_fits():
    # Two of one padded shape, one of other rows, one of other columns.
    tables = {"a": table(0), "b": table(1, rows=190), "c": table(2, rows=420), "d": table(3, columns=9)}
    model = ResponseModel(key=7, **QUICK)
    together = fit_responses(tables, model, progress=False)
    assert list(together) == list(tables)
    for name, (numbers, responded) in tables.items():
        alone = ResponseModel(key=7, **QUICK).fit(numbers, responded)
        for parameter, values in alone.draws_.items():
            np.testing.assert_array_equal(values, together[name].draws_[parameter])
    assert not hasattr(model, "draws_")


def test_the_key_decides_the_draws():
    numbers, responded = table()
    first, again, other = (ResponseModel(key=key, **QUICK).fit(numbers, responded).draws_["beta"] for key in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_quick_look_is_close_to_the_sample():
    numbers, responded = table()
    sampled = ResponseModel().fit(numbers, responded)
    with pytest.warns(mj.ApproximationWarning):
        looked = ResponseModel(engine="laplace").fit(numbers, responded)
    assert looked.diagnostics.converged
    difference = looked.draws_["beta"].mean((0, 1)) - sampled.draws_["beta"].mean((0, 1))
    np.testing.assert_array_less(np.abs(difference), 0.15 * sampled.draws_["beta"].std((0, 1)))
    with pytest.warns(mj.ApproximationWarning, match="2 of 2 fits can be believed"):
        fit_responses({"a": table(0), "b": table(1)}, ResponseModel(engine="laplace"), progress=False)


def test_fits_that_have_not_converged_are_named():
    with pytest.warns(mj.ConvergenceWarning, match=r"1 of 1 fits have not converged: 'a'\. Of 'a': .*Raise num_"):
        fit_responses({"a": table()}, ResponseModel(num_chains=2, num_warmup=50, num_samples=20), progress=False)
    with pytest.warns(mj.ConvergenceWarning, match="The fit has not converged"):
        ResponseModel(num_chains=2, num_warmup=50, num_samples=20).fit(*table())


def test_an_unusable_table_is_named():
    numbers, _ = table()
    with pytest.raises(mj.BatchError, match=r"The table 'b' cannot be fitted\. .*has only one class: 1 in all 200 rows"):
        fit_responses({"a": table(), "b": (numbers, np.ones(200, int))}, progress=False)
