"""The CSV file and the configuration's `data` section: which column plays which role."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli.config import Config, Keys, dotted
from mmm_jax.cli.words import did_you_mean, listed
from mmm_jax.data import checks
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import PanelError

_ONE_COLUMN = ("date", "target", "geo", "population")
"""Keys of the section that name one column each."""


@dataclass(frozen=True)
class Roles:
    """Columns of the table by their role.

    Attributes:
        date: column of dates.
        target: column of the outcome; `None` where the table need not have it and has not.
        channels: column of spend by the name that the channel is shown under.
        controls: columns of controls.
        media: column of units by channel, of those that have them.
        organic: columns of media without spend.
        treatments: reference level by column of a treatment.
        geo: column of the geos' names; `None` for one market.
        population: column of every geo's heads.
        frequency: column of the average frequency by channel, of those whose media are people reached.
    """

    date: str
    target: str | None
    channels: dict[str, str]
    controls: tuple[str, ...]
    media: dict[str, str] = field(default_factory=dict)
    organic: tuple[str, ...] = ()
    treatments: dict[str, Any] = field(default_factory=dict)
    geo: str | None = None
    population: str | None = None
    frequency: dict[str, str] = field(default_factory=dict)

    @property
    def known(self) -> list[str]:
        """Columns of the renamed table besides date and target."""
        return [*self.channels, *self.controls, *self._beside]

    @property
    def _beside(self) -> list[str]:
        return [*self.media.values(), *self.organic, *self.frequency.values(), *self.treatments]

    def renamed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The table with these columns only, channels under the names that they are shown under."""
        named = [name for name in (self.date, self.target, self.geo, self.population) if name is not None]
        kept = [*named, *self.controls, *self._beside]
        return frame[kept].assign(**{name: frame[column] for name, column in self.channels.items()})

    def columns(self) -> dict[str, Any]:
        """Arguments of `Panel.from_frame` for the renamed table."""
        kinds = {"media": self.media, "organic": list(self.organic), "frequency": self.frequency}
        kinds |= {"treatments": self.treatments}
        outcome = {"date": self.date, "target": self.target}
        geos = {} if self.geo is None else {"geo": self.geo, "population": self.population}
        return {**outcome, "channels": list(self.channels), "controls": list(self.controls), **kinds, **geos}


def read_table(path: Path) -> pd.DataFrame:
    """The CSV file as a table.

    Raises:
        PanelError: no such file, not UTF-8, empty, not a table, or a column name that stands twice.
    """
    if not path.is_file():
        raise PanelError(f"{path}: the table {'is a folder' if path.is_dir() else 'does not exist'}.")
    try:
        _check_header(path)
        return pd.read_csv(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PanelError(f"{path}: this is not UTF-8 text ({error.reason}). Save the table as CSV UTF-8.") from error
    except pd.errors.EmptyDataError as error:
        raise PanelError(f"{path}: the table is empty.") from error
    except (pd.errors.ParserError, csv.Error) as error:
        raise PanelError(f"{path}: this cannot be read as CSV: {str(error).strip()}.") from error


def read_roles(config: Config, frame: pd.DataFrame, *, need_target: bool = True) -> Roles:
    """The columns that the `data` section names, checked against the table.

    Args:
        config: of `fit` or `predict`.
        frame: the table.
        need_target: whether the target must be a column of the table.

    Raises:
        ConfigError: a column that the table does not have, a pattern without any, or a column with two roles.
    """
    data = config.values["data"]
    _check_column(config, frame, data["date"], "date")
    has_target = data["target"] in frame.columns
    if need_target:
        _check_column(config, frame, data["target"], "target")
    channels = _channels(config, frame)
    media, organic, treatments = _beside_spend(config, frame, channels)
    frequency = _frequency(config, frame, channels, media, organic)
    geos = _geos(config, frame)
    beside = [*media.values(), *organic, *frequency.values(), *treatments]
    taken = {data["date"], data["target"], *channels.values(), *beside, *geos.values()}
    controls = _controls(config, frame, taken)
    _check_one_role_each(config, channels, [*controls, *beside])
    target = data["target"] if has_target else None
    kinds: dict[str, Any] = {"media": media, "organic": tuple(organic), "treatments": treatments, "frequency": frequency}
    return Roles(data["date"], target, channels, tuple(controls), **{**kinds, **geos})


def read_panel(path: Path, frame: pd.DataFrame, roles: Roles) -> AnyPanel:
    """The panel of all rows, of one market or, where a column names geos, of many.

    Raises:
        PanelError: a rule of the panel is broken; names the file, too.
    """
    with in_table(path):
        return Panel.from_frame(roles.renamed(frame), **roles.columns())


def split_panel(config: Config, panel: AnyPanel) -> tuple[AnyPanel, AnyPanel | None]:
    """Training rows, and the rows held out, if the configuration names the last training date.

    Raises:
        ConfigError: the date leaves no rows on one side.
    """
    last = config.values["data"].get("last_training_date")
    if last is None:
        return panel, None
    with config.at("data", "last_training_date"):
        return panel.split(last)


def read_dates(path: Path, frame: pd.DataFrame, column: str) -> np.ndarray:
    """Dates of the rows, in the table's order."""
    with in_table(path):
        checks.check_is_table(frame)
        return checks.parse_dates(pd.Series(frame[column]))


@contextmanager
def in_table(path: Path) -> Iterator[None]:
    """Context in which an error of the panel comes from this file, and says so."""
    try:
        yield
    except PanelError as error:
        raise type(error)(f"{path}: {error}") from error


def _check_header(path: Path) -> None:
    """No column name stands twice: pandas would rename the second one silently."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    twice = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if twice is not None:
        raise PanelError(f"{path}: column {twice!r} stands in the table more than once. Rename or drop the copies.")
    separator = next((mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]), None)
    if separator is not None:
        raise PanelError(f"{path}: columns must be separated by commas; these seem to be separated by {separator!r}.")


def _channels(config: Config, frame: pd.DataFrame) -> dict[str, str]:
    given = config.values["data"]["channels"]
    named = given if isinstance(given, dict) else {column: column for column in given}
    for place, (name, column) in enumerate(named.items()):
        _check_column(config, frame, column, "channels", name if isinstance(given, dict) else place)
    return named


def _beside_spend(
    config: Config, frame: pd.DataFrame, channels: dict[str, str]
) -> tuple[dict[str, str], list[str], dict[str, Any]]:
    """Units by channel, organic media, and treatments with their reference levels."""
    data = config.values["data"]
    media, organic, treatments = data.get("media", {}), data.get("organic", []), data.get("treatments", {})
    for name, column in media.items():
        if name not in channels:
            message = f"there is no channel {name!r}{did_you_mean(name, channels) or '.'} There are {listed(channels)}."
            raise config.error(message, "data", "media", name)
        _check_column(config, frame, column, "media", name)
    for place, column in enumerate(organic):
        _check_column(config, frame, column, "organic", place)
    for column in treatments:
        _check_column(config, frame, column, "treatments", column)
    return media, organic, treatments


def _geos(config: Config, frame: pd.DataFrame) -> dict[str, str]:
    """Columns of the geos' names and of their heads, as far as they are named."""
    given = {name: config.values["data"][name] for name in ("geo", "population") if name in config.values["data"]}
    if "population" in given and "geo" not in given:
        raise config.error("heads are those of geos: name their column as `geo`, too.", "data", "population")
    for name, column in given.items():
        _check_column(config, frame, column, name)
    return given


def _frequency(
    config: Config, frame: pd.DataFrame, channels: dict[str, str], media: dict[str, str], organic: list[str]
) -> dict[str, str]:
    """Column of the average frequency by channel, each of them with its reach."""
    found, known = config.values["data"].get("frequency", {}), [*channels, *organic]
    for name, column in found.items():
        if name not in known:
            message = f"there is no channel {name!r}{did_you_mean(name, known) or '.'} There are {listed(known)}."
            raise config.error(message, "data", "frequency", name)
        if name not in media and name not in organic:
            message = f"the reach of {name!r} is not known: name its column of people reached in data.media, too."
            raise config.error(message, "data", "frequency", name)
        _check_column(config, frame, column, "frequency", name)
    return found


def _controls(config: Config, frame: pd.DataFrame, taken: set[str]) -> list[str]:
    """Controls with their patterns expanded in the table's order; what has a role already is no match."""
    found: list[str] = []
    for place, entry in enumerate(config.values["data"].get("controls", [])):
        if entry in frame.columns or not set(entry) & set("*?"):
            _check_column(config, frame, entry, "controls", place)
            found += [entry] if entry not in found else []
            continue
        matches = [str(column) for column in frame.columns if fnmatchcase(str(column), entry)]
        if not matches:
            message = f"no column of the table matches {entry!r}; it has {listed(map(str, frame.columns))}."
            raise config.error(message, "data", "controls", place)
        found += [column for column in matches if column not in taken and column not in found]
    return found


def _check_column(config: Config, frame: pd.DataFrame, column: str, *keys: str | int) -> None:
    if column not in frame.columns:
        known = [str(name) for name in frame.columns]
        message = f"the table has no column {column!r}{did_you_mean(column, known) or '.'} It has {listed(known)}."
        raise config.error(message, "data", *keys)


def _check_one_role_each(config: Config, channels: dict[str, str], controls: list[str]) -> None:
    """No column has two roles, and no channel is shown under another column's name."""
    data = config.values["data"]
    seen: dict[str, str] = {}
    for keys, column in _uses(data):
        if column in seen:
            raise config.error(f"column {column!r} is used already, as {seen[column]}.", "data", *keys)
        seen[column] = dotted(("data", *keys))
    for name in channels:
        if name != channels[name] and name in {data[key] for key in _ONE_COLUMN if key in data} | {*controls}:
            message = f"another column in use is called {name!r}, too; show the channel under another name."
            raise config.error(message, "data", "channels", name)


def _uses(data: dict[str, Any]) -> Iterator[tuple[Keys, str]]:
    """Every column that the section names, patterns aside, with the keys that name it."""
    for key in _ONE_COLUMN:
        if key in data:
            yield (key,), data[key]
    given = data["channels"]
    for key, column in given.items() if isinstance(given, dict) else enumerate(given):
        yield ("channels", key), column
    for place, column in enumerate(data.get("controls", [])):
        yield ("controls", place), column
    for name, column in data.get("media", {}).items():
        yield ("media", name), column
    for place, column in enumerate(data.get("organic", [])):
        yield ("organic", place), column
    for name, column in data.get("frequency", {}).items():
        yield ("frequency", name), column
    for column in data.get("treatments", {}):
        yield ("treatments", column), column
