"""Lists and counts over the tables."""

import json
from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Text, case, cast, func, select

from nualley.catalog.adapters import rows, tables
from nualley.catalog.decide import count_events
from nualley.catalog.models import Activity, FileRecord, Json, ReplicaState, Run, Totals
from nualley.core import strict_text


def list_runs(
    connection: Connection, *, detector: str | None, start_ns: int | None, stop_ns: int | None, tag: str | None
) -> list[Run]:
    """Return the runs that overlap an interval, by start; those without a start by when they were entered."""
    table = tables.run
    conditions: list[ColumnElement[bool]] = []
    if detector is not None:
        conditions.append(table.c.detector == detector)
    if start_ns is not None or stop_ns is not None:
        conditions.append(table.c.start_ns.is_not(None))
    if start_ns is not None:
        conditions.append(table.c.stop_ns.is_(None) | (table.c.stop_ns > start_ns))
    if stop_ns is not None:
        conditions.append(table.c.start_ns < stop_ns)
    if tag is not None:
        tagged = select(tables.run_tag.c.run_id).where(tables.run_tag.c.tag == strict_text(tag))
        conditions.append(table.c.run_id.in_(tagged))
    rows_found = connection.execute(select(table).where(*conditions)).mappings().all()
    # in Python: servers order text by the rules of their language
    found = sorted(rows_found, key=_by_start)
    tags = _tags_by_run(connection) if found else {}
    return [rows.to_run(row, tags.get(row["run_id"], ())) for row in found]


def _by_start(row: RowMapping) -> tuple[int, str, int]:
    start_ns = row["created_ns"] if row["start_ns"] is None else row["start_ns"]
    return start_ns, row["detector"], row["number"]


def _tags_by_run(connection: Connection) -> Mapping[str, list[str]]:
    tags: dict[str, list[str]] = defaultdict(list)
    for run_id, tag in connection.execute(select(tables.run_tag.c.run_id, tables.run_tag.c.tag)):
        tags[run_id].append(tag)
    return tags


_ADLER32_DIGITS = 8


class FilesAsked(NamedTuple):
    """What files are looked for by; None asks for nothing. See `nualley.catalog.ports.Catalog.find_files`."""

    name: str | None = None
    digest: str | None = None
    run_id: str | None = None
    detector: str | None = None
    drive: str | None = None
    file_id: int | None = None


def find_files(connection: Connection, asked: FilesAsked, limit: int | None) -> list[FileRecord]:
    """Return files by all that is asked, by run and name."""
    file, replica = tables.file.c, tables.replica.c
    conditions: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (file.run_id, asked.run_id),
            (file.file_id, asked.file_id),
        )
        if value is not None
    ]
    if asked.detector is not None:
        runs = select(tables.run.c.run_id).where(tables.run.c.detector == asked.detector)
        conditions.append(file.run_id.in_(runs))
    if asked.digest is not None:
        conditions.append((file.adler32 if len(asked.digest) == _ADLER32_DIGITS else file.xxh3_128) == asked.digest)
    if asked.drive is not None:
        is_there = (replica.drive == asked.drive) & replica.state.not_in(tables.NOT_THERE)
        conditions.append(file.file_id.in_(select(replica.file_id).where(is_there)))
    if asked.name is not None:
        conditions.append(file.name.like(_like(asked.name), escape="!"))
    found = connection.execute(select(tables.file).where(*conditions)).mappings()
    # databases differ in whether they take care of capitals
    records = [rows.to_file(row) for row in found if asked.name is None or _fits(row["name"], asked.name)]
    return sorted(records, key=lambda record: (record.run_id, record.name))[:limit]


def _like(pattern: str) -> str:
    for letter in "!%_":
        pattern = pattern.replace(letter, f"!{letter}")
    return pattern.replace("*", "%").replace("?", "_")


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def count_by_run(connection: Connection, run_id: str | None = None) -> dict[str, Totals]:
    """Return counts for every run, or for one."""
    counts: dict[str, dict[str, int]] = {}
    runs = select(tables.run.c.run_id)
    for name in connection.execute(runs if run_id is None else runs.where(tables.run.c.run_id == run_id)).scalars():
        counts[name] = {"n_runs": 1}
    for query in (_file_counts(run_id), _replica_counts(run_id), _quarantine_counts(run_id)):
        for row in connection.execute(query).mappings():
            if row["run_id"] in counts:
                counts[row["run_id"]] |= _integers(row)
    for name, n_events in _events_by_run(connection, run_id).items():
        if name in counts:
            counts[name]["n_events"] = n_events
    return {name: Totals(**values) for name, values in counts.items()}


def count_held(connection: Connection, run_id: str) -> dict[str, int]:
    """Return of how many files of a run each drive has a verified replica."""
    replica, file = tables.replica, tables.file
    counted = select(replica.c.drive, func.count(replica.c.file_id.distinct()))
    is_meant = (file.c.run_id == run_id) & (replica.c.state == str(ReplicaState.VERIFIED))
    query = counted.join(file, file.c.file_id == replica.c.file_id).where(is_meant).group_by(replica.c.drive)
    return {drive: int(n_files) for drive, n_files in connection.execute(query)}


def count_short(connection: Connection, wanted: Mapping[str, int], homes: Mapping[str, str]) -> dict[str, int]:
    """Return of how many files of each run there are fewer verified replicas than their stage should have."""
    file, replica = tables.file, tables.replica
    home = case(dict(homes), value=replica.c.drive, else_=replica.c.drive) if homes else replica.c.drive
    held = (
        select(replica.c.file_id, func.count(home.distinct()).label("n_homes"))
        .where(replica.c.state == str(ReplicaState.VERIFIED))
        .group_by(replica.c.file_id)
        .subquery()
    )
    least = case(dict(wanted), value=file.c.stage, else_=1) if wanted else 1
    query = (
        select(file.c.run_id, func.count())
        .select_from(file.outerjoin(held, file.c.file_id == held.c.file_id))
        .where(func.coalesce(held.c.n_homes, 0) < least)
        .group_by(file.c.run_id)
    )
    return {run_id: int(n_files) for run_id, n_files in connection.execute(query)}


def _events_by_run(connection: Connection, run_id: str | None) -> dict[str, int]:
    file = tables.file
    channels = cast(file.c.channels, Text)
    query = select(file.c.run_id, channels, func.sum(file.c.n_events)).group_by(file.c.run_id, channels)
    if run_id is not None:
        query = query.where(file.c.run_id == run_id)
    files: dict[str, list[tuple[list[Json], int]]] = defaultdict(list)
    for name, text, n_events in connection.execute(query):
        files[name].append((json.loads(text), int(n_events or 0)))
    return {name: count_events(found) for name, found in files.items()}


def _integers(row: RowMapping) -> dict[str, int]:
    return {name: int(value or 0) for name, value in row.items() if name != "run_id"}


def _file_counts(run_id: str | None) -> Any:
    file = tables.file
    query = select(
        file.c.run_id,
        func.count().label("n_files"),
        func.sum(file.c.n_defects).label("n_defects"),
        func.sum(file.c.size_B).label("size_B"),
    ).group_by(file.c.run_id)
    return query if run_id is None else query.where(file.c.run_id == run_id)


def _replica_counts(run_id: str | None) -> Any:
    file, replica = tables.file, tables.replica
    is_verified = case((replica.c.state == str(ReplicaState.VERIFIED), 1), else_=0)
    query = (
        select(
            file.c.run_id,
            func.sum(case((replica.c.state == str(ReplicaState.REMOVED), 0), else_=1)).label("n_replicas"),
            func.sum(is_verified).label("n_verified_replicas"),
        )
        .select_from(replica.join(file))
        .group_by(file.c.run_id)
    )
    return query if run_id is None else query.where(file.c.run_id == run_id)


def _quarantine_counts(run_id: str | None) -> Any:
    table = tables.quarantined
    query = select(table.c.run_id, func.count().label("n_quarantined")).group_by(table.c.run_id)
    return query if run_id is None else query.where(table.c.run_id == run_id)


def count_quarantined(connection: Connection) -> int:
    """Return how many files were refused, whether their run is known or not."""
    return int(connection.execute(select(func.count()).select_from(tables.quarantined)).scalar_one())


def list_activities(connection: Connection, thing: str | None) -> list[Activity]:
    """Return what was done, oldest first: all, or what took or made a thing."""
    activity, link = tables.activity, tables.activity_thing
    activities = select(activity).order_by(activity.c.start_ns, activity.c.activity_id)
    links = select(link).order_by(link.c.activity_id, link.c.role, link.c.position)
    if thing is not None:
        concerned = select(link.c.activity_id).where(link.c.thing == strict_text(thing))
        activities = activities.where(activity.c.activity_id.in_(concerned))
        links = links.where(link.c.activity_id.in_(concerned))
    things: dict[tuple[int, str], list[str]] = defaultdict(list)
    for row in connection.execute(links):
        things[row.activity_id, row.role].append(row.thing)
    return [
        Activity(
            **row,
            inputs=tuple(things[row["activity_id"], "input"]),
            outputs=tuple(things[row["activity_id"], "output"]),
        )
        for row in connection.execute(activities).mappings()
    ]
