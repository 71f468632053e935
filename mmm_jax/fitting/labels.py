"""Names on arrays: the edge between the engine's arrays and what people read."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

Coords = Mapping[str, Sequence | np.ndarray]


def labelled(values: np.ndarray, dims: Sequence[str], coords: Coords, num_chains: int, **attrs: str) -> xr.DataArray:
    """Draws of shape (chain * draw, *dims) as a DataArray with the dimensions (chain, draw, *dims)."""
    shaped = values.reshape(num_chains, len(values) // num_chains, *values.shape[1:])
    known = {dim: coords[dim] for dim in dims if dim in coords}
    return xr.DataArray(shaped, dims=("chain", "draw", *dims), coords={**draw_coords(shaped), **known}, attrs=attrs)


def draw_coords(shaped: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of chains and draws as coordinates."""
    return {"chain": np.arange(shaped.shape[0]), "draw": np.arange(shaped.shape[1])}


def interval(draws: xr.DataArray, prob: float = 0.9) -> xr.Dataset:
    """Posterior `mean`, `median`, `sd` and the central interval `lower`, `upper` of the given probability."""
    over = ("chain", "draw")
    low, high = (1 - prob) / 2, (1 + prob) / 2
    quantiles = draws.quantile([low, 0.5, high], dim=over)
    return xr.Dataset(
        {
            "mean": draws.mean(over),
            "sd": draws.std(over),
            "lower": quantiles.isel(quantile=0, drop=True),
            "median": quantiles.isel(quantile=1, drop=True),
            "upper": quantiles.isel(quantile=2, drop=True),
        },
        attrs={"prob": prob},
    )
