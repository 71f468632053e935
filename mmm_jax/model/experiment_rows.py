"""From experiments and a panel to the arrays of `ExperimentRows`: where their labels end."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln

from mmm_jax.data.experiment_places import Place, places_of
from mmm_jax.data.experiments import LiftTest, LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import AnyScales, GeoScales
from mmm_jax.data.panel import Panel
from mmm_jax.model.experiments import ExperimentRows

STEPS = 8
"""Periods of a block."""

_LEAST = 4
"""Rows and blocks that there is always room for: most fits with experiments then share a program."""


class _Block(NamedTuple):
    row: int
    geo: int
    channel: int
    sign: float
    time: np.ndarray
    other: np.ndarray


def experiment_rows(
    experiments: LiftTests, panel: AnyPanel, scales: AnyScales, l_max: int, *, padded: bool
) -> ExperimentRows:
    """The experiments as arrays in JAX's current precision.

    Args:
        experiments: at least one.
        panel: training rows.
        scales: of the model.
        l_max: length of the adstock window.
        padded: round the numbers of rows and of blocks up to powers of two, so that programs are shared.

    Raises:
        ExperimentError: an experiment does not fit the panel.
    """
    places = places_of(experiments, panel)
    blocks = [block for row, place in enumerate(places) for block in _blocks_of(row, place)]
    rows, room = (_room(len(places)), _room(len(blocks))) if padded else (len(places), len(blocks))
    arrays = {**_of_rows(experiments, places, rows), **_of_blocks(blocks, panel, scales, l_max, room)}
    arrays["blocks"] = np.zeros((rows, room))
    arrays["blocks"][[block.row for block in blocks], range(len(blocks))] = 1.0
    return ExperimentRows(**jax.tree.map(jnp.asarray, arrays))


def log_scale(se: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """Logarithm of the constant of a Student-t density; of a normal one where `nu` is infinite."""
    finite = np.where(np.isinf(nu), 1.0, nu)
    student = gammaln((finite + 1) / 2) - gammaln(finite / 2) - 0.5 * np.log(finite * np.pi)
    return np.where(np.isinf(nu), -0.5 * np.log(2 * np.pi), student) - np.log(se)


def measurements(experiments: LiftTests) -> dict[str, np.ndarray]:
    """What was measured (`measured`), its standard error (`error`) and degrees of freedom (`nu`), shape (row,) each."""
    found = [
        (e.delta_outcome, e.se, e.nu) if isinstance(e, LiftTest) else (e.cost, e.sigma, np.inf) for e in experiments.rows
    ]
    return dict(zip(("measured", "error", "nu"), np.array(found, float).T, strict=True))


def _of_rows(experiments: LiftTests, places: Sequence[Place], count: int) -> dict[str, np.ndarray]:
    found = measurements(experiments)
    found |= {"spend": np.array([place.spend for place in places]), "real": np.ones(len(places))}
    found["log_scale"] = log_scale(found["error"], found["nu"])
    fill = {"error": 1.0, "nu": 1.0}
    return {name: _padded(values, count, fill.get(name, 0.0)) for name, values in found.items()}


def _of_blocks(
    blocks: Sequence[_Block], panel: AnyPanel, scales: AnyScales, l_max: int, count: int
) -> dict[str, np.ndarray]:
    markets = panel.markets if isinstance(panel, GeoPanel) else (panel,)
    divisors = [s.channel for s in scales.markets] if isinstance(scales, GeoScales) else [scales.channel]
    changed = [_changed(markets[block.geo], block) for block in blocks]
    observed, other = [], []
    for block, then in zip(blocks, changed, strict=True):
        divisor, now = divisors[block.geo][block.channel], markets[block.geo].exposure[block.channel]
        observed.append(_by_lag(now / divisor, block.time, l_max))
        other.append(_by_lag(then.exposure[block.channel] / divisor, block.time, l_max))
    found = {
        "observed": np.stack(observed),
        "other": np.stack(other),
        "counted": np.stack([_padded(np.full(len(block.time), block.sign), STEPS) for block in blocks]),
        "time": np.stack([_padded(block.time, STEPS) for block in blocks]).astype(np.int32),
        "channel": np.array([block.channel for block in blocks], np.int32),
        "geo": np.array([block.geo for block in blocks], np.int32),
    }
    padded = {name: _padded(values, count) for name, values in found.items()}
    return padded | _of_frequency(blocks, markets, changed, scales, l_max, count)


def _of_frequency(
    blocks: Sequence[_Block],
    markets: Sequence[Panel],
    changed: Sequence[Panel],
    scales: AnyScales,
    l_max: int,
    count: int,
) -> dict[str, np.ndarray]:
    """Frequency of the blocks, of a panel that has one; a change of spend changes the reach, and not the frequency."""
    divisor = scales.markets[0].frequency if isinstance(scales, GeoScales) else scales.frequency
    if divisor is None or not markets[0].frequency_columns:
        return {}

    def by_lag(block: _Block, panel: Panel) -> np.ndarray:
        frequency = np.asarray(panel.average_frequency)[block.channel]
        return _by_lag(frequency / divisor[block.channel], block.time, l_max)

    pairs = list(zip(blocks, changed, strict=True))
    kinds = [[by_lag(one, then) for one, then in pairs], [by_lag(one, markets[one.geo]) for one in blocks]]
    own = [float(bool(markets[0].frequency_columns[block.channel])) for block in blocks]
    return {
        "frequency": np.stack([_padded(np.stack(kind), count) for kind in kinds]),
        "by_reach": _padded(np.array(own), count),
    }


def _changed(market: Panel, block: _Block) -> Panel:
    """The market whose channel had the block's other spend."""
    spend = market.spend.copy()
    spend[block.channel] = block.other
    return market.with_spend(spend)


def _blocks_of(row: int, place: Place) -> list[_Block]:
    sign = -1.0 if place.spend > 0 else 1.0
    found = []
    for part in place.parts:
        times = np.flatnonzero(part.rows)
        found += [
            _Block(row, part.geo, place.channel, sign, times[first : first + STEPS], part.other)
            for first in range(0, len(times), STEPS)
        ]
    return found


def _by_lag(spend: np.ndarray, times: np.ndarray, l_max: int) -> np.ndarray:
    """Spend of `l` periods before each of the times, 0 before the first row, shape (lag, step)."""
    before = np.concatenate([np.zeros(l_max), spend])
    return _padded((before[times - np.arange(l_max)[:, None] + l_max]).T, STEPS).T


def _padded(values: np.ndarray, count: int, fill: float = 0.0) -> np.ndarray:
    """With `count` entries along the first axis."""
    more = [(0, count - len(values)), *((0, 0) for _ in values.shape[1:])]
    return np.pad(values, more, constant_values=fill)


def _room(count: int) -> int:
    """The next power of two, at least 4."""
    return max(_LEAST, 1 << (count - 1).bit_length())
