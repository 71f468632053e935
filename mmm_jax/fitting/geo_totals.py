"""Sums over geos, of which some may lack rows."""

import numpy as np
import xarray as xr

from mmm_jax.data.geo_panel import GeoPanel


def summed_over_geos(predicted: xr.Dataset, panel: GeoPanel) -> xr.Dataset:
    """Draws of the geos' sum in every period, each geo as far as it has rows, as `GeoPanel.known_total` adds them up.

    Args:
        predicted: by geo, dimensions (chain, draw, date, geo).
        panel: the same rows.
    """
    there = xr.DataArray(panel.present, dims=("geo", "date"), coords={"geo": list(panel.geos)})
    summed = predicted if bool(np.all(panel.present)) else predicted.where(there, 0.0)
    return summed.sum("geo", keep_attrs=True)
