"""Can the draws be trusted: one verdict, its numbers, and what to do."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from mmm_jax.errors import ConvergenceWarning
from mmm_jax.inference.convergence import Draws, energy_bfmi, stacked
from mmm_jax.inference.mixing import mixing
from mmm_jax.inference.samples import SamplerSettings, Samples

MAX_RHAT = 1.01
MIN_ESS_PER_CHAIN = 100
MAX_DIVERGENT_SHARE = 0.002
MIN_EBFMI = 0.3
MAX_SATURATED_SHARE = 0.01


@dataclass(frozen=True)
class Diagnostics:
    """How well the chains mixed.

    Attributes:
        max_rhat: largest rank-normalised split R-hat over all parameters.
        min_ess_bulk, min_ess_tail: smallest effective sample sizes over all parameters.
        divergences: divergent draws after warm-up.
        min_ebfmi: smallest energy fraction of missing information over chains.
        saturated: draws whose trajectory reached the largest tree depth.
        mean_acceptance: mean acceptance rate after warm-up.
        mean_leapfrogs: leapfrog steps per draw.
        step_size: largest step size per chain.
        num_chains, num_samples: how many draws there are.
        worst: the parameter with the largest R-hat.
        engine: sampler that made the draws.
        start: how the chains were started, in words.
        wall_seconds: wall time by stage.
    """

    max_rhat: float
    min_ess_bulk: float
    min_ess_tail: float
    divergences: int
    min_ebfmi: float
    saturated: int
    mean_acceptance: float
    mean_leapfrogs: float
    step_size: tuple[float, ...]
    num_chains: int
    num_samples: int
    worst: str
    engine: str
    start: str = ""
    wall_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def converged(self) -> bool:
        """Whether none of the checks found a problem."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What is wrong and what to do, one sentence each; empty if all is well."""
        draws, least = self.num_chains * self.num_samples, MIN_ESS_PER_CHAIN * self.num_chains
        checks = [
            (
                # NaN must count as a problem: it comes from draws that never moved.
                not self.max_rhat <= MAX_RHAT,
                f"R-hat is {self.max_rhat:.3f} (at most {MAX_RHAT}), worst for {self.worst}: the chains disagree. "
                "Raise num_warmup and num_samples, or narrow the priors.",
            ),
            (
                not min(self.min_ess_bulk, self.min_ess_tail) >= least,
                f"The effective sample size is {self.min_ess_bulk:.0f} in the bulk and {self.min_ess_tail:.0f} in the "
                f"tails (at least {least}). Raise num_samples.",
            ),
            (
                self.divergences > MAX_DIVERGENT_SHARE * draws,
                f"{self.divergences} of {draws} draws diverged. Raise target_accept towards 0.99, or narrow the priors.",
            ),
            (
                not self.min_ebfmi >= MIN_EBFMI,
                f"E-BFMI is {self.min_ebfmi:.2f} (at least {MIN_EBFMI}): the tails are explored slowly. "
                "Narrow heavy-tailed priors.",
            ),
            (
                self.saturated > MAX_SATURATED_SHARE * draws,
                f"{self.saturated} of {draws} trajectories reached the largest tree depth. Raise num_warmup.",
            ),
        ]
        return [text for wrong, text in checks if wrong]

    def warn(self) -> None:
        """Issue one `ConvergenceWarning` with all problems, if there are any."""
        if self.problems:
            warnings.warn("The fit has not converged. " + " ".join(self.problems), ConvergenceWarning, stacklevel=3)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the verdict, for JSON."""
        return {**asdict(self), "step_size": list(self.step_size), "converged": self.converged, "problems": self.problems}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        given = {name: value for name, value in values.items() if name not in ("converged", "problems")}
        return cls(**{**given, "step_size": tuple(given["step_size"])})


def diagnose(
    draws: Draws, samples: Samples, settings: SamplerSettings, engine: str, names: Sequence[str] | None = None
) -> Diagnostics:
    """Diagnostics of constrained draws and their sample statistics.

    Args:
        draws: by parameter name, shape (chain, draw, ...).
        samples: what the sampler returned.
        settings: what it was asked for.
        engine: its name.
        names: what to call the scalar parameters, in the draws' order; by their indices where not given.
    """
    quality, stats = mixing(stacked(draws)), samples.stats
    rhat = quality.r_hat
    return Diagnostics(
        max_rhat=float(np.max(rhat)),
        min_ess_bulk=float(np.min(quality.ess_bulk)),
        min_ess_tail=float(np.min(quality.ess_tail)),
        divergences=int(stats["diverging"].sum()),
        min_ebfmi=float(energy_bfmi(stats["energy"]).min()),
        saturated=int((stats["tree_depth"] >= settings.max_tree_depth).sum()),
        mean_acceptance=float(stats["acceptance_rate"].mean()),
        mean_leapfrogs=float(stats["n_steps"].mean()),
        step_size=tuple(float(step) for step in stats["step_size"].max(axis=1)),
        num_chains=settings.num_chains,
        num_samples=settings.num_samples,
        worst=(names or _indexed_names(draws))[int(np.argmax(np.where(np.isnan(rhat), np.inf, rhat)))],
        engine=engine,
        start=samples.start,
        wall_seconds=dict(samples.seconds),
    )


def _indexed_names(draws: Draws) -> list[str]:
    names = []
    for name, values in draws.items():
        shape = np.shape(values)[2:]
        names += [name + (f"[{', '.join(map(str, index))}]" if index else "") for index in np.ndindex(shape)]
    return names
