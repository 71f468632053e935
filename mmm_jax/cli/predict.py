"""`mmm-jax predict`: from a saved fit and new rows to predictions with intervals."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import Data, FitFile, Json, Key, Overwrite, check_new_file

ConfigFile = Annotated[
    Path, typer.Option("--config", help="The fit's configuration, which says what the columns are.", metavar="YAML")
]
Out = Annotated[Path, typer.Option("--out", help="Predictions, one row per period.", metavar="CSV")]


def _check_prob(prob: float) -> float:
    if not 0 < prob < 1:
        raise typer.BadParameter(f"must lie between 0 and 1, got {prob}.")
    return prob


Prob = Annotated[
    float, typer.Option("--prob", help="Probability of the interval, between 0 and 1.", metavar="P", callback=_check_prob)
]

EXAMPLE = """\b
Example:
  mmm-jax predict --fit results/fit.zarr --data next.csv \\
          --config fit.yaml --out forecast.csv

Writes the columns date, mean, median, lower, upper and, where it is known, observed. Of a fit of geos, forecast.csv
holds their sum, and forecast_by_geo.csv every geo's own rows.
"""


def predict(
    fit: FitFile,
    data: Data,
    config: ConfigFile,
    out: Out,
    prob: Prob = 0.9,
    key: Key = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Predict the rows that follow the training rows.

    The table holds spend and controls of the new periods; it may begin with the training rows, which are left out. Where
    it has the target, the predictions are scored.
    """
    from mmm_jax.cli import forecast, report
    from mmm_jax.cli.screen import Screen
    from mmm_jax.fitting.geo_fit import load_any

    screen = Screen(json)
    check_new_file(out, overwrite=overwrite)
    fitted = load_any(fit)
    places = forecast.files_of(fitted, out)
    for place in places:
        check_new_file(place, overwrite=overwrite)
    rows = forecast.read_rows(config, data, fitted, screen)
    found = forecast.predicted(fitted, rows, screen, prob=prob, key=key)
    forecast.write(found, places)
    report.notice_problems(screen, fitted.diagnostics)
    forecast.say(screen, found)
    screen.say(f"Written: {', '.join(map(str, places))}.")
    screen.finish(forecast.summarised(found, out))
