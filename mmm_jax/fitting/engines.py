"""The engines by name: what each is called with, and what its draws are judged by."""

from collections.abc import Collection
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from mmm_jax.errors import SpecError
from mmm_jax.inference import approximate, lanes, svi
from mmm_jax.inference.approximate import Approximated
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics, diagnose_approximation
from mmm_jax.inference.blas import one_blas_thread
from mmm_jax.inference.convergence import Draws
from mmm_jax.inference.diagnostics import Diagnostics, diagnose
from mmm_jax.inference.samples import LogDensity, Progress, SamplerSettings, Samples
from mmm_jax.inference.svi import SVI

Engine = Literal["lanes", "numpyro", "laplace", "svi"]
BatchEngine = Literal["lanes", "laplace", "svi"]

_WARMUP = {"lanes": 300, "numpyro": 1000}
"""Whitened coordinates need fewer draws to adapt than a metric that starts from nothing."""


class ChosenEngine(NamedTuple):
    """An engine with its parameters.

    Attributes:
        name: one of `Engine`.
        svi: the parameters of the engine `svi`; `None` for others.
    """

    name: str
    svi: SVI | None = None

    @property
    def approximates(self) -> bool:
        """Whether its draws are a quick look, and no sample."""
        return self.name in ("laplace", "svi")

    def identity(self) -> list[Any]:
        """What a fit's fingerprint has of it: nothing for `lanes`, whose stores are older than the other engines."""
        own = [] if self.svi is None else [self.svi.to_dict()]
        return [] if self.name == "lanes" else [self.name, *own]

    def warmup(self, given: int | None) -> int:
        """The warm-up that is asked for, or else the engine's own.

        Raises:
            SpecError: a warm-up for an engine that has none.
        """
        if self.approximates:
            if given is not None:
                raise SpecError(f"num_warmup means nothing to the engine {self.name!r}, which has no warm-up. Leave it out.")
            return 1
        return _WARMUP[self.name] if given is None else given

    def sample_many(
        self,
        log_density: LogDensity,
        data: Any,
        keys: jax.Array,
        settings: SamplerSettings,
        active: np.ndarray,
        *,
        searched: np.ndarray | None = None,
        blocks: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Draws of many fits of one shape, see `lanes.sample_many`."""
        arguments = (log_density, data, keys, settings, active)
        with one_blas_thread():
            if self.name == "lanes":
                return lanes.sample_many(*arguments, searched=searched, blocks=blocks, progress=progress)
            if self.name == "laplace":
                return approximate.sample_many(*arguments, progress=progress)
            return svi.sample_many(*arguments, svi=self.svi, progress=progress)


def chosen_engine(engine: str | SVI, among: Collection[str] = get_args(Engine)) -> ChosenEngine:
    """The engine of a name, or of an object that carries its parameters.

    Raises:
        SpecError: unknown, or not one of those that are possible here.
    """
    if isinstance(engine, SVI):
        return ChosenEngine("svi", engine)
    if not isinstance(engine, str) or engine not in among:
        raise SpecError(f"engine must be one of {', '.join(among)}, or an SVI(...); got {engine!r}.")
    return ChosenEngine(engine, SVI() if engine == "svi" else None)


def diagnosed(
    draws: Draws,
    samples: Samples | Approximated,
    settings: SamplerSettings,
    engine: ChosenEngine,
    names: list[str],
    log_constant: float = 0.0,
) -> Diagnostics | ApproximationDiagnostics:
    """Diagnostics of constrained draws, whichever engine made them.

    Args:
        draws: by parameter name, shape (chain, draw, ...).
        samples: what the engine returned.
        settings: what it was asked for.
        engine: which it was.
        names: of the scalar parameters, in the draws' order.
        log_constant: log density of the padding, which is no part of an approximation's evidence.
    """
    if isinstance(samples, Approximated):
        return diagnose_approximation(samples, settings, engine.name, log_constant=log_constant)
    return diagnose(draws, samples, settings, engine.name, names)
