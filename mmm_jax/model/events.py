"""Days that differ from others: sales, holidays, strikes. Each is a regressor with an effect of its own.

A regressor is a function of the day, averaged over the days of a row: its coefficient is the effect on a day in full, in
parts of the target's scale, whatever the rows are. A new kind of event is one class here and one entry in `EVENTS`.
"""

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from mmm_jax.data.calendar import Dates
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError, SpecError
from mmm_jax.model.days import daily_mean, days_of
from mmm_jax.model.event_options import Day, DayWindow, check_text, plain_day, plain_days, plain_texts, plain_window
from mmm_jax.model.holidays import holidays_between

Shape = Literal["flat", "bump"]

Regressor = Callable[[Dates], np.ndarray]
"""From consecutive days to a height on each, shape (day,): 0 where the event is not, 1 where it is in full."""


@dataclass(frozen=True)
class AbstractEvent(abc.ABC):
    """One or several regressors over days."""

    @abc.abstractmethod
    def regressors(self, known: Dates) -> dict[str, Regressor]:
        """By name. Which there are, the days of the training panel decide."""

    def to_dict(self) -> dict[str, Any]:
        """Kind and options as plain values for JSON; those that are `None` are left out."""
        options = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
        return {"kind": type(self).__name__, **{name: value for name, value in plain.items() if value is not None}}


@dataclass(frozen=True)
class Event(AbstractEvent):
    """Something that happens on given dates, such as a sale; list those of the future as well.

    Attributes:
        name: of the regressor.
        dates: the days in the middle of it.
        window: days before and after each date that belong to it.
        shape: `flat` is 1 within the window; `bump` is 1 on the date and falls off to both sides as a Gaussian, cut off at
            the window. Where windows overlap, the larger value holds.
        sigma: standard deviation of the bump, in days.

    Raises:
        SpecError: an option is out of range.

    Example:
        >>> sale = Event("Sale", dates=["2024-05-03"], window=(1, 1), shape="bump", sigma=1.0)
        >>> days = np.arange("2024-05-01", "2024-05-06", dtype="datetime64[D]")
        >>> sale.regressors(days)["Sale"](days).round(2)
        array([0.  , 0.61, 1.  , 0.61, 0.  ])
    """

    name: str
    dates: Sequence[Day]
    window: DayWindow = (0, 0)
    shape: Shape = "flat"
    sigma: float = 2.0

    def __post_init__(self) -> None:
        where = f"Event {self.name!r}"
        check_text("The name of an Event", self.name)
        object.__setattr__(self, "dates", plain_days(where, self.dates))
        object.__setattr__(self, "window", plain_window(where, self.window))
        if self.shape not in get_args(Shape):
            raise SpecError(f"{where}: shape must be one of {', '.join(get_args(Shape))}; got {self.shape!r}.")
        if isinstance(self.sigma, bool) or not isinstance(self.sigma, (int, float)) or not 0 < self.sigma < np.inf:
            raise SpecError(f"{where}: sigma must be a positive number of days; got {self.sigma!r}.")
        object.__setattr__(self, "sigma", float(self.sigma))

    def regressors(self, known: Dates) -> dict[str, Regressor]:
        """The event alone."""
        dates = np.array(self.dates, "datetime64[D]")
        return {self.name: partial(_heights, dates=dates, window=self.window, height=self._height)}

    def _height(self, offset: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (offset / self.sigma) ** 2) if self.shape == "bump" else np.ones(offset.shape)


@dataclass(frozen=True)
class Holidays(AbstractEvent):
    """Public holidays, each with an effect of its own; needs the package of the extra `holidays`.

    Those that the training panel has seen are known in all later years. They stand on their own dates, without substitute
    days, under their English names.

    Attributes:
        country: ISO 3166 code, such as `US`.
        subdivision: code of a state or region, whose own holidays come along.
        names: the holidays that count; all that the training panel has seen, by default.
        window: days before and after each that belong to it.

    Raises:
        SpecError: an option is out of range.
    """

    country: str
    subdivision: str | None = None
    names: Sequence[str] | None = None
    window: DayWindow = (0, 0)

    def __post_init__(self) -> None:
        check_text("The country of Holidays", self.country)
        where = f"Holidays {self.country!r}"
        if self.subdivision is not None:
            check_text(f"{where}: subdivision", self.subdivision)
        if self.names is not None:
            object.__setattr__(self, "names", plain_texts(f"{where}: names", self.names))
        object.__setattr__(self, "window", plain_window(where, self.window))

    def regressors(self, known: Dates) -> dict[str, Regressor]:
        """One per holiday whose window touches the training panel, in the order of `names`, or of their first dates.

        Raises:
            PanelError: the training panel has not seen one of `names`, or none at all.
            SpecError: the package is not installed, or does not know the country.
        """
        seen = self._dates(known)
        names = seen if self.names is None else self.names
        missing = [name for name in names if name not in seen]
        if missing or not seen:
            what = f"the holiday {missing[0]!r}" if missing else "any holiday"
            raise PanelError(
                f"ModelSpec.events, Holidays {self.country!r}: the days {known[0]} to {known[-1]} of the training panel do "
                f"not have {what}, so that nothing can be learnt of it. They have: {', '.join(map(repr, seen)) or 'none'}."
            )
        return {name: partial(self._heights_of, name) for name in names}

    def _heights_of(self, name: str, days: Dates) -> np.ndarray:
        return _heights(days, self._dates(days).get(name, days[:0]), self.window, lambda offset: np.ones(offset.shape))

    def _dates(self, days: Dates) -> dict[str, Dates]:
        """Dates by name of all holidays whose window touches the days."""
        before, after = self.window
        return holidays_between(self.country, self.subdivision, days[0] - after, days[-1] + before)


@dataclass(frozen=True)
class SpecialCause(AbstractEvent):
    """A stretch of days that were different, such as a strike or a lockdown.

    Attributes:
        name: of the regressor.
        start: its first day.
        end: its last day.

    Raises:
        SpecError: an option is out of range.
    """

    name: str
    start: Day
    end: Day

    def __post_init__(self) -> None:
        check_text("The name of a SpecialCause", self.name)
        for option in ("start", "end"):
            where = f"SpecialCause {self.name!r}: {option}"
            object.__setattr__(self, option, plain_day(where, getattr(self, option)))
        if str(self.end) < str(self.start):
            raise SpecError(f"SpecialCause {self.name!r} ends on {self.end}, before it starts on {self.start}.")

    def regressors(self, known: Dates) -> dict[str, Regressor]:
        """The stretch alone."""
        return {self.name: self._heights}

    def _heights(self, days: Dates) -> np.ndarray:
        first, last = np.array([self.start, self.end], "datetime64[D]")
        return ((days >= first) & (days <= last)).astype(float)


EVENTS: tuple[type[AbstractEvent], ...] = (Event, Holidays, SpecialCause)


def checked_events(events: Any) -> tuple[AbstractEvent, ...]:
    """The events of a spec as a tuple.

    Raises:
        SpecError: something else is among them, or two have one name.
    """
    kinds = ", ".join(kind.__name__ for kind in EVENTS)
    if isinstance(events, (str, AbstractEvent)) or not isinstance(events, Sequence):
        raise SpecError(f"ModelSpec.events must be a list of {kinds}; got {events!r}.")
    for place, event in enumerate(events):
        if not isinstance(event, AbstractEvent):
            raise SpecError(f"ModelSpec.events[{place}] must be one of {kinds}; got {event!r}.")
    _check_different([event.name for event in events if isinstance(event, (Event, SpecialCause))], SpecError)
    return tuple(events)


def event_names(events: Iterable[AbstractEvent], training: AnyPanel) -> list[str]:
    """Names of all regressors, in the order of their rows.

    Raises:
        PanelError: two have one name, among them channels and controls; or there are no such holidays.
        SpecError: of holidays, the package is not installed or does not know the country.
    """
    if not events:
        return []
    known = days_of(training)
    names = [name for event in events for name in event.regressors(known)]
    _check_different([*training.channels, *training.control_names, *names], PanelError)
    return names


def event_rows(events: Iterable[AbstractEvent], rows: Panel, training: Panel) -> np.ndarray:
    """Mean height of every event over the days of each row.

    Args:
        events: of the spec.
        rows: rows of the training panel, or of any other of the same market.
        training: the panel that is fitted.

    Returns:
        Shape (event, time), from 0 to 1.

    Raises:
        PanelError: an event is in no row of the training panel, or the same in all; or as of `event_names`.
        SpecError: as of `event_names`.
    """
    names = event_names(events, training)
    if not names:
        return np.zeros((0, len(rows)))
    found = [one for event in events for one in event.regressors(days_of(training)).values()]
    heights = daily_mean(lambda days: np.stack([one(days) for one in found]), rows, training)
    if rows is training:
        for name, height in zip(names, heights, strict=True):
            _check_learnable(name, height, training)
    return heights


def _check_learnable(name: str, heights: np.ndarray, training: Panel) -> None:
    if np.ptp(heights) > 0:
        return
    what = "is the same in every row" if heights[0] else "touches no row"
    raise PanelError(
        f"The event {name!r} of ModelSpec.events {what} of the training panel, {training.dates[0]} to {training.dates[-1]}, "
        "so that its effect cannot be learnt. Leave it out, or fit rows with and without it."
    )


def _check_different(names: Sequence[str], error: type[PanelError | SpecError]) -> None:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise error(
            f"ModelSpec.events: the name {twice!r} stands for two things among the events, channels and controls. Rename "
            "one; of holidays that several calendars share, name those that count in `names`."
        )


def _heights(days: Dates, dates: Dates, window: DayWindow, height: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Height on each day by its distance to the dates, the largest one; 0 outside of all windows."""
    offset = (days[:, None] - dates).astype(int)
    inside = (offset >= -window[0]) & (offset <= window[1])
    return np.where(inside, height(offset), 0.0).max(axis=1, initial=0.0)
