"""Several tables of customers as one, with every merge's cardinality checked: no row appears twice, and none gets lost."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import pandas as pd

from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.kinds import shown, some

Cardinality = Literal["one-to-one", "many-to-one"]
"""Of customers to the rows of another table."""


def merge_tables(
    customers: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    *,
    on: str | Mapping[str, str],
    customer: str | None = None,
    cardinality: Cardinality | Mapping[str, Cardinality] = "one-to-one",
    missing: Literal["refuse", "keep"] = "refuse",
) -> pd.DataFrame:
    """The customers' table with the columns of the other tables beside it: the same rows, in the same order.

    Args:
        customers: one row per customer.
        others: tables by name; the names are what errors speak of.
        on: column that rows are matched by, the same for all tables, or by table.
        customer: column with the customer's id; `on` by default, where that is one column.
        cardinality: `one-to-one`, where every row of the other table is one customer's, or `many-to-one`, where customers
            share its rows, such as those of their region; the same for all tables, or by table.
        missing: what becomes of customers that another table has no row of: an error, or missing values.

    Returns:
        A new table; the given ones stay as they are.

    Raises:
        RemarketingError: ids that are missing or appear twice, customers without a row, rows without a customer, or a column
            that two tables have. Names table, column and count, with an example.

    Example:
        >>> customers = pd.DataFrame({"ID": [7, 8], "Region": ["north", "north"]})
        >>> regions = pd.DataFrame({"Region": ["north"], "Stores": [12]})
        >>> merged = merge_tables(customers, {"regions": regions}, on="Region", customer="ID", cardinality="many-to-one")
        >>> merged["Stores"].tolist()
        [12, 12]
    """
    if missing not in ("refuse", "keep"):
        raise RemarketingError(f"missing must be 'refuse' or 'keep', got {missing!r}.")
    own = customer or (on if isinstance(on, str) else None)
    if own is not None:
        _check_unique(customers, own, "the customers' table")
    found: Any = customers
    for name, table in others.items():
        key, kind = _of(on, name, "on"), _of(cardinality, name, "cardinality")
        if kind not in get_args(Cardinality):
            raise RemarketingError(
                f"The cardinality of {name!r} must be one of {', '.join(get_args(Cardinality))}; got {kind!r}."
            )
        _check_pair(found, table, name, key, kind, missing)
        merged = found.merge(table, how="left", on=key, sort=False, validate="many_to_one")
        if len(merged) != len(customers):
            raise RemarketingError(f"Merging {name!r} on {key!r} would change {len(customers)} rows into {len(merged)}.")
        found = merged.set_axis(customers.index)
    return found.copy() if found is customers else found


def check_customers(table: pd.DataFrame, customer: str) -> None:
    """Raise a `RemarketingError` unless every row has an id of its own."""
    _check_unique(table, customer, "the table")


def _of(given: Any, name: str, option: str) -> Any:
    if not isinstance(given, Mapping):
        return given
    if name not in given:
        raise RemarketingError(f"{option}= says nothing of the table {name!r}; it names {', '.join(map(repr, given))}.")
    return given[name]


def _check_pair(left: Any, right: Any, name: str, key: str, kind: Cardinality, missing: str) -> None:
    where = f"the table {name!r}"
    if key not in left:
        raise RemarketingError(f"The customers' table has no column {key!r}, by which {where} is to be merged.")
    _check_unique(right, key, where)
    if kind == "one-to-one":
        _check_unique(left, key, f"the customers' table, which is to be merged one-to-one with {name!r}")
    shared = [column for column in right.columns if column in left.columns and column != key]
    if shared:
        raise RemarketingError(
            f"{len(shared)} columns of {where} are in the merged table already: {some(shared)}. Drop or rename them."
        )
    if left[key].dtype.kind != right[key].dtype.kind and "O" in (left[key].dtype.kind, right[key].dtype.kind):
        raise RemarketingError(
            f"Column {key!r} is {left[key].dtype} in the customers' table, but {right[key].dtype} in {where}: nothing would "
            "match. Convert one of them."
        )
    _check_matched(left[key], right[key], where, kind, missing)


def _check_matched(left: Any, right: Any, where: str, kind: Cardinality, missing: str) -> None:
    alone = left[~left.isin(right)]
    if missing == "refuse" and len(alone):
        raise RemarketingError(
            f"{len(alone)} of {len(left)} customers have no row in {where}: column {left.name!r}, such as "
            f"{shown(alone.iloc[0])}. Complete it, or pass missing='keep' for missing values there."
        )
    unknown = right[~right.isin(left)]
    if len(unknown) == len(right):
        raise RemarketingError(f"No row of {where} matches any customer by column {left.name!r}. Is it the right column?")
    # Regions without a customer are no mistake; a second row of purchases would be.
    if len(unknown) and kind == "one-to-one":
        raise RemarketingError(
            f"{len(unknown)} of {len(right)} rows of {where} are of no customer: column {left.name!r}, such as "
            f"{shown(unknown.iloc[0])}. Leave them out first, or add the customers."
        )


def _check_unique(table: Any, key: str, where: str) -> None:
    if key not in table:
        raise RemarketingError(f"Column {key!r} is not in {where}; there are {some(list(table.columns))}.")
    missing = int(table[key].isna().sum())
    if missing:
        raise RemarketingError(f"Column {key!r} of {where} is missing in {missing} of {len(table)} rows.")
    repeated = table[key][table[key].duplicated(keep=False)]
    if len(repeated):
        example = repeated.iloc[0]
        raise RemarketingError(
            f"Column {key!r} of {where} must be different in every row, but {repeated.nunique()} values are in "
            f"{len(repeated)} rows, such as {shown(example)} in {int((repeated == example).sum())}. Keep one row of each."
        )
