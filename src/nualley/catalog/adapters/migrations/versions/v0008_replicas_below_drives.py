"""Replicas and transfers are recorded below their drive, wherever it is mounted."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from nualley.core import escape_name, plain_path, unescape_name

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add where the drives are: who opens the catalog knows it, and then records below them what lies there."""
    op.add_column("drive", sa.Column("path", sa.Text))
    for table in ("source", "quarantined"):
        _write_plain(table)


def downgrade() -> None:
    """Write out where things lie, and take the column away."""
    # an old row that says the same of a file already keeps its place
    other = "SELECT 1 FROM replica AS other WHERE other.drive = replica.drive AND other.path ="
    op.execute(_written_out("replica", "path", "drive", unless=other))
    op.execute(_written_out("transfer", "source", "source_drive"))
    op.execute(_written_out("transfer", "destination", "drive"))
    op.drop_column("drive", "path")


def _write_plain(table: str) -> None:
    """Take ``..`` out of the paths of drop directories, as settings do now: what was taken in is not new again."""
    path, other = sa.column("path", sa.Text), sa.table(table, sa.column("path", sa.Text)).alias()
    rows, connection = sa.table(table, path), op.get_bind()
    found = connection.execute(sa.select(path).select_from(rows).where(path.contains("/../"))).scalars()
    for folder in {each[: each.rindex("/../") + 3] for each in found}:
        plain = escape_name(str(plain_path(Path(unescape_name(folder))))).rstrip("/")
        new = plain + sa.func.substr(path, len(folder) + 1)
        is_meant = sa.func.substr(path, 1, len(folder) + 1) == f"{folder}/"
        if table == "source":  # a path has one row
            is_meant &= ~sa.exists().where(other.c.path == new)
        connection.execute(sa.update(rows).where(is_meant).values(path=new))


def _written_out(table: str, column: str, drive: str, *, unless: str = "") -> sa.TextClause:
    root = f"(SELECT rtrim(drive.path, '/') FROM drive WHERE drive.name = {table}.{drive})"  # noqa: S608 - our own words
    path = f"coalesce(nullif({root} || rtrim(substr({table}.{column}, length({table}.{drive}) + 2), '/'), ''), '/')"
    is_below = f"substr({column}, 1, length({drive}) + 2) = {drive} || ':/' AND {root} IS NOT NULL"
    is_free = f"AND NOT EXISTS ({unless} {path})" if unless else ""
    return sa.text(f"UPDATE {table} SET {column} = {path} WHERE {is_below} {is_free}")  # noqa: S608 - our own words
