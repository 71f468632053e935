"""`mmm-jax models`: the versions of models, where each stands, and what people decide of them."""

import inspect
from typing import Annotated

import typer

from mmm_jax.cli.ledger import Fitted, Place
from mmm_jax.cli.options import Json

Folder = Annotated[
    str | None,
    typer.Option(
        "--models",
        envvar="MMM_JAX_MODELS",
        help="Folder of the fits, or s3://... and the like; beside an SQLite file by default.",
        metavar="DIR",
        show_default=False,
    ),
]
Model = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME", show_default=False)]
Version = Annotated[str, typer.Argument(help="Its number, champion or challenger.", metavar="VERSION", show_default=False)]
By = Annotated[str, typer.Option("--by", help="Who says so.", metavar="TEXT")]
Why = Annotated[str, typer.Option("--reason", help="Why.", metavar="TEXT")]

EXAMPLE = """\b
Example:
  export MMM_JAX_LEDGER=decisions.db
  mmm-jax models register brand --fit results/fit.zarr
  mmm-jax models promote brand 1 --by "the board"
  mmm-jax retrain brand --data newer.csv --config fit.yaml
  mmm-jax models
  mmm-jax models history brand
"""

HELP = f"""Show versions of models, and decide which one is in use.

Versions are kept in the database of the ledger. One that was trained needs review; of a name's approved versions, the
champion is in use. Without a command, all versions are shown.

{EXAMPLE}"""

app = typer.Typer(invoke_without_command=True, help=HELP, rich_markup_mode=None)


@app.callback()
def models(
    context: typer.Context,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", envvar="MMM_JAX_LEDGER", help="As in all commands.", metavar="PLACE", show_default=False),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of one model only.", metavar="NAME")] = None,
    json: Json = False,
) -> None:
    """Show all versions; see the commands for more."""
    if context.invoked_subcommand is not None:
        return
    if ledger is None:
        raise typer.BadParameter("say where the versions are kept, or set MMM_JAX_LEDGER.", param_hint="'--ledger'")
    from mmm_jax.cli import models_report

    models_report.show(models_report.opened(ledger, None), name, machine=json)


def register(
    ledger: Place,
    name: Model,
    fit: Fitted = None,
    models: Folder = None,
    trigger: Annotated[str, typer.Option("--trigger", help="Why it was made.", metavar="TEXT")] = "registered",
    promote: Annotated[bool, typer.Option("--promote", help="Approve it and make it the champion, too.")] = False,
    by: By = "",
    reason: Why = "",
    json: Json = False,
) -> None:
    """Keep a fit that `mmm-jax fit` saved as a new version of a model."""
    from mmm_jax.cli import models_report

    if fit is None:
        raise typer.BadParameter("name a fit that `mmm-jax fit` saved.", param_hint="'--fit'")
    found = models_report.opened(ledger, models, create=True)
    models_report.registered(found, fit, name, trigger=trigger, promote=promote, by=by, reason=reason, machine=json)


def approve(ledger: Place, name: Model, version: Version, by: By = "", reason: Why = "", json: Json = False) -> None:
    """Say that a version may be used."""
    from mmm_jax.cli import models_report

    found = models_report.opened(ledger, None)
    number = models_report.number_of(found, name, version)
    found.approve(name, number, by=by, reason=reason)
    models_report.say_state(found, name, number, machine=json)


def reject(ledger: Place, name: Model, version: Version, by: By = "", reason: Why = "", json: Json = False) -> None:
    """Say that a version may not be used."""
    from mmm_jax.cli import models_report

    found = models_report.opened(ledger, None)
    number = models_report.number_of(found, name, version)
    found.reject(name, number, by=by, reason=reason)
    models_report.say_state(found, name, number, machine=json)


def promote(ledger: Place, name: Model, version: Version, by: By = "", reason: Why = "", json: Json = False) -> None:
    """Make a version the champion; if nobody has approved it yet, that does so."""
    from mmm_jax.cli import models_report

    found = models_report.opened(ledger, None)
    number = models_report.number_of(found, name, version)
    found.promote(name, number, by=by, reason=reason)
    models_report.say_state(found, name, number, machine=json)


def history(ledger: Place, name: Model, json: Json = False) -> None:
    """Show what happened to a model's versions: when, what, by whom and why."""
    from mmm_jax.cli import models_report

    models_report.show_history(models_report.opened(ledger, None), name, machine=json)


def recover(
    ledger: Place,
    name: Model,
    force: Annotated[bool, typer.Option("--force", help="Even if its process may still run.")] = False,
    by: By = "",
    reason: Why = "",
    json: Json = False,
) -> None:
    """Declare a training failed whose process is gone."""
    from mmm_jax.cli import models_report

    found = models_report.opened(ledger, None)
    models_report.say_recovered(found, name, found.recover(name, by=by, reason=reason, force=force), machine=json)


def export(
    ledger: Place,
    name: Model,
    version: Version,
    tracking: Annotated[str, typer.Option("--to", help="MLflow's tracking URI.", metavar="URI", show_default=False)],
    models: Folder = None,
    json: Json = False,
) -> None:
    """Copy a version to MLflow (needs the extra `mlflow`)."""
    from mmm_jax.cli import models_report

    found = models_report.opened(ledger, models)
    number = models_report.number_of(found, name, version)
    models_report.say_exported(found, name, number, tracking, machine=json)


for command in (register, approve, reject, promote, history, recover, export):
    app.command(help=inspect.getdoc(command))(command)
