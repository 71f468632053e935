"""The case study's model in PyMC-Marketing: `python -m benchmarks.peers.run_pymc_marketing --data ... --out ...`.

Runs inside of the peer's environment, from the repository's root, and imports the peer only.
"""

from benchmarks.peers import common

_STARTED = common.started()

import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytensor  # noqa: E402  # pyright: ignore[reportMissingImports]
from pymc_extras.prior import Prior  # noqa: E402  # pyright: ignore[reportMissingImports]
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation  # noqa: E402  # pyright: ignore[reportMissingImports]

_PACKAGES = ("pymc-marketing", "pymc", "pytensor", "nutpie", "numpyro", "blackjax", "jax", "numba", "arviz", "numpy")
_HOW = "A model is built and `MMM.fit` called once per table, one table after another in one process; all defaults but \
the sampler, its counts and target acceptance. Wall time ends when `fit` returns, so it counts \
PyMC-Marketing's own derived quantities."
_OUR_NAMES = {
    "intercept_contribution": "intercept",
    "adstock_alpha": "adstock_alpha",
    "saturation_lam": "saturation_lam",
    "saturation_beta": "saturation_beta",
    "gamma_control": "gamma_control",
    "gamma_fourier": "gamma_fourier",
    "y_sigma": "y_sigma",
}


def main() -> None:
    """Fit every table and write the run."""
    options = common.parser(__doc__, ("nutpie", "numpyro", "blackjax", "pymc")).parse_args()
    warnings.simplefilter("ignore")
    startup = time.monotonic() - _STARTED
    roles = common.read_roles(options.data)
    fits = common.fit_each(common.tables(options.data, options.limit), lambda path: fit_table(path, roles, options))
    dtype = pytensor.config.floatX
    common.write_run(
        options, tool="PyMC-Marketing", dtype=dtype, device="cpu", packages=_PACKAGES, startup=startup, fits=fits, how=_HOW
    )


def fit_table(path: Path, roles: dict[str, Any], options: Any) -> dict[str, Any]:
    """Read, build, sample; then, off the clock, how well it converged."""
    began = time.monotonic()
    frame = common.read_table(path, roles)
    model = build(frame, roles)
    found = model.fit(
        frame[[roles["date"], *roles["channels"], *roles["controls"]]],
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
    return {"wall_seconds": wall, **summary(found, model, options)}


def summary(found: Any, model: MMM, options: Any) -> dict[str, Any]:
    """Sampling seconds as PyMC gives them, divergences, convergence of the free parameters."""
    posterior = found["posterior"]
    free = sorted(variable.name for variable in model.model.free_RVs)
    if free != sorted(name for name in _OUR_NAMES if name in free):
        raise ValueError(f"The peer's model has other free parameters than ours: {free}.")
    draws = {_OUR_NAMES[name]: posterior[name].transpose("chain", "draw", ...).to_numpy() for name in free}
    labels = {
        _OUR_NAMES[name]: [str(value) for value in posterior[name].coords[posterior[name].dims[-1]].values]
        for name in free
        if posterior[name].ndim > 2
    }
    seconds = posterior.attrs.get("sampling_time", found.attrs.get("sampling_time"))
    return {
        "sampling_seconds": None if seconds is None else float(seconds),
        "divergences": int(found["sample_stats"]["diverging"].sum()),
        **common.convergence(draws),
        **(common.moments(draws, labels) if options.moments else {}),
    }


def build(frame: Any, roles: dict[str, Any]) -> MMM:
    """The model of `examples/case_study/config.yaml`; channels and target are divided by their maxima, as there."""
    channels = list(roles["channels"])
    share = frame[channels].sum() / frame[channels].to_numpy().sum()
    priors = {
        "intercept": Prior("Normal", mu=0.2, sigma=0.05),
        "adstock_alpha": Prior("Beta", alpha=1, beta=3, dims="channel"),
        "saturation_lam": Prior("Gamma", alpha=3, beta=1, dims="channel"),
        "saturation_beta": Prior("HalfNormal", sigma=share.to_numpy(), dims="channel"),
        "gamma_control": Prior("Normal", mu=0, sigma=1, dims="control"),
        "gamma_fourier": Prior("Laplace", mu=0, b=1, dims="fourier_mode"),
        "likelihood": Prior("TruncatedNormal", lower=0, sigma=Prior("HalfNormal", sigma=1), dims="date"),
    }
    return MMM(
        date_column=roles["date"],
        target_column=roles["target"],
        channel_columns=channels,
        control_columns=list(roles["controls"]) or None,
        adstock=GeometricAdstock(l_max=6),
        saturation=LogisticSaturation(),
        yearly_seasonality=5,
        model_config=priors,
    )


if __name__ == "__main__":
    main()
