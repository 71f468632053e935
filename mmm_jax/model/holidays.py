"""Public holidays by name, as the package `holidays` knows them.

Names are in English where that package has a translation, whatever the machine's language is, and a holiday has one name
in all years: holidays stand on their own dates, without substitute days, and a moon that is yet to be seen is no other
holiday.
"""

from functools import cache

import numpy as np

from mmm_jax.data.calendar import Dates
from mmm_jax.errors import SpecError

_ESTIMATED = " (estimated)"


def holidays_between(country: str, subdivision: str | None, first: np.datetime64, last: np.datetime64) -> dict[str, Dates]:
    """Dates of every holiday, both ends included, by name in the order of their first dates.

    Args:
        country: ISO 3166 code, such as `US`.
        subdivision: code of a state or region, if any.
        first: first day.
        last: last day.

    Raises:
        SpecError: the package is not installed, or does not know the country or its subdivision.
    """
    found: dict[str, list[np.datetime64]] = {}
    for year in range(_year(first), _year(last) + 1):
        for day, name in _of_year(country, subdivision, year):
            if first <= day <= last:
                found.setdefault(name, []).append(day)
    return {name: np.array(days) for name, days in found.items()}


@cache
def _of_year(country: str, subdivision: str | None, year: int) -> tuple[tuple[np.datetime64, str], ...]:
    try:
        from holidays import country_holidays
    except ImportError as error:
        message = "Holidays(...) needs the package holidays: pip install 'mmm-jax[holidays]', or list dates as Event(...)."
        raise SpecError(message) from error
    try:
        # Without a language, names would follow the machine's; substitute days would be other holidays, in some years only.
        known = country_holidays(country, subdiv=subdivision, years=year, observed=False, language="en_US")
    except NotImplementedError as error:
        what = f"country {country!r}" + ("" if subdivision is None else f" with the subdivision {subdivision!r}")
        raise SpecError(f"Holidays: the package holidays does not know the {what}: {error}.") from error
    pairs = {(np.datetime64(day, "D"), name.removesuffix(_ESTIMATED)) for day in known for name in known.get_list(day)}
    return tuple(sorted(pairs))


def _year(day: np.datetime64) -> int:
    return int(str(day.astype("datetime64[Y]")))
