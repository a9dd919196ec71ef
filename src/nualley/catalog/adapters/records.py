"""Writing and finding single records inside a transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from nualley.catalog.adapters import rows, tables, usage
from nualley.catalog.decide import complete_run
from nualley.catalog.errors import DriveConflict, FileNotInCatalog, RunNotFound
from nualley.catalog.models import Activity, FileRecord, ReplicaState, Run
from nualley.core import nearest, strict_text, to_json


def insert_row(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    """Enter a row and return the number that it got."""
    (key,) = table.primary_key.columns
    return int(connection.execute(insert(table).values(values).returning(key)).scalar_one())


def find_run(connection: Connection, run_id: str) -> Run | None:
    """Return a run with its tags, None where there is none."""
    row = connection.execute(select(tables.run).where(tables.run.c.run_id == run_id)).mappings().first()
    if row is None:
        return None
    tags = connection.execute(select(tables.run_tag.c.tag).where(tables.run_tag.c.run_id == run_id)).scalars().all()
    return rows.to_run(row, tags)


def load_run(connection: Connection, run_id: str) -> Run:
    """Return a run; RunNotFound names the nearest one."""
    run = find_run(connection, run_id)
    if run is None:
        raise run_not_found(run_id, connection.execute(select(tables.run.c.run_id)).scalars().all())
    return run


def run_not_found(run_id: str, known: Sequence[str]) -> RunNotFound:
    """Return the error of a run that is not there, naming the nearest of those that are."""
    near = nearest(run_id, known)
    hint = f"did you mean {near}? " if near else ""
    return RunNotFound(
        f"there is no run {run_id} among {len(known)}", where="catalog", do=f"{hint}'nualley runs list' shows them"
    )


def put_run(connection: Connection, run: Run, now_ns: int) -> Run:
    """Enter a run, or complete the one that is known."""
    known = find_run(connection, run.run_id)
    if known is None:
        entered = replace(run, created_ns=run.created_ns or now_ns)
        connection.execute(insert(tables.run).values(rows.run_values(entered)))
        _put_tags(connection, run.run_id, entered.tags, now_ns)
        return load_run(connection, run.run_id)
    completed = complete_run(known, replace(run, settings=_stored_settings(run)))
    if completed == known:
        return known
    set_run(connection, run.run_id, rows.run_values(completed))
    _put_tags(connection, run.run_id, set(completed.tags) - set(known.tags), now_ns)
    return load_run(connection, run.run_id)


def set_run(connection: Connection, run_id: str, values: dict[str, Any]) -> None:
    """Set columns of a run that is there; its files are counted in the month of its start."""
    with usage.run_changes(connection, run_id):
        connection.execute(update(tables.run).where(tables.run.c.run_id == run_id).values(values))


def _stored_settings(run: Run) -> Any:
    return to_json(run.settings, "settings")


def _put_tags(connection: Connection, run_id: str, tags: Iterable[str], now_ns: int) -> None:
    for tag in sorted({strict_text(tag) for tag in tags}):
        connection.execute(insert(tables.run_tag).values(run_id=run_id, tag=tag, created_ns=now_ns))


def put_tag(connection: Connection, run_id: str, tag: str, now_ns: int) -> None:
    """Give a run a tag unless it has it."""
    if strict_text(tag) not in load_run(connection, run_id).tags:
        _put_tags(connection, run_id, (tag,), now_ns)


def find_file(connection: Connection, run_id: str, name: str) -> FileRecord | None:
    """Return the file of that name, None where there is none."""
    table = tables.file
    query = select(table).where(table.c.run_id == run_id, table.c.name == name)
    row = connection.execute(query).mappings().first()
    return None if row is None else rows.to_file(row)


def load_file(connection: Connection, file_id: int) -> FileRecord:
    """Return a file by its number."""
    row = connection.execute(select(tables.file).where(tables.file.c.file_id == file_id)).mappings().first()
    if row is None:
        raise FileNotInCatalog(f"there is no file {file_id}", where="catalog", do="'nualley runs show RUN' lists files")
    return rows.to_file(row)


def is_removed(connection: Connection, replica_id: int) -> bool:
    """Return whether a replica was taken away on purpose."""
    table = tables.replica
    state = connection.execute(select(table.c.state).where(table.c.replica_id == replica_id)).scalar()
    return state == str(ReplicaState.REMOVED)


def set_replica_state(connection: Connection, replica_id: int, *, state: ReplicaState, verified_ns: int | None) -> None:
    """Set how a replica stands, and when it was last proven if that is new."""
    values: dict[str, Any] = {"state": str(state)}
    if verified_ns is not None:
        values["verified_ns"] = verified_ns
    table = tables.replica
    is_meant = table.c.replica_id == replica_id
    known = connection.execute(select(table.c.file_id, table.c.drive, table.c.state).where(is_meant)).first()
    if known is None:
        raise FileNotInCatalog(
            f"there is no replica {replica_id}", where="catalog", do="'nualley runs show RUN' lists files"
        )
    connection.execute(update(table).where(is_meant).values(values))
    usage.count_change(connection, known.file_id, known.drive, (known.state, state))


def list_drive_ids(connection: Connection) -> dict[str, str]:
    """Return the ids of the registered drives, by name."""
    table = tables.drive
    return {row.name: row.drive_id for row in connection.execute(select(table))}


def put_drive(connection: Connection, name: str, drive_id: str, now_ns: int) -> None:
    """Register a drive unless it is; DriveConflict where name or id stand for another one."""
    known = list_drive_ids(connection)
    name_by_id = {known_id: known_name for known_name, known_id in known.items()}
    if known.get(name, drive_id) != drive_id or name_by_id.get(drive_id, name) != name:
        raise DriveConflict(
            f"drive {name} has the id {drive_id}; registered is {name} as {known.get(name, 'no drive')}, "
            f"and that id as {name_by_id.get(drive_id, 'no drive')}",
            where=f"storage.drives.{name}",
            do="look which drives are mounted where; each keeps its name in drives.toml",
        )
    if name not in known:
        connection.execute(insert(tables.drive).values(name=name, drive_id=drive_id, registered_ns=now_ns))


def put_activity(connection: Connection, activity: Activity) -> Activity:
    """Enter what was done, what it took and what it made."""
    names = ("kind", "code", "configuration", "host", "start_ns", "stop_ns")
    values = {name: getattr(activity, name) for name in names}
    number = insert_row(connection, tables.activity, values)
    things = [
        {"activity_id": number, "role": role, "position": position, "thing": strict_text(thing)}
        for role, names_of_things in (("input", activity.inputs), ("output", activity.outputs))
        for position, thing in enumerate(names_of_things)
    ]
    if things:
        connection.execute(insert(tables.activity_thing), things)
    return replace(activity, activity_id=number)
