"""The public table of customers, read from a local folder."""

import os
from pathlib import Path

import pandas as pd

from mmm_jax.data.datasets import DATA_FOLDER_VARIABLE
from mmm_jax.errors import DatasetError

_FILE = "marketing_campaign.csv"


def load_marketing_campaign() -> pd.DataFrame:
    """2,240 customers of a food retailer, 29 columns: `Response` is 1 for the 15 % who took part in its last campaign.

    `ID` is the customer's; 24 incomes are missing; `Z_CostContact` and `Z_Revenue` are constant. `make_customers` makes
    tables of the same columns, with known truth and without a file.

    Raises:
        DatasetError: no folder is named, or the file is not in it, or is another one.

    Reference:
        Public as "Customer Personality Analysis" on Kaggle, and as `data/marketing_campaign_full.csv` in
        github.com/ai-builders/curriculum, GPL-3.0 licence; it is no part of this package.
    """
    folder = os.environ.get(DATA_FOLDER_VARIABLE)
    if folder is None:
        raise DatasetError(
            f"{_FILE} is no part of this package, by its licence. Download it, and set {DATA_FOLDER_VARIABLE} to the folder "
            "that holds it; or take the synthetic table, mmm_jax.remarketing.make_customers()."
        )
    path = Path(folder) / _FILE
    if not path.is_file():
        raise DatasetError(f"{DATA_FOLDER_VARIABLE} names {folder!r}, but there is no {_FILE} in it.")
    table = pd.read_csv(path)
    # The file's first column, which has no name, numbers the rows.
    table = table.drop(columns=[name for name in table if str(name).startswith("Unnamed")])
    absent = {"ID", "Dt_Customer", "Income", "Response"} - set(table)
    if absent:
        raise DatasetError(f"{path} is not the expected table: it has no column {sorted(absent)[0]!r}.")
    return table
