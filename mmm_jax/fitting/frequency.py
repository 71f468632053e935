"""The average frequency at which the same impressions bring most."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from mmm_jax.analysis.draws import over_draws
from mmm_jax.analysis.frequency import contribution_at_frequency
from mmm_jax.data.reach import largest_frequency, mean_frequency, with_frequency
from mmm_jax.errors import PanelError
from mmm_jax.fitting.labels import labelled
from mmm_jax.kernels.numerics import precision_scope

if TYPE_CHECKING:
    from mmm_jax.fitting.posterior import Fit

_END = 1e-6
"""Of the grid's length: how near to one of its ends an optimum lies at it."""


def optimal_frequency(fits: Sequence["Fit"], points: int, prob: float) -> xr.Dataset:
    """See `Fit.optimal_frequency`; over all markets together, with the same frequency in each. Computed in float64.

    Args:
        fits: of markets with the same channels and numbers of draws.
        points: of the grid.
        prob: probability of the interval of the draws' own optima.
    """
    if points < 3:
        raise ValueError(f"`points` must be at least 3, got {points}.")
    with precision_scope("float64"):
        search = _Search(fits)
        grid = np.linspace(np.ones_like(search.top), np.maximum(search.top, 1.0), points, axis=1)
        contribution = search.contribution(grid)
        best, every = search.refined(grid, contribution.mean(axis=0)), search.refined_by_draw(grid, contribution)
        at = search.contribution(np.stack([best, np.maximum(search.current, 1.0)], axis=1))
    return search.told(grid, contribution, best, every, at, prob)


class _Search:
    """Contributions at any frequency, of the channels with one, summed over markets."""

    def __init__(self, fits: Sequence["Fit"]) -> None:
        self.fits, panel = fits, fits[0].panel
        self.places = list(with_frequency(panel))
        if not self.places:
            raise PanelError(
                "No channel has a frequency, so that none is best. Give `frequency=` to `Panel.from_frame`, and people "
                "reached as the channel's `media=`."
            )
        self.rows = [fit.window() for fit in fits]
        self.models = [fit.model() for fit in fits]
        self.draws = [{n: v.astype(float) for n, v in fit.flat_draws().items()} for fit in fits]
        self.top = np.max([largest_frequency(fit.panel)[self.places] for fit in fits], axis=0)
        pairs = [(fit.panel.exposure, fit.panel.average_frequency) for fit in fits]
        parts = zip(*pairs, strict=True)
        joined = (np.concatenate([np.asarray(one)[self.places] for one in part], axis=1) for part in parts)
        self.current = mean_frequency(*joined)

    def contribution(self, frequency: np.ndarray, *, each: bool = False) -> np.ndarray:
        """Shape (draw, own, point).

        Args:
            frequency: shape (own, point), or with the draws as first axis.
            each: whether every draw has its own.
        """
        parts = []
        for fit, model, draws, rows in zip(self.fits, self.models, self.draws, self.rows, strict=True):
            scale = np.asarray(fit.scales.frequency)[self.places]
            if each:
                parts.append(over_draws(contribution_at_frequency, model, draws, scale, rows, each=frequency))
            else:
                parts.append(over_draws(contribution_at_frequency, model, draws, frequency, scale, rows))
        return np.sum(parts, axis=0)

    def refined(self, grid: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Frequency at which the mean over the draws is largest, between the neighbours of the grid's best, shape (own,)."""
        finer = _between(grid, values)
        return _at_largest(finer, self.contribution(finer).mean(axis=0))

    def refined_by_draw(self, grid: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The same for every draw, shape (draw, own)."""
        finer = _between(np.broadcast_to(grid, values.shape), values)
        return _at_largest(finer, self.contribution(finer, each=True))

    def told(
        self, grid: np.ndarray, contribution: np.ndarray, best: np.ndarray, every: np.ndarray, at: np.ndarray, prob: float
    ) -> xr.Dataset:
        """The result with its names; a channel that reached nobody has no optimum."""
        first = self.fits[0]
        names = [first.panel.channels[place] for place in self.places]
        spend = np.sum([fit.panel.spend[self.places] @ rows for fit, rows in zip(self.fits, self.rows, strict=True)], axis=0)
        per_spend = np.where(spend > 0, spend, np.nan)[:, None]
        reached = self.top > 0
        low, high = np.quantile(every, [(1 - prob) / 2, (1 + prob) / 2], axis=0)

        def draws(values: np.ndarray, *dims: str) -> xr.DataArray:
            return labelled(values, ("channel", *dims), {"channel": names}, first.num_chains)

        numbers = {"optimal_frequency": best, "lower": low, "upper": high, "current_frequency": self.current}
        return xr.Dataset(
            {
                **{name: ("channel", np.where(reached, values, np.nan)) for name, values in numbers.items()},
                "at_end": ("channel", _ends(grid, best)),
                "by_draw": draws(np.where(reached, every, np.nan)),
                "roas_optimal": draws((at / per_spend)[..., 0]),
                "roas_current": draws((at / per_spend)[..., 1]),
                "frequency": (("channel", "point"), grid),
                "roas": draws(contribution / per_spend, "point"),
                "contribution": draws(contribution, "point"),
            },
            coords={"channel": names},
            attrs={"prob": prob, "columns": [first.panel.frequency_columns[place] for place in self.places]},
        )


def _between(grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """As many points as the grid's, from the one before its best to the one after it."""
    last, best = grid.shape[-1] - 1, values.argmax(axis=-1)
    low, high = (np.take_along_axis(grid, np.clip(best + step, 0, last)[..., None], axis=-1)[..., 0] for step in (-1, 1))
    return np.linspace(low, high, grid.shape[-1], axis=-1)


def _at_largest(grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.take_along_axis(grid, values.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def _ends(grid: np.ndarray, best: np.ndarray) -> list[str]:
    """`lowest` or `highest` where the optimum lies at that end of the grid, else nothing."""
    near = _END * np.maximum(grid[:, -1] - grid[:, 0], 1.0)
    low, high = best <= grid[:, 0] + near, best >= grid[:, -1] - near
    return ["lowest" if one else "highest" if other else "" for one, other in zip(low, high, strict=True)]
