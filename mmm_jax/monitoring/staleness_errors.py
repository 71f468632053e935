"""The second sign of staleness: the outcomes of decisions say that the model errs on a channel in one direction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.monitoring.ledger import Ledger
from mmm_jax.monitoring.one_sided import one_sided_errors
from mmm_jax.monitoring.records import Measurement
from mmm_jax.monitoring.staleness_reasons import Reason, number
from mmm_jax.monitoring.versions import fingerprint


@dataclass(frozen=True)
class ChannelError:
    """What outcomes say of one channel; see `mmm_jax.monitoring.one_sided`.

    Attributes:
        channel: its name.
        outcomes: how many tell of it alone.
        independent: how many of these were measured apart from sales, so that a fit can learn from them.
        ratio: of what was measured to what was predicted; `None` where nothing was predicted.
        direction: `less` or `more` than was predicted.
        e_value: evidence that the model errs in one direction.
        draws: how many draws of the fits the outcomes leave in effect; where that is few, the e-value is rough.
        flagged: whether the channel is among the discoveries.
    """

    channel: str
    outcomes: int
    independent: int
    ratio: float | None
    direction: str
    e_value: float
    draws: float
    flagged: bool


@dataclass(frozen=True)
class Errors:
    """One-directional errors by channel, the strongest evidence first.

    Attributes:
        alpha: false discovery rate over the channels, kept by the e-Benjamini-Hochberg procedure.
        tau: standard deviation of the factor's logarithm where a channel is wrong.
        measured: number of outcomes that were looked at, and `own`, of those that this very fit predicted.
        channels: what they say; channels that no outcome tells of alone are not among them.
    """

    alpha: float
    tau: float
    measured: int
    own: int
    channels: tuple[ChannelError, ...]

    @property
    def stale(self) -> bool:
        """Whether a channel was discovered."""
        return any(one.flagged for one in self.channels)

    def reasons(self) -> list[Reason]:
        """One of every channel that was discovered."""
        return [_reason(one, self.alpha) for one in self.channels if one.flagged]

    def lines(self) -> list[str]:
        """In words."""
        flagged = [f"{one.channel} brings {one.direction} than was predicted" for one in self.channels if one.flagged]
        found = "; ".join(flagged) or "no channel errs in one direction"
        counted = f"{self.measured} outcome{'' if self.measured == 1 else 's'}, {self.own} of this fit's own predictions"
        return [f"Errors: {found} (false discovery rate {self.alpha:.1%}, {counted})."]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "channels": [asdict(one) for one in self.channels], "stale": self.stale}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        kept = {name: value for name, value in values.items() if name != "stale"}
        return cls(**{**kept, "channels": tuple(ChannelError(**one) for one in kept["channels"])})


def find_errors(fit: AnyFit, ledger: Ledger, *, alpha: float, tau: float, own_outcomes: bool) -> Errors:
    """What the ledger says of every channel.

    Args:
        fit: the model.
        ledger: decisions with their outcomes.
        alpha: false discovery rate.
        tau: as in `Ledger.one_sided_errors`.
        own_outcomes: look only at what this very fit predicted.
    """
    measurements, version = ledger.measurements(), fingerprint(fit)
    own = [one for one in measurements if one.model == version]
    used = own if own_outcomes else measurements
    table = one_sided_errors(used, alpha=alpha, tau=tau)
    rows = tuple(_channel_error(str(channel), row, used) for channel, row in table.iterrows())
    return Errors(alpha, tau, len(used), len(own), rows)


def _channel_error(channel: str, row: Any, measurements: Sequence[Measurement]) -> ChannelError:
    independent = sum(one.about == channel and one.outcome.independent for one in measurements)
    ratio = float(row["ratio"]) if np.isfinite(row["ratio"]) else None
    numbers = ratio, str(row["direction"]), float(row["e_value"]), float(row["draws"])
    return ChannelError(channel, int(row["outcomes"]), independent, *numbers, bool(row["flagged"]))


def _reason(one: ChannelError, alpha: float) -> Reason:
    channel, times = one.channel, "" if one.ratio is None else f" ({one.ratio:.2f} times)"
    outcomes = f"{one.outcomes} outcome{'' if one.outcomes == 1 else 's'}"
    found = f"{channel} brings {one.direction} than was predicted{times}: {outcomes}, e-value {number(one.e_value)}"
    if one.independent:
        advice = f"Refit with the outcomes of {channel}: `fit(..., experiments=ledger.calibration(...))`."
        return Reason("error", channel, f"{found}, false discovery rate {alpha:.1%}", "refit", advice)
    advice = (
        f"Run an experiment on {channel}: no outcome of it was measured apart from sales, which a refit could learn from."
    )
    return Reason("error", channel, f"{found}, false discovery rate {alpha:.1%}", "run an experiment", advice)
