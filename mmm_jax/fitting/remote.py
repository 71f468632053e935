"""Fits at addresses that fsspec knows (`s3://`, `gs://`, `abfs://`, ...): written and read by way of a local folder."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmm_jax.errors import StoreError


def is_remote(path: str | Path) -> bool:
    """Whether it is an address rather than a path.

    Example:
        >>> is_remote("s3://bucket/fit.zarr"), is_remote("results/fit.zarr")
        (True, False)
    """
    return isinstance(path, str) and "://" in path


def shown(address: str) -> str:
    """The address for people, without a password.

    Example:
        >>> shown("ftp://keeper:secret@host/fit.zarr")
        'ftp://keeper:***@host/fit.zarr'
    """
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", address)


def exists(address: str) -> bool:
    """Whether something lies there.

    Raises:
        StoreError: the address cannot be used.
    """
    system, root = _opened(address)
    with _told(address):
        return system.exists(root)


def remove(address: str) -> None:
    """Remove what lies there, if anything does."""
    system, root = _opened(address)
    with _told(address):
        if system.exists(root):
            system.rm(root, recursive=True)


def upload(local: Path, address: str) -> None:
    """Copy a file or a folder to an address where nothing lies.

    Of a folder, the files at its top come last. Without them it is no fit: one that was copied in part is never read as
    one whose numbers are all missing.
    """
    system, root = _opened(address)
    files = [local] if local.is_file() else [path for path in local.rglob("*") if path.is_file()]
    files.sort(key=lambda path: (path.parent == local, str(path)))
    with _told(address):
        for path in files:
            to = root if path == local else f"{root}/{path.relative_to(local).as_posix()}"
            system.makedirs(to.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), to)


@contextmanager
def downloaded(address: str) -> Iterator[Path]:
    """A local copy of what lies at an address, for the time being.

    Raises:
        StoreError: nothing lies there, or it cannot be read.
    """
    system, root = _opened(address)
    with tempfile.TemporaryDirectory(prefix="mmm_jax_") as folder:
        local = Path(folder) / address.rpartition("/")[2]
        with _told(address):
            if not system.exists(root):
                raise StoreError(f"There is no fit at {shown(address)}.")
            system.get(root, str(local), recursive=True)
        yield local


def _opened(address: str) -> tuple[Any, str]:
    try:
        # Here, so that whoever keeps fits on disks needs no fsspec.
        from fsspec.core import url_to_fs  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise StoreError(
            f"{shown(address)}: addresses need the package fsspec. Run: pip install 'mmm-jax[remote]'."
        ) from None
    with _told(address):
        system, root = url_to_fs(address)
        return system, str(root).rstrip("/")


@contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (OSError, ValueError, ImportError) as error:
        words = " ".join(str(error).split()).replace(address, shown(address))
        raise StoreError(f"{shown(address)} cannot be used: {words}") from None
