"""What simulation-based calibration found: ranks, how uniform they are, and which fits to look at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from mmm_jax.validation.ranks import Band, holm, simultaneous_band, uniformity


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of true values among their posterior draws; made by `simulate_calibrate`.

    If model, sampler and all between them are right, every rank from 0 to `num_ranks` is equally likely.

    Attributes:
        ranks: (simulation, quantity); fits that failed are not there.
        truth: the true values, (simulation, quantity).
        ess: effective sample size in the bulk of all draws, the smallest over the parameters, (simulation).
        num_ranks: draws that each true value is ranked among.
        status: `success`, `not_converged` or `failed`, by simulation.
        errors: why fits failed, by simulation.
    """

    ranks: xr.DataArray
    truth: xr.DataArray
    ess: xr.DataArray
    num_ranks: int
    status: dict[str, str]
    errors: dict[str, str]

    def __repr__(self) -> str:
        """One line: how many fits, and the quantity that strays most."""
        counts = ", ".join(f"{list(self.status.values()).count(word)} {word}" for word in sorted(set(self.status.values())))
        return f"Calibration({len(self.status)} simulations: {counts}; worst {self.worst!r}, p = {self._worst_p():.2g})"

    @property
    def worst(self) -> str:
        """The quantity whose ranks stray most from uniformity."""
        return str(self.p_values().index[0])

    @property
    def autocorrelated(self) -> list[str]:
        """Simulations whose draws are worth fewer independent ones than are ranked: their ranks stray to the ends."""
        return [str(name) for name in self.ess["simulation"].to_numpy()[self.ess.to_numpy() < self.num_ranks]]

    def p_values(self) -> Any:
        """Table with one row per quantity, the worst first (pandas).

        `p_value` is of an exact test of uniformity, `adjusted` the same by Holm's method for the number of quantities;
        `bias` is how far the mean rank lies from the middle, in its standard errors: above 0, the posterior lies too low;
        `width` is how far the ranks' variance lies from a uniform one's, in its standard errors: above 0, the posterior
        is too narrow.
        """
        counts = {str(name): uniformity(self._of(str(name)), self.num_ranks) for name in self.ranks["quantity"].to_numpy()}
        p_values = np.array(list(counts.values()))
        shape = np.array([_shape(self._of(name), self.num_ranks) for name in counts])
        columns = {"p_value": p_values, "adjusted": holm(p_values), "bias": shape[:, 0], "width": shape[:, 1]}
        order = np.argsort(p_values, kind="stable")
        coords = {"quantity": np.array(list(counts))[order]}
        return xr.Dataset({name: ("quantity", values[order]) for name, values in columns.items()}, coords).to_dataframe()

    def calibrated(self, alpha: float = 0.05) -> bool:
        """Whether no quantity's ranks stray more than chance would let any of them, with probability `1 - alpha`."""
        return bool(self.p_values()["adjusted"].min() >= alpha)

    def band(self, prob: float = 0.95) -> Band:
        """Counts of ranks up to each rank between which uniform ranks stay everywhere, with the given probability."""
        return simultaneous_band(self.ranks.sizes["simulation"], self.num_ranks, prob)

    def _of(self, name: str) -> np.ndarray:
        return self.ranks.sel(quantity=name).to_numpy()

    def _worst_p(self) -> float:
        return float(self.p_values()["p_value"].iloc[0])


def _shape(ranks: np.ndarray, largest: int) -> tuple[float, float]:
    """How far mean and variance of the ranks lie from uniform ranks', in standard errors."""
    place = np.sqrt(12 / (largest * (largest + 2))) * (ranks - largest / 2)
    # A uniform variable in units of its own standard deviation has the kurtosis 9/5; that of whole numbers is near.
    spread = np.mean(place**2) - 1
    return float(place.mean() * np.sqrt(len(ranks))), float(spread / np.sqrt(0.8 / len(ranks)))
