"""Peers against this package, one fresh process after another: `python -m benchmarks.peers single|batch|geo [options]`.

`single` fits the case study's training weeks, each tool in two processes: with empty compilation caches, then with what the
first one left in them. `batch` fits tables with different data each: this package in two processes as well, the second on
the programs that the first compiled, which do not depend on the data; a peer in one, whose programs do. A peer may be run
on the first tables only, and its time for the rest is then extrapolated and marked so. `geo` fits one market of 20 geos
with Meridian's defaults, once per setting, with empty caches. `benchmarks.peers.table` writes
Markdown from the JSON.
"""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from benchmarks.measure import processor
from benchmarks.peers import problems, settings
from benchmarks.peers.environments import environment
from benchmarks.peers.launch import Job, Tool, launch

_OURS_GRID = "200+250,300+500,300+1000,1000+1000"
_PEERS_GRID = "500+1000@0.8,1000+1000@0.8,1000+1000@0.9,1000+3000@0.8"


def main() -> None:
    """Make the environments, run everything, write the JSON after every process."""
    options = arguments()
    section: dict[str, Any] = header(options)
    ours, peers = tools(options, section)
    with TemporaryDirectory() as folder:
        runs = {"single": run_single, "batch": run_batch, "geo": run_geo}
        runs[options.mode](options, section, ours, peers, Path(folder))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("mode", choices=("single", "batch", "geo"))
    parser.add_argument("--environments", type=Path, default=Path(gettempdir()) / "mmm_jax_peers", help="folder")
    parser.add_argument("--sizes", default="1,8,64,256", help="tables of a batch")
    parser.add_argument("--grid", default=_OURS_GRID, help="our settings, WARMUP+DRAWS[@TARGET]")
    parser.add_argument("--peer-grid", default=_PEERS_GRID, help="the peers' settings")
    parser.add_argument("--samplers", default="nutpie,numpyro", help="of nutpie, numpyro, blackjax, pymc; empty for none")
    parser.add_argument("--engine", default="own", help="ours: own (the package's default), lanes or numpyro")
    parser.add_argument("--meridian", action="store_true", help="Meridian too (single; geo always)")
    parser.add_argument("--peer-limit", type=int, help="a peer fits only the first so many tables of a batch")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one process")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/peers.json"), help="its other section is kept")
    return parser.parse_args()


def header(options: argparse.Namespace) -> dict[str, Any]:
    """Where, when and how."""
    words = {name: value for name, value in vars(options).items() if name not in ("environments", "out")}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{processor()}, {os.cpu_count()} cores; {platform.system()}, Python {platform.python_version()}",
        "options": words,
        "data": "20 simulated geos" if options.mode == "geo" else problems.training_table()[1]["data"],
        "bar": {"min_ess_bulk_above": settings.MIN_ESS_BULK, "max_rhat_below": settings.MAX_RHAT},
        "missing": [],
        "runs": [],
    }


def tools(options: argparse.Namespace, section: dict[str, Any]) -> tuple[Tool, list[Tool]]:
    """Ours and the peers whose environments could be made; of the others, `missing` says why not."""
    samplers = [] if options.mode == "geo" else [name for name in options.samplers.split(",") if name]
    wanted = [("pymc", "PyMC-Marketing", "run_pymc_marketing", name) for name in samplers]
    if options.mode == "geo" or (options.meridian and options.mode == "single"):
        wanted.append(("meridian", "Meridian", "run_meridian", "tfp"))
    peers = []
    for home, name, module, sampler in wanted:
        try:
            peers.append(Tool(name, environment(home, options.environments), module, sampler))
        except (RuntimeError, OSError) as error:
            section["missing"].append(f"{name} {sampler}: {error}")
    return Tool("mmm_jax", Path(sys.executable), "run_ours", options.engine), peers


def run_single(options: argparse.Namespace, section: dict[str, Any], ours: Tool, peers: list[Tool], folder: Path) -> None:
    """Every tool and setting twice: with empty caches, then with warm ones."""
    data = problems.single_problem(folder / "single")
    for index, (tool, setting) in enumerate(plan(options, ours, peers)):
        job = Job(data, setting, options.chains, moments=True)
        for caches in ("empty", "warm"):
            run = launch(tool, job, folder / f"caches_{index}", options.timeout)
            section["runs"].append({**run, "caches": caches})
            write(options, section)


def run_batch(options: argparse.Namespace, section: dict[str, Any], ours: Tool, peers: list[Tool], folder: Path) -> None:
    """Ours at every size, with empty and warm caches; a peer once per setting, on as many tables as its limit allows."""
    sizes = sorted(int(size) for size in options.sizes.split(","))
    problems.batch_problem(sizes[-1], folder / "batch")
    limit = min(options.peer_limit or sizes[-1], sizes[-1])
    section["entries"] = []
    for index, (tool, setting) in enumerate(plan(options, ours, peers)):
        repeated = [(count, caches) for count in sizes for caches in ("empty", "warm")]
        for count, caches in repeated if tool is ours else [(limit, "empty")]:
            job = Job(folder / "batch", setting, options.chains, limit=count)
            run = {**launch(tool, job, folder / f"caches_{index}_{count}", options.timeout), "caches": caches}
            section["runs"].append(run)
            section["entries"] += [settings.judged(run, size) for size in ([count] if tool is ours else sizes)]
            write(options, section)


def run_geo(options: argparse.Namespace, section: dict[str, Any], ours: Tool, peers: list[Tool], folder: Path) -> None:
    """Every tool once per setting, with empty caches: minutes each."""
    data = problems.geo_problem(folder / "geo")
    for index, (tool, setting) in enumerate(plan(options, ours, peers)):
        run = launch(tool, Job(data, setting, options.chains), folder / f"caches_{index}", options.timeout)
        section["runs"].append({**run, "caches": "empty"})
        write(options, section)


def plan(options: argparse.Namespace, ours: Tool, peers: list[Tool]) -> list[tuple[Tool, settings.Setting]]:
    """Tools and settings in the order in which they run."""
    grid, peer_grid = settings.parse_grid(options.grid), settings.parse_grid(options.peer_grid)
    return [(ours, setting) for setting in grid] + [(peer, setting) for peer in peers for setting in peer_grid]


def write(options: argparse.Namespace, section: dict[str, Any]) -> None:
    """Put the section into the file, beside what is there."""
    document = json.loads(options.out.read_text()) if options.out.is_file() else {}
    document[options.mode] = section
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # One line per fit and per run: a file of many fits that can still be read and compared.
    text = json.dumps(document, default=str)
    options.out.write_text(text.replace('{"name": ', '\n  {"name": ').replace('{"tool": ', '\n{"tool": ') + "\n")


if __name__ == "__main__":
    main()
