"""Transfers, and the files that each one has to copy."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "transfer",
        sa.Column("transfer_id", _NUMBER, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("source_drive", sa.String),
        sa.Column("drive", sa.String),
        sa.Column("rate_B_per_s", sa.BigInteger),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("finished_ns", sa.BigInteger),
        sa.PrimaryKeyConstraint("transfer_id", name="pk_transfer"),
    )
    op.create_index("ix_transfer_finished_ns", "transfer", ["finished_ns"])
    op.create_table(
        "transfer_file",
        sa.Column("transfer_id", _NUMBER, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size_B", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("xxh3_128", sa.String(32), nullable=False),
        sa.Column("adler32", sa.String(8), nullable=False),
        sa.Column("file_id", _NUMBER),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("changed_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", "path", name="pk_transfer_file"),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.transfer_id"], name="fk_transfer_file_transfer_id"),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"], name="fk_transfer_file_file_id"),
    )
    op.create_index("ix_transfer_file_state", "transfer_file", ["transfer_id", "state"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("transfer_file")
    op.drop_table("transfer")
