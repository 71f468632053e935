"""The small market of `kinds` whose TV comes as reach and frequency, as does an organic newsletter."""

from functools import cache

import kinds
import numpy as np
import pandas as pd
from planning.fits import SPECS

import mmm_jax as mj

COLUMNS = {"TV": "tv_frequency", "newsletter": "mail_frequency"}
OWN = (0, 2)
"""Places of the two channels."""


def with_frequency(frame: pd.DataFrame, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return frame.assign(**{column: 1.0 + rng.gamma(2.0, 1.0, len(frame)) for column in COLUMNS.values()})


def table(weeks: int = kinds.WEEKS) -> pd.DataFrame:
    """Longer tables begin with the shorter ones."""
    return with_frequency(kinds.table(kinds.WEEKS + kinds.HORIZON)).iloc[:weeks]


def panel(frame: pd.DataFrame | None = None, **changed) -> mj.Panel:
    return kinds.panel(table() if frame is None else frame, **{"frequency": COLUMNS, **changed})


def geo_panel(**changed) -> mj.GeoPanel:
    frame = with_frequency(kinds.geo_table())
    roles = {**kinds.ROLES, **kinds.KINDS, "frequency": COLUMNS, **changed}
    return mj.Panel.from_frame(frame, **roles, geo="geo")


@cache
def fit(name: str = "logistic") -> mj.Fit:
    found = kinds.from_prior(panel(), SPECS[name])
    assert isinstance(found, mj.Fit)
    return found
