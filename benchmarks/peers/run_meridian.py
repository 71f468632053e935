"""Meridian on the same table: `python -m benchmarks.peers.run_meridian --data ... --out ...`, in its own environment.

Its model is another one (its own priors, Hill curves, knots instead of Fourier waves): its seconds and its convergence are
its own, not those of the same posterior. A table of many geos, which `roles.json` tells by its entry `geo`, is fitted with
all of Meridian's defaults.
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
_NATIONAL = "Another model than ours: Meridian's defaults but for 10 knots and a lag of 5; spend is the media metric; \
controls that are linear combinations of others are left out, since Meridian refuses them. Half of the warm-up is \
adaptation, half burn-in. Convergence over the sampled parameters; target acceptance is Meridian's own."
_GEO = (
    "All of Meridian's defaults: a knot per week, a lag of 8, media effects log-normal over geos; impressions are the media \
metric, conversions the target with their revenue. The last 200 iterations of the warm-up are burn-in, those before adapt. \
Convergence over the sampled parameters, the geos' standardised deviations among them; target acceptance is Meridian's own."
)
_FREE = ("knot_values", "roi_m", "eta_m", "alpha_m", "ec_m", "slope_m", "gamma_c", "xi_c", "sigma")
"""Parameters with a prior, as far as the model has them; those that do not move, such as `slope_m` by default, are fixed."""
_BURN_IN = 200


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
        how=_GEO if "geo" in roles else _NATIONAL,
    )


def fit_table(path: Path, roles: dict[str, Any], options: Any) -> dict[str, Any]:
    """Read, build, sample; then, off the clock, how well it converged."""
    began = time.monotonic()
    frame = common.read_table(path, roles)
    controls = roles["controls"] if "geo" in roles else independent(frame, roles["controls"])
    model = build(frame, {**roles, "controls": controls})
    sampling = time.monotonic()
    burn_in = _BURN_IN if "geo" in roles else options.warmup - options.warmup // 2
    model.sample_posterior(
        n_chains=options.chains,
        n_adapt=options.warmup - burn_in,
        n_burnin=burn_in,
        n_keep=options.draws,
        seed=options.seed,
    )
    ended = time.monotonic()
    draws = sampled(model.inference_data["posterior"])
    return {
        "wall_seconds": ended - began,
        "sampling_seconds": ended - sampling,
        "free_parameters": {name: list(values.shape[2:]) for name, values in draws.items()},
        **common.convergence(draws),
        "controls": controls,
        "dtype": str(draws["roi_m"].dtype),
    }


def sampled(posterior: Any) -> dict[str, np.ndarray]:
    """Draws of what was sampled, by name; of the geos' deviations, Meridian keeps what they make of the means."""
    found = {name: posterior[name].to_numpy() for name in _FREE if name in posterior}
    free = {name: values for name, values in found.items() if values.std() > 0}
    # One geo's level is fixed at 0.
    levels = posterior["tau_g"].to_numpy()
    if (moving := levels.std(axis=(0, 1)) > 0).any():
        free["tau_g"] = levels[..., moving]
    if "eta_m" in free:
        effects = np.log(posterior["beta_gm"].to_numpy()) - posterior["beta_m"].to_numpy()[:, :, None]
        free["beta_gm_dev"] = effects / free["eta_m"][:, :, None]
    if "xi_c" in free:
        effects = posterior["gamma_gc"].to_numpy() - free["gamma_c"][:, :, None]
        free["gamma_gc_dev"] = effects / free["xi_c"][:, :, None]
    return free


def build(frame: Any, roles: dict[str, Any]) -> Meridian:
    """A model of revenue, national or by geo."""
    frame = frame.assign(**{roles["date"]: frame[roles["date"]].dt.strftime("%Y-%m-%d")})
    channels, controls, geo = list(roles["channels"]), list(roles["controls"]), "geo" in roles
    columns = {"default_geo_column": roles["geo"]} if geo else {}
    kind = "non_revenue" if geo else "revenue"
    builder = DataFrameInputDataBuilder(kpi_type=kind, default_time_column=roles["date"], **columns)
    builder = builder.with_kpi(frame, kpi_col=roles["target"])
    spend = roles.get("spend", channels)
    builder = builder.with_media(frame, media_cols=channels, media_spend_cols=spend, media_channels=channels)
    if controls:
        builder = builder.with_controls(frame, control_cols=controls)
    if geo:
        builder = builder.with_population(frame, population_col=roles["population"])
        builder = builder.with_revenue_per_kpi(frame, revenue_per_kpi_col=roles["revenue_per_target"])
    return Meridian(input_data=builder.build(), model_spec=ModelSpec() if geo else ModelSpec(knots=10, max_lag=5))


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
