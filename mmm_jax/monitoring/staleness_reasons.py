"""Why a model is stale, and what to do about it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Sign = Literal["mix", "error", "range"]
Action = Literal["refit", "extend training", "run an experiment"]

ROUNDING = 1e-9
"""Relative distance from a threshold that counts as being at it, not beyond it."""


@dataclass(frozen=True)
class Reason:
    """One thing that is beyond its threshold.

    Attributes:
        sign: which of the three it is.
        channel: of which channel; `None` for the mix of all.
        found: what, with its numbers.
        action: what to do.
        advice: the same in a sentence.
    """

    sign: Sign
    channel: str | None
    found: str
    action: Action
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def exceeds(value: float, threshold: float) -> bool:
    """Whether a number is beyond a threshold by more than rounding."""
    return value > threshold + ROUNDING * abs(threshold)


def number(value: float) -> str:
    """An amount in three digits, thousands separated.

    Example:
        >>> number(1234567.0), number(12.345), number(0.5)
        ('1,230,000', '12.3', '0.5')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def listed(names: tuple[str, ...] | list[str]) -> str:
    """Names with commas, and `and` before the last.

    Example:
        >>> listed(("TV", "Radio", "Search"))
        'TV, Radio and Search'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
