"""Which rows of a newer table a fit has not seen."""

from dataclasses import replace

import numpy as np

from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting import forward
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.posterior import Fit
from mmm_jax.monitoring.restated import Restated, restated_cells


def new_rows(fit: Fit | GeoFit, panel: AnyPanel) -> tuple[AnyPanel, tuple[Restated, ...]]:
    """The rows after training, and the cells of training rows that differ.

    Raises:
        MonitoringError: there are no new rows, no target, or the panel is not of the fit's kind.
        PredictionError: columns or geos are not those of the fit.
    """
    if isinstance(panel, GeoPanel) != isinstance(fit, GeoFit):
        kinds = ("of geos", "of one market")
        ours, theirs = kinds if isinstance(fit, GeoFit) else kinds[::-1]
        raise MonitoringError(f"The fit is {ours}, the new panel is {theirs}. Give rows of the same kind.")
    if panel.target is None:
        raise MonitoringError("The new panel has no target: what happened is what the model is judged by.")
    same = aligned(fit, panel)
    last = fit.panel.dates[-1]
    after = same.dates > last
    if not after.any():
        raise MonitoringError(f"The fit has seen rows up to {last}, the new panel ends on {same.dates[-1]}: nothing is new.")
    cells = [cell for geo, old, new in _pairs(fit, same) for cell in restated_cells(old, new, geo)]
    return same.take(slice(int(np.argmax(after)), None)), tuple(cells)


def markets_of(fit: Fit | GeoFit, panel: AnyPanel) -> list[tuple[str | None, Fit, Panel]]:
    """Name, fit and rows of every market; one without a name for a panel of one market."""
    if isinstance(fit, GeoFit) and isinstance(panel, GeoPanel):
        return [(geo, one, panel[geo]) for geo, one in fit.markets.items()]
    if isinstance(fit, Fit) and isinstance(panel, Panel):
        return [(None, fit, panel)]
    raise MonitoringError("Fit and panel are not of the same kind.")


def aligned(fit: Fit | GeoFit, panel: AnyPanel) -> AnyPanel:
    """The panel with its columns and geos in the fit's order.

    Raises:
        MonitoringError: it is not of the fit's kind.
        PredictionError: columns or geos are not those of the fit.
    """
    if isinstance(fit, GeoFit) and isinstance(panel, GeoPanel):
        forward.check_same_geos(panel.geos, fit.panel.geos)
        markets = tuple(forward.aligned(panel[geo], fit.panel[geo]) for geo in fit.panel.geos)
        order = [panel.geos.index(geo) for geo in fit.panel.geos]
        heads = None if panel.population is None else panel.population[order]
        return replace(panel, geos=fit.panel.geos, markets=markets, population=heads)
    if isinstance(fit, Fit) and isinstance(panel, Panel):
        return forward.aligned(panel, fit.panel)
    raise MonitoringError("Fit and panel are not of the same kind.")


def _pairs(fit: Fit | GeoFit, panel: AnyPanel) -> list[tuple[str | None, Panel, Panel]]:
    return [(geo, one.panel, rows) for geo, one, rows in markets_of(fit, panel)]
