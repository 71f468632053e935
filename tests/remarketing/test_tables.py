"""Merges: the same rows, in the same order, or an error that says which rows do not match."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmm_jax as mj
from mmm_jax.remarketing import make_customers, merge_tables

CUSTOMERS = pd.DataFrame({"ID": [7, 8, 9], "Region": ["north", "south", "north"]}, index=["a", "b", "c"])
PURCHASES = pd.DataFrame({"ID": [9, 7, 8], "Wine": [90, 70, 80]})
REGIONS = pd.DataFrame({"Region": ["south", "north", "west"], "Stores": [3, 12, 1]})


@pytest.mark.smoke
def test_rows_and_their_order_stay_the_customers():
    found = merge_tables(
        CUSTOMERS,
        {"purchases": PURCHASES, "regions": REGIONS},
        on={"purchases": "ID", "regions": "Region"},
        customer="ID",
        cardinality={"purchases": "one-to-one", "regions": "many-to-one"},
    )
    expected = CUSTOMERS.assign(Wine=[70, 80, 90], Stores=[12, 3, 12])
    pd.testing.assert_frame_equal(found, expected)
    assert CUSTOMERS.columns.tolist() == ["ID", "Region"]


@given(order=st.permutations(range(50)))
def test_the_other_tables_order_does_not_matter(order):
    made = make_customers(customers=50)
    tables = made.tables
    others = {name: tables[name].iloc[list(order)] for name in ("purchases", "campaigns")}
    found = merge_tables(tables["customers"], others, on="ID")
    pd.testing.assert_frame_equal(found[list(made.table)], made.table)


def test_customers_without_a_row_may_be_kept():
    found = merge_tables(CUSTOMERS, {"purchases": PURCHASES[:2]}, on="ID", missing="keep")
    np.testing.assert_array_equal(found["Wine"], [70.0, np.nan, 90.0])


REFUSED = {
    "the same id twice": (
        {"customers": pd.concat([CUSTOMERS, CUSTOMERS[:1]])},
        "Column 'ID' of the customers' table must be different in every row, but 1 values are in 2 rows, such as 7 in 2",
    ),
    "two rows of purchases": (
        {"other": pd.concat([PURCHASES, PURCHASES[1:]])},
        "Column 'ID' of the table 'purchases' must be different in every row, but 2 values are in 4 rows, such as 7 in 2",
    ),
    "no purchases": (
        {"other": PURCHASES[:2]},
        "1 of 3 customers have no row in the table 'purchases': column 'ID', such as 8. Complete it, or pass missing='keep'",
    ),
    "purchases of nobody": (
        {"customers": CUSTOMERS[:2]},
        "1 of 3 rows of the table 'purchases' are of no customer: column 'ID', such as 9",
    ),
    "nothing matches": (
        {"other": PURCHASES.assign(ID=[1, 2, 3]), "missing": "keep"},
        "No row of the table 'purchases' matches",
    ),
    "missing ids": ({"other": PURCHASES.assign(ID=[9, 7, None])}, "'ID' of the table 'purchases' is missing in 1 of 3 rows"),
    "ids as text": ({"other": PURCHASES.astype({"ID": object})}, "Column 'ID' is int64 in .* but object in"),
    "no such column": ({"on": "Key"}, "Column 'Key' is not in the customers' table; there are 'ID', 'Region'"),
    "the same column": ({"other": PURCHASES.assign(Region=1)}, "1 columns of the table 'purchases' are in the merged table"),
    "cardinality": ({"cardinality": "one-to-many"}, "The cardinality of 'purchases' must be one of one-to-one, many-to-one"),
    "not named": ({"on": {"regions": "Region"}}, "on= says nothing of the table 'purchases'; it names 'regions'"),
    "missing": ({"missing": "drop"}, "missing must be 'refuse' or 'keep', got 'drop'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_do_not_fit_are_refused_with_an_example(case):
    given_, message = REFUSED[case]
    options = {"on": "ID", **given_}
    customers, other = options.pop("customers", CUSTOMERS), options.pop("other", PURCHASES)
    with pytest.raises(mj.RemarketingError, match=message):
        merge_tables(customers, {"purchases": other}, **options)
