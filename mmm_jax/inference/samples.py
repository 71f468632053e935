"""What a sampler returns: positions and how they came about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array

LogDensity = Callable[[Array, Any], Array]
"""Log density of a flat vector, given data: `log_density(flat, data)`. Data are a pytree, never closed over."""

Progress = Callable[[int, int], None]
"""Called with the number of iterations done over all chains, and the number of all."""


@dataclass(frozen=True)
class SamplerSettings:
    """How long and how carefully to sample.

    Attributes:
        num_chains: independent chains.
        num_warmup: iterations per chain that adapt step size and metric, and are thrown away.
        num_samples: draws kept per chain.
        target_accept: mean acceptance that the step size aims at, in (0, 1).
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
    """

    num_chains: int = 4
    num_warmup: int = 1000
    num_samples: int = 1000
    target_accept: float = 0.8
    max_tree_depth: int = 10


@dataclass(frozen=True)
class Samples:
    """Draws of a flat vector.

    Attributes:
        positions: shape (chain, draw, flat).
        stats: by ArviZ's names, shape (chain, draw) each: `acceptance_rate`, `diverging`, `energy`, `lp`, `n_steps`,
            `step_size`, `tree_depth`.
        seconds: wall time by stage: `compile`, `sample`.
        start: how the chains were started, in words.
    """

    positions: np.ndarray
    stats: dict[str, np.ndarray]
    seconds: dict[str, float]
    start: str = ""
