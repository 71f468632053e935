"""What fits of one market and of many have in common: draws with names, and what can be said of them alone."""

from abc import ABC
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.geo_scaling import AnyScales
from mmm_jax.fitting import store, tables
from mmm_jax.fitting.experiments import prediction_table
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.kernels.numerics import Precision
from mmm_jax.model.spec import ModelSpec


class AbstractFit(ABC):
    """Spec, panel, scales, draws and their diagnostics; see `Fit` and `GeoFit`."""

    spec: ModelSpec
    panel: AnyPanel
    scales: AnyScales
    draws: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]
    diagnostics: Diagnostics | ApproximationDiagnostics
    precision: Precision
    experiments: LiftTests | None

    def __repr__(self) -> str:
        """One line: how many draws of what, and whether they converged or can be believed."""
        state = _state(self.diagnostics)
        chains, draws = next(iter(self.draws.values())).shape[:2]
        name = type(self).__name__
        return f"{name}({chains} x {draws} draws, {self.diagnostics.engine}, {self.precision}, {state}; {self.panel})"

    @property
    def posterior(self) -> xr.DataTree:
        """Draws, sample statistics and data as an ArviZ-like tree."""
        return store.to_tree(self)

    @property
    def num_chains(self) -> int:
        """Number of chains."""
        return next(iter(self.draws.values())).shape[0]

    def flat_draws(self) -> dict[str, np.ndarray]:
        """Draws of shape (chain * draw, ...)."""
        # Spelt out, since -1 cannot be told for a parameter of size 0, such as the controls' where there are none.
        return {name: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for name, v in self.draws.items()}

    def summary(self, *, prob: float = 0.9) -> Any:
        """Table of the parameters: mean, sd, interval, R-hat, effective sample sizes, Monte Carlo error (pandas)."""
        return tables.parameter_table(self, prob)

    def prior_to_posterior(self, *, key: Key = 0, num_samples: int = 2000) -> Any:
        """Table of prior and posterior mean and sd of every parameter, and the contraction `1 - var / prior var`."""
        return tables.prior_to_posterior_table(self, as_key(key), num_samples)

    def predict_experiments(self, experiments: LiftTests, *, prob: float = 0.9) -> Any:
        """Table of what the fit says of experiments beside what they measured (pandas); best of those it has not seen.

        Args:
            experiments: within the training dates.
            prob: probability of the interval.

        Returns:
            One row per experiment, lift tests first: `kind`, `channel`, `geo`, `start`, `end`; `mean`, `sd`, `lower`,
            `median`, `upper` of the change of the expected outcome (or of the cost per target); `measured` and `se`; and
            `pit`, the probability that the posterior predictive, the measurement's own error included, gives to less than
            was measured: near 0 or 1, the fit and the experiment disagree.

        Raises:
            ExperimentError: an experiment does not fit the panel, or there is none.
        """
        return prediction_table(self, experiments, prob)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fit to one Zarr folder (`.zarr`) or NetCDF file (`.nc`).

        Args:
            path: on a disk, or an address such as `s3://bucket/fit.zarr` (with the extra `remote`).
            overwrite: replace what is there.

        Raises:
            StoreError: another suffix, the path exists and `overwrite` is not set, or the address cannot be used.
        """
        store.save(self, path, overwrite=overwrite)


def _state(diagnostics: Diagnostics | ApproximationDiagnostics) -> str:
    if isinstance(diagnostics, ApproximationDiagnostics):
        doubt = "" if diagnostics.converged else " NOT to be believed"
        return f"approximation{doubt}, k-hat {diagnostics.pareto_k:.2f}"
    return "converged" if diagnostics.converged else "NOT converged"
