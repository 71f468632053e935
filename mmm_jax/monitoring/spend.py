"""Spend over dates and channels as the ledger keeps it, whatever people hand in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mmm_jax.errors import LedgerError

GivenSpend = Mapping[str, float] | xr.DataArray | pd.DataFrame
"""Currency over the horizon by channel, which is spread over the dates as the plan is; or by date and channel."""


def read_spend(given: Any, what: str) -> xr.DataArray:
    """Spend with the dimensions (date, channel) or (date, channel, geo), in currency per period.

    Args:
        given: an array with these dimensions and labels, or a table with one row per date, dates in the index or in a
            column `date`, and one column per channel.
        what: it is, for messages.

    Raises:
        LedgerError: something else, a label that is missing or stands twice, or an amount that is negative or not finite.
    """
    table = _from_frame(given, what) if isinstance(given, pd.DataFrame) else given
    if not isinstance(table, xr.DataArray) or not {"date", "channel"} <= set(table.dims) <= {"date", "channel", "geo"}:
        raise LedgerError(
            f"{what} must be an array over (date, channel), or a table with one row per date and a column per channel; "
            f"got {_kind(given)}."
        )
    unlabelled = [str(name) for name in table.dims if name not in table.coords]
    if unlabelled:
        raise LedgerError(f"{what} has no labels along {unlabelled[0]!r}.")
    dims = [name for name in ("date", "channel", "geo") if name in table.dims]
    coords = {name: _labels(table[name].values, name, what) for name in dims}
    return _checked(xr.DataArray(table.transpose(*dims).to_numpy().astype(float), dims=dims, coords=coords), what)


def like(plan: xr.DataArray, given: GivenSpend | None, what: str) -> xr.DataArray:
    """Spend over the plan's dates, channels and geos, in their order; nothing at all for `None`.

    Raises:
        LedgerError: other dates, channels or geos than the plan's, or an amount that is negative or not finite.
    """
    if given is None:
        return xr.zeros_like(plan)
    if isinstance(given, Mapping):
        return _spread(plan, given, what)
    found = read_spend(given, what)
    if found.dims != plan.dims:
        ours, theirs = (", ".join(map(str, one.dims)) for one in (plan, found))
        raise LedgerError(f"{what} has the dimensions {theirs}, the plan {ours}.")
    for name in map(str, plan.dims):
        _check_same(list(plan[name].values), list(found[name].values), name, what)
    return found.sel({name: plan[name] for name in plan.dims})


def by_channel(spend: xr.DataArray) -> dict[str, float]:
    """Currency over all dates and geos, by channel."""
    sums = spend.sum([name for name in spend.dims if name != "channel"])
    return {str(name): float(sums.sel(channel=name)) for name in sums["channel"].values}


def labels_of(spend: xr.DataArray) -> dict[str, Any]:
    """Dates, channels and geos as plain values, for JSON."""
    geos = [str(name) for name in spend["geo"].values] if "geo" in spend.dims else None
    return {
        "dates": [str(day) for day in spend["date"].values],
        "channels": list(map(str, spend["channel"].values)),
        "geos": geos,
    }


def labelled(values: np.ndarray, labels: Mapping[str, Any]) -> xr.DataArray:
    """Spend as `read_spend` returns it, from its values and `labels_of` it."""
    geo = {} if labels["geos"] is None else {"geo": labels["geos"]}
    coords = {"date": np.array(labels["dates"], "datetime64[D]").astype(str), "channel": labels["channels"], **geo}
    return xr.DataArray(values, dims=list(coords), coords=coords)


def _from_frame(table: pd.DataFrame, what: str) -> xr.DataArray:
    indexed = table.set_index("date") if "date" in table.columns else table
    try:
        values = indexed.to_numpy(float)
    except (TypeError, ValueError) as error:
        raise LedgerError(f"{what} holds something that is no number: {error}.") from error
    coords = {"date": indexed.index.to_numpy(), "channel": [str(name) for name in indexed.columns]}
    return xr.DataArray(values, dims=("date", "channel"), coords=coords)


def _labels(labels: np.ndarray, name: str, what: str) -> list[str]:
    if name != "date":
        found = [str(label) for label in labels]
    else:
        try:
            found = [str(day) for day in np.asarray(labels, "datetime64[D]")]
        except (TypeError, ValueError) as error:
            raise LedgerError(f"{what} has a date that cannot be read: {error}. Write it as 2024-01-31.") from error
    twice = next((label for label in found if found.count(label) > 1), None)
    if twice is not None or "NaT" in found:
        raise LedgerError(f"{what} has the {name} {twice or 'NaT'} {'twice' if twice else 'in place of a date'}.")
    return found


def _checked(spend: xr.DataArray, what: str) -> xr.DataArray:
    values = spend.to_numpy()
    bad = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    if spend.size == 0:
        raise LedgerError(f"{what} is empty.")
    if len(bad):
        where = ", ".join(str(spend[name].values[place]) for name, place in zip(spend.dims, bad[0], strict=True))
        raise LedgerError(f"{what} must be finite and at least 0 everywhere; at {where} it is {values[tuple(bad[0])]}.")
    return spend


def _spread(plan: xr.DataArray, given: Mapping[str, float], what: str) -> xr.DataArray:
    _check_same(list(plan["channel"].values), list(map(str, given)), "channel", what)
    try:
        totals = np.array([float(given[name]) for name in plan["channel"].values])
    except (TypeError, ValueError) as error:
        raise LedgerError(f"{what} must hold one number per channel: {error}.") from error
    sums = plan.sum([name for name in plan.dims if name != "channel"])
    cells = plan.size / plan.sizes["channel"]
    profile = xr.where(sums > 0, plan / sums.where(sums > 0, 1.0), 1.0 / cells).transpose(*plan.dims)
    return _checked(profile * xr.DataArray(totals, dims="channel", coords={"channel": plan["channel"]}), what)


def _check_same(plan: list[Any], given: list[Any], name: str, what: str) -> None:
    known, found = set(map(str, plan)), set(map(str, given))
    unknown, missing = sorted(found - known), sorted(known - found)
    if unknown:
        raise LedgerError(f"{what} has the {name} {unknown[0]!r}, which the plan has not; it has {_listed(plan)}.")
    if missing:
        raise LedgerError(f"{what} lacks the {name} {missing[0]!r} of the plan. Give 0 where nothing is spent.")


def _listed(names: list[Any]) -> str:
    words = [str(name) for name in names]
    return ", ".join(words) if len(words) <= 8 else f"{', '.join(words[:3])} ... {words[-1]}"


def _kind(given: Any) -> str:
    dims = f" over ({', '.join(map(str, given.dims))})" if isinstance(given, xr.DataArray) else ""
    return f"{type(given).__name__}{dims}"
