"""Fitted models through the rest of the room: two of them for uplift, and preparations that are kept."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from mmm_jax.errors import RemarketingError, StoreError
from mmm_jax.remarketing import Preparation, ResponseModel, make_customers
from mmm_jax.remarketing.saved_preparation import load_preparation, save_preparation
from mmm_jax.remarketing.two_models import fit_two_models, probabilities_of
from mmm_jax.remarketing.uplift import uplift_curve

OPTIONS = {"label": "Response", "customer": "ID", "leaks": ["Treated", "Z_Revenue"]}
SHORT = {"engine": "laplace", "num_samples": 300}

pytestmark = pytest.mark.filterwarnings("ignore::mmm_jax.errors.ApproximationWarning")


def test_a_kept_preparation_transforms_as_the_original(tmp_path):
    made = make_customers(customers=400, treated_share=0.5)
    train, other = made.table.iloc[:300], made.table.iloc[300:].copy()
    other.loc[other.index[0], ["Income", "Education"]] = [np.nan, "Kindergarten"]
    for options in ({}, {"scale": False}, {"keep": ["Marital_Status"]}):
        fitted = Preparation(**OPTIONS, **options).fit(train)
        save_preparation(fitted, tmp_path / "preparation.json")
        loaded = load_preparation(tmp_path / "preparation.json")
        pd.testing.assert_frame_equal(loaded.transform(other), fitted.transform(other))
        pd.testing.assert_series_equal(loaded.units_, fitted.units_)
        assert loaded.dropped_ == fitted.dropped_
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in fitted.get_params().items()}
        assert loaded.get_params() == lists


def test_numbers_alone_and_words_alone_are_kept(tmp_path):
    tables = ({"a": [1.0, 2.0, np.nan, 4.0]}, {"b": ["x", None, "y", "x"]}, {"c": ["2024-01-01", "2024-03-01"] * 2})
    for columns in tables:
        table = pd.DataFrame(columns)
        fitted = Preparation().fit(table)
        save_preparation(fitted, tmp_path / "one.json")
        pd.testing.assert_frame_equal(load_preparation(tmp_path / "one.json").transform(table), fitted.transform(table))


def test_what_is_no_preparation_is_refused(tmp_path):
    with pytest.raises(StoreError, match="There is no file"):
        load_preparation(tmp_path / "none.json")
    for text, words in (("{}", "no preparation of this version"), ("[1]", "no preparation"), ("{", "is damaged")):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(StoreError, match=words):
            load_preparation(tmp_path / "bad.json")


def test_two_models_find_the_uplift_of_a_randomised_table():
    made = make_customers(customers=4000, treated_share=0.5, uplift=1.5, seed=3)
    table, truth = made.table, made.truth.uplift
    train, test = np.arange(2000), np.arange(2000, 4000)
    model = make_pipeline(Preparation(**OPTIONS), ResponseModel(**SHORT))
    both = fit_two_models(model, table.iloc[train], table["Response"].iloc[train], table["Treated"].iloc[train])
    found = both.uplift(table.iloc[test])
    assert found.average["lower"] - 0.02 < truth[test].mean() < found.average["upper"] + 0.02
    curve = uplift_curve(found, table["Response"].iloc[test], table["Treated"].iloc[test], permutations=200)
    assert curve.p_value < 0.05
    draws = probabilities_of(both.treated, table.iloc[test[:5]], num_draws=10)
    assert draws.shape == (10, 5)
    # Random numbers of their own: the errors of the two posteriors have nothing to do with each other.
    errors = [arm.mean(axis=1) - arm.mean() for arm in (found.treated, found.control)]
    assert abs(np.corrcoef(errors)[0, 1]) < 0.25
    with pytest.raises(RemarketingError, match="0 of 2000 customers not contacted"):
        fit_two_models(model, table.iloc[train], table["Response"].iloc[train], np.ones(2000))
