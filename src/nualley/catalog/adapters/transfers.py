"""`catalog.ports.Transfers` on SQLite or PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, delete, func, insert, select, update

from nualley.catalog.adapters import records, tables
from nualley.catalog.adapters.database import Database
from nualley.catalog.adapters.guarded import GuardedDatabase
from nualley.catalog.adapters.replica_rows import ReplicaRows
from nualley.catalog.drive_paths import DrivePaths
from nualley.catalog.errors import TransferNotFound
from nualley.catalog.models import Activity, Replica
from nualley.catalog.transfers import CopyState, Transfer, TransferCount, TransferFile
from nualley.core import Clock, strict_text

_CHUNK = 1000


class SqlTransfers:
    """Transfers and their files, in a database.

    Parameters
    ----------
    database : Database
        Open, with tables of this version.
    clock : Clock
        Dates what is entered.
    paths : DrivePaths
        Where the drives are.
    """

    def __init__(self, database: Database, clock: Clock, paths: DrivePaths) -> None:
        self._clock = clock
        self._paths = paths
        self._replicas = ReplicaRows(paths)
        guarded = GuardedDatabase(database)
        self._write, self._reading = guarded.write, guarded.reading

    # ------------------------------------------------------------ writing
    def begin(self, transfer: Transfer, files: Sequence[TransferFile]) -> Transfer:
        """Enter a transfer with all of its files in one transaction."""
        values = _values(transfer, without="transfer_id") | {
            "created_ns": self._clock.now_ns(),
            "source": self._paths.recorded(transfer.source_drive, transfer.source),
            "destination": self._paths.recorded(transfer.drive, transfer.destination),
        }

        def work(connection: Connection) -> Transfer:
            number = records.insert_row(connection, tables.transfer, values)
            self._insert(connection, number, files)
            return self._load(connection, number)

        return self._write(work)

    def put_files(self, transfer_id: int, files: Sequence[TransferFile]) -> None:
        """Enter files of a transfer, each in the place of what was known of it, in one transaction."""

        def work(connection: Connection) -> None:
            self._load(connection, transfer_id)
            table = tables.transfer_file
            for chunk in _chunks(files):
                paths = [file.path for file in chunk]
                connection.execute(delete(table).where(table.c.transfer_id == transfer_id, table.c.path.in_(paths)))
            self._insert(connection, transfer_id, files)

        self._write(work)

    def settle(self, file: TransferFile, replica: Replica | None, activity: Activity | None = None) -> None:
        """Enter a file as it now is, the replica that it became, and what was done, in one transaction."""

        def work(connection: Connection) -> None:
            if replica is not None and file.file_id is not None:
                is_new = self._replicas.find(connection, replica.drive, replica.path) is None
                self._replicas.put(connection, file.file_id, replica, self._clock.now_ns())
                if is_new and activity is not None:
                    records.put_activity(connection, activity)
            table = tables.transfer_file
            is_meant = (table.c.transfer_id == file.transfer_id) & (table.c.path == file.path)
            values = _values(file, without="transfer_id") | {"changed_ns": self._clock.now_ns()}
            if not connection.execute(update(table).where(is_meant).values(values)).rowcount:
                connection.execute(insert(table).values(values | {"transfer_id": file.transfer_id}))

        self._write(work)

    def finish(self, transfer_id: int, *, problem: str = "") -> Transfer:
        """Enter that all of a transfer is done, or why it is not; one that was given up stays so."""
        finished_ns = None if problem else self._clock.now_ns()
        return self._update(transfer_id, {"problem": strict_text(problem), "finished_ns": finished_ns})

    def leave(self, transfer_id: int, *, is_left: bool) -> Transfer:
        """Enter whether the worker goes on with a transfer; with one that was given up it does not."""
        return self._update(transfer_id, {"is_left": is_left})

    def cancel(self, transfer_id: int) -> Transfer:
        """Enter that a transfer is given up; one that is finished, or was given up before, stays as it is."""
        values = {"cancelled_ns": self._clock.now_ns(), "is_left": False}
        return self._update(transfer_id, values, tables.transfer.c.finished_ns.is_(None))

    def _update(self, transfer_id: int, values: Mapping[str, Any], *conditions: ColumnElement[bool]) -> Transfer:
        """Change a transfer that was not given up, and return it as it is now."""
        table = tables.transfer

        def work(connection: Connection) -> Transfer:
            is_meant = (table.c.transfer_id == transfer_id) & table.c.cancelled_ns.is_(None)
            connection.execute(update(table).where(is_meant, *conditions).values(**values))
            return self._load(connection, transfer_id)

        return self._write(work)

    def _insert(self, connection: Connection, transfer_id: int, files: Sequence[TransferFile]) -> None:
        now_ns = self._clock.now_ns()
        for chunk in _chunks(files):
            entered = [_values(file) | {"transfer_id": transfer_id, "changed_ns": now_ns} for file in chunk]
            connection.execute(insert(tables.transfer_file), entered)

    # ------------------------------------------------------------ reading
    def transfer(self, transfer_id: int) -> Transfer:
        """Return a transfer. TransferNotFound names the last ones."""
        with self._reading() as connection:
            return self._load(connection, transfer_id)

    def transfers(self, *, is_open: bool = False) -> list[Transfer]:
        """Return the transfers, oldest first: all, or those that are neither finished nor given up."""
        table = tables.transfer
        query = select(table).order_by(table.c.transfer_id)
        if is_open:
            query = query.where(table.c.finished_ns.is_(None), table.c.cancelled_ns.is_(None))
        with self._reading() as connection:
            return [self._to_transfer(row) for row in connection.execute(query).mappings()]

    def files(self, transfer_id: int) -> list[TransferFile]:
        """Return the files of a transfer, by path."""
        table = tables.transfer_file
        with self._reading() as connection:
            found = connection.execute(select(table).where(table.c.transfer_id == transfer_id)).mappings()
            return sorted(map(_to_file, found), key=lambda file: file.path)

    def known_below(self, drive: str, path: str) -> list[Replica]:
        """Return what is known to lie at an (escaped) path of a drive or below it, and is not missing, by path."""
        with self._reading() as connection:
            return self._replicas.below(connection, drive, path)

    def stages_below(self, drive: str, path: str) -> list[str]:
        """Return of which stages the files are that are known to lie at a path of a drive or below it, sorted."""
        table, file = tables.replica, tables.file
        query = select(file.c.stage).distinct().join(table, file.c.file_id == table.c.file_id)
        with self._reading() as connection:
            return sorted(connection.scalars(query.where(self._replicas.is_below(connection, drive, path))))

    def replicas_of_run(self, run_id: str) -> Mapping[int, Sequence[Replica]]:
        """Return the places of all files of a run, by the number of the file."""
        table, file = tables.replica, tables.file
        query = select(table).join(file, file.c.file_id == table.c.file_id).where(file.c.run_id == run_id)
        by_file: dict[int, list[Replica]] = {}
        with self._reading() as connection:
            for row in connection.execute(query.order_by(table.c.replica_id)).mappings():
                by_file.setdefault(row["file_id"], []).append(self._replicas.to_replica(row))
        return by_file

    def count(self, transfer_id: int) -> TransferCount:
        """Return how far a transfer has come."""
        table = tables.transfer_file
        n_problems = func.sum(case((table.c.problem != "", 1), else_=0))
        n_unknown = func.sum(case((table.c.file_id.is_(None), 1), else_=0))
        columns = (table.c.state, func.count(), func.sum(table.c.size_B), n_problems, n_unknown)
        query = select(*columns).where(table.c.transfer_id == transfer_id).group_by(table.c.state)
        with self._reading() as connection:
            found = {CopyState(row[0]): row for row in connection.execute(query)}
        return TransferCount(
            {state: int(row[1]) for state, row in found.items()},
            {state: int(row[2]) for state, row in found.items()},
            sum(int(row[3]) for row in found.values()),
            int(found[CopyState.CATALOGUED][4]) if CopyState.CATALOGUED in found else 0,
        )

    def _load(self, connection: Connection, transfer_id: int) -> Transfer:
        table = tables.transfer
        row = connection.execute(select(table).where(table.c.transfer_id == transfer_id)).mappings().first()
        if row is None:
            last = connection.execute(select(func.max(table.c.transfer_id))).scalar()
            raise TransferNotFound(
                f"there is no transfer {transfer_id}"
                + (f", the last one is {last}" if last else ": there was none yet"),
                where="catalog",
                do="'nualley transfer list' shows them",
            )
        return self._to_transfer(row)

    def _to_transfer(self, row: RowMapping) -> Transfer:
        source = self._paths.told(row["source_drive"], row["source"])
        destination = self._paths.told(row["drive"], row["destination"])
        return Transfer(**(dict(row) | {"source": source, "destination": destination}))


def _values(value: Transfer | TransferFile, without: str = "") -> dict[str, Any]:
    values = {key: found for key, found in asdict(value).items() if key != without}
    if isinstance(value, TransferFile):
        values["state"] = str(value.state)
    return values | {"problem": strict_text(value.problem)}


def _to_file(row: RowMapping) -> TransferFile:
    return TransferFile(**(dict(row) | {"state": CopyState(row["state"])}))


def _chunks(files: Sequence[TransferFile]) -> Iterator[Sequence[TransferFile]]:
    for start in range(0, len(files), _CHUNK):
        yield files[start : start + _CHUNK]
