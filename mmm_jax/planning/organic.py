"""Organic channels in a plan: never moved, held at what the horizon's panel says or else at the usual level."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmm_jax.data.panel import Panel
from mmm_jax.errors import PlanError
from mmm_jax.planning.reach import planned_frequency


def held_media(rows: Panel, training: Panel, frequency: np.ndarray | None = None) -> Panel:
    """The planned rows with nothing planned yet: spend and paid media are 0, organic media as given or as usual.

    Frequency is as given or as usual, too: planned money buys reach at it.

    Args:
        rows: the planned rows. They may lack organic channels, and units of all others, since plans decide these.
        training: the rows that were fitted; their mean per period is the usual level.
        frequency: usual one, shape (channel,), see `mmm_jax.planning.reach.usual_frequency`; of `training` by default.
    """
    given = dict(zip(rows.channels, rows.exposure, strict=True))
    usual = dict(zip(training.channels, training.exposure.mean(axis=1), strict=True))
    paid = [name for name in rows.channels if name not in training.organic]
    media = {name: np.zeros(len(rows)) for name in paid}
    media |= {name: given.get(name, np.full(len(rows), usual[name])) for name in training.organic}
    units = dict(zip(training.channels, training.units or [""] * len(training.channels), strict=True))
    columns = dict(zip(training.channels, training.frequency_columns, strict=bool(training.frequency_columns)))
    return replace(
        rows,
        spend=np.zeros((len(media), len(rows))),
        media=np.stack(list(media.values())) if training.units else None,
        channels=tuple(media),
        units=tuple(units.get(name, "") for name in media) if training.units else (),
        organic=training.organic,
        average_frequency=planned_frequency(rows, training, media, frequency),
        frequency_columns=tuple(columns.get(name, "") for name in media) if columns else (),
    )


def check_paid(organic: Sequence[str], **stated: Mapping[str, Any] | None) -> None:
    """Raise a `PlanError` if a statement by channel, such as `bounds` or `prices`, names an organic one."""
    for what, given in stated.items():
        for name in given or {}:
            if name in organic:
                raise PlanError(f"`{what}` names {name!r}, which is organic: no money moves it. Leave it out.")


def check_plannable(channels: Iterable[str], organic: Sequence[str]) -> None:
    """Raise a `PlanError` unless some channel has spend."""
    if set(channels) <= set(organic):
        raise PlanError(f"All channels are organic ({', '.join(organic)}): there is no spend to plan.")
