"""What is compared: settings of the samplers, and the cheapest one whose every fit can be trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MIN_ESS_BULK = 1000.0
MAX_RHAT = 1.01
"""The bar: every fit has more effective draws than the one and a smaller R-hat than the other."""

TARGET_ACCEPT = 0.9


@dataclass(frozen=True)
class Setting:
    """Iterations per chain and the acceptance that the step size aims at."""

    warmup: int
    draws: int
    target_accept: float = TARGET_ACCEPT

    def __str__(self) -> str:
        return f"{self.warmup}+{self.draws}@{self.target_accept:g}"


def parse_grid(text: str) -> list[Setting]:
    """Settings of `200+250,300+500@0.8`; the acceptance is 0.9 where it is not given.

    Example:
        >>> [str(setting) for setting in parse_grid("200+250,300+500@0.8")]
        ['200+250@0.9', '300+500@0.8']
    """
    return [_parse(item.strip()) for item in text.split(",")]


def judged(run: dict[str, Any], size: int) -> dict[str, Any]:
    """What a run says about a batch of `size` tables, of which it fitted the first so many.

    Where it fitted fewer, the seconds are extrapolated: start of the process, its first fit, and the mean of its later
    fits for every one that follows.
    """
    about = {name: run.get(name) for name in ("tool", "sampler", "settings", "caches", "dtype", "device", "peak_megabytes")}
    if "error" in run:
        return {**about, "size": size, "reaches_bar": False, "error": run["error"]}
    fits = run["fits"][:size]
    total = seconds(run, size)
    return {
        **about,
        "size": size,
        "fits_run": len(fits),
        "extrapolated": len(fits) < size,
        "total_seconds": total,
        "seconds_per_fit": total / size,
        "failed": sum("error" in fit for fit in fits),
        "worst_ess_bulk": _worst(min, fits, "min_ess_bulk"),
        "worst_ess_tail": _worst(min, fits, "min_ess_tail"),
        "worst_rhat": _worst(max, fits, "max_rhat"),
        "reaches_bar": reaches_bar(fits),
    }


def seconds(run: dict[str, Any], size: int) -> float:
    """Wall seconds from the start of the process until `size` fits are there; extrapolated where fewer were run."""
    walls = [fit["wall_seconds"] for fit in run["fits"]]
    missing = max(size - len(walls), 0)
    later = walls[1:] or walls
    return run["startup_seconds"] + sum(walls[:size]) + missing * sum(later) / len(later)


def reaches_bar(fits: Sequence[dict[str, Any]]) -> bool:
    """Whether every fit is there and has enough effective draws and a small enough R-hat; NaN has not."""
    return bool(fits) and all(
        "error" not in fit and fit["min_ess_bulk"] > MIN_ESS_BULK and fit["max_rhat"] < MAX_RHAT for fit in fits
    )


def cheapest(entries: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The entry with the fewest seconds among those that reach the bar; none where none does."""
    return min((entry for entry in entries if entry["reaches_bar"]), key=lambda entry: entry["total_seconds"], default=None)


def _parse(item: str) -> Setting:
    counts, _, target = item.partition("@")
    warmup, plus, draws = counts.partition("+")
    if not plus:
        raise ValueError(f"A setting is written WARMUP+DRAWS or WARMUP+DRAWS@TARGET, such as 300+500@0.8; got {item!r}.")
    return Setting(int(warmup), int(draws), float(target or TARGET_ACCEPT))


def _worst(pick: Any, fits: Sequence[dict[str, Any]], name: str) -> float | None:
    return pick((fit[name] for fit in fits if name in fit), default=None)
