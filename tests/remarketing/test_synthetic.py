"""Customers whose truth is known, and the public table."""

import helpers
import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.remarketing import load_marketing_campaign, make_customers
from mmm_jax.remarketing.synthetic import COEFFICIENTS


@pytest.mark.smoke
def test_the_truth_made_the_table():
    made = make_customers(seed=3, customers=20_000)
    truth = made.truth
    log_odds = truth.intercept + truth.features.to_numpy() @ truth.coefficients.to_numpy()
    np.testing.assert_allclose(truth.probabilities, 1.0 / (1.0 + np.exp(-log_odds)), rtol=1e-10)
    np.testing.assert_allclose(truth.probabilities.mean(), 0.15, atol=1e-6)
    # Of customers about as likely, about as many responded: within four deviations in each tenth.
    tenth = pd.qcut(truth.probabilities, 10, labels=False)
    expected = pd.Series(truth.probabilities).groupby(tenth)
    deviation = np.sqrt(expected.apply(lambda p: (p * (1 - p)).sum()))
    error = made.table["Response"].groupby(tenth).sum() - expected.sum()
    assert (np.abs(error) < 4 * deviation).all()
    assert (truth.uplift == 0).all()
    assert made.table["Income"].isna().sum() == 214
    assert truth.features["Income"].notna().all()


def test_the_seed_decides():
    one, same, other = (make_customers(seed=seed, customers=100).table for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert (one["Income"] != other["Income"]).any()


def test_uplift_is_what_treatment_adds_by_chance():
    made = make_customers(seed=5, customers=40_000, treated_share=0.5)
    treated, responded, truth = made.table["Treated"] == 1, made.table["Response"], made.truth
    found = responded[treated].mean() - responded[~treated].mean()
    assert abs(found - truth.uplift.mean()) < 4 * np.sqrt(2 * 0.2 * 0.8 / 20_000)
    # Treatment is no part of who a customer is.
    assert abs(np.corrcoef(treated, truth.uplift)[0, 1]) < 4 / np.sqrt(40_000)
    # Who responds anyway is not who is moved.
    without = truth.probabilities - treated * truth.uplift
    assert np.corrcoef(without, truth.uplift)[0, 1] < 0.9


def test_its_columns_are_those_of_the_public_table(monkeypatch):
    monkeypatch.setenv("MMM_JAX_DATA", str(helpers.data_file("marketing_campaign.csv").parent))
    real, made = load_marketing_campaign(), make_customers().table
    assert list(real) == list(made)
    assert len(real) == len(made) == 2240
    assert real["Income"].isna().sum() == made["Income"].isna().sum() == 24
    assert [kind.kind for kind in real.dtypes] == [kind.kind for kind in made.dtypes]
    for column in ("Response", "Kidhome", "Teenhome", "NumWebVisitsMonth", "AcceptedCmp1", "Recency"):
        assert abs(real[column].mean() - made[column].mean()) < 0.2 * real[column].std(), column


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"customers": 10}, "at least 50 customers, got 10"),
        ({"response_rate": 1.0}, "response_rate must lie between 0 and 1"),
        ({"missing_incomes": 2240}, "missing_incomes must lie between 0 and 2239"),
        ({"treated_share": 0.0}, "treated_share must lie between 0 and 1"),
        ({"coefficients": {**COEFFICIENTS, "Height": 1.0}}, "There is no feature 'Height'; there are Year_Birth, Income"),
    ],
)
def test_sizes_out_of_range_are_refused(options, message):
    with pytest.raises(mj.RemarketingError, match=message):
        make_customers(**options)


def test_a_public_table_that_is_not_there_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("MMM_JAX_DATA", raising=False)
    with pytest.raises(mj.DatasetError, match="set MMM_JAX_DATA to the folder .*make_customers"):
        load_marketing_campaign()
    monkeypatch.setenv("MMM_JAX_DATA", str(tmp_path))
    with pytest.raises(mj.DatasetError, match=r"there is no marketing_campaign\.csv in it"):
        load_marketing_campaign()
    (tmp_path / "marketing_campaign.csv").write_text("ID,Response\n1,0\n")
    with pytest.raises(mj.DatasetError, match="is not the expected table: it has no column 'Dt_Customer'"):
        load_marketing_campaign()
