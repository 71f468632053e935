"""Rows after training whose channels need not be the fit's: some may be new, some may have been dropped."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.media import kind_of
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError, PredictionError
from mmm_jax.fitting.forward import check_same_geos
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit


class Channels(NamedTuple):
    """How the channels of newer rows differ from the fit's.

    Attributes:
        new: what the fit does not know, in the newer rows' order.
        dropped: what the newer rows do not have, in the fit's order.
    """

    new: tuple[str, ...]
    dropped: tuple[str, ...]

    @classmethod
    def of(cls, panel: AnyPanel, training: AnyPanel) -> "Channels":
        """By their names."""
        new = tuple(name for name in panel.channels if name not in training.channels)
        return cls(new, tuple(name for name in training.channels if name not in panel.channels))


def recent_rows(fit: AnyFit, panel: AnyPanel, window: int | None) -> AnyPanel:
    """The rows after training, or the last ones of them.

    Raises:
        MonitoringError: there are none, or the panel is not of the fit's kind or frequency.
        PredictionError: other geos than the fit's.
    """
    if isinstance(panel, GeoPanel) != isinstance(fit, GeoFit):
        kinds = ("of geos", "of one market")
        ours, theirs = kinds if isinstance(fit, GeoFit) else kinds[::-1]
        raise MonitoringError(f"The fit is {ours}, the recent panel is {theirs}. Give rows of the same kind.")
    if isinstance(panel, GeoPanel) and isinstance(fit, GeoFit):
        check_same_geos(panel.geos, fit.panel.geos)
    if len(panel) > 1 and panel.frequency is not fit.panel.frequency:
        raise MonitoringError(f"The fit is on {fit.panel.frequency} rows, the recent panel has {panel.frequency} rows.")
    after = panel.dates > fit.panel.dates[-1]
    if not after.any():
        raise MonitoringError(
            f"The fit has seen rows up to {fit.panel.dates[-1]}, the recent panel ends on {panel.dates[-1]}: nothing is new."
        )
    first = int(np.argmax(after))
    return panel.take(slice(first if window is None else max(first, len(panel) - window), None))


def as_fitted(panel: AnyPanel, training: AnyPanel) -> AnyPanel:
    """The panel with the channels that a fit knows: new ones are left out, dropped ones have no media after training.

    Args:
        panel: newer rows.
        training: the rows that were fitted.

    Raises:
        PredictionError: the media of a channel are of another kind than the fit's; other geos.
    """
    if isinstance(panel, GeoPanel) and isinstance(training, GeoPanel):
        check_same_geos(panel.geos, training.geos)
        return replace(panel, markets=tuple(_as_fitted(panel[geo], training[geo]) for geo in panel.geos))
    if isinstance(panel, Panel) and isinstance(training, Panel):
        return _as_fitted(panel, training)
    raise MonitoringError("The two panels are not of the same kind.")


def _as_fitted(panel: Panel, training: Panel) -> Panel:
    for name in training.channels:
        if name in panel.channels and kind_of(panel, name) != kind_of(training, name):
            raise PredictionError(
                f"The fit takes the media of {name!r} as {kind_of(training, name)}, the newer rows have them as "
                f"{kind_of(panel, name)}. Give `media=`, `organic=` and `frequency=` to `Panel.from_frame` as for the fit."
            )

    seen = np.flatnonzero(np.isin(training.dates, panel.dates))
    place = np.searchsorted(panel.dates, training.dates[seen])

    def rows(values: np.ndarray, trained: np.ndarray) -> np.ndarray:
        found = np.zeros((len(training.channels), len(panel)))
        found[:, place] = trained[:, seen]
        for own, name in enumerate(training.channels):
            if name in panel.channels:
                found[own] = values[panel.channels.index(name)]
        return found

    frequency = np.zeros(panel.spend.shape) if panel.average_frequency is None else panel.average_frequency
    return replace(
        panel,
        spend=rows(panel.spend, training.spend),
        media=None if training.media is None else rows(panel.exposure, training.exposure),
        average_frequency=None if training.average_frequency is None else rows(frequency, training.average_frequency),
        channels=training.channels,
        units=training.units,
        organic=training.organic,
        frequency_columns=training.frequency_columns,
    )
