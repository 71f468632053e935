"""The dates that are planned: which they are, what was spent before them, how a level is spread over them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from mmm_jax.data.calendar import Frequency, infer_frequency, next_dates
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError, PlanError
from mmm_jax.fitting.forward import aligned
from mmm_jax.fitting.posterior import Fit
from mmm_jax.planning.organic import held_media

Horizon = Panel | Sequence | np.ndarray | int
"""A panel of the planned rows, their dates, or how many periods follow the known rows."""

Profile = Mapping[str, Sequence[float] | np.ndarray] | xr.DataArray | None
"""Relative spend over the dates by channel; only its shape counts."""


def horizon_panel(fit: Fit, horizon: Horizon, history: Panel | None = None, frequency: np.ndarray | None = None) -> Panel:
    """The planned rows as a panel without target, in the fit's order of channels, without spend; organic media are held.

    Args:
        fit: the posterior.
        horizon: the rows, their dates, or how many follow the known rows.
        history: the last known rows, if they are not the training rows.
        frequency: usual average frequency, shape (channel,), where the rows have none; of the training rows by default.

    Raises:
        PlanError: no dates, dates at another frequency, or a model whose response depends on controls that are not given.
        PredictionError: a panel with other channels or controls than the fit's.
    """
    if isinstance(horizon, Panel):
        return replace(aligned(held_media(horizon, fit.panel, frequency), fit.panel), target=None)
    if not fit.spec.likelihood.additive and fit.panel.control_names:
        raise PlanError(
            "With a log link, what spend brings depends on the controls of the planned dates. "
            "Pass `horizon=` as a Panel that holds them."
        )
    dates = _dates(horizon, fit.panel if history is None else history)
    paid = tuple(name for name in fit.panel.channels if name not in fit.panel.organic)
    rows = Panel(
        dates=dates,
        spend=np.zeros((len(paid), len(dates))),
        controls=np.zeros((len(fit.panel.control_names), len(dates))),
        target=None,
        channels=paid,
        control_names=fit.panel.control_names,
        target_name=fit.panel.target_name,
        frequency=fit.panel.frequency,
    )
    return aligned(held_media(rows, fit.panel, frequency), fit.panel)


def spend_profile(profile: Profile, rows: Panel) -> np.ndarray:
    """Spend per date and unit of mean spend, shape (channel, time): every row has the mean 1.

    Raises:
        PlanError: unknown or missing channels or dates, or a profile that is negative, not finite or 0 throughout.
    """
    if profile is None:
        return np.ones((len(rows.channels), len(rows)))
    given = _by_channel(profile, rows) if isinstance(profile, xr.DataArray) else profile
    unknown = sorted(set(given) - set(rows.channels))
    if unknown:
        raise PlanError(f"The profile names the channel {unknown[0]!r}; the fit has {', '.join(rows.channels)}.")
    # What is organic has no level to spread, and need not be named.
    even = {name: np.ones(len(rows)) for name in rows.organic if name not in given}
    return np.stack([_normalised(channel, {**even, **given}, len(rows)) for channel in rows.channels])


def _dates(horizon: Sequence | np.ndarray | int, known: Panel) -> np.ndarray:
    if isinstance(horizon, (int, np.integer)):
        if horizon < 1:
            raise PlanError(f"The horizon must have at least 1 period, got {horizon}.")
        return next_dates(known.dates, int(horizon), known.frequency)
    try:
        dates = np.asarray(horizon, dtype="datetime64[D]")
    except (ValueError, TypeError) as error:
        raise PlanError(f"The horizon's dates cannot be read: {error}. Write them as 2024-01-31.") from error
    if dates.ndim != 1 or len(dates) == 0:
        raise PlanError("The horizon must be a list of at least one date, a number of periods, or a Panel.")
    if np.isnat(dates).any():
        raise PlanError("The horizon's dates must not be missing (NaT).")
    if np.any(np.diff(dates).astype(int) <= 0):
        raise PlanError("The horizon's dates must be increasing, without duplicates.")
    if len(dates) > 1 and _frequency(dates) is not known.frequency:
        raise PlanError(f"The horizon's dates must be {known.frequency}, as the fit's; they are {_frequency(dates)}.")
    return dates


def _frequency(dates: np.ndarray) -> Frequency:
    try:
        return infer_frequency(dates)
    except PanelError as error:
        raise PlanError(f"The horizon's dates cannot be planned. {error}") from error


def _by_channel(profile: xr.DataArray, rows: Panel) -> dict[str, np.ndarray]:
    if set(profile.dims) != {"date", "channel"}:
        raise PlanError(f"A profile must have the dimensions date and channel, got {profile.dims}.")
    if profile.sizes["date"] != len(rows):
        raise PlanError(f"The profile has {profile.sizes['date']} dates, the horizon {len(rows)}.")
    if "date" in profile.coords and not np.array_equal(profile["date"].values.astype("datetime64[D]"), rows.dates):
        raise PlanError(f"The profile's dates must be the horizon's, {rows.dates[0]} to {rows.dates[-1]}, in their order.")
    if "channel" not in profile.coords:
        raise PlanError("A profile must name its channels by the coordinate `channel`.")
    table = profile.transpose("channel", "date")
    return {str(name): table.sel(channel=name).to_numpy() for name in table["channel"].values}


def _normalised(channel: str, profile: Mapping[str, Sequence[float] | np.ndarray], length: int) -> np.ndarray:
    if channel not in profile:
        raise PlanError(f"The profile lacks the channel {channel!r}.")
    row = np.asarray(profile[channel], float)
    if row.shape != (length,):
        raise PlanError(f"The profile of {channel!r} has {row.size} values, the horizon {length} dates.")
    if not np.isfinite(row).all() or row.min() < 0 or row.sum() == 0:
        raise PlanError(f"The profile of {channel!r} must be finite, at least 0 and not 0 on all dates.")
    return row / row.mean()
