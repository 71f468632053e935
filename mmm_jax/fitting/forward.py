"""The fitted model over other rows: which panels continue a fit, and with which spend before them."""

from dataclasses import replace

import numpy as np

from mmm_jax.data.calendar import continues
from mmm_jax.data.media import check_same_kinds
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PredictionError


def aligned(panel: Panel, training: Panel) -> Panel:
    """The panel with its channels and controls in the training panel's order.

    Raises:
        PredictionError: channels or controls are missing or unknown, their media are of another kind (units, organic, with
            frequency), or the dates' frequency differs.
    """
    _check_same_names("channels", panel.channels, training.channels)
    _check_same_names("controls", panel.control_names, training.control_names)
    if panel.frequency is not training.frequency and len(panel) > 1:
        raise PredictionError(f"The fit is on {training.frequency} rows, the new panel has {panel.frequency} rows.")
    check_same_kinds(panel, training, PredictionError)
    channels = [panel.channels.index(name) for name in training.channels]
    controls = [panel.control_names.index(name) for name in training.control_names]
    return replace(
        panel,
        spend=panel.spend[channels],
        media=None if panel.media is None else panel.media[channels],
        average_frequency=None if panel.average_frequency is None else panel.average_frequency[channels],
        controls=panel.controls[controls],
        channels=training.channels,
        control_names=training.control_names,
        target_name=training.target_name,
        frequency=training.frequency,
        units=training.units,
        organic=training.organic,
        frequency_columns=training.frequency_columns,
        treatments=training.treatments,
    )


def check_same_geos(new: tuple[str, ...], fitted: tuple[str, ...]) -> None:
    """Raise a `PredictionError` unless the new panel has the geos of the fit."""
    _check_same_names("geos", new, fitted)


def media_before(
    panel: Panel, training: Panel, periods: int, history: Panel | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Media of the periods right before the panel's first row as the model sees them, and their average frequency.

    Args:
        panel: new rows.
        training: the rows that were fitted; they come right before the new ones unless `history` is given.
        periods: how many rows are needed; where fewer are known, the missing ones before them count as 0.
        history: rows that come right before the panel.

    Returns:
        Both of shape (channel, periods); there is no frequency where the panel has none.

    Raises:
        PredictionError: the rows before the panel are not known, or overlap with it.
    """
    before = training if history is None else aligned(history, training)
    if panel.dates[0] <= before.dates[-1]:
        raise PredictionError(
            f"The new panel begins on {panel.dates[0]}, but rows up to {before.dates[-1]} are known already. "
            "Begin it after them, or predict the training rows with `fit.predict()`."
        )
    if not continues(before.dates, panel.dates, training.frequency):
        raise PredictionError(
            f"Between {before.dates[-1]} and {panel.dates[0]}, where the new panel begins, rows are missing, so that the "
            "carry-over of their spend is not known. Give them as `history=`, or pass `carry_in=False` to count it as 0."
        )
    frequency = before.average_frequency
    return _last(before.exposure, periods), None if frequency is None else _last(frequency, periods)


def _last(rows: np.ndarray, periods: int) -> np.ndarray:
    """The last columns; 0 for those before the first one."""
    known = rows[:, -periods:] if periods else rows[:, :0]
    return np.pad(known, ((0, 0), (periods - known.shape[1], 0)))


def _check_same_names(what: str, new: tuple[str, ...], fitted: tuple[str, ...]) -> None:
    missing, unknown = sorted(set(fitted) - set(new)), sorted(set(new) - set(fitted))
    if missing:
        raise PredictionError(f"The new panel lacks {what} of the fit: {', '.join(map(repr, missing))}.")
    if unknown:
        raise PredictionError(f"The new panel has {what} that the fit does not know: {', '.join(map(repr, unknown))}.")
