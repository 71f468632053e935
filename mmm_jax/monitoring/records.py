"""A decision with its arrays: what was planned, what was spent, what both were predicted to bring."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mmm_jax.errors import LedgerError
from mmm_jax.monitoring.decisions import Decision, Outcome
from mmm_jax.monitoring.predictions import Prediction
from mmm_jax.monitoring.spend import labelled

_ROUNDING = 1e-9
"""Share of the spend up to which two amounts are the same one, spread over the dates in two ways."""


@dataclass(frozen=True, eq=False)
class Record:
    """A decision with what its events hold beside their payloads.

    Attributes:
        decision: where it stands.
        plan: spend over (date, channel[, geo]).
        baseline: what it is compared with, likewise.
        planned: what the plan was predicted to bring; `None` where nobody has predicted it yet.
        spent: what was delivered, over the plan's dimensions.
        delivered: what that is predicted to have brought.
    """

    decision: Decision
    plan: xr.DataArray
    baseline: xr.DataArray
    planned: Prediction | None = None
    spent: xr.DataArray | None = None
    delivered: Prediction | None = None

    @classmethod
    def build(cls, decision: Decision, arrays: Mapping[int, Mapping[str, np.ndarray]]) -> "Record":
        """From the arrays of the decision's events, by the event's number."""
        proposed, labels = arrays[decision.events[0].sequence], decision.proposal
        predicted, delivered = decision.predicted, decision.delivered
        spent = None if delivered is None else labelled(arrays[delivered.sequence]["spend"], labels)
        return cls(
            decision,
            labelled(proposed["spend"], labels),
            labelled(proposed["baseline"], labels),
            None if predicted is None else _prediction(arrays[predicted.sequence]),
            spent,
            None if delivered is None else _prediction(arrays[delivered.sequence]),
        )

    def measurements(self) -> "list[Measurement]":
        """The outcomes, each with what it should have been."""
        if self.delivered is None:
            return []
        channels, model = tuple(self.decision.channels), self.model
        outcomes = self.decision.outcomes.values()
        return [Measurement(one, self.delivered, channels, model, self.about(one)) for one in outcomes]

    def about(self, outcome: Outcome) -> str | None:
        """The one channel that an outcome tells of: its own, or the only one whose spend was not the baseline's."""
        if outcome.channel is not None:
            return outcome.channel
        change = self.way_back()
        moved = [str(name) for name in change["channel"].values if bool((change.sel(channel=name) != 0).any())]
        return moved[0] if len(moved) == 1 else None

    def way_back(self) -> xr.DataArray:
        """From the delivered spend, which later panels hold, to the baseline; 0 where they differ by rounding alone.

        Raises:
            LedgerError: nothing was delivered yet.
        """
        if self.spent is None:
            raise LedgerError(f"Nothing was delivered of the decision {self.decision.name!r} yet.")
        change, size = self.baseline - self.spent, self.baseline + self.spent
        return change.where(np.abs(change) > _ROUNDING * size, 0.0)

    @property
    def model(self) -> str:
        """The version that predicted it; nothing where none did."""
        predicted = self.decision.predicted
        return "" if predicted is None else predicted.content["model"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """An outcome beside the prediction for what was delivered.

    Attributes:
        outcome: what was measured.
        delivered: what the delivered spend was predicted to bring.
        channels: of `delivered`.
        model: the version that predicted it.
        about: the one channel that it tells of; `None` if there are several.
    """

    outcome: Outcome
    delivered: Prediction
    channels: tuple[str, ...]
    model: str
    about: str | None

    @property
    def predicted(self) -> np.ndarray:
        """Draws of what the measurement is of, (draw,)."""
        return part(self.delivered, self.channels, self.outcome.channel)


def part(prediction: Prediction, channels: tuple[str, ...] | list[str], channel: str | None) -> np.ndarray:
    """Draws of a channel, or of the total for `None`."""
    return prediction.total if channel is None else prediction.channel[:, list(channels).index(channel)]


def _prediction(arrays: Mapping[str, np.ndarray]) -> Prediction:
    return Prediction(arrays["total"], arrays["channel"])
