"""Runs, files, replicas, notes, tags, activities, quarantined files and sources."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _runs()
    _files()
    _activities()
    _quarantined()
    _sources()


def _runs() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("detector", sa.String, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("start_ns", sa.BigInteger),
        sa.Column("stop_ns", sa.BigInteger),
        sa.Column("time_source", sa.String, nullable=False),
        sa.Column("run_type", sa.String, nullable=False),
        sa.Column("start_reason", sa.Text, nullable=False),
        sa.Column("stop_reason", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_run"),
        sa.UniqueConstraint("detector", "number", name="uq_run_detector_number"),
    )
    op.create_index("ix_run_detector_start_ns", "run", ["detector", "start_ns"])
    op.create_index("ix_run_start_ns", "run", ["start_ns"])
    op.create_table(
        "run_tag",
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("tag", sa.String, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "tag", name="pk_run_tag"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name="fk_run_tag_run_id"),
    )
    op.create_index("ix_run_tag_tag", "run_tag", ["tag"])
    op.create_table(
        "note",
        sa.Column("note_id", _NUMBER, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("note_id", name="pk_note"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name="fk_note_run_id"),
    )
    op.create_index("ix_note_run_id", "note", ["run_id"])


def _files() -> None:
    op.create_table(
        "file",
        sa.Column("file_id", _NUMBER, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("format", sa.String, nullable=False),
        sa.Column("size_B", sa.BigInteger, nullable=False),
        sa.Column("xxh3_128", sa.String(32), nullable=False),
        sa.Column("adler32", sa.String(8), nullable=False),
        sa.Column("n_events", sa.BigInteger),
        sa.Column("channels", sa.JSON, nullable=False),
        sa.Column("record_length", sa.BigInteger),
        sa.Column("defects", sa.JSON, nullable=False),
        sa.Column("n_defects", sa.Integer, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("file_id", name="pk_file"),
        sa.UniqueConstraint("run_id", "name", name="uq_file_run_id_name"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name="fk_file_run_id"),
    )
    op.create_index("ix_file_xxh3_128", "file", ["xxh3_128"])
    op.create_table(
        "replica",
        sa.Column("replica_id", _NUMBER, nullable=False),
        sa.Column("file_id", _NUMBER, nullable=False),
        sa.Column("drive", sa.String, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("verified_ns", sa.BigInteger),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("replica_id", name="pk_replica"),
        sa.UniqueConstraint("path", "drive", name="uq_replica_path_drive"),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"], name="fk_replica_file_id"),
    )
    op.create_index("ix_replica_file_id", "replica", ["file_id"])


def _activities() -> None:
    op.create_table(
        "activity",
        sa.Column("activity_id", _NUMBER, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("configuration", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("stop_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("activity_id", name="pk_activity"),
    )
    op.create_table(
        "activity_thing",
        sa.Column("activity_id", _NUMBER, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("thing", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("activity_id", "role", "position", name="pk_activity_thing"),
        sa.ForeignKeyConstraint(["activity_id"], ["activity.activity_id"], name="fk_activity_thing_activity_id"),
    )
    op.create_index("ix_activity_thing_thing", "activity_thing", ["thing"])


def _quarantined() -> None:
    op.create_table(
        "quarantined",
        sa.Column("quarantine_id", _NUMBER, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detector", sa.String),
        sa.Column("run_id", sa.String),
        sa.Column("size_B", sa.BigInteger, nullable=False),
        sa.Column("xxh3_128", sa.String(32), nullable=False),
        sa.Column("adler32", sa.String(8), nullable=False),
        sa.Column("kept_at", sa.Text, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", name="pk_quarantined"),
    )
    op.create_index("ix_quarantined_path", "quarantined", ["path"])
    op.create_index("ix_quarantined_xxh3_128", "quarantined", ["xxh3_128"])


def _sources() -> None:
    op.create_table(
        "source",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("detector", sa.String, nullable=False),
        sa.Column("run_id", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("size_B", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_source"),
    )
    op.create_index("ix_source_detector", "source", ["detector"])


def downgrade() -> None:
    """Take the tables away."""
    for table in ("source", "quarantined", "activity_thing", "activity", "replica", "file", "note", "run_tag", "run"):
        op.drop_table(table)
