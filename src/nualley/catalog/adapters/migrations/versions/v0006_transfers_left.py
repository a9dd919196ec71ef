"""Transfers that are left to the worker."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; what was begun before is nobody's but its user's."""
    op.add_column("transfer", sa.Column("is_left", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("transfer", "is_left")
