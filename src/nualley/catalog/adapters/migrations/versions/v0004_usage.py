"""Stages of files, what lies on which drive by detector, stage and month, and where a catalog was moved to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_SECOND_NS = 1_000_000_000


def upgrade() -> None:
    """Make the column and the tables, and count what is there."""
    op.add_column("file", sa.Column("stage", sa.String, nullable=False, server_default="raw"))
    op.create_table(
        "drive_usage",
        sa.Column("detector", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("drive", sa.String, nullable=False),
        sa.Column("n_files", sa.BigInteger, nullable=False),
        sa.Column("size_B", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("detector", "stage", "month", "drive", name="pk_drive_usage"),
    )
    op.create_table(
        "moved",
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.Column("is_copy", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("target", name="pk_moved"),
    )
    op.execute(sa.text(_count(op.get_bind().dialect.name)))


def _count(dialect: str) -> str:
    time = "coalesce(run.start_ns, run.created_ns)"
    # the second that it lies in, also before 1970: both databases cut towards zero
    second = f"({time} - (({time} % {_SECOND_NS}) + {_SECOND_NS}) % {_SECOND_NS}) / {_SECOND_NS}"
    month = (
        f"strftime('%Y-%m', {second}, 'unixepoch')"
        if dialect == "sqlite"
        else f"to_char(to_timestamp({second}) AT TIME ZONE 'UTC', 'YYYY-MM')"
    )
    return f"""
        INSERT INTO drive_usage (detector, stage, month, drive, n_files, "size_B")
        SELECT run.detector, file.stage, {month}, replica.drive, count(*), sum(file."size_B")
        FROM replica JOIN file ON file.file_id = replica.file_id JOIN run ON run.run_id = file.run_id
        WHERE replica.state != 'missing'
        GROUP BY 1, 2, 3, 4
    """  # noqa: S608  # nothing but our own words


def downgrade() -> None:
    """Take them away."""
    op.drop_table("moved")
    op.drop_table("drive_usage")
    op.drop_column("file", "stage")
