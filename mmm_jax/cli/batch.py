"""`mmm-jax batch`: one configuration, many tables, one store of fits."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import Json

Tables = Annotated[
    Path, typer.Option("--data", help="Folder with one CSV per fit, or one CSV with a column that tells them apart.")
]
ConfigFile = Annotated[
    Path, typer.Option("--config", help="What the columns are, the model and the sampler, for all.", metavar="YAML")
]
By = Annotated[
    str | None, typer.Option("--by", help="Column that names the fit, where --data is one CSV.", metavar="COLUMN")
]
Out = Annotated[Path, typer.Option("--out", help="Store of the fits; what it has already is not made again.", metavar="DIR")]

OnRay = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Fit on a Ray cluster: `local` starts one here, `auto` takes the one that runs here, host:port names its head.",
        metavar="ADDRESS",
    ),
]

EXAMPLE = """\b
Example:
  mmm-jax batch --data markets/ --config fit.yaml --out fits
  mmm-jax batch --data all.csv --by market --config fit.yaml --out fits
  mmm-jax batch --data markets/ --config fit.yaml --out fits --ray head:6379

\b
The configuration is that of `mmm-jax fit`; its section `experiments` says `by: COLUMN`, which names each test's fit. A
table that cannot be fitted is one failed fit, not a failed batch; an interrupted batch goes on where it stopped when the
same command is run again. In Python: `mj.Batch.open("fits")["berlin"]`.
"""


def batch(data: Tables, config: ConfigFile, out: Out, by: By = None, ray: OnRay = None, json: Json = False) -> None:
    """Fit many tables in one program.

    Shows the fits done, their rate and the time left; then how many converged, and why others failed.
    """
    from mmm_jax.cli import batches
    from mmm_jax.cli.screen import Screen

    screen = Screen(json)
    screen.finish(batches.run(screen, data, by, config, out, ray))
