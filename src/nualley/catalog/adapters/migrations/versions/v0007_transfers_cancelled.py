"""Transfers that were given up."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; of what was begun before nothing was given up."""
    op.add_column("transfer", sa.Column("cancelled_ns", sa.BigInteger))


def downgrade() -> None:
    """Take it away; what was given up is unfinished again."""
    op.drop_column("transfer", "cancelled_ns")
