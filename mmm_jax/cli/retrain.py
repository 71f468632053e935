"""`mmm-jax retrain`: a new version of a model, from newer rows and what the ledger knows, beside the champion."""

from typing import Annotated

import typer

from mmm_jax.cli.fit import ConfigFile
from mmm_jax.cli.ledger import Place
from mmm_jax.cli.models import By, Folder, Model, Why
from mmm_jax.cli.options import Data, Json

Trigger = Annotated[str, typer.Option("--trigger", help="Why, such as 'drift alarm'.", metavar="TEXT")]
Parent = Annotated[
    str, typer.Option("--parent", help="Version whose model and scales are taken: a number or an alias.", metavar="VERSION")
]
Promote = Annotated[bool, typer.Option("--promote", help="Make it the champion, if its draws can be trusted.")]
Power = Annotated[
    float | None,
    typer.Option("--power", help="How far rows count that the parent had and the table has no more.", metavar="0..1"),
]
NoOutcomes = Annotated[bool, typer.Option("--no-outcomes", help="Learn nothing from the ledger's outcomes.")]

EXAMPLE = """\b
Example:
  export MMM_JAX_LEDGER=decisions.db
  mmm-jax models register brand --fit results/fit.zarr --promote
  mmm-jax retrain brand --data newer.csv --config fit.yaml \\
          --trigger "new quarter"
  mmm-jax models promote brand challenger --by "the board"

\b
The configuration is that of `mmm-jax fit`. Of it, the columns, the dates,
the experiments and the sampler are used; the model is the parent's. Rows
after last_training_date are what champion and challenger are compared on.
"""


def retrain(
    ledger: Place,
    name: Model,
    data: Data,
    config: ConfigFile,
    models: Folder = None,
    trigger: Trigger = "",
    parent: Parent = "champion",
    promote: Promote = False,
    power: Power = None,
    no_outcomes: NoOutcomes = False,
    by: By = "",
    reason: Why = "",
    json: Json = False,
) -> None:
    """Fit a registered model to newer rows, and compare it with the champion.

    The new version takes its parent's choices and scales, and learns from the ledger's outcomes that were measured apart
    from sales. It replaces the champion only if told to.
    """
    from mmm_jax.cli import retraining
    from mmm_jax.cli.screen import Screen

    screen = Screen(json)
    asked = {"trigger": trigger, "parent": parent, "power": power, "promote": promote, "by": by, "reason": reason}
    result = retraining.run(screen, (ledger, models), name, data, config, outcomes=not no_outcomes, asked=asked)
    screen.finish(result)
