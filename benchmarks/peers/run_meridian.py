"""Meridian on the same table: `python -m benchmarks.peers.run_meridian --data ... --out ...`, in its own environment.

Its model is another one (its own priors, Hill curves, knots instead of Fourier waves): its seconds and its convergence are
its own, not those of the same posterior.
"""

import os

from benchmarks.peers import common

_STARTED = common.started()
os.environ.setdefault("MERIDIAN_BACKEND", "jax")

import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from meridian.data.data_frame_input_data_builder import DataFrameInputDataBuilder  # noqa: E402  # pyright: ignore[reportMissingImports]
from meridian.model.model import Meridian  # noqa: E402  # pyright: ignore[reportMissingImports]
from meridian.model.spec import ModelSpec  # noqa: E402  # pyright: ignore[reportMissingImports]

_PACKAGES = ("google-meridian", "jax", "jaxlib", "tfp-nightly", "arviz", "numpy")
_HOW = "Another model than ours: Meridian's defaults but for 10 knots and a lag of 5; spend is the media metric; \
controls that are linear combinations of others are left out, since Meridian refuses them. Half of the warm-up is \
adaptation, half burn-in. Convergence over the sampled parameters; target acceptance is Meridian's own."
_FREE = ("knot_values", "tau_g_excl_baseline", "roi_m", "alpha_m", "ec_m", "slope_m", "gamma_c", "sigma")
"""Parameters with a prior, as far as the model has them; `slope_m` only where it is not fixed."""


def main() -> None:
    """Fit every table and write the run."""
    options = common.parser(__doc__, ("tfp",)).parse_args()
    options.target_accept = None
    warnings.simplefilter("ignore")
    startup = time.monotonic() - _STARTED
    roles = common.read_roles(options.data)
    fits = common.fit_each(common.tables(options.data, options.limit), lambda path: fit_table(path, roles, options))
    common.write_run(
        options,
        tool="Meridian",
        dtype=common.dtype_of(fits),
        device="cpu",
        packages=_PACKAGES,
        startup=startup,
        fits=fits,
        how=_HOW,
    )


def fit_table(path: Path, roles: dict[str, Any], options: Any) -> dict[str, Any]:
    """Read, build, sample; then, off the clock, how well it converged."""
    began = time.monotonic()
    frame = common.read_table(path, roles)
    controls = independent(frame, roles["controls"])
    model = build(frame, {**roles, "controls": controls})
    sampling = time.monotonic()
    adapt = options.warmup // 2
    model.sample_posterior(
        n_chains=options.chains, n_adapt=adapt, n_burnin=options.warmup - adapt, n_keep=options.draws, seed=options.seed
    )
    ended = time.monotonic()
    posterior = model.inference_data["posterior"]
    draws = {
        name: posterior[name].to_numpy() for name in _FREE if name in posterior and posterior[name].to_numpy().std() > 0
    }
    return {
        "wall_seconds": ended - began,
        "sampling_seconds": ended - sampling,
        "free_parameters": {name: list(values.shape[2:]) for name, values in draws.items()},
        **common.convergence(draws),
        "controls": controls,
        "dtype": str(draws["roi_m"].dtype),
    }


def build(frame: Any, roles: dict[str, Any]) -> Meridian:
    """A national model of revenue with its defaults."""
    channels, controls = list(roles["channels"]), list(roles["controls"])
    frame = frame.assign(**{roles["date"]: frame[roles["date"]].dt.strftime("%Y-%m-%d")})
    builder = DataFrameInputDataBuilder(kpi_type="revenue", default_time_column=roles["date"])
    builder = builder.with_kpi(frame, kpi_col=roles["target"])
    builder = builder.with_media(frame, media_cols=channels, media_spend_cols=channels, media_channels=channels)
    if controls:
        builder = builder.with_controls(frame, control_cols=controls)
    return Meridian(input_data=builder.build(), model_spec=ModelSpec(knots=10, max_lag=5))


def independent(frame: Any, names: list[str]) -> list[str]:
    """The controls without those that a constant and the ones before them make up: Meridian refuses to fit them."""
    kept: list[str] = []
    for name in names:
        design = np.column_stack([np.ones(len(frame)), frame[[*kept, name]].to_numpy(float)])
        if np.linalg.matrix_rank(design) == design.shape[1]:
            kept.append(name)
    return kept


if __name__ == "__main__":
    main()
