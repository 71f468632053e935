"""Model versions in a database: every change checks what is there and is written in one transaction, with its event."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from mmm_jax.errors import RegistryError
from mmm_jax.monitoring.chain import canonical
from mmm_jax.monitoring.database import Database
from mmm_jax.monitoring.registry_states import ACTIVE, Alias, Job, ModelVersion, Review
from mmm_jax.monitoring.registry_states import ALIASES as KNOWN_ALIASES
from mmm_jax.monitoring.registry_tables import ALIASES, EVENTS, TABLES, VERSIONS
from mmm_jax.monitoring.worker import Worker


@dataclass(frozen=True)
class Said:
    """Who did something, and why."""

    by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Change:
    """Something that happened to a version.

    Attributes:
        sequence: number of the event.
        name: of the model.
        version: number.
        kind: the new job or review; `registered`, or what became of an alias.
        said: by whom and why.
        recorded: UTC, ISO 8601.
    """

    sequence: int
    name: str
    version: int
    kind: str
    said: Said
    recorded: str


class VersionStore:
    """Versions, aliases and events of a database.

    Args:
        database: where; the ledger's may be the same.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        database.create(TABLES)

    def add(self, name: str, fields: dict[str, Any], said: Said, kind: str) -> int:
        """A new version, numbered by the database; one that is trained already is the challenger.

        Raises:
            RegistryError: it is to be trained, and another one of this name already is, by a process that is not known to
                be gone.
        """

        def work(connection: Connection) -> int:
            if fields["job"] in ACTIVE:
                _make_room(connection, name, said)
            last = connection.execute(select(func.max(VERSIONS.c.version)).where(VERSIONS.c.name == name)).scalar()
            version = (last or 0) + 1
            row = _as_row({**_NEW, **fields, "name": name, "version": version, "created": (now := _now())})
            row["finished"] = now if fields["job"] == "success" else ""
            connection.execute(insert(VERSIONS).values(**row))
            _note(connection, name, version, kind, said)
            if fields["job"] == "success":
                _point(connection, name, "challenger", version, said)
            return version

        return self.database.write(work)

    def move(self, name: str, version: int, job: Job, said: Said, **fields: Any) -> None:
        """Let a job go on.

        Raises:
            RegistryError: it may not; another process has ended it meanwhile, for example.
        """

        def work(connection: Connection) -> None:
            _found(connection, name, version).check_job(job)
            ended = {} if job in ACTIVE else {"finished": _now()}
            _set(connection, name, version, {"job": job, **ended, **fields})
            _note(connection, name, version, job, said)
            if job == "success":
                _point(connection, name, "challenger", version, said)

        self.database.write(work)

    def review(self, name: str, version: int, review: Review, said: Said) -> None:
        """Approve or reject a version; a challenger that is rejected is none any more."""

        def work(connection: Connection) -> None:
            _reviewed(connection, _found(connection, name, version), review, said)

        self.database.write(work)

    def point(self, name: str, alias: Alias, version: int, said: Said) -> None:
        """Let an alias name a version."""

        def work(connection: Connection) -> None:
            _found(connection, name, version).check_alias(alias)
            _point(connection, name, alias, version, said)

        self.database.write(work)

    def promote(self, name: str, version: int, said: Said) -> None:
        """Approve a version, if that is still to be done, and make it the champion: both or nothing."""

        def work(connection: Connection) -> None:
            found = _found(connection, name, version)
            if found.review == "needs_review":
                _reviewed(connection, found, "approved", said)
                found = _found(connection, name, version)
            found.check_alias("champion")
            _point(connection, name, "champion", version, said)

        self.database.write(work)

    def recover(self, name: str, said: Said, *, force: bool) -> ModelVersion | None:
        """Declare failed what a process left behind that is gone; nothing if nothing was being trained.

        Raises:
            RegistryError: the process still runs, or may still run, and it is not forced.
        """

        def work(connection: Connection) -> ModelVersion | None:
            found = _active(connection, name)
            if found is None:
                return None
            if not force:
                _check_gone(found)
            _abandon(connection, found, said)
            return found

        return self.database.write(work)

    def version(self, name: str, version: int | str) -> ModelVersion:
        """A version by its number or an alias.

        Raises:
            RegistryError: there is none.
        """
        return self.database.read(lambda connection: _found(connection, name, version))

    def versions(self, name: str | None = None) -> list[ModelVersion]:
        """All versions by name and number, or those of one name."""
        query = select(VERSIONS).order_by(VERSIONS.c.name, VERSIONS.c.version)
        chosen = query if name is None else query.where(VERSIONS.c.name == name)
        return self.database.read(lambda connection: [_from_row(row._mapping) for row in connection.execute(chosen)])

    def aliases(self) -> dict[tuple[str, str], int]:
        """Version by name and alias."""
        query = select(ALIASES.c.name, ALIASES.c.alias, ALIASES.c.version)
        return self.database.read(lambda connection: {(r.name, r.alias): r.version for r in connection.execute(query)})

    def changes(self, name: str) -> list[Change]:
        """Everything that happened to a name's versions, in the order in which it did."""
        query = select(EVENTS).where(EVENTS.c.name == name).order_by(EVENTS.c.sequence)
        return self.database.read(lambda connection: [_change(row._mapping) for row in connection.execute(query)])


def _make_room(connection: Connection, name: str, said: Said) -> None:
    """Nothing of this name is being trained any more: what a process left behind that is gone has failed."""
    found = _active(connection, name)
    if found is None:
        return
    if _life(found) == "gone":
        _abandon(connection, found, Said(said.by))
        return
    since = f"since {found.created[:19].replace('T', ' ')} UTC"
    raise RegistryError(
        f"{found} is {found.job} {since}, by {found.worker or 'an unknown process'}: one training of a name at a time. "
        "Wait until it has ended. If that process is gone with its machine, `Registry.recover(name, force=True)` declares "
        "its version failed."
    )


def _abandon(connection: Connection, found: ModelVersion, said: Said) -> None:
    gone = "ended" if _life(found) == "gone" else "was declared gone"
    error = f"{found.worker or 'Its process'} {gone} while this version was {found.job}"
    _set(connection, found.name, found.version, {"job": "failed", "finished": _now(), "error": error})
    _note(connection, found.name, found.version, "failed", Said(said.by, said.reason or error))


def _check_gone(found: ModelVersion) -> None:
    life = _life(found)
    if life != "gone":
        state = "still runs" if life == "running" else "runs on another machine, or where this one cannot see it"
        raise RegistryError(
            f"{found} is {found.job}, and {found.worker or 'its process'} {state}. Wait until it has ended; if you know "
            "that it has, recover with force."
        )


def _life(found: ModelVersion) -> str:
    return "unknown" if found.worker is None else found.worker.life


def _active(connection: Connection, name: str) -> ModelVersion | None:
    query = select(VERSIONS).where(VERSIONS.c.name == name, VERSIONS.c.job.in_(ACTIVE))
    row = connection.execute(query).first()
    return None if row is None else _from_row(row._mapping)


def _found(connection: Connection, name: str, version: int | str) -> ModelVersion:
    number = version
    if isinstance(version, str):
        named = select(ALIASES.c.version).where(ALIASES.c.name == name, ALIASES.c.alias == version)
        number = connection.execute(named).scalar()
    row = connection.execute(select(VERSIONS).where(VERSIONS.c.name == name, VERSIONS.c.version == number)).first()
    if row is None:
        raise RegistryError(_absent(connection, name, version))
    return _from_row(row._mapping)


def _absent(connection: Connection, name: str, version: int | str) -> str:
    numbers = list(connection.execute(select(VERSIONS.c.version).where(VERSIONS.c.name == name)).scalars())
    if not numbers:
        known = connection.execute(select(VERSIONS.c.name).distinct().order_by(VERSIONS.c.name).limit(6)).scalars()
        there = ", ".join(map(repr, known)) or "none at all"
        return f"There is no model {name!r}; there are {there}. Register a fit first."
    if version in KNOWN_ALIASES:
        return f"The model {name!r} has no {version}."
    if isinstance(version, str):
        return f"{version!r} is no version of the model {name!r}: give its number, {' or '.join(KNOWN_ALIASES)}."
    return f"The model {name!r} has no version {version}; it has {min(numbers)} to {max(numbers)}."


def _reviewed(connection: Connection, found: ModelVersion, review: Review, said: Said) -> None:
    found.check_review(review)
    _set(connection, found.name, found.version, {"review": review})
    _note(connection, found.name, found.version, review, said)
    if review == "rejected":
        _drop(connection, found.name, "challenger", found.version, said)


def _point(connection: Connection, name: str, alias: Alias, version: int, said: Said) -> None:
    where = (ALIASES.c.name == name, ALIASES.c.alias == alias)
    connection.execute(delete(ALIASES).where(*where))
    connection.execute(insert(ALIASES).values(name=name, alias=alias, version=version))
    _note(connection, name, version, f"made {alias}", said)
    if alias == "champion":
        _drop(connection, name, "challenger", version, said)


def _drop(connection: Connection, name: str, alias: Alias, version: int, said: Said) -> None:
    """The version is not what the alias names any more, if it was."""
    where = (ALIASES.c.name == name, ALIASES.c.alias == alias, ALIASES.c.version == version)
    if connection.execute(delete(ALIASES).where(*where)).rowcount:
        _note(connection, name, version, f"no {alias} any more", said)


def _set(connection: Connection, name: str, version: int, fields: dict[str, Any]) -> None:
    where = (VERSIONS.c.name == name, VERSIONS.c.version == version)
    connection.execute(update(VERSIONS).where(*where).values(**_as_row(fields)))


def _note(connection: Connection, name: str, version: int, kind: str, said: Said) -> None:
    values = {"name": name, "version": version, "kind": kind, "by": said.by, "reason": said.reason}
    connection.execute(insert(EVENTS).values(recorded=_now(), **values))


_NEW = {
    **dict.fromkeys(("review", "spec_hash", "panel_fingerprint", "model", "artefact", "error", "finished"), ""),
    **{"parent": None, "worker": None, "facts": {}},
}


def _as_row(fields: dict[str, Any]) -> dict[str, Any]:
    """Values of a row, or of a part of it: what is no text becomes canonical JSON."""
    row = dict(fields)
    if "worker" in row:
        row["worker"] = "" if row["worker"] is None else canonical(row["worker"].to_dict())
    if "facts" in row:
        row["facts"] = canonical(row["facts"])
    return row


def _from_row(row: Any) -> ModelVersion:
    values = dict(row)
    values["facts"] = json.loads(values["facts"])
    values["worker"] = Worker.from_dict(json.loads(values["worker"])) if values["worker"] else None
    return ModelVersion(**values)


def _change(row: Any) -> Change:
    values = dict(row)
    return Change(said=Said(values.pop("by"), values.pop("reason")), **values)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
