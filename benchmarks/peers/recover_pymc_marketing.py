"""Recovery with PyMC-Marketing: `python -m benchmarks.peers.recover_pymc_marketing --data ... --out ...`.

Structure and priors are those of the peers' own benchmark, github.com/pymc-labs/mmm-param-recovery: with the priors that its
README states (`spend_share`), or those of its later code (`lognormal`). Runs inside of the peer's environment, from the
repository's root, and imports the peer only.
"""

from benchmarks.peers import common

_STARTED = common.started()

import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytensor  # noqa: E402  # pyright: ignore[reportMissingImports]
from pymc_extras.prior import Prior  # noqa: E402  # pyright: ignore[reportMissingImports]
from pymc_marketing.mmm import MMM, GeometricAdstock, HillSaturationSigmoid  # noqa: E402  # pyright: ignore[reportMissingImports]
from pymc_marketing.special_priors import LogNormalPrior  # noqa: E402  # pyright: ignore[reportMissingImports]

_PACKAGES = ("pymc-marketing", "pymc", "pytensor", "nutpie", "numpyro", "jax", "numba", "arviz", "numpy")
_HOW = {
    "spend_share": "Adstock Beta(1, 3) over 8 weeks, Hill curves as a sigmoid whose heights scatter around a mean by spend "
    "share, waves of order 2; all else by default.",
    "lognormal": "The same with log-normal heights of one mean for all channels.",
}


def main() -> None:
    """Fit every table, write the run, and its draws beside it."""
    parser = common.parser(__doc__, ("nutpie", "numpyro", "blackjax", "pymc"))
    parser.add_argument("--variant", choices=tuple(_HOW), default="spend_share", help="priors of the curves' heights")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    startup = time.monotonic() - _STARTED
    roles = common.read_roles(options.data)
    fits = common.fit_each(common.tables(options.data, options.limit), lambda path: fit_table(path, roles, options))
    common.write_run(
        options,
        tool="PyMC-Marketing",
        dtype=pytensor.config.floatX,
        device="cpu",
        packages=_PACKAGES,
        startup=startup,
        fits=fits,
        how=_HOW[options.variant],
    )


def fit_table(path: Path, roles: dict[str, Any], options: Any) -> dict[str, Any]:
    """Read, build, sample; then, off the clock, predictions, totals and convergence."""
    began = time.monotonic()
    frame = common.read_table(path, roles)
    inputs = frame[[roles["date"], roles["geo"], *roles["channels"], *roles["controls"]]]
    model = build(frame, roles, options.variant)
    found = model.fit(
        inputs,
        frame[roles["target"]],
        progressbar=False,
        random_seed=options.seed,
        chains=options.chains,
        tune=options.warmup,
        draws=options.draws,
        target_accept=options.target_accept,
        nuts_sampler=options.sampler,
    )
    wall = time.monotonic() - began
    predicted = model.sample_posterior_predictive(inputs, random_seed=options.seed, progressbar=False)
    keep(found["posterior"], predicted, model, roles, options)
    return {"wall_seconds": wall, **summary(found, model)}


def keep(posterior: Any, predicted: Any, model: MMM, roles: dict[str, Any], options: Any) -> None:
    """The draws that are scored, in units of the target."""
    # One scale per geo: the peer takes the maximum over the dates alone.
    scale = model.get_scales_as_xarray()["target_scale"]
    totals = (posterior["channel_contribution"].sum("date") * scale).sel(channel=list(roles["channels"]))
    totals = totals.transpose("chain", "draw", "geo", "channel")
    common.write_draws(
        options,
        totals=totals.to_numpy().reshape(-1, *totals.shape[2:]),
        y=(predicted["y"] * scale).transpose("sample", "geo", "date").to_numpy(),
        geos=[str(value) for value in totals.coords["geo"].values],
    )


def summary(found: Any, model: MMM) -> dict[str, Any]:
    """Sampling seconds as PyMC gives them, divergences, convergence of the free parameters."""
    posterior = found["posterior"]
    free = [variable.name for variable in model.model.free_RVs]
    seconds = posterior.attrs.get("sampling_time", found.attrs.get("sampling_time"))
    return {
        "sampling_seconds": None if seconds is None else float(seconds),
        "divergences": int(found["sample_stats"]["diverging"].sum()),
        "free_parameters": {name: list(posterior[name].shape[2:]) for name in free},
        **common.convergence({name: posterior[name].transpose("chain", "draw", ...).to_numpy() for name in free}),
    }


def build(frame: Any, roles: dict[str, Any], variant: str) -> MMM:
    """One model of all geos."""
    heights = spend_share(frame, roles) if variant == "spend_share" else log_normal(frame[roles["geo"]].nunique())
    bend = {name: Prior("HalfNormal", sigma=1.5, dims=("channel",)) for name in ("beta", "lam")}
    return MMM(
        date_column=roles["date"],
        target_column=roles["target"],
        channel_columns=list(roles["channels"]),
        control_columns=list(roles["controls"]),
        dims=("geo",),
        scaling={kind: {"method": "max", "dims": ()} for kind in ("channel", "target")},
        adstock=GeometricAdstock(l_max=8, priors={"alpha": Prior("Beta", alpha=1, beta=3, dims=("channel",))}),
        saturation=HillSaturationSigmoid(priors={"sigma": heights, **bend}),
        yearly_seasonality=2,
    )


def spend_share(frame: Any, roles: dict[str, Any]) -> Prior:
    """Heights of the curves around a mean whose own scale is the channel's share of spend, times the number of channels."""
    spend = frame.groupby(roles["geo"])[list(roles["channels"])].sum().to_numpy()
    shares = (spend / spend.sum(axis=1, keepdims=True)).mean(axis=0)
    centre = Prior("HalfNormal", sigma=len(shares) * shares, dims=("channel",))
    return Prior("InverseGamma", mu=centre, sigma=Prior("HalfNormal", sigma=1.5), dims=("channel", "geo"))


def log_normal(geos: int) -> LogNormalPrior:
    """Heights pooled over geos; with one geo, around fixed moments."""
    if geos == 1:
        return LogNormalPrior(mean=0.25, std=0.25, dims=("channel",))
    return LogNormalPrior(
        mean=Prior("Gamma", mu=0.25, sigma=0.1, dims=("channel",)),
        std=Prior("Exponential", scale=0.1, dims=("channel",)),
        dims=("channel", "geo"),
        centered=False,
    )


if __name__ == "__main__":
    main()
