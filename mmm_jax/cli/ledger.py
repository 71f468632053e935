"""`mmm-jax ledger`: decisions with what was predicted, what was done and what came of it."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from mmm_jax.cli.options import Json

Place = Annotated[
    str,
    typer.Option(
        "--ledger",
        envvar="MMM_JAX_LEDGER",
        help="SQLite file, or postgresql+psycopg:// URL; a URL with a password is safer in the variable.",
        metavar="PLACE",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Option("--name", help="Name of the decision.", metavar="NAME")]
Fitted = Annotated[Path | None, typer.Option("--fit", help="A fit that `mmm-jax fit` saved, to predict it.", metavar="ZARR")]
Note = Annotated[str, typer.Option("--note", help="Anything worth knowing.", metavar="TEXT")]
Reason = Annotated[str, typer.Option("--reason", help="Why.", metavar="TEXT")]
Number = Annotated[int | None, typer.Option("--outcome", help="Number of the outcome, if there are several.", metavar="N")]
Plan = Annotated[Path | None, typer.Option("--plan", help="A plan that `mmm-jax optimize` wrote.", metavar="JSON")]
Spend = Annotated[
    Path | None,
    typer.Option("--spend", help="Or else a table: `date`, one column per channel; `geo`, if any.", metavar="CSV"),
]
Spent = Annotated[Path, typer.Option("--spend", help="What was spent, as a table of --spend in propose.", metavar="CSV")]
Baseline = Annotated[
    Path | None, typer.Option("--baseline", help="Spend to compare with, such a table; nothing by default.", metavar="CSV")
]
Currency = Annotated[str | None, typer.Option("--currency", help="Of the spend, such as EUR.", metavar="NAME")]

EXAMPLE = """\b
Example:
  export MMM_JAX_LEDGER=decisions.db
  mmm-jax ledger propose --name q3 --plan plan.json --fit results/fit.zarr
  mmm-jax ledger approve --name q3 --by "the board"
  mmm-jax ledger deliver --name q3 --spend spent.csv --fit results/fit.zarr
  mmm-jax ledger outcome --name q3 --value 120000 --se 30000 \\
          --method "geo test" --independent
  mmm-jax ledger report
  mmm-jax ledger verify
"""

HELP = f"""Keep decisions with what was predicted, what was done and what came of it.

Events are only ever added, and chained by their hashes. Many people may write to one ledger.

{EXAMPLE}"""

app = typer.Typer(no_args_is_help=True, help=HELP, rich_markup_mode=None)


def propose(
    ledger: Place,
    name: Name,
    plan: Plan = None,
    spend: Spend = None,
    fit: Fitted = None,
    baseline: Baseline = None,
    currency: Currency = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """Write down a plan, and what the fit predicts it to bring more than the baseline."""
    from mmm_jax.cli import ledger_work as work

    found = work.opened(ledger, create=True)
    given, fitted = work.read_plan(plan, spend), work.read_fit(fit)
    compared = None if baseline is None else work.read_spend(baseline)
    known = {"baseline": compared, "prices": given.prices, "currency": currency, "note": note}
    found.propose(given.spend, name=name, fit=fitted, **known)
    work.say_state(found, name, json)


def approve(
    ledger: Place,
    name: Name,
    fit: Fitted = None,
    by: Annotated[str, typer.Option("--by", help="Who approves.", metavar="TEXT")] = "",
    note: Note = "",
    json: Json = False,
) -> None:
    """Approve a proposal, with what was predicted on that day."""
    from mmm_jax.cli import ledger_work as work

    found = work.opened(ledger)
    found.approve(name, fit=work.read_fit(fit), by=by, note=note)
    work.say_state(found, name, json)


def deliver(
    ledger: Place,
    name: Name,
    spend: Spent,
    fit: Fitted = None,
    currency: Currency = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """Write down what was spent in truth; the fit that approved says what that should bring."""
    from mmm_jax.cli import ledger_work as work

    found = work.opened(ledger)
    found.deliver(name, spend=work.read_spend(spend), fit=work.read_fit(fit), currency=currency, note=note)
    work.say_state(found, name, json)


def outcome(
    ledger: Place,
    name: Name,
    value: Annotated[float, typer.Option("--value", help="What it brought more than the baseline.", metavar="X")],
    se: Annotated[float, typer.Option("--se", help="Its standard error.", metavar="X")],
    method: Annotated[str, typer.Option("--method", help="How it was measured.", metavar="TEXT")],
    independent: Annotated[
        bool, typer.Option("--independent/--from-sales", help="Apart from the sales that models train on, or from them.")
    ],
    channel: Annotated[str | None, typer.Option("--channel", help="Of which channel; else of all.", metavar="NAME")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First date measured; the plan's.", metavar="DATE")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last date measured; the plan's.", metavar="DATE")] = None,
    validation: Annotated[bool, typer.Option("--validation", help="Keep it to check models with.")] = False,
    note: Note = "",
    json: Json = False,
) -> None:
    """Write down what a decision was measured to bring."""
    from mmm_jax.cli import ledger_work as work

    found = work.opened(ledger)
    given: dict[str, Any] = {"method": method, "independent": independent, "channel": channel}
    given |= {"validation": validation, "note": note, "window": work.window_of(found, name, start, end)}
    found.outcome(name, value, se, **given)
    work.say_state(found, name, json)


def restate(
    ledger: Place,
    name: Name,
    reason: Reason,
    value: Annotated[float | None, typer.Option("--value", help="The right value.", metavar="X")] = None,
    se: Annotated[float | None, typer.Option("--se", help="The right standard error.", metavar="X")] = None,
    outcome: Number = None,
    spend: Annotated[
        Path | None, typer.Option("--spend", help="Or else what was spent in truth, as for deliver.", metavar="CSV")
    ] = None,
    fit: Fitted = None,
    json: Json = False,
) -> None:
    """Correct an outcome, or what was delivered; what was said before stays readable."""
    from mmm_jax.cli import ledger_work as work

    found, right = work.opened(ledger), None if spend is None else work.read_spend(spend)
    found.restate(name, value=value, se=se, outcome=outcome, spend=right, fit=work.read_fit(fit), reason=reason)
    work.say_state(found, name, json)


def void(ledger: Place, name: Name, reason: Reason, outcome: Number = None, json: Json = False) -> None:
    """Declare a decision, or one of its outcomes, void."""
    from mmm_jax.cli import ledger_work as work

    found = work.opened(ledger)
    found.void(name, outcome=outcome, reason=reason)
    work.say_state(found, name, json)


def report(
    ledger: Place,
    name: Annotated[str | None, typer.Option("--name", help="One decision, with its events.", metavar="NAME")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for a picture.", metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Show decisions, why outcomes were not as planned, and where the model errs in one direction."""
    from mmm_jax.cli import ledger_report
    from mmm_jax.cli import ledger_work as work

    found = work.opened(ledger)
    ledger_report.show(found, name, plots, machine=json)


def verify(
    ledger: Place,
    head: Annotated[
        str | None,
        typer.Option("--head", help="A head that was noted earlier: must be part of the chain.", metavar="TEXT"),
    ] = None,
    json: Json = False,
) -> None:
    """Recompute all hashes: exit code 1 if an event was changed, removed or moved."""
    from mmm_jax.cli import ledger_report
    from mmm_jax.cli import ledger_work as work

    if not ledger_report.verified(work.opened(ledger), head, machine=json):
        raise typer.Exit(1)


for command in (propose, approve, deliver, outcome, restate, void, report, verify):
    app.command(help=inspect.getdoc(command))(command)
