"""New rows as `mmm-jax monitor` reads them, and both checks of a fit against them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmm_jax.cli.forecast import check_geo_column
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen
from mmm_jax.cli.spend_files import SpendPlan
from mmm_jax.cli.table import Roles, in_table, read_dates, read_roles, read_table
from mmm_jax.cli.validation import read_config
from mmm_jax.cli.words import counted, listed
from mmm_jax.data import checks
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.monitoring.drift import Drift, detect_drift
from mmm_jax.monitoring.ledger import Ledger
from mmm_jax.monitoring.staleness import Staleness, check_staleness
from mmm_jax.monitoring.staleness_rows import Channels, as_fitted


@dataclass(frozen=True)
class Asked:
    """What is to be looked at besides the new rows.

    Attributes:
        plan: file of a plan.
        ledger: place of a ledger.
        alpha: chance of a false alarm.
        mix: largest part of the budget that may have moved.
        recent: last rows whose mix counts.
        own_outcomes: of the ledger, only what this very fit predicted.
        key: seed.
    """

    plan: Path | None
    ledger: str | None
    alpha: float
    mix: float
    recent: int | None
    own_outcomes: bool
    key: int


@dataclass(frozen=True)
class Found:
    """Both checks.

    Attributes:
        panel: rows of the table, of the fit's channels.
        new: how many of them come after training.
        target: name of the target.
    """

    panel: AnyPanel
    new: int
    target: str
    drift: Drift
    staleness: Staleness


def read_new(config_path: Path, data_path: Path, fit: AnyFit, screen: Screen) -> AnyPanel:
    """The rows of the table up to the last one whose target is known; training rows among them are kept.

    Raises:
        ConfigError: the configuration is wrong or does not fit the table.
        PanelError: a rule of the panel is broken, or rows between training and the table are missing.
        MonitoringError: no row with a target comes after the training rows.
    """
    with screen.stage("read"):
        config = read_config(config_path, fit_schema())
        frame = read_table(data_path)
        roles = read_roles(config, frame)
        check_geo_column(roles, fit)
        dates = read_dates(data_path, frame, roles.date)
        frame = frame.assign(**{roles.date: dates})
        with in_table(data_path):
            target = checks.to_numbers(pd.Series(frame[roles.target]), dates)
        known = np.isfinite(target)
        last = fit.panel.dates[-1]
        if not (known & (dates > last)).any():
            raise MonitoringError(
                f"{data_path}: no row with a target comes after {last}, the last training date; the last is {dates.max()}."
            )
        kept = dates <= dates[known].max()
        if not kept.all():
            screen.notice(f"{counted(int((~kept).sum()), 'row')} after the last one whose target is known, left out.")
        return _panel(data_path, pd.DataFrame(frame[kept]), target[kept], roles, fit)


def checked(fit: AnyFit, panel: AnyPanel, asked: Asked, screen: Screen) -> Found:
    """Both checks.

    Raises:
        MonitoringError: an option out of range, or a plan that does not fit.
        LedgerError: the plan or the ledger cannot be read.
        PredictionError: rows that do not continue the fit's, or controls that are not the fit's.
    """
    plan = None if asked.plan is None else SpendPlan.read(asked.plan)
    ledger = None if asked.ledger is None else Ledger(asked.ledger, create=False)
    fitted = as_fitted(panel, fit.panel)
    _notice_channels(Channels.of(panel, fit.panel), screen)
    with screen.stage("drift", "Looking for drift ..."):
        drift = detect_drift(fit, fitted, alpha=asked.alpha, key=asked.key)
    with screen.stage("staleness", "Looking for staleness ..."):
        given = {} if plan is None else {"plan": plan.spend, "prices": plan.prices}
        limits = {"alpha": asked.alpha, "mix_threshold": asked.mix, "window": asked.recent}
        staleness = check_staleness(
            fit, panel, **given, **limits, ledger=ledger, own_outcomes=asked.own_outcomes, key=asked.key
        )
    new = int((fitted.dates > fit.panel.dates[-1]).sum())
    return Found(fitted, new, fit.panel.target_name, drift, staleness)


def _notice_channels(channels: Channels, screen: Screen) -> None:
    if channels.new:
        screen.notice(f"the fit does not know {listed(channels.new)}: drift is looked for without their effect.")
    if channels.dropped:
        screen.notice(f"the configuration has no {listed(channels.dropped)}: counted as not spent on.")


def _panel(path: Path, frame: pd.DataFrame, target: np.ndarray, roles: Roles, fit: AnyFit) -> AnyPanel:
    """The table's rows, checked together with the training rows before them: one row alone would have no frequency."""
    index = [roles.date] if roles.geo is None else [roles.geo, roles.date]
    unknown = ~np.isfinite(target)
    # A target that is not known is any number, until it is taken out again.
    given = roles.renamed(frame).assign(**{roles.target: np.where(unknown, np.nanmean(target), target)})  # pyright: ignore
    if roles.geo is not None:
        given[roles.geo] = given[roles.geo].astype(str)
    first = given[roles.date].min()
    before = fit.panel.to_frame().rename_axis(index).reset_index().rename(columns={fit.panel.target_name: roles.target})
    before = before[before[roles.date] < first]
    lacking = [name for name in roles.known if name not in before.columns]
    columns: Any = [*index, roles.target, *roles.known]
    joined: Any = pd.concat([before.assign(**dict.fromkeys(lacking, 0.0))[columns], given[columns]], ignore_index=True)
    # Heads scale what was fitted, and are known from there.
    options: Any = {**roles.columns(), **({} if roles.geo is None else {"population": None})}
    with in_table(path):
        panel = Panel.from_frame(joined, **options)
    panel = panel.take(slice(int(np.searchsorted(panel.dates, np.datetime64(first, "D"))), None))
    return _without_target(panel, given[index][unknown], roles) if unknown.any() else panel


def _without_target(panel: AnyPanel, rows: pd.DataFrame, roles: Roles) -> AnyPanel:
    """The panel whose target is not known in some rows, which do not count then."""
    if isinstance(panel, GeoPanel):
        dates = {geo: rows.loc[rows[roles.geo] == geo, roles.date].to_numpy() for geo in panel.geos}
        markets = [_without(own, dates[geo]) for geo, own in zip(panel.geos, panel.markets, strict=True)]
        return replace(panel, markets=tuple(markets))
    return _without(panel, rows[roles.date].to_numpy())


def _without(panel: Panel, dates: np.ndarray) -> Panel:
    lost = np.isin(panel.dates, dates.astype("datetime64[D]"))
    target = None if panel.target is None else np.where(lost, np.nan, panel.target)
    return replace(panel, target=target, observed=panel.counted & ~lost)
