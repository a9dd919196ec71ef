"""The tables of the catalog, the same on SQLite and PostgreSQL: times in ns, names escaped, digests in hex."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine import Dialect

from nualley.catalog.models import ReplicaState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NOT_THERE = tuple(str(state) for state in ReplicaState if not state.is_there)
"""States of replicas that take no room."""

# SQLite numbers rows by itself only in a column of type INTEGER
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


class Inode(TypeDecorator[int]):
    """Number of an inode: some network file systems use all of 64 bits, of which a database has one for the sign."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # as called
        """Return the number as it is kept."""
        return value - 2**64 if value is not None and value >= 2**63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # as called
        """Return the number as the file system has it."""
        return value + 2**64 if value is not None and value < 0 else value


run = Table(
    "run",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("detector", String, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("start_ns", BigInteger),
    Column("stop_ns", BigInteger),
    Column("time_source", String, nullable=False),
    Column("run_type", String, nullable=False),
    Column("start_reason", Text, nullable=False),
    Column("stop_reason", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    UniqueConstraint("detector", "number"),
    Index(None, "detector", "start_ns"),
    Index(None, "start_ns"),
)

run_tag = Table(
    "run_tag",
    metadata,
    Column("run_id", ForeignKey("run.run_id"), primary_key=True),
    Column("tag", String, primary_key=True),
    Column("created_ns", BigInteger, nullable=False),
    Index(None, "tag"),
)

note = Table(
    "note",
    metadata,
    Column("note_id", _NUMBER, primary_key=True),
    Column("run_id", ForeignKey("run.run_id"), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("author", String, nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "run_id"),
)

file = Table(
    "file",
    metadata,
    Column("file_id", _NUMBER, primary_key=True),
    Column("run_id", ForeignKey("run.run_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("format", String, nullable=False),
    Column("size_B", BigInteger, nullable=False),
    Column("xxh3_128", String(32), nullable=False),
    Column("adler32", String(8), nullable=False),
    Column("n_events", BigInteger),
    Column("channels", JSON, nullable=False),
    Column("record_length", BigInteger),
    Column("defects", JSON, nullable=False),
    Column("n_defects", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("stage", String, nullable=False, server_default="raw"),
    UniqueConstraint("run_id", "name"),
    Index(None, "xxh3_128"),
)

replica = Table(
    "replica",
    metadata,
    Column("replica_id", _NUMBER, primary_key=True),
    Column("file_id", ForeignKey("file.file_id"), nullable=False),
    Column("drive", String, nullable=False),
    Column("path", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("verified_ns", BigInteger),
    Column("created_ns", BigInteger, nullable=False),
    UniqueConstraint("path", "drive"),
    Index(None, "file_id"),
)

drive = Table(
    "drive",
    metadata,
    Column("name", String, primary_key=True),
    Column("drive_id", String, nullable=False),
    Column("registered_ns", BigInteger, nullable=False),
    Column("path", Text),
    UniqueConstraint("drive_id"),
)

activity = Table(
    "activity",
    metadata,
    Column("activity_id", _NUMBER, primary_key=True),
    Column("kind", String, nullable=False),
    Column("code", String, nullable=False),
    Column("configuration", String, nullable=False),
    Column("host", String, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("stop_ns", BigInteger, nullable=False),
)

activity_thing = Table(
    "activity_thing",
    metadata,
    Column("activity_id", ForeignKey("activity.activity_id"), primary_key=True),
    Column("role", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("thing", Text, nullable=False),
    Index(None, "thing"),
)

quarantined = Table(
    "quarantined",
    metadata,
    Column("quarantine_id", _NUMBER, primary_key=True),
    Column("path", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detector", String),
    Column("run_id", String),
    Column("size_B", BigInteger, nullable=False),
    Column("xxh3_128", String(32), nullable=False),
    Column("adler32", String(8), nullable=False),
    Column("kept_at", Text, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Index(None, "path"),
    Index(None, "xxh3_128"),
)

source = Table(
    "source",
    metadata,
    Column("path", Text, primary_key=True),
    Column("detector", String, nullable=False),
    Column("run_id", String),
    Column("state", String, nullable=False),
    Column("size_B", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", Inode, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Index(None, "detector"),
)

flag = Table(
    "flag",
    metadata,
    Column("flag_id", _NUMBER, primary_key=True),
    Column("detector", String, nullable=False),
    Column("name", String, nullable=False),
    Column("start_ns", BigInteger),
    Column("stop_ns", BigInteger),
    Column("first_run", BigInteger),
    Column("last_run", BigInteger),
    Column("first_block", BigInteger),
    Column("last_block", BigInteger),
    Column("reason", Text, nullable=False),
    Column("author", String, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("supersedes", ForeignKey("flag.flag_id")),
    Column("is_withdrawal", Boolean, nullable=False),
    UniqueConstraint("supersedes"),
    Index(None, "detector"),
)

selection_revision = Table(
    "selection_revision",
    metadata,
    Column("name", String, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("expression", Text),
    Column("imported", JSON(none_as_null=True)),
    Column("author", String, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("content", Text),
    Column("sha256", String(64)),
)

# kept by adapters/usage.py in the transaction that enters a replica
drive_usage = Table(
    "drive_usage",
    metadata,
    Column("detector", String, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("drive", String, primary_key=True),
    Column("n_files", BigInteger, nullable=False),
    Column("size_B", BigInteger, nullable=False),
)

transfer = Table(
    "transfer",
    metadata,
    Column("transfer_id", _NUMBER, primary_key=True),
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("source_drive", String),
    Column("drive", String),
    Column("rate_B_per_s", BigInteger),
    Column("host", String, nullable=False),
    Column("problem", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("finished_ns", BigInteger),
    Column("is_left", Boolean, nullable=False, server_default=false()),
    Column("cancelled_ns", BigInteger),
    Index(None, "finished_ns"),
)

transfer_file = Table(
    "transfer_file",
    metadata,
    Column("transfer_id", ForeignKey("transfer.transfer_id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size_B", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", Inode, nullable=False),
    Column("state", String, nullable=False),
    Column("xxh3_128", String(32), nullable=False),
    Column("adler32", String(8), nullable=False),
    Column("file_id", ForeignKey("file.file_id")),
    Column("problem", Text, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Index("ix_transfer_file_state", "transfer_id", "state"),
)

# of this database, not of the record: a copy has none of it
moved = Table(
    "moved",
    metadata,
    Column("target", Text, primary_key=True),
    Column("time_ns", BigInteger, nullable=False),
    Column("is_copy", Boolean, nullable=False),
)
