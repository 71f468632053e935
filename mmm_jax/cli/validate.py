"""`mmm-jax validate`: would the model have foreseen what came next, and would it have said the same before."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import Data, Json, Overwrite, check_new_folder

ConfigFile = Annotated[
    Path, typer.Option("--config", help="What the columns are, the model, the sampler, the folds.", metavar="YAML")
]
Out = Annotated[Path, typer.Option("--out", help="Folder for validation.json and plots/.", metavar="DIR")]
NoPlots = Annotated[bool, typer.Option("--no-plots", help="Draw no pictures, which saves some seconds.")]

EXAMPLE = """\b
Example:
  mmm-jax validate --data sales.csv --config fit.yaml --out checks

\b
The configuration is that of `mmm-jax fit`, with these lines if the
defaults do not suit:
  validation:
    initial: 130       # training rows of the first fold; by default two
                       # thirds of the rows
    horizon: 8         # rows that every fold forecasts (the default)
    step: 8            # rows between cutoffs; by default the horizon
    window: expanding  # or rolling: always the last `initial` rows

\b
All folds are fitted in one batch, each with what was known at its cutoff
alone. Rows after last_training_date are not touched.
"""


def validate(
    data: Data, config: ConfigFile, out: Out, overwrite: Overwrite = False, no_plots: NoPlots = False, json: Json = False
) -> None:
    """Forecast the past: fit the rows up to several dates, compare with what came next.

    Shows scores by fold and by how far ahead, beside naive forecasts, and how much the parameters move from fold to fold.
    """
    from mmm_jax.cli import backtest
    from mmm_jax.cli.screen import Screen

    screen = Screen(json)
    check_new_folder(out, holds=backtest.RESULT_FILE, overwrite=overwrite)
    screen.finish(backtest.run(screen, data, config, out, plots=not no_plots))
