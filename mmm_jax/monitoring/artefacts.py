"""Where the fits of a registry lie: one Zarr folder per version below a root, on a disk or at any address of fsspec."""

import re
import shutil
import uuid
from pathlib import Path

from mmm_jax.errors import RegistryError
from mmm_jax.fitting import remote
from mmm_jax.fitting.geo_fit import AnyFit, load_any
from mmm_jax.monitoring.registry_states import ModelVersion
from mmm_jax.monitoring.versions import fingerprint

_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[0-9a-f]{32}\.zarr")


class Artefacts:
    """Fits below a root.

    Args:
        root: folder, made when the first fit is kept, or an address such as `s3://bucket/models`.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = root if remote.is_remote(root) else Path(root).expanduser().absolute()

    def keep(self, fit: AnyFit, name: str) -> str:
        """Write a fit, and return where it lies below the root: a place that nobody else writes to.

        Raises:
            StoreError: it cannot be written.
        """
        place = f"{name}/{uuid.uuid4().hex}.zarr"
        if isinstance(self._root, Path):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        fit.save(self._at(place))
        return place

    def discard(self, place: str) -> None:
        """Remove a fit that no version names."""
        found = self._at(place)
        if isinstance(found, Path):
            shutil.rmtree(found, ignore_errors=True)
        else:
            remote.remove(found)

    def load(self, version: ModelVersion) -> AnyFit:
        """The fit of a version.

        Raises:
            RegistryError: it has none, or what lies there is another fit than the one that was registered.
            StoreError: it cannot be read.
        """
        if not version.artefact:
            raise RegistryError(f"The {version} is {version.job} and has no fit.")
        place = self._at(version.artefact)
        found = load_any(place)
        if fingerprint(found) != version.model:
            raise RegistryError(f"{version} was changed: at {self.at(version)} lies another fit than was registered.")
        return found

    def at(self, version: ModelVersion) -> str:
        """Path or address of a version's fit."""
        return remote.shown(str(self._at(version.artefact)))

    def _at(self, place: str) -> str | Path:
        # Whoever can write to the database must not choose which folder is read.
        if not _PLACE.fullmatch(place):
            raise RegistryError(f"{place!r} cannot be the place of a fit: the registry's entry was changed.")
        return self._root / place if isinstance(self._root, Path) else f"{str(self._root).rstrip('/')}/{place}"
