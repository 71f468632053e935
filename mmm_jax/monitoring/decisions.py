"""A decision as its events tell it: where it stands, and which event may come next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from mmm_jax.errors import LedgerError
from mmm_jax.monitoring.chain import Event, Kind

State = Literal["proposed", "approved", "delivered", "measured", "voided"]

BEFORE: dict[Kind, tuple[State, ...]] = {
    "approved": ("proposed",),
    "delivered": ("approved",),
    "outcome": ("delivered", "measured"),
    "restated": ("delivered", "measured"),
    "voided": ("proposed", "approved", "delivered", "measured"),
}
"""Which states an event may follow."""

_NEXT_STEP: dict[State, str] = {
    "proposed": "approve it first",
    "approved": "say what was delivered first",
    "delivered": "it has no outcome yet",
    "measured": "restate what was wrong, or propose another decision",
    "voided": "nothing can be added to it; propose another one",
}


@dataclass(frozen=True)
class Outcome:
    """What a decision was measured to bring more than its baseline.

    Attributes:
        number: of the event that recorded it first.
        decision: whose outcome.
        value: in units of the target.
        se: its standard error.
        method: how it was measured.
        channel: of which channel; `None` for all of them together.
        independent: measured apart from the sales that models are trained on, such as by a geo test.
        validation: kept to check models with, never to train them.
        start: first date that the measurement looked at.
        end: last one.
        restated: how often it was.
    """

    number: int
    decision: str
    value: float
    se: float
    method: str
    channel: str | None
    independent: bool
    validation: bool
    start: np.datetime64
    end: np.datetime64
    restated: int = 0


@dataclass(frozen=True)
class Decision:
    """Where a decision stands.

    Attributes:
        name: unique in the ledger.
        state: what has come of it.
        events: all of it.
        proposal: the proposal's payload, with its labels.
        delivered: the last event that says what was spent.
        outcomes: by number, as last restated, without those that were voided.
    """

    name: str
    state: State
    events: tuple[Event, ...]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    delivered: Event | None = None

    @property
    def proposal(self) -> dict[str, Any]:
        """What was proposed, with the labels of all its arrays."""
        return self.events[0].content

    @property
    def predicted(self) -> Event | None:
        """The event that holds what the plan was predicted to bring: the approval, before it the proposal."""
        approved = next((event for event in self.events if event.kind == "approved"), None)
        return approved or (self.events[0] if self.proposal["model"] is not None else None)

    @property
    def channels(self) -> list[str]:
        """The plan's channels."""
        return self.proposal["channels"]

    def check_may(self, kind: Kind) -> None:
        """Raise a `LedgerError` if such an event may not come next."""
        if self.state not in BEFORE[kind]:
            raise LedgerError(
                f"The decision {self.name!r} is {self.state}: it cannot be {_PASSIVE[kind]} now; {_NEXT_STEP[self.state]}."
            )

    def after(self, event: Event) -> "Decision":
        """The decision once an event has happened."""
        return replace(_CHANGES[event.kind](self, event), events=(*self.events, event))

    def outcome(self, number: int | None) -> Outcome:
        """The outcome of a number, or the only one.

        Raises:
            LedgerError: there is none, or no number was given and there are several.
        """
        known = ", ".join(f"{one.number} ({one.method})" for one in self.outcomes.values()) or "none"
        if number is None and len(self.outcomes) != 1:
            raise LedgerError(f"Say which outcome of {self.name!r} is meant, by `outcome=`; it has {known}.")
        found = next(iter(self.outcomes.values())) if number is None else self.outcomes.get(number)
        if found is None:
            raise LedgerError(f"The decision {self.name!r} has no outcome {number}; it has {known}.")
        return found


_PASSIVE = {
    "approved": "approved",
    "delivered": "delivered",
    "outcome": "given an outcome",
    "restated": "restated",
    "voided": "voided",
}


def folded(events: Sequence[Event]) -> Decision:
    """The decision that its events tell.

    Raises:
        LedgerError: they cannot be those that were written.
    """
    found = Decision(events[0].decision, "proposed", (events[0],))
    try:
        for event in events[1:]:
            found = found.after(event)
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"The events of {found.name!r} cannot be read: run `verify()`.") from error
    return found


def found_decision(name: str, events: Sequence[Event]) -> Decision:
    """The decision, if there is one of that name.

    Raises:
        LedgerError: there is none.
    """
    if not events:
        raise LedgerError(f"The ledger has no decision {name!r}. `Ledger.decisions()` lists those that it has.")
    return folded(events)


def _delivered(decision: Decision, event: Event) -> Decision:
    return replace(decision, state="delivered", delivered=event)


def _measured(decision: Decision, event: Event) -> Decision:
    return _with(decision, {**decision.outcomes, event.sequence: _read_outcome(event)})


def _restated(decision: Decision, event: Event) -> Decision:
    number = event.content["outcome"]
    if number is None:
        return replace(decision, delivered=event)
    before = decision.outcomes[number]
    changed = replace(before, value=event.content["value"], se=event.content["se"], restated=before.restated + 1)
    return _with(decision, {**decision.outcomes, number: changed})


def _voided(decision: Decision, event: Event) -> Decision:
    number = event.content["outcome"]
    if number is None:
        return replace(decision, state="voided", outcomes={})
    return _with(decision, {key: one for key, one in decision.outcomes.items() if key != number})


def _with(decision: Decision, outcomes: dict[int, Outcome]) -> Decision:
    return replace(decision, state="measured" if outcomes else "delivered", outcomes=outcomes)


def _read_outcome(event: Event) -> Outcome:
    values = {name: event.content[name] for name in ("value", "se", "method", "channel", "independent", "validation")}
    start, end = (np.datetime64(event.content[name], "D") for name in ("start", "end"))
    return Outcome(event.sequence, event.decision, **values, start=start, end=end)


_CHANGES = {
    "approved": lambda decision, event: replace(decision, state="approved"),
    "delivered": _delivered,
    "outcome": _measured,
    "restated": _restated,
    "voided": _voided,
}
