"""`mmm-jax monitor`: is a saved fit still right, now that new rows are in."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import Data, FitFile, Json, Key, Overwrite, check_new_folder

ALARM = 3
"""Exit code where the model is no longer to be relied on as it is."""

ConfigFile = Annotated[
    Path, typer.Option("--config", help="The fit's configuration, which says what the columns are.", metavar="YAML")
]
Plan = Annotated[
    Path | None,
    typer.Option(
        "--plan", help="A plan of `mmm-jax optimize`, or a CSV table: `date`, one column per channel.", metavar="FILE"
    ),
]
Place = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar="MMM_JAX_LEDGER",
        help="SQLite file, or postgresql+psycopg:// URL, of decisions and their outcomes.",
        metavar="PLACE",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for monitor.json and plots/.", metavar="DIR")]
NoPlots = Annotated[bool, typer.Option("--no-plots", help="Draw no picture, which saves a second.")]
Alpha = Annotated[
    float,
    typer.Option("--alpha", help="Chance of ever a false alarm of drift; false discovery rate of errors.", metavar="P"),
]
MixThreshold = Annotated[
    float, typer.Option("--mix", help="Largest part of the budget that may have moved.", metavar="SHARE")
]
Recent = Annotated[
    int | None,
    typer.Option(
        "--recent",
        help="Last rows whose mix counts; all new ones by default.",
        metavar="N",
    ),
]
OwnOutcomes = Annotated[
    bool, typer.Option("--own-outcomes", help="Of the ledger, only outcomes that this very fit predicted.")
]
StaleOk = Annotated[bool, typer.Option("--stale-ok", help="Exit with 0 on a stale verdict: with 3 on drift alone.")]

EXAMPLE = """\b
Example:
  mmm-jax monitor --fit results/fit.zarr --data sales.csv \\
          --config fit.yaml --plan plan.json --ledger decisions.db \\
          --out monitor

\b
Exit codes, for a scheduler:
  0   nothing to report
  1   a failure on the way
  2   bad input
  3   an alarm: drift, or a stale verdict (not with --stale-ok)

\b
The table holds all rows after the training rows, or all rows with them:
then training cells that were restated since are named. Give all new rows
each time, not the latest alone: evidence adds up, and --alpha is the
chance of ever a false alarm, however often one looks. Rows whose target is
not known are passed over. The mix of a few rows moves by itself: believe
that of a quarter or more. The configuration may name new channels, and
need not name those that were dropped.
"""


def monitor(
    fit: FitFile,
    data: Data,
    config: ConfigFile,
    plan: Plan = None,
    ledger: Place = None,
    out: Out = None,
    alpha: Alpha = 0.05,
    mix: MixThreshold = 0.15,
    recent: Recent = None,
    own_outcomes: OwnOutcomes = False,
    stale_ok: StaleOk = False,
    key: Key = 0,
    no_plots: NoPlots = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Check a fit against new rows: has something drifted, is the model stale.

    Drift: whether the new rows still look like the model's own, and what has changed if they do not. Staleness: whether
    spend has moved to other channels, the ledger's outcomes err in one direction, or the plan goes beyond what was seen.
    """
    from mmm_jax.cli import monitor_work, monitoring
    from mmm_jax.cli.screen import Screen
    from mmm_jax.fitting.geo_fit import load_any

    screen = Screen(json)
    if out is not None:
        check_new_folder(out, holds=monitoring.RESULT_FILE, overwrite=overwrite)
    fitted = load_any(fit)
    asked = monitor_work.Asked(plan, ledger, alpha=alpha, mix=mix, recent=recent, own_outcomes=own_outcomes, key=key)
    found = monitor_work.checked(fitted, monitor_work.read_new(config, data, fitted, screen), asked, screen)
    reasons = monitoring.alarms(found, stale_ok=stale_ok)
    written = monitoring.save(found, reasons, out, screen, plots=not no_plots)
    monitoring.say(screen, found, reasons, written)
    screen.finish({**monitoring.summarised(found, reasons), "files": written})
    if reasons:
        raise typer.Exit(ALARM)
