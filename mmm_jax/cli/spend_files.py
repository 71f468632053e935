"""Spend from files, as the commands of the ledger and of monitoring read it: plans, and tables by date."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from mmm_jax.cli.table import read_table
from mmm_jax.errors import LedgerError
from mmm_jax.planning.prices import Price


@dataclass(frozen=True)
class SpendPlan:
    """A plan from a file.

    Attributes:
        spend: by date and channel (and geo).
        prices: of channels whose media are units, as the plan pays them.
    """

    spend: xr.DataArray | pd.DataFrame
    prices: dict[str, Price]

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a JSON file of `mmm-jax optimize`, or a CSV table as `read_spend` takes it.

        Raises:
            LedgerError: it is neither.
            PanelError: the table cannot be read.
        """
        is_table = path.is_file() and path.suffix.lower() == ".csv"
        return cls(read_spend(path), {}) if is_table else cls.read_json(path)

    @classmethod
    def read_json(cls, path: Path) -> Self:
        """From a JSON file of `mmm-jax optimize`.

        Raises:
            LedgerError: it is none.
        """
        if not path.is_file():
            raise LedgerError(f"{path}: the plan {'is a folder' if path.is_dir() else 'does not exist'}.")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            prices = {name: Price(one["cost"]) for name, one in found.get("unit_costs", {}).items()}
            return cls(_as_array(found["dates"], found["spend"]), prices)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LedgerError(f"{path}: this is no plan that `mmm-jax optimize` wrote ({error}).") from error


def read_spend(path: Path) -> xr.DataArray | pd.DataFrame:
    """A table of spend: a column `date`, one per channel, and `geo` where there are geos, with a row for each then.

    Raises:
        LedgerError: it has no column `date`, or a geo twice on a date.
        PanelError: it cannot be read.
    """
    table = read_table(path)
    if "date" not in table.columns:
        raise LedgerError(f"{path}: there is no column 'date'; the table has {', '.join(map(str, table.columns))}.")
    table = table.set_index("date")
    return _by_geo(path, table) if "geo" in table.columns else table


def _as_array(dates: list[str], spend: dict[str, Any]) -> xr.DataArray:
    """Spend by date and channel, or also geo, from a plan's JSON."""
    channels = list(spend)
    coords: dict[str, Any] = {"date": dates, "channel": channels}
    if not isinstance(spend[channels[0]], dict):
        values = np.array([spend[name] for name in channels], float)
        return xr.DataArray(values.T, dims=list(coords), coords=coords)
    geos = list(spend[channels[0]])
    values = np.array([[spend[name][geo] for geo in geos] for name in channels], float)
    return xr.DataArray(values.transpose(2, 0, 1), dims=[*coords, "geo"], coords=coords | {"geo": geos})


def _by_geo(path: Path, table: pd.DataFrame) -> xr.DataArray:
    """Spend by date, channel and geo; what the table does not hold is 0."""
    indexed = table.assign(geo=table["geo"].astype(str)).set_index("geo", append=True)
    if indexed.index.has_duplicates:
        date, geo = indexed.index[indexed.index.duplicated()][0]
        raise LedgerError(f"{path}: the table has the geo {geo!r} twice on {date}.")
    return indexed.to_xarray().to_dataarray("channel").transpose("date", "channel", "geo").fillna(0.0)
