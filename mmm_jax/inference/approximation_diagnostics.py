"""Can the draws of a quick look be believed: the same surface as `Diagnostics`, with other numbers behind it."""

import math
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from mmm_jax.errors import ApproximationWarning, ConvergenceWarning
from mmm_jax.inference.approximate import Approximated
from mmm_jax.inference.diagnostics import MIN_ESS_PER_CHAIN, Diagnostics
from mmm_jax.inference.psis import k_threshold
from mmm_jax.inference.samples import SamplerSettings

_END_SHARE = 0.1
"""Part of the steps over which the evidence lower bound is averaged at the end, and compared with the part before."""

_SETTLED_WITHIN = 0.5
"""Rise of the evidence lower bound between these two parts below which it has settled: far less than it takes to matter."""


@dataclass(frozen=True)
class ApproximationDiagnostics:
    """How well an approximation fits the posterior that its draws stand for.

    Attributes:
        pareto_k: k-hat, the shape of the importance ratios' tail; infinite where the approximation was not found.
        importance_ess: effective sample size of the weighted proposals.
        num_proposals: proposals that the draws were resampled from.
        log_evidence: log marginal likelihood of the scaled target, by importance sampling; its differences compare specs on
            the same panel, and depend on their priors.
        log_evidence_error: its Monte Carlo standard error, to be believed as far as `pareto_k` allows.
        num_chains, num_samples: how many draws there are.
        engine: approximation that made the draws.
        start: how it was found, in words.
        arrived: whether the mode was found.
        elbo_first, elbo_last: evidence lower bound of a variational approximation over the first and the last steps; `None`
            for others.
        elbo_settled: whether it had stopped rising; `None` for others.
        wall_seconds: wall time by stage.
    """

    pareto_k: float
    importance_ess: float
    num_proposals: int
    log_evidence: float
    log_evidence_error: float
    num_chains: int
    num_samples: int
    engine: str
    start: str = ""
    arrived: bool = True
    elbo_first: float | None = None
    elbo_last: float | None = None
    elbo_settled: bool | None = None
    wall_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def max_rhat(self) -> float:
        """Not a number: there are no chains to compare."""
        return math.nan

    @property
    def min_ess_bulk(self) -> float:
        """`importance_ess`, the same for all parameters."""
        return self.importance_ess

    @property
    def min_ess_tail(self) -> float:
        """`importance_ess`, the same for all parameters."""
        return self.importance_ess

    @property
    def divergences(self) -> int:
        """None: there are no trajectories."""
        return 0

    @property
    def k_limit(self) -> float:
        """The largest `pareto_k` at which so many proposals can be believed."""
        return k_threshold(self.num_proposals)

    @property
    def converged(self) -> bool:
        """Whether none of the checks found a problem."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What is wrong and what to do, one sentence each; empty if all is well."""
        least, believed = MIN_ESS_PER_CHAIN * self.num_chains, self.pareto_k < self.k_limit
        lost = self.pareto_k == math.inf and not self.arrived
        sample = "Sample it instead: engine='lanes'."
        checks = [
            (
                lost,
                f"The search for the mode did not arrive ({self.start}), so that there is nothing to build on. {sample}",
            ),
            (
                # NaN must count as a problem.
                not believed and not lost,
                f"k-hat is {self.pareto_k:.2f} (below {self.k_limit:.2f}): the approximation misses part of the posterior, "
                f"and its weights cannot make up for it. {sample}",
            ),
            (
                self.elbo_settled is False and not believed,
                "The evidence lower bound was still rising: raise num_steps.",
            ),
            (
                believed and not self.importance_ess >= least,
                f"The effective sample size of the weighted draws is {self.importance_ess:.0f} (at least {least}). "
                "Raise num_samples.",
            ),
        ]
        return [text for wrong, text in checks if wrong]

    @property
    def notice(self) -> str:
        """What the draws are, and what may be believed of them, in words."""
        text = f"the draws are a quick look by {self.engine!r}, not a sample of the posterior"
        if not self.converged:
            return f"{text}, and their means and intervals are not to be believed."
        return (
            f"{text}. k-hat is {self.pareto_k:.2f} (below {self.k_limit:.2f}), so that means and intervals can be believed "
            "for a first look; it cannot see what no proposal reached. Sample what you decide by."
        )

    def warn(self) -> None:
        """Issue one `ApproximationWarning` in every case, and one `ConvergenceWarning` if there are problems."""
        warnings.warn(self.notice[0].upper() + self.notice[1:], ApproximationWarning, stacklevel=3)
        if self.problems:
            warnings.warn("The approximation does not hold. " + " ".join(self.problems), ConvergenceWarning, stacklevel=3)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the verdict and what takes the place of a sampler's numbers, for JSON."""
        return {**asdict(self), **{name: getattr(self, name) for name in _DERIVED}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{name: value for name, value in values.items() if name not in _DERIVED})


_DERIVED = ("max_rhat", "min_ess_bulk", "min_ess_tail", "divergences", "converged", "problems")


def diagnose_approximation(
    found: Approximated, settings: SamplerSettings, engine: str, *, log_constant: float = 0.0
) -> ApproximationDiagnostics:
    """Diagnostics of an approximation's draws.

    Args:
        found: what the approximation returned.
        settings: what it was asked for.
        engine: its name.
        log_constant: log density of what does not move, such as padding, which is no part of the evidence.
    """
    elbo = _elbo(found.elbo)
    return ApproximationDiagnostics(
        pareto_k=found.pareto_k,
        importance_ess=found.importance_ess,
        num_proposals=found.num_proposals,
        log_evidence=found.log_evidence - log_constant,
        log_evidence_error=found.log_evidence_error,
        num_chains=settings.num_chains,
        num_samples=settings.num_samples,
        engine=engine,
        start=found.start,
        arrived=found.arrived,
        wall_seconds=dict(found.seconds),
        **elbo,
    )


def diagnostics_from_dict(values: dict[str, Any]) -> Diagnostics | ApproximationDiagnostics:
    """Diagnostics of a sampler or of an approximation, whichever `to_dict` wrote."""
    kind = ApproximationDiagnostics if "pareto_k" in values else Diagnostics
    return kind.from_dict(values)


def _elbo(trace: np.ndarray) -> dict[str, Any]:
    if not len(trace):
        return {}
    part = max(1, round(_END_SHARE * len(trace)))
    first, before, last = (
        float(np.mean(trace[rows])) for rows in (slice(part), slice(-2 * part, -part), slice(-part, None))
    )
    return {"elbo_first": first, "elbo_last": last, "elbo_settled": bool(last - before < _SETTLED_WITHIN)}
