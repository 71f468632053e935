"""What a plan says of itself, and how it compares."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from planning.fits import HORIZON, fit_from_prior, planned_rows

import mmm_jax as mj
from mmm_jax.errors import PlanError
from mmm_jax.planning.solver import Outcome


@pytest.fixture(scope="module")
def plan() -> mj.Allocation:
    """A plan in which the channel `Direct Mail` is held at nothing."""
    return mj.optimize_budget(fit_from_prior("logistic"), horizon=planned_rows(), total=2e6, bounds={"Direct Mail": (0, 0)})


@pytest.fixture
def other(plan) -> dict[str, float]:
    return dict(zip(plan.spend["channel"].values.tolist(), [5e5, 3e5, 8e5, 4e5], strict=True))


@pytest.mark.smoke
def test_a_plan_is_neither_better_nor_worse_than_itself(plan):
    comparison = plan.compare(plan.spend)
    assert not comparison.difference.any()
    assert not comparison.relative_gain.any()
    assert comparison.probability_better == 0
    xr.testing.assert_identical(comparison.plan_response, plan.response)


def test_a_mapping_and_the_equal_array_agree(plan, other):
    totals = xr.DataArray(list(other.values()), dims="channel", coords={"channel": list(other)})
    array = xr.full_like(plan.spend, 1 / HORIZON) * totals
    by_mapping, by_array = plan.compare(other), plan.compare(array)
    xr.testing.assert_allclose(by_mapping.difference, by_array.difference, rtol=1e-12)
    assert by_mapping.probability_better == by_array.probability_better


def test_the_order_of_labels_does_not_matter(plan, other):
    array = plan.spend + 100.0
    turned = array.isel(date=slice(None, None, -1), channel=[2, 0, 3, 1]).transpose("channel", "date")
    xr.testing.assert_identical(plan.compare(array).difference, plan.compare(turned).difference)
    expected = plan.compare(other).difference
    xr.testing.assert_identical(plan.compare(dict(reversed(other.items()))).difference, expected)
    xr.testing.assert_identical(plan.compare(pd.Series(other)).difference, expected)


def test_comparisons_are_antisymmetric(plan, other):
    fit = fit_from_prior("logistic")
    locked = {channel: (amount, amount) for channel, amount in other.items()}
    second = mj.optimize_budget(fit, horizon=planned_rows(), total=2e6, bounds=locked)
    there, back = plan.compare(second.spend), second.compare(plan.spend)
    xr.testing.assert_identical(there.difference, -back.difference)
    assert 0 < there.probability_better == 1 - back.probability_better < 1


def test_the_difference_is_taken_draw_by_draw(plan, other):
    comparison = plan.compare(other)
    assert comparison.difference.dims == ("chain", "draw")
    xr.testing.assert_identical(comparison.difference, comparison.plan_response - comparison.other_response)
    frame = comparison.to_frame(prob=0.5)
    assert frame.index.tolist() == ["plan", "other", "difference", "relative_gain"]
    assert frame.columns.tolist() == ["mean", "sd", "lower", "median", "upper"]
    assert frame.loc["difference", "mean"] == pytest.approx(float(comparison.difference.mean()))
    assert frame.loc["difference", "lower"] == pytest.approx(float(comparison.difference.quantile(0.25)))


def test_nothing_to_compare_with_has_no_relative_gain(plan, other):
    comparison = plan.compare(dict.fromkeys(other, 0.0))
    assert not comparison.other_response.any()
    assert comparison.probability_better == 1
    assert comparison.relative_gain.isnull().all()
    assert comparison.to_frame().loc["other", "mean"] == 0


def test_a_channel_without_spend_in_the_plan_is_compared_evenly(plan, other):
    assert float(plan.spend.sel(channel="Direct Mail").sum()) == 0
    spend = plan.spend.copy()
    spend.loc[{"channel": "Direct Mail"}] = 1e5 / HORIZON
    totals = {channel: float(amount) for channel, amount in spend.sum("date").to_series().items()}
    by_mapping, by_array = plan.compare(totals), plan.compare(spend)
    xr.testing.assert_allclose(by_mapping.other_response, by_array.other_response, rtol=1e-12)


def test_a_mapping_is_spread_as_the_plan_is():
    rows, fit = planned_rows(), fit_from_prior("logistic")
    shape = dict(zip(rows.channels, np.random.default_rng(0).integers(0, 4, (4, HORIZON)), strict=True))
    plan = mj.optimize_budget(fit, horizon=rows, total=2e6, profile=shape)
    doubled = {channel: 2 * float(amount) for channel, amount in plan.spend.sum("date").to_series().items()}
    found = plan.compare(doubled).other_response
    xr.testing.assert_allclose(found, plan.compare(2 * plan.spend).other_response, rtol=1e-12)


WRONG = {
    "missing channel": (lambda plan: {"Direct Mail": 1.0}, "must name each of the channels Direct Mail, Insert"),
    "unknown channel": (
        lambda plan: dict.fromkeys([*plan.spend["channel"].values, "Cinema"], 1.0),
        "got Direct Mail, Insert, Newspaper, Online Display, Cinema",
    ),
    "no number": (lambda plan: dict.fromkeys(plan.spend["channel"].values, "much"), "mapping of channel to number"),
    "bare array": (lambda plan: plan.spend.to_numpy(), "mapping of channel to number, or a DataArray"),
    "negative": (lambda plan: dict.fromkeys(plan.spend["channel"].values, -1.0), "finite and at least 0"),
    "nan": (lambda plan: plan.spend.where(plan.spend["channel"] != "Insert"), "finite and at least 0"),
    "dimensions": (lambda plan: plan.spend.rename(channel="medium"), "Spend must have the dimensions"),
    "too few dates": (lambda plan: plan.spend.isel(date=slice(3)), "Spend must have the dimensions"),
    "other dates": (
        lambda plan: plan.spend.assign_coords(date=plan.spend["date"] + np.timedelta64(7, "D")),
        "lacks a date or channel",
    ),
    "other channels": (
        lambda plan: plan.spend.assign_coords(channel=["a", "b", "c", "d"]),
        "lacks a date or channel",
    ),
    "no labels": (lambda plan: plan.spend.drop_vars(["date", "channel"]), "must have labels"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_spend_that_does_not_match_the_plan_says_why(plan, kind):
    make, message = WRONG[kind]
    with pytest.raises(PlanError, match=message):
        plan.compare(make(plan))


def test_one_row_per_channel(plan):
    frame = plan.to_frame(prob=0.8)
    assert frame.index.tolist() == plan.spend["channel"].values.tolist()
    assert frame.columns.tolist() == [
        "spend",
        "share",
        "lower_bound",
        "upper_bound",
        "state",
        "marginal_return",
        "beyond_observed",
        "response",
        "response_lower",
        "response_upper",
    ]
    np.testing.assert_allclose(frame["spend"], plan.spend.sum("date"))
    assert frame["share"].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(frame["response"], plan.channel_response.mean(("chain", "draw")))
    np.testing.assert_allclose(frame["response_lower"], plan.channel_response.quantile(0.1, ("chain", "draw")))
    assert frame.loc["Direct Mail", ["spend", "upper_bound", "response", "response_upper"]].tolist() == [0, 0, 0, 0]
    assert frame.loc["Direct Mail", "state"] == "locked"


def test_the_dictionary_survives_json_to_the_last_digit(plan):
    found = plan.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["total"] == plan.total
    assert found["dates"] == [str(date) for date in planned_rows().dates]
    assert found["spend"]["Insert"] == plan.spend.sel(channel="Insert").values.tolist()
    assert sum(found["spend_by_channel"].values()) == pytest.approx(plan.total)
    assert found["response"]["mean"] == float(plan.response.mean())
    assert sum(found["response_by_channel"].values()) == pytest.approx(found["response"]["mean"])
    certificate = found["certificate"]
    assert certificate["optimal"] is True
    assert certificate["outcome"] == "converged"
    assert certificate["advice"] == Outcome.CONVERGED.advice
    assert certificate["shadow_price"] == plan.certificate.shadow_price
    assert certificate["state"]["Direct Mail"] == "locked"
    assert len(certificate["start_values"]) == 1
    assert certificate["concave"] is True


def test_responses_by_channel_add_up(plan):
    xr.testing.assert_allclose(plan.channel_response.sum("channel"), plan.response, rtol=1e-12)
    assert plan.response.sizes == {"chain": 2, "draw": 5}


@pytest.mark.parametrize(
    "change", [{"outcome": Outcome.STALLED}, {"outcome": Outcome.ITERATION_LIMIT}, {"feasibility": 1e-6}]
)
def test_optimal_means_feasible_and_converged(plan, change):
    assert plan.certificate.optimal
    certificate = replace(plan.certificate, **change)
    assert not certificate.optimal
    assert "NOT optimal" in repr(replace(plan, certificate=certificate))


def test_the_short_form_says_how_much_when_and_what_for(plan):
    assert repr(plan).startswith("Allocation(2,000,000 over 13 dates from 2016-02-14 to 2016-05-08, mean response ")
    assert repr(plan).endswith(", optimal)")
