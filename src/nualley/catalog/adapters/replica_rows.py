"""Rows of replicas: recorded below their drive, given and taken as paths of this machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    bindparam,
    collate,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from nualley.catalog.adapters import records, rows, tables, usage
from nualley.catalog.decide import check_same_bytes
from nualley.catalog.drive_paths import DrivePaths
from nualley.catalog.errors import ReplicaConflict
from nualley.catalog.models import FileAdded, FileEntry, FileRecord, PlacedFile, Replica, ReplicaState
from nualley.core import escape_name, plain_path, unescape_name

_AFTER_SLASH = "0"  # in the order of bytes, what begins with "folder/" comes before this
_UPWARDS = "/../"

# made once, as each file that is entered asks the first: a place as it is recorded, and as rows of old have it
_AT = select(tables.replica).where(
    tables.replica.c.path.in_((bindparam("recorded"), bindparam("of_old"))),
    tables.replica.c.drive == bindparam("of_drive"),
)
_FILES_AT = select(tables.file).where(
    tables.file.c.file_id.in_(
        select(tables.replica.c.file_id).where(tables.replica.c.path.in_(bindparam("paths", expanding=True)))
    )
)


class ReplicaRows:
    """Replicas in the tables, wherever their drives are mounted.

    Parameters
    ----------
    paths : DrivePaths
        Where the drives are.
    """

    def __init__(self, paths: DrivePaths) -> None:
        self._paths = paths

    # ------------------------------------------------------------ finding
    def of_file(self, connection: Connection, file_id: int) -> list[Replica]:
        """Return the places of a file in the order in which they were entered."""
        table = tables.replica
        query = select(table).where(table.c.file_id == file_id).order_by(table.c.replica_id)
        return [self.to_replica(row) for row in connection.execute(query).mappings()]

    def find(self, connection: Connection, drive: str, path: str) -> Replica | None:
        """Return what is known to lie at a path, None where nothing is."""
        recorded = self._paths.recorded(drive, path)
        found = connection.execute(_AT, {"recorded": recorded, "of_old": path, "of_drive": drive}).mappings().all()
        best = min(found, key=lambda row: row["path"] != recorded, default=None)
        return None if best is None else self.to_replica(best)

    def load(self, connection: Connection, replica_id: int) -> Replica:
        """Return a replica by its number."""
        table = tables.replica
        query = select(table).where(table.c.replica_id == replica_id)
        return self.to_replica(connection.execute(query).mappings().one())

    def files_at(self, connection: Connection, path: str) -> list[FileRecord]:
        """Return the files of which a replica is known at a path."""
        found = connection.execute(_FILES_AT, {"paths": self._paths.everywhere(path)}).mappings()
        return [rows.to_file(row) for row in found]

    def below(self, connection: Connection, drive: str, path: str) -> list[Replica]:
        """Return what is known to lie at a path of a drive or below it, and is not missing, by path."""
        query = select(tables.replica).where(self.is_below(connection, drive, path))
        return sorted(map(self.to_replica, connection.execute(query).mappings()), key=lambda replica: replica.path)

    def is_below(self, connection: Connection, drive: str, path: str) -> ColumnElement[bool]:
        """Return what holds for replicas at a path of a drive or below it that are not missing."""
        table = tables.replica
        is_there = (table.c.drive == drive) & table.c.state.not_in(tables.NOT_THERE)
        folders = [spelling.rstrip("/") for spelling in self._paths.spellings(drive, path)]
        return is_there & or_(*(_is_below(connection, table.c.path, folder) for folder in folders))

    def placed(self, connection: Connection, drive: str) -> list[PlacedFile]:
        """Return all that is known to lie or to have lain on a drive, by path."""
        replica, file = tables.replica.c, tables.file.c
        query = (
            select(replica.path, replica.state, file.size_B, replica.verified_ns)
            .add_columns(replica.replica_id, file.file_id, file.run_id, file.xxh3_128)
            .join(tables.file, file.file_id == replica.file_id)
            .where(replica.drive == drive)
        )
        found = connection.execute(query)
        # in Python: servers order text by the rules of their language
        return sorted(PlacedFile(self._paths.told(drive, row[0]), ReplicaState(row[1]), *row[2:]) for row in found)

    def to_replica(self, row: RowMapping) -> Replica:
        """Return the replica of a row."""
        path = self._paths.told(row["drive"], row["path"])
        return Replica(**(dict(row) | {"state": ReplicaState(row["state"]), "path": path}))

    # ------------------------------------------------------------ entering
    def put_entry(self, connection: Connection, entry: FileEntry, now_ns: int) -> FileAdded:
        """Enter a run, and a file of it with its replicas and what made them, as far as they are new."""
        records.put_run(connection, entry.run, now_ns)
        file, replicas, activity = entry.file, entry.replicas, entry.activity
        known = records.find_file(connection, file.run_id, file.name)
        if known is None:
            values = rows.file_values(replace(file, created_ns=file.created_ns or now_ns))
            record = records.load_file(connection, records.insert_row(connection, tables.file, values))
        else:
            check_same_bytes(known, file)
            record = known
        before = self.of_file(connection, record.file_id)
        for replica in replicas:
            self.put(connection, record.file_id, replica, now_ns)
        there = self.of_file(connection, record.file_id)
        if activity is not None and (known is None or there != before):
            records.put_activity(connection, activity)
        return FileAdded(record, tuple(there), already_there=known is not None)

    def put(self, connection: Connection, file_id: int, replica: Replica, now_ns: int) -> Replica:
        """Enter a place of a file, or what is newly known of it; ReplicaConflict where another file lies there."""
        known = self.find(connection, replica.drive, replica.path)
        if known is None:
            path = self._paths.recorded(replica.drive, replica.path)
            entered = replace(replica, path=path, created_ns=replica.created_ns or now_ns)
            number = records.insert_row(connection, tables.replica, rows.replica_values(entered) | {"file_id": file_id})
            usage.count_change(connection, file_id, replica.drive, (ReplicaState.MISSING, replica.state))
            return self.load(connection, number)
        if known.file_id != file_id:
            other = records.load_file(connection, known.file_id)
            raise ReplicaConflict(
                f"{replica.path} on {replica.drive} is known to hold file {known.file_id} "
                f"({other.run_id}/{other.name}), not file {file_id}",
                where=f"replica {known.replica_id}",
                do="look at the file; change replica_path in drives.toml so that two files never share a place",
            )
        is_mended = replica.state is ReplicaState.VERIFIED and known.state is not ReplicaState.VERIFIED
        if not is_mended and (replica.verified_ns or 0) <= (known.verified_ns or 0):
            return known
        records.set_replica_state(connection, known.replica_id, state=replica.state, verified_ns=replica.verified_ns)
        return self.load(connection, known.replica_id)

    # ------------------------------------------------------------ rows of old
    def unsettled(self, connection: Connection) -> list[str]:
        """Return the registered drives that were at another path when their rows were settled, or never were."""
        table, roots = tables.drive, self._paths.root_by_name
        known = connection.execute(select(table.c.name, table.c.path)).all()
        return [row.name for row in known if row.name in roots and roots[row.name] != row.path]

    def settle(self, connection: Connection) -> None:
        """Record below its drive what was recorded by its path on this machine, and still is below the drive."""
        for name in self.unsettled(connection):
            root = self._paths.root_by_name[name]
            for column, of_drive in _PLACES:
                is_meant = of_drive == name
                for folder in (root, *_upward_folders(connection, column, is_meant)):
                    old, new = self._settled(name, folder)
                    if old != new:
                        _respell(connection, column, is_meant, (old, new))
            connection.execute(update(tables.drive).where(tables.drive.c.name == name).values(path=root))

    def _settled(self, name: str, folder: str) -> tuple[str, str]:
        """Return which folder, spelled so, is to be recorded below a drive, and how; one elsewhere stays as it is."""
        root = self._paths.root_by_name[name].rstrip("/")
        plain = escape_name(str(plain_path(Path(unescape_name(folder))))).rstrip("/")
        if f"{root}/".startswith(f"{plain}/"):
            return folder.rstrip("/") + root[len(plain) :], f"{name}:"
        recorded = self._paths.recorded(name, plain)
        return folder, folder if recorded == plain else recorded


_PLACES = (
    (tables.replica.c.path, tables.replica.c.drive),
    (tables.transfer.c.source, tables.transfer.c.source_drive),
    (tables.transfer.c.destination, tables.transfer.c.drive),
)


def _upward_folders(connection: Connection, column: ColumnElement[str], is_meant: ColumnElement[bool]) -> set[str]:
    """Return what goes over the folder above, as settings once wrote it."""
    found = connection.execute(select(column).where(is_meant, column.contains(_UPWARDS))).scalars()
    return {path[: path.rindex(_UPWARDS) + len(_UPWARDS) - 1] for path in found}


def _respell(connection: Connection, column: Any, is_meant: ColumnElement[bool], folders: tuple[str, str]) -> None:
    """Write another folder where rows begin with one; what is entered there already is not entered twice."""
    old, new = folders
    replica, other = tables.replica, tables.replica.alias()
    below = func.substr(column, len(old) + 1)
    path = new + func.coalesce(func.nullif(below, ""), "/")
    is_meant = and_(is_meant, _is_below(connection, column, old), ~below.contains(_UPWARDS))
    if column.table is replica:
        is_same = and_(other.c.drive == replica.c.drive, other.c.path == path)
        is_twin = exists().where(is_same, other.c.file_id == replica.c.file_id)
        is_missing = replica.c.state == str(ReplicaState.MISSING)
        connection.execute(delete(replica).where(is_meant, is_missing, is_twin))
        is_meant = and_(is_meant, ~exists().where(is_same))
    connection.execute(update(column.table).where(is_meant).values({column: path}))


def _is_below(connection: Connection, column: Any, folder: str) -> ColumnElement[bool]:
    """Return the condition of lying at a folder or below it, in the order of bytes, whatever the server's language."""
    text: Any = collate(column, "C") if connection.dialect.name == "postgresql" else column
    return or_(text == folder, and_(text >= f"{folder}/", text < f"{folder}{_AFTER_SLASH}"))
