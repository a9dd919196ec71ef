"""Flags and revisions of selections, which the database itself refuses to change or to delete."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KEPT = ("flag", "selection_revision")
_FROZEN = "EXISTS (SELECT 1 FROM selection_revision WHERE name = NEW.name AND sha256 IS NOT NULL)"


def upgrade() -> None:
    """Make the tables and their guards."""
    op.create_table(
        "flag",
        sa.Column("flag_id", _NUMBER, nullable=False),
        sa.Column("detector", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("start_ns", sa.BigInteger),
        sa.Column("stop_ns", sa.BigInteger),
        sa.Column("first_run", sa.BigInteger),
        sa.Column("last_run", sa.BigInteger),
        sa.Column("first_block", sa.BigInteger),
        sa.Column("last_block", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.Column("supersedes", _NUMBER),
        sa.Column("is_withdrawal", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("flag_id", name="pk_flag"),
        sa.ForeignKeyConstraint(["supersedes"], ["flag.flag_id"], name="fk_flag_supersedes"),
        sa.UniqueConstraint("supersedes", name="uq_flag_supersedes"),
    )
    op.create_index("ix_flag_detector", "flag", ["detector"])
    op.create_table(
        "selection_revision",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("expression", sa.Text),
        sa.Column("imported", sa.JSON),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("sha256", sa.String(64)),
        sa.PrimaryKeyConstraint("name", "number", name="pk_selection_revision"),
    )
    _guard_sqlite() if op.get_bind().dialect.name == "sqlite" else _guard_server()


def _guard_sqlite() -> None:
    for table in _KEPT:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'flags and selections are never changed or deleted'); END"
            )
    op.execute(
        f"CREATE TRIGGER selection_frozen BEFORE INSERT ON selection_revision WHEN {_FROZEN} "
        "BEGIN SELECT RAISE(ABORT, 'a frozen selection is never changed'); END"
    )


def _guard_server() -> None:
    op.execute(
        "CREATE FUNCTION nualley_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'flags and selections are never changed or deleted'; END $$"
    )
    op.execute(
        f"CREATE FUNCTION nualley_frozen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {_FROZEN} THEN "
        "RAISE EXCEPTION 'a frozen selection is never changed'; END IF; RETURN NEW; END $$"
    )
    for table in _KEPT:
        # TRUNCATE would pass by triggers of rows
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION nualley_kept()"
        )
    op.execute(
        "CREATE TRIGGER selection_frozen BEFORE INSERT ON selection_revision "
        "FOR EACH ROW EXECUTE FUNCTION nualley_frozen()"
    )


def downgrade() -> None:
    """Take the tables away, and their guards with them."""
    op.drop_table("selection_revision")
    op.drop_table("flag")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION nualley_kept()")
        op.execute("DROP FUNCTION nualley_frozen()")
