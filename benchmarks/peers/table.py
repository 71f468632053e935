"""Markdown from the JSON of the runs alone: `python -m benchmarks.peers.table benchmarks/results/peers.json`.

With `--into README.md`, the short form replaces what stands between two comments of that page.
"""

import argparse
import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.settings import cheapest, judged

_BEGIN, _END = "<!-- peers: begin -->", "<!-- peers: end -->"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", type=Path, help="page that takes the short form")
    options = parser.parse_args()
    document = json.loads(options.file.read_text())
    if options.into is None:
        print(markdown(document))
    else:
        options.into.write_text(inserted(options.into.read_text(), brief(document)))


def inserted(page: str, text: str) -> str:
    """The page with the text between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    before, found, rest = page.partition(_BEGIN)
    _, ends, after = rest.partition(_END)
    if not (found and ends):
        raise ValueError(f"The page has no {_BEGIN} followed by {_END}.")
    return f"{before}{_BEGIN}\n{text}\n{_END}{after}"


def brief(document: dict[str, Any], size: int = 64) -> str:
    """One fit and one batch, every tool at its cheapest setting that reaches the bar."""
    single, batch = document["single"], document["batch"]
    one = ["one fit", "setting", "wall s, empty caches", "wall s, second process", "min bulk ESS per second of sampling"]
    many = [f"{size} fits", "setting", "seconds per fit", "fits per hour", "worst bulk ESS", "worst R-hat"]
    bar, dates = batch["bar"], sorted({section["date"][:10] for section in (single, batch)})
    words = [
        f"4 chains; every tool at the cheapest setting of its grid whose every fit has min bulk ESS > "
        f"{bar['min_ess_bulk_above']:g} and R-hat < {bar['max_rhat_below']:g}.",
        *(f"{_grids(section)} for {name}." for name, section in (("one fit", single), ("the batch", batch))),
        f"Recorded on {' and '.join(dates)} on {batch['machine']}; *extrapolated* from "
        f"{_fits_run(batch['entries'], size)} fits. Only the tools that stand in a table were run for it.",
    ]
    tables = [grid(one, _brief_rows(single["runs"])), grid(many, _brief_batch(batch["entries"], size))]
    return "\n\n".join([*tables, "\n".join(textwrap.wrap(" ".join(words), 125))])


def _grids(section: dict[str, Any]) -> str:
    own, peers = (section["options"][name].replace(",", ", ") for name in ("grid", "peer_grid"))
    return f"Grids: ours {own}, the peers' {peers}"


def markdown(document: dict[str, Any]) -> str:
    """The whole page."""
    parts = ["# Peers", "Made by `python -m benchmarks.peers.table` from the JSON of the runs."]
    if "single" in document:
        parts += ["## One fit, each in fresh processes", *about(document["single"]), *single(document["single"])]
    if "geo" in document:
        parts += ["## One market of 20 geos", *about(document["geo"]), *single(document["geo"])]
    if "batch" in document:
        parts += ["## A batch of fits", *about(document["batch"]), *batch(document["batch"])]
    return "\n\n".join(parts)


def _brief_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    groups: dict[str, list[dict[str, dict[str, Any]]]] = {}
    for pair in _pairs(runs):
        groups.setdefault(label(pair["empty"]), []).append(pair)
    return [_brief_row(name, pairs) for name, pairs in groups.items()]


def _brief_row(name: str, pairs: Sequence[dict[str, dict[str, Any]]]) -> list[str]:
    good = [pair for pair in pairs if all(judged(run, 1)["reaches_bar"] for run in pair.values()) and "warm" in pair]
    if not good:
        return [name, "none of its grid reaches the bar", "", "", ""]
    best = min(good, key=lambda pair: judged(pair["warm"], 1)["total_seconds"])
    walls = [number(judged(best[caches], 1)["total_seconds"], 1) for caches in ("empty", "warm")]
    fit = best["warm"]["fits"][0]
    rate = fit["min_ess_bulk"] / fit["sampling_seconds"] if fit.get("sampling_seconds") else None
    return [name, setting(best["warm"]), *walls, number(rate, 0)]


def _brief_batch(entries: Sequence[dict[str, Any]], size: int) -> list[list[str]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if entry["size"] == size:
            groups.setdefault(_process(entry), []).append(entry)
    return [_brief_batch_row(name, cheapest(group)) for name, group in groups.items()]


def _brief_batch_row(name: str, best: dict[str, Any] | None) -> list[str]:
    if best is None:
        return [name, "none of its grid reaches the bar", *[""] * 4]
    ends = [number(3600 / best["seconds_per_fit"], 0), number(best["worst_ess_bulk"], 0), number(best["worst_rhat"], 4)]
    return [name, setting(best), _seconds(best)[1], *ends]


def _fits_run(entries: Sequence[dict[str, Any]], size: int) -> int:
    return min(entry["fits_run"] for entry in entries if entry["size"] == size and "fits_run" in entry)


def about(section: dict[str, Any]) -> list[str]:
    """Where and when, the bar, versions, how each tool was called, and what did not run."""
    bar = section["bar"]
    options = section["options"]
    lines = [
        f"{section['date']}; {section['machine']}. Data: {section['data']}. {options['chains']} chains per fit.",
        f"The bar: every fit has min bulk ESS > {bar['min_ess_bulk_above']:g} and R-hat < {bar['max_rhat_below']:g} "
        "over the free parameters.",
    ]
    for tool, run in {run["tool"]: run for run in section["runs"] if "how" in run}.items():
        versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
        lines.append(f"**{tool}** ({run['dtype']}, {run['device']}; {versions}): {run['how']}")
    return lines + [f"Did not install: {reason}" for reason in section["missing"]]


def single(section: dict[str, Any]) -> list[str]:
    """One row per tool and setting: the process with empty caches, then the second one."""
    names = ["tool", "setting", "wall s, empty caches", "wall s, second process", "sampling s, second process"]
    names += ["min bulk ESS", "min tail ESS", "max R-hat", "peak MB", "dtype", "reaches the bar"]
    rows = [_single_row(pair) for pair in _pairs(section["runs"])]
    return [
        "Wall seconds run from the start of the process until the fit is returned, imports and compilation included.",
        grid(names, rows),
        *agreement(section["runs"]),
    ]


def agreement(runs: Sequence[dict[str, Any]]) -> list[str]:
    """How far each peer's posterior means are from ours, at each one's longest setting."""
    longest: dict[str, dict[str, Any]] = {}
    for run in sorted((run for run in runs if "error" not in run), key=lambda run: run["settings"]["draws"]):
        if "moments" in run["fits"][0]:
            longest[label(run)] = run
    ours = next((run["fits"][0]["moments"] for run in longest.values() if run["tool"] == "mmm_jax"), None)
    if ours is None:
        return []
    return [
        _distance(ours, run)
        for run in longest.values()
        if run["tool"] != "mmm_jax" and run["fits"][0]["moments"].keys() == ours.keys()
    ]


def batch(section: dict[str, Any]) -> list[str]:
    """The cheapest setting that reaches the bar at every size, then every setting."""
    names = ["fits", "tool", "setting", "fits run", "total s", "seconds per fit", "fits per hour"]
    names += ["against ours, empty caches", "against ours, second process", "worst bulk ESS", "worst R-hat"]
    every = ["fits", "tool", "setting", "fits run", "total s", "seconds per fit", "worst bulk ESS", "worst tail ESS"]
    every += ["worst R-hat", "failed", "peak MB", "reaches the bar"]
    sizes = sorted({entry["size"] for entry in section["entries"]})
    return [
        "Wall seconds from the start of a process, imports and compilation included; with empty caches, or in a second "
        "process with the programs that an earlier one compiled, which serve any data of the same structure. *Extrapolated* "
        "seconds are not measured: the process fitted only the first tables, and the mean of its fits after the first was "
        "taken for each of the others; its convergence was seen on the fits that it ran. Peak memory is the whole run's.",
        "### Cheapest setting that reaches the bar",
        grid(names, [row for size in sizes for row in _best_rows(section["entries"], size)]),
        "### Every setting",
        grid(every, [_entry_row(entry) for entry in sorted(section["entries"], key=lambda entry: entry["size"])]),
    ]


def grid(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def label(run: dict[str, Any]) -> str:
    """Tool and sampler; the tool alone where it takes its own default."""
    return run["tool"] if run["sampler"] == "own" else f"{run['tool']}, {run['sampler']}"


def setting(run: dict[str, Any]) -> str:
    """Warm-up and draws per chain, and the acceptance aimed at."""
    found = run["settings"]
    target = found.get("target_accept")
    return f"{found['warmup']} + {found['draws']}" + ("" if target is None else f" @ {target:g}")


def _pairs(runs: Sequence[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for run in runs:
        found.setdefault((label(run), setting(run)), {})[run["caches"]] = run
    return list(found.values())


def _single_row(pair: dict[str, dict[str, Any]]) -> list[str]:
    first, second = (judged(pair[name], 1) if name in pair else {} for name in ("empty", "warm"))
    run = pair.get("warm") or pair["empty"]
    found = second or first
    fit = run.get("fits", [{}])[0]
    problem = run.get("error") or fit.get("error")
    verdict = f"failed: {_short(problem)}" if problem else _yes(found)
    seconds = [number(found.get("total_seconds"), 1) for found in (first, second)]
    return [label(run), setting(run), *seconds, number(fit.get("sampling_seconds"), 1), *_convergence(found), verdict]


def _convergence(found: dict[str, Any]) -> list[str]:
    numbers = [number(found.get("worst_ess_bulk"), 0), number(found.get("worst_ess_tail"), 0)]
    return [*numbers, number(found.get("worst_rhat"), 4), number(found.get("peak_megabytes"), 0), found.get("dtype") or ""]


def _distance(ours: dict[str, Any], run: dict[str, Any]) -> str:
    theirs = run["fits"][0]["moments"]
    apart = {name: abs(theirs[name][0] - mean) / sd for name, (mean, sd) in ours.items()}
    worst = max(apart, key=lambda name: apart[name])
    return (
        f"{label(run)}: same {len(ours)} free parameters; the largest difference of a posterior mean from ours is "
        f"{apart[worst]:.3f} posterior standard deviations (`{worst}`)."
    )


def _best_rows(entries: Sequence[dict[str, Any]], size: int) -> list[list[str]]:
    at_size = [entry for entry in entries if entry["size"] == size]
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in at_size:
        groups.setdefault(_process(entry), []).append(entry)
    ours = [
        cheapest(entry for entry in at_size if entry["tool"] == "mmm_jax" and entry.get("caches") == caches)
        for caches in ("empty", "warm")
    ]
    return [_best_row(name, size, cheapest(group), ours) for name, group in groups.items()]


def _best_row(name: str, size: int, best: dict[str, Any] | None, ours: Sequence[dict[str, Any] | None]) -> list[str]:
    if best is None:
        return [str(size), name, "none of the grid reaches it", *[""] * 8]
    ratios = ["" if own is None else f"{best['total_seconds'] / own['total_seconds']:.1f} x its time" for own in ours]
    ratios = ratios if best["tool"] != "mmm_jax" else [""] * len(ours)
    per_hour = number(3600 / best["seconds_per_fit"], 0)
    ends = [number(best["worst_ess_bulk"], 0), number(best["worst_rhat"], 4)]
    return [str(size), name, setting(best), str(best["fits_run"]), *_seconds(best), per_hour, *ratios, *ends]


def _process(entry: dict[str, Any]) -> str:
    return label(entry) + (", second process" if entry.get("caches") == "warm" else "")


def _entry_row(entry: dict[str, Any]) -> list[str]:
    start = [str(entry["size"]), _process(entry), setting(entry)]
    if "error" in entry:
        return [*start, *[""] * 8, f"failed: {_short(entry['error'])}"]
    *numbers, _ = _convergence(entry)
    numbers.insert(3, str(entry["failed"]))
    return [*start, str(entry["fits_run"]), *_seconds(entry), *numbers, _yes(entry)]


def _seconds(entry: dict[str, Any]) -> list[str]:
    mark = " *extrapolated*" if entry["extrapolated"] else ""
    return [number(entry["total_seconds"], 1) + mark, number(entry["seconds_per_fit"], 2) + mark]


def _yes(entry: dict[str, Any]) -> str:
    return "yes" if entry.get("reaches_bar") else "no"


def _short(text: str) -> str:
    return text.splitlines()[0].replace("|", "/")[:120]


def number(value: float | None, digits: int) -> str:
    """A number, or nothing where the runs gave none."""
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
