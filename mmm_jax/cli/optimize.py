"""`mmm-jax optimize`: from a saved fit and a budget to the best plan with its certificate."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import FitFile, Json, Overwrite, check_new_file

PlanConfig = Annotated[Path, typer.Option("--config", help="Horizon, total and bounds of the plan.", metavar="YAML")]
Out = Annotated[Path, typer.Option("--out", help="The plan with its certificate and comparison.", metavar="JSON")]
Plots = Annotated[Path | None, typer.Option("--plots", help="Folder for pictures of the plan.", metavar="DIR")]

EXAMPLE = """\b
Example:
  mmm-jax optimize --fit results/fit.zarr --config plan.yaml --out plan.json

\b
A plan.yaml:
  horizon: 26              # periods after the training rows, or dates
  total: 38000000          # currency over the horizon
  per: horizon             # or period: total, bounds and reference
                           # are then those of a mean period
  bounds_around_mean: 0.5  # within 50 % of the mean training spend;
                           # or  bounds: {TV: [2000000, 6000000]}
  reference: {TV: 5000000, Radio: 33000000}   # to compare with; else
                           # the mean training spend, scaled to total
"""


def optimize(
    fit: FitFile, config: PlanConfig, out: Out, plots: Plots = None, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Find the best plan for the periods after the training rows.

    Writes spend by date and channel, what it should bring, a certificate that no other plan is better, and a comparison
    with a reference.
    """
    from mmm_jax.cli import planning, report
    from mmm_jax.cli.screen import Screen, write_json
    from mmm_jax.fitting.posterior import Fit

    screen = Screen(json)
    check_new_file(out, overwrite=overwrite)
    with screen.stage("read"):
        fitted = Fit.load(fit)
        problem = planning.read_problem(config, fitted)
    planned = planning.solve(problem, fitted, screen)
    result = planning.summarised(planned)
    write_json(out, result)
    pictures = planning.save_pictures(planned, plots, screen, target=fitted.panel.target_name)
    report.notice_problems(screen, fitted.diagnostics)
    planning.say(screen, planned)
    screen.say(f"Written: {', '.join(map(str, [out, *pictures]))}.")
    screen.finish(result)
