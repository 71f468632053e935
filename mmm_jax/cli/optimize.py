"""`mmm-jax optimize`: from a saved fit and a budget to the best plan with its certificate."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import FitFile, Json, Overwrite, check_new_file

PlanConfig = Annotated[Path, typer.Option("--config", help="What is planned, and under which constraints.", metavar="YAML")]
Out = Annotated[Path, typer.Option("--out", help="The plan with its certificate and comparison.", metavar="JSON")]
Plots = Annotated[Path | None, typer.Option("--plots", help="Folder for pictures of the plan.", metavar="DIR")]
Cells = Annotated[Path | None, typer.Option("--csv", help="One row per channel, or per date and channel.", metavar="FILE")]
Page = Annotated[Path | None, typer.Option("--page", help="The plan as a web page that answers what if.", metavar="HTML")]

EXAMPLE = """\b
Example:
  mmm-jax optimize --fit results/fit.zarr --config plan.yaml --out plan.json

\b
A plan.yaml:
  horizon: 26              # periods after the training rows, or dates
  total: 38000000          # currency over the horizon
  per: horizon             # or period: total, bounds, reference and the
                           # like are then those of a mean period
  bounds_around_mean: 0.5  # within 50 % of the mean training spend;
                           # or  bounds: {TV: [2000000, 6000000]}
  reference: {TV: 5000000, Radio: 33000000}   # to compare with; else
                           # the mean training spend, scaled to total

\b
With more to say:
  total: {amount: 38000000, at_most: true}   # what is left is not spent
  by: [channel, date]      # every date has its own number; else one
                           # level, spread evenly or by  profile: {TV: [..]}
  by: [channel, geo]       # the same of the geos, for a fit of several;
                           # else they share as they usually do
  locked: {Radio: 9000000} # given, over the horizon or as a list by date
  prices: {TV: {cost: 12}} # where the table holds units, not currency
  constraints:
    - {kind: Group, channels: [TV, Radio], lower: 9000000}
    - {kind: Ratio, channels: TV, upper: 0.4}      # of all spend
    - {kind: Step, up: 0.3, down: 0.3, relative: true, from_before: true}
    - {kind: Box, channels: TV, upper: 300000,     # in every period
       dates: [2024-06-02, 2024-08-25]}
    - {kind: TargetRoas, at_least: 2.0}
  objective: {kind: CVaR, prob: 0.1}   # else the expected response

\b
Constraints: Total, Box, Group, Ratio, Step, SameAcrossGeos, TargetRoas,
TargetMarginalRoas, TargetOutcome, RiskFloor (of an objective).
Objectives: MeanResponse, MeanMinusSd, Sharpe, Quantile, CVaR, Profit
(needs no total), ProbabilityToBeat (the reference).

\b
And besides the plan:
  scenarios: {more TV: {TV: 8000000, Radio: 30000000}}
  frontier: {from: 30000000, to: 50000000, steps: 5}   # other totals
  sensitivity: 0.1         # what each bound costs: 10 % wider, one by one
  goal: {outcome: 9000000, probability: 0.8}   # in place of the total:
                           # the least one that brings that much
"""


def optimize(
    fit: FitFile,
    config: PlanConfig,
    out: Out,
    plots: Plots = None,
    csv: Cells = None,
    page: Page = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Find the best plan for the periods after the training rows.

    Writes spend by date and channel, what it should bring, a certificate that no other plan is better, and a comparison
    with a reference.
    """
    from mmm_jax.cli import plan_report, planning, report
    from mmm_jax.cli.plan_summary import summarised
    from mmm_jax.cli.screen import Screen, write_json
    from mmm_jax.fitting.geo_fit import load_any

    screen = Screen(json)
    for path in filter(None, (out, csv, page)):
        check_new_file(path, overwrite=overwrite)
    with screen.stage("read"):
        fitted = load_any(fit)
        problem = planning.read_problem(config, fitted)
    planned = planning.solve(problem, fitted, screen)
    result = summarised(planned)
    write_json(out, result)
    target = fitted.panel.target_name
    written = [out, *planning.save_files(planned, screen, csv=csv, page=page, target=target)]
    written += planning.save_pictures(planned, plots, screen, target=target)
    report.notice_problems(screen, fitted.diagnostics)
    plan_report.say(screen, planned)
    screen.say(f"\nWritten: {', '.join(map(str, written))}.")
    screen.finish(result)
