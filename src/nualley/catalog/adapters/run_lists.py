"""`catalog.ports.RunLists` on SQLite or PostgreSQL."""

import hashlib
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, tuple_, update

from nualley.catalog.adapters import records, tables
from nualley.catalog.adapters.database import Database
from nualley.catalog.adapters.guarded import GuardedDatabase
from nualley.catalog.adapters.sqlite_file import RESTORE
from nualley.catalog.definitions import SelectionRevision, check_not_frozen
from nualley.catalog.errors import (
    CatalogDamaged,
    FlagNotFound,
    FlagSuperseded,
    SelectionChanged,
)
from nualley.catalog.flags import Flag
from nualley.catalog.models import Activity, Run, RunType
from nualley.core import Clock, strict_text, to_json

_TEXTS_OF_FLAG = ("detector", "name", "reason", "author")


class SqlRunLists:
    """Flags and selections, in a database.

    Parameters
    ----------
    database : Database
        Open, with tables of this version.
    clock : Clock
        Dates what is entered.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        guarded = GuardedDatabase(database)
        self._write, self._reading = guarded.write, guarded.reading

    # ------------------------------------------------------------ runs
    def set_type(self, run_id: str, run_type: RunType, *, author: str) -> Run:
        """Say what a run was taken for; a note keeps what was said before. RunNotFound names the nearest run."""

        def work(connection: Connection) -> Run:
            before = records.load_run(connection, run_id).run_type
            if before == run_type:
                return records.load_run(connection, run_id)
            table = tables.run
            connection.execute(update(table).where(table.c.run_id == run_id).values(run_type=str(run_type)))
            text = f"type set to {run_type}, was {before or 'unknown'}"
            note = {"run_id": run_id, "time_ns": self._clock.now_ns(), "author": strict_text(author), "text": text}
            records.insert_row(connection, tables.note, note)
            return records.load_run(connection, run_id)

        return self._write(work)

    # ------------------------------------------------------------ flags
    def add_flag(self, flag: Flag) -> Flag:
        """Enter a flag.

        Parameters
        ----------
        flag : Flag
            The flag; its number and, where it has none, its time are given here.

        Returns
        -------
        Flag
            As the catalog holds it.

        Raises
        ------
        FlagNotFound
            Where it supersedes a flag that is not there, or is another detector's.
        FlagSuperseded
            Where another flag did so before.
        """
        values = {key: value for key, value in asdict(flag).items() if key not in ("flag_id", "superseded_by")}
        values |= {key: strict_text(values[key]) for key in _TEXTS_OF_FLAG}

        def work(connection: Connection) -> Flag:
            if flag.supersedes is not None:
                _check_superseded(connection, flag, flag.supersedes)
            stamped = values | {"time_ns": flag.time_ns or self._clock.now_ns()}
            return Flag(flag_id=records.insert_row(connection, tables.flag, stamped), **stamped)

        return self._write(work)

    def flags(self, detector: str | None = None) -> list[Flag]:
        """Return every flag that was ever entered, oldest first, also those that do not count any more."""
        with self._reading() as connection:
            return _list_flags(connection, detector)

    # ------------------------------------------------------------ selections
    def define(self, revision: SelectionRevision) -> SelectionRevision:
        """Enter a draft as the next revision; the same as the last one is not entered again."""

        def work(connection: Connection) -> SelectionRevision:
            last = _last_revision(connection, revision.name)
            check_not_frozen(last)
            same = ("expression", "imported")
            imported = to_json(revision.imported, "imported")
            wanted = replace(revision, imported=imported, content=None, sha256=None)
            if last is not None and all(getattr(last, key) == getattr(wanted, key) for key in same):
                return last
            return self._enter(connection, wanted, 1 if last is None else last.number + 1)

        return self._write(work)

    def freeze(self, revision: SelectionRevision, *, activity: Activity | None = None) -> SelectionRevision:
        """Enter a revision with content as the last one of its selection, and the activity, in one transaction."""

        def work(connection: Connection) -> SelectionRevision:
            last = _last_revision(connection, revision.name)
            check_not_frozen(last)
            if (last.number if last else 0) != revision.number:
                raise SelectionChanged(
                    f"selection {revision.name} was defined anew by {last.author if last else 'nobody'} while it was "
                    f"being frozen: revision {last.number if last else 0}, expected {revision.number}",
                    where=revision.name,
                    do=f"look at it and freeze it again: nualley selection show {revision.name}",
                )
            if activity is not None:
                records.put_activity(connection, activity)
            return self._enter(connection, revision, revision.number + 1)

        return self._write(work)

    def _enter(self, connection: Connection, revision: SelectionRevision, number: int) -> SelectionRevision:
        # of two who enter the same number, the database lets one in: the other one finds it there and tries again
        time_ns = revision.time_ns or self._clock.now_ns()
        entered = replace(revision, number=number, time_ns=time_ns, author=strict_text(revision.author))
        connection.execute(insert(tables.selection_revision).values(asdict(entered)))
        return entered

    def revisions(self, name: str) -> list[SelectionRevision]:
        """Return the revisions of a selection, oldest first; none where there is no such selection."""
        table = tables.selection_revision
        query = select(table).where(table.c.name == strict_text(name)).order_by(table.c.number)
        with self._reading() as connection:
            return [self._to_revision(row) for row in connection.execute(query).mappings()]

    def selections(self) -> list[SelectionRevision]:
        """Return the last revision of every selection, by name."""
        table = tables.selection_revision
        last = select(table.c.name, func.max(table.c.number)).group_by(table.c.name)
        query = select(table).where(tuple_(table.c.name, table.c.number).in_(last)).order_by(table.c.name)
        with self._reading() as connection:
            return [self._to_revision(row) for row in connection.execute(query).mappings()]

    def _to_revision(self, row: RowMapping) -> SelectionRevision:
        found = SelectionRevision(**row)
        if found.content is None:
            return found
        digest = hashlib.sha256(found.content.encode()).hexdigest()
        if digest != found.sha256:
            raise CatalogDamaged(
                f"frozen selection {found.name} has the sha256 {digest}, recorded is {found.sha256}",
                where=self._database.where,
                do=RESTORE,
            )
        return found


def _last_revision(connection: Connection, name: str) -> SelectionRevision | None:
    table = tables.selection_revision
    query = select(table).where(table.c.name == name).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else SelectionRevision(**row)


def _list_flags(connection: Connection, detector: str | None) -> list[Flag]:
    table = tables.flag
    query = select(table).order_by(table.c.flag_id)
    if detector is not None:
        query = query.where(table.c.detector == detector)
    found: list[dict[str, Any]] = [dict(row) for row in connection.execute(query).mappings()]
    # who supersedes a flag is of the same detector
    by_superseded = {row["supersedes"]: row["flag_id"] for row in found if row["supersedes"] is not None}
    return [Flag(**row, superseded_by=by_superseded.get(row["flag_id"])) for row in found]


def _check_superseded(connection: Connection, flag: Flag, number: int) -> None:
    known = {known.flag_id: known for known in _list_flags(connection, flag.detector)}
    if number not in known:
        raise FlagNotFound(
            f"there is no flag {number} of {flag.detector} that could be superseded",
            where="catalog",
            do=f"nualley runs flags --detector {flag.detector} shows them",
        )
    if known[number].superseded_by is not None:
        raise FlagSuperseded(
            f"flag {number} is superseded by flag {known[number].superseded_by} already",
            where=f"flag {number}",
            do=f"supersede flag {known[number].superseded_by} instead",
        )
