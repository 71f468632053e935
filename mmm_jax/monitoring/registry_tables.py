"""Tables of the registry: versions with their states, aliases, and events that are only ever added."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, text

TABLES = MetaData()

VERSIONS = Table(
    "registry_versions",
    TABLES,
    Column("name", String(100), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("job", String(24), nullable=False),
    Column("review", String(16), nullable=False),
    Column("parent", Integer, nullable=True),
    Column("trigger", Text, nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("panel_fingerprint", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("artefact", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("created", String(32), nullable=False),
    Column("finished", String(32), nullable=False),
    Column("facts", Text, nullable=False),
)

_TRAINING = text("job IN ('queued', 'training_in_progress')")

# Whoever writes to the database, by whatever program: a name cannot have two trainings at once.
Index("registry_one_training", VERSIONS.c.name, unique=True, sqlite_where=_TRAINING, postgresql_where=_TRAINING)

ALIASES = Table(
    "registry_aliases",
    TABLES,
    Column("name", String(100), primary_key=True),
    Column("alias", String(16), primary_key=True),
    Column("version", Integer, nullable=False),
)

EVENTS = Table(
    "registry_events",
    TABLES,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded", String(32), nullable=False),
)
