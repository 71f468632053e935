"""What the draws say, against naive NumPy readings of section 10 of the maths."""

from dataclasses import replace

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax.analysis import draws as chunks
from mmm_jax.fitting.posterior import Fit
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model

_DRAWS = 6


def prior_fit(panel: mj.Panel, spec: mj.ModelSpec) -> Fit:
    """A fit whose draws come from the prior: laws hold for any draws."""
    scales = mj.Scales.from_panel(panel)
    with precision_scope("float64"):
        model = build_model(spec, panel, scales)
        found = jax.vmap(model.sample_prior)(jax.random.split(jax.random.key(0), 2 * _DRAWS))
    draws = {name: np.asarray(found[name]).reshape(2, _DRAWS, *found[name].shape[1:]) for name in spec.parameter_dims}
    quality = Diagnostics(1.0, 1e3, 1e3, 0, 1.0, 0, 0.9, 7.0, (0.1, 0.1), 2, _DRAWS, "none", "prior")
    return Fit(spec, panel, scales, draws, {"diverging": np.zeros((2, _DRAWS), bool)}, quality, "float64")


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=70).panel


def _spec(likelihood, **choices):
    return mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4),
        yearly_seasonality=2,
        trend=mj.PiecewiseTrend(2),
        likelihood=likelihood,
        priors={"saturation_beta": mj.SpendShare(), "y_sigma": mj.gamma_from_moments(0.1, 0.02)},
        **choices,
    )


@pytest.fixture(scope="module")
def additive(panel):
    return prior_fit(panel, _spec(mj.TruncatedNormal()))


@pytest.fixture(scope="module")
def multiplicative(panel):
    return prior_fit(panel, _spec(mj.LogNormal()))


@pytest.fixture(scope="module")
def counts(panel):
    spec = mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4), likelihood=mj.NegativeBinomial(), priors={"saturation_beta": mj.SpendShare()}
    )
    return prior_fit(replace(panel, target=np.round(panel.target)), spec)


def _total(contributions):
    members = ("channel", "control")
    parts = [part.sum([dim for dim in part.dims if dim in members]) for part in contributions.data_vars.values()]
    return sum(parts[1:], start=parts[0]).transpose("chain", "draw", "date")


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["additive", "multiplicative", "counts"])
def test_contributions_sum_to_the_mean(name, request):
    fit = request.getfixturevalue(name)
    contributions = fit.contributions()
    np.testing.assert_allclose(_total(contributions), fit.predict()["mean"], rtol=1e-9, atol=1e-6 * fit.scales.target)
    assert ("interaction" in contributions) == (name != "additive")


def _naive_effects(fit, chain, draw, spend):
    """Effect of each channel per period, scaled: loops over the maths."""
    effects = np.zeros(spend.shape)
    for c, scale in enumerate(fit.scales.channel):
        alpha, lam, beta = (fit.draws[k][chain, draw, c] for k in ("adstock_alpha", "saturation_lam", "saturation_beta"))
        weights = helpers.geometric_weights(alpha, 4)
        effects[c] = helpers.logistic(helpers.adstock(spend[c] / scale, weights / weights.sum()), lam, beta)
    return effects


def test_roas_against_loops(additive, panel):
    rows = (panel.dates >= np.datetime64("2015-01-01")) & (panel.dates <= np.datetime64("2015-06-30"))
    window = {"start": "2015-01-01", "end": "2015-06-30"}
    simple, extra, marginal = additive.roas(**window), additive.incremental_roas(**window), additive.marginal_roas(**window)
    tail = np.zeros((7, 3))
    for chain, draw in [(0, 0), (1, 3)]:
        now = _naive_effects(additive, chain, draw, np.hstack([panel.spend, tail]))
        total = panel.spend[:, rows].sum(axis=1)
        unit = additive.scales.target
        np.testing.assert_allclose(simple[chain, draw], unit * now[:, :70][:, rows].sum(axis=1) / total, rtol=1e-9)
        without = _naive_effects(additive, chain, draw, np.hstack([np.where(rows, 0.0, panel.spend), tail]))
        np.testing.assert_allclose(extra[chain, draw], unit * (now - without).sum(axis=1) / total, rtol=1e-8)
        more = _naive_effects(additive, chain, draw, np.hstack([np.where(rows, 1.01, 1.0) * panel.spend, tail]))
        np.testing.assert_allclose(marginal[chain, draw], unit * (more - now).sum(axis=1) / (0.01 * total), rtol=1e-6)


def test_the_tail_after_the_last_row_counts(additive, panel):
    """Over all rows, incremental ROAS exceeds the plain one by what spend still brings after the last row."""
    plain, extra = additive.roas(), additive.incremental_roas()
    assert bool((extra >= plain - 1e-9).all())
    assert bool((extra > plain).any())


def test_multiplicative_incremental_return_is_the_counterfactual(multiplicative, panel):
    extra = multiplicative.incremental_roas()
    with precision_scope("float64"):
        model = multiplicative.model()
        params = {name: jnp.asarray(values[0, 0]) for name, values in multiplicative.draws.items()}
        mean = np.asarray(model.expectation(model.mean(params), params))
        for c in range(7):
            without = np.asarray(model.expectation(model.mean(params, model.media.at[c].set(0.0)), params))
            expected = (mean - without).sum() / panel.spend[c].sum()
            np.testing.assert_allclose(extra[0, 0, c], expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["additive", "multiplicative"])
def test_response_curves_pass_through_zero_and_today(name, request):
    fit = request.getfixturevalue(name)
    curves = fit.response_curves([0.0, 0.5, 1.0, 2.0])
    today = fit.contributions()["media"].sum("date")
    np.testing.assert_allclose(curves["response"].sel(multiplier=0.0), 0.0, atol=1e-9 * fit.scales.target)
    np.testing.assert_allclose(curves["response"].sel(multiplier=1.0), today, rtol=1e-9)
    np.testing.assert_allclose(curves["relative_response"].sel(multiplier=1.0), 1.0)
    assert bool((curves["response"].diff("multiplier") > 0).all())
    np.testing.assert_allclose(curves["spend"].sel(multiplier=2.0), 2 * fit.panel.spend.sum(axis=1))


def test_curves_of_the_components(additive):
    weights = additive.adstock_curves()
    np.testing.assert_allclose(weights.sum("lag"), 1.0, rtol=1e-12)
    curves = additive.saturation_curves(points=5, reach=2.0)
    beta = additive.draws["saturation_beta"] * additive.scales.target
    lam = additive.draws["saturation_lam"]
    np.testing.assert_allclose(curves["effect"].isel(point=0), 0.0)
    np.testing.assert_allclose(curves["effect"].isel(point=-1), beta * np.tanh(lam), rtol=1e-12)


def test_shares_and_waterfall(additive):
    np.testing.assert_allclose(additive.contribution_shares().sum("channel"), 1.0, rtol=1e-12)
    table = additive.waterfall()
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["mean"].sum() == pytest.approx(float(additive.predict()["mean"].mean(("chain", "draw")).sum()), rel=1e-9)
    assert (table["lower"] <= table["upper"]).all()


def test_tables_of_parameters(additive):
    table = additive.summary(prob=0.5)
    values = additive.draws["saturation_beta"][..., 2]
    row = table.loc["saturation_beta[Newspaper]"]
    assert row["mean"] == pytest.approx(values.mean())
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(values, [0.25, 0.75]))
    assert {"r_hat", "ess_bulk", "ess_tail", "mcse_mean"} <= set(table.columns)
    comparison = additive.prior_to_posterior(num_samples=500)
    # These draws are from the prior: nothing was learnt.
    np.testing.assert_allclose(comparison["contraction"].median(), 0.0, atol=0.35)


@pytest.mark.parametrize("chunk_bytes", [1, 200_000])
def test_chunks_do_not_change_the_numbers(additive, monkeypatch, chunk_bytes):
    whole = additive.contributions()["media"].to_numpy()
    predicted = additive.predict(key=3)["y"].to_numpy()
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk_bytes)
    np.testing.assert_allclose(additive.contributions()["media"].to_numpy(), whole, rtol=1e-12)
    np.testing.assert_allclose(additive.predict(key=3)["y"].to_numpy(), predicted, rtol=1e-9)


def test_windows_without_rows_are_refused(additive):
    with pytest.raises(mj.PanelError, match="No training row lies between 2030-01-01"):
        additive.roas(start="2030-01-01", end="2030-02-01")
    with pytest.raises(ValueError, match="multipliers"):
        additive.response_curves([-1.0])


def test_a_channel_silent_in_the_window_has_no_return(panel):
    spend = panel.spend.copy()
    spend[3, :20] = 0.0
    fit = prior_fit(panel.with_spend(spend), _spec(mj.Normal()))
    early = fit.roas(end=str(panel.dates[19]))
    assert bool(np.isnan(early.sel(channel="Online Display")).all())
    assert bool(np.isfinite(early.drop_sel(channel="Online Display")).all())
