"""What a table goes through: learned from training rows only, refused where it tells what it must not, or says nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import mmm_jax as mj
from mmm_jax.remarketing import Preparation, make_customers


def table(rows=40, seed=0):
    """A table of every kind of column, and labels that none of them tells."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "ID": rng.choice(10_000, rows, replace=False),
            "Income": np.round(rng.normal(50_000.0, 10_000.0, rows), 2),
            "Kids": rng.integers(0, 3, rows),
            "Education": rng.choice(["Basic", "Master", "PhD"], rows),
            "Joined": np.datetime64("2014-01-01") + rng.integers(0, 300, rows).astype("timedelta64[D]"),
            "Cost": 3,
        }
    )
    frame.loc[:2, "Income"] = np.nan
    frame.loc[3, "Education"] = None
    return frame, pd.Series(rng.integers(0, 2, rows), name="Response")


def prepared(frame, labels=None, **options):
    """A fitted preparation."""
    return Preparation(customer="ID", **options).fit(frame, labels)


@pytest.mark.smoke
def test_every_kind_of_column_becomes_numbers():
    frame, labels = table()
    ready = prepared(frame, labels)
    found = ready.transform(frame)
    words = ["Education_Basic", "Education_Master", "Education_PhD", "Education_missing"]
    assert found.columns.tolist() == ["Income", "Kids", "Joined_days", *words]
    assert found.columns.tolist() == ready.get_feature_names_out().tolist()
    assert found.index.equals(frame.index)
    assert np.isfinite(found.to_numpy()).all()
    # Numbers are standardised after the median has been put where they were missing.
    full = frame["Income"].fillna(frame["Income"].median())
    np.testing.assert_allclose(found["Income"], (full - full.mean()) / full.std(ddof=0))
    days = (frame["Joined"].max() - frame["Joined"]).dt.days
    np.testing.assert_allclose(found["Joined_days"] * ready.units_["Joined_days"], days - days.mean(), atol=1e-9)
    np.testing.assert_array_equal(found[words].sum(axis=1), 1.0)
    assert found.loc[3, "Education_missing"] == 1.0
    assert ready.dropped_ == {"ID": "the customer's id", "Cost": "constant: 3 in all 40 rows that are known"}


def test_only_training_rows_are_learned_from():
    frame, labels = table()
    ready = prepared(frame, labels)
    before = ready.transform(frame)
    new = frame.assign(Income=1e9, Joined=np.datetime64("2020-01-01"), Education="Doctor", Cost=7)
    found = ready.transform(new)
    assert ready.latest_date_["Joined"] == frame["Joined"].max()
    assert (found["Joined_days"] < before["Joined_days"].min()).all()
    # A word that was not there is 0 in all of its column's dummies.
    assert (found.filter(like="Education_") == 0.0).all(axis=None)
    pd.testing.assert_frame_equal(ready.transform(frame), before)


def test_words_that_are_numbers_or_mixed_are_words():
    frame, labels = table()
    frame["Code"] = pd.Series(np.resize([1, "b", None], len(frame)), dtype=object)
    frame["Kind"] = pd.Categorical(np.resize(["x", "y"], len(frame)))
    found = prepared(frame, labels).transform(frame)
    assert {"Code_1", "Code_b", "Code_missing", "Kind_x", "Kind_y"} <= set(found.columns)


def test_words_that_are_dates_are_dates():
    frame, labels = table()
    as_words = frame.assign(Joined=frame["Joined"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(prepared(as_words, labels).transform(as_words), prepared(frame, labels).transform(frame))


def test_a_missing_date_has_the_median_tenure():
    frame, labels = table()
    frame.loc[5, "Joined"] = pd.NaT
    found = prepared(frame, labels, scale=False).transform(frame)["Joined_days"]
    assert found[5] == found.drop(5).median()


def test_a_kept_column_passes_as_it_is():
    frame, labels = table()
    found = prepared(frame, labels, keep=["Education"]).transform(frame.fillna({"Education": "unknown"}))
    assert found["Education"].tolist() == frame["Education"].fillna("unknown").tolist()
    assert not found.filter(like="Education_").shape[1]


def test_the_label_and_named_leaks_are_never_features():
    made = make_customers(customers=200)
    ready = Preparation(label="Response", customer="ID", leaks=["AcceptedCmp5"]).fit(made.table, made.table["Response"])
    assert not {"Response", "ID", "AcceptedCmp5"} & set(ready.get_feature_names_out())
    assert ready.dropped_["AcceptedCmp5"] == "named in leaks"
    without = made.table.drop(columns=["Response", "ID", "AcceptedCmp5"])
    pd.testing.assert_frame_equal(ready.transform(without), ready.transform(made.table))
    assert clone(ready).leaks == ["AcceptedCmp5"]


REFUSED = {
    "all missing": (lambda f, y: f.assign(Income=np.nan), {}, "Column 'Income' is missing in all 40 training rows"),
    "leak": (lambda f, y: f.assign(Bought=2.5 * y), {}, "Column 'Bought' tells the label in all 40 rows"),
    "leak in words": (lambda f, y: f.assign(Bought=y.map({0: "no", 1: "yes"})), {}, "Column 'Bought' tells the label"),
    "label": (lambda f, y: f.assign(Response=y), {}, "The label 'Response' is also a column of the table. Pass label="),
    "id": (lambda f, y: f.assign(user_id=f["ID"] * 7), {}, "Column 'user_id' has another number in each of the 40 rows"),
    "row": (
        lambda f, y: f.assign(n=range(40)),
        {},
        "Column 'n' has another number in each of the 40 rows.*customer= or leaks=",
    ),
    "words": (
        lambda f, y: f.assign(Name=[f"n{k}" for k in f["ID"]]),
        {"max_words": 30},
        "Column 'Name' has 40 different words",
    ),
    "twice": (
        lambda f, y: f.assign(ID=f["ID"].where(f.index > 1, 5)),
        {},
        "'ID' of the table must be different in every row",
    ),
    "infinite": (
        lambda f, y: f.assign(Kids=np.where(f.index < 2, np.inf, 1.0 * f["Kids"])),
        {},
        "'Kids' has 2 values of 40",
    ),
    "no date": (
        lambda f, y: f.assign(Joined=f["Joined"].astype(str).where(f.index != 7, "soon")),
        {"dates": ["Joined"]},
        "Column 'Joined' has 1 values of 40 that are no dates; the first is 'soon' in row 7",
    ),
    "absent": (
        lambda f, y: f,
        {"leaks": ["Later"]},
        "1 needed columns are not in the table: 'Later'. It has 6 columns: 'ID'",
    ),
    "text": (lambda f, y: f, {"leaks": "Cost"}, "leaks must be a list of columns, got the text 'Cost'"),
    "nothing": (lambda f, y: f[["ID", "Cost"]], {}, "No column is left to learn from"),
    "empty": (lambda f, y: f[:0], {}, "The table has no row"),
    "array": (lambda f, y: f.to_numpy(), {}, "Preparation takes a DataFrame with named columns, got ndarray"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_column_and_count(case):
    change, options, message = REFUSED[case]
    frame, labels = table()
    with pytest.raises(mj.RemarketingError, match=message):
        prepared(change(frame, labels), labels, **options)


def test_a_column_that_tells_the_label_can_be_allowed():
    frame, labels = table()
    frame["Member"] = labels
    assert "Member" in prepared(frame, labels, allow=["Member"]).get_feature_names_out()


def test_a_table_to_score_must_have_what_is_needed_in_its_kind():
    frame, labels = table()
    ready = prepared(frame, labels)
    with pytest.raises(mj.RemarketingError, match="2 needed columns are not in the table: 'Income', 'Education'"):
        ready.transform(frame.drop(columns=["Income", "Education"]))
    with pytest.raises(
        mj.RemarketingError, match="'Income' has 1 values of 40 that are no finite numbers; .* 'a lot' in row 9"
    ):
        ready.transform(frame.astype({"Income": object}).assign(Income=lambda f: f["Income"].where(f.index != 9, "a lot")))
