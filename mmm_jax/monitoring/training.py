"""A version while it is made: whatever ends its training is noted, and it is a success or has failed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mmm_jax.errors import MMMError
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.monitoring.artefacts import Artefacts
from mmm_jax.monitoring.registry_store import Said, VersionStore
from mmm_jax.monitoring.worker import Worker

_LONGEST = 2000
"""Characters of an error that are kept."""


@dataclass
class Run:
    """A version that is being trained.

    Attributes:
        store: where its state is.
        artefacts: where its fit is to lie.
        name: of the model.
        version: number.
        by: who trains it.
        done: whether it is a success.
    """

    store: VersionStore
    artefacts: Artefacts
    name: str
    version: int
    by: str
    done: bool = False

    def succeed(self, fit: AnyFit, fields: Mapping[str, Any]) -> None:
        """Keep the fit, and say so.

        Args:
            fit: what came of the training.
            fields: what else its row is to hold.

        Raises:
            RegistryError: the training was declared failed meanwhile.
            StoreError: the fit cannot be written.
        """
        with kept(self.artefacts, fit, self.name) as place:
            done = {"review": "needs_review", "artefact": place, **fields}
            self.store.move(self.name, self.version, "success", Said(self.by, "trained"), **done)
        self.done = True

    def fail(self, error: BaseException) -> None:
        """Say that it has failed, and why; that this cannot be written either is added to the error's own notes."""
        words = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        try:
            self.store.move(self.name, self.version, "failed", Said(self.by, words), error=words)
        except MMMError as another:
            error.add_note(f"The registry could not be told that version {self.version} of {self.name!r} failed: {another}")


@contextmanager
def training(store: VersionStore, artefacts: Artefacts, name: str, fields: Mapping[str, Any], said: Said) -> Iterator[Run]:
    """Context of a training: a new version that has failed if the context is left before `succeed`.

    Args:
        store: where its state is.
        artefacts: where its fit is to lie.
        name: of the model.
        fields: what its row is to hold from the start, such as `trigger` and `parent`.
        said: who trains it, and why.

    Raises:
        RegistryError: another version of the name is being trained.
    """
    version = store.add(name, {"job": "queued", "worker": Worker.current(), **fields}, said, "queued")
    run = Run(store, artefacts, name, version, said.by)
    try:
        store.move(name, version, "training_in_progress", Said(said.by))
        yield run
    except BaseException as error:
        if not run.done:
            run.fail(error)
        raise


@contextmanager
def kept(artefacts: Artefacts, fit: AnyFit, name: str) -> Iterator[str]:
    """Context of a fit that is written, and removed again if the context is left by an error."""
    place = artefacts.keep(fit, name)
    try:
        yield place
    except BaseException:
        artefacts.discard(place)
        raise
