"""The same run for this package: `python -m benchmarks.peers.run_ours --data ... --out ...`, from the repository's root."""

from benchmarks.peers import common

_STARTED = common.started()

import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import mmm_jax as mj  # noqa: E402

_PACKAGES = ("mmm-jax", "jax", "jaxlib", "numpyro", "arviz", "numpy")
GEO_SPEC = mj.ModelSpec(trend=mj.KnotTrend(10))
"""A baseline with knots that all geos share, and the package's defaults: intercepts and media effects partially pooled."""

_HOW = {
    "geo": "`mj.fit` of all geos: 10 knots, a lag of 8, logistic curves, media effects log-normal over geos; impressions "
    "are the media metric, conversions the target.",
    "single": "`mj.fit` once per table.",
    "batch": "All tables in one `mj.fit_batch`; a fit's wall seconds are the batch's over the number of tables.",
}


def main() -> None:
    """Fit the table, or all tables at once, and write the run."""
    options = common.parser(__doc__, ("own", "lanes", "numpyro")).parse_args()
    from benchmarks.problem import spec

    warnings.simplefilter("ignore")
    roles, files = common.read_roles(options.data), common.tables(options.data, options.limit)
    model, startup = GEO_SPEC if "geo" in roles else spec(), time.monotonic() - _STARTED
    batch = options.data.is_dir()
    fits = fit_all(files, roles, model, options) if batch else fit_each(files, roles, model, options)
    common.write_run(
        options,
        tool="mmm_jax",
        dtype=common.dtype_of(fits),
        device=_device(),
        packages=_PACKAGES,
        startup=startup,
        fits=fits,
        how=_HOW["geo" if "geo" in roles else "batch" if batch else "single"],
    )


def fit_each(files: list[Path], roles: dict[str, Any], model: mj.ModelSpec, options: Any) -> list[dict[str, Any]]:
    """One `mj.fit` per table."""

    def one(path: Path) -> dict[str, Any]:
        began = time.monotonic()
        fit = mj.fit(read_panel(path, roles), model, **_settings(options))
        return {"wall_seconds": time.monotonic() - began, **summary(fit, options)}

    return common.fit_each(files, one)


def fit_all(files: list[Path], roles: dict[str, Any], model: mj.ModelSpec, options: Any) -> list[dict[str, Any]]:
    """One `mj.fit_batch` over all tables."""
    began = time.monotonic()
    panels = {path.stem: read_panel(path, roles) for path in files}
    batch = mj.fit_batch(panels, model, **_settings(options))  # pyright: ignore[reportAttributeAccessIssue]
    share = (time.monotonic() - began) / len(files)
    # A fit that failed took its share too.
    records = common.fit_each(files, lambda path: summary(batch[path.stem], options))
    return [{**record, "wall_seconds": share} for record in records]


def summary(fit: mj.Fit, options: Any) -> dict[str, Any]:
    """Convergence as the fit itself reports it."""
    found = fit.diagnostics
    labels = {"channel": fit.panel.channels, "control": fit.panel.control_names}
    draws = dict(fit.draws)
    waves = range(1, fit.spec.yearly_seasonality + 1)
    labels["fourier_mode"] = tuple(f"{wave}_{order}" for wave in ("sin", "cos") for order in waves)
    # Geos' parameters are not compared one by one, and have dimensions of their own.
    dims = fit.spec.parameter_dims.items() if options.moments else ()
    named = {name: list(labels[own[0]]) for name, own in dims if own}
    return {
        "sampling_seconds": found.wall_seconds.get("sample"),
        "stages": dict(found.wall_seconds),
        "dtype": fit.precision,
        "divergences": found.divergences,
        "parameters": sum(values[0, 0].size for values in draws.values()),
        "min_ess_bulk": found.min_ess_bulk,
        "min_ess_tail": found.min_ess_tail,
        "max_rhat": found.max_rhat,
        **(common.moments(draws, named) if options.moments else {}),
    }


def read_panel(path: Path, roles: dict[str, Any]) -> Any:
    """The table as a panel."""
    frame = common.read_table(path, roles)
    columns: dict[str, Any] = {name: roles[name] for name in ("date", "target", "channels", "controls")}
    if "geo" in roles:
        units = dict(zip(roles["spend"], roles["channels"], strict=True))
        columns |= {"channels": roles["spend"], "media": units, "geo": roles["geo"], "population": roles["population"]}
    return mj.Panel.from_frame(frame, **columns)


def _settings(options: Any) -> dict[str, Any]:
    settings = {
        "key": options.seed,
        "num_chains": options.chains,
        "num_warmup": options.warmup,
        "num_samples": options.draws,
        "target_accept": options.target_accept,
        "progress": False,
    }
    # `own` is whatever the package takes by default.
    return settings if options.sampler == "own" else {**settings, "engine": options.sampler}


def _device() -> str:
    import jax

    return jax.devices()[0].device_kind


if __name__ == "__main__":
    main()
