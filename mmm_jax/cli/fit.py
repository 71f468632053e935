"""`mmm-jax fit`: from a table and a configuration to a saved fit, its summary and its pictures."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import Data, Json, Overwrite, check_new_folder

ConfigFile = Annotated[
    Path, typer.Option("--config", help="What the columns are, the model and the sampler.", metavar="YAML")
]
Out = Annotated[Path, typer.Option("--out", help="Folder for fit.zarr, summary.json and plots/.", metavar="DIR")]
NoPlots = Annotated[bool, typer.Option("--no-plots", help="Draw no pictures, which saves some seconds.")]

EXAMPLE = """\b
Example:
  mmm-jax fit --data sales.csv --config fit.yaml --out results

\b
A small fit.yaml (`mmm-jax demo --out demo` writes a complete one):
  data:
    date: week
    target: sales
    channels: {TV: spend_tv, Radio: spend_radio}
    controls: ["holiday_*"]
    # media: {TV: tv_grp}            # units that the model sees for spend
    # organic: [newsletter]          # media without spend
    # treatments: {price: max}       # told against a reference level
    # geo: region                    # many markets: a row per week and region
    # population: heads              # column of their heads
    last_training_date: 2024-06-30   # later rows are held out
  # experiments:                     # lift tests, beside this file, with
  #   file: tests.csv                # channel, start, end, delta_spend,
  #   held_out: validation           # delta_outcome, se; rows whose column
  #                                  # validation is 1 are only predicted
  model:
    adstock: {kind: GeometricAdstock, l_max: 6}
    saturation: {kind: LogisticSaturation}
    # groups:                        # channels that work in another way
    #   - {channels: [TV], adstock: {kind: WeibullCDFAdstock, l_max: 12}}
    yearly_seasonality: 2
    # media_prior: roas              # priors below say the return on spend
    priors:
      intercept: {dist: Normal, loc: 0.5, scale: 0.2}
      # roas: {dist: LogNormal, loc: 0.3, scale: 0.5}
  sampling: {num_chains: 4, num_warmup: 300, num_samples: 1000}
"""


def fit(
    data: Data, config: ConfigFile, out: Out, overwrite: Overwrite = False, no_plots: NoPlots = False, json: Json = False
) -> None:
    """Fit a model to a table of spend and sales.

    Writes the fit, a summary with diagnostics, return on spend, shares and scores, and pictures.
    """
    from mmm_jax.cli import report, steps
    from mmm_jax.cli.screen import Screen

    screen = Screen(json)
    check_new_folder(out, holds=steps.FIT_FILE, overwrite=overwrite)
    inputs = steps.read_inputs(config, data, screen)
    report.say_rows(screen, inputs.train, inputs.test, inputs.experiments)
    # Whether the folder can be made should be known before an hour of sampling.
    out.mkdir(parents=True, exist_ok=True)
    results = steps.fit_and_examine(inputs, screen)
    summary = steps.save_results(results, out, screen, plots=not no_plots)
    report.show_results(screen, results)
    screen.say_seconds()
    screen.say(f"Written: {', '.join(str(path) for path in sorted(out.iterdir()))}.")
    screen.finish(summary)
