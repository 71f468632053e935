"""A campaign's holdout as a lift test: its number, its error, and that the marketing-mix model reads it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import mmm_jax as mj
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import ExperimentError, RemarketingError
from mmm_jax.fitting.density import constrained, flat_log_density, target_of
from mmm_jax.model.build import build_any_model
from mmm_jax.remarketing.lift import added_responses, campaign_lift

CAMPAIGN = {
    "channel": "TV",
    "start": "2014-10-05",
    "end": "2014-10-26",
    "contacts": 9000,
    "responses": 720,
    "holdout": 1000,
    "holdout_responses": 50,
    "value": 40.0,
    "cost": 900.0,
    "periods": 4,
}


def market() -> mj.Panel:
    return mj.synthetic.make_market(weeks=60).panel


def test_the_row_says_what_was_added_and_paid():
    (row,) = campaign_lift(**CAMPAIGN, in_panel=False).to_dict("records")
    assert row["delta_spend"] == 900.0 / 4
    assert row["delta_outcome"] == pytest.approx(40.0 * (720 - 9000 * 0.05))
    plain = 40.0 * 9000 * np.sqrt(0.08 * 0.92 / 9000 + 0.05 * 0.95 / 1000)
    assert row["se"] == pytest.approx(plain, rel=0.02)
    (back,) = campaign_lift(**CAMPAIGN).to_dict("records")
    assert [back[name] for name in ("delta_spend", "delta_outcome", "se")] == [-225.0, -10800.0, row["se"]]


def test_intervals_of_what_was_added_hold_the_truth():
    """95 % of simulated campaigns, with few responses in a small holdout as well."""
    rng, times = np.random.default_rng(0), 4000
    for treated, control, contacts, holdout in ((0.08, 0.05, 9000, 1000), (0.03, 0.02, 5000, 400)):
        truth = contacts * (treated - control)
        found = zip(rng.binomial(contacts, treated, times), rng.binomial(holdout, control, times), strict=True)
        estimates = np.array([added_responses(contacts, hits, holdout, others) for hits, others in found])
        assert estimates[:, 0].mean() == pytest.approx(truth, abs=4 * estimates[:, 0].std() / times**0.5)
        # The truth is what the contacts would do again, so that the chance of the contacts' own responses counts.
        inside = np.abs(estimates[:, 0] - truth) <= stats.norm.ppf(0.975) * estimates[:, 1]
        assert inside.mean() == pytest.approx(0.95, abs=0.02)


def test_a_holdout_without_responses_has_an_error():
    row = campaign_lift(**{**CAMPAIGN, "holdout_responses": 0}).iloc[0]
    assert row["se"] > 40.0 * 9000 * np.sqrt(0.08 * 0.92 / 9000)


def test_an_uncertain_value_widens_the_error():
    known, unknown = (campaign_lift(**CAMPAIGN, value_se=se).iloc[0] for se in (0.0, 4.0))
    added, se = added_responses(9000, 720, 1000, 50)
    draws = np.random.default_rng(0).normal([added, 40.0], [se, 4.0], (200_000, 2)).prod(axis=1)
    assert known["se"] < unknown["se"] == pytest.approx(draws.std(), rel=0.01)


@pytest.mark.parametrize("in_panel", [True, False])
def test_the_row_is_read_as_an_experiment(in_panel):
    found = campaign_lift(**CAMPAIGN, in_panel=in_panel, outcome_end="2014-11-09", source="email 7")
    (test,) = mj.LiftTests.from_frame(found).tests
    assert (test.channel, test.source, str(test.outcome_end)) == ("TV", "email 7", "2014-11-09")
    assert (test.delta_spend < 0) == in_panel == (test.delta_outcome < 0)


@pytest.mark.usefixtures("float64")
def test_a_fits_density_learns_from_it():
    """The log density differs by the log probability of what was measured, and has a gradient."""
    panel = market()
    dates = {"start": str(panel.dates[20]), "end": str(panel.dates[23])}
    found = campaign_lift(**{**CAMPAIGN, **dates, "periods": panel, "cost": 0.5 * float(panel.spend[0, 20:24].min())})
    assert found["delta_spend"].iloc[0] == pytest.approx(-0.5 * panel.spend[0, 20:24].min() / 4)
    experiments, spec = mj.LiftTests.from_frame(found), mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4))
    with_it, without = (
        target_of(build_any_model(spec, panel, Scales.from_panel(panel), experiments=known)) for known in (experiments, None)
    )
    flat = jnp.zeros(sum(int(np.prod(chart.shape)) for chart in with_it.charts.values()))
    value, slope = jax.jit(jax.value_and_grad(flat_log_density))(flat, with_it)
    assert np.isfinite(slope).all()
    predicted = with_it.model.predicted_experiments(constrained(flat, with_it))[0]
    row = found.iloc[0]
    expected = stats.t.logpdf(row["delta_outcome"], 4, float(predicted), row["se"])
    assert float(value - jax.jit(flat_log_density)(flat, without)) == pytest.approx(expected, rel=1e-6)


def test_the_panel_counts_its_rows_and_refuses_what_does_not_fit():
    panel = market()
    dates = {"start": str(panel.dates[20]), "end": str(panel.dates[22])}
    found = campaign_lift(**{**CAMPAIGN, **dates, "periods": panel}, in_panel=False)
    assert found["delta_spend"].iloc[0] == 300.0
    with pytest.raises(ExperimentError, match="no channel 'post'"):
        campaign_lift(**{**CAMPAIGN, **dates, "channel": "post", "periods": panel})
    with pytest.raises(ExperimentError, match="outside of the training rows"):
        campaign_lift(**{**CAMPAIGN, "start": "2031-01-01", "end": "2031-01-08", "periods": panel})
    more = 4 * float(panel.spend[0, 20:23].max())
    with pytest.raises(ExperimentError, match="negative"):
        campaign_lift(**{**CAMPAIGN, **dates, "cost": more, "periods": panel})


def test_geos_are_named():
    one = market()
    panel = mj.GeoPanel(("north", "west"), (one, replace(one, spend=2 * one.spend)))
    dates = {"start": str(one.dates[20]), "end": str(one.dates[21])}
    found = campaign_lift(**{**CAMPAIGN, **dates, "periods": panel}, geo="west", in_panel=False)
    assert (found["geo"].iloc[0], found["delta_spend"].iloc[0]) == ("west", 450.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"responses": 9001}, "`responses` is 9001 of 9000 customers in `contacts`"),
        ({"holdout_responses": 1001}, "`holdout_responses` is 1001 of 1000 customers in `holdout`"),
        ({"responses": -1}, "`responses` is -1 of 9000"),
        ({"holdout": 0, "holdout_responses": 0}, "`holdout_responses` is 0 of 0 customers"),
        ({"holdout": 60, "holdout_responses": 3}, r"`holdout` is too small: .* 4\.8 responses.*: at least 63 customers"),
        ({"responses": 0, "holdout_responses": 0}, "`contacts` is too small: with 0 responses of 10000"),
        ({"contacts": 90.5}, "`contacts` must be a whole number of customers, got 90.5"),
        ({"value": np.nan}, "`value` must be finite"),
        ({"value_se": -1.0}, "`value_se` must be finite and at least 0"),
        ({"cost": -1.0}, "`cost` must be finite and at least 0"),
        ({"periods": 0}, "`periods` must be the number of the panel's rows"),
        ({"end": "2014-09-28"}, "`end` is 2014-09-28, before the start"),
        ({"start": "soon"}, "`start`: The date 'soon' cannot be read"),
    ],
)
def test_impossible_campaigns_are_refused(change, words):
    with pytest.raises((RemarketingError, ExperimentError), match=words):
        campaign_lift(**{**CAMPAIGN, **change})
