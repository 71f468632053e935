"""The registry: versions of named models, where each stands, who decided it and why, and which one is in use."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmm_jax.errors import RegistryError
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.fitting.posterior import Fit
from mmm_jax.monitoring import facts, registry_views
from mmm_jax.monitoring.artefacts import Artefacts
from mmm_jax.monitoring.registry_states import Alias, ModelVersion, check_alias_name, check_name

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mmm_jax.monitoring.database import Database
    from mmm_jax.monitoring.training import Run

Named = int | str
"""A version by its number, or by an alias: `champion` or `challenger`."""


class Registry:
    """Versions of named models, in the database of a ledger or in one of their own; their fits lie in a folder.

    A version's training is `queued`, then `training_in_progress`, then a `success` or `failed`; one that was trained
    `needs_review`, then is `approved` or `rejected`. The `champion` of a name is the version in use, an approved one; the
    `challenger` is the one that was trained last, until it is rejected or becomes the champion. Every change is checked and
    written in one transaction, and noted with who made it and why. Many processes may use one registry.

    Args:
        url: path of an SQLite file, or `postgresql+psycopg://user:password@host/name` (with the extra `postgres`).
        artefacts: folder of the fits, or an address such as `s3://bucket/models` (with the extra `remote`). By default
            beside an SQLite file: `decisions.db` has `decisions-models`. On a server, fits can be kept and loaded only if it
            is given.
        create: make an SQLite file that is not there yet.

    Raises:
        LedgerError: the database cannot be reached.
    """

    def __init__(self, url: str | Path, *, artefacts: str | Path | None = None, create: bool = True) -> None:
        # Here, so that `import mmm_jax` does not load SQLAlchemy.
        from mmm_jax.monitoring.database import Database
        from mmm_jax.monitoring.registry_store import VersionStore

        self.database = Database(url, create=create)
        root = _beside(self.database) if artefacts is None else artefacts
        self._kept = None if root is None else Artefacts(root)
        self._store = VersionStore(self.database)

    def __repr__(self) -> str:
        """The place, without its password."""
        return f"Registry({self.database.shown!r})"

    def register(
        self,
        fit: AnyFit,
        name: str,
        *,
        trigger: str = "registered",
        parent: Named | None = None,
        scores: Mapping[str, float] | None = None,
        by: str = "",
        reason: str = "",
    ) -> int:
        """Keep a fit that was made outside as a new version, which needs review and is the challenger.

        Args:
            fit: of one market or of geos.
            name: of the model: letters, digits, '.', '_' and '-'; a new one, or one that has versions already.
            trigger: why it was made.
            parent: the version that it follows.
            scores: by name; those of its training rows by default, of geos of their sum.
            by: who registers it.
            reason: why.

        Returns:
            The version's number.

        Raises:
            RegistryError: the name cannot be one, or there is no such parent.
            StoreError: the fit cannot be written.
        """
        from mmm_jax.monitoring.registry_store import Said
        from mmm_jax.monitoring.training import kept

        if not isinstance(fit, (Fit, GeoFit)):
            raise RegistryError(f"`fit` must be a fit of one market or of geos, got {type(fit).__name__}.")
        number = None if parent is None else self.version(name, parent).version
        fields = {"parent": number, "trigger": trigger, **facts.fields_of(fit), "facts": facts.facts_of(fit, scores)}
        with kept(self._artefacts, fit, check_name(name)) as place:
            trained = {"job": "success", "review": "needs_review", "artefact": place}
            return self._store.add(name, {**trained, **fields}, Said(by, reason), "registered")

    def training(
        self, name: str, trigger: str, *, parent: Named, by: str = "", reason: str = ""
    ) -> "AbstractContextManager[Run]":
        """Context in which a new version is trained, as `retrain` does: it has failed unless `Run.succeed` is called.

        Raises:
            RegistryError: there is no such parent, or another version of the name is being trained.
        """
        from mmm_jax.monitoring.registry_store import Said
        from mmm_jax.monitoring.training import training

        fields = {"parent": self.version(name, parent).version, "trigger": trigger}
        return training(self._store, self._artefacts, name, fields, Said(by, reason))

    def load(self, name: str, version: Named = "champion") -> AnyFit:
        """The fit of a version; it is checked to be the one that was registered.

        Raises:
            RegistryError: there is no such version, it has no fit, or that was changed.
            StoreError: the fit cannot be read.
        """
        return self._artefacts.load(self.version(name, version))

    def version(self, name: str, version: Named = "champion") -> ModelVersion:
        """What is known of a version.

        Raises:
            RegistryError: there is none.
        """
        return self._store.version(check_name(name), version)

    def versions(self, name: str | None = None) -> pd.DataFrame:
        """One row per version of a name, or of all: alias, states, parent, trigger, training window, scores, hashes.

        Raises:
            RegistryError: the name cannot be one.
        """
        found = self._store.versions(None if name is None else check_name(name))
        return registry_views.version_table(found, self._store.aliases())

    def aliases(self, name: str) -> dict[str, int]:
        """Version of each alias that a name has."""
        return {alias: version for (one, alias), version in self._store.aliases().items() if one == check_name(name)}

    def history(self, name: str) -> pd.DataFrame:
        """What happened to the versions of a name: when (UTC), to which, what, by whom and why; events are only added."""
        return registry_views.change_table(self._store.changes(check_name(name)))

    def approve(self, name: str, version: Named, *, by: str = "", reason: str = "") -> None:
        """Say that a version may be used.

        Raises:
            RegistryError: it was not trained, or was reviewed before.
        """
        self._reviewed(name, version, "approved", by, reason)

    def reject(self, name: str, version: Named, *, by: str = "", reason: str = "") -> None:
        """Say that a version may not be used; it is no challenger any more.

        Raises:
            RegistryError: it was not trained, or was reviewed before.
        """
        self._reviewed(name, version, "rejected", by, reason)

    def set_alias(self, name: str, alias: Alias, version: Named, *, by: str = "", reason: str = "") -> None:
        """Let `champion` name an approved version, or `challenger` one that was not rejected.

        Raises:
            RegistryError: the version does not admit it, or there is no such alias.
        """
        from mmm_jax.monitoring.registry_store import Said

        self._store.point(name, check_alias_name(alias), self.version(name, version).version, Said(by, reason))

    def promote(self, name: str, version: Named = "challenger", *, by: str = "", reason: str = "") -> None:
        """Approve a version, if that is still to be done, and make it the champion: both, or nothing.

        Raises:
            RegistryError: it was not trained, or was rejected.
        """
        from mmm_jax.monitoring.registry_store import Said

        self._store.promote(name, self.version(name, version).version, Said(by, reason))

    def recover(self, name: str, *, by: str = "", reason: str = "", force: bool = False) -> int | None:
        """Declare a training failed whose process is gone, so that another one can begin.

        `retrain` does so itself where it can tell that the process is gone: one of this machine.

        Args:
            name: of the model.
            by: who says so.
            reason: why.
            force: even though the process runs, or belongs to another machine.

        Returns:
            Number of the version that has failed; nothing if none was being trained.

        Raises:
            RegistryError: the process still runs, or may, and it is not forced.
        """
        from mmm_jax.monitoring.registry_store import Said

        found = self._store.recover(check_name(name), Said(by, reason), force=force)
        return None if found is None else found.version

    def export_mlflow(
        self, name: str, version: Named = "champion", *, tracking_uri: str, experiment: str = "mmm-jax"
    ) -> int:
        """Copy a version to MLflow (with the extra `mlflow`): a run with parameters, scores and fit, and a version there.

        Args:
            name: of the model, in both registries.
            version: its number or alias.
            tracking_uri: MLflow's server, or a store that the installed MLflow can open.
            experiment: name of MLflow's experiment; made if it is not there.

        Returns:
            Number of MLflow's version, which is tagged with this one's.

        Raises:
            RegistryError: there is no such version, MLflow is not installed, or it refuses.
        """
        from mmm_jax.monitoring.mlflow_export import exported

        return exported(self, name, version, tracking_uri=tracking_uri, experiment=experiment)

    @property
    def _artefacts(self) -> Artefacts:
        if self._kept is None:
            raise RegistryError(
                f"{self.database.shown} has no folder beside it: say where fits are kept, by `artefacts=` (a folder or an "
                "address; --models or MMM_JAX_MODELS on the command line)."
            )
        return self._kept

    def _reviewed(self, name: str, version: Named, review: Any, by: str, reason: str) -> None:
        from mmm_jax.monitoring.registry_store import Said

        self._store.review(name, self.version(name, version).version, review, Said(by, reason))


def _beside(database: "Database") -> Path | None:
    """The folder beside a file; a server has none."""
    path = Path(database.shown)
    return path.with_name(f"{path.stem}-models") if database.is_sqlite else None
