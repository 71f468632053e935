"""`mmm-jax demo`: the whole way on a market whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.cli.options import Json, Key, Overwrite, check_seed

Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for table, configurations, fit, plan and pictures.", metavar="DIR")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the market.", metavar="N", callback=check_seed)]

EXAMPLE = """\b
Example:
  mmm-jax demo --out demo

With --out, the folder holds all that the other commands need, to be run again or changed.
"""


def demo(out: Out = None, key: Key = 0, seed: Seed = 2, overwrite: Overwrite = False, json: Json = False) -> None:
    """Fit, check and plan on a synthetic market whose truth is known.

    Four years of weekly sales, seven channels, six holidays: is the true return of every channel inside of its interval,
    are the last 26 weeks predicted well, and what should be spent next? It takes about a minute.
    """
    from mmm_jax.cli import showcase
    from mmm_jax.cli.screen import Screen

    screen = Screen(json)
    screen.finish(showcase.run(screen, out, key=key, seed=seed, overwrite=overwrite))
