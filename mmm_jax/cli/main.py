"""The entry point `mmm-jax`: its commands, and what becomes of errors.

Exit codes: 0 done, 1 a failure on the way, 2 bad input; in both cases with one line on standard error. `monitor` ends with 3
where it raises an alarm.
"""

import inspect
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from mmm_jax.cli import batch, demo, fit, ledger, models, monitor, optimize, predict, respond, retrain, validate
from mmm_jax.errors import MMMError, SamplingError

FAILURE, BAD_INPUT = 1, 2

HELP = """
Bayesian marketing-mix models: from a table of spend and sales to a budget plan.

Start with `mmm-jax demo --out demo`, which needs no data and leaves a table and configuration files to change. Then, with
your own:

\b
  mmm-jax fit --data sales.csv --config fit.yaml --out results
  mmm-jax batch --data markets/ --config fit.yaml --out fits
  mmm-jax validate --data sales.csv --config fit.yaml --out checks
  mmm-jax predict --fit results/fit.zarr --data next.csv \\
          --config fit.yaml --out forecast.csv
  mmm-jax optimize --fit results/fit.zarr --config plan.yaml --out plan.json
  mmm-jax monitor --fit results/fit.zarr --data sales.csv \\
          --config fit.yaml --plan plan.json
  mmm-jax ledger propose --ledger decisions.db --name q3 --plan plan.json \\
          --fit results/fit.zarr
  mmm-jax retrain brand --ledger decisions.db --data newer.csv \\
          --config fit.yaml
  mmm-jax models --ledger decisions.db

\b
And for tables of customers:
  mmm-jax respond fit --data customers.csv --label Response --out model
"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command, example in (
    (demo.demo, demo.EXAMPLE),
    (fit.fit, fit.EXAMPLE),
    (batch.batch, batch.EXAMPLE),
    (validate.validate, validate.EXAMPLE),
    (predict.predict, predict.EXAMPLE),
    (optimize.optimize, optimize.EXAMPLE),
    (monitor.monitor, monitor.EXAMPLE),
    (retrain.retrain, retrain.EXAMPLE),
):
    app.command(help=f"{inspect.getdoc(command)}\n\n{example}")(command)
app.add_typer(ledger.app, name="ledger")
app.add_typer(models.app, name="models")
app.add_typer(respond.app, name="respond")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mmm-jax {version('mmm-jax')}")
        raise typer.Exit


@app.callback(help=HELP)
def _program(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit.

    Args:
        arguments: what follows the program's name; `sys.argv` by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Not an option of any command, so that it can be appended to a line that failed.
    debug = "--debug" in given
    _keep_programs()
    try:
        app([word for word in given if word != "--debug"], prog_name="mmm-jax")
    except Exception as error:
        if debug:
            raise
        _fail(error)
    sys.exit(0)


def _keep_programs() -> None:
    """What was compiled once is on disk for the next command, if the user's cache folder can be written."""
    from mmm_jax.fitting.compilation import use_compilation_cache

    use_compilation_cache()


def _fail(error: Exception) -> NoReturn:
    """One line on standard error, and the exit code of this kind of error."""
    print(f"error: {_one_line(error)}", file=sys.stderr)
    bad_input = isinstance(error, MMMError) and not isinstance(error, SamplingError)
    sys.exit(BAD_INPUT if bad_input else FAILURE)


def _one_line(error: Exception) -> str:
    words = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, (MMMError, OSError)):
        return words
    return f"unexpected {type(error).__name__}: {words} (This should not happen: run it again with --debug and report it.)"
