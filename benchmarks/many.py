"""Many fits in one call, into a store: `python -m benchmarks.many --fits 1000 [--size case_study] [--kill-at 0.5]`.

One fresh process makes the batch. With `--kill-at`, it is killed once so many of the fits are in the store, and another one
goes on. On a machine with an accelerator the same command runs there; the table names the device.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import machine, peak_megabytes

_SIZES = ("small", "case_study")
"""4 channels in 104 weeks with a control and yearly waves of two orders; or the case study's 7 channels in 183 weeks."""


def main() -> None:
    """Make the batch, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--size", choices=_SIZES, default="small")
    parser.add_argument("--warmup", type=int, default=300)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--target-accept", type=float, default=0.9)
    parser.add_argument("--kill-at", type=float, help="share of the fits after which the process is killed")
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.store is not None:
        print(json.dumps(make(options)))
        return
    with TemporaryDirectory() as folder:
        report(options, attempts(options, Path(folder) / "fits"))


def make(options: argparse.Namespace) -> dict[str, Any]:
    """Fit them all in this process."""
    import jax

    import mmm_jax as mj

    began = time.monotonic()
    spec, panels = problem(options.fits, options.size)
    made = time.monotonic()
    batch = mj.fit_batch(
        panels,
        spec,
        num_warmup=options.warmup,
        num_samples=options.draws,
        target_accept=options.target_accept,
        store=options.store,
        progress=False,
    )
    table = batch.summary()
    return {
        "making_panels": made - began,
        "seconds": time.monotonic() - made,
        "peak_megabytes": peak_megabytes(),
        "status": {name: int(count) for name, count in table["status"].value_counts().items()},
        "min_ess_bulk": float(table["min_ess_bulk"].min()),
        "max_rhat": float(table["max_rhat"].max()),
        "device": jax.devices()[0].device_kind,
        "machine": machine(),
    }


def problem(count: int, size: str) -> tuple[Any, dict[str, Any]]:
    """A spec, and so many panels with different data each."""
    import mmm_jax as mj
    from benchmarks.peers.problems import perturbed, training_table
    from benchmarks.problem import spec

    if size == "case_study":
        frame, roles = training_table()
        made, model = (perturbed(frame, roles, index) for index in range(count)), spec()
    else:
        market = mj.synthetic.make_market(weeks=104).panel
        frame = market.to_frame().reset_index()
        roles = {"date": "date", "target": market.target_name, "channels": market.channels[:4]}
        roles["controls"] = market.control_names[:1]
        made, model = (perturbed(frame, roles, index) for index in range(count)), mj.ModelSpec(yearly_seasonality=2)
    columns = {name: roles[name] for name in ("date", "target", "channels", "controls")}
    return model, {f"fit_{index:05d}": mj.Panel.from_frame(table, **columns) for index, table in enumerate(made)}


def attempts(options: argparse.Namespace, store: Path) -> list[dict[str, Any]]:
    """The processes that it took, one of them killed where that was asked for."""
    command = [sys.executable, "-m", "benchmarks.many", *sys.argv[1:], "--store", str(store)]
    found = []
    if options.kill_at is not None:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _done(store) < options.kill_at * options.fits:
            time.sleep(0.2)
        process.kill()
        process.wait()
        found.append({"killed_after": time.monotonic() - began, "fits": _done(store)})
    began, before = time.monotonic(), _done(store)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    made = json.loads(output.splitlines()[-1])
    return [*found, {"wall": time.monotonic() - began, "fits": _done(store) - before, **made}]


def report(options: argparse.Namespace, runs: list[dict[str, Any]]) -> None:
    """Print what they took."""
    last = runs[-1]
    print(f"{datetime.now(UTC):%Y-%m-%d}; {last['machine']}; device: {last['device']}.")
    print(f"{options.fits} fits, {options.size}; {options.warmup} + {options.draws} @ {options.target_accept:g}, 4 chains.")
    for run in runs[:-1]:
        print(f"Killed after {run['killed_after']:.0f} s with {run['fits']} fits in the store.")
    print(f"{last['fits']} fits in {last['wall']:.0f} s wall, process start and compilation included:")
    print(f"  {3600 * last['fits'] / last['wall']:.0f} fits per hour; peak memory {last['peak_megabytes']:.0f} MB.")
    print(f"  status {last['status']}, min bulk ESS {last['min_ess_bulk']:.0f}, max R-hat {last['max_rhat']:.4f}.")


def _done(store: Path) -> int:
    results = store / "results.jsonl"
    return len(results.read_text().splitlines()) if results.is_file() else 0


if __name__ == "__main__":
    main()
