"""One model of many geos and channels: `python -m benchmarks.geos [--geos 50] [--channels 30] [--weeks 208]`.

A synthetic market whose contributions are known. Says how long the fit took and what memory, how well it mixed, and how far
the totals of the channels are from the truth.
"""

import argparse
import time
import warnings
from datetime import UTC, datetime
from typing import Any

import numpy as np

import mmm_jax as mj
from benchmarks.measure import machine, peak_megabytes
from benchmarks.peers.settings import parse_grid

_PROB = 0.9


def main() -> None:
    """Fit the market once, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--geos", type=int, default=50)
    parser.add_argument("--channels", type=int, default=30)
    parser.add_argument("--weeks", type=int, default=208)
    parser.add_argument("--setting", default="300+1000@0.9", help="WARMUP+DRAWS[@TARGET], per chain")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the market and of the sampler")
    options = parser.parse_args()
    market = mj.synthetic.make_geo_market(
        geos=options.geos, channels=options.channels, weeks=options.weeks, seed=options.seed
    )
    before = peak_megabytes()
    fit, seconds = timed_fit(market.panel, options)
    report(options, market, fit, seconds, before)


def timed_fit(panel: mj.GeoPanel, options: argparse.Namespace) -> tuple[Any, float]:
    """The fit, and the seconds from the panel to it."""
    setting = parse_grid(options.setting)[0]
    # The waves and the window of the generator; all else by default.
    spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=6), yearly_seasonality=1)
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        fit = mj.fit(
            panel,
            spec,
            key=options.seed,
            num_chains=options.chains,
            num_warmup=setting.warmup,
            num_samples=setting.draws,
            target_accept=setting.target_accept,
            progress=False,
        )
    return fit, time.monotonic() - began


def report(options: argparse.Namespace, market: Any, fit: Any, seconds: float, before: float) -> None:
    """Print the table of one run."""
    found, took = fit.diagnostics, fit.diagnostics.wall_seconds
    count = sum(np.prod(values.shape[2:], dtype=int) for values in fit.draws.values())
    print(f"{datetime.now(UTC):%Y-%m-%d}; {machine()}.")
    print(f"{options.geos} geos x {options.weeks} weeks x {options.channels} channels, {count} parameters.")
    print(f"{options.chains} x ({options.setting}), {fit.precision}: {seconds:.0f} s from panel to fit, of that")
    print(f"  {took['compile']:.0f} s compiling, {took['sample']:.0f} s search and sampling; {found.start}.")
    print(f"Peak memory {peak_megabytes():.0f} MB, {before:.0f} before the fit.")
    print(f"Min bulk ESS {found.min_ess_bulk:.0f}, tail {found.min_ess_tail:.0f}, R-hat {found.max_rhat:.4f},")
    print(f"  worst {found.worst}, {found.divergences} divergences, {found.mean_leapfrogs:.0f} leapfrogs per draw,")
    print(f"  {found.min_ess_bulk / took['sample']:.2f} ESS per second of search and sampling.")
    error, inside = recovery(market, fit)
    print(f"Totals of channels: mean absolute error {error:.1%}, {inside:.0%} of the {_PROB:.0%} intervals hold the truth.")


def recovery(market: Any, fit: Any) -> tuple[float, float]:
    """Mean relative error of the channels' totals over all geos, and how many intervals hold the truth."""
    truth = market.truth.contributions.sum(axis=(1, 2))
    media = fit.contribution_totals()["media"].sum("geo").transpose("chain", "draw", "channel").to_numpy()
    draws = media.reshape(-1, len(truth))
    low, high = np.quantile(draws, [(1 - _PROB) / 2, (1 + _PROB) / 2], axis=0)
    error = np.abs(draws.mean(axis=0) / truth - 1.0).mean()
    return float(error), float(np.mean((low < truth) & (truth < high)))


if __name__ == "__main__":
    main()
