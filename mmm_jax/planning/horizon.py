"""The dates that are planned: which they are, what was spent before them, how a level is spread over them."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from mmm_jax.data.calendar import infer_frequency, next_dates
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.fitting.posterior import Fit

Horizon = Panel | Sequence | np.ndarray | int
"""A panel of the planned rows, their dates, or how many periods follow the training rows."""

Profile = Mapping[str, Sequence[float]] | xr.DataArray | None
"""Relative spend over the dates by channel; only its shape counts."""


def horizon_panel(fit: Fit, horizon: Horizon) -> Panel:
    """The planned rows as a panel without target; its spend is a placeholder unless a panel was given.

    Raises:
        PlanError: no dates, dates at another frequency, or a model whose response depends on controls that are not given.
    """
    if isinstance(horizon, Panel):
        return horizon
    if not fit.spec.likelihood.additive and fit.panel.control_names:
        raise PlanError(
            "With a log link, what spend brings depends on the controls of the planned dates. "
            "Pass `horizon=` as a Panel that holds them."
        )
    dates = _dates(fit, horizon)
    return Panel(
        dates=dates,
        spend=np.zeros((len(fit.panel.channels), len(dates))),
        controls=np.zeros((len(fit.panel.control_names), len(dates))),
        target=None,
        channels=fit.panel.channels,
        control_names=fit.panel.control_names,
        target_name=fit.panel.target_name,
        frequency=fit.panel.frequency,
    )


def spend_profile(profile: Profile, rows: Panel) -> np.ndarray:
    """Spend per date and unit of mean spend, shape (channel, time): every row has the mean 1.

    Raises:
        PlanError: unknown or missing channels or dates, or a profile that is negative, not finite or 0 throughout.
    """
    if profile is None:
        return np.ones((len(rows.channels), len(rows)))
    if isinstance(profile, xr.DataArray):
        profile = _by_channel(profile, rows)
    return np.stack([_normalised(channel, profile, len(rows)) for channel in rows.channels])


def _dates(fit: Fit, horizon: Sequence | np.ndarray | int) -> np.ndarray:
    if isinstance(horizon, (int, np.integer)):
        if horizon < 1:
            raise PlanError(f"The horizon must have at least 1 period, got {horizon}.")
        return next_dates(fit.panel.dates, int(horizon), fit.panel.frequency)
    try:
        dates = np.asarray(horizon, dtype="datetime64[D]")
    except (ValueError, TypeError) as error:
        raise PlanError(f"The horizon's dates cannot be read: {error}. Write them as 2024-01-31.") from error
    if dates.ndim != 1 or len(dates) == 0:
        raise PlanError("The horizon must be a list of at least one date, a number of periods, or a Panel.")
    if np.any(np.diff(dates).astype(int) <= 0):
        raise PlanError("The horizon's dates must be increasing, without duplicates.")
    if len(dates) > 1 and infer_frequency(dates) is not fit.panel.frequency:
        raise PlanError(f"The horizon's dates must be {fit.panel.frequency}, as the fit's; they are {infer_frequency(dates)}.")
    return dates


def _by_channel(profile: xr.DataArray, rows: Panel) -> dict[str, np.ndarray]:
    if set(profile.dims) != {"date", "channel"}:
        raise PlanError(f"A profile must have the dimensions date and channel, got {profile.dims}.")
    if profile.sizes["date"] != len(rows):
        raise PlanError(f"The profile has {profile.sizes['date']} dates, the horizon {len(rows)}.")
    table = profile.transpose("channel", "date")
    return {str(name): table.sel(channel=name).to_numpy() for name in table["channel"].values}


def _normalised(channel: str, profile: Mapping[str, Sequence[float]], length: int) -> np.ndarray:
    if channel not in profile:
        raise PlanError(f"The profile lacks the channel {channel!r}.")
    row = np.asarray(profile[channel], float)
    if row.shape != (length,):
        raise PlanError(f"The profile of {channel!r} has {row.size} values, the horizon {length} dates.")
    if not np.isfinite(row).all() or row.min() < 0 or row.sum() == 0:
        raise PlanError(f"The profile of {channel!r} must be finite, at least 0 and not 0 on all dates.")
    return row / row.mean()
