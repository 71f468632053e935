"""Known contributions, and what each tool makes of the data: `python -m benchmarks.recovery [--environments DIR]`.

Two simulated data sets with their truth: 1 geo x 104 weeks x 4 channels, and 8 geos x 156 weeks x 8 channels. Every tool
runs in a process of its own environment and hands back draws of the channels' total contributions and of the target; one
scoring serves all. The JSON keeps every run; Markdown goes to the standard output.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import machine
from benchmarks.peers.environments import environment
from benchmarks.peers.launch import Job, Tool, launch
from benchmarks.peers.settings import parse_grid
from benchmarks.peers.table import grid, label, number, setting
from benchmarks.problem import data_folder
from benchmarks.recovery_scores import PROB, Truth, scores, worst

DATA_SETS = ("small_business", "medium_business")


def main() -> None:
    """Run every tool on every data set, score it, write the JSON after every process."""
    options = arguments()
    document: dict[str, Any] = {"machine": machine(), "missing": [], "runs": []}
    with TemporaryDirectory() as folder:
        for name in options.data.split(","):
            data, truth = problem(name, Path(folder) / name)
            for tool, chosen, more in plan(options, document):
                # Caches of its own for every process: all are as cold.
                home = Path(folder) / f"run_{len(document['runs'])}"
                found = recover(tool, Job(data, chosen, options.chains, more=more), truth, home, options.timeout)
                document["runs"].append({"data": name, "variant": more.get("variant", ""), **found})
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(document, indent=1))
    print(markdown(document))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default=",".join(DATA_SETS), help="names of data sets")
    parser.add_argument("--environments", type=Path, default=Path(gettempdir()) / "mmm_jax_peers", help="folder")
    parser.add_argument("--setting", default="1000+1000@0.9", help="ours, WARMUP+DRAWS[@TARGET]")
    parser.add_argument("--peer-setting", default="1000+1000@0.9", help="the peers'")
    parser.add_argument("--sampler", default="nutpie", help="PyMC-Marketing's; empty for ours alone")
    parser.add_argument("--variants", default="spend_share,lognormal", help="PyMC-Marketing's priors of the curves' heights")
    parser.add_argument("--engine", default="own", help="ours: own (the package's default), lanes or numpyro")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one process")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recovery.json"))
    return parser.parse_args()


def plan(options: argparse.Namespace, document: dict[str, Any]) -> list[tuple[Tool, Any, dict[str, str]]]:
    """Tools with their settings and options; of those whose environment could not be made, `missing` says why not."""
    ours = Tool("mmm_jax", Path(sys.executable), "recover_ours", options.engine)
    tools = [(ours, parse_grid(options.setting)[0], {})]
    if options.sampler:
        try:
            python = environment("pymc", options.environments)
        except (RuntimeError, OSError) as error:
            document["missing"] = [f"PyMC-Marketing: {error}"]
            return tools
        peer = Tool("PyMC-Marketing", python, "recover_pymc_marketing", options.sampler)
        chosen = parse_grid(options.peer_setting)[0]
        tools += [(peer, chosen, {"variant": variant}) for variant in options.variants.split(",")]
    return tools


def problem(name: str, folder: Path) -> tuple[Path, Truth]:
    """Write a data set's table without its truth, and say which column is what; returns the file, and the truth.

    Raises:
        FileNotFoundError: the data are not there.
    """
    frame, truth = (read(data_folder() / f"{name}{end}.csv") for end in ("", "_truth"))
    names = {"channels": r"x\d+_.*", "controls": r"c\d+"}
    roles = {role: [column for column in frame if re.fullmatch(rule, column)] for role, rule in names.items()}
    columns = {"date": "date", "geo": "geo", "target": "y"}
    folder.mkdir(parents=True)
    (folder / "roles.json").write_text(json.dumps({**columns, **roles}))
    frame[[*columns.values(), *roles["channels"], *roles["controls"]]].to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv", known(frame, truth, roles["channels"])


def read(path: Path) -> Any:
    """A table."""
    return pd.read_csv(path)


def known(frame: Any, truth: Any, channels: list[str]) -> Truth:
    """The truth by geo, in alphabetical order."""
    totals = truth.groupby("geo")[[f"contribution_{name}" for name in channels]].sum()
    target = frame.pivot_table(index="geo", columns="date", values="y")
    return Truth(totals.to_numpy(), target.to_numpy(), tuple(name.split("_", 1)[1] for name in channels))


def recover(tool: Tool, job: Job, truth: Truth, folder: Path, timeout: float) -> dict[str, Any]:
    """The JSON of a run, and what its draws score."""
    folder.mkdir()
    kept = folder / "draws.npz"
    run = launch(tool, Job(**{**vars(job), "more": {**job.more, "keep": kept}}), folder / "caches", timeout)
    if not kept.is_file():
        return run
    with np.load(kept) as draws:
        order = np.argsort(draws["geos"])
        return {**run, "scores": scores(truth, draws["totals"][:, order], draws["y"][:, order])}


def markdown(document: dict[str, Any]) -> str:
    """One row per data set, tool and prior."""
    names = ["data", "tool", "setting", "error of totals", "worst channels", f"{PROB:.0%} intervals, channels"]
    names += ["geos x channels", "width", "CRPS", "min bulk ESS", "max R-hat", "divergences", "wall s"]
    lines = [f"Did not install: {reason}" for reason in document["missing"]]
    return "\n\n".join([document["machine"], grid(names, map(_row, document["runs"])), *lines])


def _row(run: dict[str, Any]) -> list[str]:
    fit = run.get("fits", [{}])[0]
    variant = f", {run['variant']}" if run["variant"] else ""
    start = [run["data"], label(run) + variant, setting(run)]
    if "scores" not in run:
        return [*start, f"none: {run.get('error') or fit.get('error')}", *[""] * 9]
    found = run["scores"]
    off = ", ".join(f"{name} {found['errors'][name]:+.0%}" for name in worst(found["errors"]))
    shares = [f"{found[name]:.0%}" for name in ("coverage", "coverage_by_geo", "width")]
    quality = [number(fit["min_ess_bulk"], 0), number(fit["max_rhat"], 3), str(fit["divergences"])]
    scored = [f"{found['mape']:.1%}", off, *shares, f"{found['relative_crps']:.2%}"]
    return [*start, *scored, *quality, number(fit["wall_seconds"], 1)]


if __name__ == "__main__":
    main()
