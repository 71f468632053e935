"""What a unit of media costs, where the fitted table holds units (impressions, rating points) instead of currency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmm_jax.errors import PlanError


@dataclass(frozen=True)
class Price:
    """Cost of a channel's units: `u` units in a period cost `cost * base / (1 + rise) * ((1 + u / base)**(1 + rise) - 1)`.

    The last unit then costs `cost * (1 + u / base)**rise`: `cost` at first, more the more is bought; the same for any
    number where `rise` is 0.

    Attributes:
        cost: currency per unit at first; one number, or one for each date of the horizon.
        rise: elasticity of the last unit's cost, dimensionless, at least 0.
        base: units per period beyond which the cost rises; needed where `rise` is not 0.

    Example:
        >>> Price(cost=2.0).units(np.array([10.0]))
        array([5.])
        >>> Price(cost=2.0, rise=1.0, base=5.0).units(np.array([15.0])).round(3)
        array([5.])
        >>> Price(cost=2.0, rise=1.0, base=5.0).spend(np.array([5.0]))
        array([15.])
    """

    cost: float | Sequence[float] | np.ndarray
    rise: float = 0.0
    base: float | None = None

    def __post_init__(self) -> None:
        cost = np.asarray(self.cost, float)
        if cost.ndim > 1 or cost.size == 0 or not np.isfinite(cost).all() or cost.min() <= 0:
            raise PlanError(f"`cost` of a Price must be positive, one number or one per date; got {self.cost!r}.")
        if not (np.isfinite(self.rise) and self.rise >= 0):
            raise PlanError(f"`rise` of a Price must be at least 0, got {self.rise!r}.")
        if self.rise > 0 and not (self.base is not None and np.isfinite(self.base) and self.base > 0):
            raise PlanError(f"A Price that rises needs `base`, in units per period, positive; got {self.base!r}.")

    def units(self, spend: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Units that the spend of a period buys."""
        bought = spend / np.asarray(self.cost, float)
        if self.rise == 0 or self.base is None:
            return bought
        power = 1 + self.rise
        return self.base * np.expm1(np.log1p(power * bought / self.base) / power)

    def spend(self, units: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """What the units of a period cost, in currency; the inverse of `units`."""
        bought = np.asarray(units, float)
        if self.rise != 0 and self.base is not None:
            power = 1 + self.rise
            bought = self.base / power * np.expm1(power * np.log1p(bought / self.base))
        return np.asarray(self.cost, float) * bought


class Rates(NamedTuple):
    """Prices of all channels, and what media is scaled by, as arrays over (geo, channel, date).

    Attributes:
        per_currency: scaled media per unit of currency at the first unit's cost.
        bend: `(1 + rise) / (base in scaled media)`; 0 where the cost does not rise.
        power: `1 + rise`.
    """

    per_currency: Float[Array, "geo channel date"]
    bend: Float[Array, "geo channel date"]
    power: Float[Array, "geo channel date"]

    @classmethod
    def build(
        cls,
        prices: Mapping[str, Price],
        channels: Sequence[str],
        dates: int,
        scales: Float[np.ndarray, "geo channel"],
        costs: Float[np.ndarray, "geo channel"] | None = None,
    ) -> Self:
        """Arrays of the prices.

        Args:
            prices: by channel.
            channels: names.
            dates: how many.
            scales: units of the table per unit of scaled media.
            costs: currency per unit of channels without a price, infinite where no money buys any; 1 by default.

        Raises:
            PlanError: a price of an unknown channel, or with costs for another number of dates.
        """
        for channel in prices:
            if channel not in channels:
                raise PlanError(f"`prices` names the channel {channel!r}; the fit has {', '.join(channels)}.")
        given = [prices.get(channel, Price(1.0)) for channel in channels]
        cost = np.stack([_cost(price, dates, channel) for price, channel in zip(given, channels, strict=True)])[None]
        if costs is not None:
            cost = np.where(np.isin(channels, list(prices))[:, None], cost, costs[..., None])
        rise = np.array([price.rise for price in given])[None, :, None]
        base = np.array([price.base or 1.0 for price in given])[None, :, None] / scales[..., None]
        shape = (len(scales), len(channels), dates)
        per_currency = np.broadcast_to(1.0 / (cost * scales[..., None]), shape)
        bend = np.broadcast_to(np.where(rise > 0, (1 + rise) / base, 0.0), shape)
        return cls(per_currency, bend, np.broadcast_to(1.0 + rise, shape))  # pyright: ignore[reportArgumentType]

    @property
    def rises(self) -> bool:
        """Whether some price rises with what is bought."""
        return bool(np.any(np.asarray(self.bend) > 0))

    def media(self, spend: Float[Array, "geo channel date"]) -> Float[Array, "geo channel date"]:
        """Scaled media that the spend buys."""
        bought = self.per_currency * spend
        rising = self.bend > 0
        bend = jnp.where(rising, self.bend, 1.0)
        risen = (self.power / bend) * jnp.expm1(jnp.log1p(bend * bought) / self.power)
        return jnp.where(rising, risen, bought)


def _cost(price: Price, dates: int, channel: str) -> np.ndarray:
    cost = np.asarray(price.cost, float)
    if cost.ndim == 1 and len(cost) != dates:
        raise PlanError(f"The price of {channel!r} has {len(cost)} costs, the horizon {dates} dates.")
    return np.broadcast_to(cost, (dates,))
