"""What is decided: which cells of (geo, channel, date) one number of the plan stands for, and how it is spread over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from mmm_jax.errors import PlanError

DIMS = ("date", "channel", "geo")
"""What may be decided apart, in the order in which plans show it."""

National = "national"
"""Name of the one market of a plan without geos."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The numbers of a plan and their cells.

    Every number is currency over its cells; its shares over them sum to 1.

    Attributes:
        by: which of `DIMS` are decided apart.
        dates: of the horizon, `datetime64[D]`.
        channels: names.
        geos: names; one, `National`, for a plan of one market.
        shares: share of its number that a cell gets, shape (geo, channel, date).
    """

    by: tuple[str, ...]
    dates: np.ndarray
    channels: tuple[str, ...]
    geos: tuple[str, ...]
    shares: np.ndarray

    @cached_property
    def index(self) -> np.ndarray:
        """Number that each cell belongs to, shape (geo, channel, date)."""
        sizes = [size if apart else 1 for size, apart in zip(self.shares.shape, self._apart, strict=True)]
        numbers = np.arange(np.prod(sizes)).reshape(sizes)
        return np.broadcast_to(numbers, self.shares.shape)

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return int(self.index.max()) + 1

    @property
    def channel_of(self) -> np.ndarray:
        """Place of the channel that each number belongs to, (number,)."""
        places = np.broadcast_to(np.arange(len(self.channels))[None, :, None], self.index.shape)
        found = np.zeros(self.count, int)
        found[self.index.ravel()] = places.ravel()
        return found

    @property
    def _apart(self) -> tuple[bool, bool, bool]:
        return "geo" in self.by, "channel" in self.by, "date" in self.by

    @property
    def identity(self) -> bool:
        """Whether every cell has its own number, in the cells' order."""
        return all(self._apart) or self.count == self.shares.size

    def cells(self, amounts: np.ndarray) -> np.ndarray:
        """Spend of every cell, (geo, channel, date)."""
        return self.shares * amounts[self.index]

    def gathered(self, per_cell: np.ndarray) -> np.ndarray:
        """Sum over cells of a coefficient times the cell's spend, as coefficients of the numbers, (number,)."""
        return np.bincount(self.index.ravel(), (per_cell * self.shares).ravel(), minlength=self.count)

    def labelled(self, values: np.ndarray) -> xr.DataArray:
        """One value per number with its labels, over those of `DIMS` that are decided apart."""
        kept = [name for name, apart in zip(("geo", "channel", "date"), self._apart, strict=True) if apart]
        sizes = {"geo": len(self.geos), "channel": len(self.channels), "date": len(self.dates)}
        shaped = np.asarray(values).reshape([sizes[name] for name in kept])
        table = xr.DataArray(shaped, dims=kept, coords={name: self.coords[name] for name in kept})
        return table.transpose(*[name for name in DIMS if name in kept])

    def spend(self, amounts: np.ndarray) -> xr.DataArray:
        """Spend by date, channel and, where there are several, geo."""
        table = xr.DataArray(self.cells(amounts), dims=("geo", "channel", "date"), coords=self.coords, name="spend")
        return (table if self.geographic else table.isel(geo=0, drop=True)).transpose(
            "date", "channel", *(["geo"] if self.geographic else [])
        )

    @property
    def geographic(self) -> bool:
        """Whether plans show the geo."""
        return self.geos != (National,)

    @property
    def coords(self) -> dict[str, np.ndarray | list[str]]:
        """Labels of all dimensions."""
        return {
            "geo": list(self.geos),
            "channel": list(self.channels),
            "date": self.dates.astype("datetime64[ns]"),
        }

    def selected(
        self,
        channels: str | Sequence[str] | None,
        dates: tuple[object, object] | None = None,
        geos: str | Sequence[str] | None = None,
    ) -> np.ndarray:
        """1 for the cells of these channels, first to last date and geos, else 0; all where not given.

        Raises:
            PlanError: a name that does not exist, or no date in between.
        """
        over_channels = _chosen(channels, self.channels, "channel")
        over_geos = _chosen(geos, self.geos, "geo")
        over_dates = np.ones(len(self.dates)) if dates is None else self._between(dates)
        return over_geos[:, None, None] * over_channels[None, :, None] * over_dates

    def _between(self, dates: tuple[object, object]) -> np.ndarray:
        try:
            first, last = (np.datetime64(str(date), "D") for date in dates)
        except (ValueError, TypeError) as error:
            raise PlanError(f"`dates` must be the first and the last date, such as 2024-01-31; got {dates!r}.") from error
        chosen = (self.dates >= first) & (self.dates <= last)
        if not chosen.any():
            raise PlanError(
                f"No planned date lies between {first} and {last}; there are {self.dates[0]} to {self.dates[-1]}."
            )
        return chosen.astype(float)


def checked_by(by: str | Sequence[str], *, geographic: bool) -> tuple[str, ...]:
    """The dimensions that are decided apart.

    Raises:
        PlanError: unknown or repeated dimensions, no channel, or geos where there is one market only.
    """
    names = (by,) if isinstance(by, str) else tuple(by)
    unknown = [name for name in names if name not in DIMS]
    if unknown or len(set(names)) < len(names):
        raise PlanError(f"`by` must name some of {', '.join(DIMS)}, each once; got {by!r}.")
    if "channel" not in names:
        raise PlanError("`by` must hold 'channel'. Keep the mix of channels fixed by `Ratio` constraints instead.")
    if "geo" in names and not geographic:
        raise PlanError("`by` holds 'geo', but there is one market. Pass a mapping of fits by geo.")
    return names


def _chosen(names: str | Sequence[str] | None, known: Sequence[str], what: str) -> np.ndarray:
    if names is None:
        return np.ones(len(known))
    given = [names] if isinstance(names, str) else list(names)
    for name in given:
        if name not in known:
            raise PlanError(f"There is no {what} {name!r}; there are {', '.join(known)}.")
    if not given:
        raise PlanError(f"An empty list of {what}s selects nothing; leave it out for all of them.")
    return np.array([float(name in given) for name in known])
