"""Recovery with this package: `python -m benchmarks.peers.recover_ours --data ... --out ...`, from the repository's root.

The priors are the peers' as far as the curves allow: theirs are sigmoids, ours Hill curves, which made the data.
"""

from benchmarks.peers import common

_STARTED = common.started()

import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

import mmm_jax as mj  # noqa: E402

_PACKAGES = ("mmm-jax", "jax", "jaxlib", "numpyro", "arviz", "numpy")
_HOW = "Adstock Beta(1, 3) over 8 weeks, Hill curves whose heights are half-normal by spend share, waves of order 2; of \
geos, controls, waves and noise partially pooled; all else by default."

_OF_GEOS = ("gamma_control", "gamma_fourier", "y_sigma")
"""What every geo has of its own with the peers, beside what the package pools partially by default."""


def main() -> None:
    """Fit every table, write the run, and its draws beside it."""
    options = common.parser(__doc__, ("own", "lanes", "numpyro")).parse_args()
    warnings.simplefilter("ignore")
    startup = time.monotonic() - _STARTED
    roles = common.read_roles(options.data)
    fits = common.fit_each(common.tables(options.data, options.limit), lambda path: fit_table(path, roles, options))
    common.write_run(
        options,
        tool="mmm_jax",
        dtype=common.dtype_of(fits),
        device="cpu",
        packages=_PACKAGES,
        startup=startup,
        fits=fits,
        how=_HOW,
    )


def fit_table(path: Path, roles: dict[str, Any], options: Any) -> dict[str, Any]:
    """Read, build, sample; then, off the clock, predictions, totals and convergence."""
    began = time.monotonic()
    frame = common.read_table(path, roles)
    geos = list(dict.fromkeys(frame[roles["geo"]]))
    fit = fit_market(frame, roles, options, **({} if len(geos) == 1 else {"geo": roles["geo"]}))
    wall = time.monotonic() - began
    common.write_draws(options, totals=totals(fit, roles, geos), y=predicted(fit, geos), geos=geos)
    found = fit.diagnostics
    return {
        "wall_seconds": wall,
        "sampling_seconds": found.wall_seconds.get("sample"),
        "divergences": found.divergences,
        "min_ess_bulk": found.min_ess_bulk,
        "min_ess_tail": found.min_ess_tail,
        "max_rhat": found.max_rhat,
        "dtype": fit.precision,
    }


def fit_market(frame: Any, roles: dict[str, Any], options: Any, **geo: Any) -> Any:
    """One market, or with `geo=` many of them in one model."""
    panel = mj.Panel.from_frame(
        frame, date=roles["date"], target=roles["target"], channels=roles["channels"], controls=roles["controls"], **geo
    )
    settings: dict[str, Any] = {} if options.sampler == "own" else {"engine": options.sampler}
    return mj.fit(
        panel,
        spec(roles, _OF_GEOS if geo else ()),
        key=options.seed,
        num_chains=options.chains,
        num_warmup=options.warmup,
        num_samples=options.draws,
        target_accept=options.target_accept,
        progress=False,
        **settings,
    )


def spec(roles: dict[str, Any], pooled: tuple[str, ...]) -> mj.ModelSpec:
    """The model: as the peers', heights have the scale of the share of spend times the number of channels.

    Args:
        roles: which column is what.
        pooled: parameters that differ over geos, beside those that do by default.
    """
    return mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=8),
        saturation=mj.HillSaturation(),
        yearly_seasonality=2,
        standardize_controls=True,
        pooling=dict.fromkeys(pooled, "partial"),
        priors={"saturation_beta": mj.SpendShare(float(len(roles["channels"])))},
    )


def totals(fit: Any, roles: dict[str, Any], geos: list[str]) -> np.ndarray:
    """Draws of each channel's contribution over all dates, shape (draw, geo, channel)."""
    media = by_geo(fit.contribution_totals()["media"], geos).transpose("chain", "draw", "geo", "channel")
    values = media.sel(channel=list(roles["channels"])).to_numpy()
    return values.reshape(-1, *values.shape[2:])


def predicted(fit: Any, geos: list[str]) -> np.ndarray:
    """Predictive draws of the target, shape (draw, geo, date)."""
    y = by_geo(fit.predict()["y"], geos).transpose("chain", "draw", "geo", "date").to_numpy()
    return y.reshape(-1, *y.shape[2:])


def by_geo(values: Any, geos: list[str]) -> Any:
    """With the geos as a dimension, in this order; one market is one geo."""
    return values.sel(geo=geos) if "geo" in values.dims else values.expand_dims(geo=geos)


if __name__ == "__main__":
    main()
