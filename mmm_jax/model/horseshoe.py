r"""Many controls of which few matter: the regularised horseshoe, `gamma_j = z_j s_j`.

`s_j = tau lambda~_j` with `lambda~_j^2 = c^2 lambda_j^2 / (c^2 + tau^2 lambda_j^2)`: a global scale `tau` pulls all
coefficients to 0, heavy-tailed local scales `lambda_j` let some escape, and the slab `c` keeps these from growing without
end. `z_j` is standard normal, `tau` half-Cauchy, `lambda_j` half-Student-t, and `c^2` inverse gamma.

Reference:
    Piironen and Vehtari (2017), Sparsity information and regularization in the horseshoe and other shrinkage priors,
    sections 2.3 and 3.3 and eq. 3.12.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from mmm_jax.errors import SpecError
from mmm_jax.inference.half_student import HalfStudentT

COEFFICIENT = "gamma_control"
"""The parameter that may have this prior."""

GLOBAL, LOCAL, SLAB, WEIGHT = (f"{COEFFICIENT}_{part}" for part in ("tau", "lambda", "slab", "z"))
"""The parameters that its coefficients follow from; the slab's is `c^2`."""


@dataclass(frozen=True)
class GlobalScale:
    """`HalfCauchy(p0 / (D - p0) * sigma / sqrt(n))`: a rule, since `D` controls and `n` rows are the panel's.

    Attributes:
        expected_nonzero: `p0`, how many coefficients are thought to matter.
        noise_scale: `sigma`.
    """

    expected_nonzero: float
    noise_scale: float

    def resolve(self, controls: int, rows: int) -> dist.HalfCauchy:
        """The distribution for a number of controls and of training rows that count.

        Raises:
            SpecError: no more controls than are thought to matter.
        """
        if controls <= self.expected_nonzero:
            raise SpecError(
                f"RegularizedHorseshoe expects {self.expected_nonzero:g} controls to matter, but the panel has {controls}: "
                f"nothing would be shrunk. Lower expected_nonzero, or give {COEFFICIENT!r} another prior, such as Normal."
            )
        odds = self.expected_nonzero / (controls - self.expected_nonzero)
        return dist.HalfCauchy(odds * self.noise_scale / math.sqrt(max(rows, 1)))


@dataclass(frozen=True)
class RegularizedHorseshoe:
    """Prior of `gamma_control` for many controls of which few matter: those shrink to 0, these are left as they are.

    It adds parameters: `gamma_control_tau`, `gamma_control_lambda` and `gamma_control_z` by control, and
    `gamma_control_slab`; `gamma_control` follows from them. Controls must be standardised, or their units would decide which
    of them shrink.

    Attributes:
        expected_nonzero: how many controls are thought to matter, fewer than there are. It sets the prior of `tau`, whose
            tail leaves room for several times as many.
        slab_scale: how large the coefficients of those that matter may be: scaled target (logarithm of the target with a
            log link) per standard deviation of the control.
        slab_df: degrees of freedom of the slab, a Student-t: the fewer, the heavier its tails.
        local_df: degrees of freedom of the local scales: 1 is the horseshoe; with more, noise shrinks less, and the
            posterior is easier to sample.
        noise_scale: residual deviation that the prior of `tau` is stated for, in units of the scaled target; the prior
            mean of `y_sigma` by default, so that it does not depend on the data. The default prior of `y_sigma` is wide:
            a smaller number shrinks more.

    Reference:
        Piironen and Vehtari (2017), Sparsity information and regularization in the horseshoe and other shrinkage priors.

    Example:
        >>> RegularizedHorseshoe(expected_nonzero=3, slab_scale=0.3).slab_df
        4.0
    """

    expected_nonzero: float
    slab_scale: float = 0.5
    slab_df: float = 4.0
    local_df: float = 1.0
    noise_scale: float | None = None

    dims: ClassVar[dict[str, tuple[str, ...]]] = {GLOBAL: (), LOCAL: ("control",), SLAB: (), WEIGHT: ("control",)}

    def __post_init__(self) -> None:
        for name, value in self.options().items():
            if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value > 0):
                raise SpecError(f"RegularizedHorseshoe.{name} must be a positive number, got {value!r}.")

    def options(self) -> dict[str, float]:
        """What was chosen, by name; without a noise scale that is left to the prior of `y_sigma`."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def priors(self, noise: dist.Distribution | None) -> dict[str, dist.Distribution | GlobalScale]:
        """Priors of the parameters that it adds.

        Args:
            noise: prior of `y_sigma`; `None` for a likelihood without one.

        Raises:
            SpecError: no noise scale is given, and none follows from the prior of `y_sigma`.
        """
        half = 0.5 * self.slab_df
        return {
            GLOBAL: GlobalScale(self.expected_nonzero, self._noise(noise)),
            LOCAL: HalfStudentT(self.local_df, 1.0),
            SLAB: dist.InverseGamma(half, half * self.slab_scale**2),
            WEIGHT: dist.Normal(0.0, 1.0),
        }

    def _noise(self, noise: dist.Distribution | None) -> float:
        if self.noise_scale is not None:
            return float(self.noise_scale)
        mean = math.nan if noise is None else float(np.mean(np.asarray(noise.mean)))
        if not 0.0 < mean < math.inf:
            why = "the likelihood has no y_sigma" if noise is None else "the prior of 'y_sigma' has no mean"
            raise SpecError(
                f"RegularizedHorseshoe needs noise_scale, since {why}. Give the residual deviation in units of the scaled "
                "target, or with a log link of its logarithm, such as 0.1."
            )
        return mean


def deviations(params: Mapping[str, Array]) -> Float[Array, " control"]:
    """`s_j = tau lambda~_j`, the standard deviation of every coefficient given the scales.

    Args:
        params: one draw.
    """
    return regularized(params[GLOBAL], params[LOCAL], params[SLAB])


def regularized(tau: Float[Array, ""], local: Float[Array, " control"], slab: Float[Array, ""]) -> Float[Array, " control"]:
    """`s_j = tau lambda~_j` of the scales themselves.

    Args:
        tau: global scale.
        local: `lambda_j`.
        slab: `c^2`.
    """
    # `1 / s^2 = 1 / (tau lambda)^2 + 1 / c^2`, in logarithms: squares of heavy tails overflow in single precision.
    log_free = jnp.log(tau) + jnp.log(local)
    return jnp.exp(-0.5 * jnp.logaddexp(-2.0 * log_free, -jnp.log(slab)))


def with_coefficients(params: dict[str, Array]) -> dict[str, Array]:
    """The parameters with the coefficients that follow from the horseshoe's; as they are, where there is none."""
    if WEIGHT not in params:
        return params
    return {**params, COEFFICIENT: deviations(params) * params[WEIGHT]}
