"""Events whose hashes chain them: each holds the one before it, so that none can be changed, removed or moved unseen."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from mmm_jax.errors import LedgerError

Kind = Literal["proposed", "approved", "delivered", "outcome", "restated", "voided"]

FIRST = "0" * 64
"""What the first event holds as the hash of the one before it."""


def canonical(values: Any) -> str:
    """The one JSON text of plain values: sorted keys, no spaces, ASCII, finite numbers.

    Raises:
        LedgerError: a number that is not finite, or what JSON does not know.

    Example:
        >>> canonical({"b": 1.5, "a": None})
        '{"a":null,"b":1.5}'
    """
    try:
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LedgerError(f"This cannot be recorded: {error}.") from error


def sha256(words: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(words.encode()).hexdigest()


@dataclass(frozen=True)
class Event:
    """One row of the ledger.

    Attributes:
        sequence: its number, from 1 on without gaps.
        decision: whose event.
        kind: what happened.
        recorded: when it was written, UTC, ISO 8601 with microseconds.
        payload: canonical JSON, as it is stored.
        previous: hash of the event before it.
        hash: its own.
    """

    sequence: int
    decision: str
    kind: Kind
    recorded: str
    payload: str
    previous: str
    hash: str = ""

    @cached_property
    def content(self) -> dict[str, Any]:
        """The payload's values."""
        return json.loads(self.payload)

    def digest(self) -> str:
        """SHA-256 of everything but the hash itself."""
        return sha256(canonical([self.sequence, self.decision, self.kind, self.recorded, self.payload, self.previous]))

    def hashed(self) -> "Event":
        """The same with its hash."""
        return replace(self, hash=self.digest())


@dataclass(frozen=True)
class Head:
    """What is kept beside the events, so that those at the end cannot be removed unseen either.

    Attributes:
        count: how many events there are.
        hash: of the last one.
        seal: a chain of its own over all hashes.
    """

    count: int = 0
    hash: str = FIRST
    seal: str = FIRST

    def after(self, event: Event) -> "Head":
        """The head once an event is added."""
        return Head(event.sequence, event.hash, sha256(self.seal + event.hash))

    def __str__(self) -> str:
        """Text that can be noted elsewhere, and handed to `Ledger.verify` later."""
        return f"{self.count}:{self.seal}"


@dataclass(frozen=True)
class Verification:
    """Whether the chain holds.

    Attributes:
        intact: nothing was changed, removed or moved.
        count: events that are there.
        head: text to note elsewhere: `verify(head=...)` later proves that all events of today are still there.
        sequence: number of the first event that is not as it was.
        reason: what happened to it, in words.
    """

    intact: bool
    count: int
    head: str
    sequence: int | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        """Whether the chain holds."""
        return self.intact


Fault = tuple[int, str]
"""Number of the first event that is not as it was, and what happened to it."""


def first_fault(events: Sequence[Event], head: Head | None, noted: str | None = None) -> Fault | None:
    """The first event that was changed, removed or moved; `None` if the chain holds.

    Args:
        events: all that are there, by number.
        head: what is kept beside them; `None` if it is gone.
        noted: a head of earlier, as text.
    """
    before, seals = Head(), {str(Head())}
    for event in events:
        words = _fault(event, before, events)
        if words:
            return before.count + 1, words
        before = before.after(event)
        seals.add(str(before))
    return _fault_at_end(before, head) or _fault_of_noted(before, noted, seals)


def _fault(event: Event, before: Head, events: Sequence[Event]) -> str:
    expected = before.count + 1
    if event.sequence != expected:
        return f"event {expected} was removed: event {event.sequence} comes after {before.count}"
    if event.digest() != event.hash:
        came_from = _place_of(event, events)
        if came_from is not None:
            return f"event {expected} was moved here from place {came_from}"
        return f"event {expected} ({event.kind} of {event.decision!r}) was changed after it was written"
    if event.previous != before.hash:
        return f"event {expected} does not follow event {before.count}: one of them was replaced, or they were reordered"
    return ""


def _place_of(event: Event, events: Sequence[Event]) -> int | None:
    """The place at which the event would be genuine."""
    places = (other.sequence for other in events)
    return next((place for place in places if replace(event, sequence=place).digest() == event.hash), None)


def _fault_at_end(found: Head, head: Head | None) -> Fault | None:
    if head is None:
        return found.count + 1, "the head, which counts the events, was removed"
    if head.count > found.count:
        return found.count + 1, f"event {found.count + 1} was removed: {head.count} were written, {found.count} are there"
    if head.count < found.count:
        return head.count + 1, f"event {head.count + 1} was added by something else than the ledger"
    if head.count < found.count:
        return head.count + 1, f"event {head.count + 1} was added by something else than the ledger"
    if head != found:
        return found.count, f"event {found.count} is not the last one that was written, or the head was changed"
    return None


def _fault_of_noted(found: Head, noted: str | None, seals: set[str]) -> Fault | None:
    if noted is None or noted in seals:
        return None
    count = noted.partition(":")[0]
    if not count.isdecimal():
        raise LedgerError(f"A head is text such as `Verification.head` has it, 12:3fa9..., got {noted!r}.")
    if int(count) > found.count:
        return found.count + 1, f"event {found.count + 1} was removed: {count} were there when the head was noted"
    return int(count), f"the first {count} events are not those that were there when the head was noted"
