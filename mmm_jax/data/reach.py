"""Reach and frequency: how many people a channel reaches in a period, and how often each of them sees it on average.

The media of such a channel are its reach. Its impressions are reach times frequency; its frequency is told beside them, and
is of no account in periods without reach.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmm_jax.errors import PanelError

if TYPE_CHECKING:
    from mmm_jax.data.geo_panel import GeoPanel
    from mmm_jax.data.panel import Panel


def checked_frequency(
    frequency: Mapping[str, str] | None, media: Mapping[str, str], paid: tuple[str, ...], organic: tuple[str, ...]
) -> dict[str, str]:
    """Column of the average frequency by channel, of those that have one.

    Raises:
        PanelError: no mapping of channel to column, an unknown channel, or one whose reach is not known.
    """
    if not isinstance(frequency, Mapping | None):
        raise PanelError(f"`frequency` must map channels to their columns, got {type(frequency).__name__}.")
    for name in frequency or {}:
        if name not in (*paid, *organic):
            known = ", ".join(map(repr, (*paid, *organic)))
            raise PanelError(f"`frequency` names the channel {name!r}; the channels are {known}.")
        if name in paid and name not in media:
            raise PanelError(
                f"`frequency` names {name!r}, whose reach is not known: name its column of people reached in `media`, too."
            )
    return dict(frequency or {})


def check_frequency(values: np.ndarray, reach: np.ndarray, dates: np.ndarray, channel: str, column: str) -> None:
    """Whoever is reached has at least one impression; where nobody is, the frequency is any number of at least 0."""
    bad = np.flatnonzero(values < np.where(reach > 0, 1.0, 0.0))
    if len(bad):
        date, value = dates[bad[0]], values[bad[0]]
        why = "it cannot be negative" if value < 0 else f"{reach[bad[0]]:g} people are reached, so that it is at least 1"
        raise PanelError(
            f"Frequency is impressions per person reached, but {len(bad)} cells cannot be that; the first is channel "
            f"{channel!r}, column {column!r}, {date}: got {value:g}, where {why}. Divide impressions by people reached."
        )


def frequency_of(panel: "Panel | GeoPanel", channel: str) -> str:
    """Name of the column of a channel's average frequency; "" where it has none."""
    columns = panel.frequency_columns
    return columns[panel.channels.index(channel)] if columns else ""


def with_frequency(panel: "Panel | GeoPanel") -> tuple[int, ...]:
    """Places of the channels that come as reach and frequency."""
    return tuple(place for place, column in enumerate(panel.frequency_columns) if column)


def frequency_varies(panel: "Panel | GeoPanel", place: int) -> bool:
    """Whether a channel has a frequency, and not the same one in all periods with reach."""
    if panel.average_frequency is None:
        return False
    found = panel.average_frequency[place][panel.exposure[place] > 0]
    return len(found) > 0 and bool(np.ptp(found) > 0)


def mean_frequency(reach: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Impressions per person reached over the last axis, `sum of reach * frequency / sum of reach`; NaN without reach.

    Args:
        reach: people per period, shape (..., time).
        frequency: shape (..., time).
    """
    people, impressions = reach.sum(axis=-1), (reach * frequency).sum(axis=-1)
    return np.where(people > 0, impressions / np.where(people > 0, people, 1.0), np.nan)


def largest_frequency(panel: "Panel") -> np.ndarray:
    """Of the periods with reach, shape (channel,); 0 where there is none, or where a channel has no frequency."""
    if panel.average_frequency is None:
        return np.zeros(len(panel.channels))
    return np.where(panel.exposure > 0, panel.average_frequency, 0.0).max(axis=1)


def frequency_under(panel: "Panel", media: np.ndarray | None) -> np.ndarray | None:
    """Frequency under other media: the period's own; where nobody was reached before, the channel's mean.

    Args:
        panel: media and frequency as they are.
        media: other media, shape (channel, time).
    """
    if panel.average_frequency is None or media is None:
        return panel.average_frequency
    mean = np.nan_to_num(mean_frequency(panel.exposure, panel.average_frequency))[:, None]
    return np.where((panel.exposure == 0) & (media > 0), mean, panel.average_frequency)
