"""The demo's steps: a market as files, its fit against the truth, the plan for what comes next."""

import tempfile
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from mmm_jax.cli import plan_report, planning, report, steps
from mmm_jax.cli.options import check_new_folder
from mmm_jax.cli.plan_summary import summarised
from mmm_jax.cli.results import Results, by_channel
from mmm_jax.cli.screen import Screen, amount, span, write_json
from mmm_jax.data.panel import Panel
from mmm_jax.data.synthetic import SyntheticMarket, make_market

HORIZON = 26
"""Weeks held out, weeks planned, and weeks whose spend the plan is compared with."""

RECENT = f"Last {HORIZON} weeks"

TABLE_FILE, CONFIG_FILE, PLAN_CONFIG_FILE, PLAN_FILE = "market.csv", "fit.yaml", "plan.yaml", "plan.json"


def run(screen: Screen, out: Path | None, *, key: int, seed: int, overwrite: bool) -> dict[str, Any]:
    """Everything; the folder is a temporary one if none is given.

    Returns:
        The results for machines.
    """
    if out is not None:
        check_new_folder(out, holds=steps.FIT_FILE, overwrite=overwrite)
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() if out is None else nullcontext(out) as folder:
        return _run_in(Path(folder), screen, key=key, seed=seed, keep=out is not None)


def _run_in(folder: Path, screen: Screen, *, key: int, seed: int, keep: bool) -> dict[str, Any]:
    market = make_market(seed=seed)
    write_inputs(market, folder, key=key)
    inputs = steps.read_inputs(folder / CONFIG_FILE, folder / TABLE_FILE, screen)
    screen.say(f"A synthetic market with known truth (seed {seed}).", style="bold")
    report.say_rows(screen, inputs.train, inputs.test)
    results = steps.fit_and_examine(inputs, screen)
    planned = planning.solve(planning.read_problem(folder / PLAN_CONFIG_FILE, results.fit), results.fit, screen)
    found = {"seed": seed, "key": key, "truth": against_truth(results, market), "plan": summarised(planned)}
    if keep:
        _save(results, planned, found["truth"], folder, screen)
    _show(screen, results, planned, found["truth"])
    if keep:
        screen.say(f"Written: {', '.join(str(path) for path in sorted(folder.iterdir()))}.")
    return {**steps.summarised(results, screen), **found}


def write_inputs(market: SyntheticMarket, folder: Path, *, key: int) -> None:
    """The table and both configurations, as a user would have them."""
    examples, panel = files("mmm_jax.cli").joinpath("examples"), market.panel
    frame = panel.to_frame().rename(columns=_columns(panel)).rename_axis("date").reset_index()
    frame.to_csv(folder / TABLE_FILE, index=False)
    config = examples.joinpath(CONFIG_FILE).read_text(encoding="utf-8")
    (folder / CONFIG_FILE).write_text(config.replace("  key: 0\n", f"  key: {key}\n"), encoding="utf-8")
    plan = Template(examples.joinpath("plan.template.yaml").read_text(encoding="utf-8"))
    recent = _recent_spend(panel)
    reference = "\n".join(f"  {name}: {spend:.2f}" for name, spend in recent.items())
    text = plan.substitute(horizon=HORIZON, total=f"{sum(recent.values()):.2f}", reference=reference)
    (folder / PLAN_CONFIG_FILE).write_text(text, encoding="utf-8")


def against_truth(results: Results, market: SyntheticMarket) -> dict[str, Any]:
    """True return on spend over the training rows beside its posterior, and how many lie inside of the interval."""
    train = results.fit.panel
    brought = market.truth.contributions.iloc[: len(train)]
    rows = {}
    for name, found in by_channel(results.roas).items():
        spend = train.spend[train.channels.index(name)].sum()
        true = float(brought[name].sum() / spend)
        rows[name] = {"true": true, **found, "inside": found["lower"] <= true <= found["upper"]}
    return {"roas": rows, "inside": sum(row["inside"] for row in rows.values()), "channels": len(rows)}


def _show(screen: Screen, results: Results, planned: planning.Planned, truth: dict[str, Any]) -> None:
    report.say_verdict(screen, results.fit.diagnostics)
    _show_truth(screen, truth)
    report.show_shares(screen, by_channel(results.shares), results.fit.panel)
    report.show_scores(screen, results.scores)
    plan_report.say(screen, planned, RECENT)
    screen.say_seconds()


def _show_truth(screen: Screen, truth: dict[str, Any]) -> None:
    rows = [
        [name, amount(row["true"]), amount(row["mean"]), span(row["lower"], row["upper"]), "yes" if row["inside"] else "NO"]
        for name, row in truth["roas"].items()
    ]
    columns = ["Channel", "True", "Estimate", report.INTERVAL, "Inside"]
    screen.table("Return on spend: the truth and the estimate", columns, rows)
    screen.say(f"{truth['inside']} of {truth['channels']} true values lie inside of their {report.INTERVAL}.")


def _save(results: Results, planned: planning.Planned, truth: dict[str, Any], folder: Path, screen: Screen) -> None:
    true_roas = {name: row["true"] for name, row in truth["roas"].items()}
    steps.save_results(results, folder, screen, plots=True, truth=true_roas)
    names = {"target": results.fit.panel.target_name, "reference_name": RECENT}
    planning.save_pictures(planned, folder / steps.PLOTS_FOLDER, screen, **names)
    write_json(folder / PLAN_FILE, summarised(planned))


def _columns(panel: Panel) -> dict[str, str]:
    roles = {"spend": panel.channels, "holiday": panel.control_names}
    return {name: f"{role}_{name.lower().replace(' ', '_')}" for role, names in roles.items() for name in names}


def _recent_spend(panel: Panel) -> dict[str, float]:
    """Spend of the last weeks before those that are held out, by channel."""
    recent = panel.spend[:, -2 * HORIZON : -HORIZON].sum(axis=1)
    return dict(zip(panel.channels, np.round(recent, 2).tolist(), strict=True))
