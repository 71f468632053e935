"""The process that a training runs in: named so that others can tell whether it still runs."""

import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

Life = Literal["running", "gone", "unknown"]

_DEAD = "ZX"
"""Linux's states of processes that have ended, and that their parents have not yet asked for."""


@dataclass(frozen=True)
class Worker:
    """A process, told apart from all others, those of other machines and later ones with the same number included.

    Attributes:
        host: name of the machine.
        place: which start of which machine its number belongs to, and which name space of numbers; "" where not known.
        process: its number.
        started: when, in the machine's ticks; "" where not known.
    """

    host: str
    place: str
    process: int
    started: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        process = os.getpid()
        return cls(socket.gethostname(), _place(), process, _status(process)[1])

    @property
    def life(self) -> Life:
        """Whether it still runs, as far as this process can tell; of other machines, it cannot."""
        if (self.host, self.place) != (socket.gethostname(), _place()):
            return "unknown"
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return "gone"
        except OSError:
            # It is there, and belongs to somebody else.
            pass
        state, started = _status(self.process)
        another = bool(self.started and started) and started != self.started
        return "gone" if another or state in tuple(_DEAD) else "running"

    def __str__(self) -> str:
        """Where to look for it."""
        return f"process {self.process} on {self.host}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**values)


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _status(process: int) -> tuple[str, str]:
    """State and start of a process; nothing where the system does not tell."""
    try:
        words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    # The name, in brackets, may hold anything, brackets included.
    after = words.rpartition(")")[2].split()
    return after[0], after[19]
