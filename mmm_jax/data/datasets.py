"""Public data sets, fetched by URL and checksum into the user's cache, or read from a local folder."""

import os
from pathlib import Path

import pandas as pd

from mmm_jax.data.panel import Panel
from mmm_jax.errors import DatasetError

DATA_FOLDER_VARIABLE = "MMM_JAX_DATA"
"""Environment variable that names a folder which already holds the files."""

CASE_STUDY_URL = "https://raw.githubusercontent.com/sibylhe/mmm_stan/main/data.csv"
CASE_STUDY_SHA256 = "f690896bf40e622f77b6498ae3e182e4d48dd17bc1dee74fe811e8e3c0ce8696"
CASE_STUDY_CHANNELS = {
    "mdsp_dm": "Direct Mail",
    "mdsp_inst": "Insert",
    "mdsp_nsp": "Newspaper",
    "mdsp_on": "Online Display",
    "mdsp_audtr": "Radio",
    "mdsp_so": "Social Media",
    "mdsp_vidtr": "TV",
}
CASE_STUDY_LAST_TRAINING_DATE = "2018-02-01"


def case_study_frame() -> pd.DataFrame:
    """The case study's table: a US retailer's weekly spend, holidays and sales from 2014-08-03, 209 rows.

    Columns: `wk_strt_dt`, `sales`, the seven channels under their plain names, and the holiday dummies `hldy_*`.

    Raises:
        DatasetError: the file is neither in the folder that `MMM_JAX_DATA` names, nor in the cache, nor reachable.

    Reference:
        github.com/sibylhe/mmm_stan, `data.csv`, MIT licence.
    """
    raw = pd.read_csv(_case_study_path())
    holidays = [column for column in raw.columns if "hldy_" in column]
    frame = raw.rename(columns=CASE_STUDY_CHANNELS)
    return frame.loc[:, ["wk_strt_dt", "sales", *sorted(CASE_STUDY_CHANNELS.values()), *holidays]]


def load_case_study() -> Panel:
    """The case study as a panel: seven channels in alphabetical order, 22 holiday controls.

    Split it at `CASE_STUDY_LAST_TRAINING_DATE` for the case study's 183 training and 26 test weeks.

    Raises:
        DatasetError: as `case_study_frame`.
    """
    frame = case_study_frame()
    return Panel.from_frame(
        frame,
        date="wk_strt_dt",
        target="sales",
        channels=sorted(CASE_STUDY_CHANNELS.values()),
        controls=[column for column in frame.columns if column.startswith("hldy_")],
    )


def _case_study_path() -> Path:
    folder = os.environ.get(DATA_FOLDER_VARIABLE)
    if folder is not None:
        path = Path(folder) / "case_study.csv"
        if not path.is_file():
            raise DatasetError(f"{DATA_FOLDER_VARIABLE} names {folder!r}, but there is no case_study.csv in it.")
        return path
    return _fetched("case_study.csv", CASE_STUDY_URL, CASE_STUDY_SHA256)


def _fetched(name: str, url: str, sha256: str) -> Path:
    import pooch
    import requests

    try:
        path = pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=pooch.os_cache("mmm_jax"))
    except (requests.RequestException, OSError, ValueError) as error:
        raise DatasetError(
            f"{name} could not be fetched from {url}: {error}. Download it by hand and set {DATA_FOLDER_VARIABLE} "
            f"to the folder that holds it as {name}."
        ) from error
    return Path(path)
