"""Drives that were used, by the id in their marker."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "drive",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("drive_id", sa.String, nullable=False),
        sa.Column("registered_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_drive"),
        sa.UniqueConstraint("drive_id", name="uq_drive_drive_id"),
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("drive")
