"""Options that several commands share, and what becomes of the places that they name."""

from pathlib import Path
from typing import Annotated

import typer

from mmm_jax.errors import StoreError

LARGEST_KEY = 2**32 - 1

Data = Annotated[Path, typer.Option("--data", help="Table with one row per period, as CSV in UTF-8.", metavar="CSV")]
FitFile = Annotated[Path, typer.Option("--fit", help="A fit that `mmm-jax fit` saved.", metavar="ZARR")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output, and nothing else there.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote there.")]


def check_seed(seed: int) -> int:
    """The seed, if JAX and NumPy can both use it."""
    if not 0 <= seed <= LARGEST_KEY:
        raise typer.BadParameter(f"must lie between 0 and {LARGEST_KEY}, got {seed}.")
    return seed


Key = Annotated[int, typer.Option("--key", help="Seed of the random numbers.", metavar="N", callback=check_seed)]


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Raise a `StoreError` if a file cannot be written there, before any work is done for it."""
    if path.exists() and (path.is_dir() or not overwrite):
        what = "is a folder" if path.is_dir() else "exists already; choose another path, or pass --overwrite"
        raise StoreError(f"{path} {what}.")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the folder {path.parent} does not exist. Create it first.")


def check_new_folder(path: Path, *, holds: str, overwrite: bool) -> None:
    """Raise a `StoreError` if the folder is a file, or holds a result of the given name already."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file, but a folder is needed.")
    if (path / holds).exists() and not overwrite:
        raise StoreError(f"{path / holds} exists already. Choose another folder, or pass --overwrite.")
